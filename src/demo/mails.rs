//! The demo's mail viewer: what reviewers would have in their mailbox.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use crate::notify::MemoryMailbox;
use crate::review::view::{Text, Time};

/// The list and a mail's page. The mail itself is framed, sandboxed and without scripts: its styles are inline, as
/// mail programs need them.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'self'; frame-src 'self'; img-src 'self'; \
                           frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
const MAIL_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox allow-top-navigation-by-user-activation; \
                           frame-ancestors 'self'; base-uri 'none'; form-action 'none'";

#[derive(askama::Template)]
#[template(path = "demo/mails.html")]
struct List {
    mails: Vec<Line>,
}

struct Line {
    number: usize,
    to: Text,
    at: Time,
    subject: Text,
    text: Text,
}

/// `/demo/mails` and `/demo/mails/{number}`.
pub fn router(mailbox: MemoryMailbox) -> Router {
    Router::new().route("/demo/mails", get(list)).route("/demo/mails/{number}", get(mail)).with_state(mailbox)
}

async fn list(State(mailbox): State<MemoryMailbox>) -> Response {
    let line = |(number, mail): (usize, crate::notify::Delivered)| Line {
        number,
        to: Text::new(mail.to.as_str()),
        at: Time::new(mail.at.0, mail.at.0),
        subject: Text::new(&mail.message.subject),
        text: Text::new(&mail.message.text),
    };
    let mails = mailbox.mails().into_iter().enumerate().map(line).rev().collect();
    page(askama::Template::render(&List { mails }).map_err(|error| error.to_string()), PAGE_POLICY)
}

async fn mail(State(mailbox): State<MemoryMailbox>, Path(number): Path<usize>) -> Response {
    match mailbox.mails().into_iter().nth(number) {
        Some(mail) => page(Ok(mail.message.html), MAIL_POLICY),
        None => {
            (StatusCode::NOT_FOUND, "There is no such mail; see /demo/mails for those that were sent.").into_response()
        }
    }
}

fn page(html: Result<String, String>, policy: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    match html {
        Ok(html) => (headers, html).into_response(),
        Err(error) => {
            tracing::error!(error, "the mail viewer could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
