//! `/history`: every call, whatever became of it.

use askama::Template;

use super::{Chrome, Paging, Severity, State, Text, Time};

/// The history with its filters.
#[derive(Debug, Clone, Template)]
#[template(path = "history.html")]
pub struct HistoryPage {
    /// Top bar and banners; `nav` is History.
    pub chrome: Chrome,
    /// The filters as asked for; the form sends them as GET parameters of the same names.
    pub filter: HistoryFilter,
    /// This page's calls, newest first.
    pub rows: Vec<HistoryRow>,
    /// Neighbouring pages; their addresses keep the filters.
    pub paging: Paging,
}

/// GET parameters of the history.
#[derive(Debug, Clone, Default)]
pub struct HistoryFilter {
    /// `state`, as its slug; empty for all.
    pub state: Option<State>,
    /// `agent`: exact name; empty for all.
    pub agent: String,
    /// `tool`: exact name; empty for all.
    pub tool: String,
    /// `text`: words looked for in line, tool, agent and reason.
    pub text: String,
}

impl HistoryFilter {
    /// Whether this state alone is shown.
    #[must_use]
    pub fn is_state(&self, state: &State) -> bool {
        self.state == Some(*state)
    }

    /// Whether everything is shown.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.state.is_none() && self.agent.is_empty() && self.tool.is_empty() && self.text.is_empty()
    }
}

/// What is known of a call that may have run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FindingWord {
    /// Nothing yet: somebody must look.
    Nobody,
    /// It ran.
    Ran,
    /// It did not run.
    DidNotRun,
}

impl FindingWord {
    /// As a row says it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Nobody => "Nobody has looked yet",
            Self::Ran => "Found: it ran",
            Self::DidNotRun => "Found: it did not run",
        }
    }

    /// Whether somebody must look.
    #[must_use]
    pub fn is_open(self) -> bool {
        self == Self::Nobody
    }
}

/// One call in the history.
#[derive(Debug, Clone)]
pub struct HistoryRow {
    /// The call's id; the row links to its page.
    pub id: String,
    /// Where it stands.
    pub state: State,
    /// How bad it was.
    pub severity: Severity,
    /// What it would do, in one line.
    pub line: Text,
    /// The agent's name.
    pub agent: Text,
    /// The upstream's name.
    pub upstream: Text,
    /// The tool's name.
    pub tool: Text,
    /// When it was held.
    pub created: Time,
    /// Who decided, where somebody did; "the policy" where no person did.
    pub decided_by: Option<Text>,
    /// When it was decided.
    pub decided: Option<Time>,
    /// What was found out about a call of unknown outcome; `Nobody` until then.
    pub finding: Option<FindingWord>,
}
