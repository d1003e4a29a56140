//! `/`: what waits, and the same list beside an open call.

use axum::extract::{Query, State};

use super::Review;
use super::chrome::html;
use super::describe::{line, severity};
use super::failure::{Answer, Failure};
use super::rights::{decides, lacks_reviewers, sight};
use super::session::Visitor;
use super::view::queue::{LastDecision, Pointer, Queue, QueueItem, QueuePage, QueuePartial, Unfound};
use super::view::{Nav, Paging, Severity, Text};
use crate::approvals::Ineligible;
use crate::call::{CallState, HeldCall, Verdict};
use crate::identity::{Reviewer, Session};
use crate::store::CallFilter;

/// Calls on one page.
const PAGE: u32 = 50;
/// Calls of unknown outcome named above the queue; the rest is counted.
const UNFOUND: u32 = 3;
/// Calls that are looked through for the last decision.
const RECENT: u32 = 20;

/// What the queue is asked with.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Asked {
    page: u32,
    selected: Option<String>,
}

/// `GET /`
pub async fn page(State(review): State<Review>, Visitor(session): Visitor, Query(asked): Query<Asked>) -> Answer {
    let queue = review.queue(&session, None, asked.page).await?;
    html(&QueuePage { chrome: review.chrome(&session, "Queue".into(), Nav::Queue).await?, queue })
}

/// `GET /partials/queue`
pub async fn partial(State(review): State<Review>, Visitor(session): Visitor, Query(asked): Query<Asked>) -> Answer {
    html(&QueuePartial { queue: review.queue(&session, asked.selected, asked.page).await? })
}

impl Review {
    /// One page of what waits for this person, from 0.
    pub(super) async fn queue(&self, session: &Session, selected: Option<String>, page: u32) -> Result<Queue, Failure> {
        let reviewer = &session.reviewer;
        let waiting = self.0.store.waiting(&sight(reviewer), PAGE, page.saturating_mul(PAGE)).await?;
        let everybody = self.0.identity.reviewers().await?;
        let items: Vec<_> = waiting.calls.iter().map(|call| self.item(call, reviewer, &everybody)).collect();
        let riskiest = items.first().filter(|item| page == 0 && waiting.total > 1 && item.severity >= Severity::Medium);
        let riskiest = riskiest.map(|item| Pointer {
            id: item.id.clone(),
            severity: item.severity,
            tool: item.tool.clone(),
            created: item.created.clone(),
        });
        let oldest = waiting.oldest.filter(|_| waiting.total > 1).map(|call| Pointer {
            id: call.submission.id.to_string(),
            severity: severity(&call.submission.requirement),
            tool: Text::new(call.submission.tool.as_str()),
            created: self.time(call.submission.created_at),
        });
        let last_decision = if waiting.total == 0 { self.last_decision(reviewer).await? } else { None };
        let unfound = self.0.store.unfound(&sight(reviewer), UNFOUND).await?;
        let pointer = |call: &HeldCall| Pointer {
            id: call.submission.id.to_string(),
            severity: severity(&call.submission.requirement),
            tool: Text::new(call.submission.tool.as_str()),
            created: self.time(call.changed_at),
        };
        let unfound = (unfound.total > 0)
            .then(|| Unfound { total: unfound.total, calls: unfound.calls.iter().map(pointer).collect() });
        let turn = |page: u32| if page == 0 { "/".to_owned() } else { format!("/?page={page}") };
        let more = waiting.total > u64::from(page.saturating_add(1)) * u64::from(PAGE);
        Ok(Queue {
            without_reviewer: items.iter().filter(|item| item.without_reviewer).count() as u64,
            items,
            total: waiting.total,
            selected,
            oldest,
            riskiest,
            unfound,
            last_decision,
            paging: Paging { newer: page.checked_sub(1).map(turn), older: more.then(|| turn(page + 1)) },
        })
    }

    fn item(&self, call: &HeldCall, reviewer: &Reviewer, everybody: &[Reviewer]) -> QueueItem {
        let submission = &call.submission;
        let voted = call.votes.iter().any(|stored| stored.vote.by == reviewer.id);
        let aside = match decides(reviewer, call, self.solo()) {
            Ok(()) if voted => Some("you voted"),
            Ok(()) => None,
            Err(Ineligible::Owner) => Some("your agent"),
            Err(Ineligible::OtherGroup) => Some("other group"),
            Err(Ineligible::NotAReviewer | Ineligible::Disabled | Ineligible::Changed) => Some("read only"),
        };
        QueueItem {
            id: submission.id.to_string(),
            severity: severity(&submission.requirement),
            line: Text::new(&line(call)),
            agent: Text::new(submission.agent.name.as_str()),
            upstream: Text::new(submission.upstream.as_str()),
            tool: Text::new(submission.tool.as_str()),
            created: self.time(submission.created_at),
            expires: self.time(call.expires_at),
            have: approvals(call),
            need: u32::from(submission.requirement.quorum.approvals()),
            aside,
            without_reviewer: lacks_reviewers(call, everybody, self.solo()),
            from_copy: call.as_of.is_some(),
        }
    }

    async fn last_decision(&self, reviewer: &Reviewer) -> Result<Option<LastDecision>, Failure> {
        let filter = CallFilter { sight: sight(reviewer), limit: RECENT, ..CallFilter::default() };
        let recent = self.0.store.calls(filter).await?.calls;
        let decided = recent.into_iter().filter_map(|call| {
            let word = match &call.state {
                CallState::Expired { .. } => "expired",
                CallState::Rejected { .. } => "rejected",
                CallState::Pending { .. } | CallState::Cancelled { .. } => return None,
                _ => "approved",
            };
            let at = call.votes.last().map_or(call.changed_at, |stored| stored.vote.at);
            Some((at, word, call))
        });
        Ok(decided.max_by_key(|(at, ..)| *at).map(|(at, word, call)| LastDecision {
            id: call.submission.id.to_string(),
            word,
            tool: Text::new(call.submission.tool.as_str()),
            at: self.time(at),
        }))
    }
}

/// Approvals given so far.
#[must_use]
pub fn approvals(call: &HeldCall) -> u32 {
    let count = call.votes.iter().filter(|stored| stored.vote.verdict == Verdict::Approve).count();
    u32::try_from(count).unwrap_or(u32::MAX)
}
