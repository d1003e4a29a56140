//! A call that may have run: what its page tells, the reads that help to find out, and the finding.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect};

use super::Review;
use super::call::{Shown, approvers, sentence};
use super::decide::Refused;
use super::failure::{Answer, Failure};
use super::rights::decides;
use super::session::{Script, SignedForm};
use super::view::Text;
use super::view::error::Problem;
use super::view::unknown::{Compared, FindingForm, Found, Unknown};
use crate::approvals::{Channel, Find, FindError, Kept};
use crate::call::{CallState, ContextResult, HeldCall, ReviewerId, secrets};
use crate::explain::tree::Reveal;
use crate::identity::{Reviewer, Session};
use crate::store::StoredEntry;

/// `POST /calls/{id}/finding`
pub async fn finding(State(review): State<Review>, Path(id): Path<String>, form: SignedForm) -> Answer {
    let (session, fields) = (form.session, form.fields);
    let call = review.visible(&session, &id).await?;
    let ran = match fields.get("ran") {
        "yes" => true,
        "no" => false,
        _ => {
            let what =
                "The form says neither that it ran nor that it did not. Open the call again and use its buttons.";
            return Err(Failure::request(StatusCode::UNPROCESSABLE_ENTITY, what));
        }
    };
    let reason = fields.get("reason").to_owned();
    let find =
        Find { call: call.submission.id, ran, reason: reason.clone(), by: session.reviewer.id, channel: Channel::Page };
    let error = match review.find(find).await {
        Ok(_) => return Ok(Redirect::to(&format!("/calls/{}", call.submission.id)).into_response()),
        Err(Refused::Final(failure)) => return Err(failure),
        Err(Refused::TryAgain(error)) => error,
    };
    let page = review.call_page(&session, &call, Shown { error: Some(error), reason, ..Shown::default() }).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}

/// A finding in JSON.
#[derive(Debug, serde::Deserialize)]
pub struct Body {
    ran: bool,
    reason: String,
}

/// `POST /api/v1/calls/{id}/finding`
pub async fn api(
    State(review): State<Review>,
    Script(access): Script,
    Path(id): Path<String>,
    body: Result<Json<Body>, JsonRejection>,
) -> Answer {
    if !access.may_decide {
        let why = "This token reads only. `placet reviewer token EMAIL --decide` makes one that decides.";
        return Err(Failure::forbidden(why));
    }
    let Json(Body { ran, reason }) = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::TooLarge.into(),
        status => {
            Failure::request(status, "Send JSON such as {\"ran\": false, \"reason\": \"the policy is not there\"}.")
        }
    })?;
    let call = review.visible_to(&access.reviewer, &id).await?;
    let find = Find { call: call.submission.id, ran, reason, by: access.reviewer.id, channel: Channel::Api };
    match review.find(find).await {
        Ok(call) => Ok(Json(review.call_value(&call).await?).into_response()),
        Err(Refused::Final(failure)) => Err(failure),
        Err(Refused::TryAgain(what)) => Err(Failure::request(StatusCode::UNPROCESSABLE_ENTITY, &what)),
    }
}

/// `POST /calls/{id}/read-back`: the page with what the policy's reading tools say now, asked for this person.
pub async fn read_back(State(review): State<Review>, Path(id): Path<String>, form: SignedForm) -> Answer {
    let session = form.session;
    let call = review.visible(&session, &id).await?;
    decides(&session.reviewer, &call, review.solo()).map_err(|why| Failure::forbidden(&sentence(&why.to_string())))?;
    if !matches!(call.state, CallState::OutcomeUnknown { .. }) {
        let what = "Only a call whose outcome is unknown is read about again.";
        return Err(Failure::request(StatusCode::CONFLICT, what));
    }
    let read = review.0.overview.read_again(&call, session.reviewer.id).await;
    let now = read.ok_or_else(|| Failure::too_many(std::time::Duration::from_secs(3)))?;
    review.call_page(&session, &call, Shown { now, ..Shown::default() }).await
}

/// What the log tells of one step of the call.
fn step<'e>(entries: &'e [StoredEntry], kind: &str) -> Option<&'e StoredEntry> {
    entries.iter().find(|entry| entry.kind == kind)
}

impl Review {
    /// Takes a finding on a call that this person may read.
    ///
    /// # Errors
    /// Why it was not recorded.
    async fn find(&self, find: Find) -> Result<HeldCall, Refused> {
        let conflict =
            |error: &FindError| Refused::Final(Failure::request(StatusCode::CONFLICT, &sentence(&error.to_string())));
        self.0.approvals.find(find).await.map_err(|error| match error {
            FindError::NotFound => Refused::Final(Problem::NotFound.into()),
            FindError::Forbidden(_) | FindError::CriticalByApi => {
                Refused::Final(Failure::forbidden(&sentence(&error.to_string())))
            }
            error @ (FindError::NotUnknown(_) | FindError::FoundAlready | FindError::Tampered) => conflict(&error),
            FindError::ReasonRequired | FindError::ReasonTooLong => Refused::TryAgain(sentence(&error.to_string())),
            FindError::Store(error) => Refused::Final(error.into()),
        })
    }

    /// What the page of a call of unknown outcome tells.
    pub(super) fn unknown(
        &self,
        session: &Session,
        held: &HeldCall,
        why: &str,
        entries: &[StoredEntry],
        name: &dyn Fn(&ReviewerId) -> Text,
        shown: &Shown,
    ) -> Unknown {
        let may = held.finding.is_none() && self.may_find(&session.reviewer, held);
        let kept = self.0.approvals.kept(held, entries);
        let released = step(entries, "call.released");
        let claim = released.and_then(|entry| {
            let body: serde_json::Value = serde_json::from_str(&entry.body).ok()?;
            Some(body["detail"]["claim"].as_str()?.to_owned())
        });
        let reads = &held.submission.requirement.context;
        let unreadable = match reads.as_slice() {
            _ if !may => None,
            [] => Some("the policy names no tool under context that would read it."),
            all if all.iter().all(|read| read.arguments.is_err()) => {
                Some("what the policy would read cannot be made out of this call’s arguments.")
            }
            _ => None,
        };
        let reads = reads.iter().filter(|read| may && read.arguments.is_ok());
        Unknown {
            at: self.time(held.changed_at),
            why: Text::new(&sentence(&secrets::mask_text(why))),
            by: approvers(held, name),
            approved: step(entries, "call.approved").map(|entry| self.time(entry.at)),
            claimed: released.map(|entry| self.time(entry.at)),
            claim,
            found: held.finding.as_ref().map(|stored| Found {
                ran: stored.finding.ran,
                by: name(&stored.finding.by),
                at: self.time(stored.finding.at),
                reason: Text::new(&secrets::mask_text(&stored.finding.reason)),
                genuine: kept.finding,
            }),
            form: may.then(|| FindingForm { error: shown.error.clone(), reason: shown.reason.clone() }),
            readable: reads.map(|read| Text::new(&read.tool)).collect(),
            unreadable,
            compared: self.compared(held, kept, &shown.now),
        }
    }

    fn may_find(&self, reviewer: &Reviewer, held: &HeldCall) -> bool {
        decides(reviewer, held, self.solo()).is_ok()
    }

    /// Each read of now beside the same one of then.
    fn compared(&self, held: &HeldCall, kept: Kept, now: &[ContextResult]) -> Vec<Compared> {
        let before = held.context.as_deref().filter(|_| kept.context).unwrap_or_default();
        let pair = |now: &ContextResult| {
            let then = before.iter().find(|then| (&then.tool, &then.arguments) == (&now.tool, &now.arguments));
            Compared {
                same: then.and_then(|then| Some(then.result.as_ref().ok()? == now.result.as_ref().ok()?)),
                then: then.map(|then| self.context_read(then, Reveal::Masked)),
                now: self.context_read(now, Reveal::Masked),
            }
        };
        now.iter().map(pair).collect()
    }
}
