//! Random lives of a call: whatever happens in whatever order, the rules of its states hold.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::call::Verdict;

fn event() -> impl Strategy<Value = Event> {
    let at = (0_i64..200).prop_map(Millis);
    let claim = (0_u128..3).prop_map(|n| ClaimId(Uuid::from_u128(n)));
    let vote = (any::<bool>(), 0_u128..4, at.clone(), 1_u8..3, 0_i64..300).prop_map(|(yes, who, at, quorum, until)| {
        Event::Vote {
            vote: Vote {
                verdict: if yes { Verdict::Approve } else { Verdict::Reject },
                by: ReviewerId(Uuid::from_u128(who)),
                at,
                reason: String::new(),
            },
            quorum: Quorum::new(quorum).unwrap(),
            usable_until: Millis(until),
        }
    });
    let outcome = prop_oneof![
        Just(Outcome::Executed),
        Just(Outcome::ToolError),
        Just(Outcome::Unknown("the connection broke".into()))
    ];
    prop_oneof![
        4 => vote,
        1 => at.clone().prop_map(|at| Event::Expire { at }),
        1 => (at.clone(), 0_i64..300).prop_map(|(at, t)| Event::Escalate { at, expires_at: Millis(t) }),
        1 => (at.clone(), 0_i64..300).prop_map(|(at, t)| Event::ApproveByPolicy { at, usable_until: Millis(t) }),
        1 => at.clone().prop_map(|at| Event::Cancel { at }),
        2 => (claim.clone(), at.clone()).prop_map(|(claim, at)| Event::Claim { claim, at }),
        2 => (claim, at.clone(), outcome).prop_map(|(claim, at, outcome)| Event::Finish { claim, at, outcome }),
        1 => at.clone().prop_map(|at| Event::Lapse { at }),
        1 => at.clone().prop_map(|at| Event::LoseTrack { at, why: "the database was put back".into() }),
        1 => at.prop_map(|at| Event::Revoke { at, why: "the policy denies it now".into() }),
    ]
}

fn legal(from: &str, to: &str) -> bool {
    matches!(
        (from, to),
        // Of unknown outcome only where the database was put back, and it is known to have been sent since.
        ("pending", "pending" | "approved" | "rejected" | "expired" | "cancelled" | "outcome_unknown")
            | ("approved", "releasing" | "lapsed" | "revoked" | "outcome_unknown")
            | ("releasing", "executed" | "tool_error" | "outcome_unknown")
    )
}

proptest! {
    #[test]
    fn any_sequence_of_events_keeps_the_rules(events in prop::collection::vec(event(), 0..40)) {
        let mut state = CallState::Pending { expires_at: Millis(100), escalated: false, votes: vec![] };
        let (mut claims, mut terminals, mut escalations) = (0, 0, 0);
        for event in events {
            let before = state.clone();
            match state.clone().apply(event.clone()) {
                Err(_) => {}
                Ok(next) => {
                    prop_assert!(legal(before.name(), next.name()), "{} to {}", before.name(), next.name());
                    prop_assert!(!before.is_terminal(), "a terminal state changed");
                    if matches!((&before, &next), (CallState::Pending { .. }, CallState::OutcomeUnknown { .. })) {
                        prop_assert!(matches!(event, Event::LoseTrack { .. }), "unknown without a release");
                    }
                    claims += usize::from(matches!(next, CallState::Releasing { .. }));
                    terminals += usize::from(next.is_terminal());
                    escalations += usize::from(matches!(event, Event::Escalate { .. }));
                    if let (CallState::Pending { expires_at, .. }, Event::Vote { vote, .. }) = (&before, &event) {
                        prop_assert!(vote.at < *expires_at, "a late vote counted");
                    }
                    if let (CallState::Approved { usable_until, .. }, Event::Claim { at, .. }) = (&before, &event) {
                        prop_assert!(at < usable_until, "a stale approval was used");
                    }
                    if let CallState::Approved { by: Approver::Reviewers(votes), .. } = &next {
                        prop_assert!(votes.iter().all(|v| v.verdict == Verdict::Approve));
                    }
                    state = next;
                }
            }
        }
        prop_assert!(claims <= 1, "claimed {claims} times");
        prop_assert!(terminals <= 1);
        prop_assert!(escalations <= 1);
    }
}

#[test]
fn the_deadline_is_exclusive_to_the_millisecond() {
    let state = CallState::Pending { expires_at: Millis(100), escalated: false, votes: vec![] };
    let vote = |at| Event::Vote {
        vote: Vote { verdict: Verdict::Approve, by: ReviewerId(Uuid::nil()), at: Millis(at), reason: String::new() },
        quorum: Quorum::ONE,
        usable_until: Millis(500),
    };
    assert_eq!(state.clone().apply(vote(99)).map(|s| s.name()), Ok("approved"));
    assert_eq!(state.clone().apply(vote(100)), Err(InvalidTransition::TooLate));
    assert_eq!(state.clone().apply(Event::Expire { at: Millis(99) }), Err(InvalidTransition::TooEarly));
    assert_eq!(state.apply(Event::Expire { at: Millis(100) }).map(|s| s.name()), Ok("expired"));
}

#[test]
fn a_person_votes_once() {
    let by = ReviewerId(Uuid::nil());
    let earlier = Vote { verdict: Verdict::Approve, by, at: Millis(1), reason: String::new() };
    let state = CallState::Pending { expires_at: Millis(100), escalated: false, votes: vec![earlier.clone()] };
    let again = Event::Vote { vote: earlier, quorum: Quorum::new(2).unwrap(), usable_until: Millis(500) };
    assert_eq!(state.apply(again), Err(InvalidTransition::VotedAlready));
}
