//! Sessions of people at the reviewer's pages.

use std::time::Duration;

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::{Reviewer, moment, parsed};
use crate::audit::Entry;
use crate::call::{Digest, Millis, ReviewerId};
use crate::store::{Store, StoreError, Tx};

/// A session that is to be opened.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Its public id.
    pub id: String,
    /// Hash of its cookie.
    pub token_hash: Digest,
    /// Browser and system, as it says.
    pub device: String,
    /// How long it lasts at most.
    pub longest: Duration,
    /// Hash of the cookie that the browser sent with the sign-in: that session ends, whoever's it was.
    pub replaces: Option<Digest>,
}

/// How somebody signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignIn {
    /// By address and password.
    Password,
    /// By one-time link and code.
    Link,
}

impl SignIn {
    fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Link => "link",
        }
    }
}

/// A session as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// Its public id.
    pub id: String,
    /// Whose it is.
    pub reviewer: ReviewerId,
    /// Browser and system, as it says.
    pub device: String,
    /// When it was opened.
    pub created_at: Millis,
    /// When it was last used, to about a minute.
    pub seen_at: Millis,
    /// When it ends at the latest.
    pub expires_at: Millis,
    /// When it was ended.
    pub ended_at: Option<Millis>,
}

const COLUMNS: &str = "id, reviewer_id, device, created_at, seen_at, expires_at, ended_at";

fn session(row: &SqliteRow) -> Result<SessionRow, StoreError> {
    Ok(SessionRow {
        id: row.try_get("id")?,
        reviewer: parsed(row, "sessions", "reviewer_id")?,
        device: row.try_get("device")?,
        created_at: Millis(row.try_get("created_at")?),
        seen_at: Millis(row.try_get("seen_at")?),
        expires_at: Millis(row.try_get("expires_at")?),
        ended_at: moment(row, "ended_at")?,
    })
}

/// Opens a session within a transaction that has judged the sign-in.
pub(super) async fn open(
    tx: &mut Tx<'_>,
    reviewer: ReviewerId,
    new: &NewSession,
    how: SignIn,
) -> Result<(), StoreError> {
    let now = tx.now();
    if let Some(old) = new.replaces {
        let sql = "UPDATE sessions SET ended_at = $2 WHERE token_hash = $1 AND ended_at IS NULL";
        sqlx::query(sql).bind(old.to_string()).bind(now.0).execute(tx.connection()).await?;
    }
    let sql = "INSERT INTO sessions (id, reviewer_id, token_hash, device, created_at, seen_at, expires_at)
               VALUES ($1, $2, $3, $4, $5, $5, $6)";
    sqlx::query(sql)
        .bind(&new.id)
        .bind(reviewer.to_string())
        .bind(new.token_hash.to_string())
        .bind(&new.device)
        .bind(now.0)
        .bind(now.after(new.longest).0)
        .execute(tx.connection())
        .await?;
    tx.append(
        Entry::new("session.signed_in").reviewer(reviewer).with("session", new.id.as_str()).with("by", how.as_str()),
    )
}

/// Ends all sessions of a person but one; returns how many.
pub(super) async fn end_all(tx: &mut Tx<'_>, reviewer: ReviewerId, keep: Option<&str>) -> Result<u64, StoreError> {
    let now = tx.now().0;
    let sql = "UPDATE sessions SET ended_at = $2
               WHERE reviewer_id = $1 AND ended_at IS NULL AND ($3 IS NULL OR id <> $3)";
    let query = sqlx::query(sql).bind(reviewer.to_string()).bind(now).bind(keep);
    Ok(query.execute(tx.connection()).await?.rows_affected())
}

impl Store {
    /// Opens a session for a person who has just proved who it is by the password of this PHC string; `false` if the
    /// account was disabled, or got another password, since that was read.
    ///
    /// # Errors
    /// The database did not take it.
    pub async fn session_open(&self, reviewer: ReviewerId, phc: String, new: NewSession) -> Result<bool, StoreError> {
        self.write("session_open", move |tx| {
            Box::pin(async move {
                let sql = "SELECT 1 FROM reviewers WHERE id = $1 AND password = $2 AND disabled_at IS NULL";
                let query = sqlx::query(sql).bind(reviewer.to_string()).bind(phc);
                let stands = query.fetch_optional(tx.connection()).await?.is_some();
                if stands {
                    open(tx, reviewer, &new, SignIn::Password).await?;
                }
                Ok(stands)
            })
        })
        .await
    }

    /// The session of a cookie with its person, ended or not, disabled or not.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn session_by_token(&self, hash: Digest) -> Result<Option<(SessionRow, Reviewer)>, StoreError> {
        let sql = sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM sessions WHERE token_hash = $1"));
        let row = sqlx::query(sql).bind(hash.to_string()).fetch_optional(self.readers()).await?;
        let Some(row) = row else { return Ok(None) };
        let session = session(&row)?;
        let person = self.reviewer(session.reviewer).await?;
        Ok(person.map(|person| (session, person)))
    }

    /// A person's sessions that were not ended, the last used first.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn sessions_of(&self, reviewer: ReviewerId) -> Result<Vec<SessionRow>, StoreError> {
        let order = "ORDER BY seen_at DESC, id";
        let sql = format!("SELECT {COLUMNS} FROM sessions WHERE reviewer_id = $1 AND ended_at IS NULL {order}");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(reviewer.to_string()).fetch_all(self.readers()).await?;
        rows.iter().map(session).collect()
    }

    /// Notes that a session was used. No entry: being there changes nothing.
    ///
    /// # Errors
    /// The database did not take it.
    pub async fn session_seen(&self, id: String) -> Result<(), StoreError> {
        self.write("session_seen", move |tx| {
            Box::pin(async move {
                let now = tx.now().0;
                let sql = "UPDATE sessions SET seen_at = $2 WHERE id = $1 AND ended_at IS NULL AND seen_at < $2";
                sqlx::query(sql).bind(id).bind(now).execute(tx.connection()).await?;
                Ok(())
            })
        })
        .await
    }

    /// Ends one session of this person; `false` if there is no such open one.
    ///
    /// # Errors
    /// The database did not take it.
    pub async fn session_end(&self, reviewer: ReviewerId, id: String) -> Result<bool, StoreError> {
        self.write("session_end", move |tx| {
            Box::pin(async move {
                let now = tx.now().0;
                let sql = "UPDATE sessions SET ended_at = $3 WHERE id = $1 AND reviewer_id = $2 AND ended_at IS NULL";
                let query = sqlx::query(sql).bind(&id).bind(reviewer.to_string()).bind(now);
                let ended = query.execute(tx.connection()).await?.rows_affected() > 0;
                if ended {
                    tx.append(Entry::new("session.signed_out").reviewer(reviewer).with("session", id))?;
                }
                Ok(ended)
            })
        })
        .await
    }

    /// Ends all sessions of this person but `keep`; returns how many.
    ///
    /// # Errors
    /// The database did not take it.
    pub async fn sessions_end(&self, reviewer: ReviewerId, keep: Option<String>) -> Result<u64, StoreError> {
        self.write("sessions_end", move |tx| {
            Box::pin(async move {
                let ended = end_all(tx, reviewer, keep.as_deref()).await?;
                if ended > 0 {
                    tx.append(Entry::new("session.signed_out").reviewer(reviewer).with("sessions", ended))?;
                }
                Ok(ended)
            })
        })
        .await
    }

    /// Writes down a refused sign-in. What was typed is not written; the person is, where there is one.
    ///
    /// # Errors
    /// The database did not take it.
    pub async fn session_refused(&self, reviewer: Option<ReviewerId>, why: &'static str) -> Result<(), StoreError> {
        let mut entry = Entry::new("session.refused").with("why", why);
        entry.reviewer = reviewer;
        self.append(entry).await
    }
}
