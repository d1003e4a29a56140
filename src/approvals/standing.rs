//! Standing approvals: a reviewer who approved a call lets the next ones like it pass, as far as the policy offers that.
//!
//! A call that passes is held like any other, and approved by the vote of whoever granted it: everything that is asked of
//! an approval is asked of this one too, when it is given and again at the release. A use is taken before the vote is
//! cast; where the two are torn apart the use is lost, and the call waits for people.

use std::collections::BTreeSet;
use std::time::Duration;

use super::decide::LONGEST_REASON;
use super::{Approvals, Channel, Decision, Ineligible, Seal, may_accept, may_decide};
use crate::call::json::{Limits, read_strict};
use crate::call::{
    CallId, CallState, HeldCall, Millis, Open, Quorum, ReviewerId, StandingApproval, StandingId, StandingOffer,
    Submission, Verdict, secrets,
};
use crate::explain::trickery;
use crate::policy::standing::fixed_part;
use crate::store::{GrantScene, NotEnded, StoreError};

/// So long after approving a call a person may grant that further ones pass: while it is fresh in mind.
const WITHIN: Duration = Duration::from_secs(15 * 60);

/// What a reviewer grants.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The call that they approved.
    pub call: CallId,
    /// The arguments that may differ.
    pub open: BTreeSet<String>,
    /// Most calls that pass.
    pub uses: u32,
    /// How long.
    pub lasts: Duration,
    /// Why; may be empty where an approval needs none.
    pub reason: String,
    /// Who.
    pub by: ReviewerId,
    /// From where.
    pub channel: Channel,
    /// The deliberate extra step was taken.
    pub confirmed: bool,
}

/// Why nothing was granted.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// No such call.
    #[error("there is no such call")]
    NotFound,
    /// This person may not decide such calls.
    #[error("{0}")]
    Forbidden(#[from] Ineligible),
    /// An API token never decides about critical calls.
    #[error("that critical calls may pass is granted by a person on the call's page, not with an API token")]
    CriticalByApi,
    /// The policy says nothing of it, or the call is one of those that people look at each time.
    #[error("the policy offers no standing approval for this call")]
    NotOffered,
    /// Only who approved the call grants more of the kind.
    #[error("only a person who approved this call, with nobody else's approval needed, can let further ones pass")]
    NotYours,
    /// It is too long ago.
    #[error("you approved this call more than 15 minutes ago; approve the next one, and grant it then")]
    TooLate,
    /// One for each call.
    #[error("a standing approval was granted on this call already")]
    GrantedAlready,
    /// More than the policy offers.
    #[error("{0}")]
    TooFar(String),
    /// The agent may not ask any more.
    #[error("this agent's access was revoked, so none of its calls can pass")]
    AgentGone,
    /// The stored call is not the one that was held.
    #[error(
        "the stored call was changed behind Placet's back, so nothing can be granted on it; tell whoever runs this service"
    )]
    Tampered,
    /// The policy or the call's gravity wants a reason.
    #[error("this needs a reason; say in a sentence why the next calls may pass unseen")]
    ReasonRequired,
    /// Longer than is kept.
    #[error("the reason is longer than {LONGEST_REASON} bytes; shorten it")]
    ReasonTooLong,
    /// A critical call needs the deliberate extra step.
    #[error("these calls are critical; confirm that you mean to let them pass unseen")]
    NeedsConfirmation,
    /// The database did not take it.
    #[error("nothing was granted: {0}")]
    Store(#[from] StoreError),
}

/// Why nothing was ended.
#[derive(Debug, thiserror::Error)]
pub enum EndError {
    /// No such standing approval.
    #[error("there is no such standing approval")]
    NotFound,
    /// This person may not.
    #[error("{0}")]
    Forbidden(#[from] Ineligible),
    /// Nothing was left to end.
    #[error("this standing approval is over already")]
    Over,
    /// The database did not take it.
    #[error("it was not ended: {0}")]
    Store(#[from] StoreError),
}

impl Approvals {
    /// Lets further calls like one pass. When this returns, that is durable; calls of the kind that wait already pass
    /// next, as far as the uses go.
    ///
    /// # Errors
    /// Why nothing was granted.
    pub async fn grant(&self, grant: Grant) -> Result<StandingApproval, GrantError> {
        if grant.reason.len() > LONGEST_REASON {
            return Err(GrantError::ReasonTooLong);
        }
        let (seal, solo, call, by) = (self.0.seal.clone(), self.0.settings.self_approval, grant.call, grant.by);
        let id = StandingId(self.0.entropy.uuid(self.0.store.now()));
        let judged = move |scene: &GrantScene<'_>| judge(scene, &grant, id, &seal, solo);
        let granted = self.0.store.grant_standing(call, by, judged).await?.ok_or(GrantError::NotFound)??;
        self.pass_waiting(&granted).await;
        Ok(granted)
    }

    /// Ends a standing approval: from now on every call waits for people again. Any reviewer may.
    ///
    /// # Errors
    /// Why it was not ended.
    pub async fn end_standing(&self, id: StandingId, by: ReviewerId) -> Result<StandingApproval, EndError> {
        let may = |person: Option<&_>| person.map_or(Err(Ineligible::Disabled), |person| may_accept(&[], person));
        self.0.store.end_standing(id, by, may).await?.map_err(|error| match error {
            NotEnded::NoSuch => EndError::NotFound,
            NotEnded::Over => EndError::Over,
            NotEnded::Declined(why) => EndError::Forbidden(why),
        })
    }

    /// Whether this person could grant something on this call now, and what.
    #[must_use]
    pub fn may_grant<'c>(&self, call: &'c HeldCall, by: ReviewerId) -> Option<&'c StandingOffer> {
        let offer = offered(call).ok()?;
        let vote = own_vote(call, by).ok()?;
        (self.0.store.now() < vote.after(WITHIN)).then_some(offer)
    }

    /// Approves a call that waits, if a standing approval lets it pass.
    pub(super) async fn pass(&self, call: &HeldCall) -> Option<HeldCall> {
        match self.try_pass(call).await {
            Ok(passed) => passed,
            Err(error) => {
                tracing::error!(call = %call.submission.id, %error, "a call that may have passed waits for people");
                None
            }
        }
    }

    async fn try_pass(&self, call: &HeldCall) -> Result<Option<HeldCall>, StoreError> {
        let submission = &call.submission;
        let waits = matches!(&call.state, CallState::Pending { votes, .. } if votes.is_empty());
        let Ok(frozen) = offered(call) else { return Ok(None) };
        if !waits || hides_something(submission.arguments()) {
            return Ok(None);
        }
        let known = self.0.store.standing_for(submission.agent.id, &submission.upstream, &submission.tool).await?;
        if known.is_empty() {
            return Ok(None);
        }
        let now = self.0.store.now();
        // A call that waits may have been held under a policy that offered more.
        let Some(offer) = self.0.rules.standing(submission, now) else { return Ok(None) };
        let like = |standing: &&StandingApproval| {
            standing.is_in_force(now)
                && standing.is_within(frozen, now)
                && standing.is_within(&offer, now)
                && is_like(call, standing, &self.0.seal)
        };
        for standing in known.iter().filter(like) {
            let (held, solo) = (call.clone(), self.0.settings.self_approval);
            let may = move |person: &_| may_decide(&held, person, solo).is_ok();
            let taken = self.0.store.use_standing(standing.id, submission.id, offer.clone(), may).await?;
            let Ok(used) = taken else { continue };
            let mut reason = format!("By standing approval, use {used} of {}", standing.uses);
            if !standing.reason.is_empty() {
                reason.push_str(": ");
                reason.push_str(&standing.reason);
            }
            let decision = Decision {
                call: submission.id,
                digest: call.digest,
                verdict: Verdict::Approve,
                reason,
                by: standing.by,
                channel: Channel::Standing(standing.id),
                confirmed: true,
            };
            return Ok(match self.decide(decision).await {
                Ok(call) => Some(call),
                Err(why) => {
                    tracing::warn!(call = %submission.id, %why, "a use was taken, but the call waits for people");
                    None
                }
            });
        }
        Ok(None)
    }

    /// Calls of the kind that wait already: who granted that they pass does not want to be asked for them.
    async fn pass_waiting(&self, standing: &StandingApproval) {
        let waiting = match self.0.store.waiting_like(standing.agent, &standing.upstream, &standing.tool).await {
            Ok(waiting) => waiting,
            Err(error) => return tracing::error!(%error, "calls that wait were not looked through"),
        };
        for id in waiting {
            match self.call(id).await {
                Ok(call) => drop(self.pass(&call).await),
                Err(error) => tracing::error!(call = %id, %error, "a call that waits could not be read"),
            }
        }
    }
}

/// What the policy offered when the call was held, if nothing about the call forbids it.
fn offered(call: &HeldCall) -> Result<&StandingOffer, GrantError> {
    let requirement = &call.submission.requirement;
    let plain = requirement.quorum == Quorum::ONE && requirement.tool_changed.is_none() && call.as_of.is_none();
    if !call.genuine {
        return Err(GrantError::Tampered);
    }
    requirement.standing.as_ref().filter(|_| plain).ok_or(GrantError::NotOffered)
}

/// When this person approved the call, which nobody else had to.
fn own_vote(call: &HeldCall, by: ReviewerId) -> Result<Millis, GrantError> {
    let approved = matches!(
        call.state,
        CallState::Approved { .. }
            | CallState::Releasing { .. }
            | CallState::Executed { .. }
            | CallState::ToolError { .. }
            | CallState::OutcomeUnknown { .. }
    );
    let own = call.votes.iter().find(|stored| stored.vote.by == by && stored.vote.verdict == Verdict::Approve);
    own.filter(|_| approved).map(|stored| stored.vote.at).ok_or(GrantError::NotYours)
}

/// What a reviewer would be warned of is shown to one.
fn hides_something(arguments: &str) -> bool {
    let limits = Limits { max_bytes: usize::MAX, ..Limits::default() };
    read_strict(arguments.as_bytes(), &limits).map_or(true, |document| !trickery::tricks(&document).is_empty())
}

/// Whether a call is of the kind that was let pass.
fn is_like(call: &HeldCall, standing: &StandingApproval, seal: &Seal) -> bool {
    let submission = &call.submission;
    let same = (&submission.agent.id, &submission.upstream, &submission.tool)
        == (&standing.agent, &standing.upstream, &standing.tool)
        && submission.upstream_config == standing.upstream_config
        && submission.tool_schema == standing.tool_schema;
    same && fixed(submission, &standing.open)
        .is_some_and(|fixed| seal.standing(standing.id, &fixed).matches(&standing.fixed))
}

/// Everything that may not differ of what would be sent. A server may read an argument out of a header that repeats it, so
/// none of those may differ either.
fn fixed(call: &Submission, open: &Open) -> Option<String> {
    let mut headers = call.headers.clone();
    headers.sort();
    Some(format!("{}\n{}", fixed_part(call.arguments(), open)?, serde_json::to_string(&headers).ok()?))
}

fn judge(
    scene: &GrantScene<'_>,
    grant: &Grant,
    id: StandingId,
    seal: &Seal,
    solo: bool,
) -> Result<StandingApproval, GrantError> {
    let (call, now) = (scene.call, scene.now);
    let submission = &call.submission;
    let person = scene.person.ok_or(Ineligible::Disabled)?;
    may_decide(call, person, solo)?;
    let offer = offered(call)?;
    let approved = own_vote(call, grant.by)?;
    if now >= approved.after(WITHIN) {
        return Err(GrantError::TooLate);
    }
    if scene.passed {
        return Err(GrantError::NotYours);
    }
    if scene.granted {
        return Err(GrantError::GrantedAlready);
    }
    if !scene.agent_active {
        return Err(GrantError::AgentGone);
    }
    if grant.uses == 0 || grant.uses > offer.uses {
        return Err(GrantError::TooFar(format!("the policy offers 1 to {} uses; choose one of these", offer.uses)));
    }
    if grant.lasts.is_zero() || grant.lasts > offer.lasts {
        let most = offer.lasts.as_secs() / 60;
        return Err(GrantError::TooFar(format!("the policy offers at most {most} minutes; choose fewer")));
    }
    let chosen = |name: &String| offer.open.get_key_value(name).map(|(name, glob)| (name.clone(), glob.clone()));
    let Some(open) = grant.open.iter().map(chosen).collect::<Option<_>>() else {
        let message = "the policy does not offer that this argument may differ; choose among those that are shown";
        return Err(GrantError::TooFar(message.to_owned()));
    };
    let Some(fixed) = fixed(submission, &open) else {
        let message = "this very call is not of the kind that would pass: an argument does not match what the policy \
                       says of it";
        return Err(GrantError::TooFar(message.to_owned()));
    };
    let requirement = &submission.requirement;
    let reason = secrets::mask_text(grant.reason.trim());
    if requirement.is_critical() && grant.channel == Channel::Api {
        return Err(GrantError::CriticalByApi);
    }
    if requirement.is_critical() && !grant.confirmed {
        return Err(GrantError::NeedsConfirmation);
    }
    if (requirement.require_reason || requirement.is_critical()) && reason.is_empty() {
        return Err(GrantError::ReasonRequired);
    }
    Ok(StandingApproval {
        id,
        call: submission.id,
        agent: submission.agent.id,
        agent_name: submission.agent.name.clone(),
        upstream: submission.upstream.clone(),
        upstream_config: submission.upstream_config,
        tool: submission.tool.clone(),
        tool_schema: submission.tool_schema,
        fixed: seal.standing(id, &fixed),
        open,
        uses: grant.uses,
        used: 0,
        at: now,
        until: now.after(grant.lasts),
        by: grant.by,
        reason,
        ended: None,
        genuine: true,
    })
}
