//! The same through a child process as upstream.

use serde_json::{Value, json};

use crate::support::agent::{Stream, answer};
use crate::support::gate::Gate;

#[tokio::test]
async fn a_process_may_ask_the_agent_in_the_middle_of_a_call() {
    let gate = Gate::process("both").await;
    let agent = gate.session("bot").await;
    let mut stream = Stream::of(agent.call("ask", json!({"method": "elicitation/create"})).await);
    let question = stream.message().await;
    assert_eq!(question["method"], "elicitation/create");
    let told = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{ "action":"accept"}}}}"#, question["id"]);
    assert_eq!(agent.post(told.clone()).await.status(), 202);
    assert_eq!(stream.message().await["result"]["told"], told);
    assert_eq!(stream.next().await, None);
}

#[tokio::test]
async fn a_process_that_dies_ends_the_session_and_says_what_may_have_happened() {
    let gate = Gate::process("legacy").await;
    let agent = gate.session("bot").await;
    let died = answer(agent.call("die", json!({})).await).await;
    assert!(died["error"]["message"].as_str().unwrap().contains("may have run"), "{died}");
    assert_eq!(agent.call("echo", json!({})).await.status(), 404, "initialize again");
    let mut agent = agent;
    (agent.session, agent.version) = (None, None);
    agent.initialize("2025-11-25").await;
    assert!(answer(agent.call("echo", json!({})).await).await["result"]["line"].is_string());
}

#[tokio::test]
async fn bytes_pass_through_a_process_too() {
    let gate = Gate::process("legacy").await;
    let agent = gate.session("bot").await;
    let exact =
        r#"{ "id" : 1, "result": {"n": 12345678901234567890123, "n": 1.0, "s": "\ud800"}, "jsonrpc":"2.0", "x":[] } "#;
    let raw = agent.call("exact", json!({})).await.text().await.unwrap();
    assert_eq!(raw.trim_end(), exact.trim_end());
    let body = "{\"jsonrpc\":\"2.0\",\n \"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"echo\"}}";
    let echoed = answer(agent.post(body).await).await;
    assert_eq!(echoed["result"]["line"], body.replace('\n', " "), "one line, and nothing else changed");
}

#[tokio::test]
async fn closing_a_stateless_request_tells_the_process() {
    let gate = Gate::process("modern").await;
    let agent = gate.agent("bot").await;
    let seen = async || {
        // Under another id: the first one stays taken in this process, as its answer may still come.
        let call = agent.stateless_as(2, "tools/call", json!({"name": "seen"}));
        answer(call.await).await["result"].clone()
    };
    assert_eq!(seen().await, json!([]));
    let stream = gate.in_time(agent.stateless("tools/call", json!({"name": "hang"})), 1).await;
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    drop(stream);
    let mut told = Value::Null;
    for _ in 0..500 {
        let seen = seen().await;
        if let Some(line) = seen.as_array().unwrap().first() {
            told = serde_json::from_str(line.as_str().unwrap()).unwrap();
            break;
        }
    }
    assert_eq!((&told["method"], &told["params"]["requestId"]), (&json!("notifications/cancelled"), &json!(1)));
}

#[tokio::test]
async fn a_server_of_the_new_era_alone_says_so_to_an_old_client() {
    let gate = Gate::process("modern").await;
    let agent = gate.agent("bot").await;
    let body = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}"#;
    let response = agent.post(body).await;
    assert!(response.headers().get("mcp-session-id").is_none());
    let refusal: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    assert!(refusal["error"]["code"].is_i64(), "{refusal}");
}
