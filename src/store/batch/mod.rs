//! One batch of the hot operations: what they need is read at once, each is carried out in memory, one after the other,
//! and what comes of them is written at once.
//!
//! A job sees what the jobs before it in the batch did, as if each were a transaction of its own; none is answered
//! before all are committed. If the write fails, all is undone, and every job may be asked again, alone.

mod append;
mod change;
#[cfg(feature = "failpoints")]
mod faults;
mod hold;
mod read;
mod rows;
mod write;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use tokio::sync::oneshot;

pub(super) use append::Append;
pub(super) use change::Change;
pub(super) use hold::Hold;
pub(super) use write::{is_not_unseen, prepare};

use self::read::{Counts, Found, Read, Wanted};
use self::write::{Was, Writes};
use super::claims;
use super::people::{self, AgentStands, Person};
use super::row::{self, StateColumns};
use super::sealed::Trust;
use super::spent::Line;
use super::{ApprovalProof, CallChange, CounterRow, HoldLimits, StoreError};
use crate::audit::{Entry, Head, SealedEntry};
use crate::call::{AgentId, CallId, CallState, Digest, HeldCall, Millis, ReviewerId};
use crate::clock::Clock;

/// An operation that a batch carries out.
pub(super) trait Job: Send {
    /// Says what it needs to know.
    fn wants(&self, wanted: &mut Wanted);
    /// What would have to be so that it need not know anything.
    fn unseen(&self) -> Option<Unseen> {
        None
    }
    /// Carries itself out in memory. Asked again, it forgets what came of it before.
    fn run(&mut self, batch: &mut Batch<'_>);
    /// Tells its caller what came of it, now that the batch is committed or failed.
    fn answer(self: Box<Self>, written: Result<(), StoreError>);
}

/// How far back an agent's new calls are counted.
const HOUR: Duration = Duration::from_secs(3600);

/// That a call is new and its agent within its bounds, as nearly always. The write itself checks it, which saves a lone
/// caller the wait for a read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unseen {
    same_call: Digest,
    agent: AgentId,
    limits: HoldLimits,
}

/// Where a job's caller waits for what came of it.
struct Reply<T> {
    to: oneshot::Sender<Result<T, StoreError>>,
    outcome: Option<Result<T, StoreError>>,
}

impl<T> Reply<T> {
    fn new(to: oneshot::Sender<Result<T, StoreError>>) -> Self {
        Self { to, outcome: None }
    }

    /// A caller that has gone away does not undo what it asked for: sending to it may fail. Without an outcome there was
    /// no run, which the caller learns from the reply's being dropped.
    fn send(self, written: Result<(), StoreError>) {
        let answer = match (self.outcome, written) {
            (Some(Ok(value)), Ok(())) => Ok(value),
            (Some(Err(error)), _) | (_, Err(error)) => Err(error),
            (None, Ok(())) => return,
        };
        let _ = self.to.send(answer);
    }
}

/// A call in a batch: as the jobs so far have left it, and what is to be written of it.
struct Slot {
    found: Found,
    was: Was,
    set: Option<(StateColumns, Option<ApprovalProof>)>,
}

/// What a batch came to.
#[derive(Debug)]
pub(super) struct Written {
    /// The log's new head.
    pub head: Head,
    /// The leaves of its new entries.
    pub leaves: Vec<Digest>,
    /// What ended, or may not be as it was before, for the list of what is spent.
    pub ended: Vec<Line>,
}

/// The state of things in the middle of a batch.
pub(super) struct Batch<'w> {
    clock: &'w Clock,
    trust: Trust,
    head: Head,
    calls: HashMap<CallId, Slot>,
    damaged: HashMap<CallId, SqliteRow>,
    people: HashMap<ReviewerId, SqliteRow>,
    latest: HashMap<Digest, CallId>,
    counts: HashMap<AgentId, Counts>,
    writes: Writes,
    leaves: Vec<Digest>,
    ended: Vec<Line>,
}

impl<'w> Batch<'w> {
    /// Carries out a job without a read, if it may be done so. What was only guessed, the write checks: it then fails with
    /// an error that [`is_not_unseen`] knows, and nothing is written.
    pub(super) fn unseen(clock: &'w Clock, trust: Trust, head: Head, job: &mut dyn Job) -> Option<Self> {
        let unseen = job.unseen()?;
        let mut batch = Self::new(clock, trust, head, Read::default());
        batch.writes.unseen(&unseen, batch.now());
        job.run(&mut batch);
        Some(batch)
    }

    /// Reads what `jobs` want and carries them out. Nothing is written yet.
    pub(super) async fn run(
        connection: &mut SqliteConnection,
        clock: &'w Clock,
        trust: Trust,
        head: Head,
        entries: &[(Entry, SealedEntry)],
        jobs: &mut [Box<dyn Job>],
    ) -> Result<Self, sqlx::Error> {
        let mut wanted = Wanted::default();
        jobs.iter().for_each(|job| job.wants(&mut wanted));
        let now = clock.now().max(head.at);
        let read = Read::all(connection, wanted, &trust, now, jobs.len()).await?;
        let mut batch = Self::new(clock, trust, head, read);
        entries.iter().for_each(|(entry, sealed)| batch.entry(entry, sealed));
        jobs.iter_mut().for_each(|job| job.run(&mut batch));
        Ok(batch)
    }

    fn new(clock: &'w Clock, trust: Trust, head: Head, read: Read) -> Self {
        let Read { calls, people, latest, counts } = read;
        let mut batch = Self {
            clock,
            trust,
            head,
            calls: HashMap::with_capacity(calls.len()),
            damaged: HashMap::new(),
            people,
            latest,
            counts,
            writes: Writes::default(),
            leaves: Vec::new(),
            ended: Vec::new(),
        };
        for (id, call) in calls {
            match call {
                Ok(found) => {
                    let was = Was::of(&found.call);
                    batch.calls.insert(id, Slot { found, was, set: None });
                }
                Err(row) => {
                    batch.damaged.insert(id, row);
                }
            }
        }
        batch
    }

    /// Writes what came of it, or nothing, and answers with the log's new head and the leaves of its new entries.
    pub(super) async fn write(mut self, connection: &mut SqliteConnection) -> Result<Written, sqlx::Error> {
        for slot in self.calls.values() {
            if let Some((set, approval)) = &slot.set {
                let mac = row::state_mac(&self.trust.seal, &slot.found.call);
                self.writes.change(&slot.found.call, &slot.was, set, *approval, mac);
            }
        }
        self.writes.execute(connection).await?;
        Ok(Written { head: self.head, leaves: self.leaves, ended: self.ended })
    }

    /// The moment of a write: never earlier than any moment that was committed before, whatever the clock says.
    fn now(&self) -> Millis {
        self.clock.now().max(self.head.at)
    }

    /// Adds an entry to the log and gives its number.
    fn append(&mut self, entry: &Entry, at: Millis) -> Result<i64, StoreError> {
        let sealed = self.head.seal(entry, at)?;
        self.entry(entry, &sealed);
        Ok(sealed.seq)
    }

    fn entry(&mut self, entry: &Entry, sealed: &SealedEntry) {
        self.writes.entry(entry, sealed);
        self.leaves.push(sealed.leaf);
    }

    /// A call as it stands, if there is one.
    fn call(&self, id: CallId) -> Result<Option<&Found>, StoreError> {
        match (self.calls.get(&id), self.damaged.get(&id)) {
            (Some(slot), _) => Ok(Some(&slot.found)),
            // It is read again for its error, which every job that asks for it gets.
            (None, Some(row)) => read::found(row, &self.trust).map(|_| None),
            (None, None) => Ok(None),
        }
    }

    /// The latest same call as it stands.
    fn same(&self, same_call: Digest) -> Result<Option<&HeldCall>, StoreError> {
        let Some(id) = self.latest.get(&same_call) else { return Ok(None) };
        Ok(self.call(*id)?.map(|found| &found.call))
    }

    fn counts(&self, agent: AgentId) -> Counts {
        self.counts.get(&agent).copied().unwrap_or_default()
    }

    /// Those of `ids` who have an account.
    fn people(&self, ids: impl Iterator<Item = ReviewerId>) -> Result<BTreeMap<ReviewerId, Person>, StoreError> {
        let rows = ids.filter_map(|id| self.people.get(&id));
        rows.map(|row| people::person(row, &self.trust).map(|person| (person.id, person))).collect()
    }

    /// Takes in what was counted.
    fn count(&mut self, counted: &[CounterRow]) {
        self.writes.count(counted);
    }

    /// Takes a new call in: row, entry and notice.
    fn hold(&mut self, mut call: HeldCall, entry: &Entry) -> Result<HeldCall, StoreError> {
        let (id, agent, now) = (call.submission.id, call.submission.agent.id, call.submission.created_at);
        call.entry = self.append(entry, now)?;
        self.writes.call(&call, row::state_mac(&self.trust.seal, &call))?;
        self.writes.notice("call.held", id, now);
        self.latest.insert(call.submission.same_call, id);
        let counts = self.counts.entry(agent).or_default();
        *counts = Counts { open: counts.open + 1, new: counts.new + 1, oldest: counts.oldest.or(Some(now)) };
        let was = Was::of(&call);
        let found = Found { call: call.clone(), agent: AgentStands::Active };
        self.calls.insert(id, Slot { found, was, set: None });
        Ok(call)
    }

    /// Takes a call's step to `next` in, with everything that is committed together with it, and answers with the call
    /// as it will stand in the database.
    fn change(&mut self, id: CallId, next: CallState, change: CallChange, now: Millis) -> Result<HeldCall, StoreError> {
        let entry = self.append(&change.entry, now)?;
        let slot = self.calls.get_mut(&id).ok_or(StoreError::NoSuchCall(id))?;
        let call = &mut slot.found.call;
        let columns = StateColumns::of(&next);
        let (set, approval) = slot.set.get_or_insert_default();
        set.then(columns);
        *approval = change.approval.or(*approval);
        let closes = next.is_terminal() && !call.state.is_terminal();
        if closes && let Some(counts) = self.counts.get_mut(&call.submission.agent.id) {
            counts.open -= 1;
        }
        if let CallState::Pending { expires_at, .. } = next {
            call.expires_at = expires_at;
        }
        call.state = next;
        call.changed_at = now;
        call.entry = entry;
        call.approval_mac = change.approval.map(|proof| proof.0).or(call.approval_mac);
        if let Some(vote) = change.vote {
            self.writes.vote(id, &vote);
            call.votes.push(vote);
        }
        if let Some((answer, salt)) = change.answer {
            self.writes.answer(id, &answer, &salt, now);
            (call.answer, call.answer_salt) = (Some(answer), Some(salt));
        }
        if let Some(kind) = change.notice {
            self.writes.notice(kind, id, now);
        }
        self.ended.extend(claims::step(call));
        Ok(call.clone())
    }
}
