//! Standing approvals on the pages: granted on the call that was approved, seen on every page, ended with one button.

use placet::identity::Roles;
use reqwest::{Response, StatusCode};

use super::{arguments, offer, offering};
use crate::support::pages::{Browser, Pages, header};

/// Ada approves a call, which runs; its page's address.
async fn approved(pages: &Pages, ada: &Browser) -> String {
    let call = pages.bench.submit(&arguments("first"), offering(offer())).await.call;
    assert_eq!(ada.decide(&call, "approve", &[]).await.status(), StatusCode::SEE_OTHER);
    pages.bench.approvals.returned(call.submission.id).await;
    pages.bench.until(&call, "executed").await;
    format!("/calls/{}", call.submission.id)
}

async fn grant(browser: &Browser, path: &str, fields: &[(&str, &str)]) -> Response {
    let csrf = browser.csrf().await;
    let all = [&[("csrf", csrf.as_str())], fields].concat();
    browser.post(&format!("{path}/standing"), &all).await
}

#[tokio::test]
async fn it_is_granted_seen_and_ended() {
    let pages = Pages::new().await;
    let ada = pages.reviewer("ada@example.com", &["iam"]).await;
    let path = approved(&pages, &ada).await;
    let page = ada.page(&path).await;
    assert!(page.contains("Let the next calls like this pass?"));
    for part in ["value=\"body\" checked", "value=\"path\" checked", "max=\"10\"", "max=\"30\""] {
        assert!(page.contains(part), "{part}");
    }
    let other = pages.reviewer("eve@example.com", &["iam"]).await;
    assert!(!other.page(&path).await.contains("Let the next calls"), "only who approved it is asked");
    // Unsent, or sent wrong, nothing passes and what was typed stays.
    let again = grant(&ada, &path, &[("uses", "11"), ("minutes", "5"), ("open", "body"), ("reason", "typed")]).await;
    assert_eq!(again.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let again = again.text().await.unwrap();
    assert!(again.contains("The policy offers 1 to 10 uses") && again.contains(">typed</textarea>"));
    assert!(again.contains("value=\"body\" checked") && !again.contains("value=\"path\" checked"));
    for wrong in ["", "0", "-1", "many"] {
        let answer = grant(&ada, &path, &[("uses", wrong), ("minutes", "5")]).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
    }
    let fields = [("uses", "2"), ("minutes", "5"), ("open", "body"), ("reason", "the weekly <b>report</b>")];
    assert_eq!(grant(&other, &path, &fields).await.status(), StatusCode::CONFLICT);
    assert!(pages.bench.store.standing_list(9).await.unwrap().is_empty());
    let done = grant(&ada, &path, &fields).await;
    assert_eq!((done.status(), header(&done, "location")), (StatusCode::SEE_OTHER, path.as_str()));
    let page = ada.page(&path).await;
    assert!(
        !page.contains("Let the next calls") && page.contains("let further calls of put_user_policy by ci-bot pass")
    );
    assert_eq!(grant(&ada, &path, &fields).await.status(), StatusCode::CONFLICT);

    // Every page says so as long as it holds.
    for seen in ["/", "/policy", "/history"] {
        assert!(other.page(seen).await.contains("Calls pass unseen:"), "{seen}");
    }
    assert!(pages.bench.passes(&arguments("second")).await);
    let list = other.page("/standing").await;
    for part in ["In force.", "1 more call passes", "1 of 2", "the weekly &#60;b&#62;report", &path] {
        assert!(list.contains(part), "{part}: {list}");
    }
    let id = pages.bench.the_standing().await.id.to_string();
    let csrf = other.csrf().await;
    let ended = other.post(&format!("/standing/{id}/end"), &[("csrf", &csrf)]).await;
    assert_eq!((ended.status(), header(&ended, "location")), (StatusCode::SEE_OTHER, "/standing"));
    assert!(!other.page("/").await.contains("Calls pass unseen"));
    let list = other.page("/standing").await;
    assert!(list.contains("<strong>Ended.</strong>") && list.contains("eve"), "{list}");
    assert!(!pages.bench.passes(&arguments("third")).await);
    assert!(other.page("/audit?kind=standing.").await.contains("ended a standing approval for put_user_policy"));
}

#[tokio::test]
async fn nobody_else_grants_or_ends_anything() {
    let pages = Pages::new().await;
    let ada = pages.reviewer("ada@example.com", &["iam"]).await;
    let path = approved(&pages, &ada).await;
    let fields = [("uses", "2"), ("minutes", "5"), ("open", "body")];
    // Without the form's own token, and without a session.
    let bare = ada.post(&format!("{path}/standing"), &fields).await;
    assert_eq!(bare.status(), StatusCode::FORBIDDEN);
    let stranger = pages.stranger();
    assert!(!stranger.post(&format!("{path}/standing"), &fields).await.status().is_success());
    assert_ne!(stranger.get("/standing").await.status(), StatusCode::OK);
    assert_eq!(grant(&ada, &path, &fields).await.status(), StatusCode::SEE_OTHER);
    let id = pages.bench.the_standing().await.id.to_string();
    pages.person("aud@example.com", &[], Roles { reviewer: false, auditor: true, administrator: false }).await;
    let auditor = pages.sign_in("aud@example.com").await;
    assert!(!auditor.page("/standing").await.contains("End it now"));
    let csrf = auditor.csrf().await;
    let end = format!("/standing/{id}/end");
    assert_eq!(auditor.post(&end, &[("csrf", &csrf)]).await.status(), StatusCode::FORBIDDEN);
    assert_eq!(ada.post(&end, &[]).await.status(), StatusCode::FORBIDDEN);
    let csrf = ada.csrf().await;
    for unknown in ["nonsense", "0192f3c1-7d4e-7aa1-9c55-3f2b8e6d1a07"] {
        let answer = ada.post(&format!("/standing/{unknown}/end"), &[("csrf", &csrf)]).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    }
    assert_eq!(pages.bench.store.standing_in_force().await.unwrap().len(), 1);
    // Reading the form's address changes nothing.
    assert_eq!(ada.get(&end).await.status(), StatusCode::SEE_OTHER);
    assert_eq!(pages.bench.store.standing_in_force().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_critical_call_asks_for_a_step_more_and_a_reason() {
    let pages = Pages::new().await;
    let ada = pages.reviewer("ada@example.com", &["iam"]).await;
    let critical = placet::call::Requirement {
        risk: Some(placet::call::Risk::Access),
        ..offering(placet::call::StandingOffer { lasts: std::time::Duration::from_secs(90), ..offer() })
    };
    let call = pages.bench.submit(&arguments("first"), critical).await.call;
    let decided = ada.decide(&call, "approve", &[("confirm_critical", "yes"), ("reason", "as agreed")]).await;
    assert_eq!(decided.status(), StatusCode::SEE_OTHER);
    let path = format!("/calls/{}", call.submission.id);
    assert!(ada.page(&path).await.contains("I mean to let them pass unseen"));
    // A minute and a half is offered as two minutes, and is a minute and a half.
    let fields = [("uses", "1"), ("minutes", "2"), ("open", "body"), ("reason", "as agreed")];
    let answer = grant(&ada, &path, &fields).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(answer.text().await.unwrap().contains("confirm that you mean"));
    let confirmed = [&fields[..], &[("confirm_critical", "yes")]].concat();
    assert_eq!(grant(&ada, &path, &confirmed).await.status(), StatusCode::SEE_OTHER);
    let granted = pages.bench.the_standing().await;
    assert_eq!(granted.until, granted.at.after(std::time::Duration::from_secs(90)));
}
