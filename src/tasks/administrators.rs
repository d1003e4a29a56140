//! Who is told of what somebody must mend.

use crate::store::Reviewer;

/// Administrators, or, where nobody is one, reviewers.
pub(super) fn administrators(people: Vec<Reviewer>) -> Vec<Reviewer> {
    let live: Vec<_> = people.into_iter().filter(|person| person.disabled_at.is_none() && person.genuine).collect();
    let some = live.iter().any(|person| person.roles.administrator);
    let told = |person: &Reviewer| if some { person.roles.administrator } else { person.roles.reviewer };
    live.into_iter().filter(told).collect()
}
