//! `/history`: every call, whatever became of it.

use axum::extract::{Query, State};

use super::Review;
use super::chrome::html;
use super::describe::{line, severity, state};
use super::failure::{Answer, Failure};
use super::next::query_value;
use super::rights::sight;
use super::session::Visitor;
use super::timeline::{Names, names};
use super::view::history::{FindingWord, HistoryFilter, HistoryPage, HistoryRow};
use super::view::{Nav, Paging, State as Standing, Text};
use crate::call::{Approver, CallId, CallState, HeldCall};
use crate::store::CallFilter;

/// Calls on one page.
const PAGE: u32 = 50;

/// What the history is asked with; empty strings do not filter.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Asked {
    state: String,
    agent: String,
    tool: String,
    text: String,
    after: String,
}

/// `GET /history`
pub async fn page(State(review): State<Review>, Visitor(session): Visitor, Query(asked): Query<Asked>) -> Answer {
    let set = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let shown = Standing::from_slug(&asked.state);
    let filter = CallFilter {
        state: shown.map(|state| state.slug().to_owned()),
        agent: set(&asked.agent),
        tool: set(&asked.tool),
        text: set(asked.text.trim()),
        sight: sight(&session.reviewer),
        after: asked.after.parse::<CallId>().ok(),
        limit: PAGE,
        ..CallFilter::default()
    };
    let found = review.0.store.calls(filter).await?;
    let names = names(&review.0.identity.reviewers().await?);
    let first =
        HistoryFilter { state: shown, agent: asked.agent.clone(), tool: asked.tool.clone(), text: asked.text.clone() };
    let paging = Paging {
        // Keyset pages know their older neighbour only; newer means from the start.
        newer: (!asked.after.is_empty()).then(|| address(&asked, None)),
        older: found.next.map(|next| address(&asked, Some(next))),
    };
    html(&HistoryPage {
        chrome: review.chrome(&session, "History".into(), Nav::History).await?,
        filter: first,
        rows: found.calls.iter().map(|call| review.row(call, &names)).collect(),
        paging,
    })
}

fn address(asked: &Asked, after: Option<CallId>) -> String {
    let after = after.map(|id| id.to_string()).unwrap_or_default();
    let pairs = [
        ("state", &asked.state),
        ("agent", &asked.agent),
        ("tool", &asked.tool),
        ("text", &asked.text),
        ("after", &after),
    ];
    let set: Vec<_> = pairs.iter().filter(|(_, value)| !value.is_empty()).collect();
    let query: Vec<_> = set.iter().map(|(key, value)| format!("{key}={}", query_value(value))).collect();
    if query.is_empty() { "/history".to_owned() } else { format!("/history?{}", query.join("&")) }
}

impl Review {
    fn finding(&self, call: &HeldCall) -> Option<FindingWord> {
        let unknown = matches!(call.state, CallState::OutcomeUnknown { .. });
        let genuine = call.finding.as_ref().filter(|_| self.0.approvals.is_genuine_finding(call));
        unknown.then_some(match genuine {
            None => FindingWord::Nobody,
            Some(stored) if stored.finding.ran => FindingWord::Ran,
            Some(_) => FindingWord::DidNotRun,
        })
    }

    fn row(&self, call: &HeldCall, names: &Names) -> HistoryRow {
        let submission = &call.submission;
        let by_policy = matches!(&call.state, CallState::Approved { by: Approver::Policy, .. });
        let last = call.votes.last().map(|stored| &stored.vote);
        let person = last.and_then(|vote| names.get(&vote.by.to_string()));
        HistoryRow {
            id: submission.id.to_string(),
            state: state(&call.state),
            severity: severity(&submission.requirement),
            line: Text::new(&line(call)),
            agent: Text::new(submission.agent.name.as_str()),
            upstream: Text::new(submission.upstream.as_str()),
            tool: Text::new(submission.tool.as_str()),
            created: self.time(submission.created_at),
            decided_by: if by_policy { Some(Text::new("the policy")) } else { person.map(|name| Text::new(name)) },
            decided: last.map(|vote| self.time(vote.at)),
            finding: self.finding(call),
        }
    }

    /// Whether anything is set but unusable in a query: for problem documents.
    pub(super) fn known_state(text: &str) -> Result<Option<String>, Failure> {
        match (text, Standing::from_slug(text)) {
            ("", _) => Ok(None),
            (_, Some(state)) => Ok(Some(state.slug().to_owned())),
            (_, None) => {
                let all: Vec<_> = Standing::ALL.iter().map(|state| state.slug()).collect();
                let what = format!("There is no state {text:?}; the states are {}.", all.join(", "));
                Err(Failure::request(axum::http::StatusCode::UNPROCESSABLE_ENTITY, &what))
            }
        }
    }
}
