//! Whatever a client sends wrong is refused with words that help, and nothing of it reaches the upstream.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::agent::{Agent, call};
use crate::support::gate::{Gate, POLICY};
use crate::support::upstream::Upstream;
use placet::call::{AgentName, UpstreamName};

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

/// Status and message of the error that this body gets.
async fn refused(agent: &Agent, body: impl Into<String>) -> (u16, i64, String) {
    let response = agent.post(body).await;
    let status = response.status().as_u16();
    let error: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    (status, error["error"]["code"].as_i64().unwrap(), error["error"]["message"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn who_may_not_ask_is_told_why() {
    let gate = Gate::start().await;
    let agent = gate.session("bot").await;
    let before = gate.upstream.arrived().len();
    let post = |token: Option<&str>, header: (&'static str, &'static str)| {
        let mut request = agent.bare(Method::POST).header("content-type", "application/json").body(PING);
        request = request.header("accept", "*/*").header("mcp-session-id", agent.session.as_deref().unwrap());
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        request.header(header.0, header.1).send()
    };
    let nothing = ("x-nothing", "");
    let missing = post(None, nothing).await.unwrap();
    assert_eq!(missing.status(), 401);
    assert_eq!(missing.headers()["www-authenticate"], r#"Bearer realm="placet""#);
    assert!(missing.text().await.unwrap().contains("placet agent add"));
    assert_eq!(post(Some("nonsense"), nothing).await.unwrap().status(), 401);
    let token = Some(agent.token.as_str());
    assert_eq!(post(token, nothing).await.unwrap().status(), 200);
    assert_eq!(post(token, ("host", "evil.example")).await.unwrap().status(), 403);
    assert_eq!(post(token, ("host", "placet.example.com")).await.unwrap().status(), 200);
    assert_eq!(post(token, ("origin", "https://evil.example")).await.unwrap().status(), 403);
    assert_eq!(post(token, ("origin", "https://placet.example.com")).await.unwrap().status(), 200);
    gate.identity.agent_revoke(AgentName::new("bot").unwrap()).await.unwrap();
    let revoked = post(token, nothing).await.unwrap();
    assert_eq!(revoked.status(), 401);
    assert!(revoked.text().await.unwrap().contains("revoked"));
    assert_eq!(gate.upstream.arrived().len(), before + 3);
}

#[tokio::test]
async fn an_upstream_is_named_and_granted_or_there_is_none() {
    let gate = Gate::serving(POLICY, Upstream::start().await, &["iam", "eks"]).await;
    let mut agent = gate.agent_for("bot", vec![UpstreamName::new("eks").unwrap()]).await;
    assert_eq!(refused(&agent, PING).await.0, 403);
    for path in ["/mcp", "/mcp/nowhere", "/mcp/a%20b"] {
        agent.url = format!("{}{path}", gate.url);
        let (status, _, message) = refused(&agent, PING).await;
        assert_eq!(status, 404, "{path}");
        assert!(!message.contains("iam") && !message.contains("eks"), "{message}");
    }
    agent.url = format!("{}/mcp/eks", gate.url);
    agent.initialize("2025-11-25").await;
    let single = Gate::start().await;
    let mut agent = single.agent("bot").await;
    agent.url = format!("{}/mcp", single.url);
    agent.initialize("2025-11-25").await;
}

#[tokio::test]
async fn http_that_does_not_fit() {
    let gate = Gate::start().await;
    let agent = gate.session("bot").await;
    let before = gate.upstream.arrived().len();
    let mut without = agent.clone();
    without.version = None;
    let agent = without;
    let (json, both) = ("application/json", "application/json, text/event-stream");
    let put = agent.request(Method::PUT).body(PING).send().await.unwrap();
    assert_eq!((put.status().as_u16(), put.headers()["allow"].to_str().unwrap()), (405, "POST, GET, DELETE"));
    let post = async |content: &str, accept: &str, version: &str| {
        let request = agent.request(Method::POST).header("content-type", content).header("accept", accept);
        request.header("mcp-protocol-version", version).body(PING).send().await.unwrap().status().as_u16()
    };
    assert_eq!(post("text/plain", both, "2025-11-25").await, 415);
    assert_eq!(post(json, "application/json", "2025-11-25").await, 406);
    assert_eq!(post(json, both, "1900-01-01").await, 400);
    assert_eq!(post(json, both, "2025-06-18").await, 200);
    assert_eq!(gate.upstream.arrived().len(), before + 1);
}

#[tokio::test]
async fn bodies_that_two_readers_could_read_differently() {
    let gate = Gate::start().await;
    let agent = gate.session("bot").await;
    let before = gate.upstream.arrived().len();
    let deep =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":{{"a":{}{}}}}}"#, "[".repeat(64), "]".repeat(64));
    for (body, status, code, says) in [
        ("", 400, -32700, "empty"),
        ("{", 400, -32700, "at byte 1"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping"} x"#, 400, -32700, "follows"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}"#, 400, -32600, "occurs twice"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","\u006dethod":"tools/call"}"#, 400, -32600, "occurs twice"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}"#, 400, -32600, "could be taken"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"\ud800"}}"#, 400, -32600, "surrogate"),
        (deep.as_str(), 400, -32600, "deeper"),
        (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, 400, -32600, "must be"),
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, 400, -32600, "id must be"),
        (r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"echo"}}"#, 400, -32600, "needs an id"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#, 200, -32602, "name"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":7}}"#, 200, -32602, "name"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","NAME":"x"}}"#, 400, -32600, "taken"),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":[]}}"#,
            200,
            -32602,
            "object",
        ),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":""}}"#, 200, -32602, "Unknown tool"),
        ("[]", 400, -32600, "2025-03-26"),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, 400, -32600, "2025-03-26"),
    ] {
        let (got, its_code, message) = refused(&agent, body).await;
        assert_eq!((got, its_code), (status, code), "{body}: {message}");
        assert!(message.contains(says), "{body}: {message}");
    }
    let latin1 = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"p\xefng\"}".to_vec();
    let request = agent.request(Method::POST).header("content-type", "application/json");
    let response = request.header("accept", "*/*").body(latin1).send().await.unwrap();
    assert_eq!(response.status(), 400);
    assert!(response.text().await.unwrap().contains("UTF-8"));
    assert_eq!(gate.upstream.arrived().len(), before, "something reached the upstream");
}

#[tokio::test]
async fn too_much_is_too_much() {
    let gate = Gate::start().await;
    let agent = gate.session("bot").await;
    let before = gate.upstream.arrived().len();
    let mib = 1 << 20;
    let largest = json!({ "a": "x".repeat(mib - 8) });
    assert_eq!(largest.to_string().len(), mib);
    assert_eq!(agent.call("echo", largest).await.status(), 200);
    let (status, _, message) = refused(&agent, call(1, "echo", &json!({ "a": "x".repeat(mib - 7) }))).await;
    assert_eq!((status, message.contains("1048576")), (413, true), "{message}");
    assert_eq!(refused(&agent, call(1, "put_user_policy", &json!({ "a": "x".repeat(2 * mib) }))).await.0, 413);
    assert_eq!(gate.upstream.arrived().len(), before + 1);
}
