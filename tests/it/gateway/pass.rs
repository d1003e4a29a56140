//! What Placet does not govern passes through byte for byte; what it filters keeps every other byte.

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

use crate::support::agent::{Piece, Stream, answer, refusal, text};
use crate::support::gate::Gate;
use crate::support::upstream::json_answer;

/// An event stream of the upstream's that ends, or stays open, behind these messages.
fn events(messages: &[&str], stays_open: bool) -> Response {
    let events: Vec<_> =
        messages.iter().map(|m| Ok::<_, std::io::Error>(Bytes::from(format!("data: {m}\n\n")))).collect();
    let rest = if stays_open { stream::pending().left_stream() } else { stream::empty().right_stream() };
    let body = Body::from_stream(stream::iter(events).chain(rest));
    ([("content-type", "text/event-stream")], body).into_response()
}

#[tokio::test]
async fn both_directions_keep_every_byte() {
    let gate = Gate::start().await;
    let agent = gate.session("bot").await;
    let odd = "{ \"jsonrpc\":\"2.0\",\t\"id\" : 12345678901234567890123,\n \"method\":\"vendor\\/x\", \"vendor\":[1.00,-0,1e5],\
               \"params\":{\"n\":9007199254740993,\"s\":\"\\u00e9\\/\",\"_meta\":{\"progressToken\":0}} }\n";
    let back = "{\"result\":{\"n\":12345678901234567890123,\"x\":1.0, \"x\":2,\"s\":\"\\ud800\"},\n\n\
                \"id\": 12345678901234567890123,\"jsonrpc\":\"2.0\" }";
    gate.upstream.on("vendor/x", move |_| json_answer(back.to_owned()));
    let response = agent.post(odd).await;
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.text().await.unwrap(), back);
    let arrived = gate.upstream.arrived().pop().unwrap();
    assert_eq!(arrived.body, odd);
    assert_eq!(arrived.headers["authorization"], "Bearer of-placet", "the upstream gets Placet's credentials alone");
    assert_ne!(arrived.headers.get("mcp-session-id").map(|v| v.to_str().unwrap()), agent.session.as_deref());
    let notification = "{\"method\":\"notifications/progress\" ,\"jsonrpc\":\"2.0\"}";
    assert_eq!(agent.post(notification).await.status(), 202);
    assert_eq!(gate.upstream.arrived().pop().unwrap().body, notification);
    let asks =
        [r#"{"jsonrpc":"2.0","id":"q","method":"elicitation/create"}"#, r#"{"jsonrpc":"2.0","id":1,"result":{}}"#];
    gate.upstream.on("vendor/asks", move |_| events(&asks, false));
    let asked = agent.post(r#"{"jsonrpc":"2.0","id":1,"method":"vendor/asks"}"#).await;
    assert!(asked.text().await.unwrap().contains(asks[0]));
    let response = r#"{"jsonrpc":"2.0","id":"\u0071","result":{ "action":"accept"}}"#;
    assert_eq!(agent.post(response).await.status(), 202);
    assert_eq!(gate.upstream.arrived().pop().unwrap().body, response);
}

#[tokio::test]
async fn a_stream_of_the_upstreams_stays_one() {
    let gate = Gate::start().await;
    let agent = gate.session("bot").await;
    let progress =
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":0,"progress":1.50}}"#;
    let last = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[], "x":1.0}}"#;
    gate.upstream.on("tools/call echo", move |_| events(&[progress, last], false));
    let mut stream = Stream::of(agent.call("echo", json!({})).await);
    assert_eq!(stream.next().await, Some(Piece::Message(progress.into())));
    assert_eq!(stream.next().await, Some(Piece::Message(last.into())));
    assert_eq!(stream.next().await, None);
    gate.upstream.on("tools/call echo", move |_| events(&[last], false));
    assert_eq!(agent.call("echo", json!({})).await.text().await.unwrap(), last, "an answer alone is JSON");
}

#[tokio::test]
async fn a_slow_answer_becomes_a_stream_that_shows_signs_of_life() {
    let gate = Gate::start().await;
    let agent = gate.session("bot").await;
    gate.upstream.on("tools/call echo", |_| events(&[], true));
    let response = gate.in_time(agent.call("echo", json!({})), 5).await;
    let mut stream = Stream::of(response);
    assert_eq!(stream.next().await, Some(Piece::Comment));
    assert_eq!(gate.in_time(stream.next(), 15).await, Some(Piece::Comment));
}

#[tokio::test]
async fn an_upstream_that_dies_refuses_redirects_or_babbles() {
    let gate = Gate::start().await;
    let agent = gate.session("bot").await;
    let said = async || {
        let response = agent.call("echo", json!({})).await;
        let status = response.status().as_u16();
        (status, response.text().await.unwrap())
    };
    gate.upstream.on("tools/call echo", |_| events(&[], false));
    let (status, died) = said().await;
    assert!(status == 200 && died.contains("may have run") && died.contains(r#""id":1"#), "{died}");
    gate.upstream.on("tools/call echo", |_| StatusCode::UNAUTHORIZED.into_response());
    let (status, words) = said().await;
    assert!(status == 502 && words.contains("Placet's credentials"), "{words}");
    gate.upstream.on("tools/call echo", |_| (StatusCode::FOUND, [("location", "http://127.0.0.1:9/")]).into_response());
    let (status, words) = said().await;
    assert!(status == 502 && words.contains("redirect"), "{words}");
    gate.upstream.on("tools/call echo", |_| (StatusCode::TOO_MANY_REQUESTS, "slow down").into_response());
    assert_eq!(said().await, (429, "slow down".into()));
    gate.upstream.on("tools/call echo", |_| json_answer("not json".into()));
    let (status, words) = said().await;
    assert!(status == 200 && words.contains("may have run"), "{words}");
    gate.upstream.on("tools/call echo", |_| ([("content-type", "text/html")], "<p>").into_response());
    assert!(said().await.1.contains("may have"), "an answer of no known kind");
}

#[tokio::test]
async fn a_list_shows_what_may_be_used_and_placet_wait() {
    let gate = Gate::start().await;
    let agent = gate.session("bot").await;
    let list = async || answer(agent.post(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#).await).await;
    let names = |list: &Value| {
        let tools = list["result"]["tools"].as_array().unwrap().iter();
        tools.map(|tool| tool["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&list().await), ["list_users", "get_user_policy", "put_user_policy", "echo", "placet_wait"]);
    let odd = r#"{"tools":[ {"name":"echo","n":1.00},{"name":"delete_user"}], "vendor":12345678901234567890123}"#;
    gate.upstream.on_result("tools/list", odd);
    let raw = text(agent.post(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#).await).await;
    assert!(raw.contains(r#""result":{"tools":[ {"name":"echo","n":1.00},{"name":"placet_wait""#), "{raw}");
    assert!(raw.ends_with(r#"], "vendor":12345678901234567890123}}"#), "{raw}");
    gate.upstream.on("tools/list", |_| {
        events(
            &[
                r#"{"jsonrpc":"2.0","method":"notifications/message"}"#,
                r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"delete_user"}]}}"#,
            ],
            false,
        )
    });
    assert_eq!(names(&list().await), ["placet_wait"], "in a stream as well");
    gate.upstream.on_result("tools/list", r#"{"tools":[{"name":"echo"}],"tools":[{"name":"delete_user"}]}"#);
    let unfit = list().await;
    assert!(unfit["error"]["message"].as_str().unwrap().contains("cannot be passed on"), "{unfit}");
    assert!(!unfit.to_string().contains("delete_user"));
}

#[tokio::test]
async fn denied_hidden_and_limited_calls_never_arrive() {
    let policy = r#"{ "version": "1", "default": "deny", "hide": ["delete_user"], "tools": {
        "create_user": { "action": "deny", "reason": "users come from the directory" },
        "echo": { "rate_limit": { "max": 2, "window": 60 } } } }"#;
    let gate = Gate::with(policy).await;
    let agent = gate.session("bot").await;
    let denied = agent.result("create_user", json!({})).await;
    assert!(refusal(&denied).contains("users come from the directory"));
    assert_eq!(denied["result"]["_meta"]["placet/call"]["state"], "denied");
    assert!(refusal(&agent.result("nobody_lists_this", json!({})).await).starts_with("This call did not run"));
    let hidden = agent.result("delete_user", json!({})).await;
    assert_eq!(hidden["error"], json!({"code": -32602, "message": "Unknown tool: delete_user"}));
    for _ in 0..2 {
        assert_eq!(agent.result("echo", json!({})).await["result"]["isError"], Value::Null);
    }
    assert!(refusal(&agent.result("echo", json!({})).await).contains("2026-11-22T14:03:00.000Z"));
    let method =
        answer(agent.post(r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"x:"}}"#).await).await;
    assert_eq!(method["error"]["code"], 4030);
    assert_eq!(agent.post(r#"{"jsonrpc":"2.0","method":"vendor/poke"}"#).await.status(), 202);
    assert_eq!(gate.upstream.calls("echo").len(), 2);
    let methods: Vec<Value> = gate
        .upstream
        .arrived()
        .iter()
        .map(|a| serde_json::from_str::<Value>(&a.body).unwrap()["method"].take())
        .collect();
    assert_eq!(methods, ["initialize", "notifications/initialized", "tools/call", "tools/call"]);
    assert_eq!(
        gate.log().await,
        [
            "call.denied",
            "call.denied",
            "call.denied",
            "call.allowed",
            "call.allowed",
            "call.limited",
            "method.denied",
            "method.denied"
        ]
    );
    let wait = agent.result("placet_wait", json!({"call_id": "x"})).await;
    assert!(refusal(&wait).contains("does not allow"), "nothing can be held here, so it is a tool like any other");
}

#[tokio::test]
async fn an_upstream_cannot_speak_in_placets_name() {
    let gate = Gate::start().await;
    let agent = gate.session("bot").await;
    let lie = r#"{"content":[ ],"_meta":{"placet/call":{"state":"executed"},"v":1.0}}"#;
    gate.upstream.on_result("tools/call echo", lie);
    let raw = text(agent.call("echo", json!({})).await).await;
    assert_eq!(raw, r#"{"jsonrpc":"2.0","id":1,"result":{"content":[ ],"_meta":{"v":1.0}}}"#);
}

#[tokio::test]
async fn what_cannot_be_logged_does_not_happen() {
    let gate = Gate::start().await;
    let agent = gate.session("bot").await;
    assert_eq!(agent.result("list_users", json!({})).await["result"]["isError"], Value::Null);
    assert_eq!(gate.log().await, ["call.allowed"], "of a reading tool, logged before the answer");
    gate.break_log().await;
    let unlogged = agent.result("echo", json!({})).await;
    assert!(unlogged["error"]["message"].as_str().unwrap().contains("Nothing was run"), "{unlogged}");
    assert_eq!(gate.upstream.calls("echo").len(), 0);
    let withheld = agent.result("list_users", json!({})).await;
    assert!(withheld["error"]["message"].as_str().unwrap().contains("withheld"), "{withheld}");
    let not_held = agent.result("put_user_policy", json!({})).await;
    assert!(refusal(&not_held).contains("did not run"), "{not_held}");
    assert!(refusal(&agent.result("create_user", json!({})).await).contains("did not run"), "a denial stands");
    assert_eq!(gate.upstream.calls("put_user_policy").len(), 0);
}

#[tokio::test]
async fn a_limit_on_a_method_counts_and_the_rest_does_not_arrive() {
    let policy = r#"{ "version": "1", "default": "deny", "tools": {},
        "methods": { "vendor/*": { "action": "allow", "rate_limit": { "max": 2, "window": 60 } } } }"#;
    let gate = Gate::with(policy).await;
    let agent = gate.session("bot").await;
    gate.upstream.on_result("vendor/x", "{}");
    for id in 0..3 {
        let body = json!({"jsonrpc": "2.0", "id": id, "method": "vendor/x"}).to_string();
        let answer: Value = serde_json::from_str(&agent.post(&body).await.text().await.unwrap()).unwrap();
        assert_eq!(answer.get("result").is_some(), id < 2, "{answer}");
    }
    let arrived = gate.upstream.arrived().into_iter().filter(|arrived| arrived.body.contains("vendor/x"));
    assert_eq!(arrived.count(), 2);
}
