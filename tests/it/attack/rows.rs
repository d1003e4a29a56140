//! Somebody can write to the database file and edits calls: consistently, in every state, with everything that they
//! can read there. Nothing runs, and an alarm is raised.

use std::time::Duration;

use placet::approvals::{DecideError, How};
use placet::call::{CallState, HeldCall, Quorum, Requirement, Verdict};
use placet::store::CallFilter;
use reqwest::{Method, StatusCode};
use serde_json::json;
use sqlx::Connection as _;

use super::database::{alarmed, approve};
use super::people::{forge, keep, put_back};
use crate::support::agent::answer as answer_of;
use crate::support::bench::Bench;
use crate::support::gate::Gate;
use crate::support::pages::Pages;
use crate::support::triggers;

fn plain() -> Requirement {
    Requirement::plain(Duration::from_secs(900))
}

/// Everything that could make a call run: a vote, its caller's return, its deadlines, a restart.
async fn try_everything(bench: Bench, call: &HeldCall) -> Bench {
    for by in [bench.mira, bench.noor] {
        let _ = approve(&bench, call, by).await;
    }
    bench.approvals.returned(call.submission.id).await;
    let joined = bench.approvals.rejoin(bench.call(call.submission.arguments(), plain())).await.unwrap();
    assert!(joined.is_none_or(|joined| joined.call.genuine), "what was changed is not handed out");
    let _ = bench.approvals.expire().await;
    let bench = bench.restart().await;
    bench.approvals.returned(call.submission.id).await;
    bench.clock.advance(Duration::from_secs(2 * 86_400));
    let _ = bench.approvals.expire().await;
    bench.approvals.returned(call.submission.id).await;
    let bench = bench.restart().await;
    let _ = bench.store.call(call.submission.id).await;
    bench
}

/// A way in which a call comes to an end, or to its middle.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Pending,
    Parked,
    Rejected,
    Expired,
    Cancelled,
    Lapsed,
    Executed,
}

async fn at(stage: Stage) -> (Bench, HeldCall, usize) {
    let bench = Bench::new().await;
    let call = bench.hold(r#"{"a":1}"#).await;
    let id = call.submission.id;
    let decide = async |verdict| bench.approvals.decide(bench.decision(&call, bench.mira, verdict)).await.unwrap();
    match stage {
        Stage::Pending => {}
        Stage::Parked => drop(decide(Verdict::Approve).await),
        Stage::Rejected => drop(decide(Verdict::Reject).await),
        Stage::Expired => {
            bench.clock.advance(Duration::from_secs(900));
            bench.approvals.expire().await.unwrap();
        }
        Stage::Cancelled => drop(bench.approvals.cancel(id, bench.agent.id).await.unwrap()),
        Stage::Lapsed => {
            decide(Verdict::Approve).await;
            bench.clock.advance(Duration::from_secs(3600));
            bench.approvals.expire().await.unwrap();
        }
        Stage::Executed => {
            decide(Verdict::Approve).await;
            bench.approvals.returned(id).await;
            bench.until(&call, "executed").await;
        }
    }
    let sent = bench.sent();
    (bench, call, sent)
}

const PENDING: &str = "UPDATE calls SET state = 'pending', expires_at = expires_at + 86400000, ended_by = NULL,
    ended_why = NULL";
const APPROVED: &str = "UPDATE calls SET state = 'approved', approved_by = coalesce(approved_by, 'policy'),
    approved_at = coalesce(approved_at, created_at), usable_until = expires_at + 86400000, claim = NULL,
    told_to_return = 1";

#[tokio::test]
async fn no_edit_of_a_call_makes_it_run() {
    let edits: Vec<(Stage, String)> = vec![
        (Stage::Pending, APPROVED.into()),
        (Stage::Pending, format!("{APPROVED}, approval_mac = held_mac")),
        (Stage::Pending, "UPDATE calls SET expires_at = expires_at + 86400000".into()),
        (Stage::Pending, "UPDATE calls SET expires_at = expires_at - 1".into()),
        (Stage::Pending, "UPDATE calls SET escalated = 1".into()),
        (Stage::Pending, "UPDATE calls SET changed_at = changed_at + 1".into()),
        (Stage::Pending, "UPDATE calls SET digest = nonce".into()),
        (Stage::Pending, "UPDATE calls SET state = 'releasing', claim = id".into()),
        (
            Stage::Pending,
            "UPDATE calls SET state = 'executed'; INSERT INTO call_answers (call_id, kind, body, recorded_at)
            SELECT id, 'result', '{\"content\":[]}', changed_at FROM calls"
                .into(),
        ),
        (Stage::Pending, "UPDATE calls SET entry = entry - 1".into()),
        (Stage::Pending, "UPDATE calls SET state_mac = NULL".into()),
        (Stage::Pending, "UPDATE calls SET told_to_return = 1".into()),
        (Stage::Pending, "UPDATE calls SET told_to_return = 1, told_mac = state_mac".into()),
        (
            Stage::Pending,
            r#"UPDATE calls SET requirement = replace(requirement, '"secs":3600', '"secs":999999')"#.into(),
        ),
        (Stage::Parked, "UPDATE calls SET usable_until = usable_until + 86400000".into()),
        (Stage::Parked, "UPDATE calls SET told_to_return = 1".into()),
        (Stage::Parked, "UPDATE votes SET reviewer_id = (SELECT id FROM reviewers WHERE email LIKE 'noor%')".into()),
        (Stage::Parked, "UPDATE votes SET at = at - 1".into()),
        (Stage::Parked, "DELETE FROM votes".into()),
        (
            Stage::Parked,
            "INSERT INTO votes SELECT call_id, (SELECT id FROM reviewers WHERE email LIKE 'noor%'), email,
            verdict, at, reason, mac FROM votes"
                .into(),
        ),
        (Stage::Parked, "UPDATE call_params SET params = replace(params, '\"a\":1', '\"a\":2')".into()),
        (Stage::Parked, "UPDATE calls SET tool = 'delete_everything'".into()),
        (Stage::Parked, "UPDATE calls SET upstream = 'prod'".into()),
        (Stage::Parked, "UPDATE calls SET headers = '[[\"mcp-param-x\",\"1\"]]'".into()),
        (Stage::Parked, "UPDATE calls SET approved_by = 'policy'".into()),
        (Stage::Parked, "UPDATE calls SET claim = id, state = 'releasing'".into()),
        (Stage::Rejected, format!("{PENDING}; DELETE FROM votes")),
        (Stage::Rejected, PENDING.into()),
        (Stage::Rejected, format!("{APPROVED}; UPDATE votes SET verdict = 'approve'")),
        (Stage::Expired, PENDING.into()),
        (Stage::Expired, APPROVED.into()),
        (Stage::Cancelled, PENDING.into()),
        (Stage::Lapsed, APPROVED.into()),
        (Stage::Executed, APPROVED.into()),
        (Stage::Executed, format!("DELETE FROM call_answers; {PENDING}; DELETE FROM votes")),
        (Stage::Executed, format!("DELETE FROM call_answers; {APPROVED}")),
    ];
    for (stage, sql) in edits {
        let (bench, call, sent) = at(stage).await;
        forge(&bench, &sql).await;
        let bench = try_everything(bench, &call).await;
        assert_eq!(bench.sent(), sent, "{stage:?}: {sql}");
        assert!(alarmed(&bench, &call).await, "{stage:?}: {sql}");
    }
}

/// The attacker can compute the digest of other arguments: everything that it is made of stands in the database.
#[tokio::test]
async fn arguments_changed_together_with_their_digest_do_not_run() {
    for stage in [Stage::Pending, Stage::Parked] {
        let (bench, call, _) = at(stage).await;
        let mut other = call.submission.clone();
        other.params = other.params.replace(r#""a":1"#, r#""a":2"#);
        let sql = format!(
            "UPDATE call_params SET params = '{}'; UPDATE calls SET digest = '{}'",
            other.params,
            other.digest()
        );
        forge(&bench, &sql).await;
        let shown = bench.store.call(call.submission.id).await.unwrap().unwrap();
        assert_eq!(shown.digest, shown.submission.digest(), "the edit is consistent");
        let refused = approve(&bench, &call, bench.noor).await.unwrap_err();
        assert!(matches!(refused, DecideError::Tampered), "{refused}");
        let bench = try_everything(bench, &call).await;
        assert_eq!(bench.sent(), 0);
        assert!(alarmed(&bench, &call).await);
    }
}

#[tokio::test]
async fn a_vote_counts_for_its_own_call_alone() {
    let bench = Bench::new().await;
    let two = Requirement { quorum: Quorum::new(2).unwrap(), ..plain() };
    let (one, other) = (bench.submit("[1]", two.clone()).await.call, bench.submit("[2]", two).await.call);
    for (call, by) in [(&one, bench.mira), (&other, bench.noor)] {
        bench.approvals.decide(bench.decision(call, by, Verdict::Approve)).await.unwrap();
    }
    let copied = format!(
        "INSERT INTO votes SELECT '{}', reviewer_id, email, verdict, at, reason, mac FROM votes WHERE call_id = '{}'",
        one.submission.id, other.submission.id
    );
    forge(&bench, &copied).await;
    forge(&bench, &format!("{APPROVED}, approved_by = 'reviewers' WHERE id = '{}'", one.submission.id)).await;
    let bench = try_everything(bench, &one).await;
    assert_eq!(bench.sent(), 0);
    assert!(alarmed(&bench, &one).await);
}

/// An older row is genuine by its seal; the log knows that it was overtaken.
#[tokio::test]
async fn a_row_put_back_does_not_revive_the_call() {
    for (stage, ends) in [(Stage::Pending, Verdict::Reject), (Stage::Parked, Verdict::Approve)] {
        let (bench, call, _) = at(stage).await;
        for table in ["calls", "votes", "call_answers"] {
            keep(&bench, table).await;
        }
        match ends {
            Verdict::Reject => {
                bench.approvals.decide(bench.decision(&call, bench.mira, ends)).await.unwrap();
            }
            Verdict::Approve => {
                bench.approvals.returned(call.submission.id).await;
                bench.until(&call, "executed").await;
            }
        }
        let sent = bench.sent();
        for table in ["call_answers", "votes", "calls"] {
            put_back(&bench, table).await;
        }
        let bench = try_everything(bench, &call).await;
        assert_eq!(bench.sent(), sent, "{stage:?}");
        assert!(alarmed(&bench, &call).await, "{stage:?}");
    }
}

#[tokio::test]
async fn without_its_entry_in_the_log_nothing_is_done_with_a_call() {
    for stage in [Stage::Pending, Stage::Parked] {
        let (bench, call, _) = at(stage).await;
        let delete = "DELETE FROM entries WHERE seq = (SELECT entry FROM calls);";
        forge(&bench, &[triggers::AWAY, delete, triggers::back()].concat()).await;
        let refused = approve(&bench, &call, bench.noor).await.unwrap_err();
        // The release that the approval set off may have met the row first, and refused it.
        let by_release = matches!(&refused, DecideError::NotPending(call) if call.state.name() == "revoked");
        assert!(matches!(refused, DecideError::Tampered) || by_release, "{refused}");
        bench.approvals.returned(call.submission.id).await;
        bench.clock.advance(Duration::from_secs(86_400));
        bench.approvals.expire().await.unwrap();
        assert_eq!(bench.sent(), 0);
        assert!(alarmed(&bench, &call).await);
    }
}

#[tokio::test]
async fn an_end_that_was_edited_is_told_to_nobody() {
    for edit in [
        "UPDATE calls SET state = 'tool_error'",
        "UPDATE calls SET state = 'rejected', ended_by = (SELECT reviewer_id FROM votes), ended_why = 'not needed'",
        "UPDATE calls SET changed_at = changed_at + 1800000",
    ] {
        let (bench, call, _) = at(Stage::Executed).await;
        forge(&bench, edit).await;
        let again = bench.submit(r#"{"a":1}"#, plain()).await;
        assert_eq!(again.how, How::New, "{edit}");
        assert!(matches!(again.call.state, CallState::Pending { .. }));
        assert!(!bench.store.call(call.submission.id).await.unwrap().unwrap().genuine, "{edit}");
        assert!(alarmed(&bench, &call).await, "{edit}");
        assert_eq!(bench.sent(), 1, "{edit}");
    }
}

/// What people and agents are told of it.
#[tokio::test]
async fn the_page_the_script_and_the_agent_are_told() {
    let pages = Pages::over(at(Stage::Pending).await.0).await;
    let ada = pages.reviewer("ada@example.com", &["iam"]).await;
    let filter = CallFilter { limit: 1, ..CallFilter::default() };
    let call = pages.bench.store.calls(filter).await.unwrap().calls.remove(0);
    forge(&pages.bench, "UPDATE calls SET expires_at = expires_at + 1").await;
    let page = ada.page(&format!("/calls/{}", call.submission.id)).await;
    assert!(page.contains("What is stored of this call was changed behind Placet’s back."));
    assert!(ada.page("/history").await.contains("Something was changed behind Placet’s back."));
    assert!(ada.page("/audit?kind=alarm.").await.contains(&call.submission.id.to_string()));
    let answer = ada.decide(&call, "reject", &[]).await;
    assert_eq!(answer.status(), StatusCode::CONFLICT);
    assert!(answer.text().await.unwrap().contains("changed behind Placet"));
    let token = pages.identity.api_token_make("ada@example.com".parse().unwrap(), true, Duration::from_secs(60));
    let token = token.await.unwrap().token;
    let path = format!("/api/v1/calls/{}", call.submission.id);
    let shown = ada.request(Method::GET, &path).bearer_auth(token.reveal()).send().await.unwrap();
    let shown: serde_json::Value = serde_json::from_str(&shown.text().await.unwrap()).unwrap();
    assert_eq!(shown["approvable"], false);
    assert!(shown["alarm"].as_str().unwrap().contains("changed behind Placet"));

    let gate = Gate::start().await;
    let agent = gate.session("bot").await;
    let waits = agent.call("put_user_policy", json!({})).await;
    gate.decide(&gate.held("pending").await, Verdict::Approve, "").await;
    let ran = answer_of(waits).await;
    let id = ran["result"]["_meta"]["placet/call"]["id"].as_str().unwrap().to_owned();
    let url = format!("sqlite://{}", gate.store.folder().join("placet.db").display());
    let mut database = sqlx::SqliteConnection::connect(&url).await.unwrap();
    sqlx::query("UPDATE call_answers SET body = replace(body, 'done', 'undone')").execute(&mut database).await.unwrap();
    let told = agent.result("placet_wait", json!({ "call_id": id })).await;
    let text = told["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("was changed since") && !told.to_string().contains("undone"), "{told}");
}
