//! One-time sign-in links.

use std::time::Duration;

use sqlx::Row as _;
use subtle::ConstantTimeEq as _;

use super::reviewers::{by_id, end_links};
use super::sessions::{NewSession, SignIn, open};
use super::{Reviewer, parsed};
use crate::audit::Entry;
use crate::call::{Digest, ReviewerId};
use crate::store::sealed::LINKS;
use crate::store::spent::How;
use crate::store::{Store, StoreError};

/// A link that is to be made.
#[derive(Clone, Debug)]
pub struct NewLink {
    /// Whom it signs in.
    pub reviewer: ReviewerId,
    /// SHA-256 of the token in its address.
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
    /// The link's row, or this person's, was changed behind Placet's back.
    Changed(ReviewerId),
}

const OPEN: &str = "WHERE t.token_hash = $1 AND t.ended_at IS NULL AND t.expires_at > $2 AND t.tries < $3";

impl Store {
    /// Makes a link; earlier open ones of the same person end.
    ///
    /// # Errors
    /// The database did not take it.
    pub async fn link_add(&self, new: NewLink) -> Result<(), StoreError> {
        self.write("link_add", move |tx| {
            Box::pin(async move {
                let (now, seal) = (tx.now(), tx.trust().seal);
                end_links(tx, new.reviewer).await?;
                let token = seal.keyed(&new.token_hash).to_string();
                let sql = "INSERT INTO sign_in_links (token_hash, code_hash, reviewer_id, created_at, expires_at)
                           VALUES ($1, $2, $3, $4, $5)";
                sqlx::query(sql)
                    .bind(&token)
                    .bind(seal.keyed(&new.code_hash).to_string())
                    .bind(new.reviewer.to_string())
                    .bind(now.0)
                    .bind(now.after(new.lifetime).0)
                    .execute(tx.connection())
                    .await?;
                let entry = tx.append_numbered(Entry::new("link.made").reviewer(new.reviewer))?;
                LINKS.seal_row(tx, &token, Some(entry)).await
            })
        })
        .await
    }

    /// Whether a link can still be used. Reads only.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn link_is_open(&self, token_hash: Digest, tries: u32) -> Result<bool, StoreError> {
        let trust = self.trust();
        let query = sqlx::query(LINKS.select(OPEN)).bind(trust.seal.keyed(&token_hash).to_string());
        let row = query.bind(self.now().0).bind(i64::from(tries)).fetch_optional(self.readers()).await?;
        row.map_or(Ok(false), |row| LINKS.is_genuine(&row, &trust))
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
                let (now, trust) = (tx.now().0, tx.trust());
                let token = trust.seal.keyed(&token_hash).to_string();
                let query = sqlx::query(LINKS.select(OPEN)).bind(&token).bind(now).bind(i64::from(tries));
                let Some(row) = query.fetch_optional(tx.connection()).await? else { return Ok(LinkUse::Dead) };
                let id: ReviewerId = parsed(&row, "sign_in_links", "reviewer_id")?;
                if !LINKS.is_genuine(&row, &trust)? {
                    return Ok(LinkUse::Changed(id));
                }
                // How many tries are left is not sealed: what slows guessing down is counted in memory as well.
                let sql = "UPDATE sign_in_links SET tries = tries + 1 WHERE token_hash = $1 RETURNING tries";
                let used: i64 = sqlx::query_scalar(sql).bind(&token).fetch_one(tx.connection()).await?;
                let stored: String = row.try_get("code_hash")?;
                let presented = trust.seal.keyed(&code_hash).to_string();
                if !bool::from(stored.as_bytes().ct_eq(presented.as_bytes())) {
                    tx.append(Entry::new("session.refused").reviewer(id).with("why", "wrong code"))?;
                    return Ok(LinkUse::WrongCode { left: u32::try_from(i64::from(tries) - used).unwrap_or(0) });
                }
                let Some(person) = by_id(tx.connection(), id, &trust).await? else { return Ok(LinkUse::Dead) };
                if !person.genuine {
                    return Ok(LinkUse::Changed(id));
                }
                if person.disabled_at.is_some() {
                    return Ok(LinkUse::Dead);
                }
                let sql = "UPDATE sign_in_links SET ended_at = $2 WHERE token_hash = $1";
                sqlx::query(sql).bind(&token).bind(now).execute(tx.connection()).await?;
                LINKS.spend_row(tx, &token, None, How::Ended).await?;
                open(tx, id, &session, SignIn::Link).await?;
                Ok(LinkUse::SignedIn(person))
            })
        })
        .await
    }
}
