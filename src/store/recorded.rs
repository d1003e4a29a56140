//! The calls that the log tells of, with what an agent sent where that is kept: what a new policy is tried with.

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::{Snapshot, StoreError};
use crate::call::Millis;

/// What was made of a recorded call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Made {
    /// It ran at once.
    Allowed,
    /// It was held for people.
    Held,
    /// It did not run.
    Denied,
    /// It did not run because of a limit.
    Limited,
}

/// One call of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedCall {
    /// The number of its entry.
    pub seq: i64,
    /// When it came.
    pub at: Millis,
    /// What was made of it.
    pub made: Made,
    /// The agent's name.
    pub agent: String,
    /// Where it was to go.
    pub upstream: String,
    /// The tool.
    pub tool: String,
    /// The parameters that the agent sent; only held calls have them, until they are erased.
    pub params: Option<String>,
}

impl Snapshot {
    /// Calls of tools behind entry `after` and not before `from`, in order, at most `limit`.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn recorded(&mut self, from: Millis, after: i64, limit: u32) -> Result<Vec<RecordedCall>, StoreError> {
        let sql = "SELECT e.seq, e.at, e.kind, e.agent, e.upstream, e.tool, p.params
             FROM entries e LEFT JOIN call_params p ON e.kind = 'call.held' AND p.call_id = e.call_id
             WHERE e.seq > $1 AND e.at >= $2 AND e.tool IS NOT NULL AND e.agent IS NOT NULL AND e.upstream IS NOT NULL
               AND e.kind IN ('call.allowed', 'call.held', 'call.denied', 'call.limited')
             ORDER BY e.seq LIMIT $3";
        let query = sqlx::query(sql).bind(after).bind(from.0).bind(i64::from(limit));
        query.fetch_all(&mut self.connection).await?.iter().map(recorded).collect()
    }
}

fn recorded(row: &SqliteRow) -> Result<RecordedCall, StoreError> {
    let made = match row.try_get("kind")? {
        "call.allowed" => Made::Allowed,
        "call.held" => Made::Held,
        "call.limited" => Made::Limited,
        _ => Made::Denied,
    };
    Ok(RecordedCall {
        seq: row.try_get("seq")?,
        at: Millis(row.try_get("at")?),
        made,
        agent: row.try_get("agent")?,
        upstream: row.try_get("upstream")?,
        tool: row.try_get("tool")?,
        params: row.try_get("params")?,
    })
}
