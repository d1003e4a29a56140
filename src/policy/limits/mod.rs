//! Limits: what a call adds to which counter, and how much that may hold.
//!
//! A counter belongs to the entry that names it, or is shared under an owner's name. All of a call's counters are
//! reserved together or not at all ([`Counters::reserve`]); several limits on one counter add once, but each argument
//! that they add up is added. What they count in is a [`window`].

mod amount;
mod counters;
mod kept;
mod window;

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use crate::call::json::Node;
use crate::call::{AgentId, Millis, UpstreamName};

use super::path::{Path, Place};

pub(super) use amount::{Amount, NoAmount};
pub use counters::{Counters, Reservation};
pub use kept::{BadKept, Kept};
pub(super) use window::Window;

/// What is said of a number that cannot be summed.
const TOO_LONG: &str = "is too large or too fine to be added up exactly";

/// Who shares a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// One agent on one upstream.
    Grant,
    /// One agent.
    Agent,
    /// One upstream, all agents.
    Upstream,
    /// One tool of one upstream, all agents.
    Tool,
    /// Everybody.
    Global,
}

impl Scope {
    /// Every scope under its name in a policy file.
    pub(super) const NAMES: [(&'static str, Self); 5] = [
        ("grant", Self::Grant),
        ("agent", Self::Agent),
        ("upstream", Self::Upstream),
        ("tool", Self::Tool),
        ("global", Self::Global),
    ];

    /// Who shares the counter, in words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Grant => "agent and upstream",
            Self::Agent => "agent",
            Self::Upstream => "upstream",
            Self::Tool => "tool",
            Self::Global => "everybody",
        }
    }

    /// Its name in the policy.
    pub(super) fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, scope)| *scope == self).map_or("", |(name, _)| name)
    }
}

impl FromStr for Scope {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::NAMES.iter().find(|(known, _)| *known == name);
        found.map(|(_, scope)| *scope).ok_or("this is no scope")
    }
}

/// Whose counter it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Owner {
    /// The entry that names it, by its JSON Pointer. Editing another entry does not reset it.
    Entry(String),
    /// Whoever names this owner: a tool, or `_global`.
    Shared(String),
}

/// Which counter: all of this tells one from another.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct CounterName {
    pub owner: Owner,
    /// `None` for `rate_limit`, so that no counter of that name can be mixed up with it.
    pub counter: Option<String>,
    pub window: Window,
    pub scope: Scope,
}

/// What a call adds to a counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Add {
    /// So much, whatever the call; 0 only looks.
    Count(u64),
    /// The number that stands there in its arguments.
    Sum {
        /// JSON Pointer of what says so: the rule that denies a call without such a number.
        rule: String,
        /// A path without `[*]`.
        path: Path,
    },
}

impl Add {
    fn of(&self, arguments: Option<&Node<'_>>) -> Result<Amount, Uncountable> {
        let (rule, path) = match self {
            Self::Count(number) => return Ok(Amount::Whole(*number)),
            Self::Sum { rule, path } => (rule, path),
        };
        let why = match path.place(arguments) {
            Place::Missing => "is missing",
            Place::Doubtful => "can be read in more than one way",
            Place::Value(node) => match node.as_number().map(Amount::parse) {
                Some(Ok(amount)) => return Ok(amount),
                Some(Err(NoAmount::Negative)) => "is less than 0",
                Some(Err(NoAmount::TooLong)) => TOO_LONG,
                None => "is not a number",
            },
        };
        Err(Uncountable { rule: rule.clone(), argument: path.in_full(), why })
    }
}

/// How much a counter may hold, a call's own part included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    /// This much: `max`, and `lte`.
    AtMost(Amount),
    /// Less than this: `lt`.
    Below(Amount),
}

impl Bound {
    fn allows(&self, sum: &Amount) -> bool {
        match self {
            Self::AtMost(most) => sum <= most,
            Self::Below(end) => sum < end,
        }
    }
}

/// One limit that a call has to respect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitUse {
    /// JSON Pointer of the limit.
    pub rule: String,
    pub(super) name: Arc<CounterName>,
    pub(super) add: Add,
    /// `None`: it only counts, for others to look at.
    pub(super) bound: Option<Bound>,
    /// What the agent is told where this is reached.
    pub(super) on_deny: Option<String>,
}

impl LimitUse {
    /// A limit without words for the agent.
    pub(super) fn new(rule: impl Into<String>, name: CounterName, add: Add, bound: Option<Bound>) -> Self {
        Self { rule: rule.into(), name: Arc::new(name), add, bound, on_deny: None }
    }

    /// The window's length.
    #[must_use]
    pub fn window(&self) -> Duration {
        self.name.window.length
    }

    /// Whether the window is the time up to now, and not one of the calendar's.
    #[must_use]
    pub fn is_sliding(&self) -> bool {
        self.name.window.sliding
    }

    /// Who shares the counter.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.name.scope
    }

    /// The counter's name, if it has one.
    #[must_use]
    pub fn counter(&self) -> Option<&str> {
        self.name.counter.as_deref()
    }

    /// How much the counter may hold, in words; `None`: it only counts.
    #[must_use]
    pub fn most(&self) -> Option<String> {
        Some(match self.bound.as_ref()? {
            Bound::AtMost(most) => format!("up to {most}"),
            Bound::Below(end) => format!("less than {end}"),
        })
    }

    /// What each call adds, where it is always the same; 0 only looks.
    #[must_use]
    pub fn adds(&self) -> Option<u64> {
        match &self.add {
            Add::Count(number) => Some(*number),
            Add::Sum { .. } => None,
        }
    }

    /// The argument that is added up, where one is.
    #[must_use]
    pub fn sums(&self) -> Option<String> {
        match &self.add {
            Add::Count(_) => None,
            Add::Sum { path, .. } => Some(path.in_full()),
        }
    }
}

/// Whose call is counted.
#[derive(Clone, Copy, Debug)]
pub struct LimitScope<'a> {
    /// Who calls.
    pub agent: AgentId,
    /// Where it goes.
    pub upstream: &'a UpstreamName,
    /// The tool, or the method where none is called.
    pub tool: &'a str,
    /// The call's arguments, which limits may add up.
    pub arguments: Option<&'a Node<'a>>,
}

/// Why nothing was taken from the counters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReserved {
    /// A limit is reached.
    #[error(transparent)]
    Exceeded(Exceeded),
    /// The call cannot be counted, so it is denied.
    #[error(transparent)]
    Uncountable(Uncountable),
}

/// A limit that is reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the limit {rule} is reached")]
pub struct Exceeded {
    /// JSON Pointer of the limit that holds longest.
    pub rule: String,
    /// The earliest moment at which the call fits, as far as is known; `None`: it alone is more than is allowed.
    pub retry_at: Option<Millis>,
    /// For the agent, in the policy's words.
    pub on_deny: Option<String>,
}

/// An argument that a limit adds up is no number of 0 or more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{argument} {why}")]
pub struct Uncountable {
    /// JSON Pointer of what says that it is added up.
    pub rule: String,
    /// The argument.
    pub argument: String,
    /// What is wrong with it.
    pub why: &'static str,
}
