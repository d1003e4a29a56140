//! The one writer: takes the operations that wait, runs them in one `BEGIN IMMEDIATE` transaction, commits, and only
//! then answers each of them. It never waits to fill a batch.
//!
//! An operation that fails is undone alone (a savepoint) and answered with its error; a COMMIT that fails undoes and
//! refuses the whole batch. Log entries of a batch are written in one statement, since the hop to SQLite's thread
//! costs more than the rows do.

use std::fs::File;
use std::sync::Arc;

use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::{mpsc, oneshot};

use super::{BoxFuture, StoreError, log};
use crate::audit::{Entry, Head, SealedEntry};
use crate::call::Millis;
use crate::clock::Clock;
use crate::lifecycle::Tasks;
use crate::telemetry;

/// Most operations in one commit.
const BATCH: usize = 128;

/// How many operations may wait; beyond it callers wait to hand theirs in.
const QUEUE: usize = 1024;

/// Answers the caller, told whether the commit went through.
type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// What an operation left behind: whether to keep its changes, and how to answer.
struct Step {
    keep: bool,
    answer: Answer,
}

type Work = Box<dyn for<'t, 'c> FnOnce(&'t mut Tx<'c>) -> BoxFuture<'t, Step> + Send>;

enum Job {
    /// Any operation.
    Work(&'static str, Work),
    /// Only a log entry.
    Append(Box<Entry>, Answer),
}

/// The way to the writer.
#[derive(Clone, Debug)]
pub(super) struct Handle(mpsc::Sender<Job>);

impl Handle {
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
        self.0.send(Job::Work(name, work)).await.map_err(|_| StoreError::Stopping)?;
        // Without a word it was refused together with its batch, unless there is no writer any more.
        answered.await.map_err(|_| if self.0.is_closed() { StoreError::Stopping } else { not_begun() })?
    }

    pub(super) async fn append(&self, entry: Entry) -> Result<(), StoreError> {
        let (reply, answered) = oneshot::channel();
        let answer: Answer = Box::new(move |done| {
            let _ = reply.send(done);
        });
        self.0.send(Job::Append(Box::new(entry), answer)).await.map_err(|_| StoreError::Stopping)?;
        answered.await.map_err(|_| StoreError::Stopping)?
    }
}

/// Starts the writer. It ends when the last handle is gone, after what waits has been written.
pub(super) fn start(connection: SqliteConnection, lock: File, head: Head, clock: Clock, tasks: &Tasks) -> Handle {
    let (sender, jobs) = mpsc::channel(QUEUE);
    tasks.spawn_vital("store_writer", async move {
        let writer = Writer { connection, head, clock };
        writer.run(jobs).await;
        drop(lock);
    });
    Handle(sender)
}

struct Writer {
    connection: SqliteConnection,
    head: Head,
    clock: Clock,
}

impl Writer {
    async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut batch = Vec::with_capacity(BATCH);
        while jobs.recv_many(&mut batch, BATCH).await > 0 {
            let before = self.head;
            let mut answers = Vec::with_capacity(batch.len());
            let outcome = self.transact(batch.drain(..), &mut answers).await;
            if let Err(error) = outcome {
                self.head = before;
                telemetry::store_failed();
                tracing::error!(%error, "a batch of writes was not committed");
                let error = Arc::new(error);
                // Undo whatever is still open; if that fails too, the next BEGIN says so.
                let _ = sqlx::query("ROLLBACK").execute(&mut self.connection).await;
                answers.into_iter().for_each(|answer| answer(Err(StoreError::NotWritten(Arc::clone(&error)))));
            } else {
                answers.into_iter().for_each(|answer| answer(Ok(())));
                failpoint!("store.answered");
            }
        }
        if let Err(error) = self.close().await {
            tracing::warn!(%error, "the database was not closed cleanly; it recovers at the next start");
        }
    }

    /// Runs a batch and commits it. On an error nothing of it is kept; `answers` holds who must hear of it.
    async fn transact(
        &mut self,
        batch: impl ExactSizeIterator<Item = Job>,
        answers: &mut Vec<Answer>,
    ) -> Result<(), sqlx::Error> {
        let mut entries = Vec::new();
        failpoint!("store.begin" => sqlx::Error);
        let mut failure = begin(&mut self.connection).await.err();
        failpoint!("store.begun");
        // What was taken from the queue is answered, come what may: after a failure the rest is only collected.
        for job in batch {
            match job {
                Job::Append(entry, answer) => {
                    answers.push(answer);
                    if failure.is_none() {
                        let now = self.clock.now();
                        failure =
                            self.head.seal(&entry, now).map(|sealed| entries.push((*entry, sealed))).err().map(json);
                    }
                }
                Job::Work(_, work) if failure.is_some() => answers.push(refuse(work)),
                Job::Work(name, work) => {
                    if let Err(error) = self.one(name, work, &mut entries, answers).await {
                        failure = Some(error);
                    }
                }
            }
        }
        if let Some(error) = failure {
            return Err(error);
        }
        failpoint!("store.entries" => sqlx::Error);
        log::insert(&mut self.connection, &entries).await?;
        failpoint!("store.commit" => sqlx::Error);
        sqlx::query("COMMIT").execute(&mut self.connection).await?;
        failpoint!("store.committed");
        Ok(())
    }

    async fn one(
        &mut self,
        name: &'static str,
        work: Work,
        entries: &mut Vec<(Entry, SealedEntry)>,
        answers: &mut Vec<Answer>,
    ) -> Result<(), sqlx::Error> {
        sqlx::query("SAVEPOINT one").execute(&mut self.connection).await?;
        let (head, written) = (self.head, entries.len());
        let now = self.clock.now().max(self.head.at);
        let mut tx = Tx { connection: &mut self.connection, head: &mut self.head, entries, now };
        let step = work(&mut tx).await;
        answers.push(step.answer);
        if step.keep {
            sqlx::query("RELEASE one").execute(&mut self.connection).await?;
        } else {
            tracing::debug!(operation = name, "a write was refused and undone");
            self.head = head;
            entries.truncate(written);
            sqlx::query("ROLLBACK TO one").execute(&mut self.connection).await?;
            sqlx::query("RELEASE one").execute(&mut self.connection).await?;
        }
        Ok(())
    }

    async fn close(mut self) -> Result<(), sqlx::Error> {
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut self.connection).await?;
        self.connection.close().await
    }
}

async fn begin(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    sqlx::query("BEGIN IMMEDIATE").execute(connection).await.map(drop)
}

fn json(error: serde_json::Error) -> sqlx::Error {
    sqlx::Error::Encode(Box::new(error))
}

/// What the caller of an operation is told that was never run.
fn not_begun() -> StoreError {
    StoreError::NotWritten(Arc::new(sqlx::Error::Protocol("another write of the same moment failed".to_owned())))
}

/// The answer for an operation that was never run: dropping it drops its reply, which its caller sees as such.
fn refuse(work: Work) -> Answer {
    Box::new(move |_| drop(work))
}

/// One operation's view of the transaction it runs in.
pub struct Tx<'c> {
    connection: &'c mut SqliteConnection,
    head: &'c mut Head,
    entries: &'c mut Vec<(Entry, SealedEntry)>,
    now: Millis,
}

impl Tx<'_> {
    /// The connection, inside the transaction.
    pub(crate) fn connection(&mut self) -> &mut SqliteConnection {
        self.connection
    }

    /// The moment of this write: never earlier than any moment that was committed before, whatever the clock says.
    #[must_use]
    pub fn now(&self) -> Millis {
        self.now
    }

    /// Adds an entry to the log, committed together with everything else that this operation does.
    ///
    /// # Errors
    /// If the entry cannot be written as JSON.
    pub fn append(&mut self, entry: Entry) -> Result<(), StoreError> {
        let sealed = self.head.seal(&entry, self.now)?;
        self.entries.push((entry, sealed));
        Ok(())
    }
}
