//! What must never count again, said once more outside the database: calls that were sent or ended, rights that ended,
//! accounts as they were before a change.
//!
//! Every such row bears a seal and names its entry in the log. But an old row bears its old seal, and whoever writes the
//! database can put it back together with all that the log said since. So the file `spent` in the data folder says it
//! once more: at every start, which rows give a right, and that no other one of before that entry does; from then on a
//! line for each thing that ends, synced before the first byte of a call goes out and before the end of a right is
//! acknowledged. A row that is older than the list knows counts for nothing. Where the lines have become very many, the
//! list is written anew as at a start.
//!
//! A line is written after the commit of what it tells, so the list never knows of more than the log: where it does,
//! the database is an older one. Nothing here goes by time, which whoever writes the database can set.

mod file;
mod line;
mod memory;
#[cfg(test)]
mod renewal_tests;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Notify;

pub(super) use file::{opened_eras, sealed_eras};
pub(super) use line::{How, Kind, Line};
pub(super) use memory::{Right, View};

use self::file::{Content, Out};
use self::memory::{Memory, Shared};
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

/// After so many further lines the list is written anew while Placet runs, as it is at a start.
const LONG: u64 = 50_000;

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
    memory: RwLock<Shared>,
    waiting: Mutex<Waiting>,
    out: Arc<tokio::sync::Mutex<Out>>,
    /// Lines wait to be written.
    handed_in: Arc<Notify>,
    /// How many lines were appended to the file since it was written anew, and at how many it is written anew again.
    appended: AtomicU64,
    long: AtomicU64,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Whoever writes on looks whether there is still anybody who has it.
        self.handed_in.notify_one();
    }
}

/// Lines that count already and are not in the file yet.
#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<Line>,
    /// How many were handed in since the start.
    handed_in: u64,
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
        let out = Out::open(&path, content.group + 1)?;
        let inner = Inner {
            seal: seal.clone(),
            path,
            memory: RwLock::new(Arc::new(RwLock::new(Memory::of(content)))),
            waiting: Mutex::default(),
            out: Arc::new(tokio::sync::Mutex::new(out)),
            handed_in: Arc::default(),
            appended: AtomicU64::new(0),
            long: AtomicU64::new(long()),
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
        View::of(&self.0.memory())
    }

    /// What the list says became of it, and the number of the entry that says so.
    pub(super) fn what_became(&self, kind: Kind, id: &str) -> Option<(How, i64)> {
        memory::read(&self.0.memory()).what_became(kind, id)
    }

    /// Whether a row was over when the list was last written anew, without a line that says how.
    pub(super) fn is_beyond(&self, kind: Kind, id: &str, entry: i64) -> bool {
        memory::read(&self.0.memory()).is_beyond(kind, id, entry)
    }

    /// Takes the line of a call's claim in, from now on it counts; `None` if the call was claimed, or ended, before.
    /// What it answers with is for [`Spent::synced`].
    pub(super) fn claim(&self, line: Line) -> Option<u64> {
        let taken = self.0.take_in(|memory| {
            let before = memory.what_became(line.kind, &line.id);
            let first = before.is_none_or(|(how, _)| how == How::Live);
            if first {
                memory.take_in(line.clone());
            }
            first
        });
        taken.then(|| self.0.hand_in([line]))
    }

    /// Takes lines in, from now on they count. They are written without anybody's waiting; [`Spent::synced`] waits.
    pub(super) fn keep(&self, lines: Vec<Line>) -> u64 {
        self.0.take_in(|memory| lines.iter().for_each(|line| memory.take_in(line.clone())));
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
    /// writes for all who wait. Whoever goes away leaves the write that is under way to its end, and nobody writes
    /// beside it.
    ///
    /// # Errors
    /// They are not yet; the next call tries again.
    pub(super) async fn synced(&self, wanted: u64) -> io::Result<()> {
        let mut out = Arc::clone(&self.0.out).lock_owned().await;
        if out.written >= wanted {
            return Ok(());
        }
        let inner = Arc::clone(&self.0);
        on_disk(move || inner.append(&mut out)).await
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
    /// start is settled by it. Nothing may be committed meanwhile.
    ///
    /// # Errors
    /// The file was not written. What it says holds all the same, and so does what counts from now on.
    pub(super) async fn renew(&self, live: Vec<Line>, horizon: i64) -> io::Result<()> {
        self.all_synced().await?;
        {
            let mut memory = self.0.memory.write().unwrap_or_else(PoisonError::into_inner);
            let renewed = memory::read(&memory).renewed(live, horizon);
            *memory = Arc::new(RwLock::new(renewed));
        }
        self.rewrite().await
    }

    /// Whether so much was appended that the list is to be written anew.
    pub(super) fn is_long(&self) -> bool {
        let is_long = self.0.appended.load(Ordering::Relaxed) >= self.0.long.load(Ordering::Relaxed);
        is_long && memory::read(&self.0.memory()).settled
    }

    /// It could not be written anew: that is tried again when as much has come to it once more.
    pub(super) fn put_off(&self) {
        self.0.long.fetch_add(long(), Ordering::Relaxed);
    }

    async fn rewrite(&self) -> io::Result<()> {
        let mut out = Arc::clone(&self.0.out).lock_owned().await;
        let inner = Arc::clone(&self.0);
        on_disk(move || inner.replace(&mut out)).await
    }
}

impl Inner {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn memory(&self) -> Shared {
        Arc::clone(&self.memory.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes what the list says, while nobody writes it anew.
    fn take_in<T>(&self, change: impl FnOnce(&mut Memory) -> T) -> T {
        let memory = self.memory.read().unwrap_or_else(PoisonError::into_inner);
        change(&mut memory::write(&memory))
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

    /// Appends what waits.
    fn append(&self, out: &mut Out) -> io::Result<()> {
        if !out.is_in_place(&self.path) {
            self.replace(out)?;
        }
        let (lines, handed_in) = {
            let waiting = self.waiting();
            (waiting.lines.clone(), waiting.handed_in)
        };
        out.append(&Line::write_all(&lines, out.group, &self.seal))?;
        out.written = handed_in;
        self.waiting().lines.drain(..lines.len());
        self.appended.fetch_add(lines.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Writes the whole file anew. If that fails it is looked at before the next line which file stands there.
    fn replace(&self, out: &mut Out) -> io::Result<()> {
        let mut content = memory::read(&self.memory()).content();
        (content.eras, content.group) = (self.seal.eras(), out.group);
        let lines = content.lines.len() as u64;
        durable::replace(&self.path, content.text(&self.seal).as_bytes(), 0o600)?;
        // Lines that came meanwhile may be in it already: a line that stands there twice says the same.
        let written = out.written;
        *out = Out::open(&self.path, content.group + 1)?;
        out.written = written;
        self.appended.store(0, Ordering::Relaxed);
        // Where very much is live it grows for longer, so that each line is written anew once or twice, not again and again.
        self.long.store(long().max(lines), Ordering::Relaxed);
        Ok(())
    }
}

/// [`LONG`], unless a test wants to see it written anew sooner.
fn long() -> u64 {
    #[cfg(feature = "failpoints")]
    if let Some(long) = std::env::var("PLACET_SPENT_LONG").ok().and_then(|text| text.parse().ok()) {
        return long;
    }
    LONG
}

/// Runs what waits for the disk where nobody else waits for it.
async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}
