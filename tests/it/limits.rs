//! The policy's limits over restarts and crashes, and the bounds on what one agent holds: nothing that was forwarded or
//! held is forgotten, and nobody is given a quota twice.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use placet::approvals::{How, Settings, SubmitError};
use placet::call::{Millis, Requirement, Verdict};
use placet::clock::Clock;
use placet::in_force::{InForce, Listing};
use placet::lifecycle::Tasks;
use placet::policy::Defaults;
use placet::store::{CounterRow, HoldLimits, Store, StoreError};
use serde_json::{Value, json};

use crate::support::agent::{Agent, Piece, Stream, answer, refusal};
use crate::support::app::{Setup, TestApp};
use crate::support::bench::{Bench, START};
use crate::support::gate::Gate;
use crate::support::upstream::Upstream;

const HOUR: Duration = Duration::from_secs(3600);

const POLICY: &str = r#"{ "version": "1", "default": "deny",
  "methods": { "vendor/*": { "action": "allow", "limits": [ { "counter": "m", "window": "day", "max": 2 } ] } },
  "tools": {
    "echo": { "risk": "read", "limits": [ { "counter": "c", "window": "day", "max": 2 } ] },
    "slide": { "limits": [ { "counter": "c", "window": "day", "sliding": true, "max": 2,
        "on_deny": "two a day are enough" } ] },
    "pay": { "limits": [ { "counter": "spent", "of": "_global", "window": "hour", "add": "args.amount", "max": 0.3 } ] },
    "put_user_policy": { "action": "require_approval",
      "limits": [ { "counter": "held", "window": "hour", "max": 2, "scope": "agent" } ] } } }"#;

async fn agent(app: &TestApp, token: &str) -> Agent {
    let mut agent = Agent::new(app.mcp(), token);
    agent.initialize("2025-11-25").await;
    agent
}

async fn vendor(agent: &Agent) -> Value {
    answer(agent.post(r#"{"jsonrpc":"2.0","id":1,"method":"vendor/x"}"#).await).await
}

/// The words and the moment, where a call was refused by a limit.
fn limited(answer: &Value) -> (String, Option<String>) {
    let about = &answer["result"]["_meta"]["placet/call"];
    assert_eq!(about["state"], "limited", "{answer}");
    (refusal(answer).to_owned(), about["retry_at"].as_str().map(str::to_owned))
}

/// Runs one call of each kind, each of which passes; `n` tells them apart.
async fn one_of_each(agent: &Agent, n: u32) {
    let amount = json!({"amount": if n == 1 { 0.1 } else { 0.2 }});
    for (tool, arguments) in [("echo", json!({})), ("slide", json!({})), ("pay", amount)] {
        let ran = agent.result(tool, arguments).await;
        assert_eq!(ran["result"]["isError"], Value::Null, "{tool}: {ran}");
    }
    assert!(vendor(agent).await.get("result").is_some());
    let mut held = Stream::of(agent.call("put_user_policy", json!({"n": n})).await);
    assert_eq!(held.next().await, Some(Piece::Comment));
}

/// Nothing of any kind passes any more, and the agent is told until when.
async fn nothing_more(agent: &Agent) {
    let (words, at) = limited(&agent.result("echo", json!({})).await);
    assert_eq!(at.as_deref(), Some("2026-11-23T00:00:00.000Z"));
    assert!(words.contains("It may be called again at 2026-11-23T00:00:00.000Z."), "{words}");
    let (words, at) = limited(&agent.result("slide", json!({})).await);
    assert_eq!(at.as_deref(), Some("2026-11-23T14:02:11.000Z"));
    assert!(words.contains("is reached: two a day are enough. It may"), "{words}");
    let (_, at) = limited(&agent.result("pay", json!({"amount": 0.01})).await);
    assert_eq!(at.as_deref(), Some("2026-11-22T15:00:00.000Z"));
    let (words, at) = limited(&agent.result("pay", json!({"amount": 1})).await);
    assert!(words.contains("It alone is more than the limit allows") && at.is_none(), "{words}");
    let (_, at) = limited(&agent.result("put_user_policy", json!({"n": 3})).await);
    assert_eq!(at.as_deref(), Some("2026-11-22T15:00:00.000Z"));
    // Coming back for a held call takes nothing.
    let mut again = Stream::of(agent.call("put_user_policy", json!({"n": 1})).await);
    assert_eq!(again.next().await, Some(Piece::Comment));
    let error = &vendor(agent).await["error"];
    assert_eq!(error["data"]["retry_at"], "2026-11-23T00:00:00.000Z", "{error}");
}

/// How much the rows say was counted, by counter.
async fn counted(store: &Store) -> BTreeMap<String, String> {
    let rows = store.counters().await.unwrap();
    let name = |row: &CounterRow| {
        let counter: Value = serde_json::from_str(&row.counter).unwrap();
        let of = counter["entry"].as_str().or(counter["of"].as_str()).unwrap();
        of.rsplit('/').next().unwrap().to_owned()
    };
    rows.iter().map(|row| (name(row), row.amount.clone())).collect()
}

#[tokio::test]
async fn a_restart_forgets_nothing_that_was_counted() {
    let upstream = Upstream::start().await;
    upstream.on_result("vendor/x", "{}");
    let mut app = Setup::http(&upstream.url).policy(POLICY).start().await;
    let token = app.agent("bot").await;
    for n in [1, 2] {
        one_of_each(&agent(&app, &token).await, n).await;
        app = app.restart().await;
    }
    nothing_more(&agent(&app, &token).await).await;
    // Nor does the clock that is set back while nothing runs.
    app.setup.clock.set(Millis(START.0 - 86_400_000));
    app = app.restart().await;
    nothing_more(&agent(&app, &token).await).await;
    assert_eq!((upstream.calls("echo").len(), upstream.calls("slide").len(), upstream.calls("pay").len()), (2, 2, 2));
    // What has ended is forgotten in the database too.
    app.setup.clock.advance(Duration::from_secs(3 * 86_400));
    app.until("forgetting", async || app.app.store.counters().await.unwrap().is_empty().then_some(())).await;
    one_of_each(&agent(&app, &token).await, 1).await;
}

/// What a process leaves that dies at this moment.
async fn killed(app: &TestApp) -> TestApp {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    for entry in std::fs::read_dir(app.folder.path().join("data")).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), data.join(entry.file_name())).unwrap();
        }
    }
    let mut setup = app.setup.clone();
    setup.clock = setup.clock.restarted();
    setup.start_in(Arc::new(folder)).await
}

#[tokio::test]
async fn a_process_that_dies_forgets_nothing_that_was_forwarded_or_held() {
    let upstream = Upstream::start().await;
    upstream.on_result("vendor/x", "{}");
    let app = Setup::http(&upstream.url).policy(POLICY).start().await;
    let token = app.agent("bot").await;
    let agent_there = agent(&app, &token).await;
    one_of_each(&agent_there, 1).await;
    let after = killed(&app).await;
    one_of_each(&agent(&after, &token).await, 2).await;
    nothing_more(&agent(&after, &token).await).await;
    one_of_each(&agent_there, 2).await;
    let after = killed(&app).await;
    nothing_more(&agent(&after, &token).await).await;
}

#[tokio::test]
async fn what_cannot_be_counted_is_denied_and_does_not_arrive() {
    let gate = Gate::with(POLICY).await;
    let agent = gate.session("bot").await;
    for (amount, why) in
        [(json!(-1), "is less than 0"), (json!("1"), "is not a number"), (json!(null), "is not a number")]
    {
        let told = agent.result("pay", json!({"amount": amount})).await;
        assert!(refusal(&told).contains(&format!("adds up args.amount, which {why}.")), "{told}");
        assert_eq!(told["result"]["_meta"]["placet/call"]["state"], "denied");
    }
    let missing = agent.result("pay", json!({})).await;
    assert!(refusal(&missing).contains("args.amount, which is missing"), "{missing}");
    for number in ["1e400", "1e-401", "1e99999999999999999999"] {
        let params = format!(r#"{{"name":"pay","arguments":{{"amount":{number}}}}}"#);
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);
        assert!(refusal(&answer(agent.post(body).await).await).contains("too large or too fine"), "{number}");
    }
    assert!(gate.upstream.calls("pay").is_empty() && counted(&gate.store).await.is_empty());
    let entry =
        gate.store.entries(placet::store::EntryFilter { limit: 1, ..Default::default() }).await.unwrap().remove(0);
    let body: Value = serde_json::from_str(&entry.body).unwrap();
    assert_eq!((entry.kind.as_str(), &body["detail"]["rule"]), ("call.denied", &json!("/tools/pay/limits/0/add")));
}

#[tokio::test]
async fn what_was_not_forwarded_is_given_back() {
    let policy = r#"{ "version": "1", "tools": { "hang": {},
        "echo": { "limits": [ { "counter": "c", "window": "day", "max": 2 } ] } } }"#;
    let gate = Gate::process_with("legacy", policy).await;
    let agent = gate.session("bot").await;
    let _hanging = gate.in_time(agent.call("hang", json!({})), 1).await;
    for _ in 0..4 {
        let told = agent.result("echo", json!({})).await;
        let words = told["error"]["message"].as_str().unwrap();
        assert!(words.starts_with("Nothing was run: a request with this id"), "{told}");
    }
    // Each was written down before it was tried, and so is that it did not go out.
    let mut looks = 0;
    while counted(&gate.store).await["echo"] != "0" {
        looks += 1;
        assert!(looks < 1000, "{:?}", counted(&gate.store).await);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let echo = async |id: u32| answer(agent.post(crate::support::agent::call(id, "echo", &json!({}))).await).await;
    assert!(echo(2).await["result"]["line"].is_string() && echo(3).await["result"]["line"].is_string());
    limited(&echo(4).await);
}

#[tokio::test]
async fn what_was_held_is_not_given_back_when_it_is_taken_back() {
    let gate = Gate::with(POLICY).await;
    let discovered = r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{}}"#;
    gate.upstream.on_result("server/discover", discovered);
    let agent = gate.agent("bot").await;
    let params = |n: u32| json!({"name": "put_user_policy", "arguments": {"n": n}});
    for n in 1..3 {
        let mut events = gate.approvals.events();
        let held = agent.stateless_as(n, "tools/call", params(n)).await;
        let call = gate.held("pending").await;
        // Closing the stream takes the call back.
        drop(held);
        while gate.store.call(call.submission.id).await.unwrap().unwrap().state.name() != "cancelled" {
            tokio::time::timeout(Duration::from_secs(20), events.recv()).await.unwrap().unwrap();
        }
    }
    limited(&answer(agent.stateless("tools/call", params(3)).await).await);
    assert_eq!(counted(&gate.store).await["put_user_policy"], "2");
}

/// A tool that only reads is elsewhere logged while it runs.
#[tokio::test]
async fn a_reading_tool_with_a_limit_is_written_down_before_it_is_forwarded() {
    let gate = Gate::with(POLICY).await;
    let agent = gate.session("bot").await;
    gate.break_log().await;
    for _ in 0..3 {
        let told = agent.result("echo", json!({})).await;
        assert!(told["error"]["message"].as_str().unwrap().contains("Nothing was run"), "{told}");
    }
    assert!(gate.upstream.calls("echo").is_empty() && counted(&gate.store).await.is_empty());
}

#[tokio::test]
async fn an_agent_that_holds_and_takes_back_in_a_loop_reaches_nobody() {
    let limits = HoldLimits { pending: 3, new_per_hour: 10, ..Settings::default().limits };
    let mut bench = Bench::with(Settings { limits, ..Settings::default() }).await;
    let plain = || Requirement::plain(Duration::from_secs(900));
    for _ in 0..10 {
        let held = bench.submit("{}", plain()).await;
        assert_eq!(held.how, How::New);
        bench.approvals.cancel(held.call.submission.id, bench.agent.id).await.unwrap();
        bench.clock.advance(Duration::from_secs(1));
    }
    let again = START.after(HOUR);
    for restarted in [false, true] {
        for _ in 0..5 {
            let refused = bench.approvals.submit(bench.call("{}", plain())).await;
            let bound = matches!(refused, Err(SubmitError::TooManyNew { max: 10, retry_at }) if retry_at == again);
            assert!(bound, "restarted: {restarted}, {refused:?}");
        }
        bench = bench.restart().await;
    }
    let held = bench.store.entries(placet::store::EntryFilter { limit: 100, ..Default::default() }).await.unwrap();
    assert_eq!(held.iter().filter(|entry| entry.kind == "call.held").count(), 10, "nobody was asked more often");
    bench.clock.advance(HOUR - Duration::from_secs(10));
    assert_eq!(bench.submit("{}", plain()).await.how, How::New, "at the moment that it was told");
}

#[tokio::test]
async fn bounds_and_rejections_hold_after_a_restart() {
    let limits = HoldLimits { pending: 3, ..Settings::default().limits };
    let mut bench = Bench::with(Settings { limits, ..Settings::default() }).await;
    let plain = || Requirement::plain(Duration::from_secs(900));
    let rejected = bench.hold("{}").await;
    bench.approvals.decide(bench.decision(&rejected, bench.mira, Verdict::Reject)).await.unwrap();
    for n in 0..3 {
        bench.hold(&format!("[{n}]")).await;
    }
    bench = bench.restart().await;
    let refused = bench.approvals.submit(bench.call("[3]", plain())).await;
    assert!(matches!(refused, Err(SubmitError::TooManyPending(3))), "{refused:?}");
    bench.clock.advance(Duration::from_secs(599));
    let again = bench.submit("{}", plain()).await;
    assert_eq!((again.how, again.call.submission.id), (How::Joined, rejected.submission.id));
}

fn row(part: i64, amount: &str, seq: i64) -> CounterRow {
    let counter = r#"{"entry":"/tools/x","counter":"c","seconds":60,"scope":"global"}"#.to_owned();
    let ends_at = Millis((part + 1) * 60_000);
    CounterRow { counter, sharer: "{}".to_owned(), part, amount: amount.to_owned(), ends_at, seq }
}

#[tokio::test]
async fn of_the_rows_of_one_part_the_latest_stays_in_whatever_order_they_come() {
    let bench = Bench::new().await;
    // In one batch, and in batches of their own.
    let rows = [row(1, "2", 20), row(1, "3", 30), row(1, "1", 10), row(2, "7", 31)];
    let written = join_all(rows.iter().map(|row| bench.store.count(vec![row.clone()]))).await;
    assert!(written.iter().all(Result::is_ok));
    bench.store.count(vec![row(1, "0.5", 29), row(2, "7.25", 32)]).await.unwrap();
    assert_eq!(bench.store.counters().await.unwrap(), [row(1, "3", 30), row(2, "7.25", 32)]);
    bench.store.forget_counters(Millis(120_000)).await.unwrap();
    assert_eq!(bench.store.counters().await.unwrap(), [row(2, "7.25", 32)]);
    // With a held call it is written only where the call is.
    let call = || bench.call("{}", Requirement::plain(HOUR));
    bench.approvals.submit_counted(call(), vec![row(2, "8", 33)]).await.unwrap();
    bench.approvals.submit_counted(call(), vec![row(2, "9", 34)]).await.unwrap();
    assert_eq!(bench.store.counters().await.unwrap(), [row(2, "8", 33)]);
}

#[tokio::test]
async fn a_row_that_nobody_wrote_keeps_the_service_from_starting_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let tasks = Tasks::default();
    let store = Store::open(folder.path(), Clock::manual(START), &tasks).await.unwrap();
    let file = folder.path().join("policy.json");
    std::fs::write(&file, POLICY).unwrap();
    let resume = async |row: CounterRow| {
        store.count(vec![row]).await.unwrap();
        let policy = in_force(&file);
        policy.resume_limits(&store, Millis(0)).await.map(|()| policy)
    };
    assert_eq!(resume(row(1, "1", 1)).await.unwrap().counters().len(), 1);
    let error = resume(row(1, "much", 2)).await.unwrap_err();
    assert!(matches!(error, StoreError::BadRow { table: "limit_counters", column: "amount", .. }), "{error}");
    let words = error.to_string();
    assert!(words.contains(r#""entry":"/tools/x""#) && words.contains("delete the row"), "{words}");
}

fn in_force(file: &Path) -> InForce {
    let defaults = Defaults { timeout: HOUR, upstreams: vec![] };
    InForce::load(file, defaults, BTreeMap::new(), Listing(Arc::new(|_, _| None)), Millis(0)).unwrap()
}
