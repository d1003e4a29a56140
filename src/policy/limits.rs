//! Limits and their counters. Windows are fixed: every window of one length begins at a multiple of it since the Unix
//! epoch, which for second, minute, hour and day is the UTC calendar.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use crate::call::{AgentId, Millis, UpstreamName};

/// How many counters one limit keeps in one window. Only `scope: "tool"` can come near: the agent chooses the names.
/// Beyond it the limit counts as reached, for what it has not seen in this window.
const MOST_COUNTERS: usize = 100_000;

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
    /// Its name in the policy.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::Agent => "agent",
            Self::Upstream => "upstream",
            Self::Tool => "tool",
            Self::Global => "global",
        }
    }

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
}

/// What a counter belongs to: the entry that names it, its name, and its window. Editing another entry of the file
/// does not reset it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct CounterName {
    pub entry: String,
    /// `None` for `rate_limit`, so that no counter of that name can be mixed up with it.
    pub counter: Option<String>,
    pub window: Duration,
    pub scope: Scope,
}

/// One limit that a call has to respect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitUse {
    /// JSON Pointer of the limit.
    pub rule: String,
    /// Calls allowed within one window.
    pub max: u64,
    pub(super) name: Arc<CounterName>,
}

impl LimitUse {
    /// The window's length.
    #[must_use]
    pub fn window(&self) -> Duration {
        self.name.window
    }

    /// Who shares the counter.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.name.scope
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
}

/// A limit that is reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the limit {rule} is reached until {retry_at}")]
pub struct Exceeded {
    /// JSON Pointer of the limit that holds longest.
    pub rule: String,
    /// When its window ends.
    pub retry_at: Millis,
}

/// What one call took from its counters.
#[derive(Debug)]
#[must_use = "an allowed call that Placet failed to forward gives it back"]
pub struct Reservation {
    taken: Vec<(Arc<CounterName>, Sharer, i64)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Sharer {
    Grant(AgentId, UpstreamName),
    Agent(AgentId),
    Upstream(UpstreamName),
    Tool(UpstreamName, String),
    Global,
}

impl Sharer {
    fn of(scope: Scope, who: &LimitScope<'_>) -> Self {
        match scope {
            Scope::Grant => Self::Grant(who.agent, who.upstream.clone()),
            Scope::Agent => Self::Agent(who.agent),
            Scope::Upstream => Self::Upstream(who.upstream.clone()),
            Scope::Tool => Self::Tool(who.upstream.clone(), who.tool.to_owned()),
            Scope::Global => Self::Global,
        }
    }
}

/// The counters of one limit in its current window.
#[derive(Debug, Default)]
struct Window {
    /// Number of the window since the epoch.
    number: i64,
    counts: HashMap<Sharer, u64>,
}

/// Every counter in force. Survives an edit of the policy; holds nothing of windows that have ended, but for one
/// window of each limit.
#[derive(Debug, Default)]
pub struct Counters {
    windows: HashMap<Arc<CounterName>, Window>,
}

impl Counters {
    /// Counters that have seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one from every counter, or from none.
    ///
    /// # Errors
    /// Some limit is reached; of several the one that holds longest is named.
    pub fn reserve(&mut self, uses: &[LimitUse], who: &LimitScope<'_>, now: Millis) -> Result<Reservation, Exceeded> {
        let mut taken = Vec::with_capacity(uses.len());
        let mut exceeded: Option<Exceeded> = None;
        for limit in uses {
            let sharer = Sharer::of(limit.name.scope, who);
            let window = self.window(&limit.name, now);
            let room = window.counts.contains_key(&sharer) || window.counts.len() < MOST_COUNTERS;
            let count = window.counts.get(&sharer).copied().unwrap_or(0);
            if count >= limit.max || !room {
                let retry_at = end(limit.name.window, window.number);
                if exceeded.as_ref().is_none_or(|other| other.retry_at < retry_at) {
                    exceeded = Some(Exceeded { rule: limit.rule.clone(), retry_at });
                }
            }
            taken.push((Arc::clone(&limit.name), sharer, window.number));
        }
        if let Some(exceeded) = exceeded {
            return Err(exceeded);
        }
        let mut once = HashSet::new();
        taken.retain(|(name, sharer, _)| once.insert((Arc::clone(name), sharer.clone())));
        for (name, sharer, _) in &taken {
            if let Some(window) = self.windows.get_mut(name) {
                *window.counts.entry(sharer.clone()).or_insert(0) += 1;
            }
        }
        Ok(Reservation { taken })
    }

    /// Undoes a reservation, as far as its windows still last.
    pub fn give_back(&mut self, reservation: Reservation) {
        for (name, sharer, number) in reservation.taken {
            let Some(window) = self.windows.get_mut(&name).filter(|window| window.number == number) else { continue };
            if let Some(count) = window.counts.get_mut(&sharer) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    window.counts.remove(&sharer);
                }
            }
        }
    }

    /// How many counters are kept, for a metric.
    #[must_use]
    pub fn len(&self) -> usize {
        self.windows.values().map(|window| window.counts.len()).sum()
    }

    /// Whether nothing is counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn window(&mut self, name: &Arc<CounterName>, now: Millis) -> &mut Window {
        if !self.windows.contains_key(name) {
            // A limit appears: the moment to forget those that an edit has removed.
            self.windows.retain(|name, window| end(name.window, window.number) > now);
        }
        let current = number(name.window, now);
        let window = self.windows.entry(Arc::clone(name)).or_default();
        // A clock that steps back over a boundary must not give the quota twice; one that was set back further starts
        // anew, or the limit would hold until time catches up.
        if window.number != current && window.number != current.saturating_add(1) {
            *window = Window { number: current, counts: HashMap::new() };
        }
        window
    }
}

fn length(window: Duration) -> i64 {
    i64::try_from(window.as_millis()).unwrap_or(i64::MAX).max(1)
}

fn number(window: Duration, now: Millis) -> i64 {
    now.0.div_euclid(length(window))
}

fn end(window: Duration, number: i64) -> Millis {
    Millis(number.saturating_add(1).saturating_mul(length(window)))
}
