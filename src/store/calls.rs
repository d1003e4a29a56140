//! Writing calls: hold one, change its state, note what was read or told. One transaction each.

use std::collections::BTreeMap;
use std::time::Duration;

use super::batch::{Change, Hold};
use super::counters::CounterRow;
use super::people::{AgentStands, Person};
use super::{Store, StoreError};
use crate::audit::Entry;
use crate::call::salted::{Salt, context_digest};
use crate::call::{
    AgentId, Answer, CallId, ContextResult, Digest, Event, HeldCall, InvalidTransition, Millis, ReviewerId, StoredVote,
    Submission,
};

/// Bounds on what one agent may hold, whatever the policy says: a flood must not reach reviewers.
#[derive(Clone, Copy, Debug)]
pub struct HoldLimits {
    /// Calls of one agent that may be open at once.
    pub pending: u32,
    /// New calls of one agent in any hour.
    pub new_per_hour: u32,
    /// How long an answer is kept for the same call.
    pub result_ttl: Duration,
    /// How long a rejection answers the same call.
    pub rejection_ttl: Duration,
}

/// What became of a submission.
#[derive(Debug)]
pub enum Holding {
    /// Held, and reviewers will hear of it.
    New(Box<HeldCall>),
    /// The same call is here already: open, executed with its answer kept, rejected a moment ago, or of unknown
    /// outcome.
    Joined(Box<HeldCall>),
}

/// Why a submission was not held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldRefused {
    /// So many calls of this agent are open already.
    TooManyPending(u32),
    /// So many were held within the hour; the oldest of them leaves it then.
    TooManyNew(u32, Millis),
}

/// What a step is decided on: all of it read in the transaction that makes the step.
#[derive(Debug)]
pub struct Scene<'a> {
    /// The committed call.
    pub call: &'a HeldCall,
    /// The moment of the write.
    pub now: Millis,
    /// Who asks for the step and who voted before, as far as they have an account.
    pub people: &'a BTreeMap<ReviewerId, Person>,
    /// What the agent is worth now.
    pub agent: AgentStands,
}

/// One step of one call, with everything that is committed together with it.
#[derive(Debug)]
pub struct CallChange {
    /// The step.
    pub event: Event,
    /// Its entry in the log.
    pub entry: Entry,
    /// The vote that makes the step, if one does.
    pub vote: Option<StoredVote>,
    /// Proves an approval that this step makes.
    pub approval: Option<ApprovalProof>,
    /// The upstream's answer that this step records, and what salts the entry's hash of it.
    pub answer: Option<(Answer, Salt)>,
    /// What reviewers are told, as the outbox names it.
    pub notice: Option<&'static str>,
}

/// An HMAC over everything that is fixed when a call is held, under a key that is not in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldProof(pub Digest);

/// An HMAC over digest, approver and times of an approval, under a key that is not in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApprovalProof(pub Digest);

/// Why a change was not made. Nothing of it was committed.
#[derive(Debug)]
pub enum NotChanged<R> {
    /// There is no such call.
    NoSuchCall,
    /// The one who asked for it declined after seeing the committed call.
    Declined(R),
    /// The state does not allow it.
    Invalid(Box<HeldCall>, InvalidTransition),
}

/// Notes that nobody waits for an open call any more, state by state: each has an index of its own.
pub(super) const CALLERS_ARE_GONE: [&str; 2] = [
    "UPDATE calls INDEXED BY calls_deadline SET caller_gone = 1 WHERE state = 'pending' AND told_to_return = 0",
    "UPDATE calls INDEXED BY calls_usable SET caller_gone = 1 WHERE state = 'approved' AND told_to_return = 0",
];

impl Store {
    /// Holds a call, or joins the same call that is here already, if the latest one `answers` for a new one at this
    /// moment. `make` builds the submission for this moment, and its proof; it is asked again if the write must be tried
    /// again. What it takes of its limits is written with it, if it is held.
    ///
    /// # Errors
    /// The database did not take it: nothing is held.
    pub async fn hold(
        &self,
        agent: AgentId,
        same_call: Digest,
        limits: HoldLimits,
        counted: Vec<CounterRow>,
        answers: impl Fn(&HeldCall, Millis) -> bool + Send + 'static,
        make: impl Fn(Millis) -> Result<(Submission, HoldProof), StoreError> + Send + 'static,
    ) -> Result<Result<Holding, HoldRefused>, StoreError> {
        self.writer.job(|reply| Hold::new(agent, same_call, limits, counted, answers, make, reply)).await
    }

    /// Makes one step of one call: `decide` sees what is committed, at the moment of the write, and answers with the
    /// change, or declines; it is asked again if the write must be tried again. `by` is the reviewer who asks for it, if
    /// one does.
    ///
    /// # Errors
    /// The database did not take it: nothing changed.
    pub async fn change_call<R: Send + 'static>(
        &self,
        id: CallId,
        by: Option<ReviewerId>,
        decide: impl Fn(&Scene<'_>) -> Result<CallChange, R> + Send + 'static,
    ) -> Result<Result<HeldCall, NotChanged<R>>, StoreError> {
        self.writer.job(|reply| Change::new(id, by, decide, reply)).await
    }

    /// Stores what was read for the reviewer, once. `entry` goes to the log with the salted hash of it, as `reads`.
    ///
    /// # Errors
    /// The database did not take it.
    pub async fn set_context(
        &self,
        id: CallId,
        results: Vec<ContextResult>,
        salt: Salt,
        entry: Entry,
    ) -> Result<(), StoreError> {
        let text = serde_json::to_string(&results)?;
        let entry = entry.with("reads", context_digest(id, &salt, &text).to_string());
        self.write("set_context", move |tx| {
            Box::pin(async move {
                let sql = "UPDATE calls SET context = $1, context_salt = $2
                           WHERE id = $3 AND context IS NULL AND redacted_at IS NULL";
                let query = sqlx::query(sql).bind(text).bind(Digest(salt).to_string()).bind(id.to_string());
                let done = query.execute(tx.connection()).await?;
                if done.rows_affected() == 1 { tx.append(entry) } else { Ok(()) }
            })
        })
        .await
    }

    /// Notes that the caller was told to come back, before it is told.
    ///
    /// # Errors
    /// The database did not take it: the caller must not be told.
    pub async fn set_told_to_return(&self, id: CallId) -> Result<(), StoreError> {
        self.write("set_told_to_return", move |tx| {
            Box::pin(async move {
                let told = tx.trust().seal.told(id);
                let sql = "UPDATE calls SET told_to_return = 1, told_mac = $2, caller_gone = 0 WHERE id = $1";
                sqlx::query(sql).bind(id.to_string()).bind(told.to_string()).execute(tx.connection()).await?;
                Ok(())
            })
        })
        .await
    }

    /// After a restart: every open stream has ended, so whoever was not told to come back is gone.
    ///
    /// # Errors
    /// The database did not take it.
    pub async fn callers_are_gone(&self) -> Result<(), StoreError> {
        self.write("callers_are_gone", |tx| {
            Box::pin(async move {
                for sql in CALLERS_ARE_GONE {
                    sqlx::query(sql).execute(tx.connection()).await?;
                }
                Ok(())
            })
        })
        .await
    }

    /// Notes that the caller left without being told, or is back.
    ///
    /// # Errors
    /// The database did not take it.
    pub async fn set_caller_gone(&self, id: CallId, gone: bool) -> Result<(), StoreError> {
        self.write("set_caller_gone", move |tx| {
            Box::pin(async move {
                let sql = "UPDATE calls SET caller_gone = $1 WHERE id = $2 AND told_to_return = 0";
                sqlx::query(sql).bind(gone).bind(id.to_string()).execute(tx.connection()).await?;
                Ok(())
            })
        })
        .await
    }
}
