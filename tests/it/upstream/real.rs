//! Real servers behind our links.

use std::time::Duration;

use placet::call::{Answer, CallId, Era, ToolName};
use placet::gateway::upstream::{Eras, Link, Outgoing, Transport, UpstreamConfig};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Bench, agent, name};
use crate::support::components::Env;
use crate::support::components::servers::{Moto, everything_http, iam_server_command, time_server_command};

/// Servers start slowly on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(120);

fn started(command: Vec<String>, env: Env) -> Bench {
    let env = env.into_iter().map(|(name, value)| (name, value.into())).collect();
    bench(Transport::Stdio { command, env, user: None })
}

fn bench(transport: Transport) -> Bench {
    Bench::new(&[UpstreamConfig { name: name(), transport, shared: false }])
}

async fn ask(link: &Link, method: &str, params: &Value) -> String {
    match link.request(method, &params.to_string(), &[], PATIENCE).await.unwrap() {
        Answer::Result(text) => text,
        Answer::Error(text) => panic!("{method}: {text}"),
    }
}

async fn forward(bench: &Bench, era: Era, tool: &str, arguments: &Value) -> Value {
    let mut params = json!({"name": tool, "arguments": arguments});
    if era == Era::Stateless {
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "agent", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {}});
    }
    let call = Outgoing {
        id: CallId(Uuid::from_u128(9)),
        agent: agent(),
        upstream: &name(),
        tool: &ToolName::new(tool).unwrap(),
        params: &params.to_string(),
        headers: &[],
        era,
        deadline: PATIENCE,
    };
    match bench.upstreams.forward(call).await.unwrap() {
        Answer::Result(text) => serde_json::from_str(&text).unwrap(),
        Answer::Error(text) => panic!("{tool}: {text}"),
    }
}

#[tokio::test]
async fn the_iam_server_runs_an_approved_call() {
    let moto = Moto::start().await;
    let (command, env) = iam_server_command(&moto);
    let bench = started(command, env);
    let upstream = bench.upstream();
    let eras = upstream.eras().await.unwrap();
    let own = upstream.own(agent()).await.unwrap();
    upstream.note_tools(&ask(&own, "tools/list", &json!({})).await);
    assert_eq!(upstream.tools().len(), 29);
    assert!(upstream.tool("put_user_policy").unwrap().json.contains("policy_document"));

    let spoken = [(eras.sessions, Era::Sessions), (eras.stateless, Era::Stateless)];
    for (n, (_, era)) in spoken.into_iter().filter(|(speaks, _)| *speaks).enumerate() {
        let user = format!("ci-bot-{n}");
        let new = json!({"user_name": user, "confirmed": true, "ctx": {"content": []}});
        assert_ne!(forward(&bench, era, "create_user", &new).await["isError"], true);
        let document = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": "arn:aws:s3:::bucket/*"}]});
        let put = json!({"user_name": user, "policy_name": "p", "policy_document": document, "confirmed": true});
        assert_ne!(forward(&bench, era, "put_user_policy", &put).await["isError"], true);
        let get = json!({"name": "get_user_policy", "arguments": {"user_name": user, "policy_name": "p"}});
        assert!(ask(&own, "tools/call", &get).await.contains("s3:GetObject"));
    }
    bench.upstreams.close().await;
    assert!(!own.is_alive());
}

#[tokio::test]
async fn the_time_server_speaks_both_eras() {
    let bench = started(time_server_command(), Env::new());
    assert_eq!(bench.upstream().eras().await.unwrap(), Eras { sessions: true, stateless: true });
    for era in [Era::Sessions, Era::Stateless] {
        let told = forward(&bench, era, "get_current_time", &json!({"timezone": "Asia/Tokyo"})).await;
        assert!(told["content"][0]["text"].as_str().unwrap().contains("Asia/Tokyo"), "{era:?}: {told}");
    }
    bench.upstreams.close().await;
}

#[tokio::test]
async fn the_reference_server_answers_over_http() {
    let server = everything_http().await;
    let bench = bench(Transport::Http { url: server.url.clone(), headers: Vec::new() });
    assert_eq!(bench.upstream().eras().await.unwrap(), Eras { sessions: true, stateless: false });
    let told = forward(&bench, Era::Sessions, "echo", &json!({"message": "hello"})).await;
    assert_eq!(told["content"][0]["text"], "Echo: hello");
    bench.upstreams.close().await;
}
