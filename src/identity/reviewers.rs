//! Reviewers' accounts: made, disabled, given links, tokens and passwords.

use std::collections::BTreeSet;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use super::link::{self, SignInLink};
use super::throttle::Source;
use super::token::{Kind, Token};
use super::{Identity, IdentityError, Reviewer, Roles, Session, password, sign_in};
use crate::call::{Email, GroupName, Millis, ReviewerId};
use crate::store::{ApiToken, Changed, NewApiToken, NewLink, NewReviewer, StoreError};

/// What an account is made of.
#[derive(Clone, Debug)]
pub struct AddReviewer {
    /// Where mails go, and what is typed to sign in.
    pub email: Email,
    /// As shown to others; the address where none is given.
    pub name: Option<String>,
    /// What the person may do.
    pub roles: Roles,
    /// Whose calls the person reviews.
    pub groups: BTreeSet<GroupName>,
    /// `None`: the person signs in by link, and may choose one then.
    pub password: Option<SecretString>,
}

/// A sign-in link for the one who made it.
#[derive(Clone, Debug)]
pub struct MadeLink {
    /// Token and code.
    pub link: SignInLink,
    /// When it ends.
    pub expires_at: Millis,
}

/// An API token for the one who made it.
#[derive(Clone, Debug)]
pub struct MadeToken {
    /// Shown once.
    pub token: Token,
    /// When it ends.
    pub expires_at: Millis,
}

impl Identity {
    /// Makes an account, or opens a disabled one again.
    ///
    /// # Errors
    /// The address is taken, no role, a bad name or password, or the database did not take it.
    pub async fn reviewer_add(&self, add: AddReviewer) -> Result<Reviewer, IdentityError> {
        if add.roles.names().is_empty() {
            return Err(IdentityError::NoRole);
        }
        let name = add.name.unwrap_or_else(|| add.email.to_string());
        if name.trim().is_empty() || name.chars().count() > 200 || name.chars().any(char::is_control) {
            return Err(IdentityError::BadName);
        }
        let password = match add.password {
            Some(password) => {
                password::check(password.expose_secret())?;
                Some(self.hasher.hash(password).await?)
            }
            None => None,
        };
        let id = ReviewerId(self.entropy.uuid(self.clock.now()));
        let (roles, groups, email) = (add.roles, add.groups, add.email);
        let new = NewReviewer { id, email: email.clone(), name, roles, groups, password };
        self.store.reviewer_add(new).await?.ok_or(IdentityError::ReviewerExists(email))
    }

    /// All accounts, the disabled ones last.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn reviewers(&self) -> Result<Vec<Reviewer>, StoreError> {
        self.store.reviewers().await
    }

    /// Disables an account; its sessions, links and tokens end at once.
    ///
    /// # Errors
    /// No live account has that address, or the database did not take it.
    pub async fn reviewer_disable(&self, email: Email) -> Result<Reviewer, IdentityError> {
        let disabled = self.store.reviewer_disable(email.clone()).await?;
        let reviewer = disabled.ok_or(IdentityError::NoReviewer(email))?;
        self.tell_ended();
        Ok(reviewer)
    }

    /// Makes a one-time sign-in link; earlier ones of the person end.
    ///
    /// # Errors
    /// No live account has that address, or the database did not take it.
    pub async fn link_make(&self, email: Email) -> Result<MadeLink, IdentityError> {
        let reviewer = self.live(email).await?;
        let made = SignInLink::new(&self.entropy);
        let (token_hash, code_hash) = (made.token.hash(), made.code_hash());
        let new = NewLink { reviewer: reviewer.id, token_hash, code_hash, lifetime: link::LIFETIME };
        self.store.link_add(new).await?;
        Ok(MadeLink { link: made, expires_at: self.clock.now().after(link::LIFETIME) })
    }

    /// Makes an API token: it reads, and decides only where `may_decide`.
    ///
    /// # Errors
    /// No live account has that address, or the database did not take it.
    pub async fn api_token_make(
        &self,
        email: Email,
        may_decide: bool,
        lifetime: Duration,
    ) -> Result<MadeToken, IdentityError> {
        let reviewer = self.live(email).await?.id;
        let token = Token::new(Kind::Api, &self.entropy);
        let id = self.entropy.uuid(self.clock.now()).to_string();
        let new = NewApiToken { id, reviewer, token_hash: token.hash(), may_decide, lifetime };
        let expires_at = self.store.api_token_add(new).await?;
        Ok(MadeToken { token, expires_at })
    }

    /// A person's API tokens that still work.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn api_tokens(&self, reviewer: ReviewerId) -> Result<Vec<ApiToken>, StoreError> {
        let mut tokens = self.store.api_tokens_of(reviewer).await?;
        let now = self.clock.now();
        tokens.retain(|token| now < token.expires_at);
        Ok(tokens)
    }

    /// Ends one of a person's API tokens; `false` if there is none of that id.
    ///
    /// # Errors
    /// The database did not take it.
    pub async fn api_token_end(&self, reviewer: ReviewerId, id: String) -> Result<bool, StoreError> {
        let ended = self.store.api_token_end(reviewer, id).await?;
        if ended {
            self.tell_ended();
        }
        Ok(ended)
    }

    /// Whether the person has a password.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn has_password(&self, reviewer: &Reviewer) -> Result<bool, StoreError> {
        let found = self.store.reviewer_by_email(&reviewer.email).await?;
        Ok(found.is_some_and(|(_, password)| password.is_some()))
    }

    /// Changes the password of the person in this session, and ends the person's other sessions. Who has none yet
    /// chooses one without giving the current one.
    ///
    /// # Errors
    /// The current one is wrong or was wrong too often, the new one is bad, or the database did not take it.
    pub async fn change_password(
        &self,
        session: &Session,
        source: Source,
        current: SecretString,
        new: SecretString,
    ) -> Result<(), IdentityError> {
        let person = &session.reviewer;
        password::check(new.expose_secret())?;
        let stored = self.store.reviewer_by_email(&person.email).await?.and_then(|(_, password)| password);
        if stored.is_some() {
            let account = sign_in::account(person.email.as_str());
            let begun = self.throttle().begin(account, source, self.clock.now());
            begun.map_err(IdentityError::Throttled)?;
            if !self.hasher.verify(current, stored).await? {
                self.store.session_refused(Some(person.id), "wrong current password").await?;
                return Err(IdentityError::WrongPassword);
            }
            self.throttle().succeeded(account, source, self.clock.now());
        }
        let phc = self.hasher.hash(new).await?;
        if !self.store.password_set(person.id, phc, Some(session.id.clone())).await? {
            return Err(IdentityError::NoReviewer(person.email.clone()));
        }
        self.tell_ended();
        Ok(())
    }

    async fn live(&self, email: Email) -> Result<Reviewer, IdentityError> {
        let found = self.store.reviewer_by_email(&email).await?;
        if let Some((person, _)) = found.as_ref().filter(|(person, _)| !person.genuine) {
            self.store.alarm(Changed::Reviewer(person.id)).await;
            return Err(StoreError::Changed("account of this address").into());
        }
        let live = found.map(|(person, _)| person).filter(|person| person.disabled_at.is_none());
        live.ok_or(IdentityError::NoReviewer(email))
    }
}
