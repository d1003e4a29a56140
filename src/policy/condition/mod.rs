//! Conditions on a call: its arguments, who sends it, what its tool is said to be, when it comes. Total: whatever the
//! call, an answer comes, and doubt never allows.
//!
//! What *requires* holds only if it surely is so. What *restricts* (`deny_if`, `when`) takes hold where it may be so: a
//! value that cannot be compared counts as a match, and so does a missing one under `neq`, `not_in` and `not`. Where the
//! path leads into something else than it says, or two readers would read two values, nothing can be compared.
//!
//! `[*]` means every element where something is required, any element where something restricts; a `not` turns that
//! round, so that `not` speaks of each element as the condition within it does.

mod operator;
#[cfg(test)]
mod tests;
mod value;

pub(super) use operator::{Comparison, Networks, Operator};
pub(super) use value::Value;

use self::operator::Judged;
use super::Call;
use super::circumstances::{self, Fact};
use super::path::Path;
use super::schedule::Schedule;

/// A condition.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    /// Of the arguments at one path.
    Test(Path, Operator),
    /// Of something around the call.
    Fact(Fact, Operator),
    /// Of the time.
    Time(Schedule),
    Not(Box<Self>),
    /// At least one of them; never empty.
    Any(Vec<Self>),
    /// Each of them; never empty.
    All(Vec<Self>),
}

/// What a condition comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Truth {
    Yes,
    No,
    /// A value is missing, or cannot be compared.
    Undecided,
}

/// What `[*]` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Several {
    Each,
    Any,
}

impl Several {
    fn turned(self) -> Self {
        match self {
            Self::Each => Self::Any,
            Self::Any => Self::Each,
        }
    }
}

impl Condition {
    /// Whether it surely is so: what is required.
    pub(super) fn holds(&self, call: &Call<'_>) -> bool {
        self.truth(call, Several::Each) == Truth::Yes
    }

    /// Whether it is so, or may be: what restricts.
    pub(super) fn takes_hold(&self, call: &Call<'_>) -> bool {
        match self {
            Self::Test(path, operator) => {
                let mut takes_hold = false;
                path.each(call.arguments, &mut |place| takes_hold |= operator.may_be(operator.judge(place)));
                takes_hold
            }
            Self::Fact(fact, operator) => operator.may_be(known(fact, operator, call)),
            // A time that no calendar reaches is no reason to let something pass.
            Self::Time(schedule) => circumstances::is_within(schedule, call).unwrap_or(true),
            Self::Not(inner) => inner.truth(call, Several::Each) != Truth::Yes,
            Self::Any(several) => several.iter().any(|condition| condition.takes_hold(call)),
            Self::All(several) => several.iter().all(|condition| condition.takes_hold(call)),
        }
    }

    fn truth(&self, call: &Call<'_>, several: Several) -> Truth {
        match self {
            Self::Test(path, operator) => {
                let mut found = Found::default();
                path.each(call.arguments, &mut |place| found.add(operator.judge(place).into()));
                if several == Several::Each { found.all() } else { found.any() }
            }
            Self::Fact(fact, operator) => known(fact, operator, call).into(),
            Self::Time(schedule) => match circumstances::is_within(schedule, call) {
                Some(true) => Truth::Yes,
                Some(false) => Truth::No,
                None => Truth::Undecided,
            },
            Self::Not(inner) => match inner.truth(call, several.turned()) {
                Truth::Yes => Truth::No,
                Truth::No => Truth::Yes,
                Truth::Undecided => Truth::Undecided,
            },
            Self::Any(inner) => Found::of(inner, call, several).any(),
            Self::All(inner) => Found::of(inner, call, several).all(),
        }
    }
}

/// What an operator says of something around the call.
fn known(fact: &Fact, operator: &Operator, call: &Call<'_>) -> Judged {
    if fact.is_unheard(call) { Judged::CannotCompare } else { operator.judge(fact.of(call).as_ref().into()) }
}

/// Which answers there were.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    yes: bool,
    no: bool,
    undecided: bool,
}

impl Found {
    fn of(conditions: &[Condition], call: &Call<'_>, several: Several) -> Self {
        let mut found = Self::default();
        conditions.iter().for_each(|condition| found.add(condition.truth(call, several)));
        found
    }

    fn add(&mut self, truth: Truth) {
        match truth {
            Truth::Yes => self.yes = true,
            Truth::No => self.no = true,
            Truth::Undecided => self.undecided = true,
        }
    }

    fn all(self) -> Truth {
        match self {
            Self { no: true, .. } => Truth::No,
            Self { undecided: true, .. } => Truth::Undecided,
            Self { yes: true, .. } => Truth::Yes,
            _ => Truth::Undecided,
        }
    }

    fn any(self) -> Truth {
        match self {
            Self { yes: true, .. } => Truth::Yes,
            Self { undecided: true, .. } => Truth::Undecided,
            Self { no: true, .. } => Truth::No,
            _ => Truth::Undecided,
        }
    }
}

impl From<Judged> for Truth {
    fn from(judged: Judged) -> Self {
        match judged {
            Judged::Yes => Self::Yes,
            Judged::No => Self::No,
            Judged::Missing | Judged::CannotCompare => Self::Undecided,
        }
    }
}
