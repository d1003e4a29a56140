//! Calls that wait for people: the stream, the ways out of it, and coming back.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::agent::{Agent, Piece, Stream, answer, refusal, text};
use crate::support::gate::{Gate, POLICY};
use placet::call::Verdict;

fn arguments() -> Value {
    json!({"user_name": "ci", "policy_name": "deploy"})
}

async fn hold(agent: &Agent) -> Stream {
    let mut stream = Stream::of(agent.call("put_user_policy", arguments()).await);
    assert_eq!(stream.next().await, Some(Piece::Comment), "a sign of life at once");
    stream
}

fn meta(answer: &Value) -> &Value {
    &answer["result"]["_meta"]["placet/call"]
}

#[tokio::test]
async fn approved_it_runs_once_and_the_exact_result_comes_back() {
    let gate = Gate::start().await;
    let agent = gate.session("bot").await;
    gate.upstream
        .on_result("tools/call put_user_policy", r#"{ "content":[], "n":1.00,"_meta":{"placet/call":1,"v":2} }"#);
    let params = r#"{ "name":"put_user_policy", "arguments":{"n":9007199254740993,  "s":"\u00e9"} ,"_meta":{"v":1.0}}"#;
    let body = format!(r#"{{"jsonrpc":"2.0","id":"\u0061","method":"tools/call","params":{params}}}"#);
    let mut stream = Stream::of(agent.post(body.clone()).await);
    let held = gate.held("pending").await;
    assert_eq!(held.submission.params, params);
    assert_eq!(held.submission.arguments(), r#"{"n":9007199254740993,  "s":"\u00e9"}"#);
    assert_eq!(held.submission.client.as_deref(), Some("test 1"));
    gate.decide(&held, Verdict::Approve, "fine").await;
    stream.next().await;
    let Some(Piece::Message(result)) = stream.next().await else { panic!("no result") };
    let start = r#"{"jsonrpc":"2.0","id":"\u0061","result":{ "content":[], "n":1.00,"_meta":{"v":2,"placet/call":{"#;
    assert!(result.starts_with(start), "{result}");
    assert_eq!(stream.next().await, None);
    let sent = gate.upstream.calls("put_user_policy");
    assert_eq!(sent.len(), 1);
    assert!(sent[0].contains(params), "{}", sent[0]);
    gate.pass(1);
    let again = answer(agent.post(body).await).await;
    assert_eq!(meta(&again)["already_executed_at"], "2026-11-22T14:02:11.000Z");
    assert_eq!(gate.upstream.calls("put_user_policy").len(), 1);
    assert!(gate.log().await.contains(&"call.executed".to_owned()));
}

#[tokio::test]
async fn rejected_it_says_why_and_the_same_call_again_is_answered_at_once() {
    let gate = Gate::start().await;
    let agent = gate.session("bot").await;
    let mut stream = hold(&agent).await;
    let held = gate.held("pending").await;
    gate.decide(&held, Verdict::Reject, "scope Resource to one bucket").await;
    let told = stream.message().await;
    assert!(refusal(&told).contains("scope Resource to one bucket. Do not retry it unchanged."));
    assert_eq!(meta(&told)["disposition"], "denied-not-executed");
    let again = agent.call("put_user_policy", arguments()).await;
    assert_eq!(again.headers()["content-type"], "application/json");
    assert!(refusal(&answer(again).await).contains("it was rejected"));
    assert_eq!(gate.upstream.calls("put_user_policy").len(), 0);
}

#[tokio::test]
async fn a_spent_budget_is_told_and_the_caller_comes_back() {
    let gate = Gate::start().await;
    let agent = gate.session("bot").await;
    let mut stream = hold(&agent).await;
    let held = gate.held("pending").await;
    gate.pass(15);
    assert_eq!(stream.next().await, Some(Piece::Comment));
    gate.pass(35);
    let told = stream.message().await;
    let words = refusal(&told);
    let id = held.submission.id.to_string();
    assert!(
        words.contains("has not run yet") && words.contains(&id) && words.contains("The IAM team is asked"),
        "{words}"
    );
    assert_eq!((meta(&told)["id"].as_str(), meta(&told)["state"].as_str()), (Some(id.as_str()), Some("pending")));
    assert_eq!(stream.next().await, None);
    assert!(gate.store.call(held.submission.id).await.unwrap().unwrap().told_to_return);

    // Both ways of coming back, at once: the same call with its keys in another order, and placet_wait.
    let mut joined =
        Stream::of(agent.call("put_user_policy", json!({"policy_name": "deploy", "user_name": "ci"})).await);
    let mut waits = Stream::of(agent.call("placet_wait", json!({"call_id": id})).await);
    assert_eq!((joined.next().await, waits.next().await), (Some(Piece::Comment), Some(Piece::Comment)));
    gate.decide(&held, Verdict::Approve, "").await;
    for stream in [&mut joined, &mut waits] {
        assert_eq!(stream.message().await["result"]["content"][0]["text"], "done");
    }
    assert_eq!(gate.upstream.calls("put_user_policy").len(), 1);
    let kept = answer(agent.call("placet_wait", json!({"call_id": id})).await).await;
    assert_eq!(kept["result"]["content"][0]["text"], "done");
}

#[tokio::test]
async fn told_to_return_it_runs_without_its_caller() {
    let gate = Gate::start().await;
    let agent = gate.session("bot").await;
    let mut stream = hold(&agent).await;
    let held = gate.held("pending").await;
    gate.pass(50);
    stream.message().await;
    gate.decide(&held, Verdict::Approve, "").await;
    gate.held("executed").await;
    assert_eq!(gate.upstream.calls("put_user_policy").len(), 1);
    assert_eq!(agent.result("put_user_policy", arguments()).await["result"]["content"][0]["text"], "done");
    assert_eq!(gate.upstream.calls("put_user_policy").len(), 1);
}

#[tokio::test]
async fn a_caller_that_hears_of_progress_waits_to_the_end() {
    let gate = Gate::start().await;
    let agent = gate.session("bot").await;
    let params = json!({"name": "put_user_policy", "arguments": {}, "_meta": {"progressToken": 0}});
    let body = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params});
    let mut stream = Stream::of(agent.post(body.to_string()).await);
    let held = gate.held("pending").await;
    let mut last = 0.0;
    for _ in 0..8 {
        gate.pass(10);
        let progress = stream.message().await;
        assert_eq!(progress["method"], "notifications/progress");
        assert_eq!(progress["params"]["progressToken"], 0);
        let value = progress["params"]["progress"].as_f64().unwrap();
        assert!(value > last, "progress only rises");
        last = value;
    }
    gate.decide(&held, Verdict::Reject, "").await;
    assert!(refusal(&stream.message().await).contains("rejected"));
    assert_eq!(stream.next().await, None, "nothing after the answer");
}

#[tokio::test]
async fn cancelled_by_notification_it_never_runs() {
    let gate = Gate::start().await;
    let agent = gate.session("bot").await;
    let mut stream = hold(&agent).await;
    gate.held("pending").await;
    let other = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"1"}}"#;
    assert_eq!(agent.post(other).await.status(), 202);
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    assert_eq!(agent.post(cancel).await.status(), 202);
    assert_eq!(stream.next().await, None, "who took it back hears no more of it");
    gate.held("cancelled").await;
    assert_eq!(gate.upstream.calls("put_user_policy").len(), 0);
    let passed: Vec<_> = gate.upstream.arrived().into_iter().filter(|a| a.body.contains("cancelled")).collect();
    assert_eq!(passed.len(), 1, "only the one that is none of ours goes upstream");
    assert_eq!(passed[0].body, other);
}

#[tokio::test]
async fn left_without_a_word_it_is_parked_until_the_caller_returns() {
    let gate = Gate::start().await;
    let agent = gate.session("bot").await;
    let stream = hold(&agent).await;
    let held = gate.held("pending").await;
    let mut events = gate.approvals.events();
    drop(stream);
    while !gate.store.call(held.submission.id).await.unwrap().unwrap().caller_gone {
        tokio::time::timeout(Duration::from_secs(10), events.recv()).await.unwrap().unwrap();
    }
    gate.decide(&held, Verdict::Approve, "").await;
    assert_eq!(gate.held("approved").await.submission.id, held.submission.id);
    assert_eq!(gate.upstream.calls("put_user_policy").len(), 0);
    assert_eq!(agent.result("put_user_policy", arguments()).await["result"]["content"][0]["text"], "done");
    assert_eq!(gate.upstream.calls("put_user_policy").len(), 1);
}

#[tokio::test]
async fn a_call_id_is_worth_nothing_to_another_agent() {
    let gate = Gate::start().await;
    let (agent, other) = (gate.session("one").await, gate.session("two").await);
    let _stream = hold(&agent).await;
    let id = gate.held("pending").await.submission.id.to_string();
    for call_id in [json!(id), json!("nonsense"), json!(7), Value::Null] {
        let told = other.result("placet_wait", json!({"call_id": call_id})).await;
        assert!(refusal(&told).starts_with("There is no such call"), "{told}");
    }
    assert!(
        refusal(
            &answer(
                other.post(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"placet_wait"}}"#).await
            )
            .await
        )
        .contains("call_id")
    );
}

#[tokio::test]
async fn a_flood_does_not_reach_the_reviewers_and_coming_back_costs_no_quota() {
    let limited = POLICY.replace(
        r#""action": "require_approval","#,
        r#""action": "require_approval", "rate_limit": {"max": 2, "window": 3600},"#,
    );
    let gate = Gate::with(&limited).await;
    let agent = gate.session("bot").await;
    let mut one = hold(&agent).await;
    // Of two calls held in the same millisecond neither is the older one.
    gate.pass(1);
    let two = agent.call("put_user_policy", json!({"n": 1})).await;
    assert_eq!(two.headers()["content-type"], "text/event-stream");
    assert!(refusal(&agent.result("put_user_policy", json!({"n": 2})).await).contains("a limit on such calls"));
    let mut again = hold(&agent).await;
    gate.decide(&gate.held("pending").await, Verdict::Approve, "").await;
    for stream in [&mut one, &mut again] {
        assert_eq!(stream.message().await["result"]["content"][0]["text"], "done");
    }
    assert_eq!(gate.upstream.calls("put_user_policy").len(), 1);
}

#[tokio::test]
async fn an_agent_holds_so_many_calls_at_once() {
    let gate = Gate::start().await;
    let agent = gate.session("bot").await;
    let mut open = Vec::new();
    for n in 0..20 {
        open.push(agent.call("put_user_policy", json!({"n": n})).await);
    }
    let told = agent.result("put_user_policy", json!({"n": 20})).await;
    assert!(refusal(&told).contains("20 of your calls are waiting"), "{told}");
    assert_eq!(agent.call("put_user_policy", json!({"n": 3})).await.headers()["content-type"], "text/event-stream");
}

#[tokio::test]
async fn the_reviewer_is_shown_what_the_policy_wants_read() {
    let context = r#""approval": { "context": [ { "tool": "get_user_policy", "arguments": { "user_name": "$args.user_name" } } ],"#;
    let gate = Gate::with(&POLICY.replace(r#""approval": {"#, context)).await;
    let agent = gate.session("bot").await;
    gate.upstream.on_result("tools/call get_user_policy", r#"{"content":[{"type":"text","text":"old"}]}"#);
    let _stream = hold(&agent).await;
    let held = gate.held("pending").await;
    gate.upstream.until_called("get_user_policy", 1).await;
    let read = loop {
        if let Some(read) = gate.store.call(held.submission.id).await.unwrap().unwrap().context {
            break read;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(read.len(), 1);
    assert_eq!(read[0].tool, "get_user_policy");
    assert_eq!(serde_json::from_str::<Value>(&read[0].arguments).unwrap(), json!({"user_name": "ci"}));
    assert!(read[0].result.as_ref().unwrap().contains("old"));
    assert!(gate.log().await.contains(&"context.read".to_owned()));
}

#[tokio::test]
async fn an_error_of_the_upstreams_is_passed_on_and_a_lost_answer_is_unknown() {
    let gate = Gate::start().await;
    let agent = gate.session("bot").await;
    gate.upstream.on("tools/call put_user_policy", |message| {
        let error = r#"{"code":-32050,"message":"quota","data":[1.0]}"#;
        crate::support::upstream::json_answer(format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, message["id"]))
    });
    let approve = async || gate.decide(&gate.held("pending").await, Verdict::Approve, "").await;
    let asked = async { text(agent.call("put_user_policy", json!({})).await).await };
    let (told, ()) = tokio::join!(asked, approve());
    let error = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32050,"message":"quota","data":[1.0]}}"#;
    assert_eq!(told, error);

    gate.upstream.on("tools/call put_user_policy", |_| {
        use axum::response::IntoResponse as _;
        ([("content-type", "text/event-stream")], "").into_response()
    });
    let (told, ()) = tokio::join!(agent.result("put_user_policy", json!({"n": 2})), approve());
    assert!(refusal(&told).starts_with("This call may have run"), "{told}");
    assert_eq!(meta(&told)["disposition"], "outcome-unknown");
    assert_eq!(gate.upstream.calls("put_user_policy").len(), 2);
}
