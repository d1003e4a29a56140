//! Agents, reviewers and what proves who they are, as rows.

mod agents;
mod links;
mod reviewers;
mod sessions;
mod tokens;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

pub use agents::NewAgent;
pub(super) use agents::{by_id as agent_by_id, revoke_again};
pub use links::{LinkUse, NewLink};
pub use reviewers::NewReviewer;
pub(super) use reviewers::{Ended, disable_again, end_everything};
pub use sessions::{NewSession, SessionRow, SignIn};
pub use tokens::{ApiToken, NewApiToken};

use super::StoreError;
use crate::call::{AgentId, AgentName, Email, GroupName, Millis, ReviewerId, UpstreamName};

/// A program that calls tools through Placet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Its id.
    pub id: AgentId,
    /// Its name, unique among those that are not revoked.
    pub name: AgentName,
    /// The human who answers for it, and who does not decide its calls.
    pub owner: Email,
    /// Where it may go; empty: everywhere.
    pub upstreams: Vec<UpstreamName>,
    /// When it was added.
    pub created_at: Millis,
    /// When its token stopped to work; always so where the row is not genuine.
    pub revoked_at: Option<Millis>,
    /// The row is as Placet wrote it last.
    pub genuine: bool,
}

impl Agent {
    /// Whether it may use this upstream at all.
    #[must_use]
    pub fn may_use(&self, upstream: &UpstreamName) -> bool {
        self.revoked_at.is_none() && (self.upstreams.is_empty() || self.upstreams.contains(upstream))
    }
}

/// What a person may do. None includes another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    /// Reads and decides the calls of the person's groups.
    pub reviewer: bool,
    /// Reads everything, decides nothing.
    pub auditor: bool,
    /// Manages people and agents, reads everything, decides nothing.
    pub administrator: bool,
}

impl Roles {
    /// Whether every call and every entry may be read.
    #[must_use]
    pub fn read_everything(self) -> bool {
        self.auditor || self.administrator
    }

    /// The names, in a fixed order.
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        let all = [(self.reviewer, "reviewer"), (self.auditor, "auditor"), (self.administrator, "administrator")];
        all.into_iter().filter_map(|(has, name)| has.then_some(name)).collect()
    }
}

/// A person with an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reviewer {
    /// The account.
    pub id: ReviewerId,
    /// Where mails go, and what is typed to sign in.
    pub email: Email,
    /// As shown to others; the address where none was given.
    pub name: String,
    /// What the person may do.
    pub roles: Roles,
    /// Whose calls the person reviews.
    pub groups: BTreeSet<GroupName>,
    /// When the account was disabled; always so where the row is not genuine.
    pub disabled_at: Option<Millis>,
    /// The row is as Placet wrote it last.
    pub genuine: bool,
}

/// Reads a column that holds something with a text form.
fn parsed<T: FromStr<Err: fmt::Display>>(
    row: &SqliteRow,
    table: &'static str,
    column: &'static str,
) -> Result<T, StoreError> {
    let text: String = row.try_get(column)?;
    text.parse().map_err(|error: T::Err| bad(row, table, column, &error))
}

/// Reads a column that holds a JSON list.
fn listed<T: serde::de::DeserializeOwned>(
    row: &SqliteRow,
    table: &'static str,
    column: &'static str,
) -> Result<T, StoreError> {
    let text: String = row.try_get(column)?;
    serde_json::from_str(&text).map_err(|error| bad(row, table, column, &error))
}

fn bad(row: &SqliteRow, table: &'static str, column: &'static str, problem: &dyn fmt::Display) -> StoreError {
    let row = row.try_get::<String, _>("id").unwrap_or_else(|_| "without an id".to_owned());
    StoreError::BadRow { table, row, column, problem: problem.to_string() }
}

fn moment(row: &SqliteRow, column: &str) -> Result<Option<Millis>, sqlx::Error> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(Millis))
}
