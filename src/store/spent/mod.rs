//! What must never count again, said once more outside the database: calls that were sent or ended, rights that ended,
//! accounts as they were before a change.
//!
//! Every such row bears a seal and names its entry in the log. But an old row bears its old seal, and whoever writes the
//! database can put it back together with all that the log said since. So the file `spent` in the data folder says it
//! once more: at every start, which rows give a right, and that no other one of before that entry does; from then on a
//! line for each thing that ends, synced before the first byte of a call goes out and before the end of a right is
//! acknowledged. A row that is older than the list knows counts for nothing.
//!
//! A line is written after the commit of what it tells, so the list never knows of more than the log: where it does,
//! the database is an older one. Nothing here goes by time, which whoever writes the database can set.

mod file;
mod line;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use tokio::sync::Notify;

pub(super) use file::{opened_eras, sealed_eras};
pub(super) use line::{How, Kind, Line};

use self::file::{Content, Out, append};
use crate::durable;
use crate::lifecycle::Tasks;
use crate::seal::{Era, Seal};

/// The list's file in the data folder.
pub(super) const FILE: &str = "spent";

/// Keeps in the database that there is a list, with the eras.
pub(super) const KEEP: &str = "INSERT INTO meta (key, value) VALUES ('spent', $1)
    ON CONFLICT (key) DO UPDATE SET value = excluded.value";

/// So many lines of calls that ended are kept at a start, the latest: after a restore they say what ran since.
const KEPT_CALLS: usize = 10_000;

/// Lines that nobody waits for are collected for so long: each sync would hold up those of the database.
const COLLECTED: Duration = Duration::from_millis(100);

/// After a failed write the next attempt is made so much later, unless somebody asks for it before.
const AGAIN: Duration = Duration::from_secs(1);

/// How the list was found at a start. What is wrong stays in the file until it is settled, whoever opens the database
/// in between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Found {
    /// It fits the log.
    #[default]
    Fits,
    /// It was kept before, and is gone.
    Missing,
    /// It knows of this entry, which the log does not have.
    Ahead(i64),
}

/// The list. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Spent(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    seal: Seal,
    path: PathBuf,
    memory: RwLock<Memory>,
    waiting: Mutex<Waiting>,
    out: tokio::sync::Mutex<Out>,
    /// Lines wait to be written.
    handed_in: Arc<Notify>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Whoever writes on looks whether there is still anybody who has it.
        self.handed_in.notify_one();
    }
}

/// What the list says.
#[derive(Debug, Default)]
struct Memory {
    horizon: i64,
    found: Found,
    /// The last line about each thing.
    lines: HashMap<(Kind, String), Known>,
    /// The last line about all that a person had of a kind.
    people: HashMap<(Kind, String), Known>,
    /// How many lines were taken in since the start.
    taken_in: u64,
}

/// A line, as it is remembered.
#[derive(Clone, Debug)]
struct Known {
    how: How,
    entry: i64,
    kept: Option<String>,
    /// Which one it was of the lines taken in since the start; 0: it was there before.
    nth: u64,
}

/// Lines that count already and are not in the file yet.
#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<Line>,
    /// How many were handed in since the start.
    handed_in: u64,
}

/// The list as it was at one moment. A row that is read afterwards is at least as new as that; one that was read before
/// may be older than the list for no other reason.
#[derive(Clone, Debug)]
pub(super) struct View {
    spent: Spent,
    taken_in: u64,
    horizon: i64,
}

/// A row that gives a right, as far as the list judges it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Right<'a> {
    pub kind: Kind,
    pub id: &'a str,
    /// Whose it is, where it is somebody's.
    pub of: Option<&'a str>,
    /// The entry that it names.
    pub entry: i64,
}

impl View {
    /// Whether a row that gives a right is older than what the list knew of it.
    pub(super) fn is_older(&self, right: &Right<'_>) -> bool {
        let memory = self.spent.0.memory();
        let key = (right.kind, right.id.to_owned());
        let known = memory.lines.get(&key);
        if let Some(known) = known.filter(|known| known.nth <= self.taken_in) {
            let ended = match (right.kind, known.how) {
                // An account can be opened again; what else ended never begins again under the same id.
                (_, How::Live) | (Kind::Reviewer, _) => right.entry < known.entry,
                _ => true,
            };
            if ended {
                return true;
            }
        }
        let all = right.of.and_then(|of| memory.people.get(&(right.kind, of.to_owned())));
        let all = all.filter(|all| all.nth <= self.taken_in && right.entry <= all.entry);
        all.is_some_and(|all| all.kept.as_deref() != Some(right.id)) || known.is_none() && right.entry <= self.horizon
    }

    /// What the list says became of it, and the number of the entry that says so.
    pub(super) fn what_became(&self, kind: Kind, id: &str) -> Option<(How, i64)> {
        self.spent.what_became(kind, id)
    }

    /// The list itself.
    pub(super) fn spent(&self) -> &Spent {
        &self.spent
    }
}

impl Spent {
    /// Reads the list in `folder`, or begins one. `kept` are the eras of the database, where there was a list before;
    /// `last` is the number of the log's last entry.
    ///
    /// # Errors
    /// The file cannot be read or written, is another database's, or has a line that was not written here.
    pub(super) fn open(folder: &Path, seal: &Seal, kept: Option<Vec<Era>>, last: i64) -> io::Result<(Self, Found)> {
        let path = folder.join(FILE);
        let (mut content, made) = match std::fs::read(&path) {
            Ok(bytes) => (Content::read(&bytes, seal)?, false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let found = if kept.is_some() { Found::Missing } else { Found::Fits };
                (Content { found, eras: kept.clone().unwrap_or_default(), ..Content::default() }, true)
            }
            Err(error) => return Err(error),
        };
        let latest = content.lines.iter().map(|line| line.entry).max().unwrap_or(0).max(content.horizon);
        let eras = kept.unwrap_or_default();
        let behind = content.found == Found::Fits && (latest > last || content.eras != eras);
        if behind {
            content.found = Found::Ahead(latest);
        }
        if made || behind || content.torn {
            content.group += 1;
            durable::replace(&path, content.text(seal).as_bytes(), 0o600)?;
        }
        seal.set_eras(eras);
        let found = content.found;
        let mut memory = Memory { horizon: content.horizon, found, ..Memory::default() };
        content.lines.into_iter().for_each(|line| memory.learn(line, 0));
        let out = Out::open(&path, content.group + 1)?;
        let inner = Inner {
            seal: seal.clone(),
            path,
            memory: RwLock::new(memory),
            waiting: Mutex::default(),
            out: tokio::sync::Mutex::new(out),
            handed_in: Arc::default(),
        };
        Ok((Self(Arc::new(inner)), found))
    }

    /// Writes down what was handed in, whether or not somebody waits for it, as long as anybody has the list. A crash may
    /// take lines that nobody waited for; the next start then finds in the database that those calls ended.
    pub(super) fn write_on(&self, tasks: &Tasks) {
        let (spent, handed_in, stopping) = (Arc::downgrade(&self.0), Arc::clone(&self.0.handed_in), tasks.clone());
        tasks.spawn_vital("spent", async move {
            loop {
                tokio::select! {
                    () = handed_in.notified() => {}
                    // The writer writes the rest when it ends.
                    () = stopping.stopped() => return,
                }
                tokio::select! {
                    () = tokio::time::sleep(COLLECTED) => {}
                    () = stopping.stopped() => return,
                }
                let Some(spent) = spent.upgrade().map(Self) else { return };
                if let Err(error) = spent.all_synced().await {
                    tracing::error!(%error, "what ended is not on the disk yet in the list beside the database");
                    handed_in.notify_one();
                    drop(spent);
                    tokio::select! {
                        () = tokio::time::sleep(AGAIN) => {}
                        () = stopping.stopped() => return,
                    }
                }
            }
        });
    }

    /// The list as it is now, for rows that are read from now on.
    pub(super) fn view(&self) -> View {
        let memory = self.0.memory();
        View { spent: self.clone(), taken_in: memory.taken_in, horizon: memory.horizon }
    }

    /// What the list says became of it, and the number of the entry that says so.
    pub(super) fn what_became(&self, kind: Kind, id: &str) -> Option<(How, i64)> {
        self.0.memory().lines.get(&(kind, id.to_owned())).map(|known| (known.how, known.entry))
    }

    /// Whether a row was over when the list was last written anew, without a line that says how.
    pub(super) fn is_beyond(&self, kind: Kind, id: &str, entry: i64) -> bool {
        let memory = self.0.memory();
        entry <= memory.horizon && !memory.lines.contains_key(&(kind, id.to_owned()))
    }

    /// Takes the line of a call's claim in, from now on it counts; `None` if the call was claimed, or ended, before.
    /// What it answers with is for [`Spent::synced`].
    pub(super) fn claim(&self, line: Line) -> Option<u64> {
        {
            let mut memory = self.0.memory_mut();
            let before = memory.lines.get(&(line.kind, line.id.clone()));
            if before.is_some_and(|before| before.how != How::Live) {
                return None;
            }
            memory.take_in(line.clone());
        }
        Some(self.0.hand_in([line]))
    }

    /// Takes lines in, from now on they count. They are written without anybody's waiting; [`Spent::synced`] waits.
    pub(super) fn keep(&self, lines: Vec<Line>) -> u64 {
        {
            let mut memory = self.0.memory_mut();
            lines.iter().for_each(|line| memory.take_in(line.clone()));
        }
        self.0.hand_in(lines)
    }

    /// Returns once everything that was taken in is on the disk.
    ///
    /// # Errors
    /// It is not yet; the next call tries again.
    pub(super) async fn all_synced(&self) -> io::Result<()> {
        let last = self.0.waiting().handed_in;
        self.synced(last).await
    }

    /// Returns once the first `wanted` lines that were handed in since the start are on the disk. Whoever comes first
    /// writes for all who wait.
    ///
    /// # Errors
    /// They are not yet; the next call tries again.
    pub(super) async fn synced(&self, wanted: u64) -> io::Result<()> {
        let mut out = self.0.out.lock().await;
        if out.written >= wanted {
            return Ok(());
        }
        let (lines, handed_in) = {
            let waiting = self.0.waiting();
            (waiting.lines.clone(), waiting.handed_in)
        };
        let text = Line::write_all(&lines, out.group, &self.0.seal);
        let (file, end) = (Arc::clone(&out.file), out.end);
        let size = text.len() as u64;
        on_disk(move || append(&file, end, text.as_bytes())).await?;
        out.end += size;
        out.group += 1;
        out.written = handed_in;
        self.0.waiting().lines.drain(..lines.len());
        Ok(())
    }

    /// Begins a new era before anything is written over an older database: the numbers after `log` are given again.
    ///
    /// # Errors
    /// The file was not written.
    pub(super) async fn begin_era(&self, era: Era) -> io::Result<()> {
        let eras = [self.0.seal.eras(), vec![era]].concat();
        self.0.seal.set_eras(eras);
        self.rewrite().await
    }

    /// Writes the list anew: up to entry `horizon` these rows give a right, and no others. What was found wrong at the
    /// start is settled by it.
    ///
    /// # Errors
    /// The file was not written; the list is as it was.
    pub(super) async fn renew(&self, live: Vec<Line>, horizon: i64) -> io::Result<()> {
        self.all_synced().await?;
        {
            let mut memory = self.0.memory_mut();
            let mut known = std::mem::take(&mut memory.lines);
            // A tool is never seen for the first time twice: one whose row is gone is remembered.
            let tools: HashSet<_> = live.iter().filter(|line| line.kind == Kind::Tool).map(|line| &line.id).collect();
            for ((_, _), gone) in known.iter_mut().filter(|((kind, id), _)| *kind == Kind::Tool && !tools.contains(id))
            {
                gone.how = How::Ended;
            }
            let (calls, accounts): (Vec<_>, Vec<_>) = known
                .into_iter()
                .filter(|(_, known)| known.how != How::Live)
                .partition(|((kind, _), _)| *kind == Kind::Call);
            let mut ended = calls;
            ended.sort_by_key(|(_, known)| std::cmp::Reverse(known.entry));
            ended.truncate(KEPT_CALLS);
            // Another state of the database may still be put back that has them live.
            ended.extend(
                accounts.into_iter().filter(|((kind, _), _)| matches!(kind, Kind::Agent | Kind::Reviewer | Kind::Tool)),
            );
            // In a log that was put back the numbers beyond are given again.
            ended.iter_mut().for_each(|(_, known)| known.entry = known.entry.min(horizon));
            memory.lines.extend(ended);
            memory.people.clear();
            memory.taken_in += 1;
            let nth = memory.taken_in;
            live.into_iter().for_each(|line| memory.learn(line, nth));
            (memory.horizon, memory.found) = (horizon, Found::Fits);
        }
        self.rewrite().await
    }

    async fn rewrite(&self) -> io::Result<()> {
        let mut out = self.0.out.lock().await;
        let mut content = self.0.memory().content();
        (content.eras, content.group) = (self.0.seal.eras(), out.group);
        let (path, seal) = (self.0.path.clone(), self.0.seal.clone());
        let new = on_disk(move || {
            durable::replace(&path, content.text(&seal).as_bytes(), 0o600)?;
            Out::open(&path, content.group + 1)
        });
        // Lines that came meanwhile may be in it already: a line that stands there twice says the same.
        *out = Out { written: out.written, ..new.await? };
        Ok(())
    }
}

impl Memory {
    fn take_in(&mut self, line: Line) {
        self.taken_in += 1;
        self.learn(line, self.taken_in);
    }

    fn learn(&mut self, line: Line, nth: u64) {
        let Line { kind, id, how, entry, kept } = line;
        let lines = if how == How::AllEnded { &mut self.people } else { &mut self.lines };
        lines.insert((kind, id), Known { how, entry, kept, nth });
    }

    fn content(&self) -> Content {
        let line = |((kind, id), known): (&(Kind, String), &Known)| {
            let Known { how, entry, kept, .. } = known.clone();
            Line { kind: *kind, id: id.clone(), how, entry, kept }
        };
        let mut lines: Vec<_> = self.lines.iter().chain(&self.people).map(line).collect();
        lines.sort_by(|a, b| (a.entry, &a.id).cmp(&(b.entry, &b.id)));
        Content { horizon: self.horizon, found: self.found, lines, ..Content::default() }
    }
}

impl Inner {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn memory(&self) -> RwLockReadGuard<'_, Memory> {
        self.memory.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn memory_mut(&self) -> RwLockWriteGuard<'_, Memory> {
        self.memory.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn hand_in(&self, lines: impl IntoIterator<Item = Line>) -> u64 {
        let handed_in = {
            let mut waiting = self.waiting();
            let before = waiting.lines.len();
            waiting.lines.extend(lines);
            waiting.handed_in += (waiting.lines.len() - before) as u64;
            waiting.handed_in
        };
        self.handed_in.notify_one();
        handed_in
    }
}

/// Runs what waits for the disk where nobody else waits for it.
async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}
