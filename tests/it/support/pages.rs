//! The reviewer's side on a port of its own, over the bench, and browsers that visit it.

use std::net::SocketAddr;
use std::sync::Arc;

use placet::call::{Email, GroupName};
use placet::identity::{AddReviewer, Identity, Reviewer, Roles, SessionLimits, throttle::Source};
use placet::review::{NoOverview, Parts, Review, Site, router};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use tokio::net::TcpListener;

use super::bench::Bench;

/// The password of everybody whom a test adds.
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// The reviewer's side, served.
pub(crate) struct Pages {
    pub(crate) bench: Bench,
    pub(crate) identity: Identity,
    /// Without a slash at the end.
    pub(crate) url: String,
    pub(crate) address: SocketAddr,
}

impl Pages {
    pub(crate) async fn new() -> Self {
        Self::over(Bench::new().await).await
    }

    pub(crate) async fn over(bench: Bench) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let url = format!("http://localhost:{}", address.port());
        let (clock, entropy) = (bench.clock.clone(), bench.entropy.clone());
        let identity = Identity::new(bench.store.clone(), clock.clone(), entropy.clone(), SessionLimits::default());
        let review = Review::new(Parts {
            store: bench.store.clone(),
            identity: identity.clone(),
            approvals: bench.approvals.clone(),
            clock,
            entropy,
            tasks: bench.tasks.clone(),
            site: Site::new(&url, address, &[], &[]).unwrap(),
            overview: Arc::new(NoOverview),
        });
        let service = router(review).into_make_service_with_connect_info::<SocketAddr>();
        let stopping = bench.tasks.clone();
        bench.tasks.spawn("pages", async move {
            let served = axum::serve(listener, service).with_graceful_shutdown(async move { stopping.stopped().await });
            served.await.unwrap();
        });
        Self { bench, identity, url, address }
    }

    pub(crate) async fn person(&self, email: &str, groups: &[&str], roles: Roles) -> Reviewer {
        let add = AddReviewer {
            email: Email::parse(email).unwrap(),
            name: None,
            roles,
            groups: groups.iter().map(|name| GroupName::new(*name).unwrap()).collect(),
            password: Some(PASSWORD.to_owned().into()),
        };
        self.identity.reviewer_add(add).await.unwrap()
    }

    /// Whose address that is.
    pub(crate) async fn person_id(&self, email: &str) -> placet::call::ReviewerId {
        let found = self.bench.store.reviewer_by_email(&Email::parse(email).unwrap()).await.unwrap();
        found.unwrap().0.id
    }

    /// A new reviewer of these groups, signed in.
    pub(crate) async fn reviewer(&self, email: &str, groups: &[&str]) -> Browser {
        self.person(email, groups, Roles { reviewer: true, ..Roles::default() }).await;
        self.sign_in(email).await
    }

    pub(crate) async fn sign_in(&self, email: &str) -> Browser {
        let source = Source::new(None);
        let signed_in =
            self.identity.sign_in(email, PASSWORD.to_owned().into(), source, "a test".into(), None).await.unwrap();
        Browser { cookie: Some(signed_in.cookie.reveal().to_owned()), ..self.stranger() }
    }

    pub(crate) fn stranger(&self) -> Browser {
        Browser::new(&self.url)
    }

    pub(crate) async fn log_size(&self) -> u64 {
        self.bench.store.log_size().await.unwrap()
    }
}

/// A browser that follows nothing and keeps one cookie.
#[derive(Clone)]
pub(crate) struct Browser {
    client: reqwest::Client,
    pub(crate) url: String,
    pub(crate) cookie: Option<String>,
}

impl Browser {
    /// One that nobody is signed in with, at this address.
    pub(crate) fn new(url: &str) -> Self {
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { client, url: url.to_owned(), cookie: None }
    }

    /// Signs in as whoever has this address and [`PASSWORD`].
    pub(crate) async fn signed_in(url: &str, email: &str) -> Self {
        let browser = Self::new(url);
        let signed_in = browser.post("/login", &[("email", email), ("password", PASSWORD)]).await;
        let cookie = header(&signed_in, "set-cookie").split(['=', ';']).nth(1).map(str::to_owned);
        Self { cookie: cookie.filter(|cookie| !cookie.is_empty()), ..browser }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.url));
        match &self.cookie {
            Some(cookie) => request.header("cookie", format!("placet={cookie}")),
            None => request,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    pub(crate) async fn page(&self, path: &str) -> String {
        let response = self.get(path).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.text().await.unwrap()
    }

    /// A form as a page of ours sends it, `Origin` included.
    pub(crate) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Response {
        self.form(path, fields).header("origin", &self.url).send().await.unwrap()
    }

    /// A form without anything that says where it comes from.
    pub(crate) fn form(&self, path: &str, fields: &[(&str, &str)]) -> RequestBuilder {
        let pairs: Vec<_> = fields.iter().map(|(key, value)| format!("{key}={}", encoded(value))).collect();
        let request = self.request(Method::POST, path).header("content-type", "application/x-www-form-urlencoded");
        request.body(pairs.join("&"))
    }

    /// The form token of the session.
    pub(crate) async fn csrf(&self) -> String {
        let page = self.page("/account").await;
        let rest = page.split_once("name=\"csrf\" value=\"").unwrap().1;
        rest.split_once('"').unwrap().0.to_owned()
    }

    /// The decision form of a call's page, filled in.
    pub(crate) async fn decide(&self, call: &placet::call::HeldCall, verdict: &str, more: &[(&str, &str)]) -> Response {
        let (csrf, digest) = (self.csrf().await, call.digest.to_string());
        let mut fields = vec![("csrf", csrf.as_str()), ("digest", digest.as_str()), ("verdict", verdict)];
        fields.extend_from_slice(more);
        self.post(&format!("/calls/{}/decision", call.submission.id), &fields).await
    }
}

fn encoded(text: &str) -> String {
    let byte = |b: u8| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") };
    text.bytes().map(byte).collect()
}

/// A header's text; empty where it is missing.
pub(crate) fn header<'r>(response: &'r Response, name: &str) -> &'r str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}
