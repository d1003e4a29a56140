//! What a decision must know of people and agents, read inside the transaction that decides.

use std::collections::BTreeSet;

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::{Store, StoreError};
use crate::call::{Email, GroupName, ReviewerId};

/// A reviewer, as far as a decision is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Who.
    pub id: ReviewerId,
    /// Their address; an agent's owner is known by it.
    pub email: Email,
    /// Whose calls they may decide.
    pub groups: BTreeSet<GroupName>,
    /// Whether they decide at all.
    pub reviews: bool,
    /// Whether the account is disabled.
    pub disabled: bool,
}

/// Everybody who has an account under one of the ids in a JSON list.
pub(super) const SELECT: &str = "SELECT id, email, groups, is_reviewer, disabled_at FROM reviewers
                                 WHERE id IN (SELECT value FROM json_each($1))";

pub(super) fn person(row: &SqliteRow) -> Result<Person, StoreError> {
    let text: String = row.try_get("id")?;
    let bad = |column, problem: String| StoreError::BadRow { table: "reviewers", row: text.clone(), column, problem };
    let groups: String = row.try_get("groups")?;
    Ok(Person {
        id: text.parse().map_err(|e: crate::call::BadName| bad("id", e.to_string()))?,
        email: row
            .try_get::<String, _>("email")?
            .parse()
            .map_err(|e: crate::call::BadName| bad("email", e.to_string()))?,
        groups: serde_json::from_str(&groups).map_err(|e| bad("groups", e.to_string()))?,
        reviews: row.try_get("is_reviewer")?,
        disabled: row.try_get::<Option<i64>, _>("disabled_at")?.is_some(),
    })
}

impl Store {
    /// Everybody who may be mailed: accounts that are not disabled. A damaged row is logged and left out, so that it
    /// keeps nobody else from being told.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn people_enabled(&self) -> Result<Vec<Person>, StoreError> {
        let sql = "SELECT id, email, groups, is_reviewer, disabled_at FROM reviewers
                   WHERE disabled_at IS NULL ORDER BY id";
        let rows = sqlx::query(sql).fetch_all(self.readers()).await?;
        let readable = |person: Result<Person, StoreError>| {
            person.inspect_err(|error| tracing::error!(%error, "a reviewer cannot be mailed")).ok()
        };
        Ok(rows.iter().map(person).filter_map(readable).collect())
    }
}
