//! Signing in, by password or by one-time link.

use std::time::Duration;

use secrecy::SecretString;

use super::link::{TRIES, code_hash};
use super::password::HashError;
use super::throttle::Source;
use super::token::{Kind, Token};
use super::{Identity, Reviewer};
use crate::call::{Digest, Email};
use crate::store::{Changed, LinkUse, NewSession, StoreError};

/// Somebody who has just signed in.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// For the cookie.
    pub cookie: Token,
    /// Who it is.
    pub reviewer: Reviewer,
}

/// Why nobody was signed in. Never tells whether the address has an account.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// Address or password.
    #[error("address or password are wrong")]
    Wrong,
    /// Too many tries; how long to wait.
    #[error("too many tries; wait {} s", .0.as_secs().max(1))]
    Throttled(Duration),
    /// Too many people at once, or hashing failed.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The database did not do it: nobody is signed in.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a link did not sign in.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The code is another one.
    #[error("the code is wrong; {0} tries are left")]
    WrongCode(u32),
    /// Used, expired, out of tries, or never made.
    #[error("this link cannot be used any more; ask for another one")]
    Dead,
    /// Too many tries; how long to wait.
    #[error("too many tries; wait {} s", .0.as_secs().max(1))]
    Throttled(Duration),
    /// The database did not do it: nothing is spent.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How the throttle knows an account: by what was typed, so that an address without an account is no exception.
pub(super) fn account(email: &str) -> Digest {
    Digest::of(email.trim().to_lowercase().as_bytes())
}

impl Identity {
    /// Signs in by address and password. `replaces` is the cookie that the browser sent: a sign-in always gets a new
    /// session, and that one ends.
    ///
    /// # Errors
    /// Wrong, throttled, too busy, or the database did not take it.
    pub async fn sign_in(
        &self,
        email: &str,
        password: SecretString,
        source: Source,
        device: String,
        replaces: Option<&str>,
    ) -> Result<SignedIn, SignInError> {
        let account = account(email);
        self.throttle().begin(account, source, self.clock.now()).map_err(SignInError::Throttled)?;
        let found = match Email::parse(email) {
            Ok(email) => self.store.reviewer_by_email(&email).await?,
            Err(_) => None,
        };
        let (person, stored) = found.map_or((None, None), |(person, stored)| (Some(person), stored));
        let right = self.hasher.verify(password, stored.clone()).await?;
        let id = person.as_ref().map(|person| person.id);
        // Told only to who knows the password: everybody else hears what a stranger hears.
        if let Some(person) = person.as_ref().filter(|person| right && !person.genuine) {
            self.store.alarm(Changed::Reviewer(person.id)).await;
            return Err(StoreError::Changed("account").into());
        }
        let Some(reviewer) = person.filter(|person| right && person.disabled_at.is_none()) else {
            self.store.session_refused(id, if right { "disabled" } else { "wrong password" }).await?;
            return Err(SignInError::Wrong);
        };
        self.throttle().succeeded(account, source, self.clock.now());
        let (cookie, session) = self.new_session(device, replaces);
        if !self.store.session_open(reviewer.id, stored.unwrap_or_default(), session).await? {
            return Err(SignInError::Wrong);
        }
        self.tell_ended();
        Ok(SignedIn { cookie, reviewer })
    }

    /// Whether a link's address still leads anywhere. Spends nothing.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn link_is_open(&self, presented: &str) -> Result<bool, StoreError> {
        match Token::parse(Kind::Link, presented) {
            Some(token) => self.store.link_is_open(token.hash(), TRIES).await,
            None => Ok(false),
        }
    }

    /// Signs in by link and code, and spends the link.
    ///
    /// # Errors
    /// Wrong code, a dead link, throttled, or the database did not take it.
    pub async fn sign_in_link(
        &self,
        presented: &str,
        code: &str,
        source: Source,
        device: String,
        replaces: Option<&str>,
    ) -> Result<SignedIn, LinkError> {
        let key = Digest::of(presented.as_bytes());
        self.throttle().begin(key, source, self.clock.now()).map_err(LinkError::Throttled)?;
        let Some(token) = Token::parse(Kind::Link, presented) else { return Err(LinkError::Dead) };
        let (cookie, session) = self.new_session(device, replaces);
        match self.store.link_use(token.hash(), code_hash(&token, code), TRIES, session).await? {
            LinkUse::SignedIn(reviewer) => {
                self.throttle().succeeded(key, source, self.clock.now());
                self.tell_ended();
                Ok(SignedIn { cookie, reviewer })
            }
            LinkUse::WrongCode { left } => Err(LinkError::WrongCode(left)),
            LinkUse::Dead => Err(LinkError::Dead),
            LinkUse::Changed(of) => {
                self.store.alarm(Changed::Link(of)).await;
                Err(StoreError::Changed("sign-in link or its account").into())
            }
        }
    }

    fn new_session(&self, device: String, replaces: Option<&str>) -> (Token, NewSession) {
        let cookie = Token::new(Kind::Session, &self.entropy);
        let replaces = replaces.and_then(|old| Token::parse(Kind::Session, old)).map(|old| old.hash());
        let id = self.entropy.uuid(self.clock.now()).to_string();
        let token_hash = cookie.hash();
        (cookie, NewSession { id, token_hash, device, longest: self.limits.max, replaces })
    }
}
