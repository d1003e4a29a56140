//! Reviewers' accounts.

use std::collections::BTreeSet;

use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::sessions::end_all;
use super::{Reviewer, Roles, listed, moment, parsed};
use crate::audit::Entry;
use crate::call::{Email, GroupName, ReviewerId};
use crate::store::{Store, StoreError, Tx};

pub(super) const COLUMNS: &str =
    "id, email, name, is_reviewer, is_auditor, is_administrator, groups, disabled_at, password";

/// An account that is to be made.
#[derive(Clone, Debug)]
pub struct NewReviewer {
    /// Its id, unless a disabled account of the same address is opened again.
    pub id: ReviewerId,
    /// Where mails go.
    pub email: Email,
    /// As shown.
    pub name: String,
    /// What the person may do.
    pub roles: Roles,
    /// Whose calls the person reviews.
    pub groups: BTreeSet<GroupName>,
    /// PHC string; `None`: signs in by link.
    pub password: Option<String>,
}

pub(super) fn reviewer(row: &SqliteRow) -> Result<Reviewer, StoreError> {
    Ok(Reviewer {
        id: parsed(row, "reviewers", "id")?,
        email: parsed(row, "reviewers", "email")?,
        name: row.try_get("name")?,
        roles: Roles {
            reviewer: row.try_get("is_reviewer")?,
            auditor: row.try_get("is_auditor")?,
            administrator: row.try_get("is_administrator")?,
        },
        groups: listed(row, "reviewers", "groups")?,
        disabled_at: moment(row, "disabled_at")?,
    })
}

/// The account inside a transaction, so that a decision and the right to it are judged at the same moment.
pub(in crate::store) async fn by_id(
    connection: &mut SqliteConnection,
    id: ReviewerId,
) -> Result<Option<Reviewer>, StoreError> {
    let sql = sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM reviewers WHERE id = $1"));
    let row = sqlx::query(sql).bind(id.to_string()).fetch_optional(connection).await?;
    row.as_ref().map(reviewer).transpose()
}

impl Store {
    /// Makes an account, or opens a disabled one of the same address again with these rights; `None` if a live one
    /// has that address.
    ///
    /// # Errors
    /// The database did not take it.
    pub async fn reviewer_add(&self, new: NewReviewer) -> Result<Option<Reviewer>, StoreError> {
        self.write("reviewer_add", move |tx| {
            Box::pin(async move {
                let sql = format!(
                    "INSERT INTO reviewers (id, email, name, is_reviewer, is_auditor, is_administrator, groups,
                                            password, created_at)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
                     ON CONFLICT (email) DO UPDATE
                     SET name = excluded.name, is_reviewer = excluded.is_reviewer, is_auditor = excluded.is_auditor,
                         is_administrator = excluded.is_administrator, groups = excluded.groups,
                         password = excluded.password, disabled_at = NULL
                     WHERE disabled_at IS NOT NULL
                     RETURNING {COLUMNS}"
                );
                let row = sqlx::query(sqlx::AssertSqlSafe(sql))
                    .bind(new.id.to_string())
                    .bind(new.email.as_str())
                    .bind(&new.name)
                    .bind(new.roles.reviewer)
                    .bind(new.roles.auditor)
                    .bind(new.roles.administrator)
                    .bind(serde_json::to_string(&new.groups)?)
                    .bind(&new.password)
                    .bind(tx.now().0)
                    .fetch_optional(tx.connection())
                    .await?;
                let Some(row) = row else { return Ok(None) };
                let reviewer = reviewer(&row)?;
                let groups: Vec<_> = new.groups.iter().map(ToString::to_string).collect();
                let entry = Entry::new("reviewer.added").reviewer(reviewer.id).with("roles", new.roles.names());
                tx.append(entry.with("groups", groups).with("again", reviewer.id != new.id))?;
                Ok(Some(reviewer))
            })
        })
        .await
    }

    /// An account, disabled or not.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn reviewer(&self, id: ReviewerId) -> Result<Option<Reviewer>, StoreError> {
        let mut connection = self.readers().acquire().await?;
        by_id(&mut connection, id).await
    }

    /// The account of an address, with its password's PHC string.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn reviewer_by_email(&self, email: &Email) -> Result<Option<(Reviewer, Option<String>)>, StoreError> {
        let sql = sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM reviewers WHERE email = $1"));
        let row = sqlx::query(sql).bind(email.as_str()).fetch_optional(self.readers()).await?;
        row.as_ref().map(|row| Ok((reviewer(row)?, row.try_get("password")?))).transpose()
    }

    /// All accounts by address, the disabled ones last.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn reviewers(&self) -> Result<Vec<Reviewer>, StoreError> {
        let order = "ORDER BY disabled_at IS NOT NULL, email";
        let sql = sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM reviewers {order}"));
        let rows = sqlx::query(sql).fetch_all(self.readers()).await?;
        rows.iter().map(reviewer).collect()
    }

    /// Disables an account and ends its sessions, links and tokens; `None` if no live account has that address.
    ///
    /// # Errors
    /// The database did not take it.
    pub async fn reviewer_disable(&self, email: Email) -> Result<Option<Reviewer>, StoreError> {
        self.write("reviewer_disable", move |tx| {
            Box::pin(async move {
                let sql = format!(
                    "UPDATE reviewers SET disabled_at = $2 WHERE email = $1 AND disabled_at IS NULL
                     RETURNING {COLUMNS}"
                );
                let now = tx.now().0;
                let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(email.as_str()).bind(now);
                let Some(row) = query.fetch_optional(tx.connection()).await? else { return Ok(None) };
                let reviewer = reviewer(&row)?;
                end_all(tx, reviewer.id, None).await?;
                end_links(tx, reviewer.id).await?;
                end_tokens(tx, reviewer.id).await?;
                tx.append(Entry::new("reviewer.disabled").reviewer(reviewer.id))?;
                Ok(Some(reviewer))
            })
        })
        .await
    }

    /// Sets a password and ends every other session and open link of the person.
    ///
    /// # Errors
    /// The database did not take it.
    pub async fn password_set(&self, id: ReviewerId, phc: String, keep: Option<String>) -> Result<(), StoreError> {
        self.write("password_set", move |tx| {
            Box::pin(async move {
                let query = sqlx::query("UPDATE reviewers SET password = $2 WHERE id = $1").bind(id.to_string());
                query.bind(phc).execute(tx.connection()).await?;
                end_all(tx, id, keep.as_deref()).await?;
                end_links(tx, id).await?;
                tx.append(Entry::new("password.changed").reviewer(id))
            })
        })
        .await
    }
}

/// Ends a person's open links; returns how many.
pub(super) async fn end_links(tx: &mut Tx<'_>, id: ReviewerId) -> Result<u64, StoreError> {
    let sql = "UPDATE sign_in_links SET ended_at = $2 WHERE reviewer_id = $1 AND ended_at IS NULL";
    let now = tx.now().0;
    Ok(sqlx::query(sql).bind(id.to_string()).bind(now).execute(tx.connection()).await?.rows_affected())
}

/// Ends a person's API tokens; returns how many.
async fn end_tokens(tx: &mut Tx<'_>, id: ReviewerId) -> Result<u64, StoreError> {
    let sql = "UPDATE api_tokens SET ended_at = $2 WHERE reviewer_id = $1 AND ended_at IS NULL";
    let now = tx.now().0;
    Ok(sqlx::query(sql).bind(id.to_string()).bind(now).execute(tx.connection()).await?.rows_affected())
}

/// How much was ended.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::store) struct Ended {
    pub sessions: u64,
    pub links: u64,
    pub tokens: u64,
}

/// Ends all sessions, links and API tokens of everybody.
pub(in crate::store) async fn end_everything(tx: &mut Tx<'_>) -> Result<Ended, StoreError> {
    let ids: Vec<String> = sqlx::query_scalar("SELECT id FROM reviewers").fetch_all(tx.connection()).await?;
    let mut all = Ended::default();
    for id in ids {
        let person: ReviewerId = id.parse().map_err(|error: crate::call::BadName| StoreError::BadRow {
            table: "reviewers",
            row: id.clone(),
            column: "id",
            problem: error.to_string(),
        })?;
        let sessions = end_all(tx, person, None).await?;
        if sessions > 0 {
            let entry = Entry::new("session.signed_out").reviewer(person).with("sessions", sessions);
            tx.append(entry.with("why", "the database was put back"))?;
        }
        all.sessions += sessions;
        all.links += end_links(tx, person).await?;
        all.tokens += end_tokens(tx, person).await?;
    }
    Ok(all)
}
