//! What a decision must know of people and agents, read inside the transaction that decides.

use std::collections::BTreeSet;

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::alarm::Changed;
use super::sealed::{AGENTS, REVIEWERS, Trust};
use super::{Store, StoreError, Tx};
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
    /// The row is as Placet wrote it last. Otherwise nothing else of this counts.
    pub genuine: bool,
}

/// What an agent is worth at the moment of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentStands {
    /// It may ask.
    Active,
    /// It was revoked, or never added.
    Revoked,
    /// Its row was changed behind Placet's back.
    Changed,
}

/// Accounts, all that [`person`] reads of them; `which` chooses the rows of `t`.
pub(super) fn select(which: &str) -> sqlx::AssertSqlSafe<String> {
    REVIEWERS.select(which)
}

pub(super) fn person(row: &SqliteRow, trust: &Trust) -> Result<Person, StoreError> {
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
        genuine: REVIEWERS.is_genuine(row, trust)?,
    })
}

/// A person's account, as it stands within the transaction.
pub(super) async fn load(tx: &mut Tx<'_>, id: ReviewerId) -> Result<Option<Person>, StoreError> {
    let trust = tx.trust();
    let query = sqlx::query(select("WHERE t.id = $1")).bind(id.to_string());
    query.fetch_optional(tx.connection()).await?.as_ref().map(|row| person(row, &trust)).transpose()
}

impl Store {
    /// Everybody who may be mailed: accounts that are not disabled. A row that is damaged, or was changed behind Placet's
    /// back, is logged and left out, so that it keeps nobody else from being told.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn people_enabled(&self) -> Result<Vec<Person>, StoreError> {
        let query = sqlx::query(REVIEWERS.select("WHERE t.disabled_at IS NULL ORDER BY t.id"));
        let trust = self.trust();
        let rows = query.fetch_all(self.readers()).await?;
        let readable = |person: Result<Person, StoreError>| {
            person.inspect_err(|error| tracing::error!(%error, "a reviewer cannot be mailed")).ok()
        };
        let people: Vec<_> = rows.iter().map(|row| person(row, &trust)).filter_map(readable).collect();
        for forged in people.iter().filter(|person| !person.genuine) {
            self.alarm(Changed::Reviewer(forged.id)).await;
        }
        Ok(people.into_iter().filter(|person| person.genuine).collect())
    }
}

/// What the agent is worth whose row stands in a call's, under names that begin with `prefix`.
pub(super) fn agent_stands(prefix: &str, row: &SqliteRow, trust: &Trust) -> Result<AgentStands, StoreError> {
    if row.try_get::<Option<String>, _>(format!("{prefix}id").as_str())?.is_none() {
        return Ok(AgentStands::Revoked);
    }
    if !AGENTS.is_genuine_as(prefix, row, trust)? {
        return Ok(AgentStands::Changed);
    }
    let revoked: Option<i64> = row.try_get(format!("{prefix}revoked_at").as_str())?;
    Ok(if revoked.is_some() { AgentStands::Revoked } else { AgentStands::Active })
}
