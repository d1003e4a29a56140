//! The power fails: whatever was not synced may be gone, or torn. What was acknowledged is there, what was sent is not
//! sent again, the log is whole. And the same with a database that does not sync shows that this test can fail.
//!
//! `PLACET_CUTS=5000 cargo test --test it crash::power` cuts so often.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::response::IntoResponse as _;
use serde_json::json;

use super::book::{Book, Records};
use super::check;
use super::plan::{Dice, Kind};
use super::process::Process;
use super::scene::Scene;
use super::world::{PATIENCE, Template, World};
use crate::support::disk::{BROKEN, Disk, Failing, Op, after_power_cut};
use crate::support::upstream::json_answer;

/// Cuts of the default run.
const CUTS: u64 = 60;

/// A run, with everything that a disk was asked to keep and everything that somebody was told, each at its moment.
struct Recorded {
    world: World,
    before: BTreeMap<String, Vec<u8>>,
    ops: Vec<(u64, Op)>,
    /// The keys that it ran with.
    keys: BTreeMap<String, Vec<u8>>,
    records: Records,
    /// What the upstream received, as call and moment.
    sent: Vec<(String, u64)>,
}

/// What the cut spares of what was not synced.
#[derive(Clone, Copy, Debug)]
enum Spared {
    Nothing,
    Everything,
    Some(u64),
}

/// How the disk behaves while a run is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Sound,
    /// Now and then syncs fail for a while, and what they were for never reaches it; once the process is killed amid.
    Failing,
}

async fn record(env: &[(&'static str, &str)], health: Health) -> Recorded {
    let template = Arc::new(Template::make().await);
    let world = World::new(&template).await;
    let disk = Arc::new(Disk::below(&world.data()));
    let before = world.files();
    let moments = Arc::clone(&disk);
    let book = Arc::new(Book::with(move || moments.now()));
    let sent = Arc::new(Mutex::new(Vec::new()));
    for kind in Kind::ALL {
        let (sent, disk) = (Arc::clone(&sent), Arc::clone(&disk));
        world.upstream.on(&format!("tools/call {}", kind.tool()), move |message| {
            let call = message["id"].as_str().unwrap().strip_prefix("placet-").unwrap().to_owned();
            sent.lock().unwrap().push((call, disk.now()));
            let result = json!({"content": [], "isError": kind == Kind::Fail});
            json_answer(json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string()).into_response()
        });
    }
    let mut all = disk.env();
    all.extend(env.iter().map(|(name, value)| (*name, (*value).to_owned())));
    // So many that SQLite moves its log into the database in between, and begins it anew.
    let calls: Vec<_> = Kind::ALL.into_iter().cycle().take(6 * Kind::ALL.len()).collect();
    if health == Health::Failing {
        let process = serving(&world, &template, &book, &all).await;
        tokio::select! {
            () = process.1.play(&calls) => panic!("it ended before anything failed"),
            () = failing(&disk, 4) => {}
        }
        disk.fail(Failing { sync: BROKEN, ..Failing::default() });
        tokio::time::sleep(SPELL).await;
        process.0.kill().await;
        disk.fail(Failing::default());
    }
    let (process, scene) = serving(&world, &template, &book, &all).await;
    let played = async {
        scene.play(&calls).await;
        while !check::is_quiet(&check::open(&world.data().join("placet.db"), false)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let spells = if health == Health::Failing { 8 } else { 0 };
    let all = async {
        let fails = async {
            failing(&disk, spells).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = played => {}
            () = fails => {}
        }
    };
    if tokio::time::timeout(PATIENCE, all).await.is_err() {
        let left = check::left(&check::open(&world.data().join("placet.db"), false));
        if std::env::var_os("PLACET_HANG").is_some() {
            std::thread::sleep(Duration::from_secs(100000));
        }
        panic!("not over: {left:?}, callers {:?}; it said: {}", book.records().busy, process.said().text());
    }
    process.kill().await;
    let (records, sent) = (book.records().clone(), sent.lock().unwrap().clone());
    let keys = world.files().into_iter().filter(|(name, _)| name.ends_with(".key")).collect();
    Recorded { world, before, ops: disk.journal(), keys, records, sent }
}

/// So long syncs fail, and so long they work again.
const SPELL: Duration = Duration::from_millis(40);

/// Syncs fail so many times for a while.
async fn failing(disk: &Disk, spells: u32) {
    for _ in 0..spells {
        tokio::time::sleep(4 * SPELL).await;
        let before = disk.failed_syncs();
        disk.fail(Failing { sync: BROKEN, ..Failing::default() });
        tokio::time::sleep(SPELL).await;
        while disk.failed_syncs() == before {
            tokio::time::sleep(SPELL).await;
        }
        disk.fail(Failing::default());
    }
}

async fn serving(
    world: &World,
    template: &Arc<Template>,
    book: &Arc<Book>,
    env: &[(&'static str, String)],
) -> (Process, Scene) {
    let mut process = world.start_with(env.to_vec());
    let said = process.said();
    let url = process.serving().await.unwrap_or_else(|| panic!("it does not serve: {}", said.text()));
    (process, Scene::new(url, template, book))
}

impl Recorded {
    /// Where a cut hurts most: right behind what somebody was told, and behind what was sent.
    fn promises(&self) -> Vec<u64> {
        let acknowledged = self.records.acknowledged.iter().map(|told| told.at);
        let told = self.records.told.iter().map(|told| told.at);
        let shown = self.records.shown.values().copied();
        let sent = self.sent.iter().map(|(_, at)| *at);
        acknowledged.chain(told).chain(shown).chain(sent).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// What somebody had been told by then.
    fn told_by(&self, moment: u64) -> Records {
        let mut records = self.records.clone();
        records.acknowledged.retain(|told| told.at <= moment);
        records.told.retain(|told| told.at <= moment);
        records.shown.retain(|_, at| *at <= moment);
        records
    }

    /// Cuts the power at this moment and starts Placet on what is left. What is wrong then.
    async fn cut(&self, moment: u64, spared: Spared) -> Vec<String> {
        let mut dice = Dice::new(match spared {
            Spared::Some(seed) => seed,
            _ => 0,
        });
        let done = self.ops.iter().filter(|(at, _)| *at <= moment).map(|(_, op)| op);
        let files = after_power_cut(&self.before, done, || match spared {
            Spared::Nothing => false,
            Spared::Everything => true,
            Spared::Some(_) => dice.below(2) == 0,
        });
        self.world.put(&files);
        let mut wrong = Vec::new();
        let told = self.told_by(moment);
        for (name, key) in self.keys.iter().filter(|_| !told.shown.is_empty()) {
            if files.get(name) != Some(key) {
                wrong.push(format!("{name} is not what seals and signatures were made with"));
            }
        }
        let copy = self.world.copy();
        let found = check::open(&copy.path().join("placet.db"), true);
        match found.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)) {
            Ok(said) if said == "ok" => {}
            said => wrong.push(format!("the database is damaged: {said:?}")),
        }
        let before = check::sent(&self.world);
        let mut process = self.world.start(None);
        let said = process.said();
        let Some(_) = process.serving().await else {
            return vec![format!("it does not start: {}", said.text())];
        };
        let settled = async {
            while !check::is_settled(&check::open(&self.world.data().join("placet.db"), false)) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, settled).await.expect("what is approved is released");
        process.kill().await;
        let copy = self.world.copy();
        let database = check::open(&copy.path().join("placet.db"), true);
        let mut calls = check::calls(&database);
        check::log(&database, &mut calls, &mut wrong);
        // On this disk's own way: sent before the cut, and after the start.
        let mut sent = check::sent(&self.world);
        for (call, count) in &mut sent {
            *count -= before.get(call).copied().unwrap_or(0);
        }
        for (call, _) in self.sent.iter().filter(|(_, at)| *at <= moment) {
            *sent.entry(call.clone()).or_default() += 1;
        }
        sent.retain(|_, count| *count > 0);
        check::lives(&calls, &sent, &mut wrong);
        check::promises(&calls, &told, &mut wrong);
        wrong
    }
}

fn cuts() -> u64 {
    std::env::var("PLACET_CUTS").map_or(CUTS, |cuts| cuts.parse().expect("PLACET_CUTS is a number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_takes_nothing_that_was_acknowledged() {
    let recorded = record(&[], Health::Sound).await;
    let restarts = recorded.ops.iter().filter(|(_, op)| matches!(op, Op::Sync { name } if name == "placet.db")).count();
    assert!(restarts > 0, "SQLite never moved its log into the database");
    cut_everywhere(&recorded).await;
}

/// What a sync that failed was for is gone, also if a later one goes well: nothing that was acknowledged afterwards may
/// stand on it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_after_a_failed_sync_survives_a_power_cut() {
    let recorded = record(&[], Health::Failing).await;
    let lost = recorded.ops.iter().filter(|(_, op)| matches!(op, Op::Lost { .. })).count();
    assert!(lost >= 6, "{lost} syncs failed");
    cut_everywhere(&recorded).await;
}

async fn cut_everywhere(recorded: &Recorded) {
    let promises = recorded.promises();
    let end = recorded.ops.last().unwrap().0;
    let mut dice = Dice::new(1);
    let mut failed = Vec::new();
    for number in 0..cuts() {
        let (moment, spared) = match number % 4 {
            // Everything unsynced is gone, right behind a promise.
            0 | 1 => (promises[dice.below(promises.len() as u64) as usize], Spared::Nothing),
            2 => (dice.below(end + 1), Spared::Some(number)),
            _ => (
                recorded.ops[dice.below(recorded.ops.len() as u64) as usize].0,
                [Spared::Everything, Spared::Nothing][dice.below(2) as usize],
            ),
        };
        let wrong = recorded.cut(moment, spared).await;
        if !wrong.is_empty() {
            failed.push(format!("cut {number}, behind {moment} of {end} bytes, {spared:?}: {}", wrong.join("\n")));
        }
    }
    assert!(failed.is_empty(), "{} cuts:\n{}", failed.len(), failed.join("\n\n"));
}

/// The same with a database that syncs less: a test that this passed would prove nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_full_syncs_a_power_cut_takes_what_was_acknowledged() {
    for less in ["normal", "off"] {
        let recorded = record(&[("PLACET_SYNCHRONOUS", less)], Health::Sound).await;
        let promises = recorded.promises();
        let mut wrong = Vec::new();
        for number in 0..4 {
            wrong.extend(recorded.cut(promises[promises.len() * (2 * number + 1) / 8], Spared::Nothing).await);
        }
        let lost = wrong.iter().filter(|wrong| wrong.contains("gone") || wrong.contains("is not in")).count();
        assert!(lost > 0, "with synchronous={less} nothing was lost: {wrong:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_start_that_the_power_cut_is_made_up_for_by_the_next() {
    let template = Template::make().await;
    let world = World::new(&template).await;
    world.put(&BTreeMap::new());
    let disk = Disk::below(&world.data());
    let mut process = world.start_with(disk.env());
    assert!(process.serving().await.is_some(), "{}", process.said().text());
    process.kill().await;
    let ops = disk.journal();
    let mut dice = Dice::new(3);
    for number in 0..cuts() / 3 {
        let until = 1 + dice.below(ops.len() as u64) as usize;
        let mut spared = Dice::new(number);
        let files = after_power_cut(&BTreeMap::new(), ops[..until].iter().map(|(_, op)| op), || match number % 3 {
            0 => false,
            1 => true,
            _ => spared.below(2) == 0,
        });
        world.put(&files);
        let mut process = world.start(None);
        let serves = process.serving().await.is_some();
        assert!(serves, "cut behind {:?}, variant {}: {}", ops[until - 1], number % 3, process.said().text());
        process.kill().await;
    }
}
