//! What the list says, in memory, and how a row is judged by it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::file::Content;
use super::line::{How, Kind, Line};
use super::{Found, KEPT_CALLS};

/// What the list says. One that was written anew is another one: who took a [`View`] before judges by the old one.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub horizon: i64,
    pub found: Found,
    /// It was written anew since the start, so that what was found then is settled.
    pub settled: bool,
    /// The last line about each thing.
    lines: HashMap<(Kind, String), Known>,
    /// The last line about all of a kind that a person had, or that bore a name.
    all: HashMap<(Kind, String), Known>,
    /// How many lines were taken in since it was made.
    taken_in: u64,
}

/// A line, as it is remembered.
#[derive(Clone, Debug)]
struct Known {
    how: How,
    entry: i64,
    kept: Option<String>,
    /// Which one it was of the lines taken in; 0: it was there before.
    nth: u64,
}

/// Shared by the list and the views of it.
pub(super) type Shared = Arc<RwLock<Memory>>;

/// The list as it was at one moment. A row that is read afterwards is at least as new as that; one that was read before
/// may be older than the list for no other reason.
#[derive(Clone, Debug)]
pub(in crate::store) struct View {
    memory: Shared,
    taken_in: u64,
    /// The database was put back: that a row gave a right at a later time says nothing against it.
    put_back: bool,
}

/// A row that gives a right, as far as the list judges it.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Right<'a> {
    pub kind: Kind,
    pub id: &'a str,
    /// Whose it is, where it is somebody's; for an agent and an account its name.
    pub of: Option<&'a str>,
    /// The entry that it names.
    pub entry: i64,
}

impl View {
    pub(super) fn of(memory: &Shared) -> Self {
        let taken_in = read(memory).taken_in;
        Self { memory: Arc::clone(memory), taken_in, put_back: false }
    }

    /// As this, for the rows of a database that was put back and is settled now.
    pub(in crate::store) fn of_one_put_back(self) -> Self {
        Self { put_back: true, ..self }
    }

    /// Whether a row that gives a right is older than what the list knew of it.
    pub(in crate::store) fn is_older(&self, right: &Right<'_>) -> bool {
        let memory = read(&self.memory);
        let known = memory.lines.get(&(right.kind, right.id.to_owned()));
        if let Some(known) = known.filter(|known| known.nth <= self.taken_in) {
            let ended = match (right.kind, known.how) {
                (_, How::Live) => right.entry < known.entry && !self.put_back,
                // An account can be opened again, and what a tool says be accepted; what else ended never begins again
                // under the same id.
                (Kind::Reviewer, _) => right.entry < known.entry,
                (Kind::Tool, _) => right.entry <= known.entry,
                _ => true,
            };
            if ended {
                return true;
            }
        }
        let all = right.of.and_then(|of| memory.all.get(&(right.kind, of.to_owned())));
        let all = all.filter(|all| all.nth <= self.taken_in && right.entry <= all.entry);
        let again = |all: &Known| known.is_some_and(|known| known.how == How::Live && known.entry > all.entry);
        all.is_some_and(|all| all.kept.as_deref() != Some(right.id) && !again(all))
            || known.is_none() && right.entry <= memory.horizon
    }

    /// What the list says became of it, and the number of the entry that says so.
    pub(in crate::store) fn what_became(&self, kind: Kind, id: &str) -> Option<(How, i64)> {
        read(&self.memory).what_became(kind, id)
    }
}

impl Memory {
    /// What a file says.
    pub(super) fn of(content: Content) -> Self {
        let mut memory = Self { horizon: content.horizon, found: content.found, ..Self::default() };
        content.lines.into_iter().for_each(|line| memory.learn(line, 0));
        memory
    }

    /// What the list says when it is written anew: up to entry `horizon` these give a right, and no others.
    pub(super) fn renewed(&self, live: Vec<Line>, horizon: i64) -> Self {
        // A tool is never seen for the first time twice: one whose row is gone is remembered.
        let tools = live.iter().filter(|line| line.kind == Kind::Tool && line.entry <= horizon);
        let tools: HashSet<_> = tools.map(|line| line.id.as_str()).collect();
        let is_gone = |(kind, id): &(Kind, String)| *kind == Kind::Tool && !tools.contains(id.as_str());
        let ended = self.lines.iter().filter(|(key, known)| known.how != How::Live || is_gone(key));
        let (mut ended, accounts): (Vec<_>, Vec<_>) = ended.partition(|((kind, _), _)| *kind == Kind::Call);
        ended.sort_by_key(|(_, known)| std::cmp::Reverse(known.entry));
        ended.truncate(KEPT_CALLS);
        // Another state of the database may still be put back that has them live.
        let outlasts = |kind| matches!(kind, Kind::Agent | Kind::Reviewer | Kind::Tool);
        ended.extend(accounts.into_iter().filter(|((kind, _), _)| outlasts(*kind)));
        let mut memory = Self { horizon, settled: true, ..Self::default() };
        for (key, known) in ended {
            // In a log that was put back the numbers beyond are given again.
            let how = if known.how == How::Live { How::Ended } else { known.how };
            let known = Known { how, entry: known.entry.min(horizon), nth: 0, ..known.clone() };
            memory.lines.insert(key.clone(), known);
        }
        for line in live {
            // What ended is not live, whoever says so; and what names an entry that the log has not is no row of ours: the
            // next start would take it for a sign that the log was longer.
            let known = memory.lines.get(&(line.kind, line.id.clone()));
            let over = known.is_some_and(|known| match line.kind {
                Kind::Reviewer => line.entry < known.entry,
                Kind::Tool => line.entry <= known.entry,
                _ => true,
            });
            if !over && line.entry <= horizon {
                memory.learn(line, 0);
            }
        }
        memory
    }

    pub(super) fn what_became(&self, kind: Kind, id: &str) -> Option<(How, i64)> {
        self.lines.get(&(kind, id.to_owned())).map(|known| (known.how, known.entry))
    }

    /// Whether a row was over when the list was last written anew, without a line that says how.
    pub(super) fn is_beyond(&self, kind: Kind, id: &str, entry: i64) -> bool {
        entry <= self.horizon && !self.lines.contains_key(&(kind, id.to_owned()))
    }

    pub(super) fn take_in(&mut self, line: Line) {
        self.taken_in += 1;
        self.learn(line, self.taken_in);
    }

    fn learn(&mut self, line: Line, nth: u64) {
        let Line { kind, id, how, entry, kept } = line;
        let lines = if how == How::AllEnded { &mut self.all } else { &mut self.lines };
        lines.insert((kind, id), Known { how, entry, kept, nth });
    }

    /// As the file has it.
    pub(super) fn content(&self) -> Content {
        let line = |((kind, id), known): (&(Kind, String), &Known)| {
            let Known { how, entry, kept, .. } = known.clone();
            Line { kind: *kind, id: id.clone(), how, entry, kept }
        };
        let mut lines: Vec<_> = self.lines.iter().chain(&self.all).map(line).collect();
        lines.sort_by(|a, b| (a.entry, &a.id).cmp(&(b.entry, &b.id)));
        Content { horizon: self.horizon, found: self.found, lines, ..Content::default() }
    }
}

pub(super) fn read(memory: &RwLock<Memory>) -> RwLockReadGuard<'_, Memory> {
    memory.read().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn write(memory: &RwLock<Memory>) -> RwLockWriteGuard<'_, Memory> {
    memory.write().unwrap_or_else(PoisonError::into_inner)
}
