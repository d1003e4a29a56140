//! What must never count again, said once more outside the database: calls that were sent or ended by somebody, rights
//! that ended, accounts as they were before a change.
//!
//! Every such row bears a seal and names its entry in the log. But an old row bears its old seal, and whoever writes the
//! database can put it back together with all that the log said since. So the file `spent` in the data folder has a
//! line for each, synced before the first byte of a call goes out and before the end of a right is acknowledged, and a
//! row that still gives a right counts for nothing where its line knows of a later entry.
//!
//! A line is written after the commit of what it tells, so the list never knows of more than the log: where it does,
//! the database is an older one.

mod line;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

pub(super) use line::{How, Kind, Line};

use crate::call::Millis;
use crate::clock::Clock;
use crate::durable;
use crate::seal::Seal;

/// The list's file in the data folder.
pub(super) const FILE: &str = "spent";

/// How long after its last use a line is kept: longer than a clock may jump.
pub(super) const MARGIN: Duration = Duration::from_secs(7 * 24 * 3600);

/// After so many new lines it is looked which are not needed any more.
const PRUNED_AFTER: usize = 10_000;

/// How the list was found at a start. What is wrong stays in its first line until it is settled, whoever opens the
/// database in between.
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
    clock: Clock,
    path: PathBuf,
    known: RwLock<Memory>,
    waiting: Mutex<Waiting>,
    out: tokio::sync::Mutex<Out>,
}

/// What the list says.
#[derive(Debug, Default)]
struct Memory {
    lines: HashMap<(Kind, String), Known>,
    /// How many lines were taken in since the start.
    taken_in: u64,
    /// What is wrong and not settled yet.
    found: Found,
}

/// What the list says of one thing: its last line.
#[derive(Clone, Copy, Debug)]
struct Known {
    how: How,
    entry: i64,
    until: Option<Millis>,
    /// Which one it was of the lines taken in since the start; 0: it was there before.
    nth: u64,
}

/// The list as it was at one moment. A row that is read afterwards is at least as new as that; one that was read before
/// may be older than the list for no other reason.
#[derive(Clone, Debug)]
pub(super) struct View {
    spent: Spent,
    taken_in: u64,
}

impl View {
    /// Whether a row that gives a right and names this entry is older than what the list knew of it.
    pub(super) fn is_older(&self, kind: Kind, id: &str, entry: i64) -> bool {
        self.spent.0.get(kind, id).filter(|known| known.nth <= self.taken_in).is_some_and(|known| match kind {
            Kind::Call | Kind::Reviewer => entry < known.entry,
            // What ended never begins again under the same id.
            Kind::Agent | Kind::Session | Kind::Token | Kind::Link => true,
        })
    }

    /// What the list says became of it, and the number of the entry that says so.
    pub(super) fn what_became(&self, kind: Kind, id: &str) -> Option<(How, i64)> {
        self.spent.what_became(kind, id)
    }
}

impl Known {
    fn is_needed(&self, now: Millis) -> bool {
        self.until.is_none_or(|until| until >= now)
    }
}

/// Lines that count already and are not in the file yet.
#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<Line>,
    /// How many were handed in since the start.
    handed_in: u64,
}

/// The open file.
#[derive(Debug)]
struct Out {
    file: Arc<File>,
    /// Where the next line begins. What stands behind it is of an attempt that failed.
    end: u64,
    /// Lines since it was last looked which are not needed.
    new: usize,
    /// How many of those handed in are in it.
    written: u64,
}

impl Spent {
    /// Reads the list in `folder`, or begins one. `kept` says whether there was one before, `last` is the number of the
    /// log's last entry. What is not needed any more leaves the file.
    ///
    /// # Errors
    /// The file cannot be read or written, is another database's, or has a line that was not written here.
    pub(super) fn open(folder: &Path, seal: &Seal, clock: &Clock, kept: bool, last: i64) -> io::Result<(Self, Found)> {
        let (path, now) = (folder.join(FILE), clock.now());
        let (lines, before, stale) = match std::fs::read(&path) {
            Ok(bytes) => {
                let Content { lines, found, torn } = read(&bytes, seal)?;
                (lines, found, torn)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                (Vec::new(), if kept { Found::Missing } else { Found::Fits }, true)
            }
            Err(error) => return Err(error),
        };
        let count = lines.len();
        let known = last_of_each(lines, now);
        let latest = known.values().map(|known| known.entry).max().unwrap_or(0);
        let found = if before == Found::Fits && latest > last { Found::Ahead(latest) } else { before };
        let memory = Memory { lines: known, taken_in: 0, found };
        if stale || found != before || count != memory.lines.len() {
            durable::replace(&path, memory.text(seal).as_bytes(), 0o600)?;
        }
        let out = Out::open(&path)?;
        let inner = Inner {
            seal: seal.clone(),
            clock: clock.clone(),
            path,
            known: RwLock::new(memory),
            waiting: Mutex::default(),
            out: tokio::sync::Mutex::new(out),
        };
        Ok((Self(Arc::new(inner)), found))
    }

    /// The list as it is now, for rows that are read from now on.
    pub(super) fn view(&self) -> View {
        View { spent: self.clone(), taken_in: self.0.known().taken_in }
    }

    /// What the list says became of it, and the number of the entry that says so.
    pub(super) fn what_became(&self, kind: Kind, id: &str) -> Option<(How, i64)> {
        self.0.get(kind, id).map(|known| (known.how, known.entry))
    }

    /// Takes the line of a call's claim in, from now on it counts; `None` if the call was claimed before. What it
    /// answers with is for [`Spent::synced`].
    pub(super) fn claim(&self, line: Line) -> Option<u64> {
        let before = self.0.insert(&line);
        if before.is_some_and(|before| before.how == How::Claimed) {
            return None;
        }
        Some(self.0.hand_in([line]))
    }

    /// Takes lines in, from now on they count, and returns once they are on the disk.
    ///
    /// # Errors
    /// They are not yet; the next call tries again.
    pub(super) async fn keep(&self, lines: Vec<Line>) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        for line in &lines {
            self.0.insert(line);
        }
        let last = self.0.hand_in(lines);
        self.synced(last).await
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
        let text: String = lines.iter().map(|line| line.write(&self.0.seal)).collect();
        let (file, end) = (Arc::clone(&out.file), out.end);
        let size = text.len() as u64;
        on_disk(move || append(&file, end, text.as_bytes())).await?;
        out.end += size;
        out.new += lines.len();
        out.written = handed_in;
        self.0.waiting().lines.drain(..lines.len());
        if out.new >= PRUNED_AFTER {
            out.new = 0;
            if let Err(error) = self.prune(&mut out).await {
                tracing::warn!(%error, "the list of what is spent was not shortened; that is tried again later");
            }
        }
        Ok(())
    }

    /// After the database was put back to an older state and that was settled: every line counts from the log's entry
    /// `last` at the latest, since the numbers after it are given again.
    ///
    /// # Errors
    /// The file was not written; then the next start settles it again.
    pub(super) async fn settle(&self, last: i64) -> io::Result<()> {
        self.all_synced().await?;
        let mut out = self.0.out.lock().await;
        {
            let mut known = self.0.known_mut();
            known.found = Found::Fits;
            known.lines.values_mut().for_each(|known| known.entry = known.entry.min(last));
        }
        self.rewrite(&mut out).await
    }

    /// Forgets what nothing needs any more, and writes the file anew if that is worth it.
    async fn prune(&self, out: &mut Out) -> io::Result<()> {
        let now = self.0.clock.now();
        let forgotten = {
            let mut known = self.0.known_mut();
            let before = known.lines.len();
            known.lines.retain(|_, known| known.is_needed(now));
            before - known.lines.len()
        };
        if forgotten > PRUNED_AFTER / 2 { self.rewrite(out).await } else { Ok(()) }
    }

    async fn rewrite(&self, out: &mut Out) -> io::Result<()> {
        let text = self.0.known().text(&self.0.seal);
        let path = self.0.path.clone();
        let new = on_disk(move || {
            durable::replace(&path, text.as_bytes(), 0o600)?;
            Out::open(&path)
        });
        // Lines that came meanwhile may be in it already: a line that stands there twice says the same.
        *out = Out { written: out.written, ..new.await? };
        Ok(())
    }
}

impl Inner {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> std::sync::RwLockReadGuard<'_, Memory> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn known_mut(&self) -> std::sync::RwLockWriteGuard<'_, Memory> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, kind: Kind, id: &str) -> Option<Known> {
        self.known().lines.get(&(kind, id.to_owned())).copied()
    }

    fn insert(&self, line: &Line) -> Option<Known> {
        let Line { kind, id, how, entry, until } = line;
        let mut known = self.known_mut();
        known.taken_in += 1;
        let nth = known.taken_in;
        known.lines.insert((*kind, id.clone()), Known { how: *how, entry: *entry, until: *until, nth })
    }

    fn hand_in(&self, lines: impl IntoIterator<Item = Line>) -> u64 {
        let mut waiting = self.waiting();
        let before = waiting.lines.len();
        waiting.lines.extend(lines);
        waiting.handed_in += (waiting.lines.len() - before) as u64;
        waiting.handed_in
    }
}

impl Out {
    fn open(path: &Path) -> io::Result<Self> {
        let file = File::options().write(true).open(path)?;
        let end = file.metadata()?.len();
        Ok(Self { file: Arc::new(file), end, new: 0, written: 0 })
    }
}

/// Runs what waits for the disk where nobody else waits for it.
async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

fn append(file: &File, end: u64, text: &[u8]) -> io::Result<()> {
    failpoint!("spent.write" => io::Error);
    file.write_all_at(text, end)?;
    failpoint!("spent.written" => io::Error);
    file.sync_data()?;
    failpoint!("spent.synced");
    Ok(())
}

/// The first line, as long as everything fits; else what is wrong stands after it.
fn header(seal: &Seal) -> String {
    format!("placet spent 1 {}", seal.id())
}

impl Memory {
    /// The whole file.
    fn text(&self, seal: &Seal) -> String {
        let mut lines: Vec<_> = self
            .lines
            .iter()
            .map(|((kind, id), Known { how, entry, until, .. })| Line {
                kind: *kind,
                id: id.clone(),
                how: *how,
                entry: *entry,
                until: *until,
            })
            .collect();
        lines.sort_by(|a, b| (a.entry, &a.id).cmp(&(b.entry, &b.id)));
        let lines: String = lines.iter().map(|line| line.write(seal)).collect();
        let wrong = match self.found {
            Found::Fits => String::new(),
            Found::Missing => " missing".to_owned(),
            Found::Ahead(entry) => format!(" ahead {entry}"),
        };
        format!("{}{wrong}\n{lines}", header(seal))
    }
}

/// What a file holds.
#[derive(Debug)]
struct Content {
    lines: Vec<Line>,
    found: Found,
    /// Its end was torn off: a line that was never acknowledged.
    torn: bool,
}

fn read(bytes: &[u8], seal: &Seal) -> io::Result<Content> {
    let bad = |problem: String| io::Error::new(io::ErrorKind::InvalidData, problem);
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let text = std::str::from_utf8(&bytes[..whole]).map_err(|_| bad("it is not text".to_owned()))?;
    let mut lines = text.lines().enumerate();
    let found = lines.next().and_then(|(_, first)| {
        let wrong: Vec<_> = first.strip_prefix(&header(seal))?.split(' ').skip(1).collect();
        match wrong[..] {
            [] => Some(Found::Fits),
            ["missing"] => Some(Found::Missing),
            ["ahead", entry] => entry.parse().ok().map(Found::Ahead),
            _ => None,
        }
    });
    let found = found.ok_or_else(|| bad("its first line is not that of a list under this seal.key".to_owned()))?;
    let line = |(n, text)| {
        Line::read(text, seal).ok_or_else(|| bad(format!("line {} was not written by Placet, or is damaged", n + 1)))
    };
    Ok(Content { lines: lines.map(line).collect::<Result<_, _>>()?, found, torn: whole < bytes.len() })
}

fn last_of_each(lines: Vec<Line>, now: Millis) -> HashMap<(Kind, String), Known> {
    let needed = lines.into_iter().map(|line| {
        let Line { kind, id, how, entry, until } = line;
        ((kind, id), Known { how, entry, until, nth: 0 })
    });
    let mut known: HashMap<_, _> = needed.collect();
    known.retain(|_, known| known.is_needed(now));
    known
}
