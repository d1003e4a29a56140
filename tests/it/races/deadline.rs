//! To the millisecond: a deadline is the first moment at which it is too late, for verdicts, for releases, and for
//! everybody who is told of it.

use std::time::Duration;

use placet::approvals::DecideError;
use placet::call::{GroupName, HeldCall, Millis, OnTimeout, Requirement, Verdict};
use reqwest::{Method, StatusCode};
use tokio::process::Command;
use tokio::task::JoinSet;

use crate::support::bench::Bench;
use crate::support::pages::Pages;

fn minutes(count: u64) -> Requirement {
    Requirement::plain(Duration::from_secs(60 * count))
}

#[tokio::test]
async fn a_verdict_counts_until_the_millisecond_before_the_deadline() {
    for (n, verdict) in [Verdict::Approve, Verdict::Reject].into_iter().enumerate() {
        for noticed in [false, true] {
            let bench = Bench::new().await;
            for off in [-1, 0, 1] {
                let call = bench.submit(&format!("[{n},{off}]"), minutes(15)).await.call;
                bench.clock.set(Millis(call.expires_at.0 + off));
                if noticed {
                    bench.approvals.expire().await.unwrap();
                }
                let decided = bench.approvals.decide(bench.decision(&call, bench.mira, verdict)).await;
                match (off, noticed) {
                    (-1, _) => assert!(decided.is_ok(), "{off} {decided:?}"),
                    (_, false) => assert!(matches!(decided, Err(DecideError::TooLate)), "{off} {decided:?}"),
                    (_, true) => {
                        let Err(DecideError::NotPending(now)) = decided else { panic!("{off} {decided:?}") };
                        assert_eq!(now.state.name(), "expired");
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn an_escalation_begins_at_the_deadline_and_counts_from_there() {
    let bench = Bench::new().await;
    let night = OnTimeout::Escalate(vec![GroupName::new("night").unwrap()]);
    for off in [-1, 0] {
        let asked = Requirement { on_timeout: night.clone(), ..minutes(15) };
        let call = bench.submit(&format!("[{off}]"), asked).await.call;
        bench.clock.set(Millis(call.expires_at.0 + off));
        bench.approvals.expire().await.unwrap();
        let now = bench.store.call(call.submission.id).await.unwrap().unwrap();
        let expected = if off < 0 { call.expires_at } else { call.expires_at.after(Duration::from_secs(900)) };
        assert_eq!(now.expires_at, expected, "{off}");
        let late = bench.approvals.decide(bench.decision(&call, bench.noor, Verdict::Reject)).await;
        assert!(late.is_ok(), "{late:?}");
    }
}

/// On the page, through the API and in a terminal; what was typed is given back.
#[tokio::test]
async fn who_comes_too_late_is_told_so() {
    let pages = Pages::new().await;
    let ada = pages.reviewer("ada@example.com", &["iam"]).await;
    let day = Duration::from_secs(86_400);
    let token = pages.identity.api_token_make("ada@example.com".parse().unwrap(), true, day).await.unwrap().token;
    let terminal = async |call: &HeldCall| {
        let ran = Command::new(env!("CARGO_BIN_EXE_placet"))
            .args(["calls", "approve", &call.submission.id.to_string()])
            .env("PLACET_URL", &pages.url)
            .env("PLACET_TOKEN", token.reveal())
            .output();
        let ran = ran.await.unwrap();
        (ran.status.code().unwrap(), String::from_utf8(ran.stderr).unwrap())
    };
    for off in [-1, 0, 1] {
        let hold = async |by: &str| pages.bench.submit(&format!("[\"{by}\",{off}]"), minutes(15)).await.call;
        let (seen, asked, typed) = (hold("page").await, hold("api").await, hold("terminal").await);
        pages.bench.clock.set(Millis(seen.expires_at.0 + off));
        let page = ada.decide(&seen, "approve", &[("reason", "typed with care")]).await;
        let body = serde_json::json!({"verdict": "approve", "digest": asked.digest, "reason": ""}).to_string();
        let path = format!("/api/v1/calls/{}/decision", asked.submission.id);
        let api = ada.request(Method::POST, &path).bearer_auth(token.reveal());
        let api = api.header("content-type", "application/json").body(body).send().await.unwrap();
        let (code, said) = terminal(&typed).await;
        if off < 0 {
            assert_eq!((page.status(), api.status(), code), (StatusCode::SEE_OTHER, StatusCode::OK, 0), "{said}");
            continue;
        }
        assert_eq!((page.status(), api.status(), code), (StatusCode::CONFLICT, StatusCode::CONFLICT, 1), "{off}");
        let (page, api) = (page.text().await.unwrap(), api.text().await.unwrap());
        assert!(page.contains("deadline passed before your decision came") && page.contains("typed with care"));
        assert!(api.contains("deadline has passed; the verdict was not counted"), "{api}");
        assert!(said.contains("deadline has passed"), "{said}");
        for call in [&seen, &asked, &typed] {
            let now = pages.bench.store.call(call.submission.id).await.unwrap().unwrap();
            assert!(now.votes.is_empty() && now.state.is_pending());
        }
        pages.bench.approvals.expire().await.unwrap();
        let page = ada.decide(&seen, "approve", &[]).await;
        assert_eq!(page.status(), StatusCode::CONFLICT);
        assert!(page.text().await.unwrap().contains("its time was over"));
        let (code, said) = terminal(&typed).await;
        assert!(code == 1 && said.contains("expired already"), "{said}");
    }
}

#[tokio::test]
async fn an_approval_is_used_until_the_millisecond_before_its_own_deadline() {
    for noticed in [false, true] {
        let bench = Bench::new().await;
        for off in [-1, 0, 1] {
            let asked = Requirement { execute_within: Duration::from_secs(60), ..minutes(15) };
            let call = bench.submit(&format!("[{off}]"), asked).await.call;
            let approved = bench.approvals.decide(bench.decision(&call, bench.mira, Verdict::Approve)).await.unwrap();
            let before = bench.sent();
            bench.clock.set(Millis(approved.changed_at.after(Duration::from_secs(60)).0 + off));
            if noticed {
                bench.approvals.expire().await.unwrap();
            }
            for _ in 0..3 {
                bench.approvals.returned(call.submission.id).await;
            }
            let ends = if off < 0 {
                bench.until(&call, "executed").await
            } else {
                bench.approvals.releases_ended().await;
                bench.approvals.expire().await.unwrap();
                bench.until(&call, "lapsed").await
            };
            assert_eq!(bench.sent() - before, usize::from(off < 0), "{off} {ends:?}");
        }
    }
}

/// The release looked before the deadline and comes to its claim after it: the claim's own moment counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_after_the_deadline_sends_nothing_whenever_the_release_began() {
    let limits = placet::store::HoldLimits {
        pending: 1000,
        new_per_hour: 1000,
        ..placet::approvals::Settings::default().limits
    };
    let bench = Bench::with(placet::approvals::Settings { limits, ..Default::default() }).await;
    let mut parked = Vec::new();
    for n in 0..300 {
        let call = bench.submit(&format!("[{n}]"), minutes(15)).await.call;
        bench.approvals.decide(bench.decision(&call, bench.mira, Verdict::Approve)).await.unwrap();
        parked.push(call);
    }
    let until = bench.clock.now().after(Duration::from_secs(3600));
    bench.clock.set(Millis(until.0 - 1));
    let mut returns = JoinSet::new();
    for call in &parked {
        let (approvals, id) = (bench.approvals.clone(), call.submission.id);
        returns.spawn(async move { approvals.returned(id).await });
    }
    let clock = bench.clock.clone();
    returns.spawn(async move {
        tokio::task::yield_now().await;
        clock.set(until);
    });
    returns.join_all().await;
    bench.approvals.releases_ended().await;
    bench.store.check_writable().await.unwrap();
    bench.approvals.expire().await.unwrap();
    bench.approvals.releases_ended().await;
    let mut ran = 0;
    for call in &parked {
        let end = bench.store.call(call.submission.id).await.unwrap().unwrap();
        let entries = bench.store.entries_of(call.submission.id).await.unwrap();
        let released = entries.iter().find(|entry| entry.kind == "call.released");
        assert_eq!(end.state.name(), if released.is_some() { "executed" } else { "lapsed" });
        assert!(released.is_none_or(|entry| entry.at < until), "claimed too late");
        ran += usize::from(released.is_some());
    }
    assert_eq!(bench.sent(), ran);
}
