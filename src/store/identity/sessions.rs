//! Sessions of people at the reviewer's pages.

use std::time::Duration;

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::reviewers::stands;
use super::{Reviewer, moment, parsed};
use crate::audit::Entry;
use crate::call::{Digest, Millis, ReviewerId};
use crate::store::sealed::{SESSIONS, Trust};
use crate::store::spent::How;
use crate::store::{Store, StoreError, Tx};

/// A session that is to be opened.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Its public id.
    pub id: String,
    /// SHA-256 of its cookie.
    pub token_hash: Digest,
    /// Browser and system, as it says.
    pub device: String,
    /// How long it lasts at most.
    pub longest: Duration,
    /// SHA-256 of the cookie that the browser sent with the sign-in: that session ends, whoever's it was.
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
    /// When it was ended; always so where the row is not genuine.
    pub ended_at: Option<Millis>,
    /// The row is as Placet wrote it last.
    pub genuine: bool,
}

/// A row that does not bear its seal is no session: one that has ended.
fn session(row: &SqliteRow, trust: &Trust) -> Result<SessionRow, StoreError> {
    let genuine = SESSIONS.is_genuine(row, trust)?;
    let created_at = Millis(row.try_get("created_at")?);
    Ok(SessionRow {
        id: row.try_get("id")?,
        reviewer: parsed(row, "sessions", "reviewer_id")?,
        device: row.try_get("device")?,
        created_at,
        seen_at: Millis(row.try_get("seen_at")?),
        expires_at: Millis(row.try_get("expires_at")?),
        ended_at: moment(row, "ended_at")?.or((!genuine).then_some(created_at)),
        genuine,
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
    let trust = tx.trust();
    if let Some(old) = new.replaces {
        let sql = "UPDATE sessions SET ended_at = $2 WHERE token_hash = $1 AND ended_at IS NULL RETURNING *";
        let query = sqlx::query(sql).bind(trust.seal.keyed(&old).to_string()).bind(now.0);
        if let Some(row) = query.fetch_optional(tx.connection()).await? {
            let id: String = row.try_get("id")?;
            let whose = parsed(&row, "sessions", "reviewer_id")?;
            SESSIONS.spend_row(tx, &id, None, How::Ended).await?;
            tx.append(Entry::new("session.signed_out").reviewer(whose).with("session", id).with("why", "replaced"))?;
        }
    }
    let sql = "INSERT INTO sessions (id, reviewer_id, token_hash, device, created_at, seen_at, expires_at)
               VALUES ($1, $2, $3, $4, $5, $5, $6)";
    sqlx::query(sql)
        .bind(&new.id)
        .bind(reviewer.to_string())
        .bind(trust.seal.keyed(&new.token_hash).to_string())
        .bind(&new.device)
        .bind(now.0)
        .bind(now.after(new.longest).0)
        .execute(tx.connection())
        .await?;
    let entry = Entry::new("session.signed_in").reviewer(reviewer).with("session", new.id.as_str());
    let entry = tx.append_numbered(entry.with("by", how.as_str()))?;
    SESSIONS.seal_row(tx, &new.id, Some(entry)).await
}

/// Ends all sessions of a person but one; returns how many.
pub(super) async fn end_all(tx: &mut Tx<'_>, reviewer: ReviewerId, keep: Option<&str>) -> Result<u64, StoreError> {
    let now = tx.now().0;
    let sql = "UPDATE sessions SET ended_at = $2
               WHERE reviewer_id = $1 AND ended_at IS NULL AND ($3 IS NULL OR id <> $3) RETURNING id";
    let query = sqlx::query_scalar::<_, String>(sql).bind(reviewer.to_string()).bind(now).bind(keep);
    let ended = query.fetch_all(tx.connection()).await?;
    for id in &ended {
        SESSIONS.seal_row(tx, id, None).await?;
    }
    SESSIONS.spend_all(tx, &reviewer.to_string(), keep);
    Ok(ended.len() as u64)
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
                let stands = stands(tx, reviewer, &phc).await?;
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
        let trust = self.trust();
        let query = sqlx::query(SESSIONS.select("WHERE t.token_hash = $1")).bind(trust.seal.keyed(&hash).to_string());
        let Some(row) = query.fetch_optional(self.readers()).await? else { return Ok(None) };
        let session = session(&row, &trust)?;
        let person = self.reviewer(session.reviewer).await?;
        Ok(person.map(|person| (session, person)))
    }

    /// A person's sessions that were not ended, the last used first.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn sessions_of(&self, reviewer: ReviewerId) -> Result<Vec<SessionRow>, StoreError> {
        let which = "WHERE t.reviewer_id = $1 AND t.ended_at IS NULL ORDER BY t.seen_at DESC, t.id";
        let query = sqlx::query(SESSIONS.select(which)).bind(reviewer.to_string());
        let trust = self.trust();
        let rows = query.fetch_all(self.readers()).await?;
        rows.iter().map(|row| session(row, &trust)).collect()
    }

    /// Notes that a session was used. No entry: being there changes nothing.
    ///
    /// # Errors
    /// The database did not take it.
    pub async fn session_seen(&self, id: String) -> Result<(), StoreError> {
        self.write("session_seen", move |tx| {
            Box::pin(async move {
                let (now, trust) = (tx.now().0, tx.trust());
                let query = sqlx::query(SESSIONS.select("WHERE t.id = $1")).bind(&id);
                let row = query.fetch_optional(tx.connection()).await?;
                let row = row.as_ref().map(|row| session(row, &trust)).transpose()?;
                if row.is_some_and(|row| row.ended_at.is_none() && row.seen_at.0 < now) {
                    let sql = "UPDATE sessions SET seen_at = $2 WHERE id = $1";
                    sqlx::query(sql).bind(&id).bind(now).execute(tx.connection()).await?;
                    SESSIONS.seal_row(tx, &id, None).await?;
                }
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
                    SESSIONS.spend_row(tx, &id, None, How::Ended).await?;
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
                    let entry = Entry::new("session.signed_out").reviewer(reviewer).with("sessions", ended);
                    tx.append(match keep {
                        Some(keep) => entry.with("kept", keep),
                        None => entry,
                    })?;
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
