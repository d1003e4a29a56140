//! A malicious agent with a valid token.

use std::time::Duration;

use axum::body::Body;
use axum::response::IntoResponse as _;
use futures_util::future::join_all;
use futures_util::{StreamExt as _, stream};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::agent::{Agent, Piece, Stream, answer, call, text};
use crate::support::gate::Gate;
use placet::call::Verdict;

const WRITES: &str = r#""name":"put_user_policy","arguments":{}"#;

/// Bodies that arrived since `before`, `tools/call` in any disguise among them.
fn since(gate: &Gate, before: usize) -> Vec<String> {
    gate.upstream.arrived().into_iter().skip(before).map(|arrived| arrived.body).collect()
}

#[tokio::test]
async fn a_call_in_disguise_reaches_nobody() {
    // Everything that is not a call is allowed here: the worst policy for this.
    let policy = r#"{ "version": "1", "default": "allow", "methods": { "*": { "action": "allow" } },
        "tools": { "put_user_policy": { "action": "require_approval" } } }"#;
    let gate = Gate::with(policy).await;
    gate.upstream.on_result(
        "server/discover",
        r#"{"resultType":"complete","supportedVersions":["2026-07-28","2025-11-25"],"capabilities":{}}"#,
    );
    let agent = gate.session("bot").await;
    let mut stateless = agent.clone();
    (stateless.session, stateless.version) = (None, Some("2026-07-28".into()));
    let before = gate.upstream.arrived().len();
    let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
    for method in [
        "tools/call",
        "Tools/Call",
        "TOOLS/CALL",
        " tools/call",
        "tools/call ",
        "tools/call\\n",
        "\\u0000tools/call",
        "tools\\u200b/call",
        "tools/call\\ufeff",
        "tool\\u017f/call",
        "tools/ call",
    ] {
        for body in [
            format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{{{WRITES}}}}}"#),
            format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{{{WRITES},{meta}}}}}"#),
        ] {
            for sender in [&agent, &stateless] {
                let status = sender.post(body.clone()).await.status();
                assert!(status.is_client_error(), "{status} for {body}");
            }
        }
        if method != "tools/call" {
            let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{WRITES}}}}}"#);
            assert_eq!(agent.post(body).await.status(), 400, "{method}");
        }
    }
    assert_eq!(since(&gate, before).iter().filter(|body| body.contains("put_user")).count(), 0);
    assert_eq!(gate.upstream.calls("put_user_policy").len(), 0);
}

#[tokio::test]
async fn ids_of_every_form() {
    let gate = Gate::start().await;
    let agent = gate.session("bot").await;
    let long = format!("\"{}\"", "x".repeat(100_000));
    for (n, id) in ["0", "-0", "\"\"", "1e400", "1.0", "12345678901234567890123", r#""\u0000""#, "\"\\\"\"", &long]
        .into_iter()
        .enumerate()
    {
        let params = format!(r#"{{"name":"put_user_policy","arguments":{{"n":{n}}}}}"#);
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{params}}}"#);
        let mut held = Stream::of(agent.post(body).await);
        let call = gate.held("pending").await;
        gate.decide(&call, Verdict::Reject, "no").await;
        held.next().await;
        let Some(Piece::Message(said)) = held.next().await else { panic!("no answer to {id}") };
        assert!(said.starts_with(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"#)), "{said}");
    }
    let before = gate.upstream.arrived().len();
    for id in ["null", "true", "[]", "{}", "[[[[1]]]]", "01", "1e", "NaN"] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{{WRITES}}}}}"#);
        assert_eq!(agent.post(body).await.status(), 400, "{id}");
    }
    assert_eq!(gate.upstream.arrived().len(), before);
    assert_eq!(gate.store.pending_count().await.unwrap(), 0);
}

#[tokio::test]
async fn two_requests_of_one_id_get_each_its_own_answer() {
    let gate = Gate::start().await;
    gate.upstream.on("tools/call put_user_policy", |message| {
        let n = &message["params"]["arguments"]["n"];
        let result = json!({"content": [], "structuredContent": {"n": n}});
        axum::Json(json!({"jsonrpc": "2.0", "id": message["id"], "result": result})).into_response()
    });
    let agent = gate.session("bot").await;
    let first = agent.call("put_user_policy", json!({"n": 1})).await;
    let second = agent.call("put_user_policy", json!({"n": 2})).await;
    for _ in 0..2 {
        let call = gate.held("pending").await;
        gate.decide(&call, Verdict::Approve, "").await;
    }
    assert_eq!(answer(first).await["result"]["structuredContent"]["n"], 1);
    assert_eq!(answer(second).await["result"]["structuredContent"]["n"], 2);
}

#[tokio::test]
async fn what_one_agent_takes_back_is_its_own() {
    let gate = Gate::start().await;
    let (victim, thief) = (gate.session("victim").await, gate.session("thief").await);
    let _waits = Stream::of(victim.call("put_user_policy", json!({})).await);
    let call = gate.held("pending").await;
    let cancel =
        |id: &str| format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#);
    let own = format!("\"placet-{}\"", call.submission.id);
    for id in ["1", own.as_str(), "null", "{}"] {
        assert_eq!(thief.post(cancel(id)).await.status(), 202);
    }
    let mut hijacked = thief.clone();
    hijacked.session = victim.session.clone();
    assert_eq!(hijacked.post(cancel("1")).await.status(), 404);
    assert_eq!(hijacked.request(Method::DELETE).send().await.unwrap().status(), 404);
    assert_eq!(gate.held("pending").await.submission.id, call.submission.id);
}

#[tokio::test]
async fn two_hundred_at_once_are_one_call_and_one_execution() {
    let gate = Gate::start().await;
    let (one, other) = {
        let agent = gate.session("bot").await;
        let mut other = agent.clone();
        other.initialize("2025-06-18").await;
        (agent, other)
    };
    let spellings = [r#"{"a":1,"b":"é"}"#, r#"{ "b":"\u00e9", "a":1 }"#];
    let begin = |n: usize| {
        let agent: &Agent = if n.is_multiple_of(2) { &one } else { &other };
        let arguments = spellings[n % 3 % 2];
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{n},"method":"tools/call","params":{{"name":"put_user_policy","arguments":{arguments}}}}}"#
        );
        agent.post(body)
    };
    let waiting = join_all((0..200).map(begin)).await;
    assert_eq!(gate.store.pending_count().await.unwrap(), 1);
    let call = gate.held("pending").await;
    gate.decide(&call, Verdict::Approve, "").await;
    for (n, response) in waiting.into_iter().enumerate() {
        let answer = answer(response).await;
        assert_eq!(answer["id"], n);
        assert_eq!(answer["result"]["content"][0]["text"], "done", "{answer}");
    }
    let sent = gate.upstream.calls("put_user_policy");
    assert_eq!(sent.len(), 1);
    assert!(sent[0].contains(call.submission.arguments()), "the bytes that were shown");
}

/// While an approved call runs its server may ask back; Placet answers for the agent, so that nobody steers after the
/// approval what was approved before.
#[tokio::test]
async fn nobody_answers_a_question_that_was_kept_from_the_agent() {
    let gate = Gate::start().await;
    let agent = gate.session("bot").await;
    let (asks, asked) = (
        r#"{"jsonrpc":"2.0","id":7,"method":"elicitation/create","params":{"message":"really?"}}"#,
        r#"{"jsonrpc":"2.0","id":8,"method":"roots/list"}"#,
    );
    gate.upstream.on("tools/call put_user_policy", move |_| {
        let said = stream::iter([Ok::<_, std::io::Error>(format!("data: {asks}\n\n"))]).chain(stream::pending());
        ([("content-type", "text/event-stream")], Body::from_stream(said)).into_response()
    });
    gate.upstream.on("tools/call echo", move |message| {
        let answer = json!({"jsonrpc": "2.0", "id": message["id"], "result": {"content": []}});
        ([("content-type", "text/event-stream")], format!("data: {asked}\n\ndata: {answer}\n\n")).into_response()
    });
    let _waits = Stream::of(agent.call("put_user_policy", json!({})).await);
    let before = gate.upstream.arrived().len();
    let accepts =
        |id: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"action":"accept","content":{{"all":true}}}}}}"#);
    for id in ["7", "\"7\"", "0", "8", "7.0", "\"placet\""] {
        assert_eq!(agent.post(accepts(id)).await.status(), 400, "before the approval: {id}");
    }
    gate.decide(&gate.held("pending").await, Verdict::Approve, "").await;
    gate.upstream.until_called("put_user_policy", 1).await;
    for _ in 0..20 {
        assert_eq!(agent.post(accepts("7")).await.status(), 400);
    }
    assert!(since(&gate, before).iter().all(|body| !body.contains("accept")), "{:?}", since(&gate, before));
    // What the agent itself was asked it answers, once.
    let heard = agent.call("echo", json!({})).await.text().await.unwrap();
    assert!(heard.contains("roots/list"), "{heard}");
    let roots = r#"{"jsonrpc":"2.0","id":8,"result":{"roots":[]}}"#;
    assert_eq!(agent.post(roots).await.status(), 202);
    assert_eq!(agent.post(roots).await.status(), 400);
    assert_eq!(since(&gate, before).iter().filter(|body| *body == roots).count(), 1);
}

#[tokio::test]
async fn headers_that_nobody_checked_do_not_go_upstream() {
    let gate = Gate::start().await;
    let agent = gate.session("bot").await;
    let request = agent.request(Method::POST).header("content-type", "application/json").header("accept", "*/*");
    let request = request.header("mcp-method", "tools/call").header("mcp-name", "put_user_policy");
    let request = request.header("cookie", "a=b").header("x-forwarded-for", "10.0.0.1");
    assert_eq!(request.body(call(1, "echo", &json!({}))).send().await.unwrap().status(), 200);
    let arrived = gate.upstream.arrived().pop().unwrap();
    for name in ["mcp-method", "mcp-name", "cookie", "x-forwarded-for"] {
        assert_eq!(arrived.headers.get(name), None, "{name}");
    }
    assert_eq!(arrived.headers["authorization"], "Bearer of-placet");
}

#[tokio::test]
async fn headers_without_end_are_refused_and_hurt_nobody() {
    let gate = Gate::start().await;
    let agent = gate.session("bot").await;
    let before = gate.upstream.arrived().len();
    let huge = agent.request(Method::POST).header("x-huge", "y".repeat(1 << 20)).body("{}").send().await;
    assert!(huge.is_err() || huge.unwrap().status().is_client_error());
    let mut many = agent.request(Method::POST).body("{}");
    for n in 0..500 {
        many = many.header(format!("mcp-param-{n}"), "v");
    }
    let many = many.send().await;
    assert!(many.is_err() || many.unwrap().status().is_client_error());
    assert_eq!(gate.upstream.arrived().len(), before);
    assert_eq!(agent.call("echo", json!({})).await.status(), 200);
}

#[tokio::test]
async fn a_body_that_never_ends_is_not_waited_for() {
    let gate = Gate::start().await;
    let agent = gate.session("bot").await;
    let host = gate.url.strip_prefix("http://").unwrap();
    let mut slow = TcpStream::connect(host).await.unwrap();
    let head = format!(
        "POST /mcp/iam HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nContent-Length: 1000\r\n\r\n{{",
        agent.token
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut said = vec![0; 4096];
    let read = gate.in_time(tokio::time::timeout(Duration::from_secs(10), slow.read(&mut said)), 15).await;
    let read = read.expect("it waits for ever").unwrap();
    assert!(said[..read].starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&said[..read]));
}

#[tokio::test]
async fn arguments_of_every_form() {
    let gate = Gate::start().await;
    let agent = gate.session("bot").await;
    let before = gate.upstream.arrived().len();
    for params in [
        r#""params":{"name":"put_user_policy","arguments":null}"#,
        r#""params":{"name":"put_user_policy","arguments":"{}"}"#,
        r#""params":{"name":"put_user_policy","arguments":[{}]}"#,
        r#""params":{"name":"put_user_policy","arguments":0}"#,
        r#""params":{"name":["put_user_policy"]}"#,
        r#""params":{"name":null,"arguments":{}}"#,
        r#""params":{}"#,
        r#""x":1"#,
    ] {
        let said =
            text(agent.post(format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call",{params}}}"#)).await).await;
        let said: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(said["error"]["code"], -32602, "{params}: {said}");
    }
    assert_eq!((gate.upstream.arrived().len(), gate.store.pending_count().await.unwrap()), (before, 0));
    // None at all is the empty object to reviewers, and nothing is added to what is sent.
    let waits =
        agent.post(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"put_user_policy"}}"#).await;
    let held = gate.held("pending").await;
    assert_eq!(held.submission.arguments(), "{}");
    gate.decide(&held, Verdict::Approve, "").await;
    assert_eq!(answer(waits).await["result"]["content"][0]["text"], "done");
    assert!(gate.upstream.calls("put_user_policy")[0].ends_with(r#""params":{"name":"put_user_policy"}}"#));
}

/// Larger than the reader's limit for arguments, together with what stands beside them.
#[tokio::test]
async fn a_call_as_large_as_may_be_runs_when_it_is_approved() {
    let gate = Gate::start().await;
    let agent = gate.session("bot").await;
    let (most, beside) = ("x".repeat((1 << 20) - 8), "y".repeat(60_000));
    let params = json!({"name": "put_user_policy", "arguments": {"a": most}, "_meta": {"note": beside}});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string();
    let waits = agent.post(body).await;
    gate.decide(&gate.held("pending").await, Verdict::Approve, "").await;
    assert_eq!(answer(waits).await["result"]["content"][0]["text"], "done");
}

#[tokio::test]
async fn a_revoked_agent_hears_nothing_more() {
    let gate = Gate::start().await;
    let (agent, other) = (gate.session("bot").await, gate.session("other").await);
    gate.upstream.on("GET", move |_| {
        let body = Body::from_stream(stream::pending::<Result<String, std::io::Error>>());
        ([("content-type", "text/event-stream")], body).into_response()
    });
    let listen = async |agent: &Agent| {
        let listens = agent.request(Method::GET).header("accept", "text/event-stream").send().await.unwrap();
        Stream::of(listens)
    };
    let (mut listens, mut others) = (listen(&agent).await, listen(&other).await);
    gate.identity.agent_revoke("bot".parse().unwrap()).await.unwrap();
    let ended = async { while listens.next().await.is_some() {} };
    gate.in_time(ended, 10).await;
    assert_eq!(gate.in_time(others.next(), 10).await, Some(Piece::Comment));
}

/// Its server says more than anybody buffers, and the agent reads none of it: the call ends all the same.
#[tokio::test]
async fn an_agent_that_reads_nothing_leaves_no_call_without_an_outcome() {
    let gate = Gate::start().await;
    let agent = gate.session("bot").await;
    gate.upstream.on("tools/call put_user_policy", |message| {
        let text = "x".repeat(256 << 10);
        let noise = json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": text}});
        let noise = format!("data: {noise}\n\n");
        let answer = json!({"jsonrpc": "2.0", "id": message["id"], "result": {"content": []}});
        let said = stream::iter(vec![noise; 300]).chain(stream::iter([format!("data: {answer}\n\n")]));
        let body = Body::from_stream(said.map(Ok::<_, std::io::Error>));
        ([("content-type", "text/event-stream")], body).into_response()
    });
    let unread = agent.call("put_user_policy", json!({})).await;
    gate.decide(&gate.held("pending").await, Verdict::Approve, "").await;
    gate.upstream.until_called("put_user_policy", 1).await;
    let ended = tokio::time::timeout(Duration::from_secs(20), gate.in_time(gate.held("executed"), 1));
    assert_eq!(ended.await.expect("it has no outcome").state.name(), "executed");
    drop(unread);
}
