//! A database that was put back: nothing runs without a new approval, and everybody whom it concerns is told.

mod spent;

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::IntoResponse as _;
use placet::approvals::settle;
use placet::call::{CallId, CallState, Email, HeldCall, Millis, OnTimeout, Requirement, Verdict};
use placet::identity::throttle::Source;
use placet::notary::LogAtStart;
use placet::store::{CallFilter, EntryFilter, StoredEntry, Witness};
use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection};
use tempfile::TempDir;

use crate::support::agent::{Agent, Stream};
use crate::support::app::{PASSWORD, START, Setup, TestApp};
use crate::support::bench::Bench;
use crate::support::command::placet;
use crate::support::upstream::{Upstream, json_answer};

/// Days pass, and everything still has its time.
const POLICY: &str = r#"{ "version": "1", "default": "deny", "tools": { "echo": {},
    "put_user_policy": { "action": "require_approval",
      "approval": { "timeout": "9d", "execute_within": "9d", "reviewers": ["iam"] } } } }"#;
const MIRA: &str = "mira@example.com";
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What one client sees of the pages and of the API.
struct Client {
    http: reqwest::Client,
    url: String,
    cookie: String,
    token: String,
}

impl Client {
    async fn new(app: &TestApp) -> Self {
        let identity = &app.app.identity;
        let signed_in = identity.sign_in(MIRA, PASSWORD.to_owned().into(), Source::new(None), "a test".into(), None);
        let cookie = signed_in.await.unwrap().cookie.reveal().to_owned();
        let token = identity.api_token_make(Email::parse(MIRA).unwrap(), true, DAY * 30).await.unwrap();
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { http, url: app.url.clone(), cookie, token: token.token.reveal().to_owned() }
    }

    async fn page(&self, app: &TestApp, path: &str) -> (StatusCode, String) {
        let request = self.http.get(format!("{}{path}", app.url)).header("cookie", format!("placet={}", self.cookie));
        let response = request.send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    }

    async fn api(&self, app: &TestApp, id: CallId) -> (StatusCode, Value) {
        let request = self.http.get(format!("{}/api/v1/calls/{id}", app.url)).bearer_auth(&self.token);
        let response = request.send().await.unwrap();
        (response.status(), serde_json::from_str(&response.text().await.unwrap()).unwrap())
    }

    async fn approve(&self, call: &HeldCall) {
        self.post(call.submission.id, "decision", json!({"verdict": "approve", "digest": call.digest})).await;
    }

    /// Says that a call of unknown outcome did not run.
    async fn did_not_run(&self, call: CallId) {
        self.post(call, "finding", json!({"ran": false, "reason": "the policy is not there"})).await;
    }

    async fn post(&self, call: CallId, what: &str, body: Value) {
        let url = format!("{}/api/v1/calls/{call}/{what}", self.url);
        let response = self
            .http
            .post(url)
            .bearer_auth(&self.token)
            .header("content-type", "application/json")
            .body(body.to_string())
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{}", response.text().await.unwrap());
    }
}

async fn agent(app: &TestApp, token: &str) -> Agent {
    let mut agent = Agent::new(app.mcp(), token);
    agent.initialize("2025-11-25").await;
    agent
}

fn named(name: &str) -> Value {
    json!({"user_name": "ci", "policy_name": name})
}

async fn calls(app: &TestApp, name: &str) -> Vec<HeldCall> {
    let page = app.app.store.calls(CallFilter { limit: 100, oldest_first: true, ..Default::default() }).await.unwrap();
    page.calls.into_iter().filter(|call| call.submission.arguments().contains(&format!("\"{name}\""))).collect()
}

async fn in_state(app: &TestApp, name: &str, state: &str) -> HeldCall {
    app.until(&format!("{name} {state}"), async || {
        calls(app, name).await.into_iter().find(|call| call.state.name() == state)
    })
    .await
}

/// Asks for the call and stays.
async fn ask(app: &TestApp, agent: &Agent, name: &str) -> (Stream, HeldCall) {
    let stream = Stream::of(agent.call("put_user_policy", named(name)).await);
    (stream, in_state(app, name, "pending").await)
}

/// Asks for the call and leaves.
async fn ask_and_leave(app: &TestApp, agent: &Agent, name: &str) -> HeldCall {
    drop(ask(app, agent, name).await);
    app.until("the caller's leaving", async || calls(app, name).await.pop().filter(|call| call.caller_gone)).await
}

async fn entries(app: &TestApp, kind: &str) -> Vec<StoredEntry> {
    let filter = EntryFilter { limit: 100, kind: Some(kind.into()), ..Default::default() };
    app.app.store.entries(filter).await.unwrap()
}

pub(crate) fn copy_files(from: &Path, to: &Path, wanted: impl Fn(&str) -> bool) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() && wanted(file.file_name().to_str().unwrap()) {
            std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
}

/// One call never gets an answer; the others do at once.
fn script(upstream: &Upstream) {
    upstream.on("tools/call put_user_policy", |message| {
        if message["params"]["arguments"]["policy_name"] == "sent" {
            let never = futures_util::stream::pending::<Result<Bytes, Infallible>>();
            return ([("content-type", "application/json")], Body::from_stream(never)).into_response();
        }
        json_answer(format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{"content":[]}}}}"#, message["id"]))
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn yesterdays_backup_runs_nothing_and_says_what_it_is() {
    let upstream = Upstream::start().await;
    script(&upstream);
    let app = Setup::http(&upstream.url).policy(POLICY).start().await;
    app.reviewer(MIRA, &["iam"]).await;
    let (token, revoked) = (app.agent("ci").await, app.agent("old").await);
    let bot = agent(&app, &token).await;
    let mira = Client::new(&app).await;

    let parked = ask_and_leave(&app, &bot, "parked").await;
    mira.approve(&parked).await;
    let (_sent, sent) = ask(&app, &bot, "sent").await;
    mira.approve(&sent).await;
    upstream.until_called("put_user_policy", 1).await;
    let waits = ask_and_leave(&app, &bot, "waits").await;
    let outside = tempfile::tempdir().unwrap();
    let backup = outside.path().join("backup.db");
    app.app.store.backup(&backup, "the-copy".into()).await.unwrap();

    // The day goes on: what waited is approved and runs, another call comes and runs, an agent is revoked.
    app.setup.clock.advance(DAY / 2);
    mira.approve(&waits).await;
    // Its session has ended meanwhile.
    let bot = agent(&app, &token).await;
    bot.result("put_user_policy", named("waits")).await;
    in_state(&app, "waits", "executed").await;
    let (_stream, later) = ask(&app, &bot, "later").await;
    mira.approve(&later).await;
    in_state(&app, "later", "executed").await;
    app.app.identity.agent_revoke("old".parse().unwrap()).await.unwrap();
    let signed = app.app.notary.checkpoint().await.unwrap();
    assert_eq!(upstream.calls("put_user_policy").len(), 3);

    // The day after, the copy is put in the place of the database.
    let folder = Arc::new(TempDir::new().unwrap());
    let (old, new) = (app.folder.path().join("data"), folder.path().join("data"));
    copy_files(&old, &new, |name| name.starts_with("seal") || name.starts_with("audit."));
    std::fs::copy(&backup, new.join("placet.db")).unwrap();
    let clock = placet::clock::Clock::manual(START.after(DAY));
    let app = Setup { clock, ..app.setup.clone() }.start_in(folder).await;

    let restored = app.app.restored.clone().expect("it says so");
    let mark = restored.found.copy.clone().unwrap();
    assert_eq!((mark.id.as_str(), mark.at), ("the-copy", START));
    let witness = Witness { source: "audit.checkpoint".into(), checkpoint: signed.size };
    assert_eq!(restored.found.witness, Some(witness));
    let done = restored.done;
    assert_eq!((done.unknown, done.pending, done.sessions, done.tokens), (2, 1, 1, 1));
    let words = restored.to_string();
    for part in ["this database is a backup of 2026-11-22T14:02:11.000Z", "audit.checkpoint was signed over"] {
        assert!(words.contains(part), "{words}");
    }
    assert!(matches!(app.app.log_at_start, LogAtStart::Behind { .. }));
    for (kind, count) in
        [("store.restored", 1), ("alarm.log_behind", 1), ("call.restored", 1), ("call.outcome_unknown", 2)]
    {
        assert_eq!(entries(&app, kind).await.len(), count, "{kind}");
    }
    let state = async |id| app.app.store.call(id).await.unwrap().map(|call| call.state);
    let (parked, sent, waits) = (parked.submission.id, sent.submission.id, waits.submission.id);
    assert!(matches!(state(parked).await, Some(CallState::OutcomeUnknown { .. })));
    assert!(matches!(state(sent).await, Some(CallState::OutcomeUnknown { .. })));
    assert!(matches!(state(waits).await, Some(CallState::Pending { .. })));
    assert_eq!(state(later.submission.id).await, None);

    // Who was signed in is not, and no token of before works.
    assert_eq!(mira.page(&app, "/").await.0, StatusCode::SEE_OTHER);
    assert_eq!(mira.api(&app, waits).await.0, StatusCode::UNAUTHORIZED);
    let mira = Client::new(&app).await;

    // The agent comes back with each of them: unknown, held anew, or joined; never run. What was approved then may have
    // run since, so it is held anew only when somebody found that it has not.
    let bot = agent(&app, &token).await;
    let unknown = bot.result("put_user_policy", named("parked")).await;
    assert_eq!(unknown["result"]["_meta"]["placet/call"]["state"], "outcome_unknown", "{unknown}");
    let (_, page) = mira.page(&app, &format!("/calls/{parked}")).await;
    assert!(page.contains("Nobody knows whether this ran") && page.contains("it was approved, and may have run"));
    moments_are_for_people(&page);
    mira.did_not_run(parked).await;
    let (_parked, anew) = ask(&app, &bot, "parked").await;
    assert_ne!(anew.submission.id, parked);
    let (_later, anew_later) = ask(&app, &bot, "later").await;
    assert_ne!(anew_later.submission.id, later.submission.id);
    let unknown = bot.result("put_user_policy", named("sent")).await;
    assert_eq!(unknown["result"]["_meta"]["placet/call"]["state"], "outcome_unknown", "{unknown}");
    let (stream, joined) = ask(&app, &bot, "waits").await;
    assert_eq!(joined.submission.id, waits);
    assert_eq!(upstream.calls("put_user_policy").len(), 3, "nothing ran");
    // An agent that was revoked since lives again: the page says what to do about it.
    agent(&app, &revoked).await;
    let (_, audit) = mira.page(&app, "/audit").await;
    assert!(audit.contains("id=\"restored\"") && audit.contains("placet agent list"), "{audit}");
    moments_are_for_people(&audit);
    assert!(
        audit.contains("The audit log is not as Placet signed it.") && !audit.contains("counts for nothing"),
        "{audit}"
    );
    // Of what waits in the queue, the one from the copy says so.
    let (_, queue) = mira.page(&app, "/").await;
    assert_eq!((queue.matches("<li class").count(), queue.matches("from a copy, may have run").count()), (3, 1));

    // What waits says that it may have run; what came after says nothing of the kind.
    let (_, page) = mira.page(&app, &format!("/calls/{waits}")).await;
    let warning = page.find("This call may have been decided and run already").expect("a warning");
    assert!(warning < page.find("id=\"decide\"").unwrap() && page.contains("as of 2026-11-22 14:02:11 UTC"), "{page}");
    moments_are_for_people(&page);
    assert_eq!(mira.api(&app, waits).await.1["restored_as_of"], "2026-11-22T14:02:11.000Z");
    assert_eq!(mira.api(&app, anew.submission.id).await.1["restored_as_of"], Value::Null);
    let (_, page) = mira.page(&app, &format!("/calls/{}", anew.submission.id)).await;
    assert!(!page.contains("may have been decided"), "{page}");
    mira.approve(&joined).await;
    in_state(&app, "waits", "executed").await;
    assert_eq!(upstream.calls("put_user_policy").len(), 4, "a new approval runs it");
    drop(stream);

    // It is put back once: the next start goes on.
    drop((_parked, _later));
    let app = app.restart().await;
    assert_eq!(app.app.restored, None);
    assert!(matches!(app.app.log_at_start, LogAtStart::Continues { .. }));
    assert_eq!(
        (entries(&app, "store.restored").await.len(), entries(&app, "call.outcome_unknown").await.len()),
        (1, 2)
    );
    assert_eq!(mira.page(&app, "/").await.0, StatusCode::OK, "who signed in since stays signed in");
    assert_eq!(app.app.store.copy_mark().await.unwrap(), None);
}

/// No moment stands in the text of a page as programs write it.
fn moments_are_for_people(page: &str) {
    let text = page.split('<').filter_map(|part| part.split_once('>')).map(|(_, text)| text).collect::<String>();
    let iso = text.match_indices('T').find(|(at, _)| {
        let around = text.as_bytes().get(at.saturating_sub(3)..at + 4).unwrap_or_default();
        matches!(around, [b'-', a, b, b'T', c, d, b':'] if [a, b, c, d].iter().all(|byte| byte.is_ascii_digit()))
    });
    assert_eq!(iso.map(|(at, _)| &text[at - 10..at + 10]), None);
}

/// The whole folder is put back, published checkpoint and all: only what is kept elsewhere knows better.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_put_back_whole_is_found_out_by_an_anchor() {
    let upstream = Upstream::start().await;
    script(&upstream);
    let elsewhere = tempfile::tempdir().unwrap();
    let toml = |anchor: &str| format!("[[upstreams]]\nname = \"iam\"\nurl = \"{}\"\n{anchor}", upstream.url);
    let anchor = format!("[[anchors]]\nfile = \"{}\"\n", elsewhere.path().join("notes").display());
    let app = Setup::toml(toml(&anchor)).policy(POLICY).start().await;
    app.reviewer(MIRA, &["iam"]).await;
    let token = app.agent("ci").await;
    let bot = agent(&app, &token).await;
    let parked = ask_and_leave(&app, &bot, "parked").await;
    Client::new(&app).await.approve(&parked).await;
    let (setup, folder) = (app.setup.clone(), Arc::clone(&app.folder));
    assert!(app.app.stop(Duration::from_secs(20)).await);
    let (data, kept) = (folder.path().join("data"), elsewhere.path().join("kept"));
    copy_files(&data, &kept, |_| true);

    // It goes on: the parked call runs, and the anchor hears of it.
    let app = setup.clone().start_in(Arc::clone(&folder)).await;
    let bot = agent(&app, &token).await;
    bot.result("put_user_policy", named("parked")).await;
    in_state(&app, "parked", "executed").await;
    let size = app.app.notary.checkpoint().await.unwrap().size;
    let notes = elsewhere.path().join("notes");
    app.until("the anchor's note", async || {
        setup.clock.advance(Duration::from_secs(400));
        let lines = std::fs::read_to_string(&notes).unwrap_or_default();
        let lines: Vec<_> = lines.lines().collect();
        // A note's first line is its origin, the second its size.
        let mut sizes = lines.windows(2).filter(|pair| pair[0].starts_with("placet.log/"));
        let last: u64 = sizes.next_back()?[1].parse().unwrap();
        (last >= size).then_some(())
    })
    .await;
    assert!(app.app.stop(Duration::from_secs(20)).await);

    std::fs::remove_dir_all(&data).unwrap();
    copy_files(&kept, &data, |_| true);
    let end = Millis(setup.clock.now().0);
    let app = setup.clone().start_in(Arc::clone(&folder)).await;
    let LogAtStart::Behind { source, .. } = &app.app.log_at_start else { panic!("{:?}", app.app.log_at_start) };
    assert!(source.starts_with("the anchor "), "{source}");
    let restored = app.app.restored.clone().unwrap();
    assert_eq!((restored.found.copy, restored.done.unknown), (None, 1));
    assert!(restored.found.as_of < end, "as of the last entry, not of the start");
    let bot = agent(&app, &token).await;
    let unknown = bot.result("put_user_policy", named("parked")).await;
    assert_eq!(unknown["result"]["_meta"]["placet/call"]["state"], "outcome_unknown", "{unknown}");
    Client::new(&app).await.did_not_run(parked.submission.id).await;
    let (_stream, anew) = ask(&app, &bot, "parked").await;
    assert_ne!(anew.submission.id, parked.submission.id);
    assert_eq!(upstream.calls("put_user_policy").len(), 1);
    // It was found once.
    drop(_stream);
    assert_eq!(app.restart().await.app.restored, None);
}

/// Where the policy itself approves what nobody answers, a call from a copy is not: it may have run already.
#[tokio::test]
async fn no_deadline_approves_a_call_from_a_copy() {
    let bench = Bench::new().await;
    let requirement = Requirement { on_timeout: OnTimeout::Approve, ..Requirement::plain(Duration::from_secs(900)) };
    let before = bench.submit("{\"n\":1}", requirement.clone()).await.call;
    let (log, as_of) = bench.store.log_end().await.unwrap();
    assert_eq!(settle(&bench.store, None, log, as_of).await.unwrap(), None, "nothing says that it was put back");
    let witness = Witness { source: "an anchor".into(), checkpoint: log + 9 };
    let restored = settle(&bench.store, Some(witness), log, as_of).await.unwrap().unwrap();
    assert_eq!(restored.done.pending, 1);
    assert!(restored.to_string().contains("an anchor was signed over"), "{restored}");
    let after = bench.submit("{\"n\":2}", requirement).await.call;
    bench.store.set_told_to_return(before.submission.id).await.unwrap();
    bench.clock.advance(Duration::from_secs(901));
    bench.approvals.expire().await.unwrap();
    bench.until(&before, "expired").await;
    let approved = bench.store.call(after.submission.id).await.unwrap().unwrap();
    assert_eq!(approved.state.name(), "approved", "one that was held since is");
    assert_eq!(bench.sent(), 0);
    assert_eq!(bench.kinds(&before).await, ["call.held", "call.restored", "call.expired"]);
}

/// That a call comes from a copy is sealed: taken out of the row, or the whole row put back to how it was, the call is
/// not one that was held here.
#[tokio::test]
async fn that_a_call_comes_from_a_copy_cannot_be_taken_back_in_the_database() {
    let bench = Bench::new().await;
    let requirement = Requirement { on_timeout: OnTimeout::Approve, ..Requirement::plain(Duration::from_secs(900)) };
    let mut calls = Vec::new();
    for n in 0..3 {
        calls.push(bench.submit(&format!("{{\"n\":{n}}}"), requirement.clone()).await.call);
    }
    let file = bench.folder.path().join("placet.db");
    let mut database = SqliteConnection::connect(&format!("sqlite://{}", file.display())).await.unwrap();
    let old: (i64, String) = sqlx::query_as("SELECT entry, state_mac FROM calls WHERE id = $1")
        .bind(calls[1].submission.id.to_string())
        .fetch_one(&mut database)
        .await
        .unwrap();
    // One that was forged before is not made genuine by it.
    sqlx::query("UPDATE calls SET expires_at = expires_at + 1 WHERE id = $1")
        .bind(calls[2].submission.id.to_string())
        .execute(&mut database)
        .await
        .unwrap();
    let (log, as_of) = bench.store.log_end().await.unwrap();
    let witness = Witness { source: "an anchor".into(), checkpoint: log + 9 };
    settle(&bench.store, Some(witness), log, as_of).await.unwrap().unwrap();
    let genuine = async |n: usize| bench.store.call(calls[n].submission.id).await.unwrap().unwrap().genuine;
    assert!(genuine(0).await && genuine(1).await && !genuine(2).await);

    let edit = "UPDATE calls SET as_of = NULL WHERE id = $1";
    sqlx::query(edit).bind(calls[0].submission.id.to_string()).execute(&mut database).await.unwrap();
    let edit = "UPDATE calls SET as_of = NULL, entry = $2, state_mac = $3 WHERE id = $1";
    let older = sqlx::query(edit).bind(calls[1].submission.id.to_string()).bind(old.0).bind(old.1);
    older.execute(&mut database).await.unwrap();
    assert!(!genuine(0).await && !genuine(1).await && !genuine(2).await);
    bench.clock.advance(Duration::from_secs(901));
    bench.approvals.expire().await.unwrap();
    for call in &calls {
        bench.until(call, "expired").await;
        let mut kinds = bench.kinds(call).await;
        // Whoever reads the row first says that it was changed; what ends the call says why.
        kinds.retain(|kind| kind != "alarm.row_changed");
        assert_eq!(kinds, ["call.held", "call.restored", "alarm.call_tampered"]);
    }
    assert_eq!(bench.sent(), 0);
}

/// A start that dies in the middle of it leaves the next one to do the rest, from a database that runs nothing.
#[tokio::test]
async fn a_start_that_ends_in_the_middle_is_made_good_by_the_next() {
    let bench = Bench::new().await;
    let approved = bench.hold("{\"n\":1}").await;
    bench.approvals.decide(bench.decision(&approved, bench.mira, Verdict::Approve)).await.unwrap();
    bench.hold("{\"n\":2}").await;
    let folder = tempfile::tempdir().unwrap();
    bench.store.backup(&folder.path().join("copy.db"), "x".into()).await.unwrap();
    let data = tempfile::tempdir().unwrap();
    std::fs::copy(folder.path().join("copy.db"), data.path().join("placet.db")).unwrap();
    std::fs::copy(bench.folder.path().join("seal.key"), data.path().join("seal.key")).unwrap();
    let db = rusqlite::Connection::open(data.path().join("placet.db")).unwrap();
    // The last write of all does not come through.
    db.execute_batch(
        "CREATE TRIGGER failpoint_full BEFORE INSERT ON entries WHEN NEW.kind = 'store.restored'
         BEGIN SELECT RAISE(ABORT, 'full'); END",
    )
    .unwrap();
    let tasks = placet::lifecycle::Tasks::default();
    let store = placet::store::Store::open(data.path(), bench.clock.clone(), &tasks).await.unwrap();
    let (log, as_of) = store.log_end().await.unwrap();
    settle(&store, None, log, as_of).await.unwrap_err();
    let call = store.call(approved.submission.id).await.unwrap().unwrap();
    assert_eq!(call.state.name(), "outcome_unknown");
    assert!(store.copy_mark().await.unwrap().is_some() && store.restoration().await.unwrap().is_none());
    db.execute_batch("DROP TRIGGER failpoint_full").unwrap();
    let restored = settle(&store, None, log, as_of).await.unwrap().unwrap();
    assert_eq!((restored.done.unknown, restored.done.pending), (0, 1));
    assert_eq!(store.copy_mark().await.unwrap(), None);
    assert_eq!(store.restoration().await.unwrap(), Some(restored));
    assert_eq!(settle(&store, None, log, as_of).await.unwrap(), None);
    // What was done about it is what calls can come to.
    let verified = placet(&["audit", "verify", "--data-dir", data.path().to_str().unwrap()]).await;
    assert!(verified.code != 1 && !verified.out.contains("TAMPERED"), "{}{}", verified.out, verified.err);
}
