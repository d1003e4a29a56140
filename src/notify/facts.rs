//! From a held call to what a mail tells of it, pure: whether it is still true, and for whom.

use super::message::{About, CallMail, Headline, Then};
use super::arguments;
use crate::call::{CallState, HeldCall, OnTimeout, Verdict, secrets};
use crate::store::{Addressee, NoticeKind};

/// Whether this reviewer may decide this call now, as far as mails are concerned; the decision itself is checked where
/// it is made.
pub(super) fn may_decide(call: &HeldCall, who: &Addressee, self_approval: bool) -> bool {
    let requirement = &call.submission.requirement;
    let escalated = matches!(call.state, CallState::Pending { escalated: true, .. });
    let further = match &requirement.on_timeout {
        OnTimeout::Escalate(groups) if escalated => groups.as_slice(),
        _ => &[],
    };
    let in_a_group = requirement.reviewers.is_empty()
        || requirement.reviewers.iter().chain(further).any(|group| who.groups.contains(group));
    let is_owner = who.email == call.submission.agent.owner;
    let has_voted = call.votes.iter().any(|stored| stored.vote.by == who.id);
    who.is_reviewer && in_a_group && (self_approval || !is_owner) && !has_voted
}

/// The last person whose vote decided the call, and which way; nobody where the policy approved.
fn decider(call: &HeldCall) -> Option<&crate::call::StoredVote> {
    let rejected = call.votes.iter().find(|stored| stored.vote.verdict == Verdict::Reject);
    let votes: Vec<_> = call.votes.iter().map(|stored| stored.vote.clone()).collect();
    rejected.or_else(|| call.votes.last().filter(|_| call.submission.requirement.quorum.is_met(&votes)))
}

/// Whether this reviewer made the decision and needs no mail about it.
pub(super) fn decided_it(call: &HeldCall, who: &Addressee) -> bool {
    decider(call).is_some_and(|stored| stored.vote.by == who.id)
}

/// What there is to tell this reviewer; `None` if it is no longer true or not for them.
pub(super) fn tell(
    kind: NoticeKind,
    call: &HeldCall,
    who: &Addressee,
    self_approval: bool,
    headline: Option<Headline>,
) -> Option<CallMail> {
    let about = match (kind, &call.state) {
        (NoticeKind::Held | NoticeKind::Escalated, CallState::Pending { expires_at, escalated, .. }) => {
            if !may_decide(call, who, self_approval) {
                return None;
            }
            if *escalated {
                About::Escalated { deadline: *expires_at }
            } else {
                About::Held { deadline: *expires_at, then: then(&call.submission.requirement.on_timeout) }
            }
        }
        (NoticeKind::Held | NoticeKind::Escalated, _) => return None,
        (NoticeKind::Decided, _) if decided_it(call, who) => return None,
        (NoticeKind::Decided, state) => decided(call, state),
        (NoticeKind::Expired, _) => About::Expired { at: call.expires_at },
        (NoticeKind::OutcomeUnknown, CallState::OutcomeUnknown { why, .. }) => {
            About::OutcomeUnknown { why: secrets::mask_text(why) }
        }
        (NoticeKind::OutcomeUnknown, _) => return None,
    };
    let submission = &call.submission;
    Some(CallMail {
        id: submission.id,
        headline,
        agent: submission.agent.name.to_string(),
        upstream: submission.upstream.to_string(),
        tool: submission.tool.to_string(),
        arguments: arguments::lines(submission.arguments()),
        about,
    })
}

fn then(on_timeout: &OnTimeout) -> Then {
    match on_timeout {
        OnTimeout::Reject => Then::Rejected,
        OnTimeout::Escalate(_) => Then::Escalated,
        OnTimeout::Approve => Then::Approved,
    }
}

fn decided(call: &HeldCall, state: &CallState) -> About {
    let by = decider(call);
    let outcome = match state {
        CallState::Executed { .. } => "It has run.",
        CallState::ToolError { .. } => "The upstream answered with an error.",
        CallState::Releasing { .. } => "It is running now.",
        CallState::OutcomeUnknown { .. } => "Whether it ran is unknown; see the call's page.",
        CallState::Approved { .. } | CallState::Pending { .. } => "It has not run yet.",
        CallState::Rejected { .. }
        | CallState::Expired { .. }
        | CallState::Cancelled { .. }
        | CallState::Lapsed { .. }
        | CallState::Revoked { .. } => "It has not run and will not.",
    };
    About::Decided {
        verdict: by.map_or(Verdict::Approve, |stored| stored.vote.verdict),
        by: by.map(|stored| stored.by_email.to_string()),
        at: by.map_or(call.expires_at, |stored| stored.vote.at),
        reason: by.map(|stored| secrets::mask_text(&stored.vote.reason)).unwrap_or_default(),
        outcome,
    }
}
