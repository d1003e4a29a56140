//! The era of 2026-07-28 on the same endpoint.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::agent::{Agent, Piece, Stream, answer, refusal};
use crate::support::gate::Gate;
use placet::call::Verdict;

const DISCOVERED: &str = r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{}}"#;

async fn modern() -> (Gate, Agent) {
    let gate = Gate::start().await;
    gate.upstream.on_result("server/discover", DISCOVERED);
    let agent = gate.agent("bot").await;
    (gate, agent)
}

#[tokio::test]
async fn a_request_needs_no_session_and_gets_no_session() {
    let (gate, mut agent) = modern().await;
    agent.session = Some("ignored".into());
    let response = agent.stateless("tools/call", json!({"name": "echo", "arguments": {"n": 1}})).await;
    assert!(response.headers().get("mcp-session-id").is_none());
    assert_eq!(answer(response).await["result"]["content"][0]["text"], "done");
    let arrived = gate.upstream.arrived().pop().unwrap();
    assert_eq!(arrived.headers["mcp-method"], "tools/call");
    assert_eq!(arrived.headers["mcp-name"], "echo");
    assert_eq!(arrived.headers["mcp-protocol-version"], "2026-07-28");
    assert!(arrived.headers.get("mcp-session-id").is_none());
}

#[tokio::test]
async fn headers_and_body_must_agree() {
    let (gate, agent) = modern().await;
    answer(agent.stateless("ping", json!({})).await).await;
    let before = gate.upstream.arrived().len();
    let meta = |version: &str| {
        format!(
            r#""_meta":{{"io.modelcontextprotocol/protocolVersion":"{version}","io.modelcontextprotocol/clientCapabilities":{{}}}}"#
        )
    };
    let post = async |version: Option<&str>, method: Option<&str>, body: String| {
        let mut request =
            agent.request(Method::POST).header("content-type", "application/json").header("accept", "*/*");
        for (name, value) in [("mcp-protocol-version", version), ("mcp-method", method)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        let response = request.body(body).send().await.unwrap();
        let status = response.status().as_u16();
        let error: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        assert_eq!(error["id"], 1);
        (status, error["error"]["code"].as_i64().unwrap(), error["error"]["data"].clone())
    };
    let body =
        |version: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{{}}}}}"#, meta(version));
    let (now, list) = (Some("2026-07-28"), Some("tools/list"));
    assert_eq!(post(None, list, body("2026-07-28")).await.1, -32020);
    assert_eq!(post(Some("2025-11-25"), list, body("2026-07-28")).await.1, -32020);
    assert_eq!(post(now, None, body("2026-07-28")).await.1, -32020);
    assert_eq!(post(now, Some("ping"), body("2026-07-28")).await.1, -32020);
    assert_eq!(post(now, list, r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#.into()).await.1, -32602);
    let (status, code, data) = post(Some("1900-01-01"), list, body("1900-01-01")).await;
    assert_eq!((status, code), (400, -32022));
    assert_eq!(
        data,
        json!({"supported": ["2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26"], "requested": "1900-01-01"})
    );
    assert_eq!(gate.upstream.arrived().len(), before);
}

#[tokio::test]
async fn get_delete_and_batches_are_not_of_this_era() {
    let (_gate, mut agent) = modern().await;
    agent.version = Some("2026-07-28".into());
    for method in [Method::GET, Method::DELETE] {
        let response = agent.request(method).header("accept", "text/event-stream").send().await.unwrap();
        assert_eq!(response.status(), 405);
    }
    assert_eq!(agent.post("[]").await.status(), 400);
    assert_eq!(agent.post(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).await.status(), 400);
}

#[tokio::test]
async fn a_probe_of_an_old_server_falls_back() {
    let gate = Gate::start().await;
    let mut agent = gate.agent("bot").await;
    let response = agent.stateless("server/discover", json!({})).await;
    assert_eq!(response.status(), 400);
    let words = response.text().await.unwrap();
    assert!(!words.contains("jsonrpc") && words.contains("initialize"), "{words}");
    agent.initialize("2025-11-25").await;
}

#[tokio::test]
async fn errors_have_the_status_that_the_era_asks_for() {
    let (gate, agent) = modern().await;
    let unknown = agent.stateless("vendor/none", json!({})).await;
    assert_eq!(unknown.status(), 404);
    gate.upstream.on_result(
        "tools/list",
        r#"{"tools":[{"name":"delete_user"},{"name":"echo"}],"cacheScope":"public","ttlMs":5}"#,
    );
    let list = answer(agent.stateless("tools/list", json!({})).await).await;
    assert_eq!(list["result"]["cacheScope"], "private");
    assert_eq!(list["result"]["tools"][0]["name"], "echo");
}

#[tokio::test]
async fn a_held_call_is_approved_and_its_result_comes_back() {
    let (gate, agent) = modern().await;
    let call = json!({"name": "put_user_policy", "arguments": {"n": 1}});
    let mut stream = Stream::of(agent.stateless("tools/call", call.clone()).await);
    let held = gate.held("pending").await;
    gate.decide(&held, Verdict::Approve, "").await;
    let result = stream.message().await;
    assert_eq!(result["result"]["content"][0]["text"], "done");
    assert_eq!(result["result"]["_meta"]["placet/call"]["disposition"], "approved-executed");
    assert_eq!(gate.upstream.calls("put_user_policy").len(), 1);
    let again = answer(agent.stateless("tools/call", call).await).await;
    assert_eq!(again["result"]["content"][0]["text"], "done");
    assert_eq!(gate.upstream.calls("put_user_policy").len(), 1, "it never runs twice for one approval");
}

#[tokio::test]
async fn closing_the_stream_takes_the_call_back() {
    let (gate, agent) = modern().await;
    let call = json!({"name": "put_user_policy", "arguments": {}});
    let mut stream = Stream::of(agent.stateless("tools/call", call).await);
    assert_eq!(stream.next().await, Some(Piece::Comment));
    gate.held("pending").await;
    drop(stream);
    let cancelled = gate.held("cancelled").await;
    assert_eq!(gate.upstream.calls("put_user_policy").len(), 0);
    assert_eq!(cancelled.state.name(), "cancelled");
}

#[tokio::test]
async fn denials_are_complete_results() {
    let (_gate, agent) = modern().await;
    let denied = answer(agent.stateless("tools/call", json!({"name": "create_user"})).await).await;
    assert_eq!(denied["result"]["resultType"], "complete");
    assert!(refusal(&denied).starts_with("This call did not run"));
}
