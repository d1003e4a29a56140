//! The log's tree against every checkpoint: those stored beside the entries, and those kept elsewhere.

use std::collections::VecDeque;

use super::anchors::{Anchors, Kept, refusal, text_of};
use super::put_back::PutBacks;
use super::report::{Check, Finding, Report};
use crate::audit::note::{NoteError, VerifyingKey};
use crate::audit::{Checkpoint, CheckpointError, Frontier, Said};
use crate::call::Digest;

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

/// The keys that may have signed checkpoints.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    /// They; without any, notes are taken as they are, and somebody has said that nobody vouches for them.
    pub keys: Vec<VerifyingKey>,
    /// The file that whoever verifies gave, where they did: it may be another log's.
    pub given: Option<String>,
}

/// Which entries are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gap {
    /// This one, and maybe others later.
    Missing(i64),
    /// None, but rows have numbers that no entry has.
    Misnumbered,
}

/// Checkpoints that open, but under a key that nobody gave.
#[derive(Debug, Default)]
struct Unvouched {
    count: u64,
    first: i64,
    last_size: u64,
    why: Option<CheckpointError>,
}

impl Unvouched {
    fn add(&mut self, number: i64, size: u64, why: CheckpointError) {
        if self.count == 0 {
            self.first = number;
            self.why = Some(why);
        }
        self.count += 1;
        self.last_size = self.last_size.max(size);
    }
}

/// Compares the tree with checkpoints while it grows.
#[derive(Debug)]
pub(super) struct Signed {
    keys: Keys,
    /// Stored checkpoints ahead of the walk, by size.
    stored: VecDeque<StoredCheckpoint>,
    /// Kept ones ahead of the walk, by size.
    kept: VecDeque<Kept>,
    /// Kept ones that do not fit, with the largest size before them at which one did.
    misfits: Vec<(Kept, u64)>,
    pub(super) put_backs: PutBacks,
    /// How many entries the log had of which this database says that it is a copy.
    pub(super) copy: Option<u64>,
    /// New keys that the log names, until a checkpoint by a known key covers what names them.
    named: Vec<VerifyingKey>,
    /// Every key that the log names.
    told: Vec<VerifyingKey>,
    /// The entry by which a key was replaced since the database was put back to before its change.
    rekeyed: Option<i64>,
    /// The largest size at which a stored checkpoint, and at which a kept one, was right.
    good_stored: u64,
    good_kept: u64,
    /// The root was wrong once: every later one is as well, and says nothing new.
    failed: bool,
    /// The largest size that a stored checkpoint covers, and the largest that one by a known key does.
    covered: u64,
    vouched: u64,
    /// Whether anything opened under a known key.
    opened: bool,
    /// Signed by a key that only the log names; by one that it does not name either.
    by_log: Unvouched,
    foreign: Unvouched,
    checkpoints: u64,
}

impl Signed {
    pub(super) fn new(keys: Keys, anchors: &Anchors, known: Vec<u64>) -> Self {
        Self {
            keys,
            stored: VecDeque::new(),
            kept: anchors.kept().to_vec().into(),
            misfits: Vec::new(),
            put_backs: PutBacks::known(known),
            copy: None,
            named: Vec::new(),
            told: Vec::new(),
            rekeyed: None,
            good_stored: 0,
            good_kept: 0,
            failed: false,
            covered: 0,
            vouched: 0,
            opened: false,
            by_log: Unvouched::default(),
            foreign: Unvouched::default(),
            checkpoints: 0,
        }
    }

    pub(super) fn checkpoint(&mut self, stored: StoredCheckpoint) {
        self.checkpoints += 1;
        self.stored.push_back(stored);
    }

    /// What the log says about its keys.
    pub(super) fn told(&mut self, said: &Said<'_>) {
        let key = |name: &str| said.text(name).and_then(|text| VerifyingKey::parse(text).ok());
        let all = match &*said.kind {
            "log.key_made" => [key("vkey"), None],
            "log.key_rotated" => {
                self.named.extend(key("new").filter(|new| !self.keys.keys.contains(new)));
                if said.detail.get("restored") == Some(&true.into()) {
                    self.rekeyed = Some(said.seq);
                }
                [key("old"), key("new")]
            }
            _ => return,
        };
        for key in all.into_iter().flatten() {
            if !self.told.contains(&key) {
                self.told.push(key);
            }
        }
    }

    /// Compares the root with what was signed for this size.
    pub(super) fn compare(&mut self, tree: &Frontier, gap: Option<Gap>, report: &mut Report) {
        let size = tree.size();
        let stored = self.stored.front().is_some_and(|stored| stored.size <= signed(size));
        if !stored && self.kept.front().is_none_or(|kept| kept.size > size) {
            return;
        }
        let root = tree.root();
        while let Some(kept) = self.kept.pop_front_if(|kept| kept.size <= size) {
            match self.open(&kept.note) {
                Ok(claim) => {
                    self.opened |= !self.keys.keys.is_empty();
                    self.compare_kept(kept, &claim, (size, &root), gap, report);
                }
                Err(error) => report.unknown(kept.check, refusal(&kept.place, &error)),
            }
        }
        while let Some(stored) = self.stored.pop_front_if(|stored| stored.size <= signed(size)) {
            let Some((claim, vouched)) = self.claim(&stored, report) else { continue };
            if claim.size == size && gap.is_none() && claim.root.matches(&root) {
                report.right(Check::Tree, 1);
                self.good_stored = size;
                if vouched {
                    self.vouched = size;
                    self.keys.keys.append(&mut self.named);
                }
            } else {
                let failed = std::mem::replace(&mut self.failed, true);
                let good = self.good_stored.max(self.good_kept);
                mismatch(Check::Tree, &format!("checkpoint {}", stored.number), claim.size, good, gap, failed, report);
            }
        }
    }

    fn compare_kept(
        &mut self,
        kept: Kept,
        claim: &Checkpoint,
        (size, root): (u64, &Digest),
        gap: Option<Gap>,
        report: &mut Report,
    ) {
        let elsewhere = kept.check == Check::Anchors;
        if claim.size == size && gap.is_none() && claim.root.matches(root) {
            if elsewhere {
                report.right(Check::Anchors, 1);
                self.good_kept = size;
                self.put_backs.fits(&kept);
            } else {
                self.good_stored = size;
            }
            self.keys.keys.append(&mut self.named);
        } else if elsewhere {
            self.misfits.push((kept, self.good_kept));
        } else {
            let failed = std::mem::replace(&mut self.failed, true);
            let good = self.good_stored.max(self.good_kept);
            mismatch(Check::Tree, &kept.place, claim.size, good, gap, failed, report);
        }
    }

    /// Opens a note. Without any key its text is taken as it is; that nobody vouches for it was said.
    fn open(&self, note: &str) -> Result<Checkpoint, CheckpointError> {
        if self.keys.keys.is_empty() { text_of(note) } else { Checkpoint::open(note, &self.keys.keys) }
    }

    /// What a stored checkpoint says, if it opens and its columns say the same; and whether a known key signed it.
    fn claim(&mut self, stored: &StoredCheckpoint, report: &mut Report) -> Option<(Checkpoint, bool)> {
        let number = stored.number;
        let mut wrong = |text: String| {
            report.wrong(Finding { check: Check::Signatures, seq: None, until: None, call: None, text });
        };
        let (claim, vouched) = match self.open(&stored.note) {
            Ok(claim) => (claim, !self.keys.keys.is_empty()),
            Err(error @ CheckpointError::Note(NoteError::Unknown(_))) => {
                match (Checkpoint::open(&stored.note, &self.told), text_of(&stored.note)) {
                    (Ok(claim), _) => {
                        self.by_log.add(number, claim.size, error);
                        (claim, false)
                    }
                    (_, Ok(claim)) => {
                        self.foreign.add(number, claim.size, error);
                        (claim, false)
                    }
                    (_, Err(error)) => {
                        wrong(format!("checkpoint {number} does not open: {error}"));
                        return None;
                    }
                }
            }
            Err(error) => {
                wrong(format!("checkpoint {number} does not open: {error}"));
                return None;
            }
        };
        if (signed(claim.size), claim.root.to_string()) != (stored.size, stored.root.clone()) {
            wrong(format!("the columns of checkpoint {number} are not what its note says"));
            return None;
        }
        report.right(Check::Signatures, u64::from(vouched));
        self.opened |= vouched;
        self.covered = self.covered.max(claim.size);
        Some((claim, vouched))
    }

    /// After the last entry, `last`: what was signed for more entries than there are, by whom, and what nothing was
    /// signed for.
    pub(super) fn end(mut self, tree: &Frontier, last: u64, gap: Option<Gap>, report: &mut Report) {
        self.compare(tree, gap, report);
        let size = tree.size();
        for kept in std::mem::take(&mut self.kept) {
            match self.open(&kept.note) {
                Ok(_) if kept.check == Check::Anchors => {
                    self.opened |= !self.keys.keys.is_empty();
                    self.misfits.push((kept, self.good_kept));
                }
                Ok(claim) => {
                    if !self.is_of_copy(&kept, size, gap, report) {
                        cut_off(kept.check, &kept.place, claim.size, (size, last), gap, report);
                    }
                }
                Err(error) => report.unknown(kept.check, refusal(&kept.place, &error)),
            }
        }
        let mut failed = false;
        for (kept, good) in std::mem::take(&mut self.misfits) {
            if self.is_of_copy(&kept, size, gap, report) || (gap.is_none() && self.put_backs.explain(&kept)) {
                continue;
            }
            if kept.size > size {
                cut_off(Check::Anchors, &kept.place, kept.size, (size, last), gap, report);
            } else {
                let failed = std::mem::replace(&mut failed, true);
                mismatch(Check::Anchors, &kept.place, kept.size, good, gap, failed, report);
            }
        }
        for stored in std::mem::take(&mut self.stored) {
            if let Some((claim, _)) = self.claim(&stored, report) {
                let by = format!("checkpoint {}", stored.number);
                cut_off(Check::Tree, &by, claim.size, (size, last), gap, report);
            }
        }
        self.judge_keys(report);
        if self.checkpoints == 0 && !report.unserved {
            let why = "the log has no checkpoint: nothing signed says what it was; a running Placet makes one within \
                       seconds of an entry";
            report.unknown(Check::Signatures, why);
        }
        report.unsigned = size.saturating_sub(self.covered);
        report.put_back = self.put_backs.end();
    }

    /// Whether the database, by its own word, is a copy of before this was signed. It proves nothing, so the answer is
    /// left open.
    fn is_of_copy(&self, kept: &Kept, size: u64, gap: Option<Gap>, report: &mut Report) -> bool {
        let Some(copy) = self.copy.filter(|copy| gap.is_none() && size >= *copy && kept.size > size) else {
            return false;
        };
        let why = format!(
            "{} covers {} entries. This database says of itself that it is a copy, made when the log had {copy}, and that \
             nobody was served from it since: if so, later entries are in the database that is served from. Verify that one",
            kept.place, kept.size
        );
        report.unknown(kept.check, why);
        true
    }

    /// What is said of checkpoints that open under no key that was given.
    fn judge_keys(&self, report: &mut Report) {
        let (by_log, foreign) = (&self.by_log, &self.foreign);
        let total = by_log.count + foreign.count;
        if total == 0 || self.keys.keys.is_empty() {
            return;
        }
        let knows = self.keys.keys.iter().any(|key| self.told.contains(key));
        if let Some(file) = self.keys.given.as_ref().filter(|_| !self.opened && !knows) {
            let why = format!(
                "no key in {file} signed any of the {total} stored checkpoints, and the log names none of them: it is \
                 the key of another log, or somebody wrote this whole log anew and signed it with a key of their own; \
                 give the key that you were handed for this log"
            );
            report.unknown(Check::Signatures, why);
            return;
        }
        let mut wrong = |text: String| {
            report.wrong(Finding { check: Check::Signatures, seq: None, until: None, call: None, text });
        };
        let several = |unvouched: &Unvouched| match unvouched.count {
            1 => format!("checkpoint {}", unvouched.first),
            count => format!("checkpoint {} and {} others", unvouched.first, count - 1),
        };
        if let Some(why) = &foreign.why {
            wrong(format!("{}: it does not open: {why}", several(foreign)));
        }
        let Some(why) = &by_log.why else { return };
        let which = several(by_log);
        if by_log.last_size <= self.vouched {
            let text = format!(
                "{which}: signed by an earlier key of the log, which was not given; a later one by a key that was \
                 given covers the same entries"
            );
            report.note(Check::Signatures, text);
        } else if let Some(entry) = self.rekeyed {
            let why = format!(
                "{which}: signed by a key that only the log vouches for. The database was put back to a time before its \
                 key was replaced, and entry {entry} names the new key; nothing under the old one signs that. Give the \
                 new key with --key as well: audit.pub has both, one a line, oldest first"
            );
            report.unknown(Check::Signatures, why);
        } else {
            wrong(format!(
                "{which}: it does not open: {why}; the log says that its key was replaced without the old one, and \
                 nothing signed vouches for that: if you know of it, give the new key with --key as well"
            ));
        }
    }
}

/// Something covers more entries than there are.
fn cut_off(check: Check, by: &str, covers: u64, (size, last): (u64, u64), gap: Option<Gap>, report: &mut Report) {
    let (seq, text) = match gap {
        Some(Gap::Missing(first)) if covers <= last => {
            (to_u64(first), format!("{by} covers the first {covers} entries, and entry {first} is missing among them"))
        }
        Some(Gap::Misnumbered) if covers <= last => {
            (None, format!("{by} covers the first {covers} entries, and rows of the log do not have their numbers"))
        }
        Some(_) => (
            Some(last + 1),
            format!("{by} covers {covers} entries, and the last one is entry {last}: the end was cut off"),
        ),
        None => {
            let text = format!(
                "{by} covers {covers} entries, and the log has {size}: what came after entry {last} was cut off"
            );
            (Some(last + 1), text)
        }
    };
    report.wrong(Finding { check, seq, until: None, call: None, text });
}

/// The root is not the one that was signed: somewhere after the last right one and up to here. Only the first is told.
fn mismatch(check: Check, by: &str, covers: u64, good: u64, gap: Option<Gap>, failed: bool, report: &mut Report) {
    let first = (good + 1).min(covers.max(1));
    let where_ =
        if first >= covers { format!("entry {first}") } else { format!("one of the entries {first} to {covers}") };
    let (mut seq, mut until) = (Some(first), (covers > first).then_some(covers));
    let text = if failed {
        format!("the entries up to {covers} are not those that {by} covers either")
    } else if let Some(Gap::Missing(missing)) = gap {
        (seq, until) = (to_u64(missing), None);
        format!("the entries up to {covers} are not those that {by} covers: entry {missing} is missing")
    } else {
        format!("the entries up to {covers} are not those that {by} covers: {where_} was altered first")
    };
    report.wrong(Finding { check, seq, until, call: None, text });
}

/// SQLite's numbers are signed; the log ends long before they do.
fn signed(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

fn to_u64(seq: i64) -> Option<u64> {
    u64::try_from(seq).ok()
}
