//! Upstreams: what reaches them and what comes back, over processes and over HTTP, however they misbehave.

mod eras;
mod forward;
mod http;
mod real;
mod stdio;

use std::sync::Arc;

use bytes::Bytes;
use placet::call::{AgentId, Answer, Millis, UpstreamName};
use placet::clock::{Clock, Entropy};
use placet::gateway::upstream::{Exchange, Link, Transport, Upstream, UpstreamConfig, Upstreams};
use placet::lifecycle::Tasks;
use serde_json::Value;
use tokio::sync::mpsc::Receiver;
use uuid::Uuid;

/// A configured set of upstreams and what they run on.
struct Bench {
    upstreams: Upstreams,
    clock: Clock,
}

impl Bench {
    fn new(configs: &[UpstreamConfig]) -> Self {
        let clock = Clock::manual(Millis(1_795_356_131_007));
        let upstreams = Upstreams::new(configs, &Tasks::default(), &clock, &Entropy::seeded(7)).unwrap();
        Self { upstreams, clock }
    }

    /// The stub server as a process, in `mode`.
    fn stub(mode: &str) -> Self {
        Self::new(&[stub(mode)])
    }

    fn upstream(&self) -> Arc<Upstream> {
        self.upstreams.only().unwrap()
    }

    async fn open(&self) -> Arc<Link> {
        self.upstream().open(agent()).await.unwrap()
    }
}

fn name() -> UpstreamName {
    UpstreamName::new("stub").unwrap()
}

fn stub(mode: &str) -> UpstreamConfig {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/stub_server.py");
    process(&["python3", "-u", script, mode])
}

fn process(command: &[&str]) -> UpstreamConfig {
    let command = command.iter().map(|&word| word.to_owned()).collect();
    let transport = Transport::Stdio { command, env: vec![("GIVEN".to_owned(), "a=b".to_owned().into())], user: None };
    UpstreamConfig { name: name(), transport, shared: false }
}

fn agent() -> AgentId {
    AgentId(Uuid::from_u128(1))
}

/// A `tools/call` of the stub's, with its `params` spelled out.
fn call(id: &str, params: &str) -> Bytes {
    Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{params}}}"#))
}

/// The channel of a request that was taken.
async fn begin(link: &Link, message: impl Into<Bytes>) -> Receiver<placet::gateway::upstream::Message> {
    match link.send(message.into(), &[]).await.unwrap() {
        Exchange::Messages(messages) => messages,
        other => panic!("{other:?}"),
    }
}

/// Everything until the channel ends, as text.
async fn all(mut messages: Receiver<placet::gateway::upstream::Message>) -> Vec<String> {
    let mut texts = Vec::new();
    while let Some(message) = messages.recv().await {
        texts.push(String::from_utf8(message.bytes.to_vec()).unwrap());
    }
    texts
}

/// The `result` of one tool, over a request of Placet's own.
async fn tool(link: &Link, tool: &str) -> Value {
    let params = format!(r#"{{"name":"{tool}"}}"#);
    match link.request("tools/call", &params, &[], std::time::Duration::from_secs(60)).await.unwrap() {
        Answer::Result(text) => serde_json::from_str(&text).unwrap(),
        Answer::Error(text) => panic!("{text}"),
    }
}

/// Lets the other tasks run until it is so.
async fn until(so: impl Fn() -> bool) {
    let wait = async {
        while !so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), wait).await.expect("it becomes so");
}
