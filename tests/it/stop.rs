//! A stop: what runs ends first, and what waits is found again.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::response::IntoResponse as _;
use futures_util::stream;
use placet::approvals::{Channel, Decision};
use placet::call::{Answer, HeldCall, ReviewerId, Verdict};
use serde_json::json;
use tokio::sync::Notify;

use crate::support::agent::{Agent, Stream, refusal};
use crate::support::app::{Setup, TestApp};
use crate::support::upstream::Upstream;

async fn approve(app: &TestApp, call: &HeldCall, by: ReviewerId) {
    let decision = Decision {
        call: call.submission.id,
        digest: call.digest,
        verdict: Verdict::Approve,
        reason: String::new(),
        by,
        channel: Channel::Page,
        confirmed: false,
    };
    app.app.approvals.decide(decision).await.unwrap();
}

#[tokio::test]
async fn a_call_that_is_running_at_the_stop_ends_and_its_agent_finds_the_result() {
    let upstream = Upstream::start().await;
    let finish = Arc::new(Notify::new());
    let waiting = Arc::clone(&finish);
    upstream.on("tools/call put_user_policy", move |message| {
        let answer = json!({"jsonrpc": "2.0", "id": message["id"], "result": {"content": [], "n": 7}}).to_string();
        let waiting = Arc::clone(&waiting);
        let body = stream::once(async move {
            waiting.notified().await;
            Ok::<_, std::io::Error>(Bytes::from(answer))
        });
        ([("content-type", "application/json")], Body::from_stream(body)).into_response()
    });
    let app = Setup::http(&upstream.url).real_time().start().await;
    let mira = app.reviewer("mira@example.com", &["iam"]).await.id;
    let token = app.agent("ci-bot").await;
    let mut agent = Agent::new(app.mcp(), &token);
    agent.initialize("2025-11-25").await;
    let mut stream = Stream::of(agent.call("put_user_policy", json!({"user_name": "x"})).await);
    let call = app.pending().await;
    approve(&app, &call, mira).await;
    upstream.until_called("put_user_policy", 1).await;

    let counted = reqwest::get(format!("{}/metrics", app.url)).await.unwrap().text().await.unwrap();
    assert!(counted.contains(r#"placet_calls_decided_total{verdict="approve",via="page"}"#), "{counted}");

    // The stop begins while the upstream works; it answers once the agent has been told to come back.
    let (app, told) = tokio::join!(app.restart(), async {
        let told = stream.message().await;
        finish.notify_one();
        told
    });
    assert!(refusal(&told).contains(&call.submission.id.to_string()), "{told}");
    let ended = app.app.store.call(call.submission.id).await.unwrap().unwrap();
    assert_eq!(ended.state.name(), "executed");
    assert_eq!(ended.answer, Some(Answer::Result(r#"{"content":[],"n":7}"#.into())));

    let mut agent = Agent::new(app.mcp(), &token);
    agent.initialize("2025-11-25").await;
    let result = agent.result("put_user_policy", json!({"user_name": "x"})).await;
    assert_eq!(result["result"]["n"], 7);
    assert_eq!(upstream.calls("put_user_policy").len(), 1);
}
