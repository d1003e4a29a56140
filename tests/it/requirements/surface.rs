//! The browser's surface, route by route and method by method, as the router itself has them.

use reqwest::{Method, Response, StatusCode};

use crate::support::bench::Bench;
use crate::support::pages::{Browser, Pages, header};

const FORM: &str = "application/x-www-form-urlencoded";

const ROUTER: &str = include_str!("../../../src/review/mod.rs");

/// Nobody needs to be signed in for these.
const PUBLIC: [&str; 4] = ["/login", "/login/link/{token}", "/assets/{file}", "/policy.schema.json"];

struct Route {
    path: String,
    /// Those that it takes; a GET answers HEAD as well.
    methods: Vec<Method>,
}

/// Every `.route("…", …)` of the reviewer's side.
fn routes() -> Vec<Route> {
    let lines = ROUTER.lines().filter_map(|line| line.trim().strip_prefix(".route(\""));
    let routes: Vec<_> = lines
        .map(|line| {
            let (path, handlers) = line.split_once("\", ").unwrap();
            let has = |name: &str| handlers.starts_with(&format!("{name}(")) || handlers.contains(&format!(".{name}("));
            let mut methods = Vec::new();
            for (name, method) in [("get", Method::GET), ("post", Method::POST)] {
                if has(name) {
                    methods.push(method);
                }
            }
            assert!(!["put(", "patch(", "delete(", "any("].iter().any(|other| handlers.contains(other)), "{line}");
            Route { path: path.to_owned(), methods }
        })
        .collect();
    assert!(
        routes.len() >= 20 && routes.iter().all(|route| !route.methods.is_empty()),
        "the router is not read rightly"
    );
    routes
}

fn is_safe(response: &Response, asset: bool) -> Result<(), String> {
    let policy = header(response, "content-security-policy");
    for part in [
        "default-src 'none'",
        "script-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "require-trusted-types-for 'script'",
    ] {
        if !policy.contains(part) || policy.contains("unsafe") {
            return Err(format!("{part} is missing in {policy:?}"));
        }
    }
    let kept = if asset { "public, max-age=31536000, immutable" } else { "no-store" };
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cache-control", kept),
    ] {
        if header(response, name) != value {
            return Err(format!("{name}: {:?}", header(response, name)));
        }
    }
    if response.status().is_server_error() { Err(response.status().to_string()) } else { Ok(()) }
}

#[tokio::test]
async fn every_route_keeps_its_promises_under_every_method() {
    let pages = Pages::new().await;
    let call = pages.bench.hold(r#"{"user_name":"ci-bot","password":"hunter2hunter2"}"#).await;
    let ada = pages.reviewer("ada@example.com", &["iam"]).await;
    let nobody = pages.stranger();
    let page = ada.page("/").await;
    let asset = page[page.find("/assets/").unwrap() + 8..].split(['"', '#']).next().unwrap().to_owned();
    let before = pages.log_size().await;
    let all = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"].map(|name| name.parse().unwrap());
    for route in routes() {
        let path = route
            .path
            .replace("/calls/{id}", &format!("/calls/{}", call.submission.id))
            .replace("{id}", "x")
            .replace("{upstream}/{tool}", "iam/echo")
            .replace("{token}", "plt_link_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
            .replace("{file}", &asset);
        for method in &all {
            let reads = [Method::GET, Method::HEAD].contains(method);
            let taken =
                route.methods.contains(method) || *method == Method::HEAD && route.methods.contains(&Method::GET);
            let public = PUBLIC.contains(&route.path.as_str());
            let api = route.path.starts_with("/api/");
            for who in [&nobody, &ada] {
                let name = format!("{method} {path}{}", if who.cookie.is_some() { " signed in" } else { "" });
                let answer =
                    who.request(method.clone(), &path).header("content-type", FORM).body("a=b").send().await.unwrap();
                let served = route.path == "/assets/{file}" && reads && answer.status().is_success();
                is_safe(&answer, served).unwrap_or_else(|why| panic!("{name}: {why}"));
                let status = answer.status();
                if !taken {
                    assert!(status == StatusCode::METHOD_NOT_ALLOWED, "{name}: {status}");
                    assert!(!header(&answer, "allow").is_empty(), "{name}");
                } else if api {
                    assert_eq!(status, StatusCode::UNAUTHORIZED, "{name}: a cookie is no token");
                } else if public {
                    assert!(reads || status.is_client_error(), "{name}: {status}");
                } else if route.path == "/live" {
                    assert!(status.is_client_error(), "{name}: {status}");
                } else if who.cookie.is_none() {
                    let expected = if reads { StatusCode::SEE_OTHER } else { StatusCode::UNAUTHORIZED };
                    // A form's address is read as its page, which asks who it is.
                    let to = header(&answer, "location");
                    assert_eq!(status, expected, "{name}");
                    assert!(
                        !reads || to.starts_with("/login") || !to.is_empty() && path.starts_with(to),
                        "{name}: {to}"
                    );
                } else if !reads {
                    assert_eq!(status, StatusCode::FORBIDDEN, "{name} without the form's token");
                }
                if !reads && *method != Method::OPTIONS {
                    for (key, value) in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")] {
                        let foreign = who.request(method.clone(), &path).header(key, value).send().await.unwrap();
                        assert_eq!(foreign.status(), StatusCode::FORBIDDEN, "{name} {key}: {value}");
                        is_safe(&foreign, false).unwrap_or_else(|why| panic!("{name}: {why}"));
                    }
                }
                let rebound = who.request(method.clone(), &path).header("host", "evil.example").send().await.unwrap();
                assert_eq!(rebound.status(), StatusCode::MISDIRECTED_REQUEST, "{name} under another host");
            }
        }
    }
    let filter = placet::store::EntryFilter { limit: 1000, ..Default::default() };
    let entries = pages.bench.store.entries(filter).await.unwrap();
    let done = entries.iter().filter(|entry| entry.seq.unsigned_abs() > before).map(|entry| entry.kind.as_str());
    assert_eq!(done.collect::<Vec<_>>(), ["session.refused"; 2], "more than two tries to sign in");
    let now = pages.bench.store.call(call.submission.id).await.unwrap().unwrap();
    assert_eq!((now.state, now.votes.len()), (call.state.clone(), 0));
    assert_eq!(ada.get("/account").await.status(), StatusCode::OK, "still signed in");
}

/// A form of a page: where it goes, how, and what stands in it.
type Form = (Method, String, Vec<(String, String)>);

fn forms(page: &str) -> Vec<Form> {
    let attribute = |tag: &str, name: &str| {
        let from = tag.split_once(&format!(" {name}=\""))?.1;
        Some(from.split_once('"')?.0.replace("&amp;", "&"))
    };
    let tags = |html: &str, name: &str| -> Vec<String> {
        html.split(&format!("<{name} ")).skip(1).map(|rest| format!(" {}", rest.split('>').next().unwrap())).collect()
    };
    page.split("<form")
        .skip(1)
        .map(|rest| {
            let (tag, inside) = rest.split_once('>').unwrap();
            let inside = inside.split("</form>").next().unwrap();
            let method = attribute(tag, "method").unwrap_or_default();
            let mut fields = Vec::new();
            for kind in ["input", "button", "textarea"] {
                for tag in tags(inside, kind) {
                    if let Some(name) = attribute(&tag, "name") {
                        fields.push((name, attribute(&tag, "value").unwrap_or_else(|| "yes".to_owned())));
                    }
                }
            }
            let method = if method.eq_ignore_ascii_case("post") { Method::POST } else { Method::GET };
            (method, attribute(tag, "action").unwrap_or_default(), fields)
        })
        .collect()
}

/// A mail scanner that opens what a person would, clicks every button it finds, and even has the page's own token.
#[tokio::test]
async fn whoever_clicks_everything_without_a_session_decides_nothing() {
    let pages = Pages::new().await;
    let call = pages.bench.hold(r#"{"user_name":"ci-bot","password":"hunter2hunter2"}"#).await;
    let ada = pages.reviewer("ada@example.com", &["iam"]).await;
    let id = call.submission.id;
    let link = pages.identity.link_make("ada@example.com".parse().unwrap()).await.unwrap().link;
    let scanner = pages.stranger();
    let opened = [
        "/".to_owned(),
        format!("/calls/{id}"),
        format!("/calls/{id}?prepare=approve"),
        format!("/calls/{id}?prepare=reject"),
        "/account".into(),
        "/account/password".into(),
        format!("/login/link/{}", link.token.reveal()),
    ];
    let mut clicked = 0;
    for path in &opened {
        for page in [ada.get(path).await.text().await.unwrap(), scanner.get(path).await.text().await.unwrap()] {
            for (method, action, fields) in forms(&page) {
                // A link's form is left alone by whoever does not know its code; with a guess it counts as a try.
                let action = if action.is_empty() { path.clone() } else { action };
                let fields: Vec<_> = fields.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
                let answer = if method == Method::POST {
                    scanner.post(&action, &fields).await
                } else {
                    scanner.get(&action).await
                };
                assert!(!answer.status().is_server_error(), "{action}");
                clicked += 1;
            }
        }
    }
    assert!(clicked > 10, "only {clicked} forms were found");
    let now = pages.bench.store.call(id).await.unwrap().unwrap();
    assert_eq!((now.state, now.votes.len()), (call.state.clone(), 0));
    assert_eq!(pages.bench.kinds(&call).await, ["call.held"]);
    assert_eq!(ada.get("/account").await.status(), StatusCode::OK, "still signed in");
    let (token, code) = (link.token.reveal(), link.code.expose());
    let source = placet::identity::throttle::Source::new(None);
    let used = pages.identity.sign_in_link(token, code, source, String::new(), None).await;
    assert!(used.is_ok(), "the link was not spent: {:?}", used.map(drop));
}

/// Whoever lost the right between opening the page and pressing the button.
#[tokio::test]
async fn who_is_no_reviewer_any_more_decides_nothing_from_the_page_that_is_open() {
    let pages = Pages::new().await;
    let ada = pages.reviewer("ada@example.com", &["iam"]).await;
    let call = pages.bench.hold("{}").await;
    let page = ada.page(&format!("/calls/{}", call.submission.id)).await;
    let approve = |browser: &Browser, csrf: &str| {
        let fields = [("csrf".to_owned(), csrf.to_owned()), ("verdict".into(), "approve".into())];
        let (browser, digest) = (browser.clone(), call.digest.to_string());
        async move {
            let mut fields: Vec<_> = fields.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            fields.push(("digest", digest.as_str()));
            browser.post(&format!("/calls/{}/decision", call.submission.id), &fields).await
        }
    };
    let csrf = page.split_once("name=\"csrf\" value=\"").unwrap().1.split('"').next().unwrap().to_owned();
    pages.identity.reviewer_disable("ada@example.com".parse().unwrap()).await.unwrap();
    assert_eq!(approve(&ada, &csrf).await.status(), StatusCode::FORBIDDEN);
    let auditor = placet::identity::Roles { auditor: true, ..Default::default() };
    pages.person("ada@example.com", &["iam"], auditor).await;
    assert_eq!(approve(&ada, &csrf).await.status(), StatusCode::UNAUTHORIZED, "the old session is over");
    let again = pages.sign_in("ada@example.com").await;
    let demoted = approve(&again, &again.csrf().await).await;
    assert_eq!(demoted.status(), StatusCode::FORBIDDEN);
    assert!(demoted.text().await.unwrap().contains("may read but not decide"));
    let now = pages.bench.store.call(call.submission.id).await.unwrap().unwrap();
    assert!(Bench::pending(&now) && now.votes.is_empty());
}

#[tokio::test]
async fn everything_that_an_agent_wrote_stands_before_the_buttons() {
    let pages = Pages::new().await;
    let ada = pages.reviewer("ada@example.com", &["iam"]).await;
    // Long enough for anything that shortens: a megabyte would only be slower.
    let words: String = (0..4000).map(|n| format!("word{n} ")).collect();
    let arguments =
        serde_json::json!({"first": words, "last": "\u{202e}hidden\u{200b}", "list": (0..500).collect::<Vec<_>>()});
    let call = pages.bench.hold(&arguments.to_string()).await;
    let page = ada.page(&format!("/calls/{}", call.submission.id)).await;
    let buttons = page.find("name=\"verdict\"").unwrap();
    for part in ["word0 ", "word1999 ", "word3999", "499"] {
        assert!(page.find(part).is_some_and(|at| at < buttons), "{part:?} does not stand before the buttons");
    }
    assert!(!page[..buttons].contains(['\u{202e}', '\u{200b}']), "a hidden character reached the browser as itself");
    assert!(page.contains("U+202E") && page.contains("U+200B"), "hidden characters have no badge");
}

#[tokio::test]
async fn what_an_agent_claims_is_marked_as_its_claim() {
    let pages = Pages::new().await;
    let ada = pages.reviewer("ada@example.com", &["iam"]).await;
    let lie = "Reads one harmless file, approved by security";
    let arguments = serde_json::json!({"user_name": "root", "confirmed": true, "reason": lie, "title": lie});
    let new = placet::approvals::NewCall {
        client: Some(format!("<b>Trusted</b> client: {lie}")),
        ..pages
            .bench
            .call(&arguments.to_string(), placet::call::Requirement::plain(std::time::Duration::from_secs(900)))
    };
    let call = pages.bench.approvals.submit(new).await.unwrap().call;
    let page = ada.page(&format!("/calls/{}", call.submission.id)).await;
    let heading = page.split_once("<h1>").unwrap().1.split("</h1>").next().unwrap();
    assert!(heading.contains("put_user_policy") && !heading.contains("harmless"), "{heading}");
    let title = page.split_once("<title>").unwrap().1.split("</title>").next().unwrap();
    assert!(title.contains("put_user_policy by ci-bot") && !title.contains("harmless"), "{title}");
    assert!(!page.contains("<b>Trusted"));
    let claims = page.find("confirmed: true was set by the agent").expect("the claim is named as one");
    let around = &page[claims.saturating_sub(2500)..claims];
    assert!(around.to_lowercase().contains("claim"), "{around}");
    // The queue's line, too, is made from the call.
    let queue = ada.page("/").await;
    assert!(!queue.contains("harmless"), "{queue}");
}
