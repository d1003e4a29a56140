//! The last thing that happens to every answer: security headers, and failures become pages or problem documents.

use askama::Template as _;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse as _, Response};

use super::failure::{Failure, What};
use super::session::cookie;
use super::view::error::{ErrorPage, Problem};
use super::view::{Nav, Text};
use super::{Review, assets};
use crate::identity::SessionState;
use crate::store::StoreError;

/// Nothing from elsewhere, nothing inline, nothing that frames us, no string that becomes script.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; trusted-types placet; \
     require-trusted-types-for 'script'";

/// Names the request in the answer and in the log.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Runs the request, then dresses its answer.
pub async fn finish(State(review): State<Review>, request: Request, next: Next) -> Response {
    let id = review.0.entropy.uuid(review.0.clock.now()).to_string();
    let api = request.uri().path().starts_with("/api/");
    let cookie = cookie(&review.0.site, request.headers()).map(str::to_owned);
    let mut response = next.run(request).await;
    let bare = (response.status().is_client_error() || response.status().is_server_error())
        && !response.headers().contains_key(header::CONTENT_TYPE);
    let failure = response.extensions_mut().remove::<Failure>();
    if let Some(failure) = failure.or_else(|| bare.then(|| Failure::of_status(response.status()))) {
        let kept = [header::ALLOW, header::RETRY_AFTER, header::WWW_AUTHENTICATE];
        let kept = kept.map(|name| response.headers().get(&name).cloned().map(|value| (name, value)));
        response = if api { problem_document(failure, &id) } else { page(&review, failure, &id, cookie).await };
        response.headers_mut().extend(kept.into_iter().flatten());
    }
    protect(response.headers_mut(), review.0.site.is_https());
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

fn protect(headers: &mut HeaderMap, https: bool) {
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    headers.extend(fixed.map(|(name, value)| (name, HeaderValue::from_static(value))));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if https {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
}

/// What the client is told; ours goes to the log, once, here.
fn told(failure: Failure, id: &str) -> (StatusCode, Problem) {
    let problem = match failure.what {
        What::Client(problem) => *problem,
        What::Ours(error) => {
            tracing::error!(error = error.as_ref(), request = id, "a request failed");
            let correlation = id.to_owned();
            match error.downcast_ref::<StoreError>() {
                Some(StoreError::Stopping) => {
                    let why = Text::new("Placet is stopping and takes nothing more.");
                    Problem::Unavailable { why, correlation }
                }
                Some(error) if failure.status == StatusCode::SERVICE_UNAVAILABLE => {
                    let trouble = error.trouble().unwrap_or("the database did not take it");
                    let why = match error {
                        StoreError::NotWritten(_) => format!("Nothing was recorded, because {trouble}."),
                        _ => format!("Placet cannot look into its database: {trouble}."),
                    };
                    let why = Text::new(&format!("{why} Whoever runs Placet has to see to it; then try again."));
                    Problem::Unavailable { why, correlation }
                }
                _ if failure.status == StatusCode::SERVICE_UNAVAILABLE => {
                    Problem::Unavailable { why: Text::new("Too many people sign in at this moment."), correlation }
                }
                _ => Problem::Internal { correlation },
            }
        }
    };
    (failure.status, problem)
}

async fn page(review: &Review, failure: Failure, id: &str, cookie: Option<String>) -> Response {
    let (status, problem) = told(failure, id);
    let title = problem.heading().to_owned();
    // An error page never fails for want of a session: it is then shown to nobody in particular. Under a foreign name
    // it always is: what stands on it would be another site's to read.
    let session = match cookie {
        Some(cookie) if status != StatusCode::MISDIRECTED_REQUEST => review.0.identity.peek_session(&cookie).await.ok(),
        _ => None,
    };
    let chrome = match session {
        Some(SessionState::Live(session)) => review.chrome(&session, title, Nav::Elsewhere).await.ok(),
        _ => None,
    };
    let chrome = chrome.unwrap_or_else(|| review.chrome_of_nobody(problem.heading()));
    match (ErrorPage { chrome, problem }).render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(_) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "Something broke, and so did the page that says so.").into_response()
        }
    }
}

/// RFC 9457.
fn problem_document(failure: Failure, id: &str) -> Response {
    let (status, problem) = told(failure, id);
    let detail = match &problem {
        Problem::BadRequest(text) | Problem::Forbidden(text) => text.flat(),
        Problem::Unavailable { why, .. } => why.flat(),
        Problem::SignIn { .. } => {
            "Send a live API token as \"Authorization: Bearer plt_api_…\"; `placet reviewer token EMAIL` makes one."
                .into()
        }
        Problem::ForeignForm => "The request comes from another origin.".into(),
        Problem::NotFound => "There is nothing at this address, or it is not for this token to see.".into(),
        Problem::Decided { state, .. } => format!("The call is {} already; the verdict was not counted.", state.slug()),
        Problem::TooLate { .. } => "The call's deadline has passed; the verdict was not counted.".into(),
        Problem::Stale { .. } => "The digest is not the call's; read the call again before you decide.".into(),
        Problem::TooLarge => format!("The body is longer than {} bytes.", super::LONGEST_BODY),
        Problem::TooMany { wait } => format!("Wait {wait}, then try again."),
        Problem::Internal { .. } => "Something broke; the log has more under this request's id.".into(),
    };
    let mut body = serde_json::json!({
        "type": "about:blank",
        "title": problem.heading(),
        "status": status.as_u16(),
        "detail": detail,
        "request": id,
    });
    if let Problem::Decided { state, .. } = &problem {
        body["state"] = state.slug().into();
    }
    let content_type = [(header::CONTENT_TYPE, "application/problem+json")];
    (status, content_type, body.to_string()).into_response()
}

/// Whatever no route matches.
pub async fn not_found() -> Failure {
    Problem::NotFound.into()
}

/// `/policy.schema.json`: what editors complete and check policy files with.
pub async fn policy_schema() -> Response {
    ([(header::CONTENT_TYPE, "application/schema+json")], assets::POLICY_SCHEMA).into_response()
}

/// `/assets/…`: an embedded file under an address that names its content.
pub async fn asset(uri: Uri) -> Result<Response, Failure> {
    let found = assets::lookup(uri.path()).ok_or(Problem::NotFound)?;
    let headers = [
        (header::CONTENT_TYPE, found.content_type),
        (header::ETAG, found.etag),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    Ok((headers, found.bytes).into_response())
}
