//! The one writer: takes the operations that wait, carries them out in one transaction, and only after its commit answers
//! each of them. It never waits to fill a batch.
//!
//! The hot operations are [`Job`]s, carried out together in a few statements (see `batch`). If their write fails for
//! what may be the fault of one of them, they are tried again one by one, so that a bad one harms nobody. The rare ones
//! are closures over the transaction, each in a savepoint of its own; they come first.

use std::fs::File;
use std::sync::Arc;

use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::{mpsc, oneshot};

use super::batch::{Append, Batch, Job, Written, is_not_unseen};
use super::restored::live_rows;
use super::sealed::{LiveRow, Trust};
use super::spent::{Line, Spent};
use super::tree::Growing;
use super::tx::Tx;
use super::{BoxFuture, StoreError, code, schema, time};
use crate::audit::{Entry, Head, SealedEntry};
use crate::clock::{Clock, Kept};
use crate::lifecycle::Tasks;
use crate::seal::Seal;
use crate::telemetry;

/// Most operations in one commit.
const BATCH: usize = 128;

/// How many operations may wait; beyond it callers wait to hand theirs in.
const QUEUE: usize = 1024;

/// Answers the caller, told whether the commit went through.
type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// What a rare operation left behind: whether to keep its changes, and how to answer.
struct Step {
    keep: bool,
    answer: Answer,
}

type Work = Box<dyn for<'t, 'c> FnOnce(&'t mut Tx<'c>) -> BoxFuture<'t, Step> + Send>;

enum Item {
    /// A hot operation.
    Job(Box<dyn Job>),
    /// Any other.
    Work(&'static str, Work),
}

/// The way to the writer.
#[derive(Clone, Debug)]
pub(super) struct Handle(mpsc::Sender<Item>);

impl Handle {
    /// Has `work` done as a transaction of its own.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl for<'t> FnOnce(&'t mut Tx<'_>) -> BoxFuture<'t, Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answered) = oneshot::channel();
        let work: Work = Box::new(move |tx| {
            let running = work(tx);
            Box::pin(async move {
                // A caller that has gone away does not undo what it asked for: sending to it may fail.
                match running.await {
                    Ok(value) => Step {
                        keep: true,
                        answer: Box::new(move |done| {
                            let _ = reply.send(done.map(|()| value));
                        }),
                    },
                    Err(error) => Step {
                        keep: false,
                        answer: Box::new(move |_| {
                            let _ = reply.send(Err(error));
                        }),
                    },
                }
            })
        });
        self.hand_in(Item::Work(name, work), answered).await
    }

    /// Has a job done that `make` builds around where its answer goes.
    pub(super) async fn job<T: Send + 'static, J: Job + 'static>(
        &self,
        make: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> J,
    ) -> Result<T, StoreError> {
        let (reply, answered) = oneshot::channel();
        self.hand_in(Item::Job(Box::new(make(reply))), answered).await
    }

    pub(super) async fn append(&self, entry: Entry) -> Result<(), StoreError> {
        self.job(|reply| Append::new(entry, reply)).await
    }

    async fn hand_in<T>(
        &self,
        item: Item,
        answered: oneshot::Receiver<Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.0.send(item).await.map_err(|_| StoreError::Stopping)?;
        // Without a word it was refused together with its batch, unless there is no writer any more.
        answered.await.map_err(|_| if self.0.is_closed() { StoreError::Stopping } else { not_begun() })?
    }
}

/// What the writer works on.
pub(super) struct Parts {
    pub connection: SqliteConnection,
    /// The database's triggers, all of them ours.
    pub triggers: String,
    pub head: Head,
    pub tree: Arc<Growing>,
    pub seal: Seal,
    pub spent: Spent,
}

/// Starts the writer. It ends when the last handle is gone, after what waits has been written.
pub(super) fn start(parts: Parts, lock: File, clock: Clock, tasks: &Tasks) -> Handle {
    let (sender, items) = mpsc::channel(QUEUE);
    tasks.spawn_vital("store_writer", async move {
        let Parts { connection, triggers, head, tree, seal, spent } = parts;
        let ended = Vec::new();
        let writer = Writer { connection, triggers, head, tree, seal, spent, ended, clock, kept: None, sure: true };
        writer.run(items).await;
        // A child process that is being started may hold a copy of the file: closing ours would not end the lock.
        if let Err(error) = lock.unlock() {
            tracing::warn!(%error, "the data folder was not unlocked; it is when this process ends");
        }
    });
    Handle(sender)
}

struct Writer {
    connection: SqliteConnection,
    /// The database's triggers, when they were found to be ours.
    triggers: String,
    head: Head,
    seal: Seal,
    spent: Spent,
    /// What the open transaction ends, for the list of what is spent.
    ended: Vec<Line>,
    tree: Arc<Growing>,
    clock: Clock,
    /// What of the clock the database has.
    kept: Option<Kept>,
    /// No transaction is open outside of a batch. After a failure that is not known for sure: a write without a BEGIN of
    /// its own could then be part of one that never commits.
    sure: bool,
}

impl Writer {
    async fn run(mut self, mut items: mpsc::Receiver<Item>) {
        let mut batch = Vec::with_capacity(BATCH);
        while items.recv_many(&mut batch, BATCH).await > 0 {
            let (mut jobs, mut works) = (Vec::with_capacity(batch.len()), Vec::new());
            for item in batch.drain(..) {
                match item {
                    Item::Job(job) => jobs.push(job),
                    Item::Work(name, work) => works.push((name, work)),
                }
            }
            self.batch(jobs, works).await;
            if self.sure && self.spent.is_long() {
                self.renew_list().await;
            }
        }
        if let Err(error) = self.close().await {
            tracing::warn!(%error, "the database was not closed cleanly; it recovers at the next start");
        }
    }

    /// Writes the list of what is spent anew, between two transactions: with the rows that give a right now, and without
    /// most of what ended.
    async fn renew_list(&mut self) {
        failpoint!("spent.renew");
        let view = self.spent.view();
        let renewed = match live_rows(&mut self.connection).await {
            Ok(live) => {
                let live = live.into_iter().filter(|row| !row.is_older(&view)).map(LiveRow::line).collect();
                self.spent.renew(live, self.head.seq).await.map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = renewed {
            tracing::error!(error, "the list beside the database has grown long, and was not written anew");
            self.spent.put_off();
        }
        failpoint!("spent.renewed");
    }

    /// Carries out and commits what was taken from the queue. Everything of it is answered, come what may.
    async fn batch(&mut self, mut jobs: Vec<Box<dyn Job>>, mut works: Vec<(&'static str, Work)>) {
        works.extend(self.keep_clock());
        let before = self.head;
        let (mut entries, mut answers) = (Vec::new(), Vec::new());
        let open = !works.is_empty() || !self.sure;
        if open && let Err(error) = self.works(works, &mut entries, &mut answers).await {
            self.undo(before, &Arc::new(error), &mut answers).await;
            return self.one_by_one(jobs).await;
        }
        let after_works = self.head;
        let Err(error) = self.write(open, &entries, &mut jobs).await else {
            answers.into_iter().for_each(|answer| answer(Ok(())));
            jobs.into_iter().for_each(|job| job.answer(Ok(())));
            failpoint!("store.answered");
            return;
        };
        if !(may_be_of_one(&error) && (jobs.len() > 1 || open && !jobs.is_empty())) {
            let error = Arc::new(error);
            self.undo(before, &error, &mut answers).await;
            jobs.into_iter().for_each(|job| job.answer(Err(StoreError::NotWritten(Arc::clone(&error)))));
            return;
        }
        tracing::debug!(%error, jobs = jobs.len(), "a batch of writes was undone; its operations are tried one by one");
        self.head = after_works;
        self.sure = false;
        if open {
            match self.works_alone(&entries).await {
                Ok(()) => answers.into_iter().for_each(|answer| answer(Ok(()))),
                Err(error) => self.undo(before, &Arc::new(error), &mut answers).await,
            }
        }
        self.one_by_one(jobs).await;
    }

    /// The write of what the clock needs to go on after a restart, if that has changed.
    fn keep_clock(&mut self) -> Option<(&'static str, Work)> {
        let now = self.clock.kept()?;
        if self.kept.as_ref().is_some_and(|kept| kept.is_like(&now)) {
            return None;
        }
        self.kept = Some(now.clone());
        let work: Work = Box::new(move |tx| {
            Box::pin(async move {
                let kept = time::keep(tx, &now).await;
                if let Err(error) = &kept {
                    tracing::error!(%error, "what the clock needs after a restart was not kept");
                }
                Step { keep: kept.is_ok(), answer: Box::new(|_| {}) }
            })
        });
        Some(("keep_clock", work))
    }

    /// Each job as a batch of its own.
    async fn one_by_one(&mut self, jobs: Vec<Box<dyn Job>>) {
        for job in jobs {
            let (before, mut jobs) = (self.head, [job]);
            let written = self.alone(&mut jobs).await.map_err(Arc::new);
            if let Err(error) = &written {
                self.undo(before, error, &mut Vec::new()).await;
            }
            let [job] = jobs;
            job.answer(written.map_err(StoreError::NotWritten));
        }
    }

    async fn alone(&mut self, jobs: &mut [Box<dyn Job>]) -> Result<(), sqlx::Error> {
        let open = !self.sure;
        if open {
            self.begin().await?;
        }
        self.write(open, &[], jobs).await
    }

    /// Carries out `jobs` and writes what comes of them together with `entries`; commits where a transaction is `open`.
    /// Without one the write is a transaction by itself.
    async fn write(
        &mut self,
        open: bool,
        entries: &[(Entry, SealedEntry)],
        jobs: &mut [Box<dyn Job>],
    ) -> Result<(), sqlx::Error> {
        if open && !jobs.is_empty() {
            sqlx::query("SAVEPOINT jobs").execute(&mut self.connection).await?;
        }
        let written = match jobs {
            [job] if !open => self.write_unseen(&mut **job).await?,
            _ => None,
        };
        let Written { head, leaves, ended } = match written {
            Some(written) => written,
            None => {
                failpoint!("store.read" => sqlx::Error);
                let trust = Trust::within(&self.seal, &self.spent, self.head, entries);
                let batch = Batch::run(&mut self.connection, &self.clock, trust, self.head, entries, jobs).await?;
                failpoint!("store.write" => sqlx::Error);
                batch.write(&mut self.connection).await?
            }
        };
        if open {
            failpoint!("store.commit" => sqlx::Error);
            sqlx::query("COMMIT").execute(&mut self.connection).await?;
            self.sure = true;
        }
        failpoint!("store.committed");
        self.head = head;
        self.tree.committed(&leaves);
        self.ended.extend(ended);
        if !self.ended.is_empty() {
            let last = self.spent.keep(std::mem::take(&mut self.ended));
            // Whoever waits for a rare operation hears of it when it is on the disk; what is not counts in any case, gets
            // there as soon as the disk takes it, and until then readiness says no.
            if open && let Err(error) = self.spent.synced(last).await {
                tracing::error!(%error, "what ended is not on the disk yet in the list beside the database");
            }
        }
        Ok(())
    }

    /// Writes a lone job on the guess that nothing of it is known; `None` where it is.
    async fn write_unseen(&mut self, job: &mut dyn Job) -> Result<Option<Written>, sqlx::Error> {
        let trust = Trust::within(&self.seal, &self.spent, self.head, &[]);
        let Some(batch) = Batch::unseen(&self.clock, trust, self.head, job) else { return Ok(None) };
        failpoint!("store.write_unseen" => sqlx::Error);
        match batch.write(&mut self.connection).await {
            Err(error) if is_not_unseen(&error) => Ok(None),
            written => written.map(Some),
        }
    }

    /// Commits the rare operations and their entries after the jobs failed, unless the failure has ended the transaction:
    /// then there is nothing left to go back to, which is an error, and nothing is written.
    async fn works_alone(&mut self, entries: &[(Entry, SealedEntry)]) -> Result<(), sqlx::Error> {
        sqlx::query("ROLLBACK TO jobs").execute(&mut self.connection).await?;
        self.write(true, entries, &mut []).await
    }

    /// Begins a transaction and carries out the rare operations in it. `answers` holds who must hear of its end.
    async fn works(
        &mut self,
        works: Vec<(&'static str, Work)>,
        entries: &mut Vec<(Entry, SealedEntry)>,
        answers: &mut Vec<Answer>,
    ) -> Result<(), sqlx::Error> {
        let mut failure = self.begin().await.err();
        for (name, work) in works {
            // What was taken from the queue is answered: after a failure the rest is only collected.
            if failure.is_some() {
                answers.push(refuse(work));
            } else if let Err(error) = self.work(name, work, entries, answers).await {
                failure = Some(error);
            }
        }
        failure.map_or(Ok(()), Err)
    }

    async fn begin(&mut self) -> Result<(), sqlx::Error> {
        failpoint!("store.begin" => sqlx::Error);
        sqlx::query("BEGIN IMMEDIATE").execute(&mut self.connection).await?;
        failpoint!("store.begun");
        // Nothing changes the schema while this transaction is open.
        if schema::triggers(&mut self.connection).await? != self.triggers {
            return Err(sqlx::Error::Protocol(schema::PLANTED.to_owned()));
        }
        Ok(())
    }

    async fn work(
        &mut self,
        name: &'static str,
        work: Work,
        entries: &mut Vec<(Entry, SealedEntry)>,
        answers: &mut Vec<Answer>,
    ) -> Result<(), sqlx::Error> {
        sqlx::query("SAVEPOINT one").execute(&mut self.connection).await?;
        let (head, written, ended) = (self.head, entries.len(), self.ended.len());
        let now = self.clock.now().max(self.head.at);
        let mut tx = Tx {
            connection: &mut self.connection,
            head: &mut self.head,
            seal: &self.seal,
            spent: &self.spent,
            ended: &mut self.ended,
            entries,
            now,
        };
        let step = work(&mut tx).await;
        answers.push(step.answer);
        if step.keep {
            sqlx::query("RELEASE one").execute(&mut self.connection).await?;
        } else {
            tracing::debug!(operation = name, "a write was refused and undone");
            self.head = head;
            entries.truncate(written);
            self.ended.truncate(ended);
            sqlx::query("ROLLBACK TO one").execute(&mut self.connection).await?;
            sqlx::query("RELEASE one").execute(&mut self.connection).await?;
        }
        Ok(())
    }

    /// Goes back to `before` after a failed write, and tells those who wait for it.
    async fn undo(&mut self, before: Head, error: &Arc<sqlx::Error>, answers: &mut Vec<Answer>) {
        self.head = before;
        self.ended.clear();
        self.sure = false;
        self.kept = None;
        telemetry::store_failed();
        tracing::error!(%error, "a batch of writes was not committed");
        // Undoes whatever is still open; if that fails too, the next BEGIN says so.
        let _ = sqlx::query("ROLLBACK").execute(&mut self.connection).await;
        if matches!(primary_code(error), Some(code::IO | code::FULL)) {
            self.overwrite().await;
        }
        answers.drain(..).for_each(|answer| answer(Err(StoreError::NotWritten(Arc::clone(error)))));
    }

    /// Writes something harmless where a failed commit was written.
    ///
    /// If its sync failed, the whole of it stands in SQLite's log, and a process that is killed now would find it there
    /// and take it for committed: what was refused would have happened. This is written over it. If that fails as well,
    /// the disk takes nothing, and the next write that it takes does the same.
    async fn overwrite(&mut self) {
        let sql = "INSERT INTO meta (key, value) VALUES ('refused_at', $1)
                   ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        let written = sqlx::query(sql).bind(self.clock.now().0.to_string()).execute(&mut self.connection).await;
        tracing::debug!(?written, "what was refused is written over");
    }

    async fn close(mut self) -> Result<(), sqlx::Error> {
        if let Err(error) = self.spent.all_synced().await {
            tracing::error!(%error, "what ended last did not get on the disk in the list beside the database");
        }
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut self.connection).await?;
        self.connection.close().await
    }
}

/// Whether a single operation can be at fault, as when a row breaks a constraint or stands on a damaged page. A full or
/// failing disk fails them all.
fn may_be_of_one(error: &sqlx::Error) -> bool {
    const OF_ALL: [i32; 8] = [
        code::BUSY,
        code::LOCKED,
        code::NO_MEMORY,
        code::READ_ONLY,
        code::IO,
        code::FULL,
        code::CANNOT_OPEN,
        code::NOT_A_DATABASE,
    ];
    primary_code(error).is_some_and(|code| !OF_ALL.contains(&code))
}

/// SQLite's primary result code, where it was SQLite that failed.
pub(super) fn primary_code(error: &sqlx::Error) -> Option<i32> {
    Some(error.as_database_error()?.code()?.parse::<i32>().ok()? & 0xff)
}

/// What the caller of an operation is told that was never run.
fn not_begun() -> StoreError {
    StoreError::NotWritten(Arc::new(sqlx::Error::Protocol("another write of the same moment failed".to_owned())))
}

/// The answer for an operation that was never run: dropping it drops its reply, which its caller sees as such.
fn refuse(work: Work) -> Answer {
    Box::new(move |_| drop(work))
}
