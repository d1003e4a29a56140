//! A call that may have run: nobody sends it again, a person finds out, and what they found counts only if it was recorded
//! here.

use std::time::Duration;

use axum::response::IntoResponse as _;
use placet::approvals::{Channel, Find, FindError, ForwardError, How, Settings};
use placet::call::{GroupName, HeldCall, Requirement, ReviewerId, Risk, Verdict};
use placet::identity::Roles;
use placet::store::Sight;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::Connection as _;

use crate::support::agent::{Stream, refusal};
use crate::support::bench::Bench;
use crate::support::gate::Gate;
use crate::support::pages::{Browser, Pages, header};

fn plain() -> Requirement {
    Requirement::plain(Duration::from_secs(900))
}

/// A call that was approved and sent, and whose answer was lost.
pub(crate) async fn lost(bench: &Bench, arguments: &str, requirement: Requirement) -> HeldCall {
    *bench.upstream.answer.lock().unwrap() = Err(ForwardError::Unknown("the connection broke".into()));
    let call = bench.submit(arguments, requirement).await.call;
    let attached = bench.approvals.attach(call.submission.id);
    let decision =
        placet::approvals::Decision { confirmed: true, ..bench.decision(&call, bench.mira, Verdict::Approve) };
    bench.approvals.decide(decision).await.unwrap();
    let call = attached.finished().await.unwrap();
    assert_eq!(call.state.name(), "outcome_unknown");
    call
}

pub(crate) fn find(call: &HeldCall, ran: bool, by: ReviewerId) -> Find {
    let reason = "the policy is not there; password=hunter2hunter2".to_owned();
    Find { call: call.submission.id, ran, reason, by, channel: Channel::Page }
}

async fn tamper(bench: &Bench, sql: &'static str) {
    let url = format!("sqlite://{}", bench.folder.path().join("placet.db").display());
    let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
    assert!(sqlx::query(sql).execute(&mut connection).await.unwrap().rows_affected() > 0, "{sql}");
}

#[tokio::test]
async fn it_did_not_run_lets_the_same_call_be_held_anew_and_sends_nothing_itself() {
    let bench = Bench::new().await;
    let call = lost(&bench, "{}", plain()).await;
    bench.clock.advance(Duration::from_secs(86_400 * 30));
    assert_eq!(bench.submit("{}", plain()).await.how, How::Joined, "however long nobody looks");
    let found = bench.approvals.find(find(&call, false, bench.noor)).await.unwrap();
    assert_eq!(found.state, call.state, "a remark, not a step");
    let finding = found.finding.unwrap();
    assert_eq!((finding.finding.ran, finding.finding.by, finding.finding.at), (false, bench.noor, bench.clock.now()));
    assert_eq!(finding.finding.reason, "the policy is not there; password=••• masked");
    let entry = bench.store.entries_of(call.submission.id).await.unwrap().pop().unwrap();
    let body: Value = serde_json::from_str(&entry.body).unwrap();
    assert_eq!((&body["kind"], &body["detail"]["ran"]), (&json!("call.finding"), &json!(false)));
    assert_eq!((&body["reviewer"], &body["detail"]["digest"]), (&json!(bench.noor), &json!(call.digest)));
    let bench = bench.restart().await;
    bench.approvals.returned(call.submission.id).await;
    let anew = bench.submit("{}", plain()).await;
    assert_eq!(anew.how, How::New);
    assert!(Bench::pending(&anew.call), "it needs a new approval");
    assert_eq!(bench.sent(), 1, "the lost one is never sent again");
}

#[tokio::test]
async fn it_ran_answers_the_same_call_for_as_long_as_a_result_is_kept() {
    let bench = Bench::new().await;
    let call = lost(&bench, "{}", plain()).await;
    bench.clock.advance(Duration::from_secs(7200));
    bench.approvals.find(find(&call, true, bench.noor)).await.unwrap();
    bench.clock.advance(Duration::from_secs(3599));
    let again = bench.submit("{}", plain()).await;
    assert!(again.how == How::Joined && again.call.finding.unwrap().finding.ran);
    bench.clock.advance(Duration::from_secs(1));
    assert_eq!(bench.submit("{}", plain()).await.how, How::New);
    assert_eq!(bench.sent(), 1);
}

#[tokio::test]
async fn a_finding_that_was_not_recorded_here_counts_for_nothing() {
    for forged in [
        "INSERT INTO findings SELECT id, 0, 'I looked', agent_id, 'mira@example.com', created_at, digest FROM calls",
        "UPDATE findings SET ran = 0",
    ] {
        let bench = Bench::new().await;
        let call = lost(&bench, "{}", plain()).await;
        if forged.starts_with("UPDATE") {
            bench.approvals.find(find(&call, true, bench.mira)).await.unwrap();
            bench.clock.advance(Duration::from_secs(7200));
        }
        tamper(&bench, forged).await;
        let again = bench.submit("{}", plain()).await;
        assert_eq!((again.how, again.call.submission.id), (How::Joined, call.submission.id), "{forged}");
        let waiting = bench.store.unfound(&Sight::All, 9).await.unwrap();
        assert_eq!(waiting.total, u64::from(forged.starts_with("INSERT")), "{forged}");
        for _ in 0..2 {
            assert!(!bench.approvals.vouches_for(&again.call).await.unwrap());
        }
        let kinds = bench.kinds(&call).await;
        assert_eq!(kinds.iter().filter(|kind| *kind == "alarm.finding_tampered").count(), 1, "{forged}");
    }
    let bench = Bench::new().await;
    let call = lost(&bench, r#"{"user":"a"}"#, plain()).await;
    tamper(&bench, "UPDATE call_params SET params = replace(params, '\"a\"', '\"b\"')").await;
    let misled = bench.approvals.find(find(&call, true, bench.mira)).await;
    assert!(
        matches!(misled, Err(FindError::Tampered)),
        "who looks for the wrong thing finds the wrong thing: {misled:?}"
    );
}

#[tokio::test]
async fn who_may_not_say_does_not_and_nothing_else_is_found_out_about() {
    let bench = Bench::new().await;
    let group = vec![GroupName::new("night").unwrap()];
    let call = lost_for_night(&bench, group).await;
    let other = bench.approvals.find(find(&call, true, bench.mira)).await;
    assert!(matches!(other, Err(FindError::Forbidden(_))), "{other:?}");
    let nobody = ReviewerId(bench.entropy.uuid(bench.clock.now()));
    assert!(matches!(bench.approvals.find(find(&call, true, nobody)).await, Err(FindError::Forbidden(_))));
    for (reason, long) in [(String::new(), false), (" \n ".into(), false), ("x".repeat(4001), true)] {
        let refused = bench.approvals.find(Find { reason, ..find(&call, true, bench.noor) }).await;
        assert!(matches!(refused, Err(FindError::ReasonTooLong)) == long, "{refused:?}");
        assert!(matches!(refused, Err(FindError::ReasonRequired)) != long, "{refused:?}");
    }
    bench.store.reviewer_disable("noor@example.com".parse().unwrap()).await.unwrap();
    assert!(matches!(bench.approvals.find(find(&call, true, bench.noor)).await, Err(FindError::Forbidden(_))));

    let critical = lost(&bench, r#"{"c":1}"#, Requirement { risk: Some(Risk::Access), ..plain() }).await;
    let api = Find { channel: Channel::Api, ..find(&critical, true, bench.mira) };
    assert!(matches!(bench.approvals.find(api).await, Err(FindError::CriticalByApi)));
    bench.approvals.find(find(&critical, true, bench.mira)).await.unwrap();

    *bench.upstream.answer.lock().unwrap() = Ok(placet::call::Answer::Result("{}".into()));
    let pending = bench.hold(r#"{"p":1}"#).await;
    let executed = bench.hold(r#"{"e":1}"#).await;
    let attached = bench.approvals.attach(executed.submission.id);
    bench.approvals.decide(bench.decision(&executed, bench.mira, Verdict::Approve)).await.unwrap();
    attached.finished().await.unwrap();
    for call in [pending, executed] {
        let refused = bench.approvals.find(find(&call, false, bench.mira)).await;
        assert!(matches!(refused, Err(FindError::NotUnknown(_))), "{refused:?}");
        assert!(bench.store.call(call.submission.id).await.unwrap().unwrap().finding.is_none());
    }
    assert_eq!(bench.store.unfound(&Sight::All, 10).await.unwrap().total, 1);
}

async fn lost_for_night(bench: &Bench, reviewers: Vec<GroupName>) -> HeldCall {
    *bench.upstream.answer.lock().unwrap() = Err(ForwardError::Unknown("the connection broke".into()));
    let call = bench.submit(r#"{"night":1}"#, Requirement { reviewers, ..plain() }).await.call;
    let attached = bench.approvals.attach(call.submission.id);
    bench.approvals.decide(bench.decision(&call, bench.noor, Verdict::Approve)).await.unwrap();
    attached.finished().await.unwrap()
}

#[tokio::test]
async fn of_two_findings_at_once_one_counts_and_the_other_is_told() {
    let bench = Bench::new().await;
    for n in 0..100 {
        let call = lost(&bench, &format!(r#"{{"n":{n}}}"#), plain()).await;
        let (a, b) = tokio::join!(
            bench.approvals.find(find(&call, true, bench.mira)),
            bench.approvals.find(find(&call, false, bench.noor))
        );
        let (first, second) = if a.is_ok() { (a, b) } else { (b, a) };
        let first = first.unwrap().finding;
        assert!(matches!(second, Err(FindError::FoundAlready)), "{second:?}");
        let kept = bench.store.call(call.submission.id).await.unwrap().unwrap();
        assert_eq!(kept.finding, first);
        assert_eq!(bench.kinds(&call).await.iter().filter(|kind| *kind == "call.finding").count(), 1);
        bench.clock.advance(Duration::from_secs(3600));
    }
}

#[tokio::test]
async fn what_was_found_out_about_is_erased_so_long_after_the_finding() {
    let bench = Bench::new().await;
    let keep = Duration::from_secs(90 * 86_400);
    let call = lost(&bench, r#"{"user":"canary"}"#, plain()).await;
    bench.clock.advance(keep * 3);
    assert_eq!(bench.store.erase_ended(keep, 10).await.unwrap(), 0, "who finds out needs the arguments");
    bench.approvals.find(find(&call, true, bench.mira)).await.unwrap();
    bench.clock.advance(keep - Duration::from_millis(1));
    assert_eq!(bench.store.erase_ended(keep, 10).await.unwrap(), 0);
    bench.clock.advance(Duration::from_millis(1));
    assert_eq!(bench.store.erase_ended(keep, 10).await.unwrap(), 1);
    let erased = bench.store.call(call.submission.id).await.unwrap().unwrap();
    assert!(erased.arguments().is_none() && bench.approvals.is_genuine_finding(&erased));
    assert!(erased.finding.unwrap().finding.ran, "what was found is kept");
}

async fn form(browser: &Browser, call: &HeldCall, ran: &str, reason: &str) -> reqwest::Response {
    let csrf = browser.csrf().await;
    let path = format!("/calls/{}/finding", call.submission.id);
    browser.post(&path, &[("csrf", &csrf), ("ran", ran), ("reason", reason)]).await
}

#[tokio::test]
async fn the_page_asks_takes_and_tells_what_was_found() {
    let pages = Pages::new().await;
    let ada = pages.reviewer("ada@example.com", &["iam"]).await;
    let group = || vec![GroupName::new("iam").unwrap()];
    let call = lost(&pages.bench, "{}", Requirement { reviewers: group(), ..plain() }).await;
    let own = format!("/calls/{}", call.submission.id);
    let other = pages.reviewer("other@example.com", &["db"]).await;
    let owner = pages.reviewer("owner@example.com", &["iam"]).await;
    pages.person("auditor@example.com", &[], Roles { auditor: true, ..Roles::default() }).await;
    let auditor = pages.sign_in("auditor@example.com").await;

    let page = ada.page(&own).await;
    let log = pages.bench.store.entries_of(call.submission.id).await.unwrap();
    let released: Value = serde_json::from_str(&log[2].body).unwrap();
    let claim = released["detail"]["claim"].as_str().unwrap();
    for part in
        ["Nobody knows whether this ran.", "The connection broke.", "mira", claim, "never sends", "How do you know?"]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
    for list in ["/", "/partials/queue"] {
        assert!(ada.page(list).await.contains("Nobody knows whether 1 call ran."), "{list}");
        assert!(!other.page(list).await.contains("Nobody knows"), "{list}");
    }
    assert!(ada.page("/history").await.contains("Nobody has looked yet"));
    for browser in [&auditor, &owner] {
        let page = browser.page(&own).await;
        assert!(page.contains("Nobody knows whether this ran.") && !page.contains("name=\"ran\""));
    }

    let before = pages.log_size().await;
    for (browser, status) in
        [(&other, StatusCode::NOT_FOUND), (&auditor, StatusCode::FORBIDDEN), (&owner, StatusCode::FORBIDDEN)]
    {
        assert_eq!(form(browser, &call, "yes", "I looked").await.status(), status);
    }
    let stranger = pages.stranger().post(&format!("{own}/finding"), &[("ran", "yes"), ("reason", "x")]).await;
    assert_eq!(stranger.status(), StatusCode::UNAUTHORIZED);
    for csrf in ["", "x", &other.csrf().await] {
        let fields = [("csrf", csrf), ("ran", "yes"), ("reason", "x")];
        assert_eq!(ada.post(&format!("{own}/finding"), &fields).await.status(), StatusCode::FORBIDDEN);
    }
    for ran in ["", "maybe", "YES", "true"] {
        assert_eq!(form(&ada, &call, ran, "I looked").await.status(), StatusCode::UNPROCESSABLE_ENTITY, "{ran}");
    }
    let empty = form(&ada, &call, "no", "  ").await;
    assert_eq!(empty.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(empty.text().await.unwrap().contains("A finding needs a reason"));
    let long = form(&ada, &call, "no", &"typed ".repeat(1000)).await;
    assert_eq!(long.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(long.text().await.unwrap().contains("typed typed typed"), "what was typed is given back");
    assert_eq!(form(&ada, &call, "no", &"x".repeat(1 << 20)).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(ada.get(&format!("{own}/finding")).await.status(), StatusCode::SEE_OTHER, "reading spends nothing");
    assert_eq!(pages.log_size().await, before, "nothing of all this was recorded");

    let hostile = "<script>alert(1)</script>\u{202e} not there";
    let found = form(&ada, &call, "no", hostile).await;
    assert_eq!((found.status(), header(&found, "location")), (StatusCode::SEE_OTHER, own.as_str()));
    let page = other_reviewer(&pages).await.page(&own).await;
    assert!(
        page.contains("It did not run.") && !page.contains("name=\"ran\"") && !page.contains("<script>alert"),
        "{page}"
    );
    assert!(page.contains("⟦U+202E⟧"), "{page}");
    assert_eq!(form(&ada, &call, "yes", "no, wait").await.status(), StatusCode::CONFLICT, "a finding is final");
    assert!(!ada.page("/").await.contains("Nobody knows"));
    assert!(ada.page("/history").await.contains("Found: it did not run"));
    assert!(ada.page("/audit?kind=call.finding").await.contains(&call.submission.id.to_string()));
    *pages.bench.upstream.answer.lock().unwrap() = Ok(placet::call::Answer::Result("{}".into()));
    let rejected = pages.bench.hold(r#"{"r":1}"#).await;
    pages.bench.approvals.decide(pages.bench.decision(&rejected, pages.bench.mira, Verdict::Reject)).await.unwrap();
    assert_eq!(form(&ada, &rejected, "yes", "x").await.status(), StatusCode::CONFLICT);
    assert_eq!(pages.bench.sent(), 1);
}

async fn other_reviewer(pages: &Pages) -> Browser {
    pages.reviewer("ben@example.com", &["iam"]).await
}

#[tokio::test]
async fn the_owner_says_only_where_that_is_configured() {
    let bench = Bench::with(Settings { self_approval: true, ..Settings::default() }).await;
    let pages = Pages::over(bench).await;
    let owner = pages.reviewer("owner@example.com", &["iam"]).await;
    let call = lost(&pages.bench, "{}", plain()).await;
    assert_eq!(form(&owner, &call, "yes", "it is there").await.status(), StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn scripts_say_it_with_a_token_that_may_decide() {
    let pages = Pages::new().await;
    pages.person("ada@example.com", &["iam"], Roles { reviewer: true, ..Roles::default() }).await;
    let token = async |decide| {
        let hour = Duration::from_secs(3600);
        let made = pages.identity.api_token_make("ada@example.com".parse().unwrap(), decide, hour).await.unwrap();
        made.token.reveal().to_owned()
    };
    let (reads, decides) = (token(false).await, token(true).await);
    let post = async |call: &HeldCall, token: &str, body: &str| -> (StatusCode, Value) {
        let path = format!("/api/v1/calls/{}/finding", call.submission.id);
        let request = pages.stranger().request(Method::POST, &path).bearer_auth(token);
        let answer = request.header("content-type", "application/json").body(body.to_owned()).send().await.unwrap();
        (answer.status(), serde_json::from_str(&answer.text().await.unwrap()).unwrap())
    };
    let call = lost(&pages.bench, "{}", plain()).await;
    let yes = json!({"ran": true, "reason": "it is there"}).to_string();
    assert_eq!(post(&call, &reads, &yes).await.0, StatusCode::FORBIDDEN);
    assert_eq!(post(&call, "plt_api_wrong", &yes).await.0, StatusCode::UNAUTHORIZED);
    for bad in [
        "",
        "{",
        "[]",
        r#"{"ran":"maybe","reason":"x"}"#,
        r#"{"ran":"yes","reason":"x"}"#,
        r#"{"ran":true}"#,
        r#"{"reason":"x"}"#,
        r#"{"ran":true,"reason":" "}"#,
        r#"{"ran":true,"reason":null}"#,
    ] {
        let (status, _) = post(&call, &decides, bad).await;
        assert!(status == StatusCode::BAD_REQUEST || status == StatusCode::UNPROCESSABLE_ENTITY, "{bad}: {status}");
    }
    let huge = json!({"ran": true, "reason": "x".repeat(1 << 20)}).to_string();
    assert_eq!(post(&call, &decides, &huge).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let critical = lost(&pages.bench, r#"{"c":1}"#, Requirement { risk: Some(Risk::Access), ..plain() }).await;
    let (status, problem) = post(&critical, &decides, &yes).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(problem["detail"].as_str().unwrap().contains("critical"));
    let db = vec![GroupName::new("night").unwrap()];
    let hidden = lost_for_night(&pages.bench, db).await;
    assert_eq!(post(&hidden, &decides, &yes).await.0, StatusCode::NOT_FOUND);

    let (status, value) = post(&call, &decides, &yes).await;
    assert_eq!(
        (status, &value["state"], &value["disposition"]),
        (StatusCode::OK, &json!("outcome_unknown"), &json!("outcome-unknown"))
    );
    let finding = json!({"ran": true, "by": "ada@example.com", "at": pages.bench.clock.now().to_string(), "reason": "it is there", "tampered": false});
    assert_eq!(value["finding"], finding);
    let (status, problem) = post(&call, &decides, &yes).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(problem["detail"].as_str().unwrap().contains("final"), "{problem}");
    let pending = pages.bench.hold(r#"{"p":1}"#).await;
    let (status, problem) = post(&pending, &decides, &yes).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(problem["detail"].as_str().unwrap().contains("pending"), "{problem}");
}

#[tokio::test]
async fn a_terminal_tells_and_takes_it() {
    let pages = Pages::new().await;
    pages.person("ada@example.com", &["iam"], Roles { reviewer: true, ..Roles::default() }).await;
    let hour = Duration::from_secs(3600);
    let token = pages.identity.api_token_make("ada@example.com".parse().unwrap(), true, hour).await.unwrap().token;
    let call = lost(&pages.bench, "{}", plain()).await;
    let id = call.submission.id.to_string();
    let placet = async |arguments: &[&str]| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_placet"));
        command.args(arguments).env("PLACET_URL", &pages.url).env("PLACET_TOKEN", token.reveal());
        let output = command.stdin(std::process::Stdio::null()).output().await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    let (_, listed, _) = placet(&["calls", "list", "--state", "outcome_unknown"]).await;
    assert!(listed.contains(&id) && listed.contains("NOBODY KNOWS"), "{listed}");
    assert!(listed.contains(&format!("`placet calls finding {id} --ran yes|no")), "{listed}");
    let (_, shown, _) = placet(&["calls", "show", &id]).await;
    assert!(shown.contains("the connection broke") && shown.contains("NOBODY KNOWS"), "{shown}");
    assert_eq!(placet(&["calls", "finding", &id, "--ran", "maybe", "--reason", "x"]).await.0, 64);
    assert_eq!(placet(&["calls", "finding", &id, "--ran", "yes"]).await.0, 64);
    let (code, out, err) = placet(&["calls", "finding", &id, "--ran", "no", "--reason", "not there"]).await;
    assert!(code == 0 && out.contains("was found not to have run"), "{out} {err}");
    let (code, _, err) = placet(&["calls", "finding", &id, "--ran", "yes", "--reason", "it is"]).await;
    assert!(code == 1 && err.contains("final"), "{err}");
    let (_, shown, _) = placet(&["calls", "show", &id]).await;
    assert!(shown.contains("was found not to have run ada@example.com") && shown.contains("not there"), "{shown}");
}

#[tokio::test]
async fn the_agent_is_told_what_was_found_and_by_nobody_named() {
    for ran in [true, false] {
        let gate = Gate::start().await;
        gate.upstream.on("tools/call put_user_policy", |_| {
            let broken = futures_util::stream::once(async { Err::<Vec<u8>, _>(std::io::Error::other("gone")) });
            ([("content-type", "application/json")], axum::body::Body::from_stream(broken)).into_response()
        });
        let agent = gate.session("bot").await;
        let arguments = json!({"user_name": "ci"});
        let mut stream = Stream::of(agent.call("put_user_policy", arguments.clone()).await);
        let held = gate.held("pending").await;
        gate.decide(&held, Verdict::Approve, "fine").await;
        assert!(refusal(&stream.message().await).starts_with("This call may have run"));
        let call = gate.held("outcome_unknown").await;
        let wait = json!({"call_id": call.submission.id});
        for told in
            [agent.result("put_user_policy", arguments.clone()).await, agent.result("placet_wait", wait.clone()).await]
        {
            assert!(refusal(&told).starts_with("This call may have run"), "{told}");
        }
        gate.approvals.find(find(&call, ran, gate.mira)).await.unwrap();
        let told = agent.result("placet_wait", wait).await;
        let expected =
            if ran { "This call ran: its answer was lost" } else { "This call did not run: it was approved and sent" };
        assert!(refusal(&told).starts_with(expected), "{told}");
        let meta = &told["result"]["_meta"]["placet/call"];
        assert_eq!((&meta["state"], &meta["found_to_have_run"]), (&json!("outcome_unknown"), &json!(ran)));
        assert!(!told.to_string().contains("mira") && !told.to_string().contains("not there"), "{told}");
        if ran {
            let again = agent.result("put_user_policy", arguments).await;
            assert!(refusal(&again).starts_with("This call ran"), "{again}");
        } else {
            let _stream = Stream::of(agent.call("put_user_policy", arguments).await);
            assert_ne!(gate.held("pending").await.submission.id, call.submission.id, "held anew");
        }
        assert_eq!(gate.upstream.calls("put_user_policy").len(), 1, "sent once");
    }
}
