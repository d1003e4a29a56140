//! Review from a terminal: `placet calls` and `placet watch` against a running service.

use std::process::Stdio;
use std::time::Duration;

use placet::call::Email;
use placet::store::CallFilter;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::support::agent::{Agent, Stream};
use crate::support::app::{Setup, TestApp};
use crate::support::upstream::{Upstream, tools};

struct Said {
    code: i32,
    out: String,
    err: String,
}

/// Runs the binary as this token's owner would.
async fn placet(app: &TestApp, token: &str, arguments: &[&str]) -> Said {
    let output = Command::new(env!("CARGO_BIN_EXE_placet"))
        .args(arguments)
        .env("PLACET_URL", &app.url)
        .env("PLACET_TOKEN", token)
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

async fn token(app: &TestApp, decide: bool) -> String {
    let day = Duration::from_secs(86_400);
    let made = app.app.identity.api_token_make(Email::parse("mira@example.com").unwrap(), decide, day).await.unwrap();
    made.token.reveal().to_owned()
}

#[tokio::test]
async fn a_call_is_watched_listed_read_and_decided() {
    let upstream = Upstream::start().await;
    let app = Setup::http(&upstream.url).real_time().start().await;
    app.reviewer("mira@example.com", &["iam"]).await;
    let (reads, decides) = (token(&app, false).await, token(&app, true).await);

    let mut watch = Command::new(env!("CARGO_BIN_EXE_placet"))
        .args(["watch", "--json"])
        .env("PLACET_URL", &app.url)
        .env("PLACET_TOKEN", &reads)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut notices = BufReader::new(watch.stderr.take().unwrap()).lines();
    assert!(notices.next_line().await.unwrap().unwrap().starts_with("watching ws://"));
    let mut events = BufReader::new(watch.stdout.take().unwrap()).lines();

    let mut agent = Agent::new(app.mcp(), &app.agent("ci-bot").await);
    agent.initialize("2025-11-25").await;
    let answer = agent.call("put_user_policy", json!({"user_name": "x\u{202e}y\u{1b}[2J"})).await;
    let id = app.pending().await.submission.id.to_string();
    let event = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            let line = events.next_line().await.unwrap().unwrap();
            if line.contains(&id) {
                return line;
            }
        }
    });
    assert!(event.await.unwrap().contains(r#""state":"pending""#));

    let list = placet(&app, &reads, &["calls"]).await;
    assert!(list.code == 0 && list.out.contains(&id) && list.out.contains("put_user_policy"), "{}", list.out);
    let shown = placet(&app, &reads, &["calls", "show", &id]).await;
    assert!(shown.out.contains("⟦U+202E⟧") || shown.out.contains("\\u202e"), "{}", shown.out);
    assert!(!shown.out.contains(['\u{202e}', '\u{1b}']), "what an agent wrote must not move a terminal's cursor");
    let json = placet(&app, &reads, &["calls", "show", &id, "--json"]).await;
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json.out).unwrap()["id"], id);

    let refused = placet(&app, &reads, &["calls", "approve", &id]).await;
    assert_eq!((refused.code, refused.out.as_str()), (1, ""), "{}", refused.err);
    let approved = placet(&app, &decides, &["calls", "approve", &id]).await;
    assert_eq!(approved.code, 0, "{}", approved.err);
    let mut stream = Stream::of(answer);
    assert!(stream.message().await.to_string().contains("done"));
    upstream.until_called("put_user_policy", 1).await;

    let again = placet(&app, &decides, &["calls", "reject", &id, "--reason", "too late"]).await;
    assert!(again.code == 1 && again.err.contains("executed"), "{} {}", again.code, again.err);
    let unknown = placet(&app, &reads, &["calls", "show", "00000000-0000-7000-8000-000000000000"]).await;
    assert_eq!(unknown.code, 1, "{}", unknown.err);
    assert_eq!(placet(&app, &reads, &["calls", "show", "../x"]).await.code, 64);
    for (token, why) in [("plt_api_wrong", "not accepted"), ("", "no API token"), (" ", "no API token")] {
        for command in ["calls", "watch"] {
            let said = placet(&app, token, &[command]).await;
            assert!(said.code == 2 && said.err.contains(why) && !said.err.contains("Bearer"), "{}", said.err);
            assert!(said.err.contains("PLACET_TOKEN") && said.err.contains("--token-file"), "{}", said.err);
        }
    }
}

#[tokio::test]
async fn what_the_agent_says_of_a_call_and_that_its_tool_changed_is_shown() {
    let upstream = Upstream::start().await;
    let policy = r#"{ "version": "1", "default": "deny", "tools": { "echo": {
        "action": "require_approval", "approval": { "ask_reason": true, "reviewers": ["iam"] } } } }"#;
    let app = Setup::http(&upstream.url).policy(policy).real_time().start().await;
    app.pinned().await;
    app.reviewer("mira@example.com", &["iam"]).await;
    let reads = token(&app, false).await;
    let mut agent = Agent::new(app.mcp(), &app.agent("ci-bot").await);
    agent.initialize("2025-11-25").await;
    let show = async |arguments: serde_json::Value| {
        drop(agent.call("echo", arguments.clone()).await);
        let newest = CallFilter { limit: 1, ..CallFilter::default() };
        let held = app.until("the call", async || {
            let call = app.app.store.calls(newest.clone()).await.unwrap().calls.pop()?;
            let n = serde_json::from_str::<serde_json::Value>(call.arguments()?).unwrap()["n"].clone();
            (n == arguments["n"]).then_some(call.submission.id.to_string())
        });
        let id = held.await;
        let shown = placet(&app, &reads, &["calls", "show", &id]).await;
        let json = placet(&app, &reads, &["calls", "show", &id, "--json"]).await;
        (shown.out, serde_json::from_str::<serde_json::Value>(&json.out).unwrap())
    };

    let (plain, json) = show(json!({"n": 1})).await;
    assert!(!plain.contains("agent says") && !plain.contains("changed "), "{plain}");
    assert_eq!((&json["agent_reason"], &json["tool_changed"]), (&serde_json::Value::Null, &json!(false)));

    let mut changed = tools();
    changed.as_array_mut().unwrap().iter_mut().for_each(|tool| tool["description"] = "version 2".into());
    upstream.lists(changed.to_string());
    agent.post(r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#).await.text().await.unwrap();
    let secret = "ghp_abcdefghijklmnopqrstuvwxyz0123456789";
    let why = format!("ticket 7\u{1b}[2J\u{202e}, with {secret}");
    let (told, json) = show(json!({"n": 2, "placet_reason": why})).await;
    assert!(told.contains("\nagent says  ticket 7⟦"), "{told}");
    assert!(told.contains("\nchanged     its tool said something else of itself than was accepted"), "{told}");
    assert!(!told.contains(['\u{202e}', '\u{1b}']) && !told.contains(secret), "{told}");
    let reason = json["agent_reason"].as_str().unwrap();
    assert!(reason.starts_with("ticket 7") && !reason.contains(secret), "{json}");
    assert_eq!(json["tool_changed"], true);
}
