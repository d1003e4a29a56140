//! Somebody can write to the database file, but has neither the key of the seals nor a reviewer's account.

use std::time::Duration;

use placet::approvals::{Channel, DecideError, Decision};
use placet::call::{HeldCall, Quorum, Requirement, Verdict};
use sqlx::Connection as _;

use crate::support::bench::Bench;

pub(super) async fn edit(bench: &Bench, sql: &'static str) {
    let url = format!("sqlite://{}", bench.folder.path().join("placet.db").display());
    let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
    let done = sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    assert!(done.rows_affected() > 0 || sql.contains(" TRIGGER "), "{sql}");
}

pub(super) async fn approve(
    bench: &Bench,
    call: &HeldCall,
    by: placet::call::ReviewerId,
) -> Result<HeldCall, DecideError> {
    let stored = bench.store.call(call.submission.id).await.unwrap().unwrap();
    let decision = Decision { digest: stored.digest, ..bench.decision(call, by, Verdict::Approve) };
    bench.approvals.decide(decision).await
}

/// The worst: the attacker turns "reject when nobody answers" into "approve", and lets the service itself seal it.
#[tokio::test]
async fn a_pending_call_whose_timeout_is_made_an_approval_expires() {
    for told in ["told_to_return = 1", "told_to_return = 0"] {
        let bench = Bench::new().await;
        let call = bench.hold("{}").await;
        edit(&bench, "UPDATE calls SET requirement = replace(requirement, '\"reject\"', '\"approve\"')").await;
        if told.ends_with('1') {
            edit(&bench, "UPDATE calls SET told_to_return = 1").await;
        }
        bench.clock.advance(Duration::from_secs(901));
        bench.approvals.expire().await.unwrap();
        bench.approvals.returned(call.submission.id).await;
        bench.until(&call, "expired").await;
        assert_eq!(bench.kinds(&call).await.last().unwrap(), "alarm.call_tampered");
        assert_eq!(bench.sent(), 0);
    }
}

#[tokio::test]
async fn a_call_that_was_never_held_here_is_not_approved_by_its_own_word() {
    let bench = Bench::new().await;
    let call = bench.hold("{}").await;
    // A twin under another id; its digest fits nothing, as the attacker's own would fit everything.
    let twin = "INSERT INTO calls SELECT 'ffffffff-ffff-7fff-bfff-ffffffffffff', agent_id, agent_name, agent_owner,
        upstream, upstream_config, tool, tool_schema, headers, upper(same_call), nonce, policy, rule,
        replace(requirement, '\"reject\"', '\"approve\"'), era, client, created_at, digest, state, 1, escalated,
        approved_at, approved_by, approval_mac, usable_until, claim, ended_by, ended_why, changed_at, 1, 0, context,
        held_mac FROM calls;
        INSERT INTO call_params SELECT 'ffffffff-ffff-7fff-bfff-ffffffffffff', params, args_start, args_end
        FROM call_params";
    edit(&bench, twin).await;
    bench.approvals.expire().await.unwrap();
    let twin = bench.store.call("ffffffff-ffff-7fff-bfff-ffffffffffff".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(twin.state.name(), "expired");
    assert_eq!(bench.sent(), 0);
    assert!(Bench::pending(&bench.store.call(call.submission.id).await.unwrap().unwrap()));
}

#[tokio::test]
async fn terms_that_were_softened_before_the_vote_let_nobody_decide() {
    let strict = Requirement {
        quorum: Quorum::new(2).unwrap(),
        reviewers: vec!["night".parse().unwrap()],
        require_reason: true,
        ..Requirement::plain(Duration::from_secs(900))
    };
    for softer in [
        r#"UPDATE calls SET requirement = replace(requirement, '"quorum":2', '"quorum":1')"#,
        r#"UPDATE calls SET requirement = replace(requirement, '["night"]', '[]')"#,
        r#"UPDATE calls SET requirement = replace(requirement, '"require_reason":true', '"require_reason":false')"#,
        r#"UPDATE calls SET requirement = replace(requirement, '"self_approval":false', '"self_approval":true')"#,
        "UPDATE calls SET agent_owner = 'nobody@example.com'",
        "UPDATE calls SET agent_name = 'payroll'",
        "UPDATE calls SET client = 'a trusted client'",
        // What reviewers are shown as arguments must be what the arguments are.
        "UPDATE call_params SET args_start = args_start + 1, args_end = args_end - 1",
        "UPDATE call_params SET args_start = NULL, args_end = NULL",
        "UPDATE calls SET held_mac = NULL",
        "UPDATE calls SET held_mac = digest",
    ] {
        let bench = Bench::new().await;
        let call = bench.submit(r#"{"a":{"b":1}}"#, strict.clone()).await.call;
        edit(&bench, softer).await;
        let refused = approve(&bench, &call, bench.noor).await.unwrap_err();
        assert!(matches!(refused, DecideError::Tampered), "{softer}: {refused}");
        bench.clock.advance(Duration::from_secs(901));
        bench.approvals.expire().await.unwrap();
        assert_eq!(bench.kinds(&call).await.last().unwrap(), "alarm.call_tampered", "{softer}");
        assert_eq!(bench.sent(), 0, "{softer}");
    }
}

#[tokio::test]
async fn a_call_that_ran_is_not_made_to_run_again() {
    for (back, params) in [
        ("UPDATE calls SET state = 'approved', told_to_return = 1", "the same"),
        ("DELETE FROM call_answers; UPDATE calls SET state = 'approved', claim = NULL, told_to_return = 1", "the same"),
    ] {
        let bench = Bench::new().await;
        let call = bench.hold("{}").await;
        approve(&bench, &call, bench.mira).await.unwrap();
        bench.approvals.returned(call.submission.id).await;
        bench.until(&call, "executed").await;
        edit(&bench, back).await;
        bench.approvals.returned(call.submission.id).await;
        let bench = bench.restart().await;
        bench.until(&call, "revoked").await;
        assert_eq!(bench.kinds(&call).await.last().unwrap(), "alarm.call_tampered", "{params}");
        assert_eq!(bench.sent(), 1, "{back}");
    }
}

#[tokio::test]
async fn one_damaged_row_keeps_no_other_call_from_expiring() {
    let bench = Bench::new().await;
    let damaged = bench.hold(r#"{"n":1}"#).await;
    bench.clock.advance(Duration::from_secs(1));
    let whole = bench.hold(r#"{"n":2}"#).await;
    let first = "UPDATE calls SET era = 'none' WHERE created_at = (SELECT min(created_at) FROM calls)";
    edit(&bench, first).await;
    bench.clock.advance(Duration::from_secs(1000));
    assert!(bench.approvals.expire().await.is_err(), "the damage is told");
    bench.until(&whole, "expired").await;
    assert!(bench.store.call(damaged.submission.id).await.is_err());
}

#[tokio::test]
async fn an_api_token_cannot_make_a_critical_call_plain() {
    let bench = Bench::new().await;
    let critical =
        Requirement { risk: Some(placet::call::Risk::Access), ..Requirement::plain(Duration::from_secs(900)) };
    let call = bench.submit("{}", critical).await.call;
    edit(&bench, r#"UPDATE calls SET requirement = replace(requirement, '"access"', '"read"')"#).await;
    let decision = Decision { channel: Channel::Api, ..bench.decision(&call, bench.mira, Verdict::Approve) };
    assert!(matches!(bench.approvals.decide(decision).await.unwrap_err(), DecideError::Tampered));
    assert_eq!(bench.sent(), 0);
}
