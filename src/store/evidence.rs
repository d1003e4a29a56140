//! Everything that a verification looks at, page by page, out of one look at the database.

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::StoreError;
use super::backup::{self, CopyMark};
use super::row::{self, select_calls};
use super::schema::{self, SchemaFound};
use super::snapshot::{ENTRY, Snapshot, entry};
use super::spent::opened_eras;
use crate::audit::Row;
use crate::audit::verify::{CallRow, StoredCheckpoint};
use crate::call::{Digest, HeldCall, Millis};
use crate::seal::{Era, Seal};

impl Snapshot {
    /// Entries after number `after`, in order, at most `limit`.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn log(&mut self, after: i64, limit: u32) -> Result<Vec<Row>, StoreError> {
        let sql = format!("SELECT {ENTRY} FROM entries e WHERE e.seq > $1 ORDER BY e.seq LIMIT $2");
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(after).bind(i64::from(limit));
        query.fetch_all(&mut self.connection).await?.iter().map(entry).collect()
    }

    /// Stored checkpoints whose size is above `after` and, where there is a limit, not above `upto`, by size.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn checkpoints(&mut self, after: i64, upto: i64) -> Result<Vec<StoredCheckpoint>, StoreError> {
        let sql =
            "SELECT number, size, root, note FROM checkpoints WHERE size > $1 AND size <= $2 ORDER BY size, number";
        let rows = sqlx::query(sql).bind(after).bind(upto).fetch_all(&mut self.connection).await?;
        let read = |row: &SqliteRow| {
            Ok(StoredCheckpoint {
                number: row.try_get("number")?,
                size: row.try_get("size")?,
                root: row.try_get("root")?,
                note: row.try_get("note")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// Calls whose ids come after `after`, by id, at most `limit`. With the key of the seals it is also looked at
    /// whether each stands where it was sealed to stand.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn call_rows(
        &mut self,
        after: &str,
        limit: u32,
        seal: Option<&Seal>,
    ) -> Result<Vec<CallRow>, StoreError> {
        const SQL: &str = select_calls!("WHERE c.id > $1 ORDER BY c.id LIMIT $2");
        let rows = sqlx::query(SQL).bind(after).bind(i64::from(limit)).fetch_all(&mut self.connection).await?;
        rows.iter().map(|row| call_row(row, seal)).collect()
    }

    /// The entries with these numbers, in their order.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn entries_numbered(&mut self, numbers: &[i64]) -> Result<Vec<Row>, StoreError> {
        let sql =
            format!("SELECT {ENTRY} FROM entries e WHERE e.seq IN (SELECT value FROM json_each($1)) ORDER BY e.seq");
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(serde_json::to_string(numbers)?);
        query.fetch_all(&mut self.connection).await?.iter().map(entry).collect()
    }

    /// How the database's tables, indices and triggers stand to those that Placet makes.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn schema(&mut self) -> Result<SchemaFound, StoreError> {
        schema::compare(&mut self.connection).await
    }

    /// Which key of the seals the database belongs to; `None` where it does not say.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn seal_key(&mut self) -> Result<Option<String>, StoreError> {
        let query = sqlx::query_scalar("SELECT value FROM meta WHERE key = 'seal_key'");
        Ok(query.fetch_optional(&mut self.connection).await?)
    }

    /// The times that the database was put back, which its seals are bound to.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn eras(&mut self, seal: &Seal) -> Result<Vec<Era>, StoreError> {
        let query = sqlx::query_scalar::<_, String>("SELECT value FROM meta WHERE key = 'spent'");
        let kept = query.fetch_optional(&mut self.connection).await?;
        Ok(kept.map(|text| opened_eras(&text, seal)).unwrap_or_default())
    }

    /// The mark of a copy that nobody was served from yet.
    ///
    /// # Errors
    /// The database does not answer, or the mark cannot be read.
    pub async fn copy_mark(&mut self) -> Result<Option<CopyMark>, StoreError> {
        backup::read_mark(&mut self.connection).await
    }

    /// Whether the log was ever signed.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn was_signed(&mut self) -> Result<bool, StoreError> {
        let query = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM checkpoints)");
        Ok(query.fetch_one(&mut self.connection).await?)
    }

    /// Entries about calls whose ids come after `after` and not after `upto`, by call and number; without `upto` all
    /// that follow.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn entries_about(&mut self, after: &str, upto: Option<&str>) -> Result<Vec<Row>, StoreError> {
        let sql = format!(
            "SELECT {ENTRY} FROM entries e WHERE e.call_id > $1 AND ($2 IS NULL OR e.call_id <= $2)
             ORDER BY e.call_id, e.seq"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(after).bind(upto);
        query.fetch_all(&mut self.connection).await?.iter().map(entry).collect()
    }

    /// Votes, parameters and answers that belong to no call, by table and call.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn strays(&mut self) -> Result<Vec<(&'static str, String)>, StoreError> {
        let mut found = Vec::new();
        for (table, sql) in [
            ("votes", "SELECT call_id FROM votes WHERE call_id NOT IN (SELECT id FROM calls) LIMIT 100"),
            ("findings", "SELECT call_id FROM findings WHERE call_id NOT IN (SELECT id FROM calls) LIMIT 100"),
            ("call_params", "SELECT call_id FROM call_params WHERE call_id NOT IN (SELECT id FROM calls) LIMIT 100"),
            ("call_answers", "SELECT call_id FROM call_answers WHERE call_id NOT IN (SELECT id FROM calls) LIMIT 100"),
        ] {
            let ids: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut self.connection).await?;
            found.extend(ids.into_iter().map(|id| (table, id)));
        }
        Ok(found)
    }
}

/// Whether a call stands where its seal says, and was told to come back if it says so.
fn stands(row: &SqliteRow, call: &HeldCall, seal: &Seal) -> Result<bool, sqlx::Error> {
    let mac = |column: &str| {
        let text: Option<String> = row.try_get(column)?;
        Ok::<_, sqlx::Error>(text.and_then(|text| text.parse::<Digest>().ok()))
    };
    let told = row.try_get::<i64, _>("told_to_return")? != 0;
    let told_here = mac("told_mac")?.is_some_and(|mac| seal.told(call.submission.id).matches(&mac));
    Ok(told <= told_here && mac("state_mac")?.is_some_and(|mac| row::state_mac(seal, call).matches(&mac)))
}

fn call_row(row: &SqliteRow, seal: Option<&Seal>) -> Result<CallRow, StoreError> {
    let call = row::unjudged_call(row).map_err(|error| error.to_string());
    let stands = match (&call, seal) {
        (Ok(call), Some(seal)) => Some(stands(row, call, seal)?),
        _ => None,
    };
    let moment = |column| Ok::<_, sqlx::Error>(row.try_get::<Option<i64>, _>(column)?.map(Millis));
    Ok(CallRow {
        id: row.try_get("id")?,
        call,
        stands,
        approved_at: moment("approved_at")?,
        approved_by: row.try_get("approved_by")?,
        usable_until: moment("usable_until")?,
        claim: row.try_get("claim")?,
        ended_by: row.try_get("ended_by")?,
        ended_why: row.try_get("ended_why")?,
        escalated: row.try_get::<i64, _>("escalated")? != 0,
        answered_at: moment("answered_at")?,
        context: row.try_get("context")?,
    })
}
