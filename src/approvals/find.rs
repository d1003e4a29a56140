//! What a person found out about a call of which nobody knew whether it ran.

use super::decide::{LONGEST_REASON, entry_of};
use super::{Approvals, Channel, Ineligible, Seal, may_decide};
use crate::audit::Entry;
use crate::call::{CallId, CallState, Finding, HeldCall, Millis, ReviewerId, StoredFinding, secrets};
use crate::store::{FindingScene, StoreError};

/// What a person says.
#[derive(Clone, Debug)]
pub struct Find {
    /// Of which call.
    pub call: CallId,
    /// It took effect, or it did not.
    pub ran: bool,
    /// How they know; required.
    pub reason: String,
    /// Who.
    pub by: ReviewerId,
    /// From where.
    pub channel: Channel,
}

/// Why a finding was not recorded. Nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// No such call.
    #[error("there is no such call")]
    NotFound,
    /// This person may not decide the call, so neither may they say what became of it.
    #[error("{0}")]
    Forbidden(#[from] Ineligible),
    /// An API token never speaks for a critical call.
    #[error("what became of a critical call is said by a person on its page, not with an API token")]
    CriticalByApi,
    /// Its outcome is known, or there is none yet.
    #[error("the call is {}; a finding is only for a call whose outcome is unknown", .0.state.name())]
    NotUnknown(Box<HeldCall>),
    /// A finding is final.
    #[error("somebody has recorded a finding on this call already, and a finding is final; open the call to read it")]
    FoundAlready,
    /// The stored call is not the one that was held.
    #[error(
        "the stored call was changed behind Placet's back, so what it says is worth nothing; tell whoever runs this \
         service"
    )]
    Tampered,
    /// It must say how it is known.
    #[error("a finding needs a reason; say in a sentence how you know")]
    ReasonRequired,
    /// Longer than is kept.
    #[error("the reason is longer than {LONGEST_REASON} bytes; shorten it")]
    ReasonTooLong,
    /// The database did not take it.
    #[error("your finding was not recorded: {0}")]
    Store(#[from] StoreError),
}

impl Approvals {
    /// Records a finding. The call's state stays what it is and it is never sent again; after `ran: false` the same call
    /// is held anew when it comes again, after `ran: true` it is answered with the finding for as long as a result is
    /// kept.
    ///
    /// # Errors
    /// Why it was not recorded.
    pub async fn find(&self, find: Find) -> Result<HeldCall, FindError> {
        if find.reason.len() > LONGEST_REASON {
            return Err(FindError::ReasonTooLong);
        }
        let (seal, solo, id, by) = (self.0.seal.clone(), self.0.settings.self_approval, find.call, find.by);
        let found = self.0.store.record_finding(id, by, move |scene| judge(scene, &find, &seal, solo)).await?;
        let call = found.ok_or(FindError::NotFound)??;
        self.announce(&call);
        Ok(call)
    }

    /// Whether this call's finding, if it has one, was recorded here.
    #[must_use]
    pub fn is_genuine_finding(&self, call: &HeldCall) -> bool {
        call.finding.as_ref().is_none_or(|stored| self.0.seal.is_genuine_finding(&call.digest, stored))
    }

    /// Whether the latest same call still answers for a new one at this moment.
    pub(super) fn answers(&self) -> impl Fn(&HeldCall, Millis) -> bool + Send + 'static {
        let (limits, seal) = (self.0.settings.limits, self.0.seal.clone());
        move |call, now| match call.state {
            CallState::Pending { .. } | CallState::Approved { .. } | CallState::Releasing { .. } => true,
            CallState::OutcomeUnknown { .. } => match &call.finding {
                // Whoever can write rows must not make a call that may have run look as if it had not.
                Some(stored) if seal.is_genuine_finding(&call.digest, stored) => {
                    stored.finding.ran && now < stored.finding.at.after(limits.result_ttl)
                }
                _ => true,
            },
            CallState::Executed { .. } | CallState::ToolError { .. } => now < call.changed_at.after(limits.result_ttl),
            CallState::Rejected { .. } => now < call.changed_at.after(limits.rejection_ttl),
            CallState::Expired { .. }
            | CallState::Cancelled { .. }
            | CallState::Lapsed { .. }
            | CallState::Revoked { .. } => false,
        }
    }
}

fn judge(scene: &FindingScene<'_>, find: &Find, seal: &Seal, solo: bool) -> Result<(StoredFinding, Entry), FindError> {
    let (call, at) = (scene.call, scene.now);
    let person = scene.person.ok_or(Ineligible::Disabled)?;
    may_decide(call, person, solo)?;
    if !matches!(call.state, CallState::OutcomeUnknown { .. }) {
        return Err(FindError::NotUnknown(Box::new(call.clone())));
    }
    let forged = |stored: &StoredFinding| !seal.is_genuine_finding(&call.digest, stored);
    if call.finding.as_ref().is_some_and(|stored| !forged(stored)) {
        return Err(FindError::FoundAlready);
    }
    if call.finding.is_some() || scene.logged || !call.genuine || !seal.is_as_held(call) {
        tracing::error!(call = %call.submission.id, "ALARM: a call of unknown outcome is not the one that was held");
        return Err(FindError::Tampered);
    }
    if call.submission.requirement.is_critical() && find.channel == Channel::Api {
        return Err(FindError::CriticalByApi);
    }
    let reason = secrets::mask_text(find.reason.trim());
    if reason.is_empty() {
        return Err(FindError::ReasonRequired);
    }
    let finding = Finding { ran: find.ran, by: find.by, at, reason };
    let entry = entry_of(call, "call.finding")
        .reviewer(find.by)
        .with("ran", finding.ran)
        .with("reason", finding.reason.clone())
        .with("channel", find.channel.as_str());
    let mac = seal.finding(&call.digest, &finding);
    Ok((StoredFinding { finding, by_email: person.email.clone(), mac }, entry))
}
