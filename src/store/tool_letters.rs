//! Which changes of tools somebody was mailed about, so that nobody hears of one twice, whatever stops in between.
//!
//! It bears no seal: whoever writes the database can keep a mail from leaving, and lets no call run by it.

use std::collections::{BTreeMap, BTreeSet};

use super::pins::pin;
use super::sealed::PINS;
use super::{Store, StoreError};
use crate::call::ReviewerId;
use crate::call::tool::Pin;

/// Under this key `meta` has it.
const KEY: &str = "tool_letters";

/// The last entry that tells of a change; by an index that knows no other entries.
pub(super) const LAST: &str = "SELECT max(seq) FROM entries INDEXED BY entries_tool
    WHERE kind IN ('tool.changed', 'tool.accepted')";

/// By person, the entries that told of changes which they were mailed about, as far as these still wait.
pub type ToolsTold = BTreeMap<ReviewerId, BTreeSet<i64>>;

impl Store {
    /// The number of the last entry about a change of a tool; 0 if there is none.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn last_tool_entry(&self) -> Result<i64, StoreError> {
        let last: Option<i64> = sqlx::query_scalar(LAST).fetch_one(self.readers()).await?;
        Ok(last.unwrap_or(0))
    }

    /// The tools that wait for somebody to accept what they say, each with the entry that tells of its change. A row that
    /// was changed behind Placet's back is not among them: it is written anew when its tool is listed.
    ///
    /// # Errors
    /// The database does not answer, or a row is damaged.
    pub async fn tools_waiting(&self) -> Result<Vec<(i64, Pin)>, StoreError> {
        use sqlx::Row as _;
        let trust = self.trust();
        let query = sqlx::query(PINS.select("WHERE t.pending_at IS NOT NULL ORDER BY t.upstream, t.tool"));
        let rows = query.fetch_all(self.readers()).await?;
        let mut waiting = Vec::new();
        for row in &rows {
            let entry: Option<i64> = row.try_get("entry")?;
            // What cannot be read was not written here either.
            if let (Some(entry), Ok(pin)) = (entry, pin(row, &trust))
                && pin.genuine
            {
                waiting.push((entry, pin));
            }
        }
        Ok(waiting)
    }

    /// Who was mailed about which change.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn tools_told(&self) -> Result<ToolsTold, StoreError> {
        let query = sqlx::query_scalar::<_, String>("SELECT value FROM meta WHERE key = $1").bind(KEY);
        let told = query.fetch_optional(self.readers()).await?;
        // What cannot be read tells of nobody: one mail too many.
        Ok(told.and_then(|told| serde_json::from_str(&told).ok()).unwrap_or_default())
    }

    /// Keeps who was mailed about which change.
    ///
    /// # Errors
    /// The database did not take it.
    pub async fn keep_tools_told(&self, told: &ToolsTold) -> Result<(), StoreError> {
        let text = serde_json::to_string(told)?;
        self.write("keep_tools_told", move |tx| {
            Box::pin(async move {
                let sql = "INSERT INTO meta (key, value) VALUES ($1, $2)
                           ON CONFLICT (key) DO UPDATE SET value = excluded.value";
                sqlx::query(sql).bind(KEY).bind(text).execute(tx.connection()).await?;
                Ok(())
            })
        })
        .await
    }
}
