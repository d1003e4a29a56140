//! The pages of a service whose database was put back, in a real Chromium, and of a log with two anchors of one kind of
//! which one fails.

use std::sync::Arc;
use std::time::Duration;

use placet::store::CallFilter;
use serde_json::json;

use super::MIRA;
use super::desk::Desk;
use super::journey::as_mira;
use crate::restore::copy_files;
use crate::support::agent::Agent;
use crate::support::app::{PASSWORD, Setup, TestApp};
use crate::support::components::browser::Browser;
use crate::support::upstream::Upstream;

const POLICY: &str = r#"{ "version": "1", "default": "deny",
  "tools": { "put_user_policy": { "action": "require_approval", "approval": { "timeout": "15m", "reviewers": ["iam"] } } } }"#;

const ANCHORS: &str = r#"
[[anchors]]
command = ["sh", "-c", "cat >/dev/null"]
[[anchors]]
command = ["sh", "-c", "echo 'no room left on the witness' >&2; exit 3", "keep", "--token", "hunter2hunter2"]
"#;

/// An agent asks for the call and leaves; its id.
async fn left(app: &TestApp, agent: &Agent, name: &str) -> String {
    let document = super::document().to_string();
    let arguments = json!({"user_name": "ci-bot", "policy_name": name, "policy_document": document});
    drop(agent.call("put_user_policy", arguments).await);
    let newest = CallFilter { limit: 1, ..CallFilter::default() };
    let gone = async || {
        let call = app.app.store.calls(newest.clone()).await.unwrap().calls.pop()?;
        (call.caller_gone && call.submission.arguments().contains(name)).then_some(call)
    };
    app.until("the caller's leaving", gone).await.submission.id.to_string()
}

#[tokio::test]
async fn after_a_restore_every_page_is_sound() {
    let upstream = Upstream::start().await;
    let toml = format!("[[upstreams]]\nname = \"iam\"\nurl = \"{}\"\n{ANCHORS}", upstream.url);
    let app = Setup::toml(toml).policy(POLICY).real_time().start().await;
    app.reviewer(MIRA, &["iam"]).await;
    let token = app.agent("ci").await;
    let mut agent = Agent::new(app.mcp(), &token);
    agent.initialize("2025-11-25").await;
    let approved = left(&app, &agent, "approved-then").await;
    let mut desk = Desk::signed_in(&app.url, MIRA, PASSWORD).await;
    desk.decide(&approved, "approve", "as agreed").await;
    let waits = left(&app, &agent, "waited-then").await;

    let outside = tempfile::tempdir().unwrap();
    let backup = outside.path().join("backup.db");
    app.app.store.backup(&backup, "the-copy".into()).await.unwrap();
    let (setup, old) = (app.setup.clone(), Arc::clone(&app.folder));
    assert!(app.app.stop(Duration::from_secs(20)).await, "something did not stop");
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let data = folder.path().join("data");
    copy_files(&old.path().join("data"), &data, |name| name.starts_with("seal") || name.starts_with("audit."));
    std::fs::copy(&backup, data.join("placet.db")).unwrap();
    let app = setup.start_in(folder).await;
    assert_eq!(app.app.restored.as_ref().map(|restored| restored.done.unknown), Some(1));

    let mut agent = Agent::new(app.mcp(), &token);
    agent.initialize("2025-11-25").await;
    let anew = left(&app, &agent, "asked-since").await;
    app.until("both anchors are told", async || {
        let anchors = app.app.store.anchors().await.unwrap();
        let failing = anchors.iter().filter(|anchor| anchor.error.is_some()).count();
        (failing == 1 && anchors.iter().all(|anchor| anchor.tried_at.is_some())).then_some(())
    })
    .await;
    let mut desk = Desk::signed_in(&app.url, MIRA, PASSWORD).await;
    let audit = desk.get("/audit").await.text;
    for part in ["cat &gt;/dev/null", "the command ended with 3", "no room left on the witness", "--token"] {
        assert!(audit.contains(part) || audit.contains(&part.replace("&gt;", "&#62;")), "{part}: {audit}");
    }
    assert!(!audit.contains("hunter2"), "{audit}");

    let pages = [
        format!("restored-pending=/calls/{waits}"),
        format!("restored-unknown=/calls/{approved}"),
        format!("restored-anew=/calls/{anew}"),
        "restored-queue=/".to_owned(),
        "restored-audit=/audit".to_owned(),
    ];
    let args: Vec<_> = [app.url.as_str()].into_iter().chain(pages.iter().map(String::as_str)).collect();
    let done = Browser::start("pages.mjs", &args, &as_mira()).finish().await;
    assert_eq!(done["pages"].as_array().map(Vec::len), Some(pages.len()), "{done}");
}
