//! From a held call to what a mail tells of it, pure: whom it concerns, and whether it is still true.

use super::arguments;
use super::message::{About, CallMail, Headline, Then};
use crate::call::{CallState, HeldCall, OnTimeout, StoredVote, Verdict, secrets};
use crate::store::{NoticeKind, Person, Told};

/// Whether a notice is for this person. `told`: they were to be told that the call waits.
pub(super) fn concerns(
    kind: NoticeKind,
    call: &HeldCall,
    who: &Person,
    told: Option<&Told>,
    may_decide: impl FnOnce(&Person) -> bool,
) -> bool {
    let reached = told.is_some_and(|told| told.reached);
    let stopped = matches!(call.state, CallState::Revoked { .. });
    match kind {
        NoticeKind::Held | NoticeKind::Escalated => may_be_asked(call, who) && may_decide(who),
        // Who approved must hear that it did not run after all; of their own decision they need no mail.
        NoticeKind::Decided if stopped => reached || has_voted(call, who),
        NoticeKind::Decided => reached && decider(call).is_none_or(|vote| vote.vote.by != who.id),
        NoticeKind::Cancelled => reached,
        // That nobody decided, or that nobody knows what ran, concerns everybody who was to be asked.
        NoticeKind::Expired | NoticeKind::OutcomeUnknown => told.is_some() || has_voted(call, who),
        NoticeKind::Finished => false,
    }
}

/// Whether there is still something to ask of this person.
pub(super) fn may_be_asked(call: &HeldCall, who: &Person) -> bool {
    !who.disabled && !has_voted(call, who)
}

fn has_voted(call: &HeldCall, who: &Person) -> bool {
    call.votes.iter().any(|stored| stored.vote.by == who.id)
}

/// The vote that decided the call; none where the policy approved, or where it is not decided.
fn decider(call: &HeldCall) -> Option<&StoredVote> {
    let rejected = call.votes.iter().find(|stored| stored.vote.verdict == Verdict::Reject);
    let votes: Vec<_> = call.votes.iter().map(|stored| stored.vote.clone()).collect();
    rejected.or_else(|| call.votes.last().filter(|_| call.submission.requirement.quorum.is_met(&votes)))
}

/// What there is to tell; `None` if it is no longer true, or (`still`) no longer for this person.
pub(super) fn tell(
    kind: NoticeKind,
    call: &HeldCall,
    still: impl FnOnce(&HeldCall) -> bool,
    headline: &dyn Fn(&HeldCall) -> Option<Headline>,
) -> Option<CallMail> {
    let about = match (kind, &call.state) {
        (NoticeKind::Held | NoticeKind::Escalated, CallState::Pending { expires_at, escalated, .. }) => {
            if !still(call) {
                return None;
            }
            if *escalated {
                About::Escalated { deadline: *expires_at }
            } else {
                About::Held { deadline: *expires_at, then: then(call) }
            }
        }
        (NoticeKind::Decided, _) => decided(call),
        (NoticeKind::Expired, CallState::Lapsed { at }) => About::Lapsed { at: *at },
        (NoticeKind::Expired, _) => About::Expired { at: call.expires_at },
        (NoticeKind::OutcomeUnknown, CallState::OutcomeUnknown { why, .. }) => {
            About::OutcomeUnknown { why: secrets::mask_text(why) }
        }
        (NoticeKind::Cancelled, CallState::Cancelled { at }) => About::Cancelled { at: *at },
        _ => return None,
    };
    let submission = &call.submission;
    Some(CallMail {
        id: submission.id,
        as_of: call.as_of.filter(|_| call.state.is_pending()),
        headline: headline(call),
        critical: submission.requirement.is_critical(),
        agent: submission.agent.name.to_string(),
        upstream: submission.upstream.to_string(),
        tool: submission.tool.to_string(),
        arguments: call
            .arguments()
            .map_or_else(|| vec!["(erased, as the configured retention asks)".to_owned()], arguments::lines),
        agent_reason: submission.agent_reason.as_deref().map(secrets::mask_text),
        about,
    })
}

fn then(call: &HeldCall) -> Then {
    match &call.submission.requirement.on_timeout {
        // The policy approves nothing that may have run already.
        OnTimeout::Approve if call.as_of.is_some() => Then::Rejected,
        OnTimeout::Reject => Then::Rejected,
        OnTimeout::Escalate(_) => Then::Escalated,
        OnTimeout::Approve => Then::Approved,
    }
}

fn decided(call: &HeldCall) -> About {
    let by = decider(call);
    let outcome = match &call.state {
        CallState::Executed { .. } => "It has run.".to_owned(),
        CallState::ToolError { .. } => "The upstream answered with an error.".to_owned(),
        CallState::Releasing { .. } => "It is running now.".to_owned(),
        CallState::OutcomeUnknown { .. } => "Whether it ran is unknown; see the call's page.".to_owned(),
        CallState::Approved { .. } | CallState::Pending { .. } => "It has not run yet.".to_owned(),
        CallState::Revoked { why, .. } => format!("It has not run and will not: {}", secrets::mask_text(why)),
        CallState::Rejected { .. }
        | CallState::Expired { .. }
        | CallState::Cancelled { .. }
        | CallState::Lapsed { .. } => "It has not run and will not.".to_owned(),
    };
    About::Decided {
        verdict: by.map_or(Verdict::Approve, |stored| stored.vote.verdict),
        by: by.map(|stored| stored.by_email.to_string()),
        at: by.map_or(call.expires_at, |stored| stored.vote.at),
        reason: by.map(|stored| secrets::mask_text(&stored.vote.reason)).unwrap_or_default(),
        outcome,
    }
}
