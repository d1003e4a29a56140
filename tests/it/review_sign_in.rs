//! The ways in and out, tried from outside.

use std::time::Duration;

use placet::identity::Roles;
use reqwest::{Method, StatusCode};

use crate::support::pages::{PASSWORD, Pages, header};

#[tokio::test]
async fn address_and_password_open_a_session_and_lead_back() {
    let pages = Pages::new().await;
    pages.person("ada@example.com", &["iam"], Roles { reviewer: true, ..Roles::default() }).await;
    let mut browser = pages.stranger();
    let asked = browser.get("/history?tool=x&text=a+b").await;
    assert_eq!(asked.status(), StatusCode::SEE_OTHER);
    assert_eq!(header(&asked, "location"), "/login?next=/history%3Ftool%3Dx%26text%3Da%2Bb");
    assert!(browser.page(header(&asked, "location")).await.contains("value=\"/history?tool=x"));
    let next = "/history?tool=x&text=a+b";
    let fields = [("email", " ADA@example.com"), ("password", PASSWORD), ("next", next)];
    let signed_in = browser.post("/login", &fields).await;
    assert_eq!((signed_in.status(), header(&signed_in, "location")), (StatusCode::SEE_OTHER, next));
    let cookie = header(&signed_in, "set-cookie");
    assert!(cookie.starts_with("placet=plt_session_") && cookie.contains("; HttpOnly; SameSite=Lax"), "{cookie}");
    browser.cookie = cookie.split(['=', ';']).nth(1).map(str::to_owned);
    assert!(browser.page("/").await.contains("ada@example.com"));
    assert_eq!(browser.get("/login").await.status(), StatusCode::SEE_OTHER, "signed in already");

    let csrf = browser.csrf().await;
    let out = browser.post("/logout", &[("csrf", &csrf)]).await;
    assert_eq!((out.status(), header(&out, "location")), (StatusCode::SEE_OTHER, "/login?notice=signed_out"));
    assert!(header(&out, "set-cookie").contains("Max-Age=0"));
    let over = browser.get("/").await;
    assert_eq!((over.status(), header(&over, "location")), (StatusCode::SEE_OTHER, "/login?notice=expired"));
}

#[tokio::test]
async fn a_sign_in_never_leads_away() {
    let pages = Pages::new().await;
    pages.person("ada@example.com", &[], Roles { reviewer: true, ..Roles::default() }).await;
    for next in ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/\r\nX: y"] {
        let fields = [("email", "ada@example.com"), ("password", PASSWORD), ("next", next)];
        let signed_in = pages.stranger().post("/login", &fields).await;
        assert_eq!((signed_in.status(), header(&signed_in, "location")), (StatusCode::SEE_OTHER, "/"), "{next:?}");
    }
}

#[tokio::test]
async fn a_refused_sign_in_looks_the_same_whoever_is_meant() {
    let pages = Pages::new().await;
    pages.person("ada@example.com", &[], Roles { reviewer: true, ..Roles::default() }).await;
    let mut seen = Vec::new();
    for email in ["ada@example.com", "nob@example.com"] {
        let refused = pages.stranger().post("/login", &[("email", email), ("password", "wrong wrong wrong")]).await;
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(header(&refused, "set-cookie"), "");
        seen.push(refused.text().await.unwrap().replace(email, "WHO"));
    }
    assert_eq!(seen[0], seen[1]);
}

#[tokio::test]
async fn guessing_is_slowed_down_and_the_page_says_for_how_long() {
    let pages = Pages::new().await;
    pages.person("ada@example.com", &[], Roles { reviewer: true, ..Roles::default() }).await;
    let browser = pages.stranger();
    let wrong = [("email", "ada@example.com"), ("password", "wrong wrong wrong")];
    let mut last = browser.post("/login", &wrong).await;
    for _ in 0..6 {
        last = browser.post("/login", &wrong).await;
    }
    assert_eq!(last.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(header(&last, "retry-after"), "1");
    let right = [("email", "ada@example.com"), ("password", PASSWORD)];
    assert_eq!(browser.post("/login", &right).await.status(), StatusCode::TOO_MANY_REQUESTS, "unheard");
    pages.bench.clock.advance(Duration::from_secs(1));
    assert_eq!(browser.post("/login", &right).await.status(), StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn opening_a_link_spends_nothing_and_its_code_spends_it_once() {
    let pages = Pages::new().await;
    let email = pages.person("ada@example.com", &[], Roles { reviewer: true, ..Roles::default() }).await.email;
    let made = pages.identity.link_make(email).await.unwrap().link;
    let (path, code) = (format!("/login/link/{}", made.token.reveal()), made.code.expose());
    let browser = pages.stranger();
    let before = pages.log_size().await;
    for _ in 0..50 {
        assert_eq!(browser.get(&path).await.status(), StatusCode::OK);
        assert_eq!(browser.request(Method::HEAD, &path).send().await.unwrap().status(), StatusCode::OK);
    }
    assert_eq!(pages.log_size().await, before);
    // What a scanner that runs the page's scripts would send: the form as it stands.
    for fields in [&[][..], &[("code", "")][..], &[("code", "not it")][..]] {
        assert_eq!(browser.post(&path, fields).await.status(), StatusCode::UNAUTHORIZED);
    }
    let signed_in = browser.post(&path, &[("code", code), ("next", "/calls/x?prepare=approve")]).await;
    assert_eq!(
        (signed_in.status(), header(&signed_in, "location")),
        (StatusCode::SEE_OTHER, "/calls/x?prepare=approve")
    );
    assert_eq!(browser.post(&path, &[("code", code)]).await.status(), StatusCode::GONE);
    assert_eq!(browser.get(&path).await.status(), StatusCode::GONE);
    assert_eq!(browser.get("/login/link/plt_link_made-up").await.status(), StatusCode::GONE);
}

#[tokio::test]
async fn a_person_changes_the_password_and_ends_other_sessions() {
    let pages = Pages::new().await;
    let here = pages.reviewer("ada@example.com", &[]).await;
    let there = pages.sign_in("ada@example.com").await;
    let csrf = here.csrf().await;
    let change = async |current: &str, new: &str, repeat: &str| {
        let fields = [("csrf", csrf.as_str()), ("current", current), ("new", new), ("repeat", repeat)];
        here.post("/account/password", &fields).await.status()
    };
    let new = "another good password";
    assert_eq!(change(PASSWORD, new, "other").await, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(change("not the password", new, new).await, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(change(PASSWORD, "short", "short").await, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(there.get("/").await.status(), StatusCode::OK);
    assert_eq!(change(PASSWORD, new, new).await, StatusCode::OK);
    assert_eq!(there.get("/").await.status(), StatusCode::SEE_OTHER);
    assert_eq!(here.get("/").await.status(), StatusCode::OK);
    let other = pages.stranger().post("/login", &[("email", "ada@example.com"), ("password", new)]).await;
    assert_eq!(other.status(), StatusCode::SEE_OTHER);
    assert_eq!(here.post("/account/sessions/revoke", &[("csrf", &csrf)]).await.status(), StatusCode::SEE_OTHER);
    let left = pages.identity.sessions(pages.identity.reviewers().await.unwrap()[0].id).await.unwrap();
    assert_eq!(left.len(), 1, "this one only");
    let gone = here.post("/account/sessions/not-mine/revoke", &[("csrf", &csrf)]).await;
    assert_eq!(gone.status(), StatusCode::NOT_FOUND);
}
