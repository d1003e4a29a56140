//! What grows with what is there, and what must not: the start with 100,000 pending calls and 1,000,000 entries, the
//! queue page with 10,000 pending calls, and the same writes on an empty and on a filled database, as a ratio in one run.
//! `cargo bench --bench scale` prints three tables; nothing is asserted. It wants about 3 GB of disk.

#![expect(clippy::print_stdout, reason = "a bench prints its tables")]
#![expect(clippy::disallowed_methods, reason = "a bench measures with the machine's clock")]

#[path = "support/calls.rs"]
mod calls;
mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use calls::DAY;
use placet::approvals::{Approvals, Seal};
use placet::audit::Entry;
use placet::call::{AgentName, Caller, Email, GroupName, HeldCall, Millis, Requirement, ReviewerId, Verdict};
use placet::clock::{Clock, Entropy};
use placet::identity::{Identity, SessionLimits};
use placet::lifecycle::Tasks;
use placet::store::Store;
use secrecy::SecretString;
use support::{Server, at, stub};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const PENDING: usize = 100_000;
const ENTRIES: usize = 1_000_000;
const QUEUE: usize = 10_000;
/// Writers at once while a database is filled.
const WRITERS: usize = 256;
/// Operations of one measurement, and how often the two databases take turns.
const OPERATIONS: usize = 4000;
const ROUNDS: usize = 7;
/// Who looks at the queue: a reviewer and an auditor.
const PEOPLE: [&str; 2] = ["mira@example.com", "auditor@example.com"];
/// How many calls each agent makes, which may not make more.
const CALLS: usize = 20;
const PASSWORD: &str = "correct horse battery staple";

fn main() {
    // `cargo test --benches` and `cargo bench -- --list` run every bench target too: nothing to do for them.
    if std::env::args().any(|argument| argument == "--test" || argument == "--list") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        start().await;
        queue().await;
        history().await;
    });
}

/// From the start of the process to the first call it would take.
async fn start() {
    let folder = tempfile::tempdir().expect("a folder");
    let address = configure(folder.path()).await;
    let process = Process::open(folder.path()).await;
    process.fill(PENDING, 0, ENTRIES - PENDING).await;
    process.close().await;
    println!("| pending calls | entries | start | start to ready s | resident MB |\n|---|---|---|---|---|");
    for start in 1..=3 {
        let (server, took) = Server::start(folder.path(), address).await;
        let resident = server.resident() / 1_000_000;
        println!("| {PENDING} | {ENTRIES} | {start} | {:.2} | {resident} |", took.as_secs_f64());
    }
}

/// The queue as reviewers of a group and as an auditor meet it.
async fn queue() {
    let folder = tempfile::tempdir().expect("a folder");
    let address = configure(folder.path()).await;
    let process = Process::open(folder.path()).await;
    process.fill(QUEUE, 0, 0).await;
    let mut tokens = Vec::new();
    for who in PEOPLE {
        let who = Email::parse(who).expect("an address");
        tokens.push(process.identity.api_token_make(who, false, DAY).await.expect("a token").token);
    }
    process.close().await;
    let (_server, _) = Server::start(folder.path(), address).await;
    println!("\n| pending calls | who | page | p50 ms | p99 ms |\n|---|---|---|---|---|");
    for (who, token) in PEOPLE.into_iter().zip(tokens) {
        let client = signed_in(address, who).await;
        for path in ["/", "/?page=100", "/partials/queue", "/api/v1/calls?state=pending", "/history"] {
            let mut took = Vec::new();
            for round in 0..110 {
                let begun = Instant::now();
                let request = client.get(format!("http://{address}{path}"));
                let request = if path.starts_with("/api") { request.bearer_auth(token.reveal()) } else { request };
                let answer = request.send().await.expect("an answer");
                assert!(answer.status().is_success(), "{path}: {}", answer.status());
                answer.bytes().await.expect("a page");
                // The first ones warm up.
                if round >= 10 {
                    took.push(begun.elapsed().as_secs_f64() * 1000.0);
                }
            }
            println!("| {QUEUE} | {who} | {path} | {:.1} | {:.1} |", at(&mut took, 0.5), at(&mut took, 0.99));
        }
    }
}

/// The same writes on an empty and on a filled database, by turns.
async fn history() {
    let folders = [tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder")];
    let empty = Process::open(folders[0].path()).await;
    let full = Process::open(folders[1].path()).await;
    full.fill(PENDING, PENDING, ENTRIES - 3 * PENDING).await;
    println!("\n| submitters | operation | empty, per s | 1,000,000 entries, per s | ratio |\n|---|---|---|---|---|");
    for submitters in [1, 64] {
        let operations = if submitters == 1 { OPERATIONS / 8 } else { OPERATIONS };
        let mut rates: [[Vec<f64>; 2]; 3] = Default::default();
        for round in 0..=ROUNDS {
            for (side, process) in [&empty, &full].into_iter().enumerate() {
                let took = process.round(submitters, operations).await;
                // The first round warms up.
                if round > 0 {
                    (0..3).for_each(|kind| rates[kind][side].push(operations as f64 / took[kind].as_secs_f64()));
                }
            }
        }
        for (kind, [mut empty, mut full]) in ["entry", "hold", "decision"].into_iter().zip(rates) {
            let (empty, full) = (at(&mut empty, 0.5), at(&mut full, 0.5));
            println!("| {submitters} | {kind} | {empty:.0} | {full:.0} | {:.2} |", full / empty);
        }
    }
}

/// Configuration as `placet serve` reads it.
async fn configure(folder: &Path) -> SocketAddr {
    let upstream = stub().await;
    let address = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
    let toml = format!(
        "listen = \"{address}\"\npublic_url = \"http://{address}\"\ndata_dir = \"data\"\npolicy = \"policy.json\"\n\
         [[upstreams]]\nname = \"iam\"\nurl = \"http://{upstream}/mcp\"\n"
    );
    std::fs::write(folder.join("placet.toml"), toml).expect("a file");
    let policy = r#"{"version": "1", "tools": {"put_user_policy": {"action": "require_approval"}}}"#;
    std::fs::write(folder.join("policy.json"), policy).expect("a file");
    address
}

/// A browser that has signed in.
async fn signed_in(address: SocketAddr, email: &str) -> reqwest::Client {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
    let origin = format!("http://{address}");
    let form = format!("email={}&password={}&next=/", email.replace('@', "%40"), PASSWORD.replace(' ', "+"));
    let request = client.post(format!("{origin}/login")).header("origin", &origin);
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
    let answer = request.send().await.expect("an answer");
    let cookie = answer.headers().get("set-cookie").expect("a cookie").to_str().expect("a text").to_owned();
    let cookie = cookie.split(';').next().expect("a cookie").parse().expect("a cookie");
    let headers = [(reqwest::header::COOKIE, cookie)].into_iter().collect();
    reqwest::Client::builder().default_headers(headers).build().expect("a client")
}

/// The approvals over a real database.
struct Process {
    tasks: Tasks,
    store: Store,
    identity: Identity,
    approvals: Approvals,
    agents: Mutex<Vec<Caller>>,
    reviewer: ReviewerId,
    next: AtomicUsize,
}

impl Process {
    async fn open(folder: &Path) -> Arc<Self> {
        let (clock, entropy, tasks) = (Clock::system(), Entropy::System, Tasks::default());
        let folder = folder.join("data");
        let store = Store::open(&folder, clock.clone(), &tasks).await.expect("a store");
        let seal = Seal::load_or_create(&folder, &entropy).expect("a key");
        let identity = Identity::new(store.clone(), clock, entropy.clone(), SessionLimits { idle: DAY, max: DAY });
        let mut people = Vec::new();
        for (email, auditor) in PEOPLE.into_iter().zip([false, true]) {
            people.push(calls::person(&identity, email, auditor, Some(SecretString::from(PASSWORD))).await);
        }
        let approvals = calls::approvals(&store, entropy, tasks.clone(), seal, CALLS as u32);
        let (agents, next) = (Mutex::default(), AtomicUsize::new(0));
        Arc::new(Self { tasks, store, identity, approvals, agents, reviewer: people[0], next })
    }

    /// Enough agents for so many calls more.
    async fn invite(self: &Arc<Self>, calls: usize) {
        let wanted = (self.next.load(Ordering::Relaxed) + calls).div_ceil(CALLS);
        let here = self.agents.lock().expect("a list").len();
        self.each(WRITERS, wanted.saturating_sub(here), |process| async move {
            let agent = calls::agent(&process.identity, format!("agent-{}", Entropy::System.uuid(Millis(0)))).await;
            process.agents.lock().expect("a list").push(agent);
        })
        .await;
    }

    async fn close(self: Arc<Self>) {
        let Self { tasks, store, identity, approvals, .. } = Arc::into_inner(self).expect("one owner");
        tasks.begin_stop();
        drop((store, identity, approvals));
        assert!(tasks.ended(Duration::from_secs(60)).await, "the store was not closed");
    }

    async fn hold(&self) -> HeldCall {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let group = GroupName::new("iam").expect("a name");
        let requirement = Requirement { reviewers: vec![group], ..Requirement::plain(DAY) };
        let agent = self.agents.lock().expect("a list")[number / CALLS].clone();
        let call = calls::call(agent, &format!("user-{number}"), requirement);
        self.approvals.submit(call).await.expect("a held call").call
    }

    async fn reject(&self, call: &HeldCall) {
        let decision = calls::decision(call, self.reviewer, Verdict::Reject);
        self.approvals.decide(decision).await.expect("a decided call");
    }

    async fn entry(&self) {
        let entry =
            Entry::new("call.allowed").agent(&AgentName::new("agent-0").expect("a name")).with("rule", "/tools/list_*");
        self.store.append(entry).await.expect("an entry");
    }

    /// So many pending calls, rejected calls and further entries, through the writer like any other.
    async fn fill(self: &Arc<Self>, pending: usize, rejected: usize, entries: usize) {
        self.invite(pending + rejected).await;
        self.each(WRITERS, pending, |process| async move { drop(process.hold().await) }).await;
        let reject = |process: Arc<Self>| async move { process.reject(&process.hold().await).await };
        self.each(WRITERS, rejected, reject).await;
        self.each(WRITERS, entries, |process| async move { process.entry().await }).await;
    }

    /// Entries, holds and decisions by so many submitters; how long each kind took.
    async fn round(self: &Arc<Self>, submitters: usize, operations: usize) -> [Duration; 3] {
        self.invite(operations).await;
        let begun = Instant::now();
        self.each(submitters, operations, |process| async move { process.entry().await }).await;
        let entries = begun.elapsed();
        let held = Arc::new(Mutex::new(Vec::new()));
        let begun = Instant::now();
        let keep = Arc::clone(&held);
        self.each(submitters, operations, move |process| {
            let keep = Arc::clone(&keep);
            async move {
                let call = process.hold().await;
                keep.lock().expect("a list").push(call);
            }
        })
        .await;
        let holds = begun.elapsed();
        let begun = Instant::now();
        self.each(submitters, operations, move |process| {
            let call = held.lock().expect("a list").pop().expect("a held call");
            async move { process.reject(&call).await }
        })
        .await;
        [entries, holds, begun.elapsed()]
    }

    async fn each<F: Future<Output = ()> + Send + 'static>(
        self: &Arc<Self>,
        submitters: usize,
        operations: usize,
        operation: impl Fn(Arc<Self>) -> F + Clone + Send + Sync + 'static,
    ) {
        let mut workers = JoinSet::new();
        for worker in 0..submitters {
            let (process, operation) = (Arc::clone(self), operation.clone());
            workers.spawn(async move {
                for _ in (worker..operations).step_by(submitters) {
                    operation(Arc::clone(&process)).await;
                }
            });
        }
        workers.join_all().await;
    }
}
