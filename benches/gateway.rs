//! What Placet costs, as ratios in one run: the same calls on the same stub upstream, direct and through a real
//! `placet serve` with its durable log; then a thousand held calls: memory each, and the time from a reviewer's verdict
//! to the agent's answer. `cargo bench` prints one table; nothing is asserted.

#![expect(clippy::print_stdout, reason = "a bench prints its table")]
#![expect(clippy::disallowed_methods, reason = "a bench measures with the machine's clock")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use placet::call::{AgentName, Email};
use placet::clock::{Clock, Entropy};
use placet::identity::{AddReviewer, Identity, Roles, SessionLimits};
use placet::lifecycle::Tasks;
use placet::store::Store;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Calls per measurement and connection count, in rounds that alternate between direct and through Placet.
const CALLS: usize = 4000;
const ROUNDS: usize = 5;
const HELD: usize = 1000;

const POLICY: &str = r#"{"version": "1", "default": "deny",
    "tools": {"read": {"approval": {"risk": "read"}}, "write": {}, "limited": {"limits": [
        {"counter": "a", "window": "minute", "max": 9000000}, {"counter": "b", "window": "day", "sliding": true, "max": 9000000}]},
        "held": {"action": "require_approval"}}}"#;

mod support;

use support::{Server, at, stub};

fn main() {
    // `cargo test --benches` and `cargo bench -- --list` run every bench target too: nothing to do for them.
    if std::env::args().any(|argument| argument == "--test" || argument == "--list") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(measure());
}

async fn measure() {
    let folder = tempfile::tempdir().expect("a folder");
    let upstream = stub().await;
    let (address, secrets) = prepare(folder.path(), upstream).await;
    let (mut server, _) = Server::start(folder.path(), address).await;
    let direct = Agent::open(format!("http://{upstream}/mcp"), None).await;
    let through = Agent::open(format!("http://{address}/mcp"), Some(secrets.agent.clone())).await;

    println!(
        "| connections | tool | direct calls/s | through calls/s | ratio | direct p50/p99 ms | through p50/p99 ms | added p50 ms |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for connections in [1, 64] {
        for tool in ["write", "limited", "read"] {
            compare(&direct, &through, connections, tool).await;
        }
    }
    hold(&mut server, &through, &format!("http://{address}"), &secrets.api).await;
}

/// Alternates the two ways and prints the medians.
async fn compare(direct: &Agent, through: &Agent, connections: usize, tool: &'static str) {
    let (mut rates, mut delays) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for round in 0..=ROUNDS {
        for (way, agent) in [direct, through].into_iter().enumerate() {
            let begun = Instant::now();
            let took = agent.burst(connections, tool).await;
            // The first round warms up.
            if round > 0 {
                rates[way].push(CALLS as f64 / begun.elapsed().as_secs_f64());
                delays[way].extend(took);
            }
        }
    }
    let [direct_rate, through_rate] = rates.map(|mut rates| at(&mut rates, 0.5));
    let [direct, through] = delays.map(|mut delays| (at(&mut delays, 0.5), at(&mut delays, 0.99)));
    println!(
        "| {connections} | {tool} | {direct_rate:.0} | {through_rate:.0} | {:.2} | {:.2} / {:.2} | {:.2} / {:.2} | {:.2} |",
        through_rate / direct_rate,
        direct.0,
        direct.1,
        through.0,
        through.1,
        through.0 - direct.0
    );
}

/// A thousand calls held at once on streams of their own.
async fn hold(server: &mut Server, agent: &Agent, base: &str, token: &str) {
    let before = server.resident();
    let begun = Instant::now();
    let mut waiting = JoinSet::new();
    for number in 0..HELD {
        let agent = agent.clone();
        waiting.spawn(async move {
            let text = agent.call("held", json!({"number": number, "document": "x".repeat(1000)})).await;
            (number, Instant::now(), text)
        });
    }
    let client = reqwest::Client::new();
    let mut calls = Vec::new();
    while calls.len() < HELD {
        tokio::time::sleep(Duration::from_millis(100)).await;
        calls = pending(&client, base, token).await;
    }
    let held_in = begun.elapsed();
    let each = (server.resident().saturating_sub(before)) / HELD as u64;
    let mut decided = vec![Instant::now(); HELD];
    for call in calls {
        let arguments: Value = serde_json::from_str(call["arguments"].as_str().expect("arguments")).expect("JSON");
        let number = arguments["number"].as_u64().expect("a number") as usize;
        let url = format!("{base}/api/v1/calls/{}/decision", call["id"].as_str().expect("an id"));
        let body = json!({"verdict": "approve", "digest": call["digest"], "reason": ""}).to_string();
        decided[number] = Instant::now();
        let request = client.post(url).bearer_auth(token).header("content-type", "application/json").body(body);
        let answer = request.send().await.expect("an answer");
        assert!(answer.status().is_success(), "{}", answer.text().await.expect("a text"));
    }
    let mut delays = Vec::new();
    while let Some(done) = waiting.join_next().await {
        let (number, at, text) = done.expect("a held call");
        assert!(text.contains("done"), "{text}");
        delays.push(at.duration_since(decided[number]).as_secs_f64() * 1000.0);
    }
    println!(
        "\n{HELD} calls held in {:.2} s, {each} bytes of resident memory each; \
         from verdict to the agent's answer p50 {:.1} ms, p99 {:.1} ms",
        held_in.as_secs_f64(),
        at(&mut delays, 0.5),
        at(&mut delays, 0.99)
    );
}

async fn pending(client: &reqwest::Client, base: &str, token: &str) -> Vec<Value> {
    let (mut calls, mut next) = (Vec::new(), Some("/api/v1/calls?state=pending".to_owned()));
    while let Some(path) = next {
        let answer = client.get(format!("{base}{path}")).bearer_auth(token).send().await.expect("an answer");
        let mut page: Value = serde_json::from_str(&answer.text().await.expect("a text")).expect("JSON");
        calls.extend(page["calls"].take().as_array_mut().map(std::mem::take).unwrap_or_default());
        next = page["next"].as_str().map(str::to_owned);
    }
    calls
}

struct Secrets {
    agent: String,
    api: String,
}

/// Configuration, an agent and a reviewer's token, as the command line would make them.
async fn prepare(folder: &Path, upstream: SocketAddr) -> (SocketAddr, Secrets) {
    let address = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
    let toml = format!(
        "listen = \"{address}\"\npublic_url = \"http://{address}\"\ndata_dir = \"data\"\npolicy = \"policy.json\"\n\
         [hold]\nmax_pending_per_agent = 5000\nmax_new_per_agent_per_hour = 50000\nbudget = \"10m\"\n\
         [[upstreams]]\nname = \"stub\"\nurl = \"http://{upstream}/mcp\"\n"
    );
    std::fs::write(folder.join("placet.toml"), toml).expect("a file");
    std::fs::write(folder.join("policy.json"), POLICY).expect("a file");
    let (clock, entropy, tasks) = (Clock::system(), Entropy::System, Tasks::default());
    let store = Store::open(&folder.join("data"), clock.clone(), &tasks).await.expect("a store");
    let day = Duration::from_secs(86_400);
    let identity = Identity::new(store.clone(), clock, entropy, SessionLimits { idle: day, max: day });
    let owner = Email::parse("owner@example.com").expect("an address");
    let agent = identity.agent_add(AgentName::new("bench").expect("a name"), owner, vec![]).await.expect("an agent");
    let email = Email::parse("mira@example.com").expect("an address");
    let roles = Roles { reviewer: true, auditor: false, administrator: false };
    let add = AddReviewer { email: email.clone(), name: None, roles, groups: [].into(), password: None };
    identity.reviewer_add(add).await.expect("a reviewer");
    let api = identity.api_token_make(email, true, day).await.expect("a token");
    let secrets = Secrets { agent: agent.token.reveal().to_owned(), api: api.token.reveal().to_owned() };
    drop((identity, store));
    assert!(tasks.ended(Duration::from_secs(10)).await, "the store was not closed");
    (address, secrets)
}

/// A client with a session.
#[derive(Clone)]
struct Agent {
    client: reqwest::Client,
    url: Arc<str>,
    token: Option<Arc<str>>,
    session: Option<Arc<str>>,
}

impl Agent {
    async fn open(url: String, token: Option<String>) -> Self {
        let client =
            reqwest::Client::builder().tcp_nodelay(true).pool_max_idle_per_host(128).build().expect("a client");
        let mut agent = Self { client, url: url.into(), token: token.map(Into::into), session: None };
        let params =
            json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "b", "version": "1"}});
        let body = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
        let answer = agent.post(body.to_string()).await;
        agent.session = answer.headers().get("mcp-session-id").map(|id| id.to_str().expect("a text").into());
        answer.text().await.expect("a text");
        agent.post(json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string()).await;
        agent
    }

    async fn post(&self, body: String) -> reqwest::Response {
        let mut request = self.client.post(&*self.url).header("content-type", "application/json");
        request = request
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2025-11-25");
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(session) = &self.session {
            request = request.header("mcp-session-id", &**session);
        }
        let answer = request.body(body).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{}", answer.status());
        answer
    }

    async fn call(&self, tool: &str, arguments: Value) -> String {
        let params = json!({"name": tool, "arguments": arguments});
        let id = arguments["number"].as_u64().unwrap_or(1);
        let body = json!({"jsonrpc": "2.0", "id": id + 1, "method": "tools/call", "params": params}).to_string();
        self.post(body).await.text().await.expect("a text")
    }

    /// [`CALLS`] calls over so many connections; each call's milliseconds.
    async fn burst(&self, connections: usize, tool: &'static str) -> Vec<f64> {
        let mut workers = JoinSet::new();
        for worker in 0..connections {
            let agent = self.clone();
            workers.spawn(async move {
                let mut took = Vec::new();
                for call in 0..CALLS / connections {
                    let begun = Instant::now();
                    let number = worker * CALLS + call;
                    let text = agent.call(tool, json!({"number": number})).await;
                    assert!(text.contains("done"), "{text}");
                    took.push(begun.elapsed().as_secs_f64() * 1000.0);
                }
                took
            });
        }
        workers.join_all().await.into_iter().flatten().collect()
    }
}
