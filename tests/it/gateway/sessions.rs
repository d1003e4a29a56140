//! Sessions of the era up to 2025-11-25: opened, listened to, ended, and never another agent's.

use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use futures_util::{StreamExt as _, stream};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::agent::{Piece, Stream, answer};
use crate::support::gate::Gate;
use crate::support::upstream::json_answer;

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

#[tokio::test]
async fn initialize_passes_through_and_opens_a_session_of_placets_own() {
    let gate = Gate::start().await;
    let agent = gate.agent("bot").await;
    let exact = r#"{"jsonrpc":"2.0", "id":0,"result":{"protocolVersion":"2025-06-18","capabilities":{},"x":1.00}}"#;
    gate.upstream.on("initialize", move |_| {
        ([("content-type", "application/json"), ("mcp-session-id", "of-the-upstream")], exact).into_response()
    });
    let body = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25"} }"#;
    let response = agent.post(body).await;
    let session = response.headers()["mcp-session-id"].to_str().unwrap().to_owned();
    assert!(session != "of-the-upstream" && session.len() >= 40, "{session}");
    assert_eq!(response.text().await.unwrap(), exact);
    let mut agent = agent;
    agent.session = Some(session);
    assert_eq!(agent.post(PING).await.status(), 200, "without a version it is taken for an early one");
    let arrived = gate.upstream.arrived();
    assert_eq!(arrived[0].body, body);
    assert_eq!(arrived[1].headers["mcp-session-id"], "of-the-upstream");
}

#[tokio::test]
async fn a_refused_initialize_opens_nothing() {
    let gate = Gate::start().await;
    let agent = gate.agent("bot").await;
    let refusal = r#"{"jsonrpc":"2.0","id":0,"error":{"code":-32602,"message":"Unsupported protocol version"}}"#;
    gate.upstream.on("initialize", move |_| json_answer(refusal.to_owned()));
    let body = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"1"}}"#;
    let response = agent.post(body).await;
    assert!(response.headers().get("mcp-session-id").is_none());
    assert_eq!(response.text().await.unwrap(), refusal);
    gate.upstream.on("initialize", |_| StatusCode::SERVICE_UNAVAILABLE.into_response());
    assert_eq!(agent.post(body).await.status(), 503);
}

#[tokio::test]
async fn a_session_is_its_agents_alone_and_ends() {
    let gate = Gate::start().await;
    let mut agent = gate.session("one").await;
    let mut thief = gate.agent("two").await;
    assert_eq!(thief.post(PING).await.status(), 400, "no session");
    thief.session = agent.session.clone();
    assert_eq!(thief.post(PING).await.status(), 404);
    assert_eq!(thief.request(Method::DELETE).send().await.unwrap().status(), 404);
    assert_eq!(agent.post(PING).await.status(), 200);
    assert_eq!(agent.request(Method::DELETE).send().await.unwrap().status(), 204);
    assert_eq!(agent.post(PING).await.status(), 404);
    agent.session = None;
    agent.version = None;
    agent.initialize("2025-11-25").await;
    gate.pass(29 * 60);
    assert_eq!(agent.post(PING).await.status(), 200);
    gate.pass(3 * 3600);
    assert_eq!(agent.post(PING).await.status(), 404, "idle for too long");
}

#[tokio::test]
async fn an_upstream_that_forgot_the_session_ends_ours() {
    let gate = Gate::start().await;
    let mut agent = gate.agent("bot").await;
    gate.upstream.on("initialize", |_| {
        let result = r#"{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-11-25","capabilities":{}}}"#;
        ([("content-type", "application/json"), ("mcp-session-id", "s")], result).into_response()
    });
    agent.initialize("2025-11-25").await;
    gate.upstream.on("ping", |_| StatusCode::NOT_FOUND.into_response());
    assert_eq!(agent.post(PING).await.status(), 404);
    let sent = gate.upstream.arrived().len();
    assert_eq!(agent.post(PING).await.status(), 404);
    assert_eq!(gate.upstream.arrived().len(), sent);
}

#[tokio::test]
async fn get_is_refused_where_the_upstream_has_no_such_stream() {
    let gate = Gate::start().await;
    let agent = gate.session("bot").await;
    let get = |accept| agent.request(Method::GET).header("accept", accept).send();
    assert_eq!(get("application/json").await.unwrap().status(), 406);
    assert_eq!(get("text/event-stream").await.unwrap().status(), 405);
}

#[tokio::test]
async fn get_listens_to_what_the_upstream_says_of_itself() {
    let gate = Gate::start().await;
    let agent = gate.session("bot").await;
    let said = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed", "x":1.0}"#;
    gate.upstream.on("GET", move |_| {
        let said = stream::iter([Ok::<_, std::io::Error>(format!("data: {said}\n\n"))]).chain(stream::pending());
        ([("content-type", "text/event-stream")], Body::from_stream(said)).into_response()
    });
    let response = agent.request(Method::GET).header("accept", "text/event-stream").send().await.unwrap();
    let mut events = Stream::of(response);
    assert_eq!(events.next().await, Some(Piece::Message(said.into())));
    assert_eq!(gate.in_time(events.next(), 15).await, Some(Piece::Comment));
    gate.tasks.begin_stop();
    assert_eq!(events.next().await, None, "a stream never holds up the stop");
}

#[tokio::test]
async fn batches_are_split_and_each_member_is_ruled() {
    let gate = Gate::start().await;
    let mut agent = gate.agent("bot").await;
    agent.initialize("2025-03-26").await;
    let call = |id: u32, tool: &str| crate::support::agent::call(id, tool, &json!({}));
    let batch = format!(
        r#"[{PING},{{"jsonrpc":"2.0","method":"notifications/progress"}},{},{},{},{{"id":9}}]"#,
        call(2, "create_user"),
        call(3, "delete_user"),
        call(4, "put_user_policy"),
    );
    let mut stream = Stream::of(agent.post(batch).await);
    let mut answers = std::collections::BTreeMap::new();
    for _ in 0..4 {
        let message = stream.message().await;
        answers.insert(message["id"].to_string(), message);
    }
    assert_eq!(answers["1"]["result"], json!({}));
    assert_eq!(answers["2"]["result"]["_meta"]["placet/call"]["state"], "denied");
    assert_eq!(answers["3"]["error"]["code"], -32602);
    assert_eq!(answers["9"]["error"]["code"], -32600);
    let held = gate.held("pending").await;
    gate.decide(&held, placet::call::Verdict::Approve, "").await;
    assert_eq!(stream.message().await["id"], 4);
    assert_eq!(stream.next().await, None);
    assert_eq!(gate.upstream.calls("put_user_policy").len(), 1);
    assert!(gate.upstream.arrived().iter().all(|arrived| arrived.body.starts_with('{')), "no batch goes upstream");
    for (bad, says) in [("[]", "1 to 100"), (r#"[{"jsonrpc":"2.0","id":1,"method":"initialize"}]"#, "must not")] {
        let response = agent.post(bad).await.text().await.unwrap();
        assert!(response.contains(says), "{response}");
    }
    let silent = r#"[{"jsonrpc":"2.0","method":"notifications/progress"}]"#;
    assert_eq!(agent.post(silent).await.status(), 202);
}

#[tokio::test]
async fn agents_do_not_share_a_link() {
    let gate = Gate::start().await;
    let (one, two) = (gate.session("one").await, gate.session("two").await);
    gate.upstream.on("ping", |message| {
        std::thread::sleep(Duration::from_millis(5));
        json_answer(
            json!({"jsonrpc": "2.0", "id": message["id"], "result": {"for": message["params"]["who"]}}).to_string(),
        )
    });
    let ping = |who: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"who":"{who}"}}}}"#);
    let (first, second) = tokio::join!(one.post(ping("one")), two.post(ping("two")));
    let who = |answer: Value| answer["result"]["for"].clone();
    assert_eq!((who(answer(first).await), who(answer(second).await)), (json!("one"), json!("two")));
}

#[tokio::test]
async fn events_end_a_held_stream_at_the_stop() {
    let gate = Gate::start().await;
    let agent = gate.session("bot").await;
    let mut stream = Stream::of(agent.call("put_user_policy", json!({})).await);
    assert_eq!(stream.next().await, Some(Piece::Comment));
    gate.held("pending").await;
    gate.tasks.begin_stop();
    let told = stream.message().await;
    assert!(crate::support::agent::refusal(&told).contains("has not run yet"), "{told}");
}
