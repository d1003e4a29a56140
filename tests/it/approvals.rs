//! One outcome, at most one execution.

use std::time::Duration;

use placet::approvals::{Channel, DecideError, ForwardError, How, Settings, SubmitError};
use placet::call::{Answer, CallState, GroupName, OnTimeout, Quorum, ReleaseWhen, Requirement, Risk, Verdict};
use sqlx::Connection as _;

use crate::support::bench::Bench;

fn plain() -> Requirement {
    Requirement::plain(Duration::from_secs(900))
}

#[tokio::test]
async fn an_approved_call_runs_once_with_exactly_its_bytes() {
    let bench = Bench::new().await;
    let arguments = r#"{"n": 9007199254740993,  "x":"é"}"#;
    let call = bench.hold(arguments).await;
    let attached = bench.approvals.attach(call.submission.id);
    let decided = bench.approvals.decide(bench.decision(&call, bench.mira, Verdict::Approve)).await.unwrap();
    assert_eq!(decided.state.name(), "approved");
    let done = attached.finished().await.unwrap();
    assert_eq!(done.state.name(), "executed");
    assert_eq!(done.answer, Some(Answer::Result(r#"{"content":[]}"#.into())));
    assert_eq!(*bench.upstream.received.lock().unwrap(), std::slice::from_ref(&call.submission.params));
    assert_eq!(bench.kinds(&call).await, ["call.held", "call.approved", "call.released", "call.executed"]);
    // The same call again gets the kept answer, and nothing runs.
    let again = bench.submit(arguments, plain()).await;
    assert_eq!((again.how, again.call.submission.id), (How::Joined, call.submission.id));
    bench.approvals.returned(call.submission.id).await;
    assert_eq!(bench.sent(), 1);
    // After the time that answers are kept it is a new call.
    bench.clock.advance(Duration::from_secs(3600));
    assert_eq!(bench.submit(arguments, plain()).await.how, How::New);
}

#[tokio::test]
async fn a_rejected_call_never_runs_and_answers_the_same_call_for_ten_minutes() {
    let bench = Bench::new().await;
    let call = bench.hold("{}").await;
    let rejected = bench.approvals.decide(bench.decision(&call, bench.mira, Verdict::Reject)).await.unwrap();
    assert!(matches!(&rejected.state, CallState::Rejected { reason, .. } if reason == "scope Resource to one bucket"));
    assert_eq!(bench.submit("{}", plain()).await.how, How::Joined);
    bench.clock.advance(Duration::from_secs(600));
    assert_eq!(bench.submit("{}", plain()).await.how, How::New);
    assert_eq!(bench.sent(), 0);
}

#[tokio::test]
async fn a_call_nobody_answers_expires_at_its_deadline_and_a_late_verdict_does_not_count() {
    let bench = Bench::new().await;
    let call = bench.hold("{}").await;
    bench.clock.advance(Duration::from_millis(899_999));
    assert_eq!(bench.approvals.expire().await.unwrap(), Some(call.expires_at));
    bench.clock.advance(Duration::from_millis(1));
    let late = bench.approvals.decide(bench.decision(&call, bench.mira, Verdict::Approve)).await;
    assert!(matches!(late, Err(DecideError::TooLate)), "{late:?}");
    bench.approvals.expire().await.unwrap();
    let late = bench.approvals.decide(bench.decision(&call, bench.mira, Verdict::Approve)).await;
    assert!(matches!(late, Err(DecideError::NotPending(_))), "{late:?}");
    assert_eq!(bench.until(&call, "expired").await.state.name(), "expired");
    assert_eq!(bench.kinds(&call).await, ["call.held", "call.expired"]);
    assert_eq!(bench.sent(), 0);
}

#[tokio::test]
async fn an_overdue_call_goes_to_further_groups_once_and_only_they_are_added() {
    let bench = Bench::new().await;
    let group = |name: &str| vec![GroupName::new(name).unwrap()];
    let requirement =
        Requirement { reviewers: group("day"), on_timeout: OnTimeout::Escalate(group("night")), ..plain() };
    let call = bench.submit("{}", requirement).await.call;
    let other = bench.approvals.decide(bench.decision(&call, bench.noor, Verdict::Approve)).await;
    assert!(matches!(other, Err(DecideError::Forbidden(_))), "{other:?}");
    bench.clock.advance(Duration::from_secs(900));
    bench.approvals.expire().await.unwrap();
    let other = bench.approvals.decide(bench.decision(&call, bench.mira, Verdict::Approve)).await;
    assert!(matches!(other, Err(DecideError::Forbidden(_))), "{other:?}");
    bench.approvals.decide(bench.decision(&call, bench.noor, Verdict::Approve)).await.unwrap();
    bench.approvals.returned(call.submission.id).await;
    bench.until(&call, "executed").await;
    let second = bench.submit(r#"{"b":1}"#, Requirement { on_timeout: OnTimeout::Escalate(vec![]), ..plain() }).await;
    for _ in 0..2 {
        bench.clock.advance(Duration::from_secs(900));
        bench.approvals.expire().await.unwrap();
    }
    assert_eq!(bench.kinds(&second.call).await, ["call.held", "call.escalated", "call.expired"]);
}

#[tokio::test]
async fn the_policys_own_approval_is_recorded_as_the_policys() {
    let bench = Bench::new().await;
    let call = bench.submit("{}", Requirement { on_timeout: OnTimeout::Approve, ..plain() }).await.call;
    let attached = bench.approvals.attach(call.submission.id);
    bench.clock.advance(Duration::from_secs(900));
    bench.approvals.expire().await.unwrap();
    assert_eq!(attached.finished().await.unwrap().state.name(), "executed");
    let entries = bench.store.entries_of(call.submission.id).await.unwrap();
    assert!(entries[1].body.contains(r#""by":"policy""#), "{}", entries[1].body);
    assert_eq!(entries[1].reviewer, None);
}

#[tokio::test]
async fn who_may_not_decide_does_not() {
    let bench = Bench::new().await;
    let critical = Requirement { risk: Some(Risk::Access), require_reason: true, ..plain() };
    let call = bench.submit("{}", critical).await.call;
    let approve = || bench.decision(&call, bench.mira, Verdict::Approve);
    let mut stale = approve();
    stale.digest.0[31] ^= 1;
    assert!(matches!(bench.approvals.decide(stale).await, Err(DecideError::StaleDigest)));
    assert!(matches!(bench.approvals.decide(approve()).await, Err(DecideError::NeedsConfirmation)));
    let mut api = approve();
    (api.channel, api.confirmed) = (Channel::Api, true);
    assert!(matches!(bench.approvals.decide(api).await, Err(DecideError::CriticalByApi)));
    let mut silent = approve();
    (silent.reason, silent.confirmed) = ("  ".into(), true);
    assert!(matches!(bench.approvals.decide(silent).await, Err(DecideError::ReasonRequired)));
    let mut long = approve();
    long.reason = "x".repeat(4001);
    assert!(matches!(bench.approvals.decide(long).await, Err(DecideError::ReasonTooLong)));
    bench.store.reviewer_disable("mira@example.com".parse().unwrap()).await.unwrap();
    let mut disabled = approve();
    disabled.confirmed = true;
    assert!(matches!(bench.approvals.decide(disabled).await, Err(DecideError::Forbidden(_))));
    assert!(Bench::pending(&bench.store.call(call.submission.id).await.unwrap().unwrap()));
}

#[tokio::test]
async fn the_owner_decides_only_where_that_is_configured() {
    for (solo, expected) in [(false, "pending"), (true, "approved")] {
        let mut bench = Bench::with(Settings { self_approval: solo, ..Settings::default() }).await;
        bench.agent.owner = "mira@example.com".parse().unwrap();
        let call = bench.hold("{}").await;
        let _ = bench.approvals.decide(bench.decision(&call, bench.mira, Verdict::Approve)).await;
        assert_eq!(bench.store.call(call.submission.id).await.unwrap().unwrap().state.name(), expected);
    }
}

#[tokio::test]
async fn a_quorum_of_two_needs_two_people() {
    let bench = Bench::new().await;
    let two = Requirement { quorum: Quorum::new(2).unwrap(), ..plain() };
    let call = bench.submit("{}", two).await.call;
    let first = bench.approvals.decide(bench.decision(&call, bench.mira, Verdict::Approve)).await.unwrap();
    assert!(Bench::pending(&first));
    let again = bench.approvals.decide(bench.decision(&call, bench.mira, Verdict::Approve)).await;
    assert!(matches!(again, Err(DecideError::VotedAlready)), "{again:?}");
    let second = bench.approvals.decide(bench.decision(&call, bench.noor, Verdict::Approve)).await.unwrap();
    assert_eq!(second.state.name(), "approved");
}

#[tokio::test]
async fn an_approval_without_its_caller_is_parked_until_it_returns_or_lapses() {
    let bench = Bench::new().await;
    let calls = [bench.hold(r#"{"a":1}"#).await, bench.hold(r#"{"a":2}"#).await];
    for call in &calls {
        bench.approvals.decide(bench.decision(call, bench.mira, Verdict::Approve)).await.unwrap();
    }
    assert_eq!(bench.sent(), 0);
    bench.approvals.returned(calls[0].submission.id).await;
    bench.until(&calls[0], "executed").await;
    bench.clock.advance(Duration::from_secs(3600));
    bench.approvals.expire().await.unwrap();
    bench.until(&calls[1], "lapsed").await;
    bench.approvals.returned(calls[1].submission.id).await;
    assert_eq!(bench.sent(), 1);
}

#[tokio::test]
async fn on_return_waits_for_the_same_call_even_while_the_caller_is_there() {
    let bench = Bench::new().await;
    let call = bench.submit("{}", Requirement { release: ReleaseWhen::OnReturn, ..plain() }).await.call;
    let _attached = bench.approvals.attach(call.submission.id);
    bench.approvals.told_to_return(call.submission.id).await.unwrap();
    bench.approvals.decide(bench.decision(&call, bench.mira, Verdict::Approve)).await.unwrap();
    assert_eq!(bench.store.call(call.submission.id).await.unwrap().unwrap().state.name(), "approved");
    bench.approvals.returned(call.submission.id).await;
    bench.until(&call, "executed").await;
}

#[tokio::test]
async fn what_changed_since_the_approval_revokes_it() {
    let bench = Bench::new().await;
    let call = bench.hold("{}").await;
    bench.approvals.decide(bench.decision(&call, bench.mira, Verdict::Approve)).await.unwrap();
    *bench.today.0.lock().unwrap() = Some("the policy denies put_user_policy now".into());
    bench.approvals.returned(call.submission.id).await;
    let revoked = bench.until(&call, "revoked").await;
    assert!(matches!(&revoked.state, CallState::Revoked { why, .. } if why.contains("denies")), "{revoked:?}");
    *bench.today.0.lock().unwrap() = None;
    let demoted = bench.hold(r#"{"a":1}"#).await;
    bench.approvals.decide(bench.decision(&demoted, bench.mira, Verdict::Approve)).await.unwrap();
    bench.store.reviewer_disable("mira@example.com".parse().unwrap()).await.unwrap();
    bench.approvals.returned(demoted.submission.id).await;
    bench.until(&demoted, "revoked").await;
    let orphan = bench.hold(r#"{"a":2}"#).await;
    bench.approvals.decide(bench.decision(&orphan, bench.noor, Verdict::Approve)).await.unwrap();
    bench.store.agent_revoke("ci-bot".parse().unwrap()).await.unwrap();
    bench.approvals.returned(orphan.submission.id).await;
    bench.until(&orphan, "revoked").await;
    assert_eq!(bench.sent(), 0);
}

#[tokio::test]
async fn rows_edited_by_hand_release_nothing_and_raise_an_alarm() {
    let edits = [
        "UPDATE call_params SET params = replace(params, 'put_user', 'del_user')",
        "UPDATE calls SET usable_until = usable_until + 1",
        "UPDATE votes SET verdict = 'approve', reason = 'fine'",
        "UPDATE calls SET requirement = replace(requirement, '\"quorum\":1', '\"quorum\":2')",
        "UPDATE calls SET approval_mac = NULL",
    ];
    for edit in edits {
        let bench = Bench::new().await;
        let call = bench.hold("{}").await;
        bench.approvals.decide(bench.decision(&call, bench.mira, Verdict::Approve)).await.unwrap();
        tamper(&bench, edit).await;
        bench.approvals.returned(call.submission.id).await;
        bench.until(&call, "revoked").await;
        assert_eq!(bench.kinds(&call).await.last().unwrap(), "alarm.call_tampered", "{edit}");
        assert_eq!(bench.sent(), 0, "{edit}");
    }
}

#[tokio::test]
async fn a_pending_call_set_approved_by_hand_releases_nothing() {
    let bench = Bench::new().await;
    let call = bench.hold("{}").await;
    let forged = "UPDATE calls SET state = 'approved', approved_by = 'policy', approved_at = created_at,
                  usable_until = expires_at, approval_mac = digest";
    tamper(&bench, forged).await;
    bench.approvals.returned(call.submission.id).await;
    bench.until(&call, "revoked").await;
    assert_eq!(bench.sent(), 0);
}

async fn tamper(bench: &Bench, sql: &'static str) {
    let url = format!("sqlite://{}", bench.folder.path().join("placet.db").display());
    let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
    let done = sqlx::query(sql).execute(&mut connection).await.unwrap();
    assert!(done.rows_affected() > 0, "{sql}");
}

#[tokio::test]
async fn what_the_upstream_answers_is_told_apart() {
    let bench = Bench::new().await;
    let cases = [
        (Ok(Answer::Result(r#"{"isError":true,"content":[]}"#.into())), "tool_error"),
        (Ok(Answer::Error(r#"{"code":-32602,"message":"x"}"#.into())), "tool_error"),
        (Err(ForwardError::NotSent("connection refused".into())), "tool_error"),
        (Err(ForwardError::Unknown("the connection broke".into())), "outcome_unknown"),
    ];
    for (n, (answer, state)) in cases.into_iter().enumerate() {
        *bench.upstream.answer.lock().unwrap() = answer;
        let call = bench.hold(&format!(r#"{{"n":{n}}}"#)).await;
        let attached = bench.approvals.attach(call.submission.id);
        bench.approvals.decide(bench.decision(&call, bench.mira, Verdict::Approve)).await.unwrap();
        assert_eq!(attached.finished().await.unwrap().state.name(), state);
    }
    // An unknown outcome answers the same call until a person has found out.
    bench.clock.advance(Duration::from_secs(86_400));
    let again = bench.submit(r#"{"n":3}"#, plain()).await;
    assert_eq!((again.how, again.call.state.name()), (How::Joined, "outcome_unknown"));
}

#[tokio::test]
async fn a_held_call_survives_a_restart_and_runs_once_when_the_agent_calls_again() {
    let bench = Bench::new().await;
    let call = bench.hold("{}").await;
    let bench = bench.restart().await;
    let found = bench.store.call(call.submission.id).await.unwrap().unwrap();
    assert!(Bench::pending(&found) && found.caller_gone);
    bench.approvals.decide(bench.decision(&call, bench.mira, Verdict::Approve)).await.unwrap();
    let bench = bench.restart().await;
    let joined = bench.submit("{}", plain()).await;
    assert_eq!(joined.how, How::Joined);
    let attached = bench.approvals.attach(joined.call.submission.id);
    bench.approvals.returned(joined.call.submission.id).await;
    assert_eq!(attached.finished().await.unwrap().state.name(), "executed");
    assert_eq!(bench.sent(), 1);
}

#[tokio::test]
async fn a_call_that_was_being_released_at_a_crash_is_unknown_and_never_sent_again() {
    let bench = Bench::new().await;
    let call = bench.hold("{}").await;
    bench.approvals.decide(bench.decision(&call, bench.mira, Verdict::Approve)).await.unwrap();
    tamper(&bench, "UPDATE calls SET state = 'releasing', claim = id").await;
    let bench = bench.restart().await;
    bench.until(&call, "outcome_unknown").await;
    bench.approvals.returned(call.submission.id).await;
    assert_eq!(bench.sent(), 0);
}

#[tokio::test]
async fn a_call_is_taken_back_by_its_own_agent_and_not_while_another_caller_waits_for_it() {
    let bench = Bench::new().await;
    let call = bench.hold("{}").await;
    let (id, stranger) = (call.submission.id, placet::call::AgentId(bench.entropy.uuid(bench.clock.now())));
    let waiting = bench.approvals.attach(id);
    assert!(bench.approvals.cancel(id, stranger).await.is_err());
    assert!(Bench::pending(&bench.approvals.cancel(id, bench.agent.id).await.unwrap()), "somebody waits for it");
    drop(waiting);
    assert!(bench.approvals.cancel(id, stranger).await.is_err());
    assert_eq!(bench.approvals.cancel(id, bench.agent.id).await.unwrap().state.name(), "cancelled");
    assert_eq!(bench.kinds(&call).await, ["call.held", "call.cancelled"]);
}

#[tokio::test]
async fn one_agent_cannot_flood_the_reviewers() {
    let bench = Bench::new().await;
    let mut calls = vec![];
    for n in 0..20 {
        calls.push(bench.hold(&format!("[{n}]")).await);
    }
    let refused = bench.approvals.submit(bench.call("[20]", plain())).await;
    assert!(matches!(refused, Err(SubmitError::TooManyPending(20))), "{refused:?}");
    // Taking calls back makes room, but not for a flood.
    for call in &calls {
        bench.approvals.cancel(call.submission.id, bench.agent.id).await.unwrap();
    }
    for n in 20..30 {
        bench.hold(&format!("[{n}]")).await;
    }
    let refused = bench.approvals.submit(bench.call("[30]", plain())).await;
    let again = crate::support::bench::START.after(Duration::from_secs(3600));
    assert!(matches!(refused, Err(SubmitError::TooManyNew { max: 30, retry_at }) if retry_at == again), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_reviewers_at_once_a_thousand_times_make_one_outcome() {
    let settings = Settings {
        limits: placet::store::HoldLimits { pending: 2000, new_per_hour: 2000, ..Settings::default().limits },
        ..Settings::default()
    };
    let bench = Bench::with(settings).await;
    let mut approved = 0;
    for n in 0..1000 {
        let call = bench.hold(&format!("[{n}]")).await;
        let attached = bench.approvals.attach(call.submission.id);
        let yes = bench.approvals.decide(bench.decision(&call, bench.mira, Verdict::Approve));
        let no = bench.approvals.decide(bench.decision(&call, bench.noor, Verdict::Reject));
        // Which of the two is polled first alternates; the writer decides.
        let (yes, no) = if n % 2 == 0 {
            tokio::join!(yes, no)
        } else {
            let (no, yes) = tokio::join!(no, yes);
            (yes, no)
        };
        assert_ne!(yes.is_ok(), no.is_ok(), "exactly one verdict counts");
        let loser = yes.as_ref().err().or(no.as_ref().err()).unwrap();
        assert!(matches!(loser, DecideError::NotPending(_)), "{loser}");
        let end = attached.finished().await.unwrap();
        assert_eq!(end.state.name(), if yes.is_ok() { "executed" } else { "rejected" });
        approved += usize::from(yes.is_ok());
    }
    assert_eq!(bench.sent(), approved);
    assert!(approved > 0 && approved < 1000, "both orders happened");
}
