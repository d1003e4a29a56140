//! Runs side by side, and their figures.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream;
use placet::failpoint::POINTS;

use super::plan::{AFTER_A_CRASH, CAN_FAIL, Plan, fault, plan};
use super::run::{Figures, Outcome, run, trace};
use super::world::Template;

/// As often every point is died at in the default run.
const ROUNDS: u64 = 3;

/// As often every write fails in the default run.
const FAULTS: u64 = 2;

/// Figures are told after so many runs.
const TELL_EVERY: usize = 250;

/// After so many failures nothing new is begun.
const ENOUGH: usize = 10;

/// A number from the environment.
pub(super) fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

/// What was asked for.
fn asked(often: &BTreeMap<String, u64>) -> Box<dyn Iterator<Item = Plan> + '_> {
    let often = |point: &str| often.get(point).copied().unwrap_or(0);
    if let Ok(one) = std::env::var("PLACET_CRASH") {
        let (point, round) = one.split_once(':').expect("PLACET_CRASH=POINT:ROUND");
        let point = POINTS.iter().find(|known| **known == point).expect("a point");
        return Box::new(std::iter::once(plan(point, round.parse().expect("a number"), often)));
    }
    let crashes = number("PLACET_CRASHES").unwrap_or(ROUNDS * POINTS.len() as u64);
    let all = (0..).flat_map(|round| POINTS.iter().map(move |point| (*point, round)));
    Box::new(all.take(usize::try_from(crashes).unwrap()).map(move |(point, round)| plan(point, round, often)))
}

/// Every write that can fail fails, and nothing of what belongs to it is there.
fn faults(often: &BTreeMap<String, u64>) -> Box<dyn Iterator<Item = Plan> + '_> {
    let often = |point: &str| often.get(point).copied().unwrap_or(0);
    if let Ok(one) = std::env::var("PLACET_FAULT") {
        let (point, round) = one.split_once(':').expect("PLACET_FAULT=POINT:ROUND");
        let point = CAN_FAIL.iter().find(|known| **known == point).expect("a point");
        return Box::new(std::iter::once(fault(point, round.parse().expect("a number"), often)));
    }
    let all = (0..FAULTS).flat_map(|round| CAN_FAIL.iter().map(move |point| (*point, round)));
    Box::new(all.map(move |(point, round)| fault(point, round, often)))
}

/// Carries out a plan. Where a process did not come so far as it was to, the first time is taken, which is reached for
/// certain.
async fn carry_out(mut plan: Plan, template: Arc<Template>) -> Result<Figures, String> {
    let mut tries = VecDeque::from([1; 6]);
    loop {
        match run(&plan, &template).await? {
            Outcome::Whole(figures) => return Ok(figures),
            // What is only tidied up after a crash need not be.
            Outcome::NotReached(1)
                if plan.round > 0 && plan.deaths.len() > 1 && !AFTER_A_CRASH.contains(&plan.point) =>
            {
                plan.deaths.truncate(1);
            }
            Outcome::NotReached(at) => match tries.pop_front() {
                Some(first) => plan.deaths[at].at = first,
                None => return Err(format!("{} is never reached: {plan:?}", plan.deaths[at].point)),
            },
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_killed_at_any_point_comes_back_whole() {
    let template = Arc::new(Template::make().await);
    let often = trace(&template).await;
    let figures = all(asked(&often), &template).await;
    if std::env::var_os("PLACET_CRASH").is_none() && number("PLACET_CRASHES").is_none() {
        let missed: Vec<_> = POINTS.iter().filter(|point| !figures.deaths.contains_key(*point)).collect();
        assert!(missed.is_empty(), "nothing died at {missed:?}");
    }
}

/// Requirement 15: decision, log entry and notices are there together or not at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_between_any_two_writes_leaves_nothing_behind() {
    let template = Arc::new(Template::make().await);
    let often = trace(&template).await;
    all(faults(&often), &template).await;
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a run of hours tells its figures as it goes")]
async fn all(plans: impl Iterator<Item = Plan>, template: &Arc<Template>) -> Figures {
    let at_once = usize::try_from(number("PLACET_CRASHES_AT_ONCE").unwrap_or(4)).unwrap();
    let mut runs = stream::iter(plans).map(|plan| carry_out(plan, Arc::clone(template))).buffer_unordered(at_once);
    let (mut figures, mut failures) = (Figures::default(), Vec::new());
    while let Some(ended) = runs.next().await {
        match ended {
            Ok(one) => figures.add(&one),
            Err(wrong) => {
                eprintln!("a run failed: {wrong}");
                failures.push(wrong);
            }
        }
        if figures.runs.is_multiple_of(TELL_EVERY) {
            println!("{figures}");
        }
        if failures.len() >= ENOUGH {
            break;
        }
    }
    println!("{figures}");
    assert!(failures.is_empty(), "{} runs failed:\n{}", failures.len(), failures.join("\n\n"));
    figures
}
