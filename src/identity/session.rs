//! Sessions and API tokens in use: from what a request presents to the person behind it.

use std::time::Duration;

use super::token::{Kind, Token};
use super::{ApiToken, Identity, Reviewer, SessionRow, csrf};
use crate::call::{Millis, ReviewerId};
use crate::store::{Changed, StoreError};

/// "Last used" is written at most this often: it is for people to read.
const SEEN_EVERY: Duration = Duration::from_secs(60);

/// A live session.
#[derive(Clone, Debug)]
pub struct Session {
    /// Its public id.
    pub id: String,
    /// Who it is.
    pub reviewer: Reviewer,
    /// The token that its forms carry.
    pub csrf: String,
    /// When it ends at the latest.
    pub expires_at: Millis,
}

/// What a cookie is worth.
#[derive(Clone, Debug)]
pub enum SessionState {
    /// A live session.
    Live(Box<Session>),
    /// It was one, of an account that is disabled now.
    Disabled,
    /// It was one, and has ended or run out.
    Over,
    /// It never was one.
    None,
}

/// What a live API token allows.
#[derive(Clone, Debug)]
pub struct ApiAccess {
    /// Its public id.
    pub token: String,
    /// Whose it is.
    pub reviewer: Reviewer,
    /// Whether it may decide calls. Never critical ones.
    pub may_decide: bool,
}

impl Identity {
    /// The session that a cookie stands for; notes that it was used.
    ///
    /// # Errors
    /// The database does not answer, or a row was changed behind Placet's back.
    pub async fn session(&self, cookie: &str) -> Result<SessionState, StoreError> {
        let state = self.look_up(cookie).await?;
        if let (SessionState::Live(session), Some(row)) = &state
            && self.clock.now().since(row.seen_at) >= SEEN_EVERY
        {
            // Where nothing can be written people can still read; the session ends the sooner for it.
            if let Err(error) = self.store.session_seen(session.id.clone()).await {
                tracing::warn!(%error, "that a session was used was not noted");
            }
        }
        Ok(state.0)
    }

    /// The same without noting it: an open socket does not keep a session alive.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn peek_session(&self, cookie: &str) -> Result<SessionState, StoreError> {
        Ok(self.look_up(cookie).await?.0)
    }

    async fn look_up(&self, cookie: &str) -> Result<(SessionState, Option<SessionRow>), StoreError> {
        let Some(token) = Token::parse(Kind::Session, cookie) else { return Ok((SessionState::None, None)) };
        let Some((row, reviewer)) = self.store.session_by_token(token.hash()).await? else {
            return Ok((SessionState::None, None));
        };
        self.must_be_genuine(&reviewer).await?;
        if !row.genuine {
            self.store.alarm(Changed::Session(row.id, row.reviewer)).await;
            return Err(StoreError::Changed("session"));
        }
        if reviewer.disabled_at.is_some() {
            return Ok((SessionState::Disabled, None));
        }
        if row.ended_at.is_some() || !self.lasts(&row) {
            return Ok((SessionState::Over, None));
        }
        let (id, expires_at) = (row.id.clone(), row.expires_at);
        let session = Session { id, reviewer, csrf: csrf::token(&token), expires_at };
        Ok((SessionState::Live(Box::new(session)), Some(row)))
    }

    async fn must_be_genuine(&self, reviewer: &Reviewer) -> Result<(), StoreError> {
        if reviewer.genuine {
            return Ok(());
        }
        self.store.alarm(Changed::Reviewer(reviewer.id)).await;
        Err(StoreError::Changed("account"))
    }

    fn lasts(&self, row: &SessionRow) -> bool {
        let now = self.clock.now();
        now < row.expires_at && now < row.seen_at.after(self.limits.idle)
    }

    /// A person's open sessions, the last used first.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn sessions(&self, reviewer: ReviewerId) -> Result<Vec<SessionRow>, StoreError> {
        let mut sessions = self.store.sessions_of(reviewer).await?;
        sessions.retain(|row| self.lasts(row));
        Ok(sessions)
    }

    /// Ends one of a person's sessions; `false` if there is none of that id.
    ///
    /// # Errors
    /// The database did not take it.
    pub async fn session_end(&self, reviewer: ReviewerId, id: String) -> Result<bool, StoreError> {
        let ended = self.store.session_end(reviewer, id).await?;
        if ended {
            self.tell_ended();
        }
        Ok(ended)
    }

    /// Ends all of a person's sessions but `keep`; returns how many.
    ///
    /// # Errors
    /// The database did not take it.
    pub async fn sessions_end(&self, reviewer: ReviewerId, keep: Option<String>) -> Result<u64, StoreError> {
        let ended = self.store.sessions_end(reviewer, keep).await?;
        self.tell_ended();
        Ok(ended)
    }

    /// What a bearer token of the API allows; `None` for one that is not live, or whose account is disabled.
    ///
    /// # Errors
    /// The database does not answer, or a row was changed behind Placet's back.
    pub async fn api_token(&self, presented: &str) -> Result<Option<ApiAccess>, StoreError> {
        let Some(access) = self.peek_api_token(presented).await? else { return Ok(None) };
        let (row, access) = access;
        if row.used_at.is_none_or(|used| self.clock.now().since(used) >= SEEN_EVERY) {
            // Where nothing can be written people can still read.
            if let Err(error) = self.store.api_token_used(row.id).await {
                tracing::warn!(%error, "that an API token was used was not noted");
            }
        }
        Ok(Some(access))
    }

    /// The same without noting it.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn peek_api_token(&self, presented: &str) -> Result<Option<(ApiToken, ApiAccess)>, StoreError> {
        let Some(token) = Token::parse(Kind::Api, presented) else { return Ok(None) };
        let Some((row, reviewer)) = self.store.api_token_by_hash(token.hash()).await? else { return Ok(None) };
        self.must_be_genuine(&reviewer).await?;
        if !row.genuine {
            self.store.alarm(Changed::Token(row.id, row.reviewer)).await;
            return Err(StoreError::Changed("API token"));
        }
        let live = row.ended_at.is_none() && self.clock.now() < row.expires_at && reviewer.disabled_at.is_none();
        let access = ApiAccess { token: row.id.clone(), reviewer, may_decide: row.may_decide };
        Ok(live.then_some((row, access)))
    }
}
