//! Everything against everything: approvals, rejections, expiry, cancelling, the same call again, a policy that changes,
//! an agent that is revoked, a reviewer who is disabled, on ten thousand calls. One outcome each, every loser told the
//! truth, and never a call that runs twice or without an approval.
//!
//! `PLACET_RACES` sets how many calls (10,000), `PLACET_SEED` where their fates begin.

mod deadline;
mod verdict;

use std::sync::Arc;
use std::time::Duration;

use placet::approvals::{Approvals, DecideError, Decision, NewCall, NotCancelled, Settings};
use placet::call::{AgentId, ReviewerId};
use placet::call::{AgentName, Caller, Digest, Email, GroupName, HeldCall, OnTimeout, Quorum, Requirement, Verdict};
use placet::store::{HoldLimits, NewAgent, NewReviewer, Roles};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use self::verdict::{Round, Wave};
use crate::support::bench::Bench;
use crate::support::dice::Dice;

/// Calls that are fought over at the same time.
const AT_ONCE: u64 = 250;

/// What somebody wants of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Decide(ReviewerId, Verdict),
    Cancel,
    Return,
    ToldToReturn,
    SameAgain,
}

/// What became of a wish, as it was told.
#[derive(Debug)]
pub(super) enum Told {
    Decided(Result<HeldCall, DecideError>),
    Cancelled(Result<HeldCall, NotCancelled>),
    Joined(Option<HeldCall>),
    Finished(HeldCall),
    Nothing,
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_calls_come_to_one_outcome_each() {
    let (rounds, seed) = (number("PLACET_RACES", 10_000), number("PLACET_SEED", 1));
    let limits = HoldLimits { pending: u32::MAX, new_per_hour: u32::MAX, ..Settings::default().limits };
    let bench = Arc::new(Bench::with(Settings { limits, ..Settings::default() }).await);
    let mut dice = Dice::new(seed);
    let mut tally = verdict::Tally::default();
    for wave in 0..rounds.div_ceil(AT_ONCE) {
        let wave = fight(&bench, wave, &mut dice).await;
        wave.judge(&bench, &mut tally).await;
    }
    tally.was_worth_it(rounds);
}

/// Holds calls, lets everybody loose on them at once, and waits until nothing more can happen to any of them.
async fn fight(bench: &Arc<Bench>, number: u64, dice: &mut Dice) -> Wave {
    let from = bench.clock.now();
    let rex = reviewer(bench, &format!("rex-{number}@example.com")).await;
    let mut agents = Vec::new();
    for n in 0..4 {
        agents.push(agent(bench, &format!("bot-{number}-{n}")).await);
    }
    let mut held = JoinSet::new();
    for n in 0..AT_ONCE {
        let caller = agents[usize::try_from(n).unwrap() % agents.len()].clone();
        let call = NewCall { agent: caller, ..bench.call(&format!(r#"{{"wave":{number},"n":{n}}}"#), asked(dice)) };
        let approvals = bench.approvals.clone();
        held.spawn(async move { (approvals.submit(call.clone()).await.unwrap().call, call) });
    }
    let mut rounds = Vec::new();
    let mut wishes = Vec::new();
    for (call, new) in held.join_all().await {
        for wish in wanted(bench, rex, dice) {
            wishes.push((rounds.len(), wish, new.clone()));
        }
        let attached = dice.one_in(2).then(|| bench.approvals.attach(call.submission.id));
        rounds.push(Round { call, attached, told: Vec::new() });
    }
    // The order in which tasks begin is the dice's too.
    for at in (1..wishes.len()).rev() {
        wishes.swap(at, usize::try_from(dice.throw(at as u64 + 1)).unwrap());
    }
    let (denies, revokes, disables) = (dice.one_in(3), dice.one_in(2), dice.one_in(2));
    let turmoil = Turmoil { denies, revokes: revokes.then(|| agents[0].name.clone()), disables, number };
    let start = Arc::new(Barrier::new(wishes.len() + 4));
    let mut running = JoinSet::new();
    for (at, wish, new) in wishes {
        let (approvals, call, start) = (bench.approvals.clone(), rounds[at].call.clone(), Arc::clone(&start));
        running.spawn(async move {
            start.wait().await;
            (at, wish, carry_out(&approvals, &call, wish, new).await)
        });
    }
    let turmoil = turmoil.begin(bench, &start);
    start.wait().await;
    while let Some(done) = running.join_next().await {
        let (at, wish, told) = done.unwrap();
        rounds[at].told.push((wish, told));
    }
    turmoil.await;
    let mut wave = Wave { from, rounds, rex, denied: denies, revoked: revokes.then(|| agents[0].id) };
    wave.settle(bench).await;
    wave
}

/// What happens around the calls meanwhile.
struct Turmoil {
    denies: bool,
    revokes: Option<AgentName>,
    disables: bool,
    number: u64,
}

impl Turmoil {
    /// Returns what waits for its end.
    fn begin(self, bench: &Arc<Bench>, start: &Arc<Barrier>) -> impl Future<Output = ()> + use<> {
        let Self { denies, revokes, disables, number } = self;
        let mut tasks = JoinSet::new();
        let (at, here) = (Arc::clone(start), Arc::clone(bench));
        tasks.spawn(async move {
            at.wait().await;
            if denies {
                *here.today.0.lock().unwrap() = Some("the policy denies put_user_policy now".into());
            }
            if let Some(name) = revokes {
                here.store.agent_revoke(name).await.unwrap().unwrap();
            }
        });
        let (at, here) = (Arc::clone(start), Arc::clone(bench));
        tasks.spawn(async move {
            at.wait().await;
            if disables {
                let email = Email::parse(&format!("rex-{number}@example.com")).unwrap();
                here.store.reviewer_disable(email).await.unwrap().unwrap();
            }
        });
        let (at, here) = (Arc::clone(start), Arc::clone(bench));
        tasks.spawn(async move {
            at.wait().await;
            // The short deadlines pass in the middle of it all, and several look at them at once.
            here.clock.advance(Duration::from_secs(1));
            let looks = (0..3).map(|_| here.approvals.expire());
            futures_util::future::try_join_all(looks).await.unwrap();
        });
        async move {
            while let Some(done) = tasks.join_next().await {
                done.unwrap();
            }
        }
    }
}

async fn carry_out(approvals: &Approvals, call: &HeldCall, wish: Wish, new: NewCall) -> Told {
    let id = call.submission.id;
    match wish {
        Wish::Decide(by, verdict) => {
            let channel = placet::approvals::Channel::Page;
            let reason = "as the dice will".to_owned();
            let decision = Decision { call: id, digest: call.digest, verdict, reason, by, channel, confirmed: false };
            Told::Decided(approvals.decide(decision).await)
        }
        Wish::Cancel => Told::Cancelled(approvals.cancel(id, call.submission.agent.id).await),
        Wish::Return => {
            approvals.returned(id).await;
            Told::Nothing
        }
        Wish::ToldToReturn => {
            approvals.told_to_return(id).await.unwrap();
            Told::Nothing
        }
        Wish::SameAgain => Told::Joined(approvals.rejoin(new).await.unwrap().map(|joined| joined.call)),
    }
}

/// What the policy asks of a call.
fn asked(dice: &mut Dice) -> Requirement {
    let timeout = if dice.one_in(2) { Duration::from_secs(1) } else { Duration::from_secs(900) };
    let on_timeout = match dice.throw(6) {
        0 => OnTimeout::Approve,
        1 => OnTimeout::Escalate(vec![GroupName::new("night").unwrap()]),
        _ => OnTimeout::Reject,
    };
    let quorum = if dice.one_in(5) { Quorum::new(2).unwrap() } else { Quorum::ONE };
    Requirement { on_timeout, quorum, ..Requirement::plain(timeout) }
}

/// Two to six wishes for one call.
fn wanted(bench: &Bench, rex: ReviewerId, dice: &mut Dice) -> Vec<Wish> {
    let people = [bench.mira, bench.noor, rex];
    let count = 2 + dice.throw(5);
    (0..count)
        .map(|_| {
            let by = people[usize::try_from(dice.throw(3)).unwrap()];
            match dice.throw(10) {
                0..=3 => Wish::Decide(by, Verdict::Approve),
                4 | 5 => Wish::Decide(by, Verdict::Reject),
                6 => Wish::Cancel,
                7 => Wish::Return,
                8 => Wish::ToldToReturn,
                _ => Wish::SameAgain,
            }
        })
        .collect()
}

async fn agent(bench: &Bench, name: &str) -> Caller {
    let caller = Caller {
        id: AgentId(bench.entropy.uuid(bench.clock.now())),
        name: AgentName::new(name).unwrap(),
        owner: Email::parse("owner@example.com").unwrap(),
    };
    let new = NewAgent {
        id: caller.id,
        name: caller.name.clone(),
        owner: caller.owner.clone(),
        upstreams: vec![],
        token_hash: Digest::of(name.as_bytes()),
    };
    bench.store.agent_add(new).await.unwrap().unwrap();
    caller
}

async fn reviewer(bench: &Bench, email: &str) -> ReviewerId {
    let new = NewReviewer {
        id: ReviewerId(bench.entropy.uuid(bench.clock.now())),
        email: Email::parse(email).unwrap(),
        name: email.to_owned(),
        roles: Roles { reviewer: true, ..Roles::default() },
        groups: [].into(),
        password: None,
    };
    bench.store.reviewer_add(new).await.unwrap().unwrap().id
}
