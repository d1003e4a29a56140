//! The API for scripts: what a token may do, and the shape of what it gets.

use std::time::Duration;

use placet::call::{Email, GroupName, HeldCall, Requirement, Risk};
use placet::identity::Roles;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::support::pages::{Browser, Pages, header};

struct Script {
    browser: Browser,
    token: String,
}

impl Script {
    async fn new(pages: &Pages, email: &str, may_decide: bool) -> Self {
        let email = Email::parse(email).unwrap();
        let made = pages.identity.api_token_make(email, may_decide, Duration::from_secs(3600)).await.unwrap();
        Self { browser: pages.stranger(), token: made.token.reveal().to_owned() }
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        taken(self.browser.request(Method::GET, path).bearer_auth(&self.token).send().await.unwrap()).await
    }

    async fn decide(&self, call: &HeldCall, body: &str) -> (StatusCode, Value) {
        self.post(&format!("/api/v1/calls/{}/decision", call.submission.id), body).await
    }

    async fn post(&self, path: &str, body: &str) -> (StatusCode, Value) {
        let request = self.browser.request(Method::POST, path).bearer_auth(&self.token);
        taken(request.header("content-type", "application/json").body(body.to_owned()).send().await.unwrap()).await
    }
}

async fn taken(response: Response) -> (StatusCode, Value) {
    let status = response.status();
    let kind = if status.is_success() { "application/json" } else { "application/problem+json" };
    assert_eq!(header(&response, "content-type"), kind);
    (status, serde_json::from_str(&response.text().await.unwrap()).unwrap())
}

fn verdict(call: &HeldCall, verdict: &str) -> String {
    json!({ "verdict": verdict, "digest": call.digest, "reason": "because" }).to_string()
}

async fn world() -> (Pages, Script, Script) {
    let pages = Pages::new().await;
    pages.person("ada@example.com", &["iam"], Roles { reviewer: true, ..Roles::default() }).await;
    let (reads, decides) =
        (Script::new(&pages, "ada@example.com", false).await, Script::new(&pages, "ada@example.com", true).await);
    (pages, reads, decides)
}

#[tokio::test]
async fn a_call_in_json_has_the_documented_shape() {
    let (pages, reads, decides) = world().await;
    let arguments = r#"{"user_name":"ci-bot",  "n":9007199254740993,"token":"hunter2hunter2"}"#;
    let call = pages.bench.hold(arguments).await;
    let path = format!("/api/v1/calls/{}", call.submission.id);
    let (status, value) = reads.get(&path).await;
    assert_eq!(status, StatusCode::OK);
    let expected = json!({
        "id": call.submission.id, "state": "pending", "disposition": null, "agent": "ci-bot", "upstream": "iam",
        "tool": "put_user_policy", "arguments": arguments.replace("hunter2hunter2", "••• masked"), "masked": 1,
        "redacted_at": null, "digest": call.digest,
        "created_at": "2026-11-22T14:02:11.000Z", "expires_at": "2026-11-22T14:17:11.000Z", "decided_at": null,
        "decisions": [], "findings": [], "finding": null, "new_access": [], "tricks": [], "approvals_needed": 1,
        "verdict": { "severity": "none", "line": "put_user_policy on user ci-bot" },
        "baseline": { "state": "none", "as_of": null, "calls": [] },
        "approvable": true, "blocked_by": null, "outcome": null, "restored_as_of": null,
        "agent_reason": null, "standing": null, "tool_changed": false,
    });
    assert_eq!(value, expected);
    let (_, list) = reads.get("/api/v1/calls?state=pending").await;
    assert_eq!(list["calls"][0]["id"], value["id"]);
    assert_eq!(list["next"], Value::Null);
    assert!(!list.to_string().contains("hunter2hunter2"), "lists are masked");
    let reveal = format!("{path}/reveal");
    assert_eq!(reads.post(&reveal, "").await.0, StatusCode::FORBIDDEN, "a token that only reads reveals nothing");
    let (status, revealed) = decides.post(&reveal, "").await;
    assert_eq!((status, &revealed["arguments"], &revealed["masked"]), (StatusCode::OK, &json!(arguments), &json!(0)));
    assert_eq!(pages.bench.kinds(&call).await, ["call.held", "call.revealed"]);

    let attached = pages.bench.approvals.attach(call.submission.id);
    let (status, decided) = decides.decide(&call, &verdict(&call, "approve")).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(decided["decisions"][0]["by"], "ada@example.com");
    assert_eq!(decided["decided_at"], "2026-11-22T14:02:11.000Z");
    attached.finished().await.unwrap();
    let (_, done) = reads.get(&path).await;
    assert_eq!((&done["state"], &done["disposition"]), (&json!("executed"), &json!("approved-executed")));
    assert_eq!(done["outcome"]["text"], r#"{"content":[]}"#);
}

#[tokio::test]
async fn a_token_does_what_it_was_made_for() {
    let (pages, reads, decides) = world().await;
    let call = pages.bench.hold("{}").await;
    assert_eq!(reads.decide(&call, &verdict(&call, "approve")).await.0, StatusCode::FORBIDDEN);
    let critical = Requirement { risk: Some(Risk::Access), ..Requirement::plain(Duration::from_secs(900)) };
    let critical = pages.bench.submit(r#"{"c":1}"#, critical).await.call;
    let (status, problem) = decides.decide(&critical, &verdict(&critical, "approve")).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(problem["detail"].as_str().unwrap().contains("critical"));
    for bad in ["", "{", "[]", r#"{"verdict":"approve"}"#, r#"{"verdict":"yes","digest":"","reason":""}"#] {
        let (status, _) = decides.decide(&call, bad).await;
        assert!(status == StatusCode::BAD_REQUEST || status == StatusCode::UNPROCESSABLE_ENTITY, "{bad}: {status}");
    }
    let stale = json!({ "verdict": "approve", "digest": "0".repeat(64), "reason": "" }).to_string();
    assert_eq!(decides.decide(&call, &stale).await.0, StatusCode::CONFLICT);
    assert_eq!(decides.decide(&call, &verdict(&call, "reject")).await.0, StatusCode::OK);
    let (status, problem) = decides.decide(&call, &verdict(&call, "approve")).await;
    assert_eq!((status, &problem["state"]), (StatusCode::CONFLICT, &json!("rejected")));
}

#[tokio::test]
async fn without_a_live_token_there_is_nothing() {
    let (pages, mut reads, _) = world().await;
    let call = pages.bench.hold("{}").await;
    let good = reads.token.clone();
    let cookie = pages.sign_in("ada@example.com").await;
    assert_eq!(cookie.get("/api/v1/calls").await.status(), StatusCode::UNAUTHORIZED, "a session is no token");
    for token in ["", "x", "plt_api_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", &good[..good.len() - 1]] {
        reads.token = token.to_owned();
        let (status, problem) = reads.get("/api/v1/calls").await;
        assert_eq!((status, &problem["status"]), (StatusCode::UNAUTHORIZED, &json!(401)), "{token}");
    }
    reads.token = good;
    let (status, problem) = reads.get("/api/v1/calls?state=nonsense").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(problem["detail"].as_str().unwrap().contains("outcome_unknown"), "says what there is");
    pages.bench.clock.advance(Duration::from_secs(3600));
    assert_eq!(reads.get("/api/v1/calls").await.0, StatusCode::UNAUTHORIZED, "expired");
    assert_eq!(reads.decide(&call, "{}").await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_token_sees_what_its_person_sees_page_by_page() {
    let (pages, reads, _) = world().await;
    let db =
        Requirement { reviewers: vec![GroupName::new("db").unwrap()], ..Requirement::plain(Duration::from_secs(900)) };
    let hidden = pages.bench.submit(r#"{"hidden":1}"#, db).await.call;
    assert_eq!(reads.get(&format!("/api/v1/calls/{}", hidden.submission.id)).await.0, StatusCode::NOT_FOUND);
    for n in 0..5 {
        pages.bench.hold(&format!(r#"{{"n":{n}}}"#)).await;
        pages.bench.clock.advance(Duration::from_millis(1));
    }
    let (mut next, mut seen) = (Some("/api/v1/calls?state=pending&limit=2".to_owned()), Vec::new());
    while let Some(path) = next {
        let (_, page) = reads.get(&path).await;
        let calls = page["calls"].as_array().unwrap();
        assert!(calls.len() <= 2);
        seen.extend(calls.iter().map(|call| call["arguments"].as_str().unwrap().to_owned()));
        next = page["next"].as_str().map(str::to_owned);
    }
    let expected: Vec<_> = (0..5).rev().map(|n| format!(r#"{{"n":{n}}}"#)).collect();
    assert_eq!(seen, expected, "newest first, nothing twice, nothing of others");
}

#[tokio::test]
async fn a_script_lets_calls_pass_and_ends_that() {
    let (pages, reads, decides) = world().await;
    let offer = placet::call::StandingOffer {
        uses: 3,
        lasts: Duration::from_secs(600),
        open: [("body".to_owned(), "*".to_owned())].into(),
    };
    let offering = || Requirement { standing: Some(offer.clone()), ..Requirement::plain(Duration::from_secs(900)) };
    let call = pages.bench.submit(r#"{"body":"one"}"#, offering()).await.call;
    let path = format!("/api/v1/calls/{}/standing", call.submission.id);
    let body = r#"{"uses":2,"minutes":5,"open":["body"],"reason":"the report"}"#;
    let (_, shown) = reads.get(&format!("/api/v1/calls/{}", call.submission.id)).await;
    assert_eq!(shown["standing"], json!({ "uses": 3, "seconds": 600, "arguments": { "body": "*" } }));
    assert_eq!(decides.post(&path, body).await.0, StatusCode::CONFLICT, "it is not approved yet");
    assert_eq!(decides.decide(&call, &verdict(&call, "approve")).await.0, StatusCode::OK);
    for (script, body, status) in [
        (&reads, body, StatusCode::FORBIDDEN),
        (&decides, r#"{"uses":4,"minutes":5}"#, StatusCode::UNPROCESSABLE_ENTITY),
        (&decides, r#"{"uses":1,"minutes":11}"#, StatusCode::UNPROCESSABLE_ENTITY),
        (&decides, r#"{"uses":1,"minutes":5,"open":["to"]}"#, StatusCode::UNPROCESSABLE_ENTITY),
        (&decides, r#"{"uses":1,"minutes":5,"opne":[]}"#, StatusCode::UNPROCESSABLE_ENTITY),
        (&decides, r#"{"uses":-1,"minutes":5}"#, StatusCode::UNPROCESSABLE_ENTITY),
        (&decides, "nothing", StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(script.post(&path, body).await.0, status, "{body}");
    }
    let (status, granted) = decides.post(&path, body).await;
    assert_eq!((status, &granted["uses"], &granted["in_force"]), (StatusCode::OK, &json!(2), &json!(true)));
    let passed = pages.bench.submit(r#"{"body":"two"}"#, offering()).await.call;
    assert_eq!(passed.state.name(), "approved");
    let (_, list) = reads.get("/api/v1/standing").await;
    assert_eq!((&list["standing"][0]["used"], &list["standing"][0]["id"]), (&json!(1), &granted["id"]));
    let end = format!("/api/v1/standing/{}/end", granted["id"].as_str().unwrap());
    assert_eq!(reads.post(&end, "{}").await.0, StatusCode::FORBIDDEN);
    let request = decides.browser.request(Method::POST, &end).bearer_auth(&decides.token);
    assert_eq!(request.send().await.unwrap().status(), StatusCode::NO_CONTENT);
    assert_eq!(decides.post(&end, "{}").await.0, StatusCode::CONFLICT);
    let waits = pages.bench.submit(r#"{"body":"three"}"#, offering()).await.call;
    assert_eq!(waits.state.name(), "pending");
}
