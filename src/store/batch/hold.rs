//! The job that holds a call, or joins the same call that is here already.

use std::time::Duration;

use tokio::sync::oneshot;

use super::{Batch, Job, Reply, Wanted};
use crate::audit::Entry;
use crate::call::{AgentId, CallState, Digest, HeldCall, Millis, Submission};
use crate::store::{HoldLimits, HoldProof, HoldRefused, Holding, StoreError};

type Outcome = Result<Holding, HoldRefused>;

/// One submission. `M` builds it, and its proof, for the moment of the write.
pub(in crate::store) struct Hold<M> {
    agent: AgentId,
    same_call: Digest,
    limits: HoldLimits,
    make: M,
    reply: Reply<Outcome>,
}

impl<M: Fn(Millis) -> Result<(Submission, HoldProof), StoreError>> Hold<M> {
    pub(in crate::store) fn new(
        agent: AgentId,
        same_call: Digest,
        limits: HoldLimits,
        make: M,
        to: oneshot::Sender<Result<Outcome, StoreError>>,
    ) -> Self {
        Self { agent, same_call, limits, make, reply: Reply::new(to) }
    }

    fn hold(&self, batch: &mut Batch<'_>) -> Result<Outcome, StoreError> {
        let (now, limits) = (batch.now(), self.limits);
        if let Some(call) = batch.same(self.same_call)?.filter(|call| answers(call, now, limits)) {
            return Ok(Ok(Holding::Joined(Box::new(call.clone()))));
        }
        let counts = batch.counts(self.agent);
        if counts.open >= i64::from(limits.pending) {
            return Ok(Err(HoldRefused::TooManyPending(limits.pending)));
        }
        if counts.new >= i64::from(limits.new_per_hour) {
            let again = counts.oldest.unwrap_or(now).after(Duration::from_secs(3600));
            return Ok(Err(HoldRefused::TooManyNew(limits.new_per_hour, again)));
        }
        let (submission, proof) = (self.make)(now)?;
        let call = held(submission, proof);
        let submission = &call.submission;
        let entry = Entry::new("call.held")
            .call(submission.id)
            .agent(&submission.agent.name)
            .upstream(&submission.upstream)
            .tool(&submission.tool)
            .with("digest", call.digest.to_string())
            .with("rule", submission.rule.clone())
            .with("policy", submission.policy.to_string())
            .with("expires_at", call.expires_at.to_string());
        batch.hold(call.clone(), &entry)?;
        Ok(Ok(Holding::New(Box::new(call))))
    }
}

impl<M: Fn(Millis) -> Result<(Submission, HoldProof), StoreError> + Send> Job for Hold<M> {
    fn wants(&self, wanted: &mut Wanted) {
        wanted.same(self.same_call);
        if self.limits.pending > 0 {
            wanted.agent(self.agent, &self.limits);
        }
    }

    fn run(&mut self, batch: &mut Batch<'_>) {
        self.reply.outcome = Some(self.hold(batch));
    }

    fn answer(self: Box<Self>, written: Result<(), StoreError>) {
        self.reply.send(written);
    }
}

/// Whether a call still answers for a new one that is the same.
fn answers(call: &HeldCall, now: Millis, limits: HoldLimits) -> bool {
    let fresh = |ttl| now < call.changed_at.after(ttl);
    match call.state {
        CallState::Pending { .. }
        | CallState::Approved { .. }
        | CallState::Releasing { .. }
        | CallState::OutcomeUnknown { .. } => true,
        CallState::Executed { .. } | CallState::ToolError { .. } => fresh(limits.result_ttl),
        CallState::Rejected { .. } => fresh(limits.rejection_ttl),
        CallState::Expired { .. }
        | CallState::Cancelled { .. }
        | CallState::Lapsed { .. }
        | CallState::Revoked { .. } => false,
    }
}

/// A submission as it is held: pending, its deadline counted from this moment.
fn held(submission: Submission, proof: HoldProof) -> HeldCall {
    let expires_at = submission.created_at.after(submission.requirement.timeout);
    HeldCall {
        digest: submission.digest(),
        state: CallState::Pending { expires_at, escalated: false, votes: vec![] },
        votes: vec![],
        expires_at,
        told_to_return: false,
        caller_gone: false,
        context: None,
        answer: None,
        changed_at: submission.created_at,
        held_mac: Some(proof.0),
        approval_mac: None,
        submission,
    }
}
