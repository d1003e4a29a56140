//! `/tools/{upstream}/{tool}`: what a tool says of itself, and a person's yes to what has changed.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};

use super::Review;
use super::call::{sentence, trick};
use super::chrome::html;
use super::failure::{Answer, Failure};
use super::overview::{Effect, ToolOverview};
use super::rights::accepts;
use super::session::{SignedForm, Visitor};
use super::view::error::Problem;
use super::view::tool::{AcceptForm, Accepted, Barred, Standing, ToolPage, alone, compared, path};
use super::view::{Nav, Text};
use crate::approvals::Ineligible;
use crate::call::tool::{Pending, Pin, Said};
use crate::call::{Digest, ToolName, UpstreamName, json, secrets};
use crate::explain::trickery;
use crate::identity::Session;
use crate::store::{Acceptance, NotAccepted};

/// A longer reason is not kept.
const LONGEST_REASON: usize = 2000;

/// What was wrong with the last try to accept.
#[derive(Default)]
struct Tried {
    error: Option<String>,
    reason: String,
}

/// `GET /tools/{upstream}/{tool}`
pub async fn page(
    State(review): State<Review>,
    Visitor(session): Visitor,
    Path(names): Path<(String, String)>,
) -> Answer {
    let (upstream, tool) = parsed(&names)?;
    review.tool_page(&session, &upstream, &tool, Tried::default()).await
}

/// `GET` of the form's address: the tool's page.
///
/// # Errors
/// These are no names.
pub async fn back(Path(names): Path<(String, String)>) -> Result<Redirect, Failure> {
    let (upstream, tool) = parsed(&names)?;
    Ok(Redirect::to(&path(upstream.as_str(), tool.as_str())))
}

/// `POST /tools/{upstream}/{tool}/acceptance`
pub async fn accept(State(review): State<Review>, Path(names): Path<(String, String)>, form: SignedForm) -> Answer {
    let (upstream, tool) = parsed(&names)?;
    let (session, fields) = (form.session, form.fields);
    let reason = fields.get("reason").trim().to_owned();
    let error = if reason.is_empty() {
        "Say in a sentence why this is right; the log keeps it.".to_owned()
    } else if reason.len() > LONGEST_REASON {
        format!("The reason is longer than {LONGEST_REASON} bytes; shorten it.")
    } else {
        let stale = "It has changed again since you read it. This is what it says now.".to_owned();
        // What is no digest at all is not this tool's either.
        match fields.get("digest").trim().parse::<Digest>() {
            Err(_) => return review.again(&session, &upstream, &tool, StatusCode::CONFLICT, stale, reason).await,
            Ok(digest) => {
                let (kept, by) = (secrets::mask_text(&reason), session.reviewer.id);
                let acceptance =
                    Acceptance { upstream: upstream.clone(), tool: tool.clone(), digest, by, reason: kept };
                match review.0.overview.accept(acceptance).await? {
                    Ok(()) => return Ok(Redirect::to(&path(upstream.as_str(), tool.as_str())).into_response()),
                    Err(NotAccepted::Declined(why)) => return Err(Failure::forbidden(&sentence(&declined(why)))),
                    Err(NotAccepted::Stale) => {
                        return review.again(&session, &upstream, &tool, StatusCode::CONFLICT, stale, reason).await;
                    }
                    Err(NotAccepted::NotChanged) => {
                        let what = "Nothing waits to be accepted here: somebody was faster.";
                        return Err(Failure::request(StatusCode::CONFLICT, what));
                    }
                }
            }
        }
    };
    review.again(&session, &upstream, &tool, StatusCode::UNPROCESSABLE_ENTITY, error, reason).await
}

/// As [`Ineligible`] says it of a call.
fn declined(why: Ineligible) -> String {
    match why {
        Ineligible::OtherGroup => "reviewers of another group decide about this tool".to_owned(),
        why => why.to_string(),
    }
}

fn parsed((upstream, tool): &(String, String)) -> Result<(UpstreamName, ToolName), Failure> {
    let upstream = UpstreamName::new(upstream.as_str()).map_err(|_| Problem::NotFound)?;
    Ok((upstream, ToolName::new(tool.as_str()).map_err(|_| Problem::NotFound)?))
}

impl Review {
    /// The page once more, with what was wrong.
    async fn again(
        &self,
        session: &Session,
        upstream: &UpstreamName,
        tool: &ToolName,
        status: StatusCode,
        error: String,
        reason: String,
    ) -> Answer {
        let page = self.tool_page(session, upstream, tool, Tried { error: Some(error), reason }).await?;
        Ok((status, page).into_response())
    }

    async fn tool_page(
        &self,
        session: &Session,
        upstream: &UpstreamName,
        tool: &ToolName,
        tried: Tried,
    ) -> Result<Response, Failure> {
        let found = self.0.overview.tool(upstream, tool).await?.ok_or(Problem::NotFound)?;
        let ToolOverview { pin, is_back, effect, groups } = found;
        let accepted = pin.accepted.as_ref().filter(|_| pin.genuine);
        let pending = pin.pending.as_ref().filter(|_| pin.genuine);
        let now = pending.and_then(|pending| pending.said.as_ref());
        let offered = if is_back { accepted.map(|accepted| &accepted.said) } else { now };
        let may = accepts(&session.reviewer, &groups);
        let everybody = self.0.identity.reviewers().await?;
        let name = |id| everybody.iter().find(|reviewer| reviewer.id == id).map_or("somebody", |r| &r.name);
        let lines = match (accepted, now) {
            (Some(accepted), Some(now)) => compared(&accepted.said.json, &now.json),
            (Some(accepted), None) => alone(&accepted.said.json),
            (None, Some(now)) => alone(&now.json),
            (None, None) => Vec::new(),
        };
        html(&ToolPage {
            chrome: self.chrome(session, format!("{tool} of {upstream}"), Nav::Tools).await?,
            upstream: Text::new(upstream.as_str()),
            tool: Text::new(tool.as_str()),
            path: path(upstream.as_str(), tool.as_str()),
            seen: self.time(pin.seen_at),
            standing: self.tool_standing(&pin, is_back, effect),
            accepted: accepted.map(|accepted| Accepted {
                at: self.time(accepted.at),
                by: accepted.by.map(|by| Text::new(name(by))),
                reason: Text::new(&accepted.reason),
            }),
            lines,
            tricks: now.or(accepted.map(|accepted| &accepted.said)).map(tricks_of).unwrap_or_default(),
            barred: match may {
                Err(_) if offered.is_none() => None,
                Ok(()) => None,
                Err(Ineligible::OtherGroup) => {
                    Some(Barred::OtherGroup(groups.iter().map(|group| Text::new(group.as_str())).collect()))
                }
                Err(_) => Some(Barred::Auditor),
            },
            form: offered.filter(|_| may.is_ok()).map(|said| AcceptForm {
                digest: said.digest.to_string(),
                keeps: is_back,
                error: tried.error.clone(),
                reason: tried.reason.clone(),
            }),
        })
    }

    fn tool_standing(&self, pin: &Pin, back: bool, effect: Effect) -> Standing {
        let refused = effect == Effect::Refused;
        match &pin.pending {
            _ if !pin.genuine => Standing::Lost { refused, unlisted: true },
            None => Standing::Same,
            Some(Pending { said, .. }) if said.is_none() || pin.accepted.is_none() => {
                Standing::Lost { refused, unlisted: said.is_none() && !back }
            }
            Some(Pending { at, .. }) => {
                Standing::Changed { at: self.time(*at), refused, harmless: effect == Effect::None, back }
            }
        }
    }
}

/// What hides in a tool's words.
fn tricks_of(said: &Said) -> Vec<super::view::call::Trick> {
    let limits = json::Limits { max_bytes: usize::MAX, max_depth: json::DEEPEST };
    let doc = json::read_strict(said.json.as_bytes(), &limits);
    doc.map(|doc| trickery::tricks(&doc).iter().map(trick).collect()).unwrap_or_default()
}
