//! API tokens of people, for scripts and for the command line.

use std::time::Duration;

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::{Reviewer, moment, parsed};
use crate::audit::Entry;
use crate::call::{Digest, Millis, ReviewerId};
use crate::store::sealed::{API_TOKENS, Trust};
use crate::store::spent::How;
use crate::store::{Store, StoreError};

/// A token that is to be made.
#[derive(Clone, Debug)]
pub struct NewApiToken {
    /// Its public id.
    pub id: String,
    /// Whose it is.
    pub reviewer: ReviewerId,
    /// Its SHA-256.
    pub token_hash: Digest,
    /// Whether it may decide calls, critical ones excepted.
    pub may_decide: bool,
    /// How long it works.
    pub lifetime: Duration,
}

/// A token as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiToken {
    /// Its public id.
    pub id: String,
    /// Whose it is.
    pub reviewer: ReviewerId,
    /// Whether it may decide calls, critical ones excepted.
    pub may_decide: bool,
    /// When it was made.
    pub created_at: Millis,
    /// When it stops to work.
    pub expires_at: Millis,
    /// When it was last used, to about a minute.
    pub used_at: Option<Millis>,
    /// When it was ended; always so where the row is not genuine.
    pub ended_at: Option<Millis>,
    /// The row is as Placet wrote it last.
    pub genuine: bool,
}

/// A row that does not bear its seal is no token: one that has ended.
fn token(row: &SqliteRow, trust: &Trust) -> Result<ApiToken, StoreError> {
    let genuine = API_TOKENS.is_genuine(row, trust)?;
    let created_at = Millis(row.try_get("created_at")?);
    Ok(ApiToken {
        id: row.try_get("id")?,
        reviewer: parsed(row, "api_tokens", "reviewer_id")?,
        may_decide: row.try_get("may_decide")?,
        created_at,
        expires_at: Millis(row.try_get("expires_at")?),
        used_at: moment(row, "used_at")?,
        ended_at: moment(row, "ended_at")?.or((!genuine).then_some(created_at)),
        genuine,
    })
}

impl Store {
    /// Makes a token; returns when it ends.
    ///
    /// # Errors
    /// The database did not take it.
    pub async fn api_token_add(&self, new: NewApiToken) -> Result<Millis, StoreError> {
        self.write("api_token_add", move |tx| {
            Box::pin(async move {
                let now = tx.now();
                let expires = now.after(new.lifetime);
                let sql = "INSERT INTO api_tokens (id, reviewer_id, token_hash, may_decide, created_at, expires_at)
                           VALUES ($1, $2, $3, $4, $5, $6)";
                sqlx::query(sql)
                    .bind(&new.id)
                    .bind(new.reviewer.to_string())
                    .bind(tx.trust().seal.keyed(&new.token_hash).to_string())
                    .bind(new.may_decide)
                    .bind(now.0)
                    .bind(expires.0)
                    .execute(tx.connection())
                    .await?;
                let entry = Entry::new("token.made").reviewer(new.reviewer).with("token", new.id.as_str());
                let entry = entry.with("may_decide", new.may_decide).with("expires_at", expires.to_string());
                let entry = tx.append_numbered(entry)?;
                API_TOKENS.seal_row(tx, &new.id, Some(entry)).await?;
                Ok(expires)
            })
        })
        .await
    }

    /// The token with this hash and its person, ended or not, disabled or not.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn api_token_by_hash(&self, hash: Digest) -> Result<Option<(ApiToken, Reviewer)>, StoreError> {
        let trust = self.trust();
        let query = sqlx::query(API_TOKENS.select("WHERE t.token_hash = $1")).bind(trust.seal.keyed(&hash).to_string());
        let Some(row) = query.fetch_optional(self.readers()).await? else { return Ok(None) };
        let token = token(&row, &trust)?;
        let person = self.reviewer(token.reviewer).await?;
        Ok(person.map(|person| (token, person)))
    }

    /// A person's tokens that were not ended, the newest first.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn api_tokens_of(&self, reviewer: ReviewerId) -> Result<Vec<ApiToken>, StoreError> {
        let which = "WHERE t.reviewer_id = $1 AND t.ended_at IS NULL ORDER BY t.created_at DESC, t.id";
        let query = sqlx::query(API_TOKENS.select(which)).bind(reviewer.to_string());
        let trust = self.trust();
        let rows = query.fetch_all(self.readers()).await?;
        rows.iter().map(|row| token(row, &trust)).collect()
    }

    /// Notes that a token was used.
    ///
    /// # Errors
    /// The database did not take it.
    pub async fn api_token_used(&self, id: String) -> Result<(), StoreError> {
        self.write("api_token_used", move |tx| {
            Box::pin(async move {
                let now = tx.now().0;
                sqlx::query("UPDATE api_tokens SET used_at = $2 WHERE id = $1")
                    .bind(id)
                    .bind(now)
                    .execute(tx.connection())
                    .await?;
                Ok(())
            })
        })
        .await
    }

    /// Ends one token of this person; `false` if there is no such open one.
    ///
    /// # Errors
    /// The database did not take it.
    pub async fn api_token_end(&self, reviewer: ReviewerId, id: String) -> Result<bool, StoreError> {
        self.write("api_token_end", move |tx| {
            Box::pin(async move {
                let now = tx.now().0;
                let sql = "UPDATE api_tokens SET ended_at = $3 WHERE id = $1 AND reviewer_id = $2 AND ended_at IS NULL";
                let query = sqlx::query(sql).bind(&id).bind(reviewer.to_string()).bind(now);
                let ended = query.execute(tx.connection()).await?.rows_affected() > 0;
                if ended {
                    API_TOKENS.spend_row(tx, &id, None, How::Ended).await?;
                    tx.append(Entry::new("token.revoked").reviewer(reviewer).with("token", id))?;
                }
                Ok(ended)
            })
        })
        .await
    }
}
