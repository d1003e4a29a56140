//! The entries in their order: numbers, hashes, chain, columns. What they tell is handed on by what their bodies say.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Told;
use super::anchors::Anchors;
use super::report::{Check, Finding, Report};
use super::signed::{Gap, Keys, Signed, StoredCheckpoint};
use crate::audit::{Frontier, Row, Said, SealedEntry};
use crate::call::Millis;

/// So many entries are found again whose column names another call than their body. Of more it is said that there are
/// too many.
const MISFILED: usize = 100_000;

/// Walks the log from its first entry.
#[derive(Debug)]
pub struct Chain {
    signed: Signed,
    told: Told,
    misfiled: Misfiled,
    tree: Frontier,
    /// The last number; the number that the next entry should have is one more.
    seq: i64,
    prev: String,
    at: Millis,
    /// Entries are missing from here on, so that no root can be compared any more.
    gap: Option<Gap>,
    alarms: u64,
}

/// What the walk leaves behind.
#[derive(Debug)]
pub struct Walked {
    /// How many entries there were.
    pub entries: u64,
    /// What they tell of people, agents and tools.
    pub told: Told,
    /// Entries about calls that their column does not name.
    pub misfiled: Misfiled,
}

/// Entries about a call, by its id, that stand under another one or under none.
#[derive(Debug, Default)]
pub struct Misfiled {
    /// Their numbers.
    pub of: BTreeMap<String, Vec<i64>>,
    /// There are more than are remembered.
    pub too_many: bool,
    count: usize,
}

impl Misfiled {
    fn add(&mut self, call: &str, seq: i64) {
        if self.count < MISFILED {
            self.of.entry(call.to_owned()).or_default().push(seq);
            self.count += 1;
        } else {
            self.too_many = true;
        }
    }
}

impl Chain {
    /// Before the first entry. A key that the log names when it is replaced is trusted as well, once a checkpoint by a
    /// known key covers the entry that names it. `restored` are entries that tell of a restore that is known of.
    #[must_use]
    pub fn new(keys: Keys, anchors: &Anchors, restored: Vec<u64>) -> Self {
        Self {
            signed: Signed::new(keys, anchors, restored),
            told: Told::default(),
            misfiled: Misfiled::default(),
            tree: Frontier::new(),
            seq: 0,
            prev: "0".repeat(64),
            at: Millis(i64::MIN),
            gap: None,
            alarms: 0,
        }
    }

    /// Of a database that says that it is a copy of a log of so many entries.
    #[must_use]
    pub fn of_copy(mut self, log: Option<u64>) -> Self {
        self.signed.copy = log;
        self
    }

    /// A stored checkpoint; they come in the order of their sizes, each before the last entry that it covers.
    pub fn checkpoint(&mut self, stored: StoredCheckpoint) {
        self.signed.checkpoint(stored);
    }

    /// The next entry, in the order of the numbers.
    pub fn entry(&mut self, row: &Row, report: &mut Report) {
        let at = |check, seq: i64, text: String| Finding { check, seq: to_u64(seq), until: None, call: None, text };
        if self.seq == 0 {
            self.signed.compare(&self.tree, self.gap, report);
        }
        let expected = self.seq.saturating_add(1);
        if row.seq == expected {
            report.right(Check::Sequence, 1);
        } else {
            let (gap, gone) = if row.seq < expected {
                let text = format!("a row of the log has the number {}, and entries begin at 1", row.seq);
                (Gap::Misnumbered, text)
            } else if row.seq == expected + 1 {
                (Gap::Missing(expected), format!("entry {expected} is missing"))
            } else {
                (Gap::Missing(expected), format!("entries {expected} to {} are missing", row.seq - 1))
            };
            report.wrong(at(Check::Sequence, expected, gone));
            self.gap.get_or_insert(gap);
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
        self.tree.push(leaf);
        self.signed.compare(&self.tree, self.gap, report);
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
        self.told.entry(said);
        self.signed.told(said);
        if let Err(why) = self.signed.put_backs.entry(said) {
            report.unknown(Check::Anchors, why);
        }
        if let Some(call) = said.call.as_deref().filter(|call| row.call.as_deref() != Some(call)) {
            self.misfiled.add(call, seq);
        }
        self.columns(row, said, report);
    }

    fn columns(&self, row: &Row, said: &Said<'_>, report: &mut Report) {
        let seq = row.seq;
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
                let text = format!(
                    "the column {column} of entry {seq} is not what its body says: the column was changed, and the \
                     body, which is what was signed, counts"
                );
                report.wrong(Finding { check: Check::Columns, seq: to_u64(seq), until: None, call: None, text });
            }
        }
    }

    /// After the last entry.
    #[must_use]
    pub fn end(self, report: &mut Report) -> Walked {
        let last = to_u64(self.seq).unwrap_or(0);
        self.signed.end(&self.tree, last, self.gap, report);
        report.alarms = self.alarms;
        Walked { entries: self.tree.size(), told: self.told, misfiled: self.misfiled }
    }
}

fn to_u64(seq: i64) -> Option<u64> {
    u64::try_from(seq).ok()
}
