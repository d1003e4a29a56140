//! Who may ask and who may decide: agents, reviewers, their secrets and their sessions.
//!
//! Secrets are made here, handed over once, and stored as hashes. Every change is written together with its entry in
//! the log. What a refused sign-in answers never tells whether an address has an account, in words or in time.

mod agents;
pub mod csrf;
pub mod link;
pub mod password;
mod reviewers;
mod session;
mod sign_in;
pub mod throttle;
pub mod token;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;

pub use crate::store::{Agent, ApiToken, Reviewer, Roles, SessionRow};
pub use agents::AddedAgent;
pub use reviewers::{AddReviewer, MadeLink, MadeToken};
pub use session::{ApiAccess, Session, SessionState};
pub use sign_in::{LinkError, SignInError, SignedIn};

use crate::call::Email;
use crate::clock::{Clock, Entropy};
use crate::store::{Store, StoreError};
use password::{BadPassword, HashError, Hasher};
use throttle::Throttle;

/// How long sessions last.
#[derive(Clone, Copy, Debug)]
pub struct SessionLimits {
    /// Without use.
    pub idle: Duration,
    /// At all.
    pub max: Duration,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self { idle: Duration::from_secs(12 * 3600), max: Duration::from_secs(7 * 24 * 3600) }
    }
}

/// Why something about an account or an agent was not done, in words for who asked.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The name is taken.
    #[error("there is already an agent named {0}; choose another name, or revoke that one first")]
    AgentExists(String),
    /// No live agent has that name.
    #[error("no agent is named {0}; `placet agent list` shows those there are")]
    NoAgent(String),
    /// The address is taken.
    #[error("there is already a reviewer with the address {0}; disable that account first to make it anew")]
    ReviewerExists(Email),
    /// No live account has that address.
    #[error("no reviewer has the address {0}; `placet reviewer list` shows those there are")]
    NoReviewer(Email),
    /// A name that cannot be shown in one line.
    #[error("a reviewer's name has at most 200 characters and none that are invisible")]
    BadName,
    /// Nobody with these rights could do anything.
    #[error("an account needs a role: reviewer, auditor or administrator")]
    NoRole,
    /// The password cannot be taken.
    #[error(transparent)]
    BadPassword(#[from] BadPassword),
    /// The current password is not this one.
    #[error("the current password is another one")]
    WrongPassword,
    /// Too many tries.
    #[error("too many wrong passwords; try again in {} s", .0.as_secs().max(1))]
    Throttled(Duration),
    /// Hashing could not be done.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The database did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Agents, reviewers and sessions of one data folder. Clones share throttle and events.
#[derive(Clone, Debug)]
pub struct Identity {
    store: Store,
    clock: Clock,
    entropy: Entropy,
    hasher: Hasher,
    limits: SessionLimits,
    /// A plain mutex: held for a few look-ups in memory, never across a wait.
    throttle: Arc<Mutex<Throttle>>,
    /// How often something has ended.
    ended: Arc<watch::Sender<u64>>,
}

impl Identity {
    /// Over this store.
    #[must_use]
    pub fn new(store: Store, clock: Clock, entropy: Entropy, limits: SessionLimits) -> Self {
        let hasher = Hasher::new(entropy.clone());
        Self { store, clock, entropy, hasher, limits, throttle: Arc::default(), ended: Arc::default() }
    }

    /// How long sessions last.
    #[must_use]
    pub fn limits(&self) -> SessionLimits {
        self.limits
    }

    /// Changes whenever a session, token or account has ended, so that an open socket looks at once whether its own
    /// still lives.
    #[must_use]
    pub fn endings(&self) -> watch::Receiver<u64> {
        self.ended.subscribe()
    }

    fn tell_ended(&self) {
        self.ended.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn throttle(&self) -> std::sync::MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
