//! Standing approvals for scripts, as JSON.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde_json::{Value, json};

use super::Review;
use super::failure::{Answer, Failure};
use super::session::Script;
use super::standing::{MOST, ended, refused};
use super::view::error::Problem;
use crate::approvals::{Channel, Grant};
use crate::call::{Millis, StandingApproval, StandingId, secrets};
use crate::identity::ApiAccess;

/// What a script lets pass.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Body {
    uses: u32,
    minutes: u32,
    #[serde(default)]
    open: Vec<String>,
    #[serde(default)]
    reason: String,
}

/// `GET /api/v1/standing`: those in force, then the latest that are over.
pub async fn list(State(review): State<Review>, Script(_): Script) -> Answer {
    let all = review.0.store.standing_list(MOST).await?;
    let now = review.0.store.now();
    Ok(Json(json!({ "standing": all.iter().map(|one| value(one, now)).collect::<Vec<_>>() })).into_response())
}

/// `POST /api/v1/calls/{id}/standing`
pub async fn grant(
    State(review): State<Review>,
    Script(access): Script,
    Path(id): Path<String>,
    body: Result<Json<Body>, JsonRejection>,
) -> Answer {
    may_decide(&access)?;
    let Json(Body { uses, minutes, open, reason }) = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::TooLarge.into(),
        status => Failure::request(status, "Send JSON such as {\"uses\": 5, \"minutes\": 15, \"open\": [\"body\"]}."),
    })?;
    let call = review.visible_to(&access.reviewer, &id).await?;
    let grant = Grant {
        call: call.submission.id,
        open: open.into_iter().collect(),
        uses,
        lasts: Duration::from_secs(u64::from(minutes) * 60),
        reason,
        by: access.reviewer.id,
        channel: Channel::Api,
        confirmed: false,
    };
    match review.0.approvals.grant(grant).await {
        Ok(granted) => Ok(Json(value(&granted, review.0.store.now())).into_response()),
        Err(error) => Err(Failure::request(StatusCode::UNPROCESSABLE_ENTITY, &refused(error)?)),
    }
}

/// `POST /api/v1/standing/{id}/end`
pub async fn end(State(review): State<Review>, Script(access): Script, Path(id): Path<String>) -> Answer {
    may_decide(&access)?;
    let id: StandingId = id.parse().map_err(|_| Problem::NotFound)?;
    if let Err(error) = review.0.approvals.end_standing(id, access.reviewer.id).await {
        ended(error)?;
        return Err(Failure::request(StatusCode::CONFLICT, "This standing approval is over already."));
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn may_decide(access: &ApiAccess) -> Result<(), Failure> {
    if access.may_decide {
        return Ok(());
    }
    let why = "This token reads only. `placet reviewer token EMAIL --decide` makes one that decides.";
    Err(Failure::forbidden(why))
}

fn value(one: &StandingApproval, now: Millis) -> Value {
    json!({
        "id": one.id,
        "in_force": one.is_in_force(now),
        "agent": one.agent_name,
        "upstream": one.upstream,
        "tool": one.tool,
        "open": one.open,
        "uses": one.uses,
        "used": one.used,
        "granted_at": one.at.to_string(),
        "until": one.until.to_string(),
        "ended_at": one.ended.as_ref().map(|ended| ended.at.to_string()),
        "call": one.call,
        "reason": secrets::mask_text(&one.reason),
        "tampered": !one.genuine,
    })
}
