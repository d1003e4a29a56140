//! What must hold after a wave of calls was fought over: of each call, of the log, and between the two.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use placet::approvals::{Attached, DecideError, Ineligible, NotCancelled};
use placet::call::{AgentId, Approver, CallState, HeldCall, Millis, ReviewerId, Verdict};
use placet::store::{EntryFilter, StoredEntry};

use super::{Told, Wish};
use crate::support::bench::Bench;

/// One call, who waits for it, and what everybody was told.
pub(super) struct Round {
    pub(super) call: HeldCall,
    pub(super) attached: Option<Attached>,
    pub(super) told: Vec<(Wish, Told)>,
}

pub(super) struct Wave {
    /// When it began.
    pub(super) from: Millis,
    pub(super) rounds: Vec<Round>,
    pub(super) rex: ReviewerId,
    pub(super) denied: bool,
    pub(super) revoked: Option<AgentId>,
}

/// How the calls of all waves ended, so that a race that nobody lost is noticed.
#[derive(Debug, Default)]
pub(super) struct Tally {
    ended: BTreeMap<&'static str, u64>,
    losers: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// Every outcome occurred, and every way to lose.
    pub(super) fn was_worth_it(&self, rounds: u64) {
        assert!(self.ended.values().sum::<u64>() >= rounds);
        if rounds < 10_000 {
            return;
        }
        for state in ["rejected", "expired", "cancelled", "executed", "lapsed", "revoked"] {
            assert!(self.ended.get(state).is_some_and(|count| *count > 50), "{state} is rare: {self:?}");
        }
        for why in ["not pending", "too late", "voted already", "disabled", "cancelled too late"] {
            assert!(self.losers.get(why).is_some_and(|count| *count > 0), "nobody lost by {why}: {self:?}");
        }
    }

    fn lost(&mut self, why: &'static str) {
        *self.losers.entry(why).or_default() += 1;
    }
}

impl Wave {
    /// Lets every deadline pass and everything end.
    pub(super) async fn settle(&mut self, bench: &Bench) {
        bench.approvals.releases_ended().await;
        if self.denied {
            // The change is in force: whatever was not claimed before it never is.
            bench.store.check_writable().await.unwrap();
            let sent = bench.sent();
            for round in &self.rounds {
                bench.approvals.returned(round.call.submission.id).await;
            }
            self.quiet(bench).await;
            assert_eq!(bench.sent(), sent, "released against the policy in force");
            *bench.today.0.lock().unwrap() = None;
        }
        // Those that escalated have one more deadline, those that are parked a last one.
        for _ in 0..3 {
            bench.clock.advance(Duration::from_secs(4000));
            bench.approvals.expire().await.unwrap();
        }
        for round in &mut self.rounds {
            if let Some(attached) = round.attached.take() {
                let end = tokio::time::timeout(Duration::from_secs(20), attached.finished()).await;
                round.told.push((Wish::Return, Told::Finished(end.expect("a call does not end").unwrap())));
            }
        }
        self.quiet(bench).await;
    }

    /// Until no call is on its way any more.
    async fn quiet(&self, bench: &Bench) {
        for _ in 0..1000 {
            bench.approvals.releases_ended().await;
            bench.store.check_writable().await.unwrap();
            let open = bench.store.unfinished().await.unwrap();
            let moving = |call: &HeldCall| matches!(call.state, CallState::Releasing { .. });
            if !open.iter().any(moving) && (!self.denied || open.is_empty()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        panic!("something does not end");
    }

    pub(super) async fn judge(&self, bench: &Bench, tally: &mut Tally) {
        let mut sent: HashMap<String, usize> = HashMap::new();
        for params in std::mem::take(&mut *bench.upstream.received.lock().unwrap()) {
            *sent.entry(params).or_default() += 1;
        }
        let log = self.log(bench).await;
        let mut by_call: HashMap<String, Vec<&StoredEntry>> = HashMap::new();
        for entry in &log {
            by_call.entry(entry.call.clone().unwrap_or_default()).or_default().push(entry);
        }
        for round in &self.rounds {
            let id = round.call.submission.id;
            let end = bench.store.call(id).await.unwrap().unwrap();
            assert!(end.genuine && end.state.is_terminal(), "{end:?}");
            let entries = &by_call[&id.to_string()];
            let kinds: Vec<_> = entries.iter().map(|entry| entry.kind.as_str()).collect();
            let whole = format!("{kinds:?}, ends as {:?}, told {:?}", end.state, round.told);
            agree(&kinds, &end, &whole);
            let count = sent.remove(&round.call.submission.params).unwrap_or(0);
            assert_eq!(count, usize::from(end.state.name() == "executed"), "{whole}");
            for (wish, told) in &round.told {
                self.truth(*wish, told, &end, &kinds, tally, &whole);
            }
            self.rights(&log, entries, &end, &whole);
            *tally.ended.entry(end.state.name()).or_default() += 1;
        }
        assert!(sent.is_empty(), "sent, though nobody asked for it: {sent:?}");
    }

    /// The entries since this wave's first call, oldest first.
    async fn log(&self, bench: &Bench) -> Vec<StoredEntry> {
        let filter = EntryFilter { from: Some(self.from), limit: 20_000, ..EntryFilter::default() };
        let mut log = bench.store.entries(filter).await.unwrap();
        log.reverse();
        log
    }

    /// What somebody was told is so, and was so when it was told.
    fn truth(&self, wish: Wish, told: &Told, end: &HeldCall, kinds: &[&str], tally: &mut Tally, whole: &str) {
        let was = |call: &HeldCall| {
            assert!(states(kinds).contains(&call.state.name()), "{} never was: {whole}", call.state.name());
        };
        match told {
            Told::Decided(Ok(call)) => {
                let Wish::Decide(by, verdict) = wish else { panic!("{whole}") };
                let mine = |stored: &&placet::call::StoredVote| stored.vote.by == by && stored.vote.verdict == verdict;
                assert_eq!(end.votes.iter().filter(mine).count(), 1, "a verdict that counted is gone: {whole}");
                match (&call.state, verdict) {
                    (CallState::Rejected { by: who, .. }, Verdict::Reject) => {
                        assert!(*who == by && end.state == call.state, "{whole}");
                    }
                    (CallState::Approved { by: Approver::Reviewers(votes), .. }, Verdict::Approve) => {
                        assert!(votes.iter().any(|vote| vote.by == by), "{whole}");
                        assert!(matches!(end.state.name(), "executed" | "lapsed" | "revoked"), "{whole}");
                    }
                    (CallState::Pending { .. }, Verdict::Approve) => {
                        assert!(end.submission.requirement.quorum.approvals() == 2, "{whole}");
                    }
                    _ => panic!("{whole}"),
                }
            }
            Told::Decided(Err(DecideError::NotPending(call))) => {
                was(call);
                assert!(!call.state.is_pending(), "{whole}");
                tally.lost("not pending");
            }
            Told::Decided(Err(DecideError::TooLate)) => {
                let short = end.submission.requirement.timeout == Duration::from_secs(1);
                assert!(short, "its deadline was far away: {whole}");
                tally.lost("too late");
            }
            Told::Decided(Err(DecideError::VotedAlready)) => {
                let Wish::Decide(by, _) = wish else { panic!("{whole}") };
                assert!(end.votes.iter().any(|stored| stored.vote.by == by), "{whole}");
                tally.lost("voted already");
            }
            Told::Decided(Err(DecideError::Forbidden(Ineligible::Disabled))) => {
                assert!(matches!(wish, Wish::Decide(by, _) if by == self.rex), "{whole}");
                tally.lost("disabled");
            }
            Told::Cancelled(Ok(call)) => match call.state {
                CallState::Cancelled { .. } => assert_eq!(end.state, call.state, "{whole}"),
                // Somebody waits for it, so it is not taken back: it is told as it stands.
                _ => was(call),
            },
            Told::Cancelled(Err(NotCancelled::TooLate(call))) => {
                was(call);
                assert!(!call.state.is_pending(), "{whole}");
                tally.lost("cancelled too late");
            }
            Told::Joined(joined) => joined.iter().for_each(|call| {
                assert_eq!(call.submission.id, end.submission.id, "{whole}");
                was(call);
            }),
            Told::Finished(call) => assert_eq!(call.state, end.state, "{whole}"),
            Told::Nothing => {}
            Told::Decided(Err(_)) | Told::Cancelled(Err(_)) => panic!("{whole}"),
        }
    }

    /// Nobody did anything after losing the right to it, by the log's own order.
    fn rights(&self, log: &[StoredEntry], entries: &[&StoredEntry], end: &HeldCall, whole: &str) {
        let seq = |kind: &str, matches: &dyn Fn(&StoredEntry) -> bool| {
            log.iter().find(|entry| entry.kind == kind && matches(entry)).map(|entry| entry.seq)
        };
        let released = entries.iter().find(|entry| entry.kind == "call.released").map(|entry| entry.seq);
        if self.revoked == Some(end.submission.agent.id) {
            let name = end.submission.agent.name.as_str();
            let revoked = seq("agent.revoked", &|entry| entry.agent.as_deref() == Some(name)).unwrap();
            assert!(released.is_none_or(|released| released < revoked), "released for a revoked agent: {whole}");
        }
        let rex = self.rex.to_string();
        let of_rex = |entry: &StoredEntry| entry.reviewer.as_deref() == Some(rex.as_str());
        if let Some(disabled) = seq("reviewer.disabled", &of_rex) {
            let late = entries.iter().any(|entry| of_rex(entry) && entry.seq > disabled);
            assert!(!late, "decided by who was disabled: {whole}");
            // Where the policy approved in the end, nothing hangs on a vote that came before.
            let by_policy = |entry: &&StoredEntry| entry.body.contains(r#""by":"policy""#);
            let voted = !entries.iter().any(by_policy) && end.votes.iter().any(|stored| stored.vote.by == self.rex);
            assert!(!voted || released.is_none_or(|released| released < disabled), "released on such a vote: {whole}");
        }
    }
}

/// The states that the log tells of, in its order.
fn states(kinds: &[&str]) -> Vec<&'static str> {
    let of = |kind: &&str| match *kind {
        "call.held" | "call.voted" | "call.escalated" => "pending",
        "call.approved" => "approved",
        "call.rejected" => "rejected",
        "call.expired" => "expired",
        "call.cancelled" => "cancelled",
        "call.released" => "releasing",
        "call.executed" => "executed",
        "call.lapsed" => "lapsed",
        "call.revoked" => "revoked",
        other => panic!("{other} has no place here"),
    };
    kinds.iter().map(of).collect()
}

/// The log tells one life, and the row its end.
fn agree(kinds: &[&str], end: &HeldCall, whole: &str) {
    let states = states(kinds);
    assert_eq!(states.first(), Some(&"pending"), "{whole}");
    for step in states.windows(2) {
        let allowed = match step[0] {
            "pending" => ["pending", "approved", "rejected", "expired", "cancelled"].contains(&step[1]),
            "approved" => ["releasing", "lapsed", "revoked"].contains(&step[1]),
            "releasing" => step[1] == "executed",
            _ => false,
        };
        assert!(allowed, "{} after {}: {whole}", step[1], step[0]);
    }
    assert_eq!(states.last(), Some(&end.state.name()), "{whole}");
    let votes = kinds.iter().filter(|kind| matches!(**kind, "call.voted" | "call.approved" | "call.rejected")).count();
    let by_policy = kinds.contains(&"call.approved")
        && end.submission.requirement.on_timeout == placet::call::OnTimeout::Approve
        && end.votes.len() < votes;
    assert_eq!(end.votes.len() + usize::from(by_policy), votes, "votes and entries do not agree: {whole}");
}
