//! The job that holds a call, or joins the same call that is here already.

use tokio::sync::oneshot;

use super::{Batch, HOUR, Job, Reply, Unseen, Wanted};
use crate::audit::Entry;
use crate::call::{AgentId, CallState, Digest, HeldCall, Millis, Submission};
use crate::store::alarm::Changed;
use crate::store::{CounterRow, HoldLimits, HoldProof, HoldRefused, Holding, StoreError};

type Outcome = Result<Holding, HoldRefused>;

/// One submission. `A` says whether the latest same call still answers for a new one; `M` builds it, and its proof, for
/// the moment of the write.
pub(in crate::store) struct Hold<A, M> {
    agent: AgentId,
    same_call: Digest,
    limits: HoldLimits,
    counted: Vec<CounterRow>,
    answers: A,
    make: M,
    reply: Reply<Outcome>,
}

impl<A, M> Hold<A, M>
where
    A: Fn(&HeldCall, Millis) -> bool,
    M: Fn(Millis) -> Result<(Submission, HoldProof), StoreError>,
{
    pub(in crate::store) fn new(
        agent: AgentId,
        same_call: Digest,
        limits: HoldLimits,
        counted: Vec<CounterRow>,
        answers: A,
        make: M,
        to: oneshot::Sender<Result<Outcome, StoreError>>,
    ) -> Self {
        Self { agent, same_call, limits, counted, answers, make, reply: Reply::new(to) }
    }

    fn hold(&self, batch: &mut Batch<'_>) -> Result<Outcome, StoreError> {
        let (now, limits) = (batch.now(), self.limits);
        let same = batch.same(self.same_call)?;
        if let Some(forged) = same.filter(|call| !call.genuine).map(|call| call.submission.id) {
            // Nobody is told what its row says; the call is held anew, for people to decide.
            batch.append(&Changed::Call(forged).entry(), now)?;
        } else if let Some(call) = same.filter(|call| (self.answers)(call, now)) {
            return Ok(Ok(Holding::Joined(Box::new(call.clone()))));
        }
        let counts = batch.counts(self.agent);
        if counts.open >= i64::from(limits.pending) {
            return Ok(Err(HoldRefused::TooManyPending(limits.pending)));
        }
        if counts.new >= i64::from(limits.new_per_hour) {
            let again = counts.oldest.unwrap_or(now).after(HOUR);
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
        let call = batch.hold(call, &entry)?;
        batch.count(&self.counted);
        Ok(Ok(Holding::New(Box::new(call))))
    }
}

impl<A, M> Job for Hold<A, M>
where
    A: Fn(&HeldCall, Millis) -> bool + Send,
    M: Fn(Millis) -> Result<(Submission, HoldProof), StoreError> + Send,
{
    fn wants(&self, wanted: &mut Wanted) {
        wanted.same(self.same_call);
        if self.limits.pending > 0 {
            wanted.agent(self.agent, &self.limits);
        }
    }

    fn unseen(&self) -> Option<Unseen> {
        let Self { agent, same_call, limits, .. } = *self;
        (limits.pending > 0 && limits.new_per_hour > 0).then_some(Unseen { same_call, agent, limits })
    }

    fn run(&mut self, batch: &mut Batch<'_>) {
        self.reply.outcome = Some(self.hold(batch));
    }

    fn answer(self: Box<Self>, written: Result<(), StoreError>) {
        self.reply.send(written);
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
        context_salt: None,
        answer: None,
        answer_salt: None,
        changed_at: submission.created_at,
        as_of: None,
        held_mac: Some(proof.0),
        approval_mac: None,
        finding: None,
        redacted_at: None,
        entry: 0,
        genuine: true,
        submission,
    }
}
