//! A reviewer's verdict.

use super::{Approvals, Ineligible, Seal, may_decide};
use crate::audit::Entry;
use crate::call::{
    CallId, CallState, Digest, Event, HeldCall, InvalidTransition, ReviewerId, StandingId, StoredVote, Verdict, Vote,
    secrets,
};
use crate::store::{ApprovalProof, CallChange, Changed, NotChanged, Scene, StoreError};
use crate::telemetry;

/// Longest reason, in bytes.
pub(super) const LONGEST_REASON: usize = 4000;

/// Where a verdict came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// The page, in a signed-in session.
    Page,
    /// The API, with a token.
    Api,
    /// A standing approval, on behalf of who granted it.
    Standing(StandingId),
}

impl Channel {
    /// The word in the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Api => "api",
            Self::Standing(_) => "standing",
        }
    }
}

/// What a reviewer says.
#[derive(Clone, Debug)]
pub struct Decision {
    /// Of which call.
    pub call: CallId,
    /// The digest that the reviewer saw.
    pub digest: Digest,
    /// The answer.
    pub verdict: Verdict,
    /// Why; may be empty where nothing asks for one.
    pub reason: String,
    /// Who.
    pub by: ReviewerId,
    /// From where.
    pub channel: Channel,
    /// The deliberate extra step was taken.
    pub confirmed: bool,
}

/// Why a verdict did not count. Nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    /// No such call.
    #[error("there is no such call")]
    NotFound,
    /// This person may not.
    #[error("{0}")]
    Forbidden(#[from] Ineligible),
    /// An API token never decides a critical call.
    #[error("a critical call is decided by a person on its page, not with an API token")]
    CriticalByApi,
    /// The reviewer saw something else.
    #[error("the call is not the one you were shown; open it again and read it before you decide")]
    StaleDigest,
    /// The stored call is not the one that was held.
    #[error(
        "the stored call was changed behind Placet's back, so nobody can decide it; tell whoever runs this service"
    )]
    Tampered,
    /// Somebody or something was faster.
    #[error("the call is {} already; your verdict does not count", .0.state.name())]
    NotPending(Box<HeldCall>),
    /// The deadline is over.
    #[error("the deadline has passed; your verdict does not count")]
    TooLate,
    /// One vote a person.
    #[error("you have voted on this call already")]
    VotedAlready,
    /// The policy or the call's gravity wants a reason.
    #[error("this call needs a reason with the approval; say in a sentence why it is right")]
    ReasonRequired,
    /// Longer than is kept.
    #[error("the reason is longer than {LONGEST_REASON} bytes; shorten it")]
    ReasonTooLong,
    /// A critical call needs the deliberate extra step.
    #[error("this call is critical; confirm that you have read what it would do")]
    NeedsConfirmation,
    /// The database did not take it.
    #[error("your verdict was not recorded: {0}")]
    Store(#[from] StoreError),
}

impl Approvals {
    /// Takes a verdict. When this returns the call, the verdict is durable; an approval that makes the quorum also
    /// starts the release.
    ///
    /// # Errors
    /// Why the verdict does not count.
    pub async fn decide(&self, decision: Decision) -> Result<HeldCall, DecideError> {
        if decision.reason.len() > LONGEST_REASON {
            return Err(DecideError::ReasonTooLong);
        }
        let (seal, solo, id, by) = (self.0.seal.clone(), self.0.settings.self_approval, decision.call, decision.by);
        let (verdict, channel) = (decision.verdict.as_str(), decision.channel.as_str());
        failpoint!("decide.vote");
        let outcome =
            self.0.store.change_call(id, Some(by), move |scene| change(scene, &decision, &seal, solo)).await?;
        match outcome {
            Ok(call) => {
                failpoint!("decide.decided");
                telemetry::decided(verdict, channel);
                self.announce(&call);
                match call.state {
                    CallState::Approved { .. } => self.spawn_release(id, false),
                    CallState::Rejected { .. } => self.0.store.ends_kept().await,
                    _ => {}
                }
                Ok(call)
            }
            Err(NotChanged::NoSuchCall) => Err(DecideError::NotFound),
            Err(NotChanged::Declined(error)) => {
                match &error {
                    DecideError::Tampered => self.0.store.alarm(Changed::Call(id)).await,
                    DecideError::Forbidden(Ineligible::Changed) => self.0.store.alarm(Changed::Reviewer(by)).await,
                    _ => {}
                }
                Err(error)
            }
            Err(NotChanged::Invalid(_, InvalidTransition::TooLate)) => Err(DecideError::TooLate),
            Err(NotChanged::Invalid(_, InvalidTransition::VotedAlready)) => Err(DecideError::VotedAlready),
            Err(NotChanged::Invalid(call, _)) => Err(DecideError::NotPending(call)),
        }
    }
}

fn change(scene: &Scene<'_>, decision: &Decision, seal: &Seal, solo: bool) -> Result<CallChange, DecideError> {
    let (call, now) = (scene.call, scene.now);
    let requirement = &call.submission.requirement;
    let person = scene.people.get(&decision.by).ok_or(Ineligible::Disabled)?;
    may_decide(call, person, solo)?;
    if !call.genuine {
        return Err(DecideError::Tampered);
    }
    if !call.state.is_pending() {
        return Err(DecideError::NotPending(Box::new(call.clone())));
    }
    if !call.digest.matches(&decision.digest) {
        return Err(DecideError::StaleDigest);
    }
    if !seal.is_as_held(call) {
        tracing::error!(call = %call.submission.id, "ALARM: a pending call is not the one that was held");
        return Err(DecideError::Tampered);
    }
    // Masked before anything keeps it: log, mails and the agent's answer repeat it, and none of them is erased.
    let reason = secrets::mask_text(decision.reason.trim());
    if requirement.is_critical() && decision.channel == Channel::Api {
        return Err(DecideError::CriticalByApi);
    }
    if decision.verdict == Verdict::Approve {
        if requirement.is_critical() && !decision.confirmed {
            return Err(DecideError::NeedsConfirmation);
        }
        if (requirement.require_reason || requirement.is_critical()) && reason.is_empty() {
            return Err(DecideError::ReasonRequired);
        }
    }
    let vote = Vote { verdict: decision.verdict, by: decision.by, at: now, reason };
    let mac = seal.vote(&call.digest, &vote);
    let stored = StoredVote { vote: vote.clone(), by_email: person.email.clone(), mac };
    let usable_until = now.after(requirement.execute_within);
    let event = Event::Vote { vote: vote.clone(), quorum: requirement.quorum, usable_until };
    // Asked of the state itself, so that entry and proof say what the step will make of the vote.
    let next = call.state.clone().apply(event.clone()).ok();
    let (kind, notice) = match &next {
        Some(CallState::Rejected { .. }) => ("call.rejected", Some("call.decided")),
        Some(CallState::Approved { .. }) => ("call.approved", Some("call.decided")),
        _ => ("call.voted", None),
    };
    let own = person.email == call.submission.agent.owner;
    let mut entry = entry_of(call, kind)
        .reviewer(decision.by)
        .with("verdict", decision.verdict.as_str())
        .with("reason", vote.reason.clone())
        .with("channel", decision.channel.as_str())
        .with("self_approval", own);
    if let Channel::Standing(id) = decision.channel {
        entry = entry.with("standing", id.to_string());
    }
    let approval = match &next {
        Some(CallState::Approved { by, at, usable_until }) => {
            entry = entry.with("usable_until", usable_until.to_string());
            Some(ApprovalProof(seal.approval(&call.digest, by, *at, *usable_until)))
        }
        _ => None,
    };
    Ok(CallChange { event, entry, vote: Some(stored), approval, answer: None, notice })
}

/// An entry about this call, with the digest that everything about it is tied to.
pub(super) fn entry_of(call: &HeldCall, kind: &'static str) -> Entry {
    Entry::new(kind)
        .call(call.submission.id)
        .agent(&call.submission.agent.name)
        .upstream(&call.submission.upstream)
        .tool(&call.submission.tool)
        .with("digest", call.digest.to_string())
}
