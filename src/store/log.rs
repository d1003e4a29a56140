//! The log's rows: append one, read by filter.

use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::visible::visible;
use super::{Sight, Store, StoreError};
use crate::audit::{Entry, Head};
use crate::call::{CallId, Digest, Millis};

/// An entry as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEntry {
    /// Its number.
    pub seq: i64,
    /// Its time.
    pub at: Millis,
    /// What happened.
    pub kind: String,
    /// The call it is about.
    pub call: Option<String>,
    /// The agent's name.
    pub agent: Option<String>,
    /// The upstream's name.
    pub upstream: Option<String>,
    /// The tool's name.
    pub tool: Option<String>,
    /// The reviewer's id.
    pub reviewer: Option<String>,
    /// The stored bytes.
    pub body: String,
    /// Their hash.
    pub leaf: Digest,
}

/// Which entries to read; a field that is `None` does not filter.
#[derive(Clone, Debug, Default)]
pub struct EntryFilter {
    /// From this moment on.
    pub from: Option<Millis>,
    /// Before this moment.
    pub until: Option<Millis>,
    /// This kind, or with a trailing `.` every kind that begins so.
    pub kind: Option<String>,
    /// This agent's name.
    pub agent: Option<String>,
    /// This reviewer's id.
    pub reviewer: Option<String>,
    /// This tool.
    pub tool: Option<String>,
    /// This call.
    pub call: Option<CallId>,
    /// Only what this sight reaches: entries about calls within it, and those that concern nobody else.
    pub sight: Sight,
    /// Only numbers below this one: the last number of the page before.
    pub below: Option<i64>,
    /// How many at most.
    pub limit: u32,
}

pub(super) async fn head(connection: &mut SqliteConnection) -> Result<Head, StoreError> {
    let row =
        sqlx::query("SELECT seq, at, leaf FROM entries ORDER BY seq DESC LIMIT 1").fetch_optional(connection).await?;
    row.map_or(Ok(Head::EMPTY), |row| {
        let seq: i64 = row.try_get("seq")?;
        Ok(Head { seq, leaf: leaf(&row, seq)?, at: Millis(row.try_get("at")?) })
    })
}

fn leaf(row: &SqliteRow, seq: i64) -> Result<Digest, StoreError> {
    let text: String = row.try_get("leaf")?;
    text.parse().map_err(|error: crate::call::BadDigest| StoreError::BadRow {
        table: "entries",
        row: seq.to_string(),
        column: "leaf",
        problem: error.to_string(),
    })
}

fn entry(row: &SqliteRow) -> Result<StoredEntry, StoreError> {
    let seq = row.try_get("seq")?;
    Ok(StoredEntry {
        seq,
        at: Millis(row.try_get("at")?),
        kind: row.try_get("kind")?,
        call: row.try_get("call_id")?,
        agent: row.try_get("agent")?,
        upstream: row.try_get("upstream")?,
        tool: row.try_get("tool")?,
        reviewer: row.try_get("reviewer_id")?,
        body: row.try_get("body")?,
        leaf: leaf(row, seq)?,
    })
}

impl Store {
    /// Appends one entry that stands alone, durable when this returns.
    ///
    /// # Errors
    /// It was not written; what depended on it must not happen.
    pub async fn append(&self, entry: Entry) -> Result<(), StoreError> {
        self.writer.append(entry).await
    }

    /// Entries by filter, newest first.
    ///
    /// # Errors
    /// The database does not answer, or a row is damaged.
    pub async fn entries(&self, filter: EntryFilter) -> Result<Vec<StoredEntry>, StoreError> {
        const SQL: &str = concat!(
            "SELECT seq, at, kind, call_id, agent, upstream, tool, reviewer_id, body, leaf FROM entries
                   WHERE ($1 IS NULL OR at >= $1) AND ($2 IS NULL OR at < $2)
                     AND ($3 IS NULL OR kind = $3 OR (substr($3, -1) = '.' AND substr(kind, 1, length($3)) = $3))
                     AND ($4 IS NULL OR agent = $4) AND ($5 IS NULL OR reviewer_id = $5)
                     AND ($6 IS NULL OR tool = $6) AND ($7 IS NULL OR call_id = $7)
                     AND ($8 IS NULL OR seq < $8)
                     AND ($10 IS NULL OR CASE WHEN EXISTS (SELECT 1 FROM calls c WHERE c.id = entries.call_id)
                          THEN EXISTS (SELECT 1 FROM calls c WHERE c.id = entries.call_id AND ",
            visible!("$10"),
            ") ELSE reviewer_id IS NULL OR reviewer_id = $11 END)
                   ORDER BY seq DESC LIMIT $9"
        );
        let rows = sqlx::query(SQL)
            .bind(filter.from.map(|at| at.0))
            .bind(filter.until.map(|at| at.0))
            .bind(filter.kind)
            .bind(filter.agent)
            .bind(filter.reviewer)
            .bind(filter.tool)
            .bind(filter.call.map(|id| id.to_string()))
            .bind(filter.below)
            .bind(i64::from(filter.limit))
            .bind(filter.sight.groups()?)
            .bind(filter.sight.person())
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(entry).collect()
    }

    /// How many entries the log has.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn log_size(&self) -> Result<u64, StoreError> {
        let last: Option<i64> = sqlx::query_scalar("SELECT max(seq) FROM entries").fetch_one(self.readers()).await?;
        Ok(last.and_then(|last| u64::try_from(last).ok()).unwrap_or(0))
    }

    /// The kinds of entries about one call, in order: what proves that a step was logged.
    ///
    /// # Errors
    /// The database does not answer, or a row is damaged.
    pub async fn entries_of(&self, call: CallId) -> Result<Vec<StoredEntry>, StoreError> {
        let sql = "SELECT seq, at, kind, call_id, agent, upstream, tool, reviewer_id, body, leaf FROM entries
                   WHERE call_id = $1 ORDER BY seq";
        let rows = sqlx::query(sql).bind(call.to_string()).fetch_all(self.readers()).await?;
        rows.iter().map(entry).collect()
    }
}
