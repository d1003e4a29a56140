//! Who can grant what, and what is said where it cannot be.

use std::time::Duration;

use placet::approvals::{Channel, Grant, GrantError};
use placet::call::{HeldCall, Quorum, Requirement, Risk, Verdict};

use super::{MINUTE, arguments, offer, offering};
use crate::support::bench::Bench;

async fn refused(bench: &Bench, grant: Grant) -> String {
    let refused = bench.approvals.grant(grant).await.unwrap_err();
    assert!(!matches!(refused, GrantError::Store(_)), "{refused}");
    refused.to_string()
}

/// A call with this requirement, which Mira approves; it runs.
async fn approved_under(bench: &Bench, body: &str, requirement: Requirement) -> HeldCall {
    let call = bench.submit(&arguments(body), requirement).await.call;
    let decision =
        placet::approvals::Decision { confirmed: true, ..bench.decision(&call, bench.mira, Verdict::Approve) };
    bench.approvals.decide(decision).await.unwrap();
    bench.approvals.returned(call.submission.id).await;
    bench.until(&call, "executed").await
}

#[tokio::test]
async fn no_more_is_granted_than_the_policy_offers() {
    let bench = Bench::new().await;
    let call = bench.approved(r#"{"to":"a","body":"b","path":"/etc/passwd"}"#).await;
    let wish = || bench.wish(&call, &["body"]);
    for (grant, why) in [
        (Grant { uses: 0, ..wish() }, "the policy offers 1 to 10 uses; choose one of these"),
        (Grant { uses: 11, ..wish() }, "the policy offers 1 to 10 uses; choose one of these"),
        (Grant { lasts: Duration::ZERO, ..wish() }, "the policy offers at most 30 minutes; choose fewer"),
        (Grant { lasts: 31 * MINUTE, ..wish() }, "the policy offers at most 30 minutes; choose fewer"),
        (
            bench.wish(&call, &["body", "to"]),
            "the policy does not offer that this argument may differ; choose among those that are shown",
        ),
        (
            bench.wish(&call, &["path"]),
            "this very call is not of the kind that would pass: an argument does not match what the policy says of it",
        ),
        (Grant { reason: "x".repeat(4001), ..wish() }, "the reason is longer than 4000 bytes; shorten it"),
    ] {
        assert_eq!(refused(&bench, grant).await, why);
    }
    assert!(bench.told().await.is_empty());
    assert!(!bench.passes(&arguments("x")).await);
}

#[tokio::test]
async fn only_who_approved_a_call_just_now_grants_on_it_and_once() {
    let bench = Bench::new().await;
    let call = bench.approved(&arguments("first")).await;
    let other = Grant { by: bench.noor, ..bench.wish(&call, &["body"]) };
    let not_yours =
        "only a person who approved this call, with nobody else's approval needed, can let further ones pass";
    assert_eq!(refused(&bench, other).await, not_yours);
    let waits = bench.submit(&arguments("waits"), offering(offer())).await.call;
    assert_eq!(refused(&bench, bench.wish(&waits, &["body"])).await, not_yours);
    bench.approvals.decide(bench.decision(&waits, bench.mira, Verdict::Reject)).await.unwrap();
    assert_eq!(refused(&bench, bench.wish(&waits, &["body"])).await, not_yours);
    bench.approvals.grant(bench.wish(&call, &["body"])).await.unwrap();
    let again = refused(&bench, bench.wish(&call, &["body"])).await;
    assert_eq!(again, "a standing approval was granted on this call already");
    // What passed was looked at by nobody.
    let passed = bench.submit(&arguments("passes"), offering(offer())).await.call;
    bench.approvals.returned(passed.submission.id).await;
    let passed = bench.until(&passed, "executed").await;
    assert_eq!(refused(&bench, bench.wish(&passed, &["body"])).await, not_yours);
    let late = bench.approved(r#"{"to":"b"}"#).await;
    bench.clock.advance(15 * MINUTE);
    assert!(bench.approvals.may_grant(&late, bench.mira).is_none());
    assert!(refused(&bench, bench.wish(&late, &["body"])).await.contains("more than 15 minutes ago"));
    let unknown = placet::call::CallId(bench.entropy.uuid(bench.clock.now()));
    let nowhere = Grant { call: unknown, ..bench.wish(&late, &[]) };
    assert_eq!(refused(&bench, nowhere).await, "there is no such call");
}

#[tokio::test]
async fn what_is_looked_at_each_time_is_offered_to_nobody() {
    let bench = Bench::new().await;
    let two = Requirement { quorum: Quorum::new(2).unwrap(), ..offering(offer()) };
    let call = bench.submit(&arguments("two"), two).await.call;
    for by in [bench.mira, bench.noor] {
        bench.approvals.decide(bench.decision(&call, by, Verdict::Approve)).await.unwrap();
    }
    bench.approvals.returned(call.submission.id).await;
    let two = bench.until(&call, "executed").await;
    let plain = approved_under(&bench, "plain", Requirement::plain(15 * MINUTE)).await;
    let changed = placet::call::ToolChanged { to: None, only: false };
    let changed = Requirement { tool_changed: Some(changed), ..offering(offer()) };
    let changed = approved_under(&bench, "changed", changed).await;
    for call in [two, plain, changed] {
        assert!(bench.approvals.may_grant(&call, bench.mira).is_none());
        let why = refused(&bench, bench.wish(&call, &["body"])).await;
        assert_eq!(why, "the policy offers no standing approval for this call");
    }
}

#[tokio::test]
async fn critical_calls_pass_only_by_a_deliberate_step_of_a_person_with_a_reason() {
    let bench = Bench::new().await;
    let critical = Requirement { risk: Some(Risk::Access), ..offering(offer()) };
    let call = approved_under(&bench, "first", critical.clone()).await;
    let wish = || bench.wish(&call, &["body"]);
    let by_api = Grant { channel: Channel::Api, confirmed: true, ..wish() };
    assert!(refused(&bench, by_api).await.contains("not with an API token"));
    assert!(refused(&bench, wish()).await.contains("confirm that you mean"));
    let silent = Grant { confirmed: true, reason: " ".into(), ..wish() };
    assert!(refused(&bench, silent).await.contains("needs a reason"));
    bench.approvals.grant(Grant { confirmed: true, ..wish() }).await.unwrap();
    assert!(bench.passes_under(&arguments("second"), critical).await);
}

#[tokio::test]
async fn nothing_is_granted_to_an_agent_that_was_revoked_or_by_who_may_not_decide() {
    let bench = Bench::new().await;
    let call = bench.approved(&arguments("first")).await;
    bench.store.agent_revoke(bench.agent.name.clone()).await.unwrap();
    assert!(refused(&bench, bench.wish(&call, &["body"])).await.contains("access was revoked"));
    let bench = Bench::new().await;
    let call = bench.approved(&arguments("first")).await;
    bench.store.reviewer_disable("mira@example.com".parse().unwrap()).await.unwrap();
    assert!(refused(&bench, bench.wish(&call, &["body"])).await.contains("account is disabled"));
}

#[tokio::test]
async fn secrets_in_the_reason_are_masked_wherever_it_goes() {
    let bench = Bench::new().await;
    let call = bench.approved(&arguments("first")).await;
    let token = "ghp_0123456789abcdefghijklmnopqrstuvwxyz";
    let granted = bench.approvals.grant(Grant { reason: format!("use {token}"), ..bench.wish(&call, &["body"]) }).await;
    assert!(!granted.unwrap().reason.contains(token));
    assert!(bench.passes(&arguments("second")).await);
    assert!(bench.told().await.iter().all(|entry| !entry.to_string().contains(token)));
}
