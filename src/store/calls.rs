//! Writing calls: hold one, change its state, note what was read or told. One transaction each.

use std::collections::BTreeMap;
use std::time::Duration;

use super::people::{self, Person};
use super::row::{self, StateColumns};
use super::{Store, StoreError, Tx};
use crate::audit::Entry;
use crate::call::{
    AgentId, Answer, CallId, CallState, ContextResult, Digest, Event, HeldCall, InvalidTransition, Millis, ReviewerId,
    StoredVote, Submission,
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
    /// The agent is known and not revoked.
    pub agent_is_active: bool,
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
    /// The upstream's answer that this step records.
    pub answer: Option<Answer>,
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

impl Store {
    /// Holds a call, or joins the same call that is here already. `make` builds the submission for this moment, and its
    /// proof.
    ///
    /// # Errors
    /// The database did not take it: nothing is held.
    pub async fn hold(
        &self,
        agent: AgentId,
        same_call: Digest,
        limits: HoldLimits,
        make: impl FnOnce(Millis) -> Result<(Submission, HoldProof), StoreError> + Send + 'static,
    ) -> Result<Result<Holding, HoldRefused>, StoreError> {
        self.write("hold", move |tx| Box::pin(hold(tx, agent, same_call, limits, make))).await
    }

    /// Makes one step of one call: `decide` sees what is committed, at the moment of the write, and answers with the
    /// change, or declines. `by` is the reviewer who asks for it, if one does.
    ///
    /// # Errors
    /// The database did not take it: nothing changed.
    pub async fn change_call<R: Send + 'static>(
        &self,
        id: CallId,
        by: Option<ReviewerId>,
        decide: impl FnOnce(&Scene<'_>) -> Result<CallChange, R> + Send + 'static,
    ) -> Result<Result<HeldCall, NotChanged<R>>, StoreError> {
        self.write("change_call", move |tx| Box::pin(change(tx, id, by, decide))).await
    }

    /// Stores what was read for the reviewer.
    ///
    /// # Errors
    /// The database did not take it.
    pub async fn set_context(&self, id: CallId, results: Vec<ContextResult>) -> Result<(), StoreError> {
        let text = serde_json::to_string(&results)?;
        self.write("set_context", move |tx| {
            Box::pin(async move {
                let sql = "UPDATE calls SET context = $1 WHERE id = $2";
                sqlx::query(sql).bind(text).bind(id.to_string()).execute(tx.connection()).await?;
                Ok(())
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
                let sql = "UPDATE calls SET told_to_return = 1, caller_gone = 0 WHERE id = $1";
                sqlx::query(sql).bind(id.to_string()).execute(tx.connection()).await?;
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
                let sql =
                    "UPDATE calls SET caller_gone = 1 WHERE state IN ('pending', 'approved') AND told_to_return = 0";
                sqlx::query(sql).execute(tx.connection()).await?;
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

async fn hold(
    tx: &mut Tx<'_>,
    agent: AgentId,
    same_call: Digest,
    limits: HoldLimits,
    make: impl FnOnce(Millis) -> Result<(Submission, HoldProof), StoreError>,
) -> Result<Result<Holding, HoldRefused>, StoreError> {
    let now = tx.now();
    if let Some(call) = same(tx, same_call, limits).await? {
        return Ok(Ok(Holding::Joined(Box::new(call))));
    }
    let hour_ago = now.before(Duration::from_secs(3600));
    let sql =
        "SELECT (SELECT count(*) FROM calls WHERE agent_id = $1 AND state IN ('pending', 'approved', 'releasing')),
                      (SELECT count(*) FROM calls WHERE agent_id = $1 AND created_at > $2),
                      (SELECT min(created_at) FROM calls WHERE agent_id = $1 AND created_at > $2)";
    let (open, new, oldest): (i64, i64, Option<i64>) =
        sqlx::query_as(sql).bind(agent.to_string()).bind(hour_ago.0).fetch_one(tx.connection()).await?;
    if open >= i64::from(limits.pending) {
        return Ok(Err(HoldRefused::TooManyPending(limits.pending)));
    }
    if new >= i64::from(limits.new_per_hour) {
        let again = Millis(oldest.unwrap_or(now.0)).after(Duration::from_secs(3600));
        return Ok(Err(HoldRefused::TooManyNew(limits.new_per_hour, again)));
    }
    let (submission, proof) = make(now)?;
    let digest = submission.digest();
    insert(tx, &submission, digest, proof).await?;
    failpoint!("submit.params" => sqlx::Error);
    tx.append(
        Entry::new("call.held")
            .call(submission.id)
            .agent(&submission.agent.name)
            .upstream(&submission.upstream)
            .tool(&submission.tool)
            .with("digest", digest.to_string())
            .with("rule", submission.rule.clone())
            .with("policy", submission.policy.to_string())
            .with("expires_at", now.after(submission.requirement.timeout).to_string()),
    )?;
    tx.notify("call.held", submission.id, None).await?;
    failpoint!("submit.notice" => sqlx::Error);
    let held = load(tx, submission.id).await?.ok_or(sqlx::Error::RowNotFound)?;
    Ok(Ok(Holding::New(Box::new(held))))
}

/// The latest same call, if it still answers for a new one.
async fn same(tx: &mut Tx<'_>, same_call: Digest, limits: HoldLimits) -> Result<Option<HeldCall>, StoreError> {
    let sql = "SELECT id FROM calls WHERE same_call = $1 ORDER BY changed_at DESC, id DESC LIMIT 1";
    let id: Option<String> =
        sqlx::query_scalar(sql).bind(same_call.to_string()).fetch_optional(tx.connection()).await?;
    let Some(id) = id.and_then(|id| id.parse().ok()) else { return Ok(None) };
    let now = tx.now();
    let fresh = |call: &HeldCall, ttl| now < call.changed_at.after(ttl);
    Ok(load(tx, id).await?.filter(|call| match call.state {
        CallState::Pending { .. }
        | CallState::Approved { .. }
        | CallState::Releasing { .. }
        | CallState::OutcomeUnknown { .. } => true,
        CallState::Executed { .. } | CallState::ToolError { .. } => fresh(call, limits.result_ttl),
        CallState::Rejected { .. } => fresh(call, limits.rejection_ttl),
        CallState::Expired { .. }
        | CallState::Cancelled { .. }
        | CallState::Lapsed { .. }
        | CallState::Revoked { .. } => false,
    }))
}

async fn insert(tx: &mut Tx<'_>, call: &Submission, digest: Digest, proof: HoldProof) -> Result<(), StoreError> {
    let sql = "INSERT INTO calls (id, agent_id, agent_name, agent_owner, upstream, upstream_config, tool, tool_schema,
                   headers, same_call, nonce, policy, rule, requirement, era, client, created_at, digest, state,
                   expires_at, changed_at, held_mac)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, 'pending',
                   $19, $17, $20)";
    sqlx::query(sql)
        .bind(call.id.to_string())
        .bind(call.agent.id.to_string())
        .bind(call.agent.name.as_str())
        .bind(call.agent.owner.as_str())
        .bind(call.upstream.as_str())
        .bind(call.upstream_config.to_string())
        .bind(call.tool.as_str())
        .bind(call.tool_schema.map(|schema| schema.to_string()))
        .bind(serde_json::to_string(&call.headers)?)
        .bind(call.same_call.to_string())
        .bind(Digest(call.nonce).to_string())
        .bind(call.policy.to_string())
        .bind(&call.rule)
        .bind(serde_json::to_string(&call.requirement)?)
        .bind(serde_json::to_value(call.era)?.as_str().map(str::to_owned))
        .bind(call.client.as_deref())
        .bind(call.created_at.0)
        .bind(digest.to_string())
        .bind(call.created_at.after(call.requirement.timeout).0)
        .bind(proof.0.to_string())
        .execute(tx.connection())
        .await?;
    failpoint!("submit.call" => sqlx::Error);
    let span = call.arguments_at;
    let sql = "INSERT INTO call_params (call_id, params, args_start, args_end) VALUES ($1, $2, $3, $4)";
    sqlx::query(sql)
        .bind(call.id.to_string())
        .bind(&call.params)
        .bind(span.map(|(start, _)| i64::try_from(start).unwrap_or(i64::MAX)))
        .bind(span.map(|(_, end)| i64::try_from(end).unwrap_or(i64::MAX)))
        .execute(tx.connection())
        .await?;
    Ok(())
}

pub(super) async fn load(tx: &mut Tx<'_>, id: CallId) -> Result<Option<HeldCall>, StoreError> {
    let row = sqlx::query(row::SELECT_ONE).bind(id.to_string()).fetch_optional(tx.connection()).await?;
    row.as_ref().map(row::held_call).transpose()
}

async fn change<R: Send + 'static>(
    tx: &mut Tx<'_>,
    id: CallId,
    by: Option<ReviewerId>,
    decide: impl FnOnce(&Scene<'_>) -> Result<CallChange, R>,
) -> Result<Result<HeldCall, NotChanged<R>>, StoreError> {
    let Some(call) = load(tx, id).await? else { return Ok(Err(NotChanged::NoSuchCall)) };
    let who = call.votes.iter().map(|stored| stored.vote.by).chain(by).collect();
    let people = people::people(tx, &who).await?;
    let agent_is_active = people::agent_is_active(tx, call.submission.agent.id).await?;
    let change = match decide(&Scene { call: &call, now: tx.now(), people: &people, agent_is_active }) {
        Ok(change) => change,
        Err(declined) => return Ok(Err(NotChanged::Declined(declined))),
    };
    let next = match call.state.clone().apply(change.event) {
        Ok(next) => next,
        Err(invalid) => return Ok(Err(NotChanged::Invalid(Box::new(call), invalid))),
    };
    update(tx, &call, &next, change.approval).await?;
    failpoint!("change.state" => sqlx::Error);
    if let Some(vote) = &change.vote {
        insert_vote(tx, id, vote).await?;
        failpoint!("change.vote" => sqlx::Error);
    }
    if let Some(answer) = &change.answer {
        insert_answer(tx, id, answer).await?;
        failpoint!("change.answer" => sqlx::Error);
    }
    tx.append(change.entry)?;
    if let Some(kind) = change.notice {
        tx.notify(kind, id, None).await?;
        failpoint!("change.notice" => sqlx::Error);
    }
    let changed = load(tx, id).await?.ok_or(sqlx::Error::RowNotFound)?;
    Ok(Ok(changed))
}

/// Compare and set: the row must still be what was decided on, else nothing is committed.
async fn update(
    tx: &mut Tx<'_>,
    call: &HeldCall,
    next: &CallState,
    approval: Option<ApprovalProof>,
) -> Result<(), StoreError> {
    let columns = StateColumns::of(next);
    let sql = "UPDATE calls SET state = $1, expires_at = coalesce($2, expires_at), escalated = max(escalated, $3),
                   approved_at = coalesce($4, approved_at), approved_by = coalesce($5, approved_by),
                   usable_until = coalesce($6, usable_until), claim = coalesce($7, claim), ended_by = $8,
                   ended_why = $9, approval_mac = coalesce($10, approval_mac), changed_at = $11
               WHERE id = $12 AND state = $13 AND digest = $14 AND expires_at = $15 AND changed_at = $16";
    let done = sqlx::query(sql)
        .bind(next.name())
        .bind(columns.expires_at)
        .bind(columns.escalated)
        .bind(columns.approved_at)
        .bind(columns.approved_by)
        .bind(columns.usable_until)
        .bind(columns.claim)
        .bind(columns.ended_by)
        .bind(columns.ended_why)
        .bind(approval.map(|proof| proof.0.to_string()))
        .bind(tx.now().0)
        .bind(call.submission.id.to_string())
        .bind(call.state.name())
        .bind(call.digest.to_string())
        .bind(call.expires_at.0)
        .bind(call.changed_at.0)
        .execute(tx.connection())
        .await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(sqlx::Error::RowNotFound.into()) }
}

async fn insert_vote(tx: &mut Tx<'_>, id: CallId, stored: &StoredVote) -> Result<(), StoreError> {
    let sql = "INSERT INTO votes (call_id, reviewer_id, email, verdict, at, reason, mac)
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    sqlx::query(sql)
        .bind(id.to_string())
        .bind(stored.vote.by.to_string())
        .bind(stored.by_email.as_str())
        .bind(stored.vote.verdict.as_str())
        .bind(stored.vote.at.0)
        .bind(&stored.vote.reason)
        .bind(stored.mac.to_string())
        .execute(tx.connection())
        .await?;
    Ok(())
}

async fn insert_answer(tx: &mut Tx<'_>, id: CallId, answer: &Answer) -> Result<(), StoreError> {
    let (kind, body) = match answer {
        Answer::Result(body) => ("result", body),
        Answer::Error(body) => ("error", body),
    };
    let sql = "INSERT INTO call_answers (call_id, kind, body, recorded_at) VALUES ($1, $2, $3, $4)";
    let now = tx.now();
    sqlx::query(sql).bind(id.to_string()).bind(kind).bind(body).bind(now.0).execute(tx.connection()).await?;
    Ok(())
}
