//! One-time sign-in links.

use std::time::Duration;

use sqlx::Row as _;
use subtle::ConstantTimeEq as _;

use super::reviewers::{by_id, end_links};
use super::sessions::{NewSession, SignIn, open};
use super::{Reviewer, parsed};
use crate::audit::Entry;
use crate::call::{Digest, ReviewerId};
use crate::store::{Store, StoreError};

/// A link that is to be made.
#[derive(Clone, Debug)]
pub struct NewLink {
    /// Whom it signs in.
    pub reviewer: ReviewerId,
    /// Hash of the token in its address.
    pub token_hash: Digest,
    /// Hash of the code that goes another way.
    pub code_hash: Digest,
    /// How long it can be used.
    pub lifetime: Duration,
}

/// What became of a try to use a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkUse {
    /// Spent: the session is open.
    SignedIn(Reviewer),
    /// Not spent.
    WrongCode {
        /// Tries left.
        left: u32,
    },
    /// Used, expired, out of tries, disabled, or never made.
    Dead,
}

impl Store {
    /// Makes a link; earlier open ones of the same person end.
    ///
    /// # Errors
    /// The database did not take it.
    pub async fn link_add(&self, new: NewLink) -> Result<(), StoreError> {
        self.write("link_add", move |tx| {
            Box::pin(async move {
                let now = tx.now();
                end_links(tx, new.reviewer).await?;
                let sql = "INSERT INTO sign_in_links (token_hash, code_hash, reviewer_id, created_at, expires_at)
                           VALUES ($1, $2, $3, $4, $5)";
                sqlx::query(sql)
                    .bind(new.token_hash.to_string())
                    .bind(new.code_hash.to_string())
                    .bind(new.reviewer.to_string())
                    .bind(now.0)
                    .bind(now.after(new.lifetime).0)
                    .execute(tx.connection())
                    .await?;
                tx.append(Entry::new("link.made").reviewer(new.reviewer))
            })
        })
        .await
    }

    /// Whether a link can still be used. Reads only.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn link_is_open(&self, token_hash: Digest, tries: u32) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM sign_in_links
                   WHERE token_hash = $1 AND ended_at IS NULL AND expires_at > $2 AND tries < $3";
        let query = sqlx::query(sql).bind(token_hash.to_string()).bind(self.now().0).bind(i64::from(tries));
        Ok(query.fetch_optional(self.readers()).await?.is_some())
    }

    /// Uses a link: counts the try, and with the right code spends it and opens the session, all in one.
    ///
    /// # Errors
    /// The database did not take it; nothing is spent then.
    pub async fn link_use(
        &self,
        token_hash: Digest,
        code_hash: Digest,
        tries: u32,
        session: NewSession,
    ) -> Result<LinkUse, StoreError> {
        self.write("link_use", move |tx| {
            Box::pin(async move {
                let now = tx.now().0;
                let sql = "UPDATE sign_in_links SET tries = tries + 1
                           WHERE token_hash = $1 AND ended_at IS NULL AND expires_at > $2 AND tries < $3
                           RETURNING token_hash AS id, reviewer_id, code_hash, tries";
                let query = sqlx::query(sql).bind(token_hash.to_string()).bind(now).bind(i64::from(tries));
                let Some(row) = query.fetch_optional(tx.connection()).await? else { return Ok(LinkUse::Dead) };
                let id: ReviewerId = parsed(&row, "sign_in_links", "reviewer_id")?;
                let stored: String = row.try_get("code_hash")?;
                if !bool::from(stored.as_bytes().ct_eq(code_hash.to_string().as_bytes())) {
                    let used: i64 = row.try_get("tries")?;
                    tx.append(Entry::new("session.refused").reviewer(id).with("why", "wrong code"))?;
                    return Ok(LinkUse::WrongCode { left: u32::try_from(i64::from(tries) - used).unwrap_or(0) });
                }
                let Some(person) = by_id(tx.connection(), id).await?.filter(|p| p.disabled_at.is_none()) else {
                    return Ok(LinkUse::Dead);
                };
                let sql = "UPDATE sign_in_links SET ended_at = $2 WHERE token_hash = $1";
                sqlx::query(sql).bind(token_hash.to_string()).bind(now).execute(tx.connection()).await?;
                open(tx, id, &session, SignIn::Link).await?;
                Ok(LinkUse::SignedIn(person))
            })
        })
        .await
    }
}
