//! Who may decide a call, asked when a person votes and again when the call is released; and who may accept what a
//! tool says.

use crate::call::{CallState, GroupName, HeldCall, OnTimeout};
use crate::store::Person;

/// Why a person may not decide a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ineligible {
    /// The account's row is not as Placet wrote it.
    #[error(
        "this account was changed behind Placet's back, so it counts for nothing; whoever runs this service makes it \
         anew with `placet reviewer add`"
    )]
    Changed,
    /// The account is disabled or gone.
    #[error("this account is disabled; an administrator can enable it")]
    Disabled,
    /// Reads, but does not decide.
    #[error("this account may read but not decide; an administrator can make it a reviewer")]
    NotAReviewer,
    /// Another group decides this one.
    #[error("this call is for reviewers of another group")]
    OtherGroup,
    /// The agent's owner.
    #[error("you own the agent that asks, so somebody else must decide")]
    Owner,
}

/// Whether `person` may decide `call`. `solo`: the service is configured so that owners may decide.
///
/// # Errors
/// Why not.
pub fn may_decide(call: &HeldCall, person: &Person, solo: bool) -> Result<(), Ineligible> {
    let requirement = &call.submission.requirement;
    may_review(person)?;
    let escalated = matches!(call.state, CallState::Pending { escalated: true, .. });
    let asked_later = match &requirement.on_timeout {
        OnTimeout::Escalate(groups) if escalated || !call.state.is_pending() => groups.as_slice(),
        _ => &[],
    };
    let of_group = requirement.reviewers.iter().chain(asked_later).any(|group| person.groups.contains(group));
    if !requirement.reviewers.is_empty() && !of_group {
        return Err(Ineligible::OtherGroup);
    }
    if person.email == call.submission.agent.owner && !solo && !requirement.self_approval {
        return Err(Ineligible::Owner);
    }
    Ok(())
}

/// Whether `person` may accept what a tool says whose calls these groups review; none: every reviewer.
///
/// # Errors
/// Why not.
pub fn may_accept(groups: &[GroupName], person: &Person) -> Result<(), Ineligible> {
    may_review(person)?;
    let of_group = groups.is_empty() || groups.iter().any(|group| person.groups.contains(group));
    if of_group { Ok(()) } else { Err(Ineligible::OtherGroup) }
}

fn may_review(person: &Person) -> Result<(), Ineligible> {
    if !person.genuine {
        return Err(Ineligible::Changed);
    }
    if person.disabled {
        return Err(Ineligible::Disabled);
    }
    if person.reviews { Ok(()) } else { Err(Ineligible::NotAReviewer) }
}
