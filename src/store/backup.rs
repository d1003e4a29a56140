//! A copy of the database, made while it is in use, checked, and marked as a copy: who serves from it later must know
//! that what happened since is missing.
//!
//! `VACUUM INTO` reads one committed state on a connection of its own, so that nothing waits for it. The mark is a row
//! in the copy's `meta`; the original never has it. Keys are not in the database, and so not in its copy.

mod place;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _};

use self::place::Place;
use super::{Store, StoreError, tree};
use crate::audit::{Entry, Frontier};
use crate::call::Millis;

/// Under this key the mark stands in `meta`.
const MARK: &str = "copy";
/// What to do about a full disk.
const FULL: &str = "the disk is full, and nothing was left there; make room, or name a file on another disk";

/// What a copy knows of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyMark {
    /// The copy's own name, which the log has too.
    pub id: String,
    /// A moment at which everything that was acknowledged before is in it.
    pub at: Millis,
    /// How many entries its log has.
    pub log: u64,
}

/// A finished copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// Its mark.
    pub mark: CopyMark,
    /// Its size.
    pub bytes: u64,
}

/// Why there is no copy. No part of one was left.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is a file of this name.
    #[error("{0} exists already, and a backup replaces nothing; name another file, or move that one away")]
    Exists(PathBuf),
    /// It would lie beside the database.
    #[error(
        "{0} is in the data folder, where what harms the database harms its copy; name a file in another folder, best \
         on another disk"
    )]
    Inside(PathBuf),
    /// It is no file's name.
    #[error("{0} is not a file's name; name the file that the copy is to be")]
    NoFile(PathBuf),
    /// SQLite takes names as text.
    #[error("the name of the folder {0} is not UTF-8; name a file in another folder")]
    NotText(PathBuf),
    /// The file or its folder.
    #[error("{path} was not written: {problem}")]
    Unwritten {
        /// The file, or its folder.
        path: PathBuf,
        /// Why, and what to do.
        problem: String,
    },
    /// What was read or what was written is not sound.
    #[error("no copy was made: {0}; `placet audit verify` says whether the database itself is sound")]
    Unsound(String),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl BackupError {
    /// Whether the command itself asks for something that is never done.
    #[must_use]
    pub fn is_wrong(&self) -> bool {
        matches!(self, Self::Exists(_) | Self::Inside(_) | Self::NoFile(_) | Self::NotText(_))
    }
}

impl Store {
    /// Copies the database into `file`, which must not exist, and says so in the log. `id` names the copy. Holds and
    /// decisions go on meanwhile; everything acknowledged before this was called is in the copy.
    ///
    /// # Errors
    /// There is no copy, nor a part of one.
    pub async fn backup(&self, file: &Path, id: String) -> Result<Backup, BackupError> {
        let place = Place::take(file, self.folder(), &id)?;
        let (at, written) = (self.now(), self.tree());
        let mut reader = self.readers().connect_options().as_ref().clone().connect().await.map_err(StoreError::from)?;
        let copied = sqlx::query("VACUUM INTO $1").bind(place.partial()?).execute(&mut reader).await;
        copied.map_err(|error| failed(file, &error))?;
        reader.close().await.map_err(StoreError::from)?;
        let mark = mark(place.partial()?, id, at).await.map_err(|error| failed(file, &error))?;
        check(place.partial()?, &mark, &written).await?;
        let (place, finished) = tokio::task::spawn_blocking(move || {
            let finished = place.finish();
            (place, finished)
        })
        .await
        .map_err(|error| BackupError::Unsound(error.to_string()))?;
        let bytes = finished?;
        // Not where it lies: a path may tell what is nobody's business, and the log cannot forget.
        let entry = Entry::new("store.backed_up").with("copy", mark.id.as_str()).with("log", mark.log);
        if let Err(error) = self.append(entry.with("bytes", bytes)).await {
            place.withdraw();
            return Err(error.into());
        }
        Ok(Backup { mark, bytes })
    }

    /// The mark of a database that is a copy and was not served from yet.
    ///
    /// # Errors
    /// The database does not answer, or the mark cannot be read.
    pub async fn copy_mark(&self) -> Result<Option<CopyMark>, StoreError> {
        read_mark(&mut *self.readers().acquire().await?).await
    }
}

/// Takes the mark out of a database that is being served from.
pub(super) async fn consume_mark(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM meta WHERE key = $1").bind(MARK).execute(connection).await.map(drop)
}

pub(super) async fn read_mark(connection: &mut SqliteConnection) -> Result<Option<CopyMark>, StoreError> {
    let query = sqlx::query_scalar("SELECT value FROM meta WHERE key = $1").bind(MARK);
    let value: Option<String> = query.fetch_optional(connection).await?;
    value.map(|value| serde_json::from_str(&value)).transpose().map_err(|error| StoreError::BadRow {
        table: "meta",
        row: MARK.into(),
        column: "value",
        problem: error.to_string(),
    })
}

/// Marks the copy. One that was copied from a copy, not served from in between, keeps the older mark: that is the
/// moment since which nothing is known.
async fn mark(path: &str, id: String, at: Millis) -> Result<CopyMark, sqlx::Error> {
    // No journal beside it: a copy that was not marked whole is thrown away.
    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Memory)
        .synchronous(SqliteSynchronous::Full)
        .pragma("trusted_schema", "OFF");
    let mut copy = options.connect().await?;
    let log: i64 = sqlx::query_scalar("SELECT coalesce(max(seq), 0) FROM entries").fetch_one(&mut copy).await?;
    let mark = CopyMark { id, at, log: u64::try_from(log).unwrap_or(0) };
    let text = serde_json::to_string(&mark).map_err(|error| sqlx::Error::Encode(error.into()))?;
    let sql = "INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING";
    sqlx::query(sql).bind(MARK).bind(text).execute(&mut copy).await?;
    copy.close().await?;
    Ok(mark)
}

/// Opens the copy as somebody would who needs it: is it whole, is it marked, and is its log what the writer wrote?
async fn check(path: &str, mark: &CopyMark, written: &Frontier) -> Result<(), BackupError> {
    let unsound = |what: String| Err(BackupError::Unsound(what));
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    let mut copy = options.connect().await.map_err(StoreError::from)?;
    let found: Vec<String> =
        sqlx::query_scalar("PRAGMA quick_check(3)").fetch_all(&mut copy).await.map_err(StoreError::from)?;
    if found != ["ok"] {
        return unsound(format!("the copy is damaged ({})", found.join("; ")));
    }
    if read_mark(&mut copy).await?.is_none() {
        return unsound("the copy lost its mark".into());
    }
    if mark.log < written.size() {
        return unsound(format!("the copy has {} log entries of {}", mark.log, written.size()));
    }
    let root = tree::root(&mut copy, written.size()).await?;
    if !root.matches(&written.root()) {
        return unsound("the log in the database is not what was written into it".into());
    }
    copy.close().await.map_err(StoreError::from)?;
    Ok(())
}

/// What SQLite says of a copy that failed, in words.
fn failed(file: &Path, error: &sqlx::Error) -> BackupError {
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<i32>().ok()).unwrap_or_default();
    let unwritten = |problem: String| BackupError::Unwritten { path: file.to_owned(), problem };
    match code & 0xff {
        // SQLITE_FULL, SQLITE_CORRUPT
        13 => unwritten(FULL.into()),
        11 => BackupError::Unsound(error.to_string()),
        _ => unwritten(format!("{error}, and nothing was left there; look at the disk, or name a file on another one")),
    }
}
