//! What fails, fails closed, and what was promised when a call was held stays promised.

use std::process::Command;

use placet::approvals::{Channel, Decision};
use placet::call::{ReviewerId, Verdict};
use placet::store::EntryFilter;
use serde_json::json;

use crate::support::agent::{Agent, Stream};
use crate::support::app::{Setup, TestApp};
use crate::support::upstream::Upstream;

const TWO: &str = r#"{ "version": "1", "default": "deny", "tools": { "put_user_policy":
    { "action": "require_approval", "approval": { "timeout": "15m", "approvals": 2 } } } }"#;

async fn agent(app: &TestApp) -> Agent {
    let mut agent = Agent::new(app.mcp(), &app.agent("ci-bot").await);
    agent.initialize("2025-11-25").await;
    agent
}

/// Puts another policy file in place, and waits until it was looked at.
async fn policy(app: &TestApp, text: &str, kind: &str) {
    let entries = async || {
        let filter = EntryFilter { kind: Some(kind.to_owned()), limit: 100, ..EntryFilter::default() };
        app.app.store.entries(filter).await.unwrap().len()
    };
    let before = entries().await;
    std::fs::write(app.folder.path().join("policy.json"), text).unwrap();
    app.until("a look at the policy", async || {
        app.setup.clock.advance(std::time::Duration::from_secs(1));
        (entries().await > before).then_some(())
    })
    .await;
}

async fn approve(app: &TestApp, call: &placet::call::HeldCall, by: ReviewerId) -> &'static str {
    let decision = Decision {
        call: call.submission.id,
        digest: call.digest,
        verdict: Verdict::Approve,
        reason: String::new(),
        by,
        channel: Channel::Page,
        confirmed: false,
    };
    app.app.approvals.decide(decision).await.unwrap().state.name()
}

#[test]
fn without_a_policy_or_with_a_broken_one_nothing_is_served() {
    for (policy, said) in [
        (None, "cannot be read"),
        (Some(""), "policy.json:1:1"),
        (Some("{"), "policy.json:1"),
        (Some(r#"{"version": "1", "default": "allow", "tolls": {}}"#), "tolls"),
        (Some(r#"{"version": "9"}"#), "version"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let toml = "listen = \"127.0.0.1:0\"\npublic_url = \"http://localhost:8080\"\ndata_dir = \"data\"\n\
                    policy = \"policy.json\"\n\n[[upstreams]]\nname = \"iam\"\ncommand = [\"false\"]\n";
        std::fs::write(folder.path().join("placet.toml"), toml).unwrap();
        if let Some(policy) = policy {
            std::fs::write(folder.path().join("policy.json"), policy).unwrap();
        }
        let served =
            Command::new(env!("CARGO_BIN_EXE_placet")).arg("serve").current_dir(folder.path()).output().unwrap();
        let words = String::from_utf8(served.stderr).unwrap();
        assert!(!served.status.success() && words.contains(said), "{policy:?}: {words}");
    }
}

#[tokio::test]
async fn a_policy_that_breaks_while_serving_changes_nothing_and_lets_nothing_through() {
    let upstream = Upstream::start().await;
    let app = Setup::http(&upstream.url).start().await;
    let agent = agent(&app).await;
    policy(&app, "{ \"version\": \"1\", \"default\": \"allow\", }", "policy.refused").await;
    let held = agent.call("put_user_policy", json!({})).await;
    let call = app.pending().await;
    let denied = agent.result("create_user", json!({})).await;
    assert_eq!(denied["result"]["isError"], true, "{denied}");
    std::fs::remove_file(app.folder.path().join("policy.json")).unwrap();
    app.setup.clock.advance(std::time::Duration::from_secs(10));
    assert_eq!(agent.result("create_user", json!({})).await["result"]["isError"], true);
    assert!(upstream.calls("put_user_policy").is_empty() && upstream.calls("create_user").is_empty());
    assert!(app.app.store.call(call.submission.id).await.unwrap().unwrap().state.is_pending());
    drop(held);
}

#[tokio::test]
async fn what_a_call_was_held_on_is_not_softened_by_a_later_policy() {
    let upstream = Upstream::start().await;
    let app = Setup::http(&upstream.url).policy(TWO).start().await;
    let mira = app.reviewer("mira@example.com", &[]).await.id;
    let noor = app.reviewer("noor@example.com", &[]).await.id;
    let agent = agent(&app).await;
    let waits = agent.call("put_user_policy", json!({})).await;
    let call = app.pending().await;
    policy(&app, &TWO.replace("\"approvals\": 2", "\"approvals\": 1").replace("15m", "7d"), "policy.loaded").await;
    assert_eq!(approve(&app, &call, mira).await, "pending", "two were asked for when it was held");
    assert_eq!(app.app.store.call(call.submission.id).await.unwrap().unwrap().expires_at, call.expires_at);
    assert!(upstream.calls("put_user_policy").is_empty());
    assert_eq!(approve(&app, &call, noor).await, "approved");
    Stream::of(waits).message().await;
    assert_eq!(upstream.calls("put_user_policy").len(), 1);
}

/// How often and how fast people decide is what shows that they have tired of it.
#[tokio::test]
async fn decisions_and_how_long_they_took_are_counted() {
    let upstream = Upstream::start().await;
    let app = Setup::http(&upstream.url).start().await;
    let mira = app.reviewer("mira@example.com", &["iam"]).await.id;
    let agent = agent(&app).await;
    let waits = agent.call("put_user_policy", json!({})).await;
    let call = app.pending().await;
    app.setup.clock.advance(std::time::Duration::from_secs(20));
    approve(&app, &call, mira).await;
    Stream::of(waits).message().await;
    let number = |text: &str, name: &str| -> f64 {
        text.lines().filter_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok()).sum()
    };
    app.until("the numbers", async || {
        let text = reqwest::get(format!("{}/metrics", app.url)).await.unwrap().text().await.unwrap();
        let decided = number(&text, "placet_calls_decided_total{verdict=\"approve\",via=\"page\"}");
        let (held, seconds) = (number(&text, "placet_hold_seconds_count"), number(&text, "placet_hold_seconds_sum"));
        (decided >= 1.0 && held >= 1.0 && seconds >= 20.0).then_some(())
    })
    .await;
}
