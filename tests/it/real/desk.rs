//! A reviewer's desk over HTTP: pages are read, their forms are filled in and sent as a browser sends them.

use std::time::Duration;

use reqwest::{Method, Response, StatusCode, header};

use crate::support::components::PATIENCE;

/// A browser without a screen: one person's cookie.
pub(super) struct Desk {
    http: reqwest::Client,
    url: String,
    cookie: Option<String>,
}

/// A page as it came.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) status: StatusCode,
    /// Where it leads, without the service's own address.
    pub(super) location: Option<String>,
    pub(super) text: String,
}

impl Page {
    /// The value of a form's field.
    pub(super) fn field(&self, name: &str) -> &str {
        let tag =
            self.text.split('<').find(|tag| tag.starts_with("input") && tag.contains(&format!("name=\"{name}\"")));
        let value = tag.and_then(|tag| tag.split_once("value=\"")).and_then(|(_, rest)| rest.split_once('"'));
        value.unwrap_or_else(|| panic!("no field {name} in {}", self.text)).0
    }
}

impl Desk {
    /// Nobody yet.
    pub(super) fn new(url: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        Self { http: http.timeout(PATIENCE).build().unwrap(), url: url.to_owned(), cookie: None }
    }

    /// Somebody, by password.
    pub(super) async fn signed_in(url: &str, email: &str, password: &str) -> Self {
        let mut desk = Self::new(url);
        assert_eq!(desk.sign_in(email, password, "/").await, "/");
        desk
    }

    /// Somebody, by a one-time link and its code.
    pub(super) async fn by_link(link: &str, code: &str) -> Self {
        let (base, _) = link.split_once("/login/").expect("a sign-in link");
        let path = &link[base.len()..];
        let mut desk = Self::new(base);
        let csrf = desk.get(path).await.field("csrf").to_owned();
        // Looking spends nothing, and neither does a mistyped code.
        assert_eq!(desk.get(path).await.status, StatusCode::OK);
        let wrong = desk.post(path, &[("csrf", &csrf), ("code", "nothing"), ("next", "/")]).await;
        assert_eq!(wrong.status, StatusCode::UNAUTHORIZED, "{}", wrong.text);
        let signed_in = desk.post(path, &[("csrf", &csrf), ("code", code), ("next", "/")]).await;
        assert_eq!(signed_in.location.as_deref(), Some("/"), "{}", signed_in.text);
        assert_eq!(Self::new(base).get(path).await.status, StatusCode::GONE, "the link works once");
        desk
    }

    /// Signs in by password; where that leads.
    pub(super) async fn sign_in(&mut self, email: &str, password: &str, next: &str) -> String {
        let csrf = self.get("/login").await.field("csrf").to_owned();
        let fields = [("csrf", csrf.as_str()), ("email", email), ("password", password), ("next", next)];
        let page = self.post("/login", &fields).await;
        page.location.unwrap_or_else(|| panic!("not signed in: {} {}", page.status, page.text))
    }

    pub(super) async fn get(&mut self, path: &str) -> Page {
        self.send(Method::GET, path, None).await
    }

    pub(super) async fn head(&mut self, path: &str) -> Page {
        self.send(Method::HEAD, path, None).await
    }

    /// Sends a form.
    pub(super) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let body = reqwest::Url::parse_with_params("http://form", fields).unwrap().query().unwrap().to_owned();
        self.send(Method::POST, path, Some(body)).await
    }

    /// Opens a call's page, fills in its form and sends it; the page that follows.
    pub(super) async fn decide(&mut self, call: &str, verdict: &str, reason: &str) -> Page {
        let path = format!("/calls/{call}");
        let page = self.get(&path).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text);
        let (csrf, digest) = (page.field("csrf").to_owned(), page.field("digest").to_owned());
        let fields = [("csrf", csrf.as_str()), ("digest", &digest), ("verdict", verdict), ("reason", reason)];
        let sent = self.post(&format!("{path}/decision"), &fields).await;
        assert_eq!(sent.location.as_deref(), Some(path.as_str()), "{} {}", sent.status, sent.text);
        self.get(&path).await
    }

    /// The first call in the queue, once there is one.
    pub(super) async fn pending(&mut self) -> String {
        for _ in 0..1000 {
            let page = self.get("/").await;
            if let Some((_, rest)) = page.text.split_once("href=\"/calls/") {
                return rest.split(['"', '?']).next().unwrap().to_owned();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("no call came into the queue");
    }

    async fn send(&mut self, method: Method, path: &str, form: Option<String>) -> Page {
        let mut request = self.http.request(method, format!("{}{path}", self.url)).header(header::ORIGIN, &self.url);
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        if let Some(form) = form {
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
        }
        let response = request.send().await.unwrap();
        self.keep_cookie(&response);
        let location = response.headers().get(header::LOCATION).map(|to| to.to_str().unwrap());
        let location = location.map(|to| to.strip_prefix(&self.url).unwrap_or(to).to_owned());
        Page { status: response.status(), location, text: response.text().await.unwrap() }
    }

    fn keep_cookie(&mut self, response: &Response) {
        if let Some(cookie) = response.headers().get(header::SET_COOKIE) {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            self.cookie = Some(pair.to_owned());
        }
    }
}
