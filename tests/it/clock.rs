//! The machine's clock is set, forwards and backwards, at any point of a call's life and while no process runs: nothing
//! that is over is open again, nothing ends twice, nothing runs late, and nothing waits for a clock to catch up.

use std::collections::HashMap;
use std::time::Duration;

use placet::approvals::{DecideError, Settings};
use placet::call::{HeldCall, Millis, Requirement, Verdict};
use placet::store::{EntryFilter, HoldLimits};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::support::app::{PASSWORD, Setup};
use crate::support::bench::{Bench, START};
use crate::support::upstream::Upstream;

/// How long a call waits for its reviewers, and then for its caller, in milliseconds that really pass.
const PENDING: i64 = 900_000;
const USABLE: i64 = 600_000;

/// Something that happens.
#[derive(Clone, Debug)]
enum Step {
    Hold,
    Approve(usize),
    Reject(usize),
    Cancel(usize),
    Return(usize),
    Expire,
    /// Milliseconds really pass.
    Pass(i64),
    /// Somebody sets the clock by so many.
    Set(i64),
    /// The process is stopped, and begins again after so many.
    Restart(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    const DAY: i64 = 86_400_000;
    let which = 0_usize..6;
    let step = prop_oneof![
        3 => Just(Step::Hold),
        3 => which.clone().prop_map(Step::Approve),
        1 => which.clone().prop_map(Step::Reject),
        1 => which.clone().prop_map(Step::Cancel),
        2 => which.prop_map(Step::Return),
        2 => Just(Step::Expire),
        3 => prop_oneof![0..PENDING, Just(PENDING), Just(PENDING - 1), Just(USABLE), Just(USABLE - 1)].prop_map(Step::Pass),
        4 => prop_oneof![-DAY..=DAY, Just(-DAY), Just(DAY), Just(-PENDING), Just(PENDING)].prop_map(Step::Set),
        2 => (0..PENDING).prop_map(Step::Restart),
    ];
    prop::collection::vec(step, 1..40)
}

/// What is known of a call from outside, by the time that really passed.
struct Life {
    call: HeldCall,
    held: i64,
    approved: Option<i64>,
    ended: Option<HeldCall>,
}

struct World {
    bench: Bench,
    /// What really passed.
    now: i64,
    lives: Vec<Life>,
    written: Millis,
}

impl World {
    async fn new() -> Self {
        let limits = HoldLimits { pending: 100, new_per_hour: 1000, ..Settings::default().limits };
        let bench = Bench::with(Settings { limits, ..Settings::default() }).await;
        Self { bench, now: 0, lives: Vec::new(), written: START }
    }

    fn pass(&mut self, span: i64) {
        self.now += span;
        self.bench.clock.advance(Duration::from_millis(span.unsigned_abs()));
    }

    async fn take(mut self, step: &Step) -> Self {
        match step {
            Step::Hold => {
                let asked = Requirement {
                    execute_within: Duration::from_millis(USABLE.unsigned_abs()),
                    ..Requirement::plain(Duration::from_millis(PENDING.unsigned_abs()))
                };
                let call = self.bench.submit(&format!("[{}]", self.lives.len()), asked).await.call;
                self.lives.push(Life { call, held: self.now, approved: None, ended: None });
            }
            Step::Approve(which) => self.decide(*which, Verdict::Approve).await,
            Step::Reject(which) => self.decide(*which, Verdict::Reject).await,
            Step::Cancel(which) => {
                if let Some(life) = self.lives.get(*which) {
                    let _ = self.bench.approvals.cancel(life.call.submission.id, self.bench.agent.id).await;
                }
            }
            Step::Return(which) => {
                if let Some(life) = self.lives.get(*which) {
                    let before = self.bench.sent();
                    self.bench.approvals.returned(life.call.submission.id).await;
                    // A claim is queued once the release is done looking, whatever comes of it.
                    tokio::task::yield_now().await;
                    self.bench.approvals.releases_ended().await;
                    self.bench.store.check_writable().await.unwrap();
                    self.bench.approvals.releases_ended().await;
                    if self.bench.sent() > before {
                        let approved = life.approved.expect("nothing runs that nobody approved");
                        assert!(self.now < approved + USABLE, "it ran {} ms after its approval", self.now - approved);
                    }
                }
            }
            Step::Expire => {
                self.bench.approvals.expire().await.unwrap();
                for life in &self.lives {
                    let call = self.bench.store.call(life.call.submission.id).await.unwrap().unwrap();
                    let late = self.now - life.held >= PENDING;
                    assert!(!(call.state.is_pending() && late), "it stays open {} ms after", self.now - life.held);
                    let parked = life.approved.is_some_and(|at| self.now - at >= USABLE);
                    assert!(!(call.state.name() == "approved" && parked), "an approval outlives its deadline");
                }
            }
            Step::Pass(span) => self.pass(*span),
            Step::Set(by) => self.bench.clock.set(Millis(self.bench.clock.machine().0 + by)),
            Step::Restart(away) => {
                self.now += away;
                let clock = self.bench.clock.clone();
                clock.advance(Duration::from_millis(away.unsigned_abs()));
                self.bench = self.bench.restart().await;
            }
        }
        self.look().await;
        self
    }

    async fn decide(&mut self, which: usize, verdict: Verdict) {
        let Some(life) = self.lives.get_mut(which) else { return };
        let by = self.bench.mira;
        match self.bench.approvals.decide(self.bench.decision(&life.call, by, verdict)).await {
            Ok(call) => {
                assert!(self.now < life.held + PENDING, "decided {} ms after it was held", self.now - life.held);
                assert!(life.ended.is_none(), "revived");
                if call.state.name() == "approved" {
                    life.approved = Some(self.now);
                }
            }
            Err(DecideError::TooLate | DecideError::NotPending(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// What has ended is as it ended, and Placet's time goes on.
    async fn look(&mut self) {
        for life in &mut self.lives {
            let call = self.bench.store.call(life.call.submission.id).await.unwrap().unwrap();
            assert!(call.genuine);
            match &life.ended {
                Some(ended) => assert_eq!(ended.state, call.state, "what was over has changed"),
                None if call.state.is_terminal() => life.ended = Some(call),
                None => {}
            }
        }
        let now = self.bench.store.now();
        assert!(now.0 >= START.0 + self.now, "time stands still");
        // What was never written down nobody can have gone by.
        let last = self.bench.store.entries(EntryFilter { limit: 1, ..EntryFilter::default() }).await.unwrap();
        let written = last.first().map_or(START, |entry| entry.at);
        assert!(now >= written && written >= self.written, "time runs backwards");
        self.written = written;
    }

    /// Each ended once, by the log, and the log's times never run backwards.
    async fn judge(self) {
        let filter = EntryFilter { limit: 10_000, ..EntryFilter::default() };
        let mut log = self.bench.store.entries(filter).await.unwrap();
        log.reverse();
        assert!(log.windows(2).all(|two| two[0].at <= two[1].at));
        let mut ends: HashMap<String, u32> = HashMap::new();
        for entry in log {
            let end = ["expired", "rejected", "cancelled", "lapsed", "executed", "revoked"];
            if let (Some(call), true) = (entry.call, end.iter().any(|end| entry.kind == format!("call.{end}"))) {
                *ends.entry(call).or_default() += 1;
            }
        }
        for life in &self.lives {
            let count = ends.get(&life.call.submission.id.to_string()).copied().unwrap_or(0);
            assert_eq!(count, u32::from(life.ended.is_some()));
        }
    }
}

#[test]
fn whatever_is_done_to_the_clock_nothing_revives_ends_twice_or_runs_late() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let cases = std::env::var("PLACET_CLOCKS").ok().map_or(48, |text| text.parse().unwrap());
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&steps(), |steps| {
        runtime.block_on(async {
            let mut world = World::new().await;
            for step in &steps {
                world = world.take(step).await;
            }
            world.judge().await;
        });
        Ok(())
    });
    outcome.unwrap();
}

/// The weakness that is mended: after a jump forward and back, deadlines waited for the machine's clock to catch up.
#[tokio::test]
async fn after_a_jump_forward_and_back_fifteen_minutes_are_fifteen_minutes() {
    for restarted in [false, true] {
        let mut bench = Bench::new().await;
        bench.clock.set(START.after(Duration::from_secs(86_400)));
        bench.hold(r#"{"while":"ahead"}"#).await;
        bench.clock.set(START);
        if restarted {
            bench = bench.restart().await;
        }
        let call = bench.hold("{}").await;
        bench.clock.advance(Duration::from_millis(899_999));
        bench.approvals.expire().await.unwrap();
        assert!(Bench::pending(&bench.store.call(call.submission.id).await.unwrap().unwrap()));
        bench.clock.advance(Duration::from_millis(1));
        bench.approvals.expire().await.unwrap();
        bench.until(&call, "expired").await;
    }
}

#[tokio::test]
async fn that_the_clock_was_set_is_logged_counted_and_shown() {
    let upstream = Upstream::start().await;
    let app = Setup::http(&upstream.url).start().await;
    app.reviewer("mira@example.com", &["iam"]).await;
    let ready = async || reqwest::get(format!("{}/readyz", app.url)).await.unwrap().text().await.unwrap();
    let jumps = async || {
        let filter = EntryFilter { kind: Some("clock.jumped".into()), limit: 100, ..EntryFilter::default() };
        app.app.store.entries(filter).await.unwrap()
    };
    assert_eq!(ready().await, "ready\n");
    let clock = app.setup.clock.clone();
    clock.set(START.before(Duration::from_secs(86_400)));
    let found = app
        .until("an entry", async || {
            clock.advance(Duration::from_secs(1));
            jumps().await.pop()
        })
        .await;
    assert!(found.body.contains(r#""by_ms":-86400000"#), "{}", found.body);
    let warns = async || ready().await.contains("warning: the machine's clock was set back").then_some(());
    app.until("a warning", warns).await;
    // However often it is set within a minute, that is one more entry.
    for n in 0..20_u64 {
        clock.set(START.after(Duration::from_secs(3600 * n)));
        clock.advance(Duration::from_secs(2));
    }
    app.until("another entry", async || {
        clock.advance(Duration::from_secs(1));
        (jumps().await.len() > 1).then_some(())
    })
    .await;
    assert_eq!(jumps().await.len(), 2);
    clock.set(START.before(Duration::from_secs(86_400)));
    let signed_in = app.app.identity.sign_in(
        "mira@example.com",
        PASSWORD.to_owned().into(),
        placet::identity::throttle::Source::new(None),
        String::new(),
        None,
    );
    let cookie = signed_in.await.unwrap().cookie.reveal().to_owned();
    let page = reqwest::Client::new().get(&app.url).header("cookie", format!("placet={cookie}")).send().await.unwrap();
    assert!(page.text().await.unwrap().contains("The machine’s clock was set back."));
    let metrics = reqwest::get(format!("{}/metrics", app.url)).await.unwrap().text().await.unwrap();
    assert!(
        metrics.contains("placet_clock_jumps_total") && metrics.contains("placet_clock_ahead_seconds"),
        "{metrics}"
    );
}
