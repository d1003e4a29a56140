//! The policies that were in force: their texts, and what the log says of when.

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::{Store, StoreError};
use crate::audit::{Entry, Said};
use crate::call::{Digest, Millis};

/// One step of the policy's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyStep {
    /// The number of its entry.
    pub seq: i64,
    /// When.
    pub at: Millis,
    /// What happened.
    pub what: PolicyWhat,
}

/// What happened to the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyWhat {
    /// This version is in force from then on; also told at each start.
    Loaded(String),
    /// The file had these problems, a line each, and was not put in force.
    Refused(String),
}

/// Newest first; the words of the condition are those of the index.
pub(super) const STEPS: &str = "SELECT seq, at, kind, body FROM entries INDEXED BY entries_policy
    WHERE kind IN ('policy.loaded', 'policy.refused') AND seq < $1 ORDER BY seq DESC LIMIT $2";

impl Store {
    /// Writes in the log that a policy is in force, and keeps its text.
    ///
    /// # Errors
    /// The database did not take it.
    pub async fn policy_loaded(&self, version: Digest, text: String, entry: Entry) -> Result<(), StoreError> {
        self.write("policy_loaded", move |tx| {
            Box::pin(async move {
                let now = tx.now();
                let sql = "INSERT INTO policies (version, text, at) VALUES ($1, $2, $3)
                           ON CONFLICT (version) DO UPDATE SET text = excluded.text WHERE text <> excluded.text";
                sqlx::query(sql).bind(version.to_string()).bind(text).bind(now.0).execute(tx.connection()).await?;
                tx.append(entry)
            })
        })
        .await
    }

    /// Steps of the policy's history before entry `before`, the newest first, at most `limit`.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn policy_steps(&self, before: i64, limit: u32) -> Result<Vec<PolicyStep>, StoreError> {
        let rows = sqlx::query(STEPS).bind(before).bind(i64::from(limit)).fetch_all(self.readers()).await?;
        rows.iter().map(step).collect()
    }

    /// The text of a version; `None` where it is not kept, or is not what the version names: then somebody changed it.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn policy_text(&self, version: &str) -> Result<Option<String>, StoreError> {
        let query = sqlx::query_scalar("SELECT text FROM policies WHERE version = $1").bind(version);
        let text: Option<String> = query.fetch_optional(self.readers()).await?;
        Ok(text.filter(|text| Digest::of(text.as_bytes()).to_string() == version))
    }
}

fn step(row: &SqliteRow) -> Result<PolicyStep, StoreError> {
    let (kind, body): (String, String) = (row.try_get("kind")?, row.try_get("body")?);
    let said = Said::read(&body)?;
    let text = |key: &str| said.text(key).unwrap_or_default().to_owned();
    let what = match &*kind {
        "policy.loaded" => PolicyWhat::Loaded(text("policy")),
        _ => PolicyWhat::Refused(text("problems")),
    };
    Ok(PolicyStep { seq: row.try_get("seq")?, at: Millis(row.try_get("at")?), what })
}
