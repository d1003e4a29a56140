//! What was signed of the log, and the entries that the log has about itself.

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::{Store, StoreError, tree};
use crate::audit::Checkpoint;
use crate::call::{Digest, Millis};

/// A checkpoint as it was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCheckpoint {
    /// How many entries it covers.
    pub size: u64,
    /// When it was signed.
    pub at: Millis,
    /// The root of the tree over them.
    pub root: Digest,
    /// The signed note.
    pub note: String,
}

/// An entry about the log itself: its keys, and what was found wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Its number.
    pub seq: i64,
    /// Its time.
    pub at: Millis,
    /// What happened.
    pub kind: String,
    /// What is said of it.
    pub detail: serde_json::Value,
}

impl Store {
    /// Stores a signed checkpoint, and the hashes of the subtrees that the log has completed since the last one.
    ///
    /// # Errors
    /// It was not stored.
    pub async fn checkpoint_add(&self, checkpoint: &Checkpoint, note: &str) -> Result<StoredCheckpoint, StoreError> {
        let hashes = self.tree.unstored();
        let (size, root, note) = (checkpoint.size, checkpoint.root, note.to_owned());
        let stored = hashes.clone();
        let added = self.write("checkpoint_add", move |tx| {
            Box::pin(async move {
                let at = tx.now();
                tree::insert(tx.connection(), &hashes).await?;
                sqlx::query("INSERT INTO checkpoints (size, at, root, note) VALUES ($1, $2, $3, $4)")
                    .bind(i64::try_from(size).unwrap_or(i64::MAX))
                    .bind(at.0)
                    .bind(root.to_string())
                    .bind(&note)
                    .execute(tx.connection())
                    .await?;
                Ok(StoredCheckpoint { size, at, root, note })
            })
        });
        let added = added.await?;
        self.tree.stored(&stored);
        Ok(added)
    }

    /// The checkpoint that was signed last.
    ///
    /// # Errors
    /// The database does not answer, or the row is damaged.
    pub async fn last_checkpoint(&self) -> Result<Option<StoredCheckpoint>, StoreError> {
        let sql = "SELECT size, at, root, note FROM checkpoints ORDER BY number DESC LIMIT 1";
        sqlx::query(sql).fetch_optional(self.readers()).await?.as_ref().map(checkpoint).transpose()
    }

    /// The entries about the log itself, oldest first.
    ///
    /// # Errors
    /// The database does not answer, or a row is damaged.
    pub async fn log_entries(&self) -> Result<Vec<LogEntry>, StoreError> {
        // Word for word the condition of the index entries_log, or SQLite would read the whole log.
        let sql = "SELECT seq, at, kind, body FROM entries WHERE kind IN
            ('log.key_made', 'log.key_rotated', 'alarm.log_behind', 'alarm.log_disagrees', 'alarm.log_unwitnessed')
            ORDER BY seq";
        sqlx::query(sql).fetch_all(self.readers()).await?.iter().map(log_entry).collect()
    }
}

fn log_entry(row: &SqliteRow) -> Result<LogEntry, StoreError> {
    let seq: i64 = row.try_get("seq")?;
    let body: String = row.try_get("body")?;
    let mut body: serde_json::Value = serde_json::from_str(&body).map_err(|error| StoreError::BadRow {
        table: "entries",
        row: seq.to_string(),
        column: "body",
        problem: error.to_string(),
    })?;
    Ok(LogEntry { seq, at: Millis(row.try_get("at")?), kind: row.try_get("kind")?, detail: body["detail"].take() })
}

fn checkpoint(row: &SqliteRow) -> Result<StoredCheckpoint, StoreError> {
    let size: i64 = row.try_get("size")?;
    let bad =
        |column, problem: String| StoreError::BadRow { table: "checkpoints", row: size.to_string(), column, problem };
    let root: String = row.try_get("root")?;
    Ok(StoredCheckpoint {
        size: u64::try_from(size).map_err(|error| bad("size", error.to_string()))?,
        at: Millis(row.try_get("at")?),
        root: root.parse().map_err(|error: crate::call::BadDigest| bad("root", error.to_string()))?,
        note: row.try_get("note")?,
    })
}
