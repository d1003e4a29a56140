//! What the policy's limits have counted, kept over restarts. A row is the whole value of one part of a counter's window,
//! numbered, so that rows may come in any order; the policy says what they mean.

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::batch::Append;
use super::{Store, StoreError};
use crate::audit::Entry;
use crate::call::Millis;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CounterRow {
    /// Which counter.
    pub counter: String,
    /// Who shares it.
    pub sharer: String,
    /// Which part of its window.
    pub part: i64,
    /// What was counted in it.
    pub amount: String,
    /// From when on it no longer counts.
    pub ends_at: Millis,
    /// Of two rows of the same part the higher counts.
    pub seq: i64,
}

impl CounterRow {
    /// The error that this row cannot be used.
    #[must_use]
    pub fn bad(&self, column: &'static str, problem: &str) -> StoreError {
        let Self { counter, sharer, part, .. } = self;
        let problem =
            format!("{problem}. If nobody can say how that came about, delete the row: what it counted is forgotten");
        StoreError::BadRow { table: "limit_counters", row: format!("{counter} {sharer} {part}"), column, problem }
    }
}

/// What has ended: as often as not nothing.
const ENDED: &str = "SELECT EXISTS (SELECT 1 FROM limit_counters WHERE ends_at <= $1)";

const FORGET: &str = "DELETE FROM limit_counters WHERE ends_at <= $1";

impl Store {
    /// Appends one entry that stands alone, together with what the call took of its limits.
    ///
    /// # Errors
    /// Neither was written; what depended on it must not happen.
    pub async fn append_counted(&self, entry: Entry, counted: Vec<CounterRow>) -> Result<(), StoreError> {
        self.writer.job(|reply| Append::counted(Some(entry), counted, reply)).await
    }

    /// Writes down what was counted, or given back, where the log has no entry for it.
    ///
    /// # Errors
    /// It was not written.
    pub async fn count(&self, counted: Vec<CounterRow>) -> Result<(), StoreError> {
        self.writer.job(|reply| Append::counted(None, counted, reply)).await
    }

    /// Everything that was counted, what has ended included.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn counters(&self) -> Result<Vec<CounterRow>, StoreError> {
        let sql = "SELECT counter, sharer, part, amount, ends_at, seq FROM limit_counters";
        let rows = sqlx::query(sql).fetch_all(self.readers()).await?;
        rows.iter().map(row).collect()
    }

    /// Forgets what ended before this moment.
    ///
    /// # Errors
    /// The database did not take it.
    pub async fn forget_counters(&self, now: Millis) -> Result<(), StoreError> {
        if !sqlx::query_scalar::<_, bool>(ENDED).bind(now.0).fetch_one(self.readers()).await? {
            return Ok(());
        }
        self.write("forget_counters", move |tx| {
            Box::pin(async move {
                sqlx::query(FORGET).bind(now.0).execute(tx.connection()).await?;
                Ok(())
            })
        })
        .await
    }
}

fn row(row: &SqliteRow) -> Result<CounterRow, StoreError> {
    let seq: i64 = row.try_get("seq")?;
    let text = |column: &'static str| {
        row.try_get::<String, _>(column).map_err(|error| {
            let (row, problem) = (format!("of seq {seq}"), error.to_string());
            StoreError::BadRow { table: "limit_counters", row, column, problem }
        })
    };
    Ok(CounterRow {
        counter: text("counter")?,
        sharer: text("sharer")?,
        part: row.try_get("part")?,
        amount: text("amount")?,
        ends_at: Millis(row.try_get("ends_at")?),
        seq,
    })
}
