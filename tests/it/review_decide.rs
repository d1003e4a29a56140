//! Who may decide what, and what everybody else is told.

use std::time::Duration;

use placet::approvals::Settings;
use placet::call::{GroupName, HeldCall, Requirement, Risk};
use placet::identity::Roles;
use reqwest::StatusCode;

use crate::support::bench::Bench;
use crate::support::pages::{Pages, header};

fn plain() -> Requirement {
    Requirement::plain(Duration::from_secs(900))
}

fn path(call: &HeldCall) -> String {
    format!("/calls/{}", call.submission.id)
}

async fn state(pages: &Pages, call: &HeldCall) -> &'static str {
    pages.bench.store.call(call.submission.id).await.unwrap().unwrap().state.name()
}

#[tokio::test]
async fn a_reviewer_reads_and_approves() {
    let pages = Pages::new().await;
    let ada = pages.reviewer("ada@example.com", &["iam"]).await;
    let call = pages.bench.hold(r#"{"user_name":"ci-bot","n":9007199254740993}"#).await;
    let page = ada.page(&format!("{}?prepare=approve", path(&call))).await;
    for part in
        [&call.digest.to_string(), "9007199254740993", "data-state=\"pending\"", "put_user_policy on user ci-bot"]
    {
        assert!(page.contains(part), "{part}");
    }
    assert_eq!(state(&pages, &call).await, "pending", "prepared is not decided");
    let attached = pages.bench.approvals.attach(call.submission.id);
    let decided = ada.decide(&call, "approve", &[]).await;
    assert_eq!((decided.status(), header(&decided, "location")), (StatusCode::SEE_OTHER, path(&call).as_str()));
    assert_eq!(attached.finished().await.unwrap().state.name(), "executed");
    assert!(ada.page(&path(&call)).await.contains("data-state=\"executed\""));
    assert_eq!(pages.bench.sent(), 1);
    for list in ["/history", "/audit", "/audit?kind=call.approved&reviewer=ada@example.com"] {
        assert!(ada.page(list).await.contains(&call.submission.id.to_string()), "{list}");
    }
}

#[tokio::test]
async fn a_decided_or_expired_call_is_not_decided_again() {
    let pages = Pages::new().await;
    let ada = pages.reviewer("ada@example.com", &["iam"]).await;
    let call = pages.bench.hold("{}").await;
    let rejected = ada.decide(&call, "reject", &[("reason", "scope it")]).await;
    assert_eq!(rejected.status(), StatusCode::SEE_OTHER);
    let again = ada.decide(&call, "approve", &[("reason", "typed with care")]).await;
    assert_eq!(again.status(), StatusCode::CONFLICT);
    assert!(again.text().await.unwrap().contains("typed with care"), "what was typed is given back");
    assert_eq!(state(&pages, &call).await, "rejected");

    let late = pages.bench.hold(r#"{"late":1}"#).await;
    pages.bench.clock.advance(Duration::from_secs(900));
    assert_eq!(ada.decide(&late, "approve", &[]).await.status(), StatusCode::CONFLICT);
    assert_eq!(pages.bench.sent(), 0);
}

#[tokio::test]
async fn what_was_not_read_cannot_be_approved() {
    let pages = Pages::new().await;
    let ada = pages.reviewer("ada@example.com", &["iam"]).await;
    let call = pages.bench.hold("{}").await;
    let csrf = ada.csrf().await;
    let other = "0".repeat(64);
    for digest in [other.as_str(), "", "nonsense"] {
        let fields = [("csrf", csrf.as_str()), ("digest", digest), ("verdict", "approve")];
        let answer = ada.post(&format!("{}/decision", path(&call)), &fields).await;
        assert_eq!(answer.status(), StatusCode::CONFLICT, "{digest:?}");
    }
    let digest = call.digest.to_string();
    for verdict in ["", "maybe", "APPROVE"] {
        let fields = [("csrf", csrf.as_str()), ("digest", digest.as_str()), ("verdict", verdict)];
        let answer = ada.post(&format!("{}/decision", path(&call)), &fields).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{verdict:?}");
    }
    let unknown = "/calls/00000000-0000-7000-8000-000000000000/decision";
    let fields = [("csrf", csrf.as_str()), ("digest", digest.as_str()), ("verdict", "approve")];
    assert_eq!(ada.post(unknown, &fields).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(state(&pages, &call).await, "pending");
}

#[tokio::test]
async fn a_document_that_reads_two_ways_can_only_be_rejected() {
    let pages = Pages::new().await;
    let ada = pages.reviewer("ada@example.com", &["iam"]).await;
    let call = pages.bench.hold(r#"{"policy_document":"{\"Action\":\"s3:*\",\"Action\":\"iam:*\"}"}"#).await;
    assert!(ada.page(&path(&call)).await.contains("Cannot be approved"));
    let refused = ada.decide(&call, "approve", &[("reason", "kept words")]).await;
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text().await.unwrap().contains("kept words"));
    assert_eq!(ada.decide(&call, "reject", &[]).await.status(), StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_critical_call_takes_the_extra_step() {
    let pages = Pages::new().await;
    let ada = pages.reviewer("ada@example.com", &["iam"]).await;
    let call = pages.bench.submit("{}", Requirement { risk: Some(Risk::Access), ..plain() }).await.call;
    assert!(ada.page(&path(&call)).await.contains("confirm_critical"));
    let refused = ada.decide(&call, "approve", &[("reason", "why")]).await;
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(state(&pages, &call).await, "pending");
    let confirmed = ada.decide(&call, "approve", &[("reason", "why"), ("confirm_critical", "yes")]).await;
    assert_eq!(confirmed.status(), StatusCode::SEE_OTHER);
    assert_ne!(state(&pages, &call).await, "pending");
}

#[tokio::test]
async fn only_reviewers_of_the_group_see_and_decide() {
    let pages = Pages::new().await;
    let group = vec![GroupName::new("iam").unwrap()];
    let call = pages.bench.submit("{}", Requirement { reviewers: group, ..plain() }).await.call;
    let other = pages.reviewer("other@example.com", &["db"]).await;
    let auditor = Roles { auditor: true, ..Roles::default() };
    pages.person("auditor@example.com", &[], auditor).await;
    let auditor = pages.sign_in("auditor@example.com").await;
    let owner = pages.reviewer("owner@example.com", &["iam"]).await;
    let id = call.submission.id.to_string();

    assert_eq!(other.get(&path(&call)).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(other.decide(&call, "approve", &[]).await.status(), StatusCode::NOT_FOUND);
    for list in ["/", "/partials/queue", "/history", "/audit"] {
        assert!(!other.page(list).await.contains(&id), "{list}");
        assert!(auditor.page(list).await.contains(&id), "{list}");
    }
    assert_eq!(auditor.decide(&call, "approve", &[]).await.status(), StatusCode::FORBIDDEN);
    assert!(owner.page(&path(&call)).await.contains("You own this agent"));
    let own = owner.decide(&call, "approve", &[]).await;
    assert_eq!(own.status(), StatusCode::FORBIDDEN);
    assert!(own.text().await.unwrap().contains("somebody else must decide"));
    assert_eq!(state(&pages, &call).await, "pending");
}

#[tokio::test]
async fn a_single_person_may_be_allowed_to_decide_alone_and_every_page_says_so() {
    let bench = Bench::with(Settings { self_approval: true, ..Settings::default() }).await;
    let pages = Pages::over(bench).await;
    let owner = pages.reviewer("owner@example.com", &["iam"]).await;
    let call = pages.bench.hold("{}").await;
    for page in ["/", "/history", "/audit", "/account", &path(&call)] {
        assert!(owner.page(page).await.to_lowercase().contains("owner"), "{page}");
    }
    assert_eq!(owner.decide(&call, "approve", &[]).await.status(), StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn who_is_disabled_while_reading_decides_nothing() {
    let pages = Pages::new().await;
    let ada = pages.reviewer("ada@example.com", &["iam"]).await;
    let call = pages.bench.hold("{}").await;
    let (csrf, digest) = (ada.csrf().await, call.digest.to_string());
    pages.identity.reviewer_disable("ada@example.com".parse().unwrap()).await.unwrap();
    let fields = [("csrf", csrf.as_str()), ("digest", digest.as_str()), ("verdict", "approve")];
    let answer = ada.post(&format!("{}/decision", path(&call)), &fields).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert!(answer.text().await.unwrap().contains("disabled"));
    assert_eq!(ada.get("/").await.status(), StatusCode::FORBIDDEN);
    assert_eq!(state(&pages, &call).await, "pending");
}
