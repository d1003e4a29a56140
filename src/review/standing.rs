//! `/standing` and the form on a call's page: what passes, granting it, ending it.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect};

use super::Review;
use super::call::Shown;
use super::chrome::html;
use super::failure::{Answer, Failure};
use super::rights::accepts;
use super::session::{Fields, SignedForm, Visitor};
use super::view::error::Problem;
use super::view::standing::{Choice, GrantForm, Item, OpenArgument, Passed, StandingPage, Status};
use super::view::{Banner, Nav, Text};
use crate::approvals::{Channel, EndError, Grant, GrantError};
use crate::call::{ANY, CallId, HeldCall, Millis, ReviewerId, StandingApproval, StandingId, StandingOffer, secrets};
use crate::identity::Session;

/// Most that the page shows.
pub(super) const MOST: u32 = 50;
/// Calls that are shown of each.
const CALLS: u32 = 10;
/// What a form proposes, where the policy offers as much.
const USES: u32 = 5;
const MINUTES: u64 = 15;

/// What was typed into the form, and what was wrong with it.
#[derive(Clone, Debug)]
pub struct Tried {
    uses: String,
    minutes: String,
    open: Vec<String>,
    reason: String,
    error: String,
}

/// `GET /standing`
pub async fn page(State(review): State<Review>, Visitor(session): Visitor) -> Answer {
    let all = review.0.store.standing_list(MOST).await?;
    let everybody = review.0.identity.reviewers().await?;
    let name = |id: &ReviewerId| {
        let person = everybody.iter().find(|reviewer| reviewer.id == *id);
        Text::new(person.map_or("somebody without an account", |person| &person.name))
    };
    let mut items = Vec::with_capacity(all.len());
    for standing in &all {
        let passed = review.0.store.standing_uses(standing.id, CALLS).await?;
        items.push(review.standing_item(standing, &name, &passed));
    }
    let chrome = review.chrome(&session, "Standing approvals".into(), Nav::Tools).await?;
    html(&StandingPage { chrome, items, may_end: accepts(&session.reviewer, &[]).is_ok() })
}

/// `GET` of a form's address.
pub async fn back() -> Redirect {
    Redirect::to("/standing")
}

/// `POST /standing/{id}/end`
pub async fn end(State(review): State<Review>, Path(id): Path<String>, form: SignedForm) -> Answer {
    let id: StandingId = id.parse().map_err(|_| Problem::NotFound)?;
    // That it is over is what was wanted.
    review.0.approvals.end_standing(id, form.session.reviewer.id).await.map(drop).or_else(ended)?;
    Ok(Redirect::to("/standing").into_response())
}

/// That it is over already, or why it was not ended.
pub(super) fn ended(error: EndError) -> Result<(), Failure> {
    match error {
        EndError::Over => Ok(()),
        EndError::NotFound => Err(Problem::NotFound.into()),
        error @ EndError::Forbidden(_) => Err(Failure::forbidden(&sentence(&error.to_string()))),
        EndError::Store(error) => Err(error.into()),
    }
}

/// `POST /calls/{id}/standing`
pub async fn grant(State(review): State<Review>, Path(id): Path<String>, form: SignedForm) -> Answer {
    let (session, fields) = (form.session, form.fields);
    let call = review.visible(&session, &id).await?;
    let error = match asked(&call, &fields, session.reviewer.id) {
        Ok(grant) => match review.0.approvals.grant(grant).await {
            Ok(_) => return Ok(Redirect::to(&format!("/calls/{}", call.submission.id)).into_response()),
            Err(error) => refused(error)?,
        },
        Err(error) => error.to_owned(),
    };
    let tried = Tried {
        uses: fields.get("uses").to_owned(),
        minutes: fields.get("minutes").to_owned(),
        open: fields.all("open").map(str::to_owned).collect(),
        reason: fields.get("reason").to_owned(),
        error,
    };
    let page = review.call_page(&session, &call, Shown { grant: Some(tried), ..Shown::default() }).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}

/// What can be said right in the form, or that it is final.
pub(super) fn refused(error: GrantError) -> Result<String, Failure> {
    let words = sentence(&error.to_string());
    match error {
        GrantError::NotFound => Err(Problem::NotFound.into()),
        GrantError::Forbidden(_) | GrantError::CriticalByApi => Err(Failure::forbidden(&words)),
        GrantError::NotOffered
        | GrantError::NotYours
        | GrantError::TooLate
        | GrantError::GrantedAlready
        | GrantError::AgentGone
        | GrantError::Tampered => Err(Failure::request(StatusCode::CONFLICT, &words)),
        GrantError::TooFar(_)
        | GrantError::ReasonRequired
        | GrantError::ReasonTooLong
        | GrantError::NeedsConfirmation => Ok(words),
        GrantError::Store(error) => Err(error.into()),
    }
}

fn sentence(message: &str) -> String {
    super::call::sentence(message)
}

fn asked(call: &HeldCall, fields: &Fields, by: ReviewerId) -> Result<Grant, &'static str> {
    let number = |name| fields.get(name).trim().parse::<u32>().ok().filter(|number| *number > 0);
    let uses = number("uses").ok_or("Say how many calls may pass: a whole number.")?;
    let minutes = number("minutes").ok_or("Say how many minutes it holds: a whole number.")?;
    let lasts = Duration::from_secs(u64::from(minutes) * 60);
    // The policy may offer less than a whole minute, or an odd number of seconds.
    let offered = call.submission.requirement.standing.as_ref().map(|offer| offer.lasts);
    let rounded = offered.filter(|most| lasts > *most && minutes_of(*most) == u64::from(minutes));
    Ok(Grant {
        call: call.submission.id,
        open: fields.all("open").map(str::to_owned).collect(),
        uses,
        lasts: rounded.unwrap_or(lasts),
        reason: fields.get("reason").to_owned(),
        by,
        channel: Channel::Page,
        confirmed: fields.get("confirm_critical") == "yes",
    })
}

/// Rounded up.
fn minutes_of(lasts: Duration) -> u64 {
    lasts.as_secs().div_ceil(60)
}

fn argument(name: &str, glob: &str) -> OpenArgument {
    OpenArgument { name: Text::new(name), like: (glob != ANY).then(|| Text::new(glob)) }
}

impl Review {
    /// The form, where this person may grant something on this call, which nobody did yet.
    pub(super) fn grant_form(&self, session: &Session, held: &HeldCall, tried: Option<Tried>) -> Option<GrantForm> {
        let offer = self.0.approvals.may_grant(held, session.reviewer.id)?;
        let requirement = &held.submission.requirement;
        let critical = requirement.is_critical();
        Some(filled(offer, tried, critical, critical || requirement.require_reason))
    }

    fn standing_item(
        &self,
        standing: &StandingApproval,
        name: &dyn Fn(&ReviewerId) -> Text,
        passed: &[(CallId, Millis)],
    ) -> Item {
        let now = self.0.store.now();
        let status = match &standing.ended {
            _ if !standing.genuine => Status::Changed,
            Some(ended) => match &ended.by {
                Some(by) => Status::Ended { by: name(by), at: self.time(ended.at) },
                None => Status::Spent { at: self.time(ended.at), why: sentence(&ended.why) },
            },
            None if standing.is_in_force(now) => Status::InForce,
            None => Status::Over,
        };
        Item {
            id: standing.id.to_string(),
            agent: Text::new(standing.agent_name.as_str()),
            upstream: Text::new(standing.upstream.as_str()),
            tool: Text::new(standing.tool.as_str()),
            by: name(&standing.by),
            at: self.time(standing.at),
            until: self.time(standing.until),
            reason: (!standing.reason.is_empty()).then(|| Text::new(&secrets::mask_text(&standing.reason))),
            uses: standing.uses,
            used: standing.used,
            open: standing.open.iter().map(|(name, glob)| argument(name, glob)).collect(),
            call: standing.call.to_string(),
            status,
            passed: passed.iter().map(|(id, at)| Passed { call: id.to_string(), at: self.time(*at) }).collect(),
        }
    }

    /// What every page says while something passes unseen.
    pub(super) async fn standing_banner(&self) -> Result<Option<Banner>, Failure> {
        let all = self.0.store.standing_in_force().await?;
        let Some(first) = all.first() else { return Ok(None) };
        Ok(Some(Banner::Standing {
            agent: Text::new(first.agent_name.as_str()),
            upstream: Text::new(first.upstream.as_str()),
            tool: Text::new(first.tool.as_str()),
            left: first.left(),
            until: self.time(first.until),
            further: all.len() - 1,
        }))
    }
}

fn filled(offer: &StandingOffer, tried: Option<Tried>, critical: bool, needs_reason: bool) -> GrantForm {
    let most_minutes = minutes_of(offer.lasts);
    let choice = |(name, glob): (&String, &String)| Choice {
        value: name.clone(),
        argument: argument(name, glob),
        chosen: tried.as_ref().is_none_or(|tried| tried.open.contains(name)),
    };
    let open = offer.open.iter().map(choice).collect();
    let (uses, minutes, reason, error) = match tried {
        Some(tried) => (tried.uses, tried.minutes, tried.reason, Some(tried.error)),
        None => (offer.uses.min(USES).to_string(), most_minutes.min(MINUTES).to_string(), String::new(), None),
    };
    GrantForm { most_uses: offer.uses, uses, most_minutes, minutes, open, critical, needs_reason, error, reason }
}
