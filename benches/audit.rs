//! The log of 1,000,000 entries, as a real service wrote it: how long `placet audit verify`, `export` and `proof` take,
//! and how much memory. `cargo bench --bench audit` prints one table; nothing is asserted but that verification finds
//! the log intact. It wants about 3 GB of disk; a number behind `--` makes another number of entries.

#![expect(clippy::print_stdout, reason = "a bench prints its table")]
#![expect(clippy::disallowed_methods, reason = "a bench measures with the machine's clock")]

#[path = "support/calls.rs"]
mod calls;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use calls::DAY;
use placet::approvals::{Approvals, Seal};
use placet::audit::Entry;
use placet::call::{CallId, CallState, Caller, Digest, HeldCall, Requirement, ReviewerId, Verdict};
use placet::clock::{Clock, Entropy};
use placet::identity::{Identity, SessionLimits};
use placet::lifecycle::Tasks;
use placet::notary::Notary;
use placet::store::Store;
use tokio::task::JoinSet;

const ENTRIES: usize = 1_000_000;
/// Writers at once while the log is filled.
const WRITERS: usize = 256;
/// Entries about one round of calls: one that runs, one that is rejected, and as many that need nobody.
const ROUND: usize = 12;

fn main() {
    // `cargo test --benches` and `cargo bench -- --list` run every bench target too: nothing to do for them.
    if std::env::args().any(|argument| argument == "--test" || argument == "--list") {
        return;
    }
    let wanted = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(ENTRIES);
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let begun = Instant::now();
    let call = runtime.block_on(fill(folder.path(), wanted));
    let database = rusqlite::Connection::open(folder.path().join("placet.db")).expect("a database");
    let count = |sql| database.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("a number");
    let (entries, checkpoints) = (count("SELECT count(*) FROM entries"), count("SELECT count(*) FROM checkpoints"));
    drop(database);
    let size = std::fs::metadata(folder.path().join("placet.db")).expect("a database").len() / 1_000_000;
    println!(
        "{entries} entries, {checkpoints} checkpoints, {size} MB, written in {:.0} s",
        begun.elapsed().as_secs_f64()
    );

    let notes = folder.path().join("anchor");
    std::fs::copy(folder.path().join("audit.checkpoint"), &notes).expect("a checkpoint");
    let anchor = notes.to_str().expect("a path");
    let call = call.to_string();
    println!("| command | s | most resident MB |\n|---|---|---|");
    for arguments in [
        &["verify", "--anchor", anchor][..],
        &["verify", "--anchor", anchor],
        &["verify", "--anchor", anchor],
        &["export", "--format", "jsonl"],
        &["export", "--format", "csv"],
        &["export", "--format", "agentack"],
        &["proof", &call],
    ] {
        let (took, most) = run(folder.path(), arguments);
        println!("| audit {} | {:.2} | {most} |", arguments[..arguments.len().min(3)].join(" "), took.as_secs_f64());
    }
}

/// Runs a command of the binary: how long it took, and its most resident memory in MB.
fn run(folder: &Path, arguments: &[&str]) -> (Duration, u64) {
    let begun = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_placet"))
        .arg("audit")
        .args(arguments)
        .arg("--data-dir")
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("placet audit");
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    let ended = loop {
        if let Some(ended) = child.try_wait().expect("a status") {
            break ended;
        }
        let peak = std::fs::read_to_string(&status).ok();
        let peak = peak.as_deref().and_then(|text| text.lines().find_map(|line| line.strip_prefix("VmHWM:")));
        let peak = peak.and_then(|peak| peak.trim().trim_end_matches(" kB").parse::<u64>().ok());
        most = most.max(peak.unwrap_or(0) / 1024);
        std::thread::sleep(Duration::from_millis(5));
    };
    assert!(ended.success(), "placet audit {arguments:?}: {ended}");
    (begun.elapsed(), most)
}

struct Service {
    store: Store,
    approvals: Approvals,
    agent: Caller,
    reviewer: ReviewerId,
}

/// Writes a log of about so many entries, signed five times a second; one call that ran.
async fn fill(folder: &Path, wanted: usize) -> CallId {
    let (clock, entropy, tasks) = (Clock::system(), Entropy::System, Tasks::default());
    let store = Store::open(folder, clock.clone(), &tasks).await.expect("a store");
    let seal = Seal::load_or_create(folder, &entropy).expect("a key");
    let (notary, _) = Notary::open(store.clone(), &entropy).await.expect("a notary");
    let service = Arc::new(service(store.clone(), clock, entropy, tasks.clone(), seal).await);
    let signing = tokio::spawn({
        let notary = notary.clone();
        async move {
            while notary.checkpoint().await.is_ok() {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    });
    let rounds = wanted / ROUND;
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let service = Arc::clone(&service);
        writers.spawn(async move {
            let mut ran = None;
            for number in (writer..rounds).step_by(WRITERS) {
                ran = Some(service.round(number).await);
            }
            ran
        });
    }
    let ran = writers.join_all().await.into_iter().flatten().next().expect("a call that ran");
    signing.abort();
    notary.checkpoint().await.expect("a checkpoint");
    tasks.begin_stop();
    drop((store, notary, service));
    assert!(tasks.ended(Duration::from_secs(60)).await, "the store was not closed");
    ran
}

async fn service(store: Store, clock: Clock, entropy: Entropy, tasks: Tasks, seal: Seal) -> Service {
    let identity = Identity::new(store.clone(), clock, entropy.clone(), SessionLimits { idle: DAY, max: DAY });
    let agent = calls::agent(&identity, "bench".to_owned()).await;
    let reviewer = calls::person(&identity, "mira@example.com", false, None).await;
    let approvals = calls::approvals(&store, entropy, tasks, seal, u32::MAX);
    Service { store, approvals, agent, reviewer }
}

impl Service {
    /// A call that runs (4 entries), one that is rejected (2), and six that need nobody. The id of the one that ran.
    async fn round(&self, number: usize) -> CallId {
        let (ran, refused) = (self.hold(number, "run").await, self.hold(number, "refuse").await);
        self.decide(&refused, Verdict::Reject).await;
        self.decide(&ran, Verdict::Approve).await;
        for _ in 0..ROUND - 6 {
            let entry = Entry::new("call.allowed").agent(&self.agent.name).upstream(&ran.submission.upstream);
            let entry = entry.tool(&ran.submission.tool).with("rule", "/tools/get_user_policy");
            self.store.append(entry.with("policy", Digest::of(b"policy").to_string())).await.expect("an entry");
        }
        let id = ran.submission.id;
        let mut events = self.approvals.events();
        self.approvals.returned(id).await;
        loop {
            let state = self.store.call(id).await.expect("a call").expect("a call").state;
            if matches!(state, CallState::Executed { .. }) {
                return id;
            }
            let _ = tokio::time::timeout(Duration::from_millis(50), events.recv()).await;
        }
    }

    async fn hold(&self, number: usize, what: &str) -> HeldCall {
        let call = calls::call(self.agent.clone(), &format!("{what}-{number}"), Requirement::plain(DAY));
        self.approvals.submit(call).await.expect("it is held").call
    }

    async fn decide(&self, call: &HeldCall, verdict: Verdict) {
        self.approvals.decide(calls::decision(call, self.reviewer, verdict)).await.expect("a decision");
    }
}
