//! The database: the only SQL in Placet.
//!
//! One process owns it (a lock beside the file). Everything that writes goes through one writer task, which commits
//! many waiting operations at once and answers each of them after COMMIT; everything that reads uses a read-only
//! pool. One function per domain operation, one transaction each: state, log entry and outbox rows together or not
//! at all.

mod alarm;
mod anchors;
mod backup;
mod batch;
mod calls;
mod calls_read;
mod checkpoints;
mod claims;
mod counters;
mod evidence;
mod findings;
mod identity;
mod keys;
mod log;
mod open;
mod outbox;
mod people;
mod pins;
#[cfg(test)]
mod plans;
mod policies;
mod receipt;
mod recorded;
mod restored;
mod retention;
mod right_rows;
mod row;
mod schema;
mod sealed;
mod snapshot;
mod spent;
mod standing;
mod tally;
mod time;
mod tool_letters;
mod tree;
mod tx;
mod visible;
mod writer;

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use sqlx::SqlitePool;

pub use alarm::{Alarms, Changed};
pub use anchors::{AnchorPlace, AnchorState, Missed};
pub use backup::{Backup, BackupError, CopyMark};
pub use calls::{ApprovalProof, CallChange, HoldLimits, HoldProof, HoldRefused, Holding, NotChanged, Scene};
pub use calls_read::{CallFilter, CallPage};
pub use checkpoints::{LogEntry, StoredCheckpoint};
pub use claims::{Claimed, SpentCall};
pub use counters::CounterRow;
pub use findings::{FindingScene, Unfound};
pub use identity::{
    Agent, ApiToken, LinkUse, NewAgent, NewApiToken, NewLink, NewReviewer, NewSession, Reviewer, Roles, SessionRow,
    SignIn,
};
pub use log::{EntryFilter, StoredEntry};
pub use outbox::{ClaimedMail, MailGroup, Notice, NoticeKind, Settled, Told};
pub use people::{AgentStands, Person};
pub use pins::{Acceptance, NotAccepted};
pub use policies::{PolicyStep, PolicyWhat};
pub use receipt::Receipted;
pub use recorded::{Made, RecordedCall};
pub use restored::{Aftermath, PutBack, Restoration, Witness};
pub use schema::SchemaFound;
pub use snapshot::{ExportFilter, Snapshot, Sort};
pub use standing::{GrantScene, NotEnded, NotUsed};
pub use tally::ToolCalls;
pub use tool_letters::ToolsTold;
pub use tx::Tx;
pub use visible::{Sight, Waiting};

use self::sealed::LiveRow;
use self::spent::Spent;
use crate::call::{CallId, Millis};
use crate::clock::Clock;
use crate::lifecycle::Tasks;
use crate::seal::Seal;

/// What went wrong with the database, in words for an operator.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The data folder cannot be used.
    #[error("the data folder {path} {problem}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// Another process has it.
    #[error("the data folder {0} is in use by another Placet process; stop that one first, or use another data_dir")]
    InUse(PathBuf),
    /// The file belongs to a newer Placet.
    #[error("the database {0} was written by a newer version of Placet; use that version, or restore a backup")]
    Newer(PathBuf),
    /// The linked SQLite has the WAL-reset bug.
    #[error("SQLite {0} can corrupt a database in WAL mode; Placet needs 3.51.3 or later")]
    OldSqlite(String),
    /// A row that this program cannot have written.
    #[error("the database row {table} {row} has an unusable {column}: {problem}")]
    BadRow {
        /// Which table.
        table: &'static str,
        /// Which row.
        row: String,
        /// Which column.
        column: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A row that gives somebody a right is not as Placet wrote it.
    #[error(
        "the stored {0} was changed behind Placet's back, so it counts for nothing; tell whoever runs this service: \
         the audit log has the alarm"
    )]
    Changed(&'static str),
    /// There is no call of this id.
    #[error("there is no call {0}")]
    NoSuchCall(CallId),
    /// The writer has stopped, or the disk is full or read-only.
    #[error("the database did not take the write ({0}); nothing was changed")]
    NotWritten(Arc<sqlx::Error>),
    /// The list of what was sent and what ended.
    #[error(
        "{path}, which says what was sent and what ended, was not written ({error}); check its owner and mode, and the \
         room on the disk"
    )]
    Unlisted {
        /// The list's file.
        path: PathBuf,
        /// Why.
        error: Arc<io::Error>,
    },
    /// The writer has ended: the process is stopping.
    #[error("Placet is stopping; nothing was changed")]
    Stopping,
    /// Any other database error.
    #[error("the database answered: {0}")]
    Database(#[from] sqlx::Error),
    /// Something could not be written as JSON.
    #[error("a value could not be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl StoreError {
    /// What is the matter with the disk or the database file, in words for people, if something is. Names no file.
    #[must_use]
    pub fn trouble(&self) -> Option<&'static str> {
        let error = match self {
            Self::NotWritten(error) => error,
            Self::Database(error) => error,
            Self::Unlisted { error, .. } => {
                return Some(match error.kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "the disk is full",
                    io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                        "the data folder is read-only"
                    }
                    _ => "the disk reports an error",
                });
            }
            _ => return None,
        };
        Some(match writer::primary_code(error)? {
            code::FULL => "the disk is full",
            code::IO => "the disk reports an error",
            code::READ_ONLY => "the database file is read-only",
            code::CORRUPT | code::NOT_A_DATABASE => "the database file is damaged",
            code::CANNOT_OPEN => "the database file cannot be opened",
            code::BUSY | code::LOCKED => "another program holds the database",
            _ => return None,
        })
    }
}

/// SQLite's primary result codes (sqlite.org/rescode.html) that say what is the matter.
mod code {
    pub(super) const BUSY: i32 = 5;
    pub(super) const LOCKED: i32 = 6;
    pub(super) const NO_MEMORY: i32 = 7;
    pub(super) const READ_ONLY: i32 = 8;
    pub(super) const IO: i32 = 10;
    pub(super) const CORRUPT: i32 = 11;
    pub(super) const FULL: i32 = 13;
    pub(super) const CANNOT_OPEN: i32 = 14;
    pub(super) const NOT_A_DATABASE: i32 = 26;
}

/// A boxed future that lives as long as what it borrows.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The database of one data folder. Clones share it.
#[derive(Clone, Debug)]
pub struct Store {
    writer: writer::Handle,
    tree: Arc<tree::Growing>,
    readers: SqlitePool,
    clock: Clock,
    folder: Arc<Path>,
    seal: Seal,
    spent: Spent,
    /// How the list was found at the start.
    found_spent: spent::Found,
    raised: Arc<alarm::Raised>,
}

impl Store {
    /// Opens the database in `folder`, creating both, and starts the writer among `tasks`.
    ///
    /// # Errors
    /// The folder is in use, cannot be written, or holds a database of a newer version.
    pub async fn open(folder: &Path, clock: Clock, tasks: &Tasks) -> Result<Self, StoreError> {
        let mut opened = open::open(folder).await?;
        time::resume(&mut opened.connection, &clock, opened.head.at).await?;
        let (keys, spent, found_spent) = match Self::kept_beside(&mut opened, folder).await {
            Ok(kept) => kept,
            Err(error) => {
                // A child process that is being started may hold a copy of the lock's file: closing ours is not enough.
                let _ = opened.lock.unlock();
                return Err(error);
            }
        };
        let keys::Keys { seal, sealed, marked } = keys;
        let tree = Arc::new(tree::Growing::new(opened.frontier));
        let parts = writer::Parts {
            connection: opened.connection,
            triggers: opened.triggers,
            head: opened.head,
            tree: Arc::clone(&tree),
            seal: seal.clone(),
            spent: spent.clone(),
        };
        spent.write_on(tasks);
        let writer = writer::start(parts, opened.lock, clock.clone(), tasks);
        if let Some(entry) = sealed {
            writer.append(entry).await?;
        }
        if !marked {
            seal.mark(folder).map_err(|error| StoreError::Folder {
                path: folder.to_owned(),
                problem: format!("has a seal.key that cannot be written again: {error}"),
            })?;
        }
        let (readers, folder) = (opened.readers, folder.into());
        Ok(Self { writer, tree, readers, clock, folder, seal, spent, found_spent, raised: Arc::default() })
    }

    /// What is kept beside the database: the key of the seals, and the list of what is spent.
    async fn kept_beside(
        opened: &mut open::Opened,
        folder: &Path,
    ) -> Result<(keys::Keys, Spent, spent::Found), StoreError> {
        let keys = keys::open(opened, folder).await?;
        let kept: Option<String> = sqlx::query_scalar("SELECT value FROM meta WHERE key = 'spent'")
            .fetch_optional(&mut opened.connection)
            .await?;
        let eras = kept.as_deref().map(|text| spent::opened_eras(text, &keys.seal));
        let refuse = |error: io::Error| {
            let problem = format!(
                "has a file {}, the list of what was sent and what ended, that cannot be used: {error}; put it back \
                 from where you keep it, or move it away: then calls that are approved now will not run, and nobody is \
                 signed in",
                spent::FILE
            );
            StoreError::Folder { path: folder.to_owned(), problem }
        };
        let (spent, found) = Spent::open(folder, &keys.seal, eras, opened.head.seq).map_err(refuse)?;
        if kept.is_none() {
            let eras = spent::sealed_eras(&keys.seal.eras(), &keys.seal);
            sqlx::query(spent::KEEP).bind(eras).execute(&mut opened.connection).await?;
        }
        // What is not settled yet, nothing is taken from.
        if found == spent::Found::Fits && backup::read_mark(&mut opened.connection).await?.is_none() {
            let view = spent.view();
            let live = restored::live_rows(&mut opened.connection).await?;
            let live = live.into_iter().filter(|row| !row.is_older(&view)).map(LiveRow::line).collect();
            spent.renew(live, opened.head.seq).await.map_err(refuse)?;
        }
        Ok((keys, spent, found))
    }

    /// The data folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Now, by the clock that deadlines are measured with.
    #[must_use]
    pub fn now(&self) -> Millis {
        self.clock.now()
    }

    /// Whether the database takes writes: appends nothing, but goes through the writer and a real commit.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn check_writable(&self) -> Result<(), StoreError> {
        self.spent.all_synced().await.map_err(|error| self.unlisted(error))?;
        self.write("check_writable", |tx| {
            Box::pin(async move {
                let sql = "INSERT INTO meta (key, value) VALUES ('checked_at', $1)
                           ON CONFLICT (key) DO UPDATE SET value = excluded.value";
                sqlx::query(sql).bind(tx.now().0.to_string()).execute(tx.connection()).await?;
                Ok(())
            })
        })
        .await
    }

    /// What the seals of committed rows are judged with.
    fn trust(&self) -> sealed::Trust {
        sealed::Trust::committed(&self.seal, &self.spent)
    }

    /// The read-only pool.
    pub(crate) fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    /// Runs `work` as one transaction in the writer and answers after COMMIT. An error undoes this work alone.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl for<'t> FnOnce(&'t mut Tx<'_>) -> BoxFuture<'t, Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.writer.run(name, work).await
    }
}
