//! Erasing what agents sent and what came back, once it is old enough. What is left proves that the call happened, and
//! reveals nothing of it: the log's hashes of it were salted, and the salts go as well.

use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{ConnectOptions as _, Connection as _, Row as _};

use super::{Store, StoreError, Tx};
use crate::audit::Entry;
use crate::call::{AgentName, BadName, CallId, Digest, Millis, ToolName, UpstreamName};

/// Calls whose time is over, the oldest first.
pub(super) const OLD: &str = "SELECT id, agent_name, upstream, tool, digest FROM calls
           WHERE redacted_at IS NULL AND state NOT IN ('pending', 'approved', 'releasing') AND changed_at <= $1
             AND (state <> 'outcome_unknown' OR EXISTS
                  (SELECT 1 FROM findings WHERE call_id = calls.id AND findings.at <= $1))
           ORDER BY changed_at LIMIT $2";

/// One of the calls whose time is over.
struct Old {
    id: CallId,
    agent: AgentName,
    upstream: UpstreamName,
    tool: ToolName,
    digest: Digest,
}

impl Store {
    /// Erases parameters, headers, reads and answers of calls that ended at least `keep` ago, the oldest `most` of them,
    /// and writes an entry about each. Open calls are never touched, nor is one of which nobody knows whether it ran:
    /// whoever finds out needs its arguments, and its time begins with what they found. Answers how many were erased.
    ///
    /// # Errors
    /// The database did not take it: nothing of this batch was erased.
    pub async fn erase_ended(&self, keep: Duration, most: u32) -> Result<usize, StoreError> {
        self.write("erase_ended", move |tx| Box::pin(erase(tx, keep, most))).await
    }

    /// Empties the write-ahead log into the database, so that what was erased is in neither file any more. `false` if
    /// somebody who reads keeps part of it back; then it must be tried again.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn scrub(&self) -> Result<bool, StoreError> {
        // A connection of its own: a checkpoint is no part of any transaction, so the writer has no place for it.
        let file = self.folder().join("placet.db");
        let options = SqliteConnectOptions::new().filename(file).busy_timeout(Duration::from_secs(5));
        let mut connection = options.connect().await?;
        let kept_back = truncate(&mut connection).await;
        connection.close().await?;
        Ok(kept_back? == 0)
    }
}

async fn truncate(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(connection).await?;
    row.try_get(0)
}

async fn erase(tx: &mut Tx<'_>, keep: Duration, most: u32) -> Result<usize, StoreError> {
    let before = tx.now().before(keep);
    let old = old(tx, before, most).await?;
    if old.is_empty() {
        return Ok(0);
    }
    let ids = serde_json::to_string(&old.iter().map(|call| call.id).collect::<Vec<_>>())?;
    // What recognises the same call again is a plain hash of its arguments, and the seal covers what the policy reads
    // of them: whoever guesses could confirm a guess by either.
    let now = tx.now();
    let sql = "UPDATE calls SET redacted_at = $1, nonce = '', same_call = '', headers = '[]', held_mac = NULL,
                   context = NULL, context_salt = NULL, agent_reason = NULL, requirement = json_set(requirement, '$.context', json('[]'))
               WHERE id IN (SELECT value FROM json_each($2))";
    sqlx::query(sql).bind(now.0).bind(&ids).execute(tx.connection()).await?;
    for sql in [
        "DELETE FROM call_params WHERE call_id IN (SELECT value FROM json_each($1))",
        "DELETE FROM call_answers WHERE call_id IN (SELECT value FROM json_each($1))",
    ] {
        sqlx::query(sql).bind(&ids).execute(tx.connection()).await?;
    }
    // One entry for each, so that an auditor can tell what retention erased from what somebody deleted.
    for call in &old {
        let entry = Entry::new("call.erased").call(call.id).agent(&call.agent).upstream(&call.upstream);
        tx.append(
            entry
                .tool(&call.tool)
                .with("digest", call.digest.to_string())
                .with("ended_before", before.after(Duration::from_millis(1)).to_string()),
        )?;
    }
    Ok(old.len())
}

async fn old(tx: &mut Tx<'_>, before: Millis, most: u32) -> Result<Vec<Old>, StoreError> {
    let rows = sqlx::query(OLD).bind(before.0).bind(most).fetch_all(tx.connection()).await?;
    // A damaged row keeps no other call's arguments here.
    let readable = |row| read(row).inspect_err(|error| tracing::error!(%error, "a call cannot be erased")).ok();
    Ok(rows.iter().filter_map(readable).collect())
}

fn read(row: &SqliteRow) -> Result<Old, StoreError> {
    let id: String = row.try_get("id")?;
    let bad = |column, problem: &dyn ToString| StoreError::BadRow {
        table: "calls",
        row: id.clone(),
        column,
        problem: problem.to_string(),
    };
    let text = |column: &'static str| row.try_get::<String, _>(column).map_err(|e| bad(column, &e));
    let name = |column: &'static str| move |e: BadName| bad(column, &e);
    Ok(Old {
        id: id.parse().map_err(name("id"))?,
        agent: text("agent_name")?.parse().map_err(name("agent_name"))?,
        upstream: text("upstream")?.parse().map_err(name("upstream"))?,
        tool: text("tool")?.parse().map_err(name("tool"))?,
        digest: text("digest")?.parse().map_err(|e: crate::call::BadDigest| bad("digest", &e))?,
    })
}
