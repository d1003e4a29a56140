//! `/calls/{id}`: one call, everything a reviewer must know, and the decision.

use axum::extract::{Path, Query, State};
use axum::response::Redirect;

use super::Review;
use super::arguments::{self, masked};
use super::chrome::html;
use super::describe::{line, severity, state};
use super::failure::{Answer, Failure};
use super::queue::approvals;
use super::reveal::Secrets;
use super::rights::{decides, lacks_reviewers, may_see};
use super::session::Visitor;
use super::standing::Tried;
use super::timeline::names;
use super::view::call::{Barred, Call, CallPage, Claim, Decision, Erased, Exact, Masked, OnTimeout, Standing, Trick};
use super::view::error::Problem;
use super::view::tool::path as tool_path;
use super::view::unknown::Unknown;
use super::view::{Nav, Text, Verdict};
use crate::approvals::Ineligible;
use crate::call::{self, Approver, CallId, CallState, ContextResult, Digest, HeldCall, secrets};
use crate::explain::tree::Reveal;
use crate::explain::trickery::{self, TrickKind};
use crate::identity::{Reviewer, Session};

/// What a call's page is asked with.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Asked {
    prepare: String,
}

/// What the page shows beside the call itself.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The choice that a mail's link prepared.
    pub prepared: Option<Verdict>,
    /// Whether secrets are in clear.
    pub reveal: Reveal,
    /// What was wrong with the last try to decide.
    pub error: Option<String>,
    /// The reason typed then.
    pub reason: String,
    /// What was read about a call of unknown outcome just now.
    pub now: Vec<ContextResult>,
    /// What was wrong with the last try to let further calls pass.
    pub grant: Option<Tried>,
}

impl Default for Shown {
    fn default() -> Self {
        let (reveal, reason) = (Reveal::Masked, String::new());
        Self { prepared: None, reveal, error: None, reason, now: Vec::new(), grant: None }
    }
}

/// `GET /calls/{id}`
pub async fn page(
    State(review): State<Review>,
    Visitor(session): Visitor,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
) -> Answer {
    let call = review.visible(&session, &id).await?;
    let prepared = match asked.prepare.as_str() {
        "approve" => Some(Verdict::Approve),
        "reject" => Some(Verdict::Reject),
        _ => None,
    };
    review.call_page(&session, &call, Shown { prepared, ..Shown::default() }).await
}

/// `GET` of a form's address, as when its answer is loaded again or comes after signing in: the call's page.
///
/// # Errors
/// That is no call's id.
pub async fn back(Path(id): Path<String>) -> Result<Redirect, Failure> {
    let id: CallId = id.parse().map_err(|_| Problem::NotFound)?;
    Ok(Redirect::to(&format!("/calls/{id}")))
}

/// Why nobody decides a call whose row is not as Placet wrote it.
pub(super) const CHANGED: &str = "What is stored of this call was changed behind Placet's back.";

impl Review {
    /// The call if this person may read it; one that is not for them is not there.
    ///
    /// # Errors
    /// Not there, or the database does not answer.
    pub(super) async fn visible(&self, session: &Session, id: &str) -> Result<HeldCall, Failure> {
        self.visible_to(&session.reviewer, id).await
    }

    pub(super) async fn visible_to(&self, reviewer: &Reviewer, id: &str) -> Result<HeldCall, Failure> {
        let id: CallId = id.parse().map_err(|_| Problem::NotFound)?;
        let call = self.0.store.call(id).await?.filter(|call| may_see(reviewer, call));
        call.ok_or_else(|| Problem::NotFound.into())
    }

    /// Renders a call's page.
    ///
    /// # Errors
    /// The database does not answer, or the template failed.
    pub(super) async fn call_page(&self, session: &Session, held: &HeldCall, shown: Shown) -> Answer {
        let pending = held.state.is_pending();
        let title = format!("{} by {}", held.submission.tool, held.submission.agent.name);
        let nav = if pending { Nav::Queue } else { Nav::History };
        let id = held.submission.id.to_string();
        let queue = if pending { Some(self.queue(session, Some(id), 0).await?) } else { None };
        let call = self.view(session, held, shown).await?;
        html(&CallPage { chrome: self.chrome(session, title, nav).await?, queue, call })
    }

    async fn view(&self, session: &Session, held: &HeldCall, shown: Shown) -> Result<Call, Failure> {
        let submission = &held.submission;
        let everybody = self.0.identity.reviewers().await?;
        let entries = self.0.store.entries_of(submission.id).await?;
        let kept = self.0.approvals.kept(held, &entries);
        let text = held.arguments();
        let read = arguments::read(text, shown.reveal);
        let name = |id: &call::ReviewerId| {
            let person = everybody.iter().find(|reviewer| reviewer.id == *id);
            Text::new(person.map_or("somebody without an account", |person| &person.name))
        };
        let revealed = shown.reveal == Reveal::Revealed;
        let hidden = if revealed { 0 } else { Secrets::of(held, kept).all() };
        let unknown = |why: &str| self.unknown(session, held, why, &entries, &name, &shown);
        let granted = entries.iter().any(|entry| matches!(entry.kind.as_str(), "standing.granted" | "standing.used"));
        let lacking = lacks_reviewers(held, &everybody, self.solo());
        let standing = self.standing(held, &name, lacking, &unknown);
        Ok(Call {
            id: submission.id.to_string(),
            standing,
            severity: severity(&submission.requirement),
            line: Text::new(&line(held)),
            agent: Text::new(submission.agent.name.as_str()),
            owner: Text::new(submission.agent.owner.as_str()),
            upstream: Text::new(submission.upstream.as_str()),
            tool: Text::new(submission.tool.as_str()),
            created: self.time(submission.created_at),
            as_of: held.as_of.filter(|_| held.state.is_pending()).map(|at| self.time(at)),
            tool_news: self.0.overview.tool_news(held),
            tool_page: tool_path(submission.upstream.as_str(), submission.tool.as_str()),
            rule: Some(Text::new(&format!("{} (policy {})", submission.rule, submission.policy.short()))),
            claims: claims(held, read.claims_confirmation),
            arguments: read.tree,
            tricks: read.tricks.iter().map(trick).collect(),
            findings: Vec::new(),
            reads: self.reads(held, kept, shown.reveal),
            reads_untrue: !kept.context,
            masked: (hidden > 0).then_some(Masked { count: hidden, may_reveal: true }),
            revealed,
            exact: text.map(|text| exact(text, shown.reveal)),
            erased: held.redacted_at.map(|at| Erased { at: self.time(at), logged: kept.erasure }),
            digest: held.digest.to_string(),
            receipted: self.0.store.is_signed(submission.id).await?,
            timeline: self.timeline(&entries, &names(&everybody)),
            outcome: self.outcome(held, kept, shown.reveal),
            grant: if granted { None } else { self.grant_form(session, held, shown.grant.clone()) },
            decision: held.state.is_pending().then(|| self.decision(session, held, read.blocked, shown)),
            changed: !held.genuine,
        })
    }

    fn decision(&self, session: &Session, held: &HeldCall, blocked: Option<String>, shown: Shown) -> Decision {
        let (requirement, me) = (&held.submission.requirement, &session.reviewer);
        let voted = held.votes.iter().find(|stored| stored.vote.by == me.id).map(|stored| &stored.vote);
        let barred = match (decides(me, held, self.solo()), voted) {
            (Ok(()), None) => None,
            (Ok(()), Some(vote)) => Some(Barred::Voted {
                verdict: match vote.verdict {
                    call::Verdict::Approve => Verdict::Approve,
                    call::Verdict::Reject => Verdict::Reject,
                },
                at: self.time(vote.at),
            }),
            (Err(Ineligible::Owner), _) => Some(Barred::Owner),
            (Err(Ineligible::NotAReviewer | Ineligible::Disabled | Ineligible::Changed), _) => Some(Barred::Auditor),
            (Err(Ineligible::OtherGroup), _) => {
                let groups = requirement.reviewers.iter().map(|group| Text::new(group.as_str())).collect();
                Some(Barred::NotReviewer { groups })
            }
        };
        Decision {
            critical: requirement.is_critical(),
            require_reason: requirement.require_reason,
            prepared: shown.prepared,
            barred,
            blocked: if held.genuine { blocked } else { Some(CHANGED.to_owned()) },
            error: shown.error,
            reason: shown.reason,
        }
    }

    fn standing(
        &self,
        held: &HeldCall,
        name: &dyn Fn(&call::ReviewerId) -> Text,
        without_reviewer: bool,
        unknown: &dyn Fn(&str) -> Unknown,
    ) -> Standing {
        let by = || approvers(held, name);
        match &held.state {
            CallState::Pending { expires_at, .. } => Standing::Pending {
                expires: self.time(*expires_at),
                then: on_timeout(held),
                have: approvals(held),
                need: u32::from(held.submission.requirement.quorum.approvals()),
                without_reviewer,
            },
            CallState::Approved { by: approver, at, usable_until } => Standing::Approved {
                by: match approver {
                    Approver::Reviewers(_) => by(),
                    Approver::Policy => vec![Text::new("the policy")],
                },
                at: self.time(*at),
                parked: held.caller_gone,
                until: Some(self.time(*usable_until)),
            },
            CallState::Rejected { by, at, reason } => Standing::Rejected {
                by: name(by),
                at: self.time(*at),
                reason: (!reason.is_empty()).then(|| Text::new(reason)),
            },
            CallState::Expired { at } => Standing::Expired { at: self.time(*at) },
            CallState::Cancelled { at } => Standing::Cancelled { at: self.time(*at) },
            CallState::Releasing { at, .. } => Standing::Releasing { since: self.time(*at) },
            CallState::Executed { at } => Standing::Executed { at: self.time(*at), by: by() },
            CallState::ToolError { at } => Standing::ToolError { at: self.time(*at), by: by() },
            CallState::OutcomeUnknown { why, .. } => Standing::OutcomeUnknown(Box::new(unknown(why))),
            CallState::Lapsed { at } => Standing::Lapsed { at: self.time(*at) },
            CallState::Revoked { at, why } => {
                Standing::Revoked { at: self.time(*at), why: Text::new(&secrets::mask_text(why)) }
            }
        }
    }

    /// 409: somebody or something was faster.
    pub(super) fn decided(held: &HeldCall, reason: &str) -> Problem {
        Problem::Decided { call: held.submission.id.to_string(), state: state(&held.state), reason: Text::new(reason) }
    }
}

/// Who approved, in order; the policy where nobody did.
pub fn approvers(held: &HeldCall, name: &dyn Fn(&call::ReviewerId) -> Text) -> Vec<Text> {
    let approved = held.votes.iter().filter(|stored| stored.vote.verdict == call::Verdict::Approve);
    let people: Vec<_> = approved.map(|stored| name(&stored.vote.by)).collect();
    if people.is_empty() { vec![Text::new("the policy")] } else { people }
}

fn exact(text: &str, reveal: Reveal) -> Exact {
    let shown = masked(text, reveal);
    let whole = shown == text;
    Exact {
        text: Text::new(&shown),
        masked: !whole,
        bytes: text.len() as u64,
        sha256: whole.then(|| Digest::of(text.as_bytes()).to_string()),
    }
}

/// A reason as the log has it, "the upstream went away", as a sentence.
pub fn sentence(why: &str) -> String {
    let mut rest = why.chars();
    let first = rest.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let end = if why.ends_with(['.', '!', '?']) || why.is_empty() { "" } else { "." };
    format!("{first}{}{end}", rest.as_str())
}

fn on_timeout(held: &HeldCall) -> OnTimeout {
    let escalated = matches!(held.state, CallState::Pending { escalated: true, .. });
    match held.submission.requirement.on_timeout {
        call::OnTimeout::Escalate(_) if !escalated => OnTimeout::Escalate,
        call::OnTimeout::Reject | call::OnTimeout::Escalate(_) => OnTimeout::Reject,
        // Nobody knows whether it ran since the copy was made: only a person approves it.
        call::OnTimeout::Approve if held.as_of.is_some() => OnTimeout::Reject,
        call::OnTimeout::Approve => OnTimeout::Approve,
    }
}

fn claims(held: &HeldCall, confirmed: bool) -> Vec<Claim> {
    let client = held.submission.client.as_ref();
    let client =
        client.map(|client| Claim { label: "Client".into(), words: Some(Text::new(&secrets::mask_text(client))) });
    let reason = held.submission.agent_reason.as_ref().filter(|reason| !reason.trim().is_empty());
    let reason =
        reason.map(|reason| Claim { label: "Reason".into(), words: Some(Text::new(&secrets::mask_text(reason))) });
    let confirmed = confirmed.then(|| Claim { label: "confirmed: true was set by the agent".into(), words: None });
    client.into_iter().chain(reason).chain(confirmed).collect()
}

/// Something that hides or misleads, as pages show it.
pub fn trick(trick: &trickery::Trick) -> Trick {
    let what = match trick.kind {
        TrickKind::Bidi => "Text direction is changed",
        TrickKind::ZeroWidth => "Invisible characters",
        TrickKind::Control => "Control characters",
        TrickKind::Confusable => "Letters that look like others",
        TrickKind::MixedScript => "Letters of several alphabets in one word",
        TrickKind::DuplicateKey => "A key is given twice",
        TrickKind::UnknownKey => "A key that the format does not have",
        TrickKind::WrongCase => "A key in the wrong case",
        TrickKind::Encoded => "Encoded more often than needed",
        TrickKind::LongLine => "A line too long to be read",
        TrickKind::Whitespace => "Blanks that push text out of sight, or are none",
        TrickKind::Opaque => "What is meant is not in the call",
        TrickKind::Unparsable => "A document that cannot be read",
    };
    Trick { what: what.to_owned(), place: Text::new(&trick.where_), shown: Text::new(&trick.shown) }
}
