//! `/api/v1`: the same calls for scripts, as JSON; what goes wrong is a problem document (RFC 9457).

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use axum::{Json, extract};
use serde_json::{Value, json};

use super::Review;
use super::arguments;
use super::call::CHANGED;
use super::decide::{Asked, Refused};
use super::describe::{line, severity};
use super::failure::{Answer, Failure};
use super::reveal::Secrets;
use super::rights::sight;
use super::session::Script;
use super::view::error::Problem;
use crate::approvals::{Channel, Kept};
use crate::call::{self, CallId, CallState, HeldCall, Millis, Verdict, secrets};
use crate::explain::tree::Reveal;
use crate::store::CallFilter;

/// Calls in one answer, unless another number is asked for, and at most.
const PAGE: u32 = 50;
const LARGEST_PAGE: u32 = 200;

/// What a list is asked with.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct ListAsked {
    state: String,
    agent: Option<String>,
    tool: Option<String>,
    after: Option<CallId>,
    limit: Option<u32>,
}

/// `GET /api/v1/calls`: newest first. Secrets are masked, here and everywhere that is only read.
pub async fn list(
    State(review): State<Review>,
    Script(access): Script,
    asked: Result<Query<ListAsked>, extract::rejection::QueryRejection>,
) -> Answer {
    let Query(asked) = asked.map_err(|rejection| {
        Failure::request(StatusCode::UNPROCESSABLE_ENTITY, &format!("{}.", rejection.body_text()))
    })?;
    let state = Review::known_state(&asked.state)?;
    let limit = asked.limit.unwrap_or(PAGE).clamp(1, LARGEST_PAGE);
    let filter = CallFilter {
        state: state.clone(),
        agent: asked.agent.clone(),
        tool: asked.tool.clone(),
        after: asked.after,
        sight: sight(&access.reviewer),
        limit,
        ..CallFilter::default()
    };
    let page = review.0.store.calls(filter).await?;
    let next = page.next.map(|id| {
        let pairs = [("state", state), ("agent", asked.agent), ("tool", asked.tool)];
        let set = pairs.into_iter().filter_map(|(key, value)| Some((key, value?)));
        let kept: String = set.map(|(key, value)| format!("{key}={}&", super::next::query_value(&value))).collect();
        format!("/api/v1/calls?{kept}limit={limit}&after={id}")
    });
    let mut calls = Vec::with_capacity(page.calls.len());
    for call in &page.calls {
        calls.push(review.call_value(call).await?);
    }
    Ok(Json(json!({ "calls": calls, "next": next })).into_response())
}

/// `GET /api/v1/calls/{id}`
pub async fn show(State(review): State<Review>, Script(access): Script, Path(id): Path<String>) -> Answer {
    let call = review.visible_to(&access.reviewer, &id).await?;
    Ok(Json(review.call_value(&call).await?).into_response())
}

/// A verdict in JSON.
#[derive(Debug, serde::Deserialize)]
pub struct Body {
    verdict: String,
    digest: String,
    #[serde(default)]
    reason: String,
}

/// `POST /api/v1/calls/{id}/decision`
pub async fn decision(
    State(review): State<Review>,
    Script(access): Script,
    Path(id): Path<String>,
    body: Result<Json<Body>, JsonRejection>,
) -> Answer {
    if !access.may_decide {
        let why = "This token reads only. `placet reviewer token EMAIL --decide` makes one that decides.";
        return Err(Failure::forbidden(why));
    }
    let Json(body) = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::TooLarge.into(),
        status => {
            let what = "Send JSON such as {\"verdict\": \"reject\", \"digest\": \"…\", \"reason\": \"…\"}.";
            Failure::request(status, what)
        }
    })?;
    let Ok(verdict) = body.verdict.parse::<Verdict>() else {
        let what = "The verdict is \"approve\" or \"reject\".";
        return Err(Failure::request(StatusCode::UNPROCESSABLE_ENTITY, what));
    };
    let call = review.visible_to(&access.reviewer, &id).await?;
    let asked = Asked {
        verdict,
        digest: &body.digest,
        reason: &body.reason,
        by: access.reviewer.id,
        channel: Channel::Api,
        confirmed: false,
    };
    match review.decide(&call, asked).await {
        Ok(call) => Ok(Json(review.call_value(&call).await?).into_response()),
        Err(Refused::Final(failure)) => Err(failure),
        Err(Refused::TryAgain(what)) => Err(Failure::request(StatusCode::UNPROCESSABLE_ENTITY, &what)),
    }
}

impl Review {
    /// A call as the interface writes it, secrets masked.
    pub(super) async fn call_value(&self, call: &HeldCall) -> Result<Value, Failure> {
        let kept = self.0.approvals.kept(call, &self.0.store.entries_of(call.submission.id).await?);
        Ok(call_json(call, kept, Reveal::Masked))
    }
}

/// A call as the interface writes it.
pub fn call_json(held: &HeldCall, kept: Kept, reveal: Reveal) -> Value {
    let submission = &held.submission;
    let read = arguments::read(held.arguments(), reveal);
    let masked = if reveal == Reveal::Masked { Secrets::of(held, kept).all() } else { 0 };
    let decisions: Vec<_> = held
        .votes
        .iter()
        .map(|stored| {
            let vote = &stored.vote;
            json!({
                "verdict": vote.verdict,
                "by": stored.by_email,
                "at": iso(vote.at),
                "reason": secrets::mask_text(&vote.reason),
            })
        })
        .collect();
    let tricks: Vec<_> = read
        .tricks
        .iter()
        .map(|trick| json!({ "kind": trick.kind.as_str(), "where": trick.where_, "shown": trick.shown }))
        .collect();
    let pending = held.state.is_pending();
    let mut value = json!({
        "id": submission.id,
        "state": held.state.name(),
        "disposition": held.state.disposition().map(call::Disposition::as_str),
        "agent": submission.agent.name,
        "agent_reason": submission.agent_reason.as_deref().map(secrets::mask_text),
        "upstream": submission.upstream,
        "tool": submission.tool,
        "arguments": held.arguments().map(|text| arguments::masked(text, reveal)),
        "masked": masked,
        "redacted_at": held.redacted_at.map(iso),
        "digest": held.digest,
        "created_at": iso(submission.created_at),
        "expires_at": iso(held.expires_at),
        "decided_at": decided_at(held).map(iso),
        "decisions": decisions,
        "finding": held.finding.as_ref().map(|stored| {
            if !kept.finding {
                return json!({ "ran": null, "tampered": true });
            }
            let finding = &stored.finding;
            json!({
                "ran": finding.ran,
                "by": stored.by_email,
                "at": iso(finding.at),
                "reason": secrets::mask_text(&finding.reason),
                "tampered": false,
            })
        }),
        "approvals_needed": submission.requirement.quorum.approvals(),
        "verdict": { "severity": severity(&submission.requirement).slug(), "line": line(held) },
        "findings": [],
        "new_access": [],
        "tricks": tricks,
        "baseline": baseline(held, kept, reveal),
        "approvable": pending && held.genuine && read.blocked.is_none(),
        "blocked_by": (!held.genuine).then(|| CHANGED.to_owned()).or(read.blocked).filter(|_| pending),
        "restored_as_of": held.as_of.map(iso),
        "standing": submission.requirement.standing.as_ref().map(|offer| {
            json!({ "uses": offer.uses, "seconds": offer.lasts.as_secs(), "arguments": offer.open })
        }),
        "tool_changed": submission.requirement.tool_changed.is_some(),
        "outcome": outcome(held, kept, reveal),
    });
    if !held.genuine {
        value["alarm"] = CHANGED.into();
    }
    value
}

fn iso(at: Millis) -> String {
    at.to_string()
}

/// When the deciding vote was cast, or the policy approved in its stead.
fn decided_at(held: &HeldCall) -> Option<Millis> {
    match &held.state {
        CallState::Pending { .. } | CallState::Expired { .. } | CallState::Cancelled { .. } => None,
        CallState::Approved { at, .. } => Some(*at),
        _ => held.votes.last().map(|stored| stored.vote.at),
    }
}

fn baseline(held: &HeldCall, kept: Kept, reveal: Reveal) -> Value {
    if !kept.context {
        return json!({ "state": "tampered", "as_of": null, "calls": [] });
    }
    let Some(results) = &held.context else {
        let state = if held.submission.requirement.context.is_empty() { "none" } else { "loading" };
        return json!({ "state": state, "as_of": null, "calls": [] });
    };
    let failed = results.iter().filter(|read| read.result.is_err()).count();
    let state = match (results.len(), failed) {
        (0, _) => "none",
        (_, 0) => "read",
        (all, failed) if all == failed => "failed",
        _ => "partly_failed",
    };
    let calls: Vec<_> = results
        .iter()
        .map(|read| {
            json!({
                "tool": read.tool,
                "arguments": arguments::masked(&read.arguments, reveal),
                "at": iso(read.at),
                "result": read.result.as_ref().ok().map(|text| arguments::masked(text, reveal)),
                "error": read.result.as_ref().err().map(|why| secrets::mask_text(why)),
            })
        })
        .collect();
    json!({ "state": state, "as_of": results.iter().map(|read| read.at).min().map(iso), "calls": calls })
}

fn outcome(held: &HeldCall, kept: Kept, reveal: Reveal) -> Value {
    let (at, why) = match &held.state {
        CallState::Executed { at } | CallState::ToolError { at } => (*at, None),
        CallState::OutcomeUnknown { at, why } | CallState::Revoked { at, why } => (*at, Some(why.as_str())),
        _ => return Value::Null,
    };
    let answer = held.answer.as_ref().filter(|_| kept.answer).map(|answer| match answer {
        call::Answer::Result(text) => ("result", text),
        call::Answer::Error(text) => ("error", text),
    });
    json!({
        "at": iso(at),
        "kind": answer.map(|(kind, _)| kind),
        "text": answer.map(|(_, text)| arguments::masked(text, reveal)),
        "why": why.map(secrets::mask_text),
        "tampered": !kept.answer,
    })
}
