//! What a person may see and do, asked of the same rule that judges a decision.

use crate::approvals::{Ineligible, may_accept, may_decide};
use crate::call::{GroupName, HeldCall};
use crate::identity::Reviewer;
use crate::store::{Person, Sight};

/// How far this person's lists reach.
#[must_use]
pub fn sight(reviewer: &Reviewer) -> Sight {
    if reviewer.roles.read_everything() { Sight::All } else { Sight::Groups(reviewer.id, reviewer.groups.clone()) }
}

/// Whether this person may read this call. The owner of an agent reads what it asks for, and does not decide it.
#[must_use]
pub fn may_see(reviewer: &Reviewer, call: &HeldCall) -> bool {
    let decides = may_decide(call, &person(reviewer), true);
    reviewer.disabled_at.is_none() && (reviewer.roles.read_everything() || decides.is_ok())
}

/// Why this person may not decide this call.
///
/// # Errors
/// The reason.
pub fn decides(reviewer: &Reviewer, call: &HeldCall, solo: bool) -> Result<(), Ineligible> {
    may_decide(call, &person(reviewer), solo)
}

/// Why this person may not accept what a tool says whose calls these groups review.
///
/// # Errors
/// The reason.
pub fn accepts(reviewer: &Reviewer, groups: &[GroupName]) -> Result<(), Ineligible> {
    may_accept(groups, &person(reviewer))
}

/// Whether too few people could approve this call: nobody would ever see it through.
#[must_use]
pub fn lacks_reviewers(call: &HeldCall, everybody: &[Reviewer], solo: bool) -> bool {
    let able = everybody.iter().filter(|reviewer| decides(reviewer, call, solo).is_ok()).count();
    able < usize::from(call.submission.requirement.quorum.approvals())
}

fn person(reviewer: &Reviewer) -> Person {
    Person {
        id: reviewer.id,
        email: reviewer.email.clone(),
        groups: reviewer.groups.clone(),
        reviews: reviewer.roles.reviewer,
        disabled: reviewer.disabled_at.is_some(),
        genuine: reviewer.genuine,
    }
}
