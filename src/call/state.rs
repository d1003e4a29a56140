//! The life of a held call: every state, with the facts that are true only there, and every step between them.
//!
//! ```text
//! pending ──► approved ──► releasing ──► executed | tool_error | outcome_unknown
//!    │            └──────► lapsed | revoked
//!    └──────► rejected | expired | cancelled
//! ```
//! Terminal states never change. A step consumes the state and answers with the next one or with
//! [`InvalidTransition`]; nothing else in Placet decides what may follow what.

use super::{ClaimId, Millis, Quorum, ReviewerId, Vote};

/// Where a call is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallState {
    /// Waits for its reviewers until `expires_at` (exclusive: at that moment it is too late).
    Pending {
        /// The deadline.
        expires_at: Millis,
        /// The further groups have been asked; there is no second extension.
        escalated: bool,
        /// Who approved so far, fewer than the quorum.
        votes: Vec<Vote>,
    },
    /// May run once, until `usable_until` (exclusive).
    Approved {
        /// By whom.
        by: Approver,
        /// When the deciding vote was committed.
        at: Millis,
        /// The approval's own deadline.
        usable_until: Millis,
    },
    /// A reviewer said no.
    Rejected {
        /// The first to do so.
        by: ReviewerId,
        /// When.
        at: Millis,
        /// What the agent is told.
        reason: String,
    },
    /// Nobody answered in time.
    Expired {
        /// When the deadline was enforced.
        at: Millis,
    },
    /// The caller took it back.
    Cancelled {
        /// When.
        at: Millis,
    },
    /// Claimed: the call may have reached the upstream. Committed before its first byte goes out.
    Releasing {
        /// This attempt; there is never another.
        claim: ClaimId,
        /// When it was claimed.
        at: Millis,
    },
    /// The upstream answered with a result.
    Executed {
        /// When the answer was recorded.
        at: Millis,
    },
    /// The upstream ran or refused the tool and answered with an error.
    ToolError {
        /// When the answer was recorded.
        at: Millis,
    },
    /// It may have run; no answer is known. Never sent again.
    OutcomeUnknown {
        /// When that was recognised.
        at: Millis,
        /// What is known.
        why: String,
    },
    /// Approved, but its caller did not return in time.
    Lapsed {
        /// When.
        at: Millis,
    },
    /// Approved, but at the claim policy, agent or votes no longer allowed it.
    Revoked {
        /// When.
        at: Millis,
        /// What forbade it.
        why: String,
    },
}

/// Who gave an approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Approver {
    /// People; their votes are the proof.
    Reviewers(Vec<Vote>),
    /// The policy's own fallback for a deadline nobody met.
    Policy,
}

/// Something that happens to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A reviewer's vote.
    Vote {
        /// The vote, its time being the moment of the write.
        vote: Vote,
        /// As frozen with the call.
        quorum: Quorum,
        /// When an approval made by this vote ends.
        usable_until: Millis,
    },
    /// The pending deadline is over, and the policy says reject.
    Expire {
        /// Now.
        at: Millis,
    },
    /// The pending deadline is over, and further groups are asked.
    Escalate {
        /// Now.
        at: Millis,
        /// The one further deadline.
        expires_at: Millis,
    },
    /// The pending deadline is over, and the policy itself approves.
    ApproveByPolicy {
        /// Now.
        at: Millis,
        /// When this approval ends.
        usable_until: Millis,
    },
    /// The caller takes the call back.
    Cancel {
        /// Now.
        at: Millis,
    },
    /// The release begins.
    Claim {
        /// This attempt.
        claim: ClaimId,
        /// Now.
        at: Millis,
    },
    /// What the upstream answered, or that it did not.
    Finish {
        /// The attempt that it belongs to.
        claim: ClaimId,
        /// Now.
        at: Millis,
        /// How it ended.
        outcome: Outcome,
    },
    /// The approval's deadline is over.
    Lapse {
        /// Now.
        at: Millis,
    },
    /// The database was put back to before the call's end: it was sent since, or may have been.
    LoseTrack {
        /// Now.
        at: Millis,
        /// What happened.
        why: String,
    },
    /// The approval must not be used.
    Revoke {
        /// Now.
        at: Millis,
        /// What forbids it.
        why: String,
    },
}

/// How a release ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A result that is not an error.
    Executed,
    /// An error, as a result or as a JSON-RPC error.
    ToolError,
    /// No answer; it may have run.
    Unknown(String),
}

/// A step that the state does not allow. The state itself is unchanged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTransition {
    /// Another step came first.
    #[error("the call is {0} and no longer open to this")]
    NotFrom(&'static str),
    /// The deadline is over.
    #[error("the deadline has passed")]
    TooLate,
    /// The deadline is not over yet.
    #[error("the deadline has not passed yet")]
    TooEarly,
    /// One vote a person.
    #[error("this reviewer has voted already")]
    VotedAlready,
    /// Further groups were asked already.
    #[error("the call was escalated already")]
    EscalatedAlready,
    /// The answer belongs to another attempt.
    #[error("the claim is not this call's")]
    WrongClaim,
}

impl CallState {
    /// The state's name in the interface, the database and the log.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pending { .. } => "pending",
            Self::Approved { .. } => "approved",
            Self::Rejected { .. } => "rejected",
            Self::Expired { .. } => "expired",
            Self::Cancelled { .. } => "cancelled",
            Self::Releasing { .. } => "releasing",
            Self::Executed { .. } => "executed",
            Self::ToolError { .. } => "tool_error",
            Self::OutcomeUnknown { .. } => "outcome_unknown",
            Self::Lapsed { .. } => "lapsed",
            Self::Revoked { .. } => "revoked",
        }
    }

    /// Whether reviewers can still decide, deadlines apart.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        matches!(self, Self::Pending { .. })
    }

    /// Whether nothing can follow.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        !matches!(self, Self::Pending { .. } | Self::Approved { .. } | Self::Releasing { .. })
    }

    /// Takes one step.
    ///
    /// # Errors
    /// A step that this state, its deadline, its voters or its claim do not allow.
    pub fn apply(self, event: Event) -> Result<Self, InvalidTransition> {
        match (self, event) {
            (Self::Pending { expires_at, escalated, votes }, event) => pending(expires_at, escalated, votes, event),
            (Self::Approved { usable_until, .. }, Event::Claim { claim, at }) => {
                if at < usable_until {
                    Ok(Self::Releasing { claim, at })
                } else {
                    Err(InvalidTransition::TooLate)
                }
            }
            (Self::Approved { usable_until, .. }, Event::Lapse { at }) => {
                if at >= usable_until {
                    Ok(Self::Lapsed { at })
                } else {
                    Err(InvalidTransition::TooEarly)
                }
            }
            (Self::Approved { .. }, Event::LoseTrack { at, why }) => Ok(Self::OutcomeUnknown { at, why }),
            (Self::Approved { .. }, Event::Revoke { at, why }) => Ok(Self::Revoked { at, why }),
            (Self::Releasing { claim: ours, .. }, Event::Finish { claim, at, outcome }) => {
                if claim != ours {
                    return Err(InvalidTransition::WrongClaim);
                }
                Ok(match outcome {
                    Outcome::Executed => Self::Executed { at },
                    Outcome::ToolError => Self::ToolError { at },
                    Outcome::Unknown(why) => Self::OutcomeUnknown { at, why },
                })
            }
            (state, _) => Err(InvalidTransition::NotFrom(state.name())),
        }
    }
}

fn pending(
    expires_at: Millis,
    escalated: bool,
    mut votes: Vec<Vote>,
    event: Event,
) -> Result<CallState, InvalidTransition> {
    use super::Verdict;
    let over = |at: Millis| if at >= expires_at { Ok(at) } else { Err(InvalidTransition::TooEarly) };
    match event {
        Event::Vote { vote, quorum, usable_until } => {
            if vote.at >= expires_at {
                return Err(InvalidTransition::TooLate);
            }
            if votes.iter().any(|earlier| earlier.by == vote.by) {
                return Err(InvalidTransition::VotedAlready);
            }
            if vote.verdict == Verdict::Reject {
                return Ok(CallState::Rejected { by: vote.by, at: vote.at, reason: vote.reason });
            }
            let at = vote.at;
            votes.push(vote);
            Ok(if quorum.is_met(&votes) {
                CallState::Approved { by: Approver::Reviewers(votes), at, usable_until }
            } else {
                CallState::Pending { expires_at, escalated, votes }
            })
        }
        Event::Expire { at } => over(at).map(|at| CallState::Expired { at }),
        Event::Escalate { .. } if escalated => Err(InvalidTransition::EscalatedAlready),
        Event::Escalate { at, expires_at } => {
            over(at).map(|_| CallState::Pending { expires_at, escalated: true, votes })
        }
        Event::ApproveByPolicy { at, usable_until } => {
            over(at).map(|at| CallState::Approved { by: Approver::Policy, at, usable_until })
        }
        Event::Cancel { at } => Ok(CallState::Cancelled { at }),
        Event::LoseTrack { at, why } => Ok(CallState::OutcomeUnknown { at, why }),
        Event::Claim { .. } | Event::Finish { .. } | Event::Lapse { .. } | Event::Revoke { .. } => {
            Err(InvalidTransition::NotFrom("pending"))
        }
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
