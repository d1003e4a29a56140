//! The state of things, read again for whoever must find out what became of a call: only by tools that read, bounded, and
//! on the record.

use axum::response::IntoResponse as _;
use placet::call::{CallState, HeldCall};
use placet::identity::Roles;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::agent::{Agent, Stream};
use crate::support::app::{Setup, TestApp};
use crate::support::pages::Browser;
use crate::support::upstream::{Upstream, json_answer};

/// A call of unknown outcome in a whole service, whose policy reads the user's policy for the reviewers.
struct Whole {
    app: TestApp,
    upstream: Upstream,
    call: HeldCall,
    mira: Browser,
}

fn reading(upstream: &Upstream, text: &'static str) {
    upstream.on("tools/call get_user_policy", move |message| {
        let result = json!({"content": [{"type": "text", "text": text}]});
        json_answer(json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string())
    });
}

/// Changes of a policy wait for a person, who is shown the old one; these tools count as reading.
fn policy(readers: &[&str]) -> String {
    let read = json!({ "tool": "get_user_policy", "arguments": { "user_name": "$args.user_name" } });
    let context = if readers.is_empty() { json!([]) } else { json!([read]) };
    let approval = json!({ "reviewers": ["iam"], "context": context });
    let tools = json!({ "get_*": {}, "put_user_policy": { "action": "require_approval", "approval": approval } });
    json!({ "version": "1", "default": "deny", "readers": readers, "tools": tools }).to_string()
}

impl Whole {
    async fn start() -> Self {
        Self::with(&["get_user_policy"]).await
    }

    /// With these readers in the policy.
    async fn with(readers: &[&str]) -> Self {
        let upstream = Upstream::start().await;
        upstream.on("tools/call put_user_policy", |_| {
            let broken = futures_util::stream::once(async { Err::<Vec<u8>, _>(std::io::Error::other("gone")) });
            ([("content-type", "application/json")], axum::body::Body::from_stream(broken)).into_response()
        });
        reading(&upstream, r#"{"Action":"s3:GetObject","password":"hunter2-then"}"#);
        let policy = policy(readers);
        let app = Setup::http(&upstream.url).policy(&policy).real_time().start().await;
        app.reviewer("mira@example.com", &["iam"]).await;
        app.person("otto@example.com", &[], Roles { auditor: true, ..Roles::default() }).await;
        let mira = Browser::signed_in(&app.url, "mira@example.com").await;
        let mut agent = Agent::new(app.mcp(), &app.agent("ci-bot").await);
        agent.initialize("2025-11-25").await;
        let mut stream = Stream::of(agent.call("put_user_policy", json!({"user_name": "ci"})).await);
        let call = app.pending().await;
        let id = call.submission.id;
        if !readers.is_empty() {
            app.until("the reads", async || app.app.store.call(id).await.unwrap().unwrap().context).await;
        }
        let decided = mira.decide(&call, "approve", &[]).await;
        assert_eq!(decided.status(), StatusCode::SEE_OTHER);
        stream.message().await;
        let call = app.app.store.call(id).await.unwrap().unwrap();
        assert!(matches!(call.state, CallState::OutcomeUnknown { .. }), "{:?}", call.state);
        Self { app, upstream, call, mira }
    }

    async fn read_back(&self, browser: &Browser) -> reqwest::Response {
        let csrf = browser.csrf().await;
        browser.post(&format!("/calls/{}/read-back", self.call.submission.id), &[("csrf", &csrf)]).await
    }

    async fn reads(&self) -> Vec<Value> {
        let entries = self.app.app.store.entries_of(self.call.submission.id).await.unwrap();
        let reads = entries.iter().filter(|entry| entry.kind == "context.read");
        reads.map(|entry| serde_json::from_str(&entry.body).unwrap()).collect()
    }
}

#[tokio::test]
async fn the_state_of_things_is_read_again_for_whoever_must_find_out() {
    let world = Whole::start().await;
    let page = world.mira.page(&format!("/calls/{}", world.call.submission.id)).await;
    assert!(page.contains("/read-back\"") && page.contains("s3:GetObject"), "{page}");
    assert!(!page.contains("cannot read it back"), "{page}");
    let same = world.read_back(&world.mira).await.text().await.unwrap();
    assert!(same.contains("The same as then.") && !same.contains("Changed since."), "{same}");
    reading(&world.upstream, r#"{"Action":"iam:*","password":"hunter2-now"}"#);
    let page = world.read_back(&world.mira).await.text().await.unwrap();
    for part in ["Changed since.", "s3:GetObject", "iam:*", "When it was held", "How do you know?"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("hunter2"), "{page}");
    let reads = world.reads().await;
    let mira = world.app.app.identity.reviewers().await.unwrap();
    let mira = mira.iter().find(|person| person.email.as_str() == "mira@example.com").unwrap().id;
    let by: Vec<_> = reads.iter().map(|entry| entry["reviewer"].clone()).collect();
    assert_eq!(by, [Value::Null, json!(mira), json!(mira)], "each read is in the log, and for whom");
    assert_eq!(world.upstream.calls("get_user_policy").len(), 3);
    let asked = world.upstream.calls("get_user_policy");
    assert!(asked.iter().all(|body| body.contains(r#""user_name":"ci""#)), "{asked:?}");
    assert_eq!(world.upstream.calls("put_user_policy").len(), 1, "only what reads is asked again");

    // Who may not say what became of it reads nothing; nor is any other call read about.
    let otto = Browser::signed_in(&world.app.url, "otto@example.com").await;
    assert_eq!(world.read_back(&otto).await.status(), StatusCode::FORBIDDEN);
    let path = format!("/calls/{}/read-back", world.call.submission.id);
    assert_eq!(world.mira.post(&path, &[("csrf", "x")]).await.status(), StatusCode::FORBIDDEN);
    assert_eq!(world.mira.get(&path).await.status(), StatusCode::SEE_OTHER);
    // A policy that no longer names the tool as a reader forbids it now.
    let file = world.app.folder.path().join("policy.json");
    std::fs::write(&file, policy(&[])).unwrap();
    let forbidden = async || {
        let page = world.read_back(&world.mira).await.text().await.unwrap();
        page.contains("no longer names this tool as a reader.").then_some(page)
    };
    let page = world.app.until("the new policy", forbidden).await;
    assert!(page.contains("Could not be read:") && page.contains("s3:GetObject"), "{page}");
    let csrf = world.mira.csrf().await;
    let own = format!("/calls/{}", world.call.submission.id);
    let found =
        world.mira.post(&format!("{own}/finding"), &[("csrf", &csrf), ("ran", "yes"), ("reason", "seen")]).await;
    assert_eq!(found.status(), StatusCode::SEE_OTHER);
    assert!(!world.mira.page(&own).await.contains("/read-back\""));
}

#[tokio::test]
async fn where_there_is_nothing_to_read_the_page_says_why() {
    let world = Whole::with(&[]).await;
    let path = format!("/calls/{}", world.call.submission.id);
    let page = world.mira.page(&path).await;
    let why = "Placet cannot read it back here: the policy names no tool under context";
    assert!(page.contains(why) && page.contains("How do you know?") && !page.contains("/read-back\""), "{page}");
    let otto = Browser::signed_in(&world.app.url, "otto@example.com").await;
    assert!(!otto.page(&path).await.contains(why), "who may not say what became of it is not told how to find out");
}

#[tokio::test]
async fn reading_again_is_bounded_in_time_and_number() {
    let world = Whole::start().await;
    world.upstream.on("tools/call get_user_policy", |_| {
        let never = futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>();
        ([("content-type", "application/json")], axum::body::Body::from_stream(never)).into_response()
    });
    let asked = std::iter::repeat_with(|| world.read_back(&world.mira)).take(8);
    let answers = futures_util::future::join_all(asked).await;
    let (read, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status() == StatusCode::OK);
    assert!((1..=4).contains(&read.len()), "{} at once", read.len());
    assert!(refused.iter().all(|answer| answer.status() == StatusCode::TOO_MANY_REQUESTS), "{refused:?}");
    for answer in read {
        let page = answer.text().await.unwrap();
        assert!(page.contains("It took longer than 3 seconds.") && page.contains("This does not mean"), "{page}");
    }
    let executed =
        world.app.app.store.calls(placet::store::CallFilter { limit: 1, ..Default::default() }).await.unwrap();
    assert_eq!(executed.calls[0].state.name(), "outcome_unknown", "none of this touches the call");
}
