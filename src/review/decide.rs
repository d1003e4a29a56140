//! `POST /calls/{id}/decision`: a verdict from the page.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect};

use super::Review;
use super::arguments;
use super::call::Shown;
use super::failure::{Answer, Failure};
use super::session::SignedForm;
use super::view::Text;
use super::view::error::Problem;
use crate::approvals::{Channel, DecideError, Decision};
use crate::call::{Digest, HeldCall, ReviewerId, Verdict};
use crate::explain::tree::Reveal;

/// `POST /calls/{id}/decision`
pub async fn decision(State(review): State<Review>, Path(id): Path<String>, form: SignedForm) -> Answer {
    let (session, fields) = (form.session, form.fields);
    let call = review.visible(&session, &id).await?;
    let reason = fields.get("reason");
    let Ok(verdict) = fields.get("verdict").parse::<Verdict>() else {
        let what = "The form says neither approve nor reject. Open the call again and use its buttons.";
        return Err(Failure::request(StatusCode::UNPROCESSABLE_ENTITY, what));
    };
    let asked = Asked {
        verdict,
        digest: fields.get("digest"),
        reason,
        by: session.reviewer.id,
        channel: Channel::Page,
        confirmed: fields.get("confirm_critical") == "yes",
    };
    let error = match review.decide(&call, asked).await {
        Ok(_) => return Ok(Redirect::to(&format!("/calls/{}", call.submission.id)).into_response()),
        Err(Refused::Final(failure)) => return Err(failure),
        Err(Refused::TryAgain(error)) => error,
    };
    let shown = Shown { error: Some(error), reason: reason.to_owned(), ..Shown::default() };
    let page = review.call_page(&session, &call, shown).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}

/// A verdict as it came in.
pub struct Asked<'a> {
    /// Approve or reject.
    pub verdict: Verdict,
    /// What the person saw, as text.
    pub digest: &'a str,
    /// Why.
    pub reason: &'a str,
    /// Who.
    pub by: ReviewerId,
    /// From where.
    pub channel: Channel,
    /// The deliberate extra step was taken.
    pub confirmed: bool,
}

/// Why a verdict did not count.
pub enum Refused {
    /// Said again it would be refused again.
    Final(Failure),
    /// Something is missing; what, in a sentence.
    TryAgain(String),
}

impl Review {
    /// Takes a verdict on a call that this person may read.
    ///
    /// # Errors
    /// Why it does not count; nothing changed then.
    pub(super) async fn decide(&self, call: &HeldCall, asked: Asked<'_>) -> Result<HeldCall, Refused> {
        let id = call.submission.id;
        let stale = || Problem::Stale { call: id.to_string(), reason: Text::new(asked.reason) };
        // What is no digest at all is not this call's either.
        let digest: Digest = asked.digest.trim().parse().map_err(|_| Refused::Final(stale().into()))?;
        if asked.verdict == Verdict::Approve
            && call.state.is_pending()
            && let Some(blocked) = arguments::read(call.arguments(), Reveal::Masked).blocked
        {
            return Err(Refused::TryAgain(blocked));
        }
        let decision = Decision {
            call: id,
            digest,
            verdict: asked.verdict,
            reason: asked.reason.to_owned(),
            by: asked.by,
            channel: asked.channel,
            confirmed: asked.confirmed,
        };
        let refuse = |problem: Problem| Refused::Final(problem.into());
        self.0.approvals.decide(decision).await.map_err(|error| match error {
            DecideError::NotFound => refuse(Problem::NotFound),
            DecideError::Forbidden(_) | DecideError::CriticalByApi => {
                refuse(Problem::Forbidden(Text::new(&sentence(&error.to_string()))))
            }
            DecideError::StaleDigest => refuse(stale()),
            DecideError::NotPending(now) => refuse(Self::decided(&now, asked.reason)),
            DecideError::TooLate => refuse(Problem::TooLate { call: id.to_string(), reason: Text::new(asked.reason) }),
            error @ DecideError::Tampered => {
                Refused::Final(Failure::request(StatusCode::CONFLICT, &sentence(&error.to_string())))
            }
            DecideError::VotedAlready => {
                let what = "You have voted on this call already, and a vote is final. It waits for other reviewers.";
                Refused::Final(Failure::request(StatusCode::CONFLICT, what))
            }
            DecideError::ReasonRequired | DecideError::ReasonTooLong | DecideError::NeedsConfirmation => {
                Refused::TryAgain(sentence(&error.to_string()))
            }
            DecideError::Store(error) => Refused::Final(error.into()),
        })
    }
}

/// A message as a sentence of its own.
fn sentence(message: &str) -> String {
    let mut chars = message.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}
