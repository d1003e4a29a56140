//! What the log itself tells of its having been put back, as a backup is restored: the entries that were signed since
//! are in another database. That is no proof of anything: whoever cuts a log off and starts Placet on it has such an
//! entry written. So it makes no log intact, and explains only what it can: checkpoints over more entries than there
//! were then, which were kept before the log was seen to go on.

use serde::Serialize;

use super::anchors::Kept;
use crate::audit::Said;

/// No log has more that is remembered; a further one explains nothing.
const MOST: usize = 100;

/// An entry that tells that the log was put back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PutBack {
    /// The entry.
    pub entry: u64,
    /// How many entries the log had then, by its word.
    pub log: u64,
    /// How many entries something covers that was signed before; what came after `log` of them is not in this log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upto: Option<u64>,
    /// What covers them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Whoever verifies knows of it.
    pub known: bool,
    /// It was a copy, by the mark that a backup has.
    #[serde(skip)]
    copied: bool,
    /// So many entries are those of before.
    #[serde(skip)]
    fork: u64,
    /// In each file of notes the first place at which the log is known to have gone on from here.
    #[serde(skip)]
    went_on: Vec<(usize, usize)>,
}

impl PutBack {
    /// What it comes to, in words.
    #[must_use]
    pub fn words(&self) -> String {
        let Self { entry, log, .. } = self;
        let told = format!("entry {entry} tells that the log was put back to {log} entries");
        match (&self.by, self.upto) {
            (Some(by), Some(upto)) if upto > *log => format!(
                "{told}; entries {} to {upto}, which {by} knows of, are not in this log. They should be in the database \
                 that was replaced: verify that one too",
                log + 1
            ),
            _ if self.copied => format!(
                "{told}, since it is a copy; what was written after them is not in this log. It should be in the \
                 database that was replaced: verify that one too"
            ),
            _ => format!(
                "entry {entry} tells that the database may have been put back, when its log had {log} entries, since \
                 something that stands beside it was missing or another; if so, what was written after them is not in \
                 this log, and should be in the database that was replaced"
            ),
        }
    }
}

/// Those that the log tells of, in its order.
#[derive(Debug, Default)]
pub(super) struct PutBacks {
    all: Vec<PutBack>,
    /// Entries by which whoever verifies knows of them.
    known: Vec<u64>,
    /// The last entry that only a Placet in service writes; and the last that no start writes which finds the log put
    /// back.
    served: u64,
    plain: u64,
}

impl PutBacks {
    pub(super) fn known(entries: Vec<u64>) -> Self {
        Self { known: entries, ..Self::default() }
    }

    /// The next entry. `Err`: it tells what cannot be so.
    pub(super) fn entry(&mut self, said: &Said<'_>) -> Result<(), String> {
        let number = |key: &str| said.detail.get(key).and_then(serde_json::Value::as_u64);
        let seq = u64::try_from(said.seq).unwrap_or(0);
        if !matches!(&*said.kind, "store.restored" | "alarm.log_behind") {
            let (served, of_start) = (is_served(said), is_of_start(said));
            self.served = if served { seq } else { self.served };
            self.plain = if of_start { self.plain } else { seq };
            return Ok(());
        }
        let (found, copy) = (number("log").unwrap_or(0), number("copy_log"));
        let log = copy.map_or(found, |copy| copy.min(found));
        let upto = number("checkpoint").filter(|upto| *upto > log);
        let by = upto.and(said.text("source")).map(str::to_owned);
        // The alarm that follows, and a start that was made twice, tell the same once more.
        if let Some(last) = self.all.last_mut().filter(|last| last.entry > self.plain) {
            if upto > last.upto {
                (last.upto, last.by) = (upto, by);
            }
            return Ok(());
        }
        // Commands may have added to a copy before anybody was served from it.
        if self.served > log || self.plain > found || log >= seq || self.all.len() >= MOST {
            return Err(format!(
                "entry {seq} tells that the log was put back to {log} entries, and entry {} before it was written by a \
                 Placet in service: that cannot be, so it explains nothing",
                self.served.max(self.plain)
            ));
        }
        let known = self.known.contains(&seq);
        // A start that ended in the middle left what it wrote; a copy knows better how many it had.
        let fork = copy.map_or(found.min(self.plain), |_| log);
        let copied = copy.is_some();
        self.all.push(PutBack { entry: seq, log, upto, by, known, copied, fork, went_on: Vec::new() });
        Ok(())
    }

    /// A checkpoint that was kept elsewhere fits the log: where it covers such an entry, whatever was kept after it in
    /// the same file was signed of what came after that entry.
    pub(super) fn fits(&mut self, kept: &Kept) {
        for told in self.all.iter_mut().filter(|told| told.entry <= kept.size) {
            match told.went_on.iter_mut().find(|(file, _)| *file == kept.file) {
                Some((_, first)) => *first = kept.order.min(*first),
                None => told.went_on.push((kept.file, kept.order)),
            }
        }
    }

    /// Whether one of them explains that this kept checkpoint does not fit.
    pub(super) fn explain(&mut self, kept: &Kept) -> bool {
        let explains = |told: &&mut PutBack| {
            let later = told.went_on.iter().any(|(file, first)| *file == kept.file && *first < kept.order);
            kept.size > told.fork && !later
        };
        let Some(told) = self.all.iter_mut().rev().find(explains) else { return false };
        // What was kept elsewhere says more than the log's own word.
        if Some(kept.size) >= told.upto {
            (told.upto, told.by) = (Some(kept.size), Some(kept.place.clone()));
        }
        true
    }

    pub(super) fn end(self) -> Vec<PutBack> {
        self.all
    }
}

/// Whether only a Placet in service writes this, and neither a start that finds the log put back nor a command.
fn is_served(said: &Said<'_>) -> bool {
    let kinds = ["call.", "session.", "policy.", "service.", "context.", "anchor.", "mail."];
    !is_of_start(said) && kinds.iter().any(|kind| said.kind.starts_with(kind))
}

/// Whether this is what a start writes that finds the log put back, before it says so or after.
fn is_of_start(said: &Said<'_>) -> bool {
    match &*said.kind {
        "call.restored" | "log.key_made" | "log.key_rotated" | "accounts.sealed" | "clock.jumped" => true,
        "call.outcome_unknown" | "call.cancelled" | "agent.revoked" | "reviewer.disabled" | "tool.changed" => {
            said.detail.get("restored").is_some()
        }
        "session.signed_out" | "token.revoked" => said.text("why") == Some("the database was put back"),
        kind => kind.starts_with("alarm."),
    }
}
