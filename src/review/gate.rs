//! The first thing that happens to every request: is this our host, and does what changes something come from our own
//! pages?

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::Review;
use super::failure::Failure;
use super::site::Way;
use super::view::error::Problem;

/// Refuses foreign hosts and foreign forms, and notes how the request came here.
pub async fn check(State(review): State<Review>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let Some(way) = review.0.site.way(request.headers(), request.uri(), peer) else {
        let what = "This service does not answer to that host name. Use the address that it is published under, or add \
                    the name to allowed_hosts in placet.toml.";
        return Failure::request(StatusCode::MISDIRECTED_REQUEST, what).into_response();
    };
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if !reads && !is_from_our_pages(request.headers(), &way) {
        return Failure::from(Problem::ForeignForm).into_response();
    }
    request.extensions_mut().insert(way);
    next.run(request).await
}

/// Every browser sends `Sec-Fetch-Site` to https and localhost, or at least `Origin`, with what changes something; no
/// page can forge either. Under `Referrer-Policy: no-referrer` the origin of our own forms is `null`, so the former
/// decides where it is there. A client that sends neither is no browser: it carries no cookie by accident, and a
/// form's token is asked for all the same.
fn is_from_our_pages(headers: &HeaderMap, way: &Way) -> bool {
    let text = |name| headers.get(name).map(|value: &axum::http::HeaderValue| value.to_str().unwrap_or("unreadable"));
    let origin = text(header::ORIGIN);
    match text(header::HeaderName::from_static("sec-fetch-site")) {
        Some("same-origin") => origin.is_none_or(|origin| origin == "null" || way.is_own(origin)),
        Some(_) => false,
        None => origin.is_none_or(|origin| way.is_own(origin)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::review::Site;

    #[test]
    fn forms_come_from_our_own_pages() {
        let site = Site::new("https://placet.test", ([127, 0, 0, 1], 80).into(), &[], &[]).unwrap();
        let host = [("host", "placet.test")].map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap()));
        let way = site.way(&HeaderMap::from_iter(host), &"/".parse().unwrap(), None).unwrap();
        let own = "https://placet.test";
        let cases = [
            (Some("same-origin"), Some(own), true),
            (Some("same-origin"), Some("null"), true),
            (Some("same-origin"), None, true),
            (Some("same-origin"), Some("https://evil.example"), false),
            (Some("same-site"), Some("https://sub.placet.test"), false),
            (Some("cross-site"), Some(own), false),
            (Some("cross-site"), None, false),
            (Some("none"), None, false),
            (Some("nonsense"), Some(own), false),
            (None, Some(own), true),
            (None, Some("null"), false),
            (None, Some("https://evil.example"), false),
            (None, Some("http://placet.test"), false),
            (None, None, true),
        ];
        for (site, origin, expected) in cases {
            let mut headers = HeaderMap::new();
            for (name, value) in [("sec-fetch-site", site), ("origin", origin)] {
                if let Some(value) = value {
                    headers.insert(name, value.parse().unwrap());
                }
            }
            assert_eq!(is_from_our_pages(&headers, &way), expected, "{site:?} {origin:?}");
        }
    }
}
