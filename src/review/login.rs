//! The ways in and out: address and password, a one-time link with its code, signing out.

use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use secrecy::SecretString;

use super::Review;
use super::chrome::html;
use super::failure::{Answer, Failure, wait_words};
use super::next::local_path;
use super::session::{Client, Fields, SignedForm, cookie, set_cookie};
use super::view::error::Problem;
use super::view::login::{LinkNotice, LinkPage, LoginNotice, LoginPage};
use crate::identity::{LinkError, SessionState, SignInError, SignedIn};
use crate::telemetry::{self, SignIn};
use std::time::Duration;

/// What a sign-in page is asked with.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Asked {
    next: String,
    notice: String,
}

/// `GET /login`
pub async fn page(State(review): State<Review>, Query(asked): Query<Asked>, headers: axum::http::HeaderMap) -> Answer {
    let next = local_path(&asked.next);
    if let Some(cookie) = cookie(&review.0.site, &headers)
        && let SessionState::Live(_) = review.0.identity.peek_session(cookie).await?
    {
        return Ok(Redirect::to(next).into_response());
    }
    let notice = match asked.notice.as_str() {
        "signed_out" => Some(LoginNotice::SignedOut),
        "expired" => Some(LoginNotice::Expired),
        _ => None,
    };
    login_page(&review, next, "", notice)
}

fn login_page(review: &Review, next: &str, email: &str, notice: Option<LoginNotice>) -> Answer {
    html(&LoginPage {
        chrome: review.chrome_of_nobody("Sign in"),
        next: next.to_owned(),
        email: email.to_owned(),
        csrf: String::new(),
        notice,
    })
}

/// `POST /login`
pub async fn sign_in(State(review): State<Review>, client: Client, fields: Fields) -> Answer {
    let (email, next) = (fields.get("email"), local_path(fields.get("next")));
    let password = SecretString::from(fields.get("password"));
    let identity = &review.0.identity;
    let outcome = identity.sign_in(email, password, client.source, client.device, client.cookie.as_deref()).await;
    match &outcome {
        Ok(_) => telemetry::sign_in(SignIn::Ok),
        Err(SignInError::Wrong) => telemetry::sign_in(SignIn::Refused),
        Err(SignInError::Throttled(_)) => telemetry::sign_in(SignIn::Throttled),
        Err(SignInError::Hash(_) | SignInError::Store(_)) => {}
    }
    match outcome {
        Ok(signed_in) => Ok(welcome(&review, &signed_in, next)),
        Err(SignInError::Wrong) => {
            Ok((StatusCode::UNAUTHORIZED, login_page(&review, next, email, Some(LoginNotice::Wrong))?).into_response())
        }
        Err(SignInError::Throttled(wait)) => {
            let notice = LoginNotice::Throttled { wait: wait_words(wait) };
            Ok(wait_page(login_page(&review, next, email, Some(notice))?, wait))
        }
        Err(SignInError::Hash(error)) => Err(error.into()),
        Err(SignInError::Store(error)) => Err(error.into()),
    }
}

fn wait_page(page: Response, wait: Duration) -> Response {
    let seconds = [(header::RETRY_AFTER, wait.as_secs().max(1).to_string())];
    (StatusCode::TOO_MANY_REQUESTS, seconds, page).into_response()
}

fn welcome(review: &Review, signed_in: &SignedIn, next: &str) -> Response {
    let mut response = Redirect::to(next).into_response();
    let longest = review.0.identity.limits().max;
    if let Some(cookie) = set_cookie(&review.0.site, signed_in.cookie.reveal(), longest) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// `GET /login/link/{token}`: asks for the code and spends nothing.
pub async fn link_page(State(review): State<Review>, Path(token): Path<String>, Query(asked): Query<Asked>) -> Answer {
    if review.0.identity.link_is_open(&token).await? {
        show_link(&review, &token, local_path(&asked.next), None)
    } else {
        let page = show_link(&review, "", "/", Some(LinkNotice::Spent))?;
        Ok((StatusCode::GONE, page).into_response())
    }
}

fn show_link(review: &Review, token: &str, next: &str, notice: Option<LinkNotice>) -> Answer {
    html(&LinkPage {
        chrome: review.chrome_of_nobody("Sign in"),
        token: token.to_owned(),
        next: next.to_owned(),
        csrf: String::new(),
        notice,
    })
}

/// `POST /login/link/{token}`
pub async fn sign_in_link(
    State(review): State<Review>,
    Path(token): Path<String>,
    client: Client,
    fields: Fields,
) -> Answer {
    let (code, next) = (fields.get("code"), local_path(fields.get("next")));
    let old = client.cookie.as_deref();
    let outcome = review.0.identity.sign_in_link(&token, code, client.source, client.device, old).await;
    match &outcome {
        Ok(_) => telemetry::sign_in(SignIn::Ok),
        Err(LinkError::WrongCode(_) | LinkError::Dead) => telemetry::sign_in(SignIn::Refused),
        Err(LinkError::Throttled(_)) => telemetry::sign_in(SignIn::Throttled),
        Err(LinkError::Store(_)) => {}
    }
    match outcome {
        Ok(signed_in) => Ok(welcome(&review, &signed_in, next)),
        Err(LinkError::WrongCode(left)) if left > 0 => {
            let page = show_link(&review, &token, next, Some(LinkNotice::WrongCode { left }))?;
            Ok((StatusCode::UNAUTHORIZED, page).into_response())
        }
        Err(LinkError::WrongCode(_) | LinkError::Dead) => {
            Ok((StatusCode::GONE, show_link(&review, "", "/", Some(LinkNotice::Spent))?).into_response())
        }
        Err(LinkError::Throttled(wait)) => {
            let notice = LinkNotice::Throttled { wait: wait_words(wait) };
            Ok(wait_page(show_link(&review, &token, next, Some(notice))?, wait))
        }
        Err(LinkError::Store(error)) => Err(error.into()),
    }
}

/// `POST /logout`
pub async fn sign_out(State(review): State<Review>, form: SignedForm) -> Answer {
    let session = form.session;
    if !review.0.identity.session_end(session.reviewer.id, session.id).await? {
        return Err(Failure::from(Problem::NotFound));
    }
    let mut response = Redirect::to("/login?notice=signed_out").into_response();
    if let Some(cookie) = set_cookie(&review.0.site, "", Duration::ZERO) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(response)
}
