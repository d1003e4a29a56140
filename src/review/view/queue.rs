//! The queue: calls that wait, as a list beside a call or as a page of its own.

use askama::Template;

use super::{Chrome, Paging, Severity, Text, Time};

/// `/`: the queue with a summary beside it.
#[derive(Debug, Clone, Template)]
#[template(path = "queue.html")]
pub struct QueuePage {
    /// Top bar and banners; `nav` is [`super::Nav::Queue`].
    pub chrome: Chrome,
    /// The list.
    pub queue: Queue,
}

/// `/partials/queue?selected=ID`: the list alone, fetched again by the scripts after a live message.
#[derive(Debug, Clone, Template)]
#[template(path = "partials/queue.html")]
pub struct QueuePartial {
    /// The list.
    pub queue: Queue,
}

/// The calls that wait and that this person may read.
#[derive(Debug, Clone)]
pub struct Queue {
    /// This page's calls, riskiest first, then oldest.
    pub items: Vec<QueueItem>,
    /// How many wait on all pages.
    pub total: u64,
    /// The call open beside the list, marked in it.
    pub selected: Option<String>,
    /// The one that waits longest, where more than one does.
    pub oldest: Option<Pointer>,
    /// The one with the highest severity, where more than one waits and it is at least medium.
    pub riskiest: Option<Pointer>,
    /// How many no reviewer may decide: an alarm above the list.
    pub without_reviewer: u64,
    /// Calls of which nobody knows whether they ran: an alarm above the list, however empty that is.
    pub unfound: Option<Unfound>,
    /// The last decision anybody took, told where the queue is empty.
    pub last_decision: Option<LastDecision>,
    /// Neighbouring pages.
    pub paging: Paging,
}

impl Queue {
    /// Whether this is the call that stands open beside the list.
    #[must_use]
    pub fn is_selected(&self, item: &QueueItem) -> bool {
        self.selected.as_ref() == Some(&item.id)
    }
}

/// Calls of unknown outcome that nobody has looked into.
#[derive(Debug, Clone)]
pub struct Unfound {
    /// How many.
    pub total: u64,
    /// The oldest of them.
    pub calls: Vec<Pointer>,
}

/// A way from the summary to one call.
#[derive(Debug, Clone)]
pub struct Pointer {
    /// The call's id.
    pub id: String,
    /// How bad.
    pub severity: Severity,
    /// The tool's name.
    pub tool: Text,
    /// Since when it waits.
    pub created: Time,
}

/// A decision told in an empty queue.
#[derive(Debug, Clone)]
pub struct LastDecision {
    /// The call's id.
    pub id: String,
    /// "approved", "rejected" or "expired".
    pub word: &'static str,
    /// The tool's name.
    pub tool: Text,
    /// When.
    pub at: Time,
}

/// One waiting call in the list.
#[derive(Debug, Clone)]
pub struct QueueItem {
    /// The call's id; the row links to `/calls/{id}`.
    pub id: String,
    /// How bad.
    pub severity: Severity,
    /// What it would do, in one line; the tool and its target where nothing better is known.
    pub line: Text,
    /// The agent's name.
    pub agent: Text,
    /// The upstream's name.
    pub upstream: Text,
    /// The tool's name.
    pub tool: Text,
    /// Since when it waits.
    pub created: Time,
    /// When it expires.
    pub expires: Time,
    /// Approvals given.
    pub have: u32,
    /// Approvals needed.
    pub need: u32,
    /// Why this person has nothing to do here, in two or three words: "your agent", "you voted".
    pub aside: Option<&'static str>,
    /// No reviewer may decide this call.
    pub without_reviewer: bool,
    /// It comes from a copy of the database: it may have been decided, and have run, since.
    pub from_copy: bool,
}
