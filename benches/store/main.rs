//! What the store costs, as ratios in one run: holds, decisions and entries from 1 to 512 submitters at once, through
//! Placet's writer and through rusqlite doing the same in the same batches; and what one durable hold costs in bare
//! commits. `cargo bench --bench store` prints one table; nothing is asserted.

#![expect(clippy::print_stdout, reason = "a bench prints its table")]
#![expect(clippy::disallowed_methods, reason = "a bench measures with the machine's clock")]

mod reference;
mod work;

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use placet::call::CallId;
use placet::clock::Clock;
use placet::lifecycle::Tasks;
use placet::store::{Holding, NewReviewer, Roles, Store};
use tokio::task::JoinSet;

use crate::reference::Reference;
use crate::work::Work;

/// How many submit at once, and how many operations one measurement has.
const LOADS: [(usize, usize); 4] = [(1, 400), (8, 2_400), (64, 9_600), (512, 15_360)];
const ROUNDS: usize = 5;
const OPERATIONS: [Operation; 3] = [Operation::Append, Operation::Hold, Operation::Decide];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    /// One entry of a call that was let through.
    Append,
    /// A call that is held: row, parameters, entry, notice.
    Hold,
    /// A verdict: vote, state, entry, notice.
    Decide,
}

/// One of the two that are compared.
#[derive(Clone)]
enum Way {
    Placet(Store, Work),
    Reference(Reference),
}

fn main() {
    // `cargo test --benches` and `cargo bench -- --list` run every bench target too: nothing to do for them.
    if std::env::args().any(|argument| argument == "--test" || argument == "--list") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(measure());
}

async fn measure() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let work = Work::new();
    let (tasks, store) = open(&folder.path().join("placet"), &work).await;
    // The same tables and indices: the same file, before anything is in it.
    let (other_tasks, other) = open(&folder.path().join("reference"), &work).await;
    drop(other);
    assert!(other_tasks.ended(Duration::from_secs(10)).await, "the store was not closed");
    let file = folder.path().join("reference/placet.db");
    let ways = [Way::Placet(store, work.clone()), Way::Reference(Reference::start(&file, work))];

    let mut commits = Vec::new();
    let mut figures: Vec<Vec<Figures>> = vec![vec![Figures::default(); ways.len()]; OPERATIONS.len() * LOADS.len()];
    for round in 0..=ROUNDS {
        let commit = bare_commits(&folder.path().join("bare.db"), round);
        let mut at = 0;
        for operation in OPERATIONS {
            for (submitters, count) in LOADS {
                for turn in 0..ways.len() {
                    // Each goes first in every other round.
                    let way = (turn + round) % ways.len();
                    let (rate, took) = ways[way].burst(operation, submitters, count).await;
                    // The first round warms up.
                    if round > 0 {
                        figures[at][way].rates.push(rate);
                        figures[at][way].delays.extend(took);
                    }
                }
                at += 1;
            }
        }
        if round > 0 {
            commits.extend(commit);
        }
    }
    drop(ways);
    print(&mut figures, &mut commits);
    assert!(tasks.ended(Duration::from_secs(10)).await, "the store was not closed");
}

#[derive(Clone, Default)]
struct Figures {
    rates: Vec<f64>,
    delays: Vec<f64>,
}

fn print(figures: &mut [Vec<Figures>], commits: &mut [f64]) {
    println!("| operation | submitters | Placet /s | rusqlite /s | ratio | Placet p50/p99 ms | rusqlite p50/p99 ms |");
    println!("|---|---|---|---|---|---|---|");
    let mut hold = 0.0;
    let loads = OPERATIONS.iter().flat_map(|operation| LOADS.map(|(submitters, _)| (*operation, submitters)));
    for ((operation, submitters), ways) in loads.zip(figures) {
        let [ours, theirs] = &mut ways[..] else { unreachable!("two ways are compared") };
        let rates = [at(&mut ours.rates, 0.5), at(&mut theirs.rates, 0.5)];
        if (operation, submitters) == (Operation::Hold, 1) {
            hold = at(&mut ours.delays, 0.5);
        }
        println!(
            "| {operation:?} | {submitters} | {:.0} | {:.0} | {:.2} | {:.2} / {:.2} | {:.2} / {:.2} |",
            rates[0],
            rates[1],
            rates[0] / rates[1],
            at(&mut ours.delays, 0.5),
            at(&mut ours.delays, 0.99),
            at(&mut theirs.delays, 0.5),
            at(&mut theirs.delays, 0.99),
        );
    }
    let commit = at(commits, 0.5);
    println!(
        "\na durable hold of a single submitter: {hold:.3} ms; a bare FULL commit of one row: {commit:.3} ms; {:.2} commits",
        hold / commit
    );
}

fn at(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * share) as usize]
}

async fn open(folder: &Path, work: &Work) -> (Tasks, Store) {
    let tasks = Tasks::default();
    let store = Store::open(folder, Clock::system(), &tasks).await.expect("a store");
    let reviewer = NewReviewer {
        id: work.reviewer,
        email: "mira@example.com".parse().expect("an address"),
        name: "Mira".into(),
        roles: Roles { reviewer: true, auditor: false, administrator: false },
        groups: [].into(),
        password: None,
    };
    store.reviewer_add(reviewer).await.expect("a write").expect("a reviewer");
    (tasks, store)
}

/// Milliseconds of each of some commits of one row of a call's size, by the bare library.
fn bare_commits(file: &Path, round: usize) -> Vec<f64> {
    let connection = reference::connect(file);
    connection
        .execute_batch("CREATE TABLE IF NOT EXISTS bare (id INTEGER PRIMARY KEY, body TEXT) STRICT")
        .expect("a table");
    let mut insert = connection.prepare("INSERT INTO bare (body) VALUES (?1)").expect("a statement");
    let body = round.to_string().repeat(1500);
    let commits = (0..400).map(|_| {
        let begun = Instant::now();
        insert.execute([&body]).expect("a commit");
        begun.elapsed().as_secs_f64() * 1000.0
    });
    commits.collect()
}

impl Way {
    /// `count` operations from so many submitters at once: operations a second, and each one's milliseconds.
    async fn burst(&self, operation: Operation, submitters: usize, count: usize) -> (f64, Vec<f64>) {
        let each = count / submitters;
        let mut calls = if operation == Operation::Decide { self.hold(count).await } else { Vec::new() };
        let mut running = JoinSet::new();
        let begun = Instant::now();
        for _ in 0..submitters {
            let mine = if calls.is_empty() { vec![None; each] } else { calls.split_off(calls.len() - each) };
            let way = self.clone();
            running.spawn(async move {
                let mut took = Vec::with_capacity(each);
                for call in mine {
                    let begun = Instant::now();
                    way.once(operation, call).await;
                    took.push(begun.elapsed().as_secs_f64() * 1000.0);
                }
                took
            });
        }
        let took: Vec<f64> = running.join_all().await.into_iter().flatten().collect();
        (count as f64 / begun.elapsed().as_secs_f64(), took)
    }

    /// Calls to decide on, held by as many as are quick.
    async fn hold(&self, count: usize) -> Vec<Option<CallId>> {
        let (calls, mut running) = (Arc::new(std::sync::Mutex::new(Vec::with_capacity(count))), JoinSet::new());
        for submitter in 0..64 {
            let (way, calls) = (self.clone(), Arc::clone(&calls));
            running.spawn(async move {
                for _ in (submitter..count).step_by(64) {
                    let call = way.once(Operation::Hold, None).await;
                    calls.lock().expect("no panic").push(call);
                }
            });
        }
        running.join_all().await;
        std::mem::take(&mut calls.lock().expect("no panic"))
    }

    fn once(&self, operation: Operation, call: Option<CallId>) -> impl Future<Output = Option<CallId>> + Send {
        let way = self.clone();
        async move {
            match (way, operation, call) {
                (Way::Placet(store, work), Operation::Append, _) => {
                    store.append(work.entry()).await.expect("a write");
                    None
                }
                (Way::Placet(store, work), Operation::Hold, _) => {
                    let draft = work.draft();
                    let (agent, same_call, limits) = (draft.agent, draft.same_call, work.limits);
                    let made =
                        store.hold(agent, same_call, limits, Vec::new(), |_, _| true, move |now| Ok(draft.made(now)));
                    match made.await.expect("a write") {
                        Ok(Holding::New(call)) => Some(call.submission.id),
                        other => panic!("the call was not held: {other:?}"),
                    }
                }
                (Way::Placet(store, work), Operation::Decide, Some(call)) => {
                    let by = work.reviewer;
                    let decided = store.change_call(call, Some(by), move |scene| {
                        let mut change = work.verdict(scene.now, &scene.call.digest);
                        change.entry = change.entry.call(call);
                        scene.people.get(&by).map(|_| change).ok_or(())
                    });
                    decided.await.expect("a write").expect("a decision");
                    None
                }
                (Way::Reference(reference), operation, call) => reference.once(operation, call).await,
                (_, Operation::Decide, None) => unreachable!("a decision is about a call"),
            }
        }
    }
}
