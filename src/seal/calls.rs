//! Seals of calls, votes, approvals and states.

use super::Seal;
use crate::call::{
    Approver, CallId, CallState, Digest, Finding, HeldCall, Millis, StandingId, StoredFinding, StoredVote, Submission,
    Vote,
};

/// A call's state as its row has it, and the log's entry that made it so.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'a> {
    /// The call.
    pub id: CallId,
    /// Its digest.
    pub digest: &'a Digest,
    /// Its state.
    pub state: &'a CallState,
    /// The deadline in force, or that was.
    pub expires_at: Millis,
    /// When the state last changed.
    pub changed_at: Millis,
    /// Every vote, in order.
    pub votes: &'a [StoredVote],
    /// The number of the log's entry about the change that led here.
    pub entry: i64,
    /// For a call of a database that was put back, of when it is known.
    pub as_of: Option<Millis>,
}

impl Seal {
    /// Over the call's digest and the terms on which it was held: what the policy asked, whose agent it is, which part
    /// of it reviewers are shown as its arguments.
    ///
    /// # Errors
    /// The terms cannot be written as JSON.
    pub fn held(&self, call: &Submission) -> serde_json::Result<Digest> {
        // Read from the database and written again it is the same text, as long as a field that is added to the
        // requirement later leaves no trace where it is not used.
        let terms = serde_json::to_vec(&(
            &call.requirement,
            &call.agent.name,
            &call.agent.owner,
            call.era,
            call.arguments_at,
            &call.same_call,
            &call.rule,
            &call.client,
            call.created_at.0,
        ))?;
        let digest = call.digest();
        let parts = [b"placet/held/v1".as_slice(), &digest.0, &terms];
        // Nothing where there is nothing: those are the seals of before.
        Ok(self.mac(parts.into_iter().chain(call.agent_reason.as_deref().map(str::as_bytes))))
    }

    /// Whether this call stands as it was held here.
    #[must_use]
    pub fn is_as_held(&self, call: &HeldCall) -> bool {
        let proof = self.held(&call.submission);
        call.held_mac.zip(proof.ok()).is_some_and(|(mac, proof)| mac.matches(&proof))
    }

    /// Over the call's digest and everything the vote says.
    #[must_use]
    pub fn vote(&self, call: &Digest, vote: &Vote) -> Digest {
        self.mac([
            b"placet/vote/v1".as_slice(),
            &call.0,
            vote.verdict.as_str().as_bytes(),
            vote.by.0.as_bytes(),
            &vote.at.0.to_be_bytes(),
            vote.reason.as_bytes(),
        ])
    }

    /// Over the call's digest, who approved, when, and until when.
    #[must_use]
    pub fn approval(&self, call: &Digest, by: &Approver, at: Millis, usable_until: Millis) -> Digest {
        let (at, until) = (at.0.to_be_bytes(), usable_until.0.to_be_bytes());
        let mut parts: Vec<&[u8]> = vec![b"placet/approval/v1", &call.0, &at, &until];
        match by {
            Approver::Policy => parts.push(b"policy"),
            Approver::Reviewers(votes) => parts.extend(votes.iter().map(|vote| vote.by.0.as_bytes().as_slice())),
        }
        self.mac(parts)
    }

    /// Over the call's digest and everything the finding says.
    #[must_use]
    pub fn finding(&self, call: &Digest, finding: &Finding) -> Digest {
        self.mac([
            b"placet/finding/v1".as_slice(),
            &call.0,
            if finding.ran { b"ran" } else { b"did not run" },
            finding.by.0.as_bytes(),
            &finding.at.0.to_be_bytes(),
            finding.reason.as_bytes(),
        ])
    }

    /// Whether this finding was recorded here, on this call.
    #[must_use]
    pub fn is_genuine_finding(&self, call: &Digest, stored: &StoredFinding) -> bool {
        self.finding(call, &stored.finding).matches(&stored.mac)
    }

    /// Whether this vote was cast here, on this call.
    #[must_use]
    pub fn is_genuine(&self, call: &Digest, stored: &StoredVote) -> bool {
        self.vote(call, &stored.vote).matches(&stored.mac)
    }

    /// Over everything that says where a call stands, so that no column of it is changed without the key. That an older
    /// row is not put back is for the log to show: see [`Standing::entry`].
    #[must_use]
    pub fn state(&self, standing: &Standing<'_>) -> Digest {
        let number = |value: i64| value.to_be_bytes().to_vec();
        let mut parts = vec![
            b"placet/state/v1".to_vec(),
            standing.id.0.as_bytes().to_vec(),
            standing.digest.0.to_vec(),
            number(standing.expires_at.0),
            number(standing.changed_at.0),
            number(standing.entry),
            standing.votes.iter().flat_map(|stored| stored.mac.0).collect(),
            standing.state.name().as_bytes().to_vec(),
        ];
        match standing.state {
            CallState::Pending { expires_at, escalated, .. } => {
                parts.extend([number(expires_at.0), vec![u8::from(*escalated)]]);
            }
            CallState::Approved { by, at, usable_until } => {
                let by: &[u8] = match by {
                    Approver::Policy => b"policy",
                    Approver::Reviewers(_) => b"reviewers",
                };
                parts.extend([by.to_vec(), number(at.0), number(usable_until.0)]);
            }
            CallState::Rejected { by, at, reason } => {
                parts.extend([by.0.as_bytes().to_vec(), number(at.0), reason.as_bytes().to_vec()]);
            }
            CallState::Releasing { claim, at } => parts.extend([claim.0.as_bytes().to_vec(), number(at.0)]),
            CallState::OutcomeUnknown { at, why } | CallState::Revoked { at, why } => {
                parts.extend([number(at.0), why.as_bytes().to_vec()]);
            }
            CallState::Expired { at }
            | CallState::Cancelled { at }
            | CallState::Executed { at }
            | CallState::ToolError { at }
            | CallState::Lapsed { at } => parts.push(number(at.0)),
        }
        // Nothing where there is nothing: those are the seals of before.
        parts.extend(standing.as_of.iter().flat_map(|at| [b"as of".to_vec(), number(at.0)]));
        parts.extend(self.era_part(standing.entry));
        self.mac(parts.iter().map(Vec::as_slice))
    }

    /// Over what every call is like that a standing approval lets pass.
    #[must_use]
    pub fn standing(&self, id: StandingId, fixed: &str) -> Digest {
        self.mac([b"placet/standing/v1".as_slice(), id.0.as_bytes(), fixed.as_bytes()])
    }

    /// Proves that this call's caller was told to come back.
    #[must_use]
    pub fn told(&self, call: CallId) -> Digest {
        self.mac([b"placet/told/v1".as_slice(), call.0.as_bytes()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{Email, ReviewerId, Verdict};
    use uuid::Uuid;

    #[test]
    fn any_changed_fact_breaks_the_seal() {
        let seal = Seal::new([1; 32]);
        let call = Digest([2; 32]);
        let vote = Vote { verdict: Verdict::Reject, by: ReviewerId(Uuid::nil()), at: Millis(7), reason: "no".into() };
        let mac = seal.vote(&call, &vote);
        let by_email = Email::parse("mira@example.com").unwrap();
        let stored = StoredVote { vote: vote.clone(), by_email, mac };
        assert!(seal.is_genuine(&call, &stored));
        assert!(!seal.is_genuine(&Digest([3; 32]), &stored));
        assert!(!Seal::new([9; 32]).is_genuine(&call, &stored));
        for changed in [
            Vote { verdict: Verdict::Approve, ..vote.clone() },
            Vote { by: ReviewerId(Uuid::max()), ..vote.clone() },
            Vote { at: Millis(8), ..vote.clone() },
            Vote { reason: "yes".into(), ..vote.clone() },
        ] {
            assert!(!seal.is_genuine(&call, &StoredVote { vote: changed, ..stored.clone() }));
        }
    }

    #[test]
    fn any_changed_fact_breaks_the_seal_of_a_finding() {
        let (seal, call) = (Seal::new([1; 32]), Digest([2; 32]));
        let finding = Finding { ran: true, by: ReviewerId(Uuid::nil()), at: Millis(7), reason: "it is there".into() };
        let stored = StoredFinding {
            mac: seal.finding(&call, &finding),
            by_email: Email::parse("mira@example.com").unwrap(),
            finding: finding.clone(),
        };
        assert!(seal.is_genuine_finding(&call, &stored));
        assert!(!seal.is_genuine_finding(&Digest([3; 32]), &stored));
        assert!(!Seal::new([9; 32]).is_genuine_finding(&call, &stored));
        for changed in [
            Finding { ran: false, ..finding.clone() },
            Finding { by: ReviewerId(Uuid::max()), ..finding.clone() },
            Finding { at: Millis(8), ..finding.clone() },
            Finding { reason: "it is not".into(), ..finding.clone() },
        ] {
            assert!(!seal.is_genuine_finding(&call, &StoredFinding { finding: changed, ..stored.clone() }));
        }
    }
}
