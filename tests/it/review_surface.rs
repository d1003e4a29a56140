//! What holds on every route: headers, hosts, origins, form tokens, and that reading changes nothing.

use placet::call::HeldCall;
use reqwest::{Method, StatusCode};

use crate::support::pages::{Browser, Pages, header};

/// Every address that is read, `{id}` standing for a call.
const READS: [&str; 20] = [
    "/",
    "/partials/queue",
    "/calls/{id}",
    "/calls/{id}?prepare=approve",
    "/calls/{id}?prepare=reject",
    "/calls/{id}/receipt",
    "/history",
    "/audit",
    "/policy",
    "/policy/try",
    "/policy/versions/1",
    "/audit/checkpoint",
    "/audit/key",
    "/account",
    "/login",
    "/login/link/plt_link_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "/live",
    "/api/v1/calls",
    "/api/v1/calls/{id}",
    "/no/such/page",
];

/// Every address that changes something.
const WRITES: [&str; 15] = [
    "/calls/{id}/decision",
    "/calls/{id}/reveal",
    "/calls/{id}/finding",
    "/calls/{id}/read-back",
    "/policy/try",
    "/account/password",
    "/account/sessions/revoke",
    "/account/sessions/x/revoke",
    "/account/tokens/x/revoke",
    "/logout",
    "/login",
    "/login/link/plt_link_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "/api/v1/calls/{id}/decision",
    "/api/v1/calls/{id}/reveal",
    "/api/v1/calls/{id}/finding",
];

async fn world() -> (Pages, HeldCall, Browser) {
    let pages = Pages::new().await;
    let call = pages.bench.hold(r#"{"user_name":"ci-bot","password":"hunter2hunter2"}"#).await;
    let browser = pages.reviewer("ada@example.com", &["iam"]).await;
    (pages, call, browser)
}

fn filled(path: &str, call: &HeldCall) -> String {
    path.replace("{id}", &call.submission.id.to_string())
}

#[tokio::test]
async fn every_answer_has_the_security_headers() {
    let (pages, call, browser) = world().await;
    let nobody = pages.stranger();
    let asset = {
        let page = browser.page("/").await;
        let from = page.find("/assets/").unwrap();
        page[from..].split(['"', '#']).next().unwrap().to_owned()
    };
    let mut asked = Vec::new();
    for path in READS.iter().chain(&WRITES).copied().chain([asset.as_str(), "/assets/none.css"]) {
        for method in [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
            for who in [&browser, &nobody] {
                asked.push((path, method.clone(), who));
            }
        }
    }
    for (path, method, who) in asked {
        let path = filled(path, &call);
        let response = who.request(method.clone(), &path).send().await.unwrap();
        let policy = header(&response, "content-security-policy");
        for part in ["default-src 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"] {
            assert!(policy.contains(part), "{method} {path}: {policy}");
        }
        assert!(!policy.contains("unsafe"));
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
        ] {
            assert_eq!(header(&response, name), value, "{method} {path}");
        }
        let kept = if path == asset && response.status().is_success() {
            "public, max-age=31536000, immutable"
        } else {
            "no-store"
        };
        assert_eq!(header(&response, "cache-control"), kept, "{method} {path}");
        assert!(response.status().as_u16() < 500, "{method} {path}: {}", response.status());
    }
}

#[tokio::test]
async fn reading_changes_nothing() {
    let (pages, call, browser) = world().await;
    let token = pages
        .identity
        .api_token_make("ada@example.com".parse().unwrap(), true, std::time::Duration::from_secs(60))
        .await
        .unwrap();
    let before = pages.log_size().await;
    for path in READS.iter().chain(&WRITES) {
        let path = filled(path, &call);
        for method in [Method::GET, Method::HEAD] {
            for _ in 0..5 {
                let request = browser.request(method.clone(), &path).bearer_auth(token.token.reveal());
                let answer = request.send().await.unwrap();
                assert!(answer.status().as_u16() < 500, "{path}");
            }
        }
    }
    assert_eq!(pages.log_size().await, before);
    assert_eq!(browser.get("/account").await.status(), StatusCode::OK, "still signed in");
    let now = pages.bench.store.call(call.submission.id).await.unwrap().unwrap();
    assert_eq!((now.state, now.votes.len()), (call.state, 0));
}

#[tokio::test]
async fn forms_from_elsewhere_change_nothing() {
    let (pages, call, browser) = world().await;
    let csrf = browser.csrf().await;
    let digest = call.digest.to_string();
    let fields = [("csrf", csrf.as_str()), ("digest", digest.as_str()), ("verdict", "approve"), ("code", "1")];
    let before = pages.log_size().await;
    for path in WRITES {
        let path = filled(path, &call);
        let from = [
            ("origin", "https://evil.example"),
            ("origin", "null"),
            ("origin", "http://localhost:1"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-site", "none"),
        ];
        for (name, value) in from {
            let answer = browser.form(&path, &fields).header(name, value).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{path} {name}: {value}");
        }
        if path.starts_with("/login") || path.starts_with("/api") {
            continue;
        }
        for token in ["", "x", &csrf[1..], &format!("{csrf}x")] {
            let fields = [("csrf", token), ("digest", digest.as_str()), ("verdict", "approve")];
            let answer = browser.post(&path, &fields).await;
            assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{path} csrf {token:?}");
        }
        let other = pages.stranger().post(&path, &fields).await;
        assert_eq!(other.status(), StatusCode::UNAUTHORIZED, "{path} without a session");
    }
    assert_eq!(pages.log_size().await, before);
    let now = pages.bench.store.call(call.submission.id).await.unwrap().unwrap();
    assert_eq!(now.state, call.state);
    assert_eq!(browser.get("/account").await.status(), StatusCode::OK, "still signed in");
}

#[tokio::test]
async fn another_sessions_form_token_does_not_count() {
    let (pages, call, ada) = world().await;
    let ben = pages.reviewer("ben@example.com", &["iam"]).await;
    let (csrf, digest) = (ben.csrf().await, call.digest.to_string());
    let path = format!("/calls/{}/decision", call.submission.id);
    let fields = [("csrf", csrf.as_str()), ("digest", digest.as_str()), ("verdict", "approve")];
    assert_eq!(ada.post(&path, &fields).await.status(), StatusCode::FORBIDDEN);
    let own = ada.csrf().await;
    let fields = [("csrf", own.as_str()), ("digest", digest.as_str()), ("verdict", "reject")];
    let without_origin = ada.form(&path, &fields).header("sec-fetch-site", "same-origin").header("origin", "null");
    let answer = without_origin.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::SEE_OTHER, "our own forms have no origin under no-referrer");
}

#[tokio::test]
async fn foreign_hosts_get_nothing() {
    let (_pages, _, browser) = world().await;
    for host in ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io:80"] {
        let answer = browser.request(Method::GET, "/").header("host", host).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::MISDIRECTED_REQUEST, "{host}");
        assert!(!answer.text().await.unwrap().contains("ada@example.com"));
    }
}

#[tokio::test]
async fn failures_are_pages_that_say_what_to_do() {
    let (_pages, call, browser) = world().await;
    let missing = browser.get("/calls/00000000-0000-7000-8000-000000000000").await;
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    assert!(missing.text().await.unwrap().contains("There is nothing here"));
    assert_eq!(browser.get("/calls/nonsense").await.status(), StatusCode::NOT_FOUND);
    let wrong = browser.get("/logout").await;
    assert_eq!((wrong.status(), header(&wrong, "allow")), (StatusCode::METHOD_NOT_ALLOWED, "POST"));
    let (origin, path) = (browser.url.clone(), filled("/calls/{id}/decision", &call));
    let large = browser.form(&path, &[("csrf", &"x".repeat(70_000))]).header("origin", &origin);
    assert_eq!(large.send().await.unwrap().status(), StatusCode::PAYLOAD_TOO_LARGE);
    let json =
        browser.request(Method::POST, &path).header("origin", &origin).header("content-type", "application/json");
    assert_eq!(json.body("{}").send().await.unwrap().status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn secrets_are_shown_on_demand_and_that_is_written_down() {
    let (pages, call, browser) = world().await;
    let path = filled("/calls/{id}", &call);
    assert!(!browser.page(&path).await.contains("hunter2hunter2"));
    assert!(!browser.page("/").await.contains("hunter2hunter2"));
    let csrf = browser.csrf().await;
    let revealed = browser.post(&format!("{path}/reveal"), &[("csrf", &csrf)]).await;
    assert_eq!(revealed.status(), StatusCode::OK);
    assert!(revealed.text().await.unwrap().contains("hunter2hunter2"));
    assert_eq!(pages.bench.kinds(&call).await, ["call.held", "call.revealed"]);
    assert!(!browser.page(&path).await.contains("hunter2hunter2"), "once is not for ever");
    for form in ["reveal", "decision"] {
        let again = browser.get(&format!("{path}/{form}")).await;
        assert_eq!((again.status(), header(&again, "location")), (StatusCode::SEE_OTHER, path.as_str()), "{form}");
    }
}
