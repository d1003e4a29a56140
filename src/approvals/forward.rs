//! What approvals need of the rest: somebody who forwards a released call, and somebody who knows today's policy.

use std::future::Future;
use std::pin::Pin;

use crate::call::{Answer, Millis, StandingOffer, Submission};

/// A boxed future that lives as long as what it borrows.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Sends a released call to its upstream. Called once for a call, after its claim was committed.
pub trait Forward: Send + Sync {
    /// Sends `params` and `headers` of the submission, byte for byte, and waits for the answer.
    fn forward<'a>(&'a self, call: &'a Submission) -> BoxFuture<'a, Result<Answer, ForwardError>>;
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForwardError {
    /// Not one byte of the call reached the upstream: it surely did not run.
    #[error("{0}")]
    NotSent(String),
    /// It was sent, or may have been: it may have run.
    #[error("{0}")]
    Unknown(String),
}

/// What holds today, asked again when an approved call is about to run.
pub trait Rules: Send + Sync {
    /// Whether the policy in force and the configuration still allow this call at this moment.
    ///
    /// # Errors
    /// In a person's words: what forbids it.
    fn still_allow(&self, call: &Submission, now: Millis) -> Result<(), String>;

    /// How far the policy in force lets reviewers let calls like this one pass; `None`: not at all.
    fn standing(&self, call: &Submission, now: Millis) -> Option<StandingOffer>;
}
