//! The entries in their order: numbers, hashes, chain, columns, and the tree against every checkpoint.

use std::collections::VecDeque;
use std::fmt::Write as _;

use super::anchors::{Anchors, Witness};
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

/// A root that somebody signed for a size.
#[derive(Debug)]
struct Claim {
    size: u64,
    root: Digest,
    /// Who says so, for people.
    by: String,
}

/// Walks the log from its first entry.
#[derive(Debug)]
pub struct Chain {
    keys: Vec<VerifyingKey>,
    /// Stored checkpoints ahead of the walk, by size.
    stored: VecDeque<Claim>,
    /// Anchored ones ahead of the walk, by size.
    anchored: VecDeque<Claim>,
    frontier: Frontier,
    /// The last number; the number that the next entry should have is one more.
    seq: i64,
    prev: String,
    at: Millis,
    /// Entries are missing from here on, so that no root can be compared any more.
    gap: bool,
    /// The largest size at which a stored checkpoint, and at which any, was right.
    good_stored: u64,
    good_anchor: u64,
    /// The root was wrong once: every later one is as well, and says nothing new.
    stored_failed: bool,
    anchor_failed: bool,
    /// The largest size that a stored checkpoint covers.
    covered: u64,
    checkpoints: u64,
}

impl Chain {
    /// Before the first entry. `keys` are those that may have signed stored checkpoints.
    #[must_use]
    pub fn new(keys: Vec<VerifyingKey>, anchors: &Anchors) -> Self {
        let claim = |Witness { size, root, place, .. }: &Witness| Claim { size: *size, root: *root, by: place.clone() };
        Self {
            keys,
            stored: VecDeque::new(),
            anchored: anchors.witnesses().iter().map(claim).collect(),
            frontier: Frontier::new(),
            seq: 0,
            prev: "0".repeat(64),
            at: Millis(i64::MIN),
            gap: false,
            good_stored: 0,
            good_anchor: 0,
            stored_failed: false,
            anchor_failed: false,
            covered: 0,
            checkpoints: 0,
        }
    }

    /// A stored checkpoint; they come in the order of their sizes, each before the last entry that it covers.
    pub fn checkpoint(&mut self, stored: &StoredCheckpoint, report: &mut Report) {
        let number = stored.number;
        self.checkpoints += 1;
        let wrong = |text: String| Finding { check: Check::Signatures, seq: None, until: None, call: None, text };
        // Without a key the root is compared all the same; that nobody vouches for it was said.
        let opened = match if self.keys.is_empty() {
            unsigned(&stored.note)
        } else {
            Checkpoint::open(&stored.note, &self.keys)
        } {
            Ok(opened) => opened,
            Err(error) => return report.wrong(wrong(format!("checkpoint {number} does not open: {error}"))),
        };
        let same = u64::try_from(stored.size) == Ok(opened.size) && stored.root == opened.root.to_string();
        if !same {
            return report.wrong(wrong(format!("the columns of checkpoint {number} are not what its note says")));
        }
        report.right(Check::Signatures, u64::from(!self.keys.is_empty()));
        self.covered = self.covered.max(opened.size);
        let by = format!("checkpoint {number}");
        self.stored.push_back(Claim { size: opened.size, root: opened.root, by });
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

    /// Compares the root with what was signed for this size.
    fn compare(&mut self, report: &mut Report) {
        let size = self.frontier.size();
        let due = |claims: &VecDeque<Claim>| claims.front().is_some_and(|claim| claim.size <= size);
        if !due(&self.stored) && !due(&self.anchored) {
            return;
        }
        let root = self.frontier.root();
        while due(&self.anchored) {
            let Some(claim) = self.anchored.pop_front() else { break };
            if claim.size == size && !self.gap && claim.root.matches(&root) {
                report.right(Check::Anchors, 1);
                self.good_anchor = self.good_anchor.max(size);
            } else {
                let failed = std::mem::replace(&mut self.anchor_failed, true);
                mismatch(Check::Anchors, &claim, self.good_anchor, failed, report);
            }
        }
        while due(&self.stored) {
            let Some(claim) = self.stored.pop_front() else { break };
            if claim.size == size && !self.gap && claim.root.matches(&root) {
                report.right(Check::Tree, 1);
                self.good_stored = self.good_stored.max(size);
            } else {
                let failed = std::mem::replace(&mut self.stored_failed, true);
                mismatch(Check::Tree, &claim, self.good_stored.max(self.good_anchor), failed, report);
            }
        }
    }

    /// How many entries there were.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.frontier.size()
    }

    /// After the last entry: what was signed for more entries than there are, and what nothing was signed for.
    pub fn end(mut self, report: &mut Report) -> u64 {
        self.compare(report);
        let size = self.frontier.size();
        let last = to_u64(self.seq).unwrap_or(0);
        for (check, claims) in [(Check::Anchors, &self.anchored), (Check::Tree, &self.stored)] {
            for claim in claims {
                let text = format!(
                    "{} covers {} entries, and the log has {size}: entries {} to {} are gone",
                    claim.by,
                    claim.size,
                    last + 1,
                    claim.size.max(last + 1)
                );
                report.wrong(Finding { check, seq: Some(last + 1), until: None, call: None, text });
            }
        }
        if self.checkpoints == 0 {
            let why = "the log has no checkpoint: nothing signed says what it was; a running Placet makes one within \
                       seconds of an entry";
            report.unknown(Check::Signatures, why);
        }
        report.unsigned = size.saturating_sub(self.covered);
        size
    }
}

/// The root is not the one that was signed: somewhere after the last right one and up to here. Only the first is told.
fn mismatch(check: Check, claim: &Claim, good: u64, failed: bool, report: &mut Report) {
    let first = (good + 1).min(claim.size.max(1));
    let where_ = if first >= claim.size {
        format!("entry {first}")
    } else {
        format!("one of the entries {first} to {}", claim.size)
    };
    let text = if failed {
        format!("the entries up to {} are not those that {} covers either", claim.size, claim.by)
    } else {
        format!("the entries up to {} are not those that {} covers: {where_} was altered first", claim.size, claim.by)
    };
    let until = (claim.size > first).then_some(claim.size);
    report.wrong(Finding { check, seq: Some(first), until, call: None, text });
}

/// The checkpoint in a note that nobody's key opens.
fn unsigned(note: &str) -> Result<Checkpoint, CheckpointError> {
    let text = note.split_once("\n\n").map_or(note, |(text, _)| text);
    Checkpoint::parse(&format!("{text}\n"))
}

fn to_u64(seq: i64) -> Option<u64> {
    u64::try_from(seq).ok()
}
