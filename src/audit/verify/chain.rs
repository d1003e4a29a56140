//! The entries in their order: numbers, hashes, chain, columns, and the tree against every checkpoint.

use std::collections::VecDeque;
use std::fmt::Write as _;

use super::anchors::{Anchors, Kept, refusal, text_of};
use super::report::{Check, Finding, Report};
use crate::audit::note::VerifyingKey;
use crate::audit::{Checkpoint, CheckpointError, Frontier, Row, Said, SealedEntry};
use crate::call::{Digest, Millis};

/// A checkpoint as its row holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCheckpoint {
    /// Its number.
    pub number: i64,
    /// How many entries it covers, by its column.
    pub size: i64,
    /// The root, by its column.
    pub root: String,
    /// The signed note.
    pub note: String,
}

/// Walks the log from its first entry.
#[derive(Debug)]
pub struct Chain {
    keys: Vec<VerifyingKey>,
    /// Stored checkpoints ahead of the walk, by size.
    stored: VecDeque<StoredCheckpoint>,
    /// Kept ones ahead of the walk, by size.
    kept: VecDeque<Kept>,
    frontier: Frontier,
    /// The last number; the number that the next entry should have is one more.
    seq: i64,
    prev: String,
    at: Millis,
    /// Entries are missing from here on, so that no root can be compared any more.
    gap: bool,
    /// New keys that the log names, until a checkpoint by a known key covers what names them.
    named: Vec<VerifyingKey>,
    /// The largest size at which a stored checkpoint, and at which a kept one, was right.
    good_stored: u64,
    good_kept: u64,
    /// The root was wrong once: every later one is as well, and says nothing new.
    stored_failed: bool,
    kept_failed: bool,
    /// The largest size that a stored checkpoint covers.
    covered: u64,
    checkpoints: u64,
    alarms: u64,
}

impl Chain {
    /// Before the first entry. `keys` are those that may have signed checkpoints; a key that the log names when it is
    /// replaced is trusted as well, once a checkpoint by a known key covers the entry that names it.
    #[must_use]
    pub fn new(keys: Vec<VerifyingKey>, anchors: &Anchors) -> Self {
        Self {
            keys,
            stored: VecDeque::new(),
            kept: anchors.kept().to_vec().into(),
            frontier: Frontier::new(),
            seq: 0,
            prev: "0".repeat(64),
            at: Millis(i64::MIN),
            gap: false,
            named: Vec::new(),
            good_stored: 0,
            good_kept: 0,
            stored_failed: false,
            kept_failed: false,
            covered: 0,
            checkpoints: 0,
            alarms: 0,
        }
    }

    /// A stored checkpoint; they come in the order of their sizes, each before the last entry that it covers.
    pub fn checkpoint(&mut self, stored: StoredCheckpoint) {
        self.checkpoints += 1;
        self.stored.push_back(stored);
    }

    /// The next entry, in the order of the numbers.
    pub fn entry(&mut self, row: &Row, report: &mut Report) {
        let at = |check, seq: i64, text: String| Finding { check, seq: to_u64(seq), until: None, call: None, text };
        if self.seq == 0 {
            self.compare(report);
        }
        let expected = self.seq.saturating_add(1);
        if row.seq == expected {
            report.right(Check::Sequence, 1);
        } else {
            let gone = if row.seq < expected {
                format!("a row of the log has the number {}, and entries begin at 1", row.seq)
            } else if row.seq == expected + 1 {
                format!("entry {expected} is missing")
            } else {
                format!("entries {expected} to {} are missing", row.seq - 1)
            };
            report.wrong(at(Check::Sequence, expected, gone));
            self.gap = true;
        }
        let leaf = SealedEntry::leaf_of(row.body.as_bytes());
        let hex = leaf.to_string();
        if row.leaf == hex {
            report.right(Check::Hashes, 1);
        } else {
            let text = format!("entry {} does not have the hash that stands beside it: it was changed", row.seq);
            report.wrong(at(Check::Hashes, row.seq, text));
        }
        match Said::read(&row.body) {
            Ok(said) => self.said(row, &said, report),
            Err(_) => {
                let text = format!("the body of entry {} is none that this program wrote", row.seq);
                report.wrong(at(Check::Columns, row.seq, text));
            }
        }
        self.seq = row.seq;
        self.at = self.at.max(row.at);
        self.prev = hex;
        self.frontier.push(leaf);
        self.compare(report);
    }

    fn said(&mut self, row: &Row, said: &Said<'_>, report: &mut Report) {
        let seq = row.seq;
        let at = |check, seq: i64, text: String| Finding { check, seq: to_u64(seq), until: None, call: None, text };
        if said.prev != self.prev {
            // After a gap that is no news, and says nothing of this entry.
            if row.seq == self.seq + 1 {
                let text = format!(
                    "entry {seq} follows another entry than the one before it: one of them was changed, put in, or moved"
                );
                let first = (seq - 1).max(1);
                report.wrong(Finding { until: to_u64(seq), ..at(Check::Chain, first, text) });
            }
        } else if row.at < self.at {
            report.wrong(at(Check::Chain, seq, format!("entry {seq} is earlier than the one before it")));
        } else {
            report.right(Check::Chain, 1);
        }
        if said.kind.starts_with("alarm.") {
            self.alarms += 1;
        }
        self.told(seq, said, report);
        let mut moment = String::with_capacity(24);
        let _ = write!(moment, "{}", row.at);
        let same =
            |column: &Option<String>, body: &Option<std::borrow::Cow<'_, str>>| column.as_deref() == body.as_deref();
        let columns = [
            ("seq", said.seq == seq),
            ("at", said.at == moment),
            ("kind", said.kind == row.kind),
            ("call_id", same(&row.call, &said.call)),
            ("agent", same(&row.agent, &said.agent)),
            ("upstream", same(&row.upstream, &said.upstream)),
            ("tool", same(&row.tool, &said.tool)),
            ("reviewer_id", same(&row.reviewer, &said.reviewer)),
        ];
        match columns.iter().find(|(_, same)| !same) {
            None => report.right(Check::Columns, 1),
            Some((column, _)) => {
                let text = format!("the column {column} of entry {seq} is not what its body says");
                report.wrong(at(Check::Columns, seq, text));
            }
        }
    }

    /// What the log says about itself.
    fn told(&mut self, seq: i64, said: &Said<'_>, report: &mut Report) {
        match &*said.kind {
            "log.key_rotated" => {
                let new = said.text("new").and_then(|text| VerifyingKey::parse(text).ok());
                self.named.extend(new.filter(|new| !self.keys.contains(new)));
            }
            "alarm.log_behind" | "alarm.log_disagrees" | "store.restored" => {
                let text = format!(
                    "entry {seq} tells that the database was found to be older, or another, than what was signed before: \
                     as after putting back a backup, checkpoints of the part that was lost do not fit"
                );
                report.note(Check::Anchors, text);
            }
            _ => {}
        }
    }

    /// Compares the root with what was signed for this size.
    fn compare(&mut self, report: &mut Report) {
        let size = self.frontier.size();
        let stored = self.stored.front().is_some_and(|stored| stored.size <= signed(size));
        if !stored && self.kept.front().is_none_or(|kept| kept.size > size) {
            return;
        }
        let root = self.frontier.root();
        while let Some(kept) = self.kept.pop_front_if(|kept| kept.size <= size) {
            match self.open(&kept.note) {
                Ok(claim) => self.compare_kept(&kept, &claim, size, &root, report),
                Err(error) => report.unknown(kept.check, refusal(&kept.place, &error)),
            }
        }
        while let Some(stored) = self.stored.pop_front_if(|stored| stored.size <= signed(size)) {
            if let Some(claim) = self.opened(&stored, report) {
                self.compare_stored(&stored, &claim, size, &root, report);
            }
        }
    }

    fn compare_kept(&mut self, kept: &Kept, claim: &Checkpoint, size: u64, root: &Digest, report: &mut Report) {
        if claim.size == size && !self.gap && claim.root.matches(root) {
            if kept.check == Check::Anchors {
                report.right(Check::Anchors, 1);
                self.good_kept = size;
            } else {
                self.good_stored = size;
            }
            self.keys.append(&mut self.named);
        } else if kept.check == Check::Tree {
            let failed = std::mem::replace(&mut self.stored_failed, true);
            mismatch(Check::Tree, &kept.place, claim, self.good_stored.max(self.good_kept), failed, report);
        } else {
            let failed = std::mem::replace(&mut self.kept_failed, true);
            mismatch(Check::Anchors, &kept.place, claim, self.good_kept, failed, report);
        }
    }

    fn compare_stored(
        &mut self,
        stored: &StoredCheckpoint,
        claim: &Checkpoint,
        size: u64,
        root: &Digest,
        report: &mut Report,
    ) {
        if claim.size == size && !self.gap && claim.root.matches(root) {
            report.right(Check::Tree, 1);
            self.good_stored = size;
            if !self.keys.is_empty() {
                self.keys.append(&mut self.named);
            }
        } else {
            let failed = std::mem::replace(&mut self.stored_failed, true);
            let good = self.good_stored.max(self.good_kept);
            mismatch(Check::Tree, &format!("checkpoint {}", stored.number), claim, good, failed, report);
        }
    }

    /// Opens a note. Without any key its text is taken as it is; that nobody vouches for it was said.
    fn open(&self, note: &str) -> Result<Checkpoint, CheckpointError> {
        if self.keys.is_empty() { text_of(note) } else { Checkpoint::open(note, &self.keys) }
    }

    /// What a stored checkpoint says, if it opens and its columns say the same.
    fn opened(&mut self, stored: &StoredCheckpoint, report: &mut Report) -> Option<Checkpoint> {
        let number = stored.number;
        let mut wrong = |text: String| {
            report.wrong(Finding { check: Check::Signatures, seq: None, until: None, call: None, text });
        };
        match self.open(&stored.note) {
            Err(error) => {
                let lost = if self.named.is_empty() {
                    ""
                } else {
                    "; the log says that its key was replaced without the old one, and nothing signed vouches for that: if \
                     you know of it, give the new key with --key as well"
                };
                wrong(format!("checkpoint {number} does not open: {error}{lost}"));
                None
            }
            Ok(opened) if (signed(opened.size), opened.root.to_string()) != (stored.size, stored.root.clone()) => {
                wrong(format!("the columns of checkpoint {number} are not what its note says"));
                None
            }
            Ok(opened) => {
                report.right(Check::Signatures, u64::from(!self.keys.is_empty()));
                self.covered = self.covered.max(opened.size);
                Some(opened)
            }
        }
    }

    /// How many entries there were.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.frontier.size()
    }

    /// After the last entry: what was signed for more entries than there are, and what nothing was signed for.
    /// Answers how many entries there are.
    pub fn end(mut self, report: &mut Report) -> u64 {
        self.compare(report);
        let size = self.frontier.size();
        let last = to_u64(self.seq).unwrap_or(0);
        let mut gone = |check, by: &str, covers: u64| {
            let text = format!(
                "{by} covers {covers} entries, and the log has {size}: what came after entry {last} was cut off"
            );
            report.wrong(Finding { check, seq: Some(last + 1), until: None, call: None, text });
        };
        let mut unopened = Vec::new();
        for kept in &self.kept {
            match self.open(&kept.note) {
                Ok(claim) => gone(kept.check, &kept.place, claim.size),
                Err(error) => unopened.push((kept.check, refusal(&kept.place, &error))),
            }
        }
        let ahead = std::mem::take(&mut self.stored);
        let covers: Vec<_> = ahead.iter().map(|stored| (stored.number, self.opened(stored, report))).collect();
        for (number, claim) in covers.into_iter().filter_map(|(number, claim)| Some((number, claim?))) {
            let text = format!(
                "checkpoint {number} covers {} entries, and the log has {size}: what came after entry {last} was cut off",
                claim.size
            );
            report.wrong(Finding { check: Check::Tree, seq: Some(last + 1), until: None, call: None, text });
        }
        unopened.into_iter().for_each(|(check, why)| report.unknown(check, why));
        if self.checkpoints == 0 {
            let why = "the log has no checkpoint: nothing signed says what it was; a running Placet makes one within \
                       seconds of an entry";
            report.unknown(Check::Signatures, why);
        }
        report.unsigned = size.saturating_sub(self.covered);
        report.alarms = self.alarms;
        size
    }
}

/// The root is not the one that was signed: somewhere after the last right one and up to here. Only the first is told.
fn mismatch(check: Check, by: &str, claim: &Checkpoint, good: u64, failed: bool, report: &mut Report) {
    let first = (good + 1).min(claim.size.max(1));
    let where_ = if first >= claim.size {
        format!("entry {first}")
    } else {
        format!("one of the entries {first} to {}", claim.size)
    };
    let text = if failed {
        format!("the entries up to {} are not those that {} covers either", claim.size, by)
    } else {
        format!("the entries up to {} are not those that {} covers: {where_} was altered first", claim.size, by)
    };
    let until = (claim.size > first).then_some(claim.size);
    report.wrong(Finding { check, seq: Some(first), until, call: None, text });
}

/// SQLite's numbers are signed; the log ends long before they do.
fn signed(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

fn to_u64(seq: i64) -> Option<u64> {
    u64::try_from(seq).ok()
}
