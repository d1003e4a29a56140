//! Who asks: the session cookie, the API token, and forms that prove where they were made.

use std::time::Duration;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};

use super::Review;
use super::failure::Failure;
use super::next::login_then;
use super::site::{Site, Way};
use super::view::error::Problem;
use crate::identity::throttle::Source;
use crate::identity::{ApiAccess, Session, SessionState, csrf};

/// Browsers keep a `__Host-` cookie to this host, https and path `/`.
const SECURE_NAME: &str = "__Host-placet";
/// On plain http browsers refuse the prefix: for trying out on one machine.
const PLAIN_NAME: &str = "placet";

/// A signed-in person. Without one, reading leads to the sign-in page and back; writing is refused.
#[derive(Debug)]
pub struct Visitor(pub Session);

/// What an API request may do.
#[derive(Debug)]
pub struct Script(pub ApiAccess);

/// Where the request comes from, for the throttle, and what it says it is.
#[derive(Debug)]
pub struct Client {
    /// For the throttle.
    pub source: Source,
    /// Browser and system, as it says.
    pub device: String,
    /// The session cookie that it sent, whatever it is worth.
    pub cookie: Option<String>,
}

/// The fields of a form.
#[derive(Debug)]
pub struct Fields(Vec<(String, String)>);

/// A form that a page of this very session made.
#[derive(Debug)]
pub struct SignedForm {
    /// Who sent it.
    pub session: Session,
    /// What it says.
    pub fields: Fields,
}

impl Fields {
    /// The field's text; empty where it is missing.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// Every text that this field has, in order.
    pub fn all<'f>(&'f self, name: &'f str) -> impl Iterator<Item = &'f str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// The session cookie's value.
#[must_use]
pub fn cookie<'h>(site: &Site, headers: &'h HeaderMap) -> Option<&'h str> {
    let name = cookie_name(site);
    let lists = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = lists.flat_map(|list| list.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

fn cookie_name(site: &Site) -> &'static str {
    if site.is_https() { SECURE_NAME } else { PLAIN_NAME }
}

/// Sets the session cookie for as long as the session can last; zero takes it away.
#[must_use]
pub fn set_cookie(site: &Site, value: &str, longest: Duration) -> Option<HeaderValue> {
    let (name, secure) = (cookie_name(site), if site.is_https() { "; Secure" } else { "" });
    let age = longest.as_secs();
    let text = format!("{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::from_str(&text).ok()
}

impl FromRequestParts<Review> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, review: &Review) -> Result<Self, Response> {
        let cookie = cookie(&review.0.site, &parts.headers);
        let state = match cookie {
            Some(cookie) => review.0.identity.session(cookie).await.map_err(|e| Failure::from(e).into_response())?,
            None => SessionState::None,
        };
        let ended = match state {
            SessionState::Live(session) => return Ok(Self(*session)),
            SessionState::Disabled => {
                let why = "Your account was disabled. Nothing was done.";
                return Err(Failure::forbidden(why).into_response());
            }
            SessionState::Over => true,
            SessionState::None => false,
        };
        let reads = matches!(parts.method, Method::GET | Method::HEAD);
        if reads {
            let next = parts.uri.path_and_query().map_or("/", axum::http::uri::PathAndQuery::as_str);
            let mut to = login_then(next);
            if ended {
                to.push_str(if to.contains('?') { "&notice=expired" } else { "?notice=expired" });
            }
            return Err(Redirect::to(&to).into_response());
        }
        // A form cannot be sent again after signing in; the page that it was on can be opened again.
        let forms = ["/decision", "/reveal", "/finding", "/read-back", "/acceptance", "/try"];
        let next = forms.iter().find_map(|form| parts.uri.path().strip_suffix(form));
        Err(Failure::from(Problem::SignIn { next: next.unwrap_or("/").to_owned() }).into_response())
    }
}

impl FromRequestParts<Review> for Script {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, review: &Review) -> Result<Self, Response> {
        let access = match bearer(&parts.headers) {
            Some(token) => review.0.identity.api_token(token).await.map_err(|e| Failure::from(e).into_response())?,
            None => None,
        };
        access.map(Self).ok_or_else(|| {
            let mut response = Failure::from(Problem::SignIn { next: "/".to_owned() }).into_response();
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            response
        })
    }
}

/// The token of an `Authorization: Bearer` header.
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl FromRequestParts<Review> for Client {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, review: &Review) -> Result<Self, Self::Rejection> {
        let address = parts.extensions.get::<Way>().and_then(|way| way.client);
        let agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        let cookie = cookie(&review.0.site, &parts.headers).map(str::to_owned);
        Ok(Self { source: Source::new(address), device: device(agent.unwrap_or_default()), cookie })
    }
}

impl FromRequest<Review> for Fields {
    type Rejection = Failure;

    async fn from_request(request: Request, review: &Review) -> Result<Self, Failure> {
        match axum::Form::<Vec<(String, String)>>::from_request(request, review).await {
            Ok(axum::Form(fields)) => Ok(Self(fields)),
            Err(rejection) => Err(match rejection.into_response().status() {
                StatusCode::PAYLOAD_TOO_LARGE => Problem::TooLarge.into(),
                status => Failure::request(status, "This is not a form as our pages send it."),
            }),
        }
    }
}

impl FromRequest<Review> for SignedForm {
    type Rejection = Response;

    async fn from_request(request: Request, review: &Review) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let Visitor(session) = Visitor::from_request_parts(&mut parts, review).await?;
        let request = Request::from_parts(parts, body);
        let fields = Fields::from_request(request, review).await.map_err(Failure::into_response)?;
        if !csrf::matches(&session.csrf, fields.get("csrf")) {
            return Err(Failure::from(Problem::ForeignForm).into_response());
        }
        Ok(Self { session, fields })
    }
}

/// "Firefox on Linux", from what the browser says of itself; good enough to tell one's own devices apart.
fn device(agent: &str) -> String {
    let find =
        |names: &[(&str, &'static str)]| names.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, name)| *name);
    let browser = find(&[
        ("Firefox/", "Firefox"),
        ("FxiOS/", "Firefox"),
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("CriOS/", "Chrome"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ]);
    let system = find(&[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ]);
    match (browser, system) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => "Unknown browser".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies() {
        let plain = Site::new("http://localhost:8080", ([127, 0, 0, 1], 1).into(), &[], &[]).unwrap();
        let secure = Site::new("https://placet.test", ([127, 0, 0, 1], 1).into(), &[], &[]).unwrap();
        let minute = Duration::from_secs(60);
        assert_eq!(set_cookie(&plain, "x", minute).unwrap(), "placet=x; Path=/; Max-Age=60; HttpOnly; SameSite=Lax");
        let secured = "__Host-placet=x; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure";
        assert_eq!(set_cookie(&secure, "x", minute).unwrap(), secured);
        let sent = HeaderMap::from_iter([(header::COOKIE, "a=b; __Host-placet=y; placet=z".parse().unwrap())]);
        assert_eq!(cookie(&plain, &sent), Some("z"));
        assert_eq!(cookie(&secure, &sent), Some("y"));
        assert_eq!(cookie(&secure, &HeaderMap::new()), None);
    }

    #[test]
    fn devices() {
        let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
        assert_eq!(device(agent), "Firefox on Linux");
        assert_eq!(device(""), "Unknown browser");
    }
}
