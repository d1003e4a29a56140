//! What a reviewer says of a call, and how many of them must say it.

use std::num::NonZeroU8;

use serde::{Deserialize, Serialize};

use super::{Millis, ReviewerId};

/// A reviewer's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// This exact call may run once.
    Approve,
    /// It must not run.
    Reject,
}

impl Verdict {
    /// The word that the interface uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Reject => "reject",
        }
    }
}

impl std::str::FromStr for Verdict {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "approve" => Ok(Self::Approve),
            "reject" => Ok(Self::Reject),
            _ => Err(()),
        }
    }
}

/// One reviewer's vote on one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vote {
    /// What was said.
    pub verdict: Verdict,
    /// Who said it; one vote a person.
    pub by: ReviewerId,
    /// When it was committed.
    pub at: Millis,
    /// Why, in the reviewer's words; reaches the agent with a rejection.
    pub reason: String,
}

/// How many approvals a call needs; fixed when it is held. The first rejection is final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Quorum(NonZeroU8);

impl Quorum {
    /// One reviewer decides.
    pub const ONE: Self = Self(NonZeroU8::MIN);

    /// `None` for zero: nothing would ever have to be approved.
    #[must_use]
    pub fn new(approvals: u8) -> Option<Self> {
        NonZeroU8::new(approvals).map(Self)
    }

    /// The number of different people who must approve.
    #[must_use]
    pub fn approvals(self) -> u8 {
        self.0.get()
    }

    /// Whether these votes are enough: as many different people approved, and nobody rejected.
    #[must_use]
    pub fn is_met(self, votes: &[Vote]) -> bool {
        let mut people: Vec<_> = votes.iter().filter(|v| v.verdict == Verdict::Approve).map(|v| v.by).collect();
        people.sort_unstable();
        people.dedup();
        people.len() >= usize::from(self.0.get()) && votes.iter().all(|v| v.verdict == Verdict::Approve)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn vote(verdict: Verdict, who: u128) -> Vote {
        Vote { verdict, by: ReviewerId(Uuid::from_u128(who)), at: Millis(0), reason: String::new() }
    }

    #[test]
    fn quorum_counts_people_not_votes() {
        let two = Quorum::new(2).unwrap();
        assert!(!two.is_met(&[]));
        assert!(!two.is_met(&[vote(Verdict::Approve, 1), vote(Verdict::Approve, 1)]));
        assert!(two.is_met(&[vote(Verdict::Approve, 1), vote(Verdict::Approve, 2)]));
        assert!(!two.is_met(&[vote(Verdict::Approve, 1), vote(Verdict::Approve, 2), vote(Verdict::Reject, 3)]));
        assert_eq!(Quorum::new(0), None);
    }
}
