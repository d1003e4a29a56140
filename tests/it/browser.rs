//! The browser checks themselves: each kind of trouble on a page is found, and a clean page has none.

use std::net::Ipv4Addr;
use std::path::Path;

use axum::Router;
use axum::http::{StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::support::components::Env;
use crate::support::components::browser::Browser;

/// Pages that have one fault each, named for the kind under which it must be found.
const FAULTS: [(&str, &str); 7] = [
    ("csp", "<script>document.title = 'changed'</script>"),
    ("console", "<script src='/console.js'></script>"),
    ("exception", "<script src='/exception.js'></script>"),
    ("request", "<script src='/request.js'></script>"),
    ("status", "<img src='/nothing.png' alt='nothing'>"),
    ("sideways", "<pre>a line that is far too long for a telephone, and that nothing here wraps or scrolls</pre>"),
    ("axe", "<input type='text' name='nameless'>"),
];

async fn site(uri: Uri) -> Response {
    let name = uri.path().trim_start_matches('/');
    let fault = FAULTS.iter().find(|(kind, _)| *kind == name).map(|(_, fault)| *fault);
    let script = |text: &'static str| ([(header::CONTENT_TYPE, "text/javascript")], text).into_response();
    match (name, fault) {
        ("console.js", _) => script("console.error('something is wrong')"),
        ("exception.js", _) => script("throw new Error('nobody catches this')"),
        // Nobody listens on port 9.
        ("request.js", _) => script("fetch('http://127.0.0.1:9/').catch(() => {})"),
        _ => page(fault, if fault.is_some() || name == "clean" { StatusCode::OK } else { StatusCode::NOT_FOUND }),
    }
}

fn page(fault: Option<&str>, status: StatusCode) -> Response {
    let policy = "default-src 'none'; script-src 'self'; img-src 'self' data:; connect-src 'self' 127.0.0.1:*";
    let page = format!(
        "<!doctype html><html lang='en'><head><title>A page</title><link rel='icon' href='data:'>\
         <meta name='viewport' content='width=device-width'></head>\
         <body><main><h1>A page</h1>{}</main></body></html>",
        fault.unwrap_or_default()
    );
    (status, [(header::CONTENT_SECURITY_POLICY, policy)], Html(page)).into_response()
}

/// Serves the site until the second part is dropped.
async fn serve() -> (String, JoinSet<std::io::Result<()>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut server = JoinSet::new();
    server.spawn(async { axum::serve(listener, Router::new().fallback(site)).await });
    (url, server)
}

fn one_view(screenshots: &Path) -> Env {
    let screenshots = screenshots.to_str().unwrap();
    [("PLACET_VIEWS", "390-light"), ("PLACET_SCREENSHOTS", screenshots)]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

#[tokio::test]
async fn a_clean_page_has_no_trouble() {
    let (url, _server) = serve().await;
    let shots = tempfile::tempdir().unwrap();
    let args = [url.as_str(), "/clean", "404:missing=/nowhere"];
    let done = Browser::start("pages.mjs", &args, &one_view(shots.path())).finish().await;
    assert_eq!(done, json!({"event": "done", "pages": ["clean", "missing"]}));
}

#[tokio::test]
async fn every_kind_of_trouble_is_found() {
    let (url, _server) = serve().await;
    let pages: Vec<String> = FAULTS.iter().map(|(kind, _)| format!("/{kind}")).collect();
    let args: Vec<&str> = [url.as_str()].into_iter().chain(pages.iter().map(String::as_str)).collect();
    let shots = tempfile::tempdir().unwrap();
    let env = one_view(shots.path());
    let (found, succeeded) = Browser::start("pages.mjs", &args, &env).end().await;
    assert!(!succeeded, "{found}");
    assert_eq!(found["event"], "failed");

    let kinds_at = |page: &str| -> Vec<&str> {
        let problems = found["problems"].as_array().expect("a list of problems");
        let here = problems.iter().filter(|problem| problem["at"] == format!("{url}/{page}"));
        here.map(|problem| problem["kind"].as_str().expect("a kind")).collect()
    };
    for (kind, _) in FAULTS {
        assert!(kinds_at(kind).contains(&kind), "no {kind} in {:?}", kinds_at(kind));
        assert!(shots.path().join(format!("{kind}-390-light.png")).exists(), "no screenshot of {kind}");
    }
    assert_eq!(found["pages"].as_array().map(Vec::len), Some(pages.len()));
}

#[tokio::test]
async fn a_failing_journey_says_why() {
    let env = [("PLACET_EMAIL", "mira@example.com"), ("PLACET_PASSWORD", "secret")];
    let env = Env::from(env.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let mut journey = Browser::start("journey.mjs", &["http://127.0.0.1:9"], &env);
    let failed = journey.event("failed").await;
    assert!(failed["problems"][0]["text"].as_str().unwrap().contains("ERR_"), "{failed}");
}
