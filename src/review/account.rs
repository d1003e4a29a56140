//! `/account`: the person's own password, sessions and API tokens.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect};
use secrecy::SecretString;

use super::Review;
use super::chrome::html;
use super::failure::{Answer, Failure};
use super::session::{Client, SignedForm, Visitor};
use super::view::account::{AccountPage, PasswordNotice, Session as SessionView, Token};
use super::view::error::Problem;
use super::view::{Nav, Text};
use crate::identity::password::BadPassword;
use crate::identity::{IdentityError, Roles, Session};

/// `GET /account`
pub async fn page(State(review): State<Review>, Visitor(session): Visitor) -> Answer {
    show(&review, &session, None).await
}

async fn show(review: &Review, session: &Session, notice: Option<PasswordNotice>) -> Answer {
    let (identity, person) = (&review.0.identity, &session.reviewer);
    let idle = identity.limits().idle;
    let mut sessions: Vec<_> = identity
        .sessions(person.id)
        .await?
        .into_iter()
        .map(|row| SessionView {
            current: row.id == session.id,
            device: Text::new(&row.device),
            created: review.time(row.created_at),
            seen: review.time(row.seen_at),
            expires: review.time(row.expires_at.min(row.seen_at.after(idle))),
            id: row.id,
        })
        .collect();
    sessions.sort_by_key(|view| !view.current);
    let tokens = identity.api_tokens(person.id).await?.into_iter().map(|token| Token {
        scope: if token.may_decide { "reads and decides" } else { "reads" },
        created: review.time(token.created_at),
        expires: review.time(token.expires_at),
        used: token.used_at.map(|at| review.time(at)),
        id: token.id,
    });
    html(&AccountPage {
        chrome: review.chrome(session, "Account".into(), Nav::Account).await?,
        name: Text::new(&person.name),
        email: Text::new(person.email.as_str()),
        role: role(person.roles),
        groups: person.groups.iter().map(|group| Text::new(group.as_str())).collect(),
        has_password: identity.has_password(person).await?,
        password_notice: notice,
        sessions,
        tokens: tokens.collect(),
    })
}

fn role(roles: Roles) -> &'static str {
    match (roles.reviewer, roles.auditor, roles.administrator) {
        (true, true, true) => "Reviewer, auditor and administrator",
        (true, true, false) => "Reviewer and auditor",
        (true, false, true) => "Reviewer and administrator",
        (false, true, true) => "Auditor and administrator",
        (true, false, false) => "Reviewer",
        (false, true, false) => "Auditor",
        (false, false, true) => "Administrator",
        (false, false, false) => "No role",
    }
}

/// `GET /account/password`: its answer was loaded again.
pub async fn password_page() -> Redirect {
    Redirect::to("/account")
}

/// `POST /account/password`
pub async fn password(State(review): State<Review>, client: Client, form: SignedForm) -> Answer {
    let (session, fields) = (form.session, form.fields);
    let refuse = async |notice| {
        let page = show(&review, &session, Some(notice)).await?;
        Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
    };
    if fields.get("new") != fields.get("repeat") {
        return refuse(PasswordNotice::Differ).await;
    }
    let (current, new) = (SecretString::from(fields.get("current")), SecretString::from(fields.get("new")));
    match review.0.identity.change_password(&session, client.source, current, new).await {
        Ok(()) => show(&review, &session, Some(PasswordNotice::Changed)).await,
        Err(IdentityError::WrongPassword) => refuse(PasswordNotice::WrongCurrent).await,
        Err(IdentityError::BadPassword(BadPassword::TooShort)) => refuse(PasswordNotice::TooShort).await,
        Err(IdentityError::BadPassword(BadPassword::TooLong)) => refuse(PasswordNotice::TooLong).await,
        Err(IdentityError::Throttled(wait)) => Err(Failure::too_many(wait)),
        Err(IdentityError::Hash(error)) => Err(error.into()),
        Err(IdentityError::Store(error)) => Err(error.into()),
        Err(other) => Err(Failure::request(StatusCode::UNPROCESSABLE_ENTITY, &other.to_string())),
    }
}

/// `POST /account/sessions/{id}/revoke`
pub async fn end_session(State(review): State<Review>, Path(id): Path<String>, form: SignedForm) -> Answer {
    let ended = review.0.identity.session_end(form.session.reviewer.id, id).await?;
    back(ended)
}

/// `POST /account/sessions/revoke`: every other session of the person.
pub async fn end_other_sessions(State(review): State<Review>, form: SignedForm) -> Answer {
    review.0.identity.sessions_end(form.session.reviewer.id, Some(form.session.id)).await?;
    back(true)
}

/// `POST /account/tokens/{id}/revoke`
pub async fn end_token(State(review): State<Review>, Path(id): Path<String>, form: SignedForm) -> Answer {
    let ended = review.0.identity.api_token_end(form.session.reviewer.id, id).await?;
    back(ended)
}

fn back(done: bool) -> Answer {
    if done { Ok(Redirect::to("/account").into_response()) } else { Err(Problem::NotFound.into()) }
}
