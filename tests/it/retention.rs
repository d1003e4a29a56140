//! Erasing by age: what is gone is gone from the files, what is left reveals nothing, and everything that reads a call
//! copes with it. What is kept is what was recorded, or is told to nobody.

use std::time::Duration;

use placet::approvals::{DecideError, How};
use placet::audit::Entry;
use placet::call::{
    Answer, ContextRead, ContextResult, HeldCall, OnTimeout, Requirement, Verdict, salted::answer_digest,
};
use placet::identity::Roles;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::Connection as _;

use crate::support::agent::{Agent, Stream, refusal};
use crate::support::app::{Setup, TestApp};
use crate::support::bench::Bench;
use crate::support::gate::Gate;
use crate::support::pages::Pages;
use crate::support::upstream::Upstream;

const DAY: Duration = Duration::from_secs(86_400);
const KEEP: Duration = Duration::from_secs(90 * 86_400);

async fn database(bench: &Bench) -> sqlx::SqliteConnection {
    let url = format!("sqlite://{}", bench.folder.path().join("placet.db").display());
    sqlx::SqliteConnection::connect(&url).await.unwrap()
}

/// How often `needle` stands in the database's files, side files included.
fn occurrences(bench: &Bench, needle: &str) -> usize {
    let files = ["placet.db", "placet.db-wal", "placet.db-shm"].map(|name| bench.folder.path().join(name));
    let read = |file| std::fs::read(file).unwrap_or_default();
    files.iter().map(read).map(|bytes| bytes.windows(needle.len()).filter(|w| *w == needle.as_bytes()).count()).sum()
}

/// A call with a word of its own in its arguments, headers, reads and answer, approved and run.
async fn run(bench: &Bench, word: &str, size: usize) -> HeldCall {
    let filler = word.repeat(size / word.len() + 1);
    let read = ContextRead { tool: "get_user_policy".into(), arguments: Ok(format!(r#"{{"user":"{word}"}}"#)) };
    let requirement = Requirement { context: vec![read], ..Requirement::plain(Duration::from_secs(900)) };
    let mut new = bench.call(&format!(r#"{{"user":"{filler}"}}"#), requirement);
    new.headers = vec![("mcp-param-user".into(), word.into())];
    new.agent_reason = Some(format!("because of {word}"));
    let call = bench.approvals.submit(new).await.unwrap().call;
    let result = ContextResult {
        tool: "get_user_policy".into(),
        arguments: format!(r#"{{"user":"{word}"}}"#),
        at: bench.clock.now(),
        result: Ok(format!(r#"{{"content":"{filler}"}}"#)),
    };
    let entry = Entry::new("context.recorded").call(call.submission.id);
    bench.store.set_context(call.submission.id, vec![result], [7; 32], entry).await.unwrap();
    *bench.upstream.answer.lock().unwrap() = Ok(Answer::Result(format!(r#"{{"content":"{filler}"}}"#)));
    let attached = bench.approvals.attach(call.submission.id);
    bench.approvals.decide(bench.decision(&call, bench.mira, Verdict::Approve)).await.unwrap();
    attached.finished().await.unwrap()
}

async fn now(bench: &Bench, call: &HeldCall) -> HeldCall {
    bench.store.call(call.submission.id).await.unwrap().unwrap()
}

#[tokio::test]
async fn what_is_erased_is_gone_from_the_files_and_nothing_left_confirms_a_guess() {
    let bench = Bench::new().await;
    let mut calls = Vec::new();
    // Of every size that SQLite stores in its own way: in the row, over pages of its own, over many of them.
    for (n, size) in [10, 300, 3_000, 3_900, 4_100, 20_000, 300_000].into_iter().cycle().take(21).enumerate() {
        calls.push(run(&bench, &format!("canary{n:02}-"), size).await);
    }
    let rejected = bench.hold(r#"{"user":"canary-rejected"}"#).await;
    bench.approvals.decide(bench.decision(&rejected, bench.mira, Verdict::Reject)).await.unwrap();
    let expired = bench.hold(r#"{"user":"canary-expired"}"#).await;
    bench.clock.advance(Duration::from_secs(900));
    bench.approvals.expire().await.unwrap();
    calls.extend([now(&bench, &rejected).await, now(&bench, &expired).await]);
    let plain = [&calls[0].submission.same_call.to_string(), &calls[3].held_mac.unwrap().to_string()].map(Clone::clone);
    assert!(occurrences(&bench, "canary") > 100 && plain.iter().all(|hash| occurrences(&bench, hash) > 0));
    let before: Vec<_> = bench.store.entries_of(calls[0].submission.id).await.unwrap();

    bench.clock.advance(KEEP - DAY);
    let young = bench.hold(r#"{"user":"sparrow"}"#).await;
    assert_eq!(bench.store.erase_ended(KEEP, 10).await.unwrap(), 0, "not before their time");
    bench.clock.advance(DAY);
    let mut erased = 0;
    for batch in [10, 10, 3, 0] {
        assert_eq!(bench.store.erase_ended(KEEP, 10).await.unwrap(), batch, "in batches, each call once");
        erased += batch;
    }
    assert_eq!(erased, calls.len());
    assert!(bench.store.scrub().await.unwrap());
    assert_eq!(occurrences(&bench, "canary"), 0);
    for hash in &plain {
        assert_eq!(occurrences(&bench, hash), 0, "a hash that confirms a guess");
    }
    assert!(occurrences(&bench, "sparrow") > 0 && now(&bench, &young).await.arguments().is_some());

    for call in &calls {
        let found = now(&bench, call).await;
        assert_eq!((found.arguments(), &found.answer, &found.context), (None, &None, &None));
        assert_eq!(found.submission.agent_reason, None);
        assert_eq!((found.redacted_at, found.digest), (Some(bench.clock.now()), call.digest));
        assert!(found.submission.requirement.context.is_empty() && found.held_mac.is_none());
        assert_eq!((&found.state, &found.votes), (&call.state, &call.votes), "who decided what is kept");
        assert_eq!(bench.kinds(call).await.last().unwrap(), "call.erased", "each one named in the log");
    }
    let after = bench.store.entries_of(calls[0].submission.id).await.unwrap();
    assert_eq!(after[..before.len()], before, "the log itself stays as it was");
    let bench = bench.restart().await;
    assert_eq!(occurrences(&bench, "canary"), 0);
}

#[tokio::test]
async fn an_erased_call_cannot_run_be_decided_or_answer_the_same_call_again() {
    let bench = Bench::new().await;
    let call = run(&bench, "canary", 10).await;
    bench.clock.advance(KEEP);
    bench.store.erase_ended(KEEP, 10).await.unwrap();
    let again = bench.approvals.decide(bench.decision(&call, bench.mira, Verdict::Approve)).await;
    assert!(matches!(again, Err(DecideError::NotPending(_))), "{again:?}");
    bench.approvals.returned(call.submission.id).await;
    let new = bench.submit(r#"{"user":"canarycanarycanary"}"#, Requirement::plain(Duration::from_secs(900))).await;
    assert_eq!(new.how, How::New);
    // Even set approved by hand: its digest is that of nothing.
    let mut connection = database(&bench).await;
    let forged = "UPDATE calls SET state = 'approved', approved_by = 'reviewers', usable_until = 9e15
                  WHERE redacted_at IS NOT NULL";
    sqlx::query(forged).execute(&mut connection).await.unwrap();
    bench.approvals.returned(call.submission.id).await;
    bench.until(&call, "revoked").await;
    assert_eq!(bench.sent(), 1, "the one time that it ran");
}

#[tokio::test]
async fn open_calls_and_unknown_outcomes_are_kept_however_old_they_are() {
    let bench = Bench::new().await;
    let long = Requirement { execute_within: KEEP * 10, ..Requirement::plain(KEEP * 10) };
    let pending = bench.submit(r#"{"a":1}"#, long.clone()).await.call;
    let approved = bench.submit(r#"{"a":2}"#, long.clone()).await.call;
    bench.approvals.decide(bench.decision(&approved, bench.mira, Verdict::Approve)).await.unwrap();
    let unknown = bench.submit(r#"{"a":3}"#, Requirement { on_timeout: OnTimeout::Reject, ..long }).await.call;
    *bench.upstream.answer.lock().unwrap() = Err(placet::approvals::ForwardError::Unknown("it broke off".into()));
    let attached = bench.approvals.attach(unknown.submission.id);
    bench.approvals.decide(bench.decision(&unknown, bench.mira, Verdict::Approve)).await.unwrap();
    attached.finished().await.unwrap();
    bench.clock.advance(KEEP * 9);
    assert_eq!(bench.store.erase_ended(KEEP, 10).await.unwrap(), 0);
    for call in [pending, approved, unknown] {
        assert_eq!(now(&bench, &call).await.arguments(), call.arguments());
    }
}

#[tokio::test]
async fn the_entry_has_the_salted_hash_of_the_answer() {
    let bench = Bench::new().await;
    let calls = [run(&bench, "same", 10).await, run(&bench, "same-", 1).await];
    for call in &calls {
        let entry = bench.store.entries_of(call.submission.id).await.unwrap().pop().unwrap();
        let body: Value = serde_json::from_str(&entry.body).unwrap();
        let digest = answer_digest(call.submission.id, &call.answer_salt.unwrap(), call.answer.as_ref().unwrap());
        assert_eq!(body["detail"]["result"], digest.to_string());
    }
    assert_ne!(calls[0].answer_salt, calls[1].answer_salt, "drawn anew each time");
}

#[tokio::test]
async fn an_answer_that_was_changed_in_the_database_is_told_to_nobody_and_raises_one_alarm() {
    for edit in [
        "UPDATE call_answers SET body = replace(body, 'done', 'gone')",
        "UPDATE call_answers SET salt = substr(salt, 2) || substr(salt, 1, 1)",
        "UPDATE call_answers SET salt = NULL",
        "UPDATE call_answers SET kind = 'error'",
        "DELETE FROM call_answers",
    ] {
        let gate = Gate::start().await;
        gate.upstream.on_result("tools/call put_user_policy", r#"{"content":[{"type":"text","text":"done"}]}"#);
        let agent = gate.session("bot").await;
        let arguments = json!({"user_name": "ci"});
        let mut stream = Stream::of(agent.call("put_user_policy", arguments.clone()).await);
        let held = gate.held("pending").await;
        gate.decide(&held, Verdict::Approve, "fine").await;
        assert_eq!(stream.message().await["result"]["content"][0]["text"], "done");
        let file = gate.store.folder().join("placet.db");
        let url = format!("sqlite://{}", file.display());
        let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
        let done = sqlx::query(edit).execute(&mut connection).await.unwrap();
        assert_eq!(done.rows_affected(), 1, "{edit}");
        for _ in 0..2 {
            let told = agent.result("put_user_policy", arguments.clone()).await;
            assert!(refusal(&told).starts_with("This call ran already"), "{edit}: {told}");
            assert!(!told.to_string().contains("gone") && !told.to_string().contains("\"done\""), "{edit}: {told}");
        }
        let alarms = gate.log().await.iter().filter(|kind| *kind == "alarm.result_tampered").count();
        assert_eq!((alarms, gate.upstream.calls("put_user_policy").len()), (1, 1), "{edit}");
    }
}

#[tokio::test]
async fn pages_and_api_say_what_was_erased_and_what_was_changed() {
    let pages = Pages::new().await;
    let roles = Roles { reviewer: true, auditor: true, administrator: true };
    pages.person("ada@example.com", &["iam"], roles).await;
    let ada = pages.sign_in("ada@example.com").await;
    let day = Duration::from_secs(86_400 * 365);
    let made = pages.identity.api_token_make("ada@example.com".parse().unwrap(), false, day).await.unwrap();
    let bench = &pages.bench;
    let (erased, robbed) = (run(bench, "canary", 10).await, run(bench, "robin", 10).await);
    let (edited, fine) = (run(bench, "magpie", 10).await, run(bench, "wren", 10).await);
    let mut connection = database(bench).await;
    let id = |call: &HeldCall| call.submission.id.to_string();
    for (sql, call) in [
        ("UPDATE call_answers SET body = replace(body, 'magpie', 'jackdaw') WHERE call_id = $1", &edited),
        ("UPDATE calls SET context = replace(context, 'magpie', 'jackdaw') WHERE id = $1", &edited),
        ("UPDATE calls SET redacted_at = 1795356131000 WHERE id = $1", &robbed),
    ] {
        assert_eq!(sqlx::query(sql).bind(id(call)).execute(&mut connection).await.unwrap().rows_affected(), 1);
    }
    let api = async |call: &HeldCall| -> Value {
        let request = ada.request(Method::GET, &format!("/api/v1/calls/{}", id(call)));
        let answer = request.bearer_auth(made.token.reveal()).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    };
    let page = async |call: &HeldCall| ada.page(&format!("/calls/{}", id(call))).await;

    let (shown, value) = (page(&edited).await, api(&edited).await);
    assert!(!shown.contains("jackdaw") && !value.to_string().contains("jackdaw"), "{shown}");
    assert!(shown.contains("what is stored is not what came back") && shown.contains("it was changed since"));
    assert_eq!((&value["outcome"]["tampered"], &value["baseline"]["state"]), (&json!(true), &json!("tampered")));
    assert!(page(&robbed).await.contains("the log does not say why"));
    let (shown, value) = (page(&fine).await, api(&fine).await);
    assert!(shown.contains("wrenwrenwren") && !shown.contains("notice alarm"));
    assert_eq!((&value["outcome"]["tampered"], &value["baseline"]["state"]), (&json!(false), &json!("read")));

    bench.clock.advance(KEEP);
    bench.store.erase_ended(KEEP, 100).await.unwrap();
    let ada = pages.sign_in("ada@example.com").await;
    let (shown, value) = (ada.page(&format!("/calls/{}", id(&erased))).await, api(&erased).await);
    assert!(shown.contains("as the configured retention asks") && shown.contains("erased, as the retention asks"));
    assert!(!shown.contains("canary") && !shown.contains("notice alarm") && !shown.contains("SHA-256 of the arg"));
    assert_eq!(value["arguments"], Value::Null);
    assert_eq!(value["redacted_at"], bench.clock.now().to_string());
    assert_eq!(value["outcome"]["text"], Value::Null);
    for list in ["/history", "/history?text=put_user", "/audit?kind=call.erased", "/api/v1/calls", "/"] {
        let answer = ada.request(Method::GET, list).bearer_auth(made.token.reveal()).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{list}");
        assert_eq!(answer.text().await.unwrap().contains(&id(&erased)), list != "/", "{list}");
    }
}

#[tokio::test]
async fn the_service_erases_by_itself_at_the_start_and_while_it_runs() {
    let upstream = Upstream::start().await;
    let app = Setup::http(&upstream.url).start().await;
    app.reviewer("mira@example.com", &["iam"]).await;
    let mut agent = Agent::new(app.mcp(), &app.agent("ci-bot").await);
    let mut held = Vec::new();
    for name in ["first-canary", "second-canary"] {
        agent.session = None;
        agent.initialize("2025-11-25").await;
        let stream = Stream::of(agent.call("put_user_policy", json!({"user_name": name})).await);
        let call = app.pending().await;
        app.setup.clock.advance(Duration::from_secs(900));
        app.until("the expiry", async || {
            app.app.store.call(call.submission.id).await.unwrap().filter(|call| call.state.is_terminal())
        })
        .await;
        drop(stream);
        held.push(call);
        // The second one ends half the time later.
        app.setup.clock.advance(KEEP / 2);
    }
    let erased = async |app: &TestApp, call: &HeldCall| {
        let id = call.submission.id;
        let gone = async || {
            // It may have looked just before the time had come: the next look is some minutes later.
            app.setup.clock.advance(Duration::from_secs(60));
            app.app.store.call(id).await.unwrap().filter(|call| call.redacted_at.is_some())
        };
        app.until("the erasure", gone).await
    };
    erased(&app, &held[0]).await;
    assert!(app.app.store.call(held[1].submission.id).await.unwrap().unwrap().redacted_at.is_none());
    app.setup.clock.advance(KEEP);
    let app = app.restart().await;
    erased(&app, &held[1]).await;
    let files = ["placet.db", "placet.db-wal"].map(|name| app.folder.path().join("data").join(name));
    app.until("the last byte to go", async || {
        // A reader may have kept part of the write-ahead log back the first time.
        app.setup.clock.advance(Duration::from_secs(5));
        let read = |file| std::fs::read(file).unwrap_or_default();
        let left = files.iter().map(read).any(|bytes| bytes.windows(6).any(|window| window == b"canary"));
        (!left).then_some(())
    })
    .await;
}
