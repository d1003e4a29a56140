//! Every page in a real Chromium, both sizes and colour schemes: nothing refused, nothing logged, nothing sideways,
//! and axe-core finds nothing.

use axum::response::IntoResponse as _;
use placet::notary::LogAtStart;
use serde_json::json;

use super::MIRA;
use super::journey::as_mira;
use crate::support::agent::Agent;
use crate::support::app::{PASSWORD, Setup, TestApp};
use crate::support::components::browser::Browser;
use crate::support::upstream::{Upstream, json_answer};

use super::desk::Desk;

const POLICY: &str = r#"{ "version": "1", "default": "deny",
  "readers": ["get_user_policy"],
  "tools": {
    "list_*": {}, "get_*": {},
    "create_user": { "action": "require_approval", "approval": { "timeout": "1s", "reviewers": ["iam"] } },
    "delete_user": { "action": "require_approval", "approval": { "risk": "access", "reviewers": ["iam"] } },
    "put_user_policy": { "action": "require_approval", "approval": { "timeout": "15m", "reviewers": ["iam"],
      "standing": { "uses": 5, "for": "1h", "arguments": { "policy_document": "*" }, "access": true },
      "context": [ { "tool": "get_user_policy", "arguments": { "user_name": "$args.user_name" } } ] } } } }"#;

#[tokio::test]
async fn every_page_is_sound() {
    let upstream = Upstream::start().await;
    upstream.on("tools/call delete_user", |message| {
        let failed = json!({"content": [{"type": "text", "text": "no such user"}], "isError": true});
        json_answer(json!({"jsonrpc": "2.0", "id": message["id"], "result": failed}).to_string())
    });
    // An anchor that fails at length and one that does not, and an alarm, so that the audit page has all it can have.
    let anchors = format!(
        "[[upstreams]]\nname = \"iam\"\nurl = \"{}\"\n[[anchors]]\nfile = \"elsewhere.checkpoints\"\n\
         [[anchors]]\ncommand = [\"sh\", \"-c\", \"printf '<b>%0999d' 7 >&2; exit 1\"]\n",
        upstream.url
    );
    let app = Setup::toml(anchors).policy(POLICY).real_time().start().await;
    let behind = LogAtStart::Behind { source: "audit.checkpoint".into(), checkpoint: 48_211, log: 48_102 };
    app.app.notary.record(&behind).await.unwrap();
    app.until("both anchors are told", async || {
        let anchors = app.app.store.anchors().await.unwrap();
        anchors.iter().all(|anchor| anchor.tried_at.is_some()).then_some(())
    })
    .await;
    app.reviewer(MIRA, &["iam"]).await;
    let mut pages = calls(&app, &upstream).await;
    let more = ["queue=/", "/history", "/audit", "/policy", "/account", "404:missing=/calls/nothing"];
    pages.extend(more.map(str::to_owned));
    let steps = app.app.store.policy_steps(i64::MAX, 1).await.unwrap();
    pages.push(format!("version=/policy/versions/{}", steps[0].seq));

    let args: Vec<_> = [app.url.as_str()].into_iter().chain(pages.iter().map(String::as_str)).collect();
    let done = Browser::start("pages.mjs", &args, &as_mira()).finish().await;
    assert_eq!(done["pages"].as_array().map(Vec::len), Some(pages.len()), "{done}");

    let mut nobody = as_mira();
    nobody.remove("PLACET_EMAIL");
    let outside = [&app.url, "/login", "returning=/login?next=/history", "410:spent=/login/link/nothing"];
    let outside = outside.map(str::to_owned);
    let args: Vec<_> = outside.iter().map(String::as_str).collect();
    Browser::start("pages.mjs", &args, &nobody).finish().await;
}

/// Calls in several states, as the pages to open.
async fn calls(app: &TestApp, upstream: &Upstream) -> Vec<String> {
    let token = app.agent("ci").await;
    let mut agent = Agent::new(app.mcp(), &token);
    agent.initialize("2025-11-25").await;
    let mut desk = Desk::signed_in(&app.url, MIRA, PASSWORD).await;
    let hold = async |tool: &str, arguments: serde_json::Value| {
        let stream = agent.call(tool, arguments).await;
        (app.pending().await.submission.id.to_string(), stream)
    };
    let mut pages = Vec::new();

    let arguments = |user: &str| {
        let document = super::document().to_string();
        json!({"user_name": user, "policy_name": "deploy", "policy_document": document, "confirmed": true})
    };
    let (executed, stream) = hold("put_user_policy", arguments("ci-bot")).await;
    desk.decide(&executed, "approve", "as agreed").await;
    crate::support::agent::answer(stream).await;
    pages.push(format!("executed=/calls/{executed}"));

    // Of one call that was approved, further ones may pass; of the other one that is only offered.
    let (granted, stream) = hold("put_user_policy", arguments("robot")).await;
    desk.decide(&granted, "approve", "as agreed").await;
    crate::support::agent::answer(stream).await;
    let csrf = desk.get(&format!("/calls/{granted}")).await.field("csrf").to_owned();
    let grant = [("csrf", csrf.as_str()), ("uses", "3"), ("minutes", "5"), ("open", "policy_document")];
    desk.post(&format!("/calls/{granted}/standing"), &grant).await;
    assert_eq!(app.app.store.standing_in_force().await.unwrap().len(), 1);
    pages.extend([format!("granted=/calls/{granted}"), "/standing".to_owned()]);

    let (rejected, stream) = hold("put_user_policy", arguments("root")).await;
    desk.decide(&rejected, "reject", "never this user").await;
    crate::support::agent::answer(stream).await;
    pages.push(format!("rejected=/calls/{rejected}"));

    let (expired, stream) = hold("create_user", json!({"user_name": "new"})).await;
    crate::support::agent::answer(stream).await;
    pages.push(format!("expired=/calls/{expired}"));

    // Two calls that may have run; of one a person has found out.
    upstream.on("tools/call put_user_policy", |_| {
        let broken = futures_util::stream::once(async { Err::<Vec<u8>, _>(std::io::Error::other("gone")) });
        ([("content-type", "application/json")], axum::body::Body::from_stream(broken)).into_response()
    });
    for name in ["found", "unknown"] {
        let (id, stream) = hold("put_user_policy", arguments(name)).await;
        desk.decide(&id, "approve", "as agreed").await;
        crate::support::agent::answer(stream).await;
        pages.push(format!("{name}=/calls/{id}"));
        if name == "found" {
            let csrf = desk.get(&format!("/calls/{id}")).await.field("csrf").to_owned();
            let told = [("csrf", csrf.as_str()), ("ran", "no"), ("reason", "the policy is not there")];
            desk.post(&format!("/calls/{id}/finding"), &told).await;
        }
    }

    // What hides in an argument, and what is long, is shown without breaking the page.
    let mut hostile = arguments("ci\u{202e}tob-\u{200b}");
    hostile["note"] = format!("<img src=x onerror=alert(1)>{}", "long-".repeat(200)).into();
    let (pending, stream) = hold("put_user_policy", hostile).await;
    pages.push(format!("pending=/calls/{pending}"));
    pages.push(format!("prepared=/calls/{pending}?prepare=reject"));
    // Still held when the pages are looked at.
    drop(stream);

    // A tool that changed what it says, and one that did not.
    let mut changed = crate::support::upstream::tools();
    changed[0]["description"] = format!("Lists users.\u{202e} <b>{}", "and-more-".repeat(60)).into();
    upstream.lists(changed.to_string());
    let list = r#"{"jsonrpc":"2.0","id":9,"method":"tools/list"}"#;
    crate::support::agent::answer(agent.post(list).await).await;
    pages.extend(["changed=/tools/iam/list_users", "unchanged=/tools/iam/echo"].map(str::to_owned));
    pages
}
