//! Counters as they are kept over a restart: a row for each counter, whoever shares it, and part of a window. Which
//! counter a row is of, it says in words of its own, so that an edit of the policy resets no other.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::amount::Amount;
use super::counters::{Sharer, Taken};
use super::window::{Slot, Window};
use super::{CounterName, Owner, Scope};
use crate::call::{AgentId, Millis, UpstreamName};

/// One row. A row of a higher `seq` replaces the one of the same `counter`, `sharer` and `part`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Which counter.
    pub counter: String,
    /// Who shares it.
    pub sharer: String,
    /// Which part of the window.
    pub part: i64,
    /// What was counted in it, all in all.
    pub amount: String,
    /// From when on it no longer counts.
    pub ends: Millis,
    /// Grows with every change.
    pub seq: i64,
}

/// A row that this program cannot have written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{column} {problem}")]
pub struct BadKept {
    /// The row.
    pub row: Box<Kept>,
    /// Which column is wrong.
    pub column: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Counter {
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    counter: Option<String>,
    seconds: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    sliding: bool,
    scope: Scope,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sharers {
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<AgentId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<UpstreamName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool: Option<String>,
}

/// Strings and numbers are always written.
fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn counter(name: &CounterName) -> String {
    let (entry, of) = match &name.owner {
        Owner::Entry(pointer) => (Some(pointer.clone()), None),
        Owner::Shared(of) => (None, Some(of.clone())),
    };
    let Window { length, sliding } = name.window;
    text(&Counter { entry, of, counter: name.counter.clone(), seconds: length.as_secs(), sliding, scope: name.scope })
}

fn sharer(sharer: &Sharer) -> String {
    let (agent, upstream, tool) = match sharer {
        Sharer::Grant(agent, upstream) => (Some(*agent), Some(upstream.clone()), None),
        Sharer::Agent(agent) => (Some(*agent), None, None),
        Sharer::Upstream(upstream) => (None, Some(upstream.clone()), None),
        Sharer::Tool(upstream, tool) => (None, Some(upstream.clone()), Some(tool.clone())),
        Sharer::Global => (None, None, None),
    };
    text(&Sharers { agent, upstream, tool })
}

impl Kept {
    pub(super) fn new(taken: &Taken) -> Self {
        Self::of(&taken.name, &taken.sharer, &taken.slot)
    }

    pub(super) fn of(name: &CounterName, who: &Sharer, slot: &Slot) -> Self {
        Self {
            counter: counter(name),
            sharer: sharer(who),
            part: slot.part,
            amount: slot.amount.to_string(),
            ends: slot.ends,
            seq: slot.seq,
        }
    }

    /// What the row means.
    pub(super) fn read(&self) -> Result<(Arc<CounterName>, Sharer, Slot), BadKept> {
        let bad = |column| move |problem| BadKept { row: Box::new(self.clone()), column, problem };
        let name = read_counter(&self.counter).map_err(bad("counter"))?;
        let sharer = read_sharer(name.scope, &self.sharer).map_err(bad("sharer"))?;
        let amount = Amount::parse(&self.amount).map_err(|_| format!("{:?} is no amount", self.amount));
        let amount = amount.map_err(bad("amount"))?;
        if !name.window.fits(self.part, self.ends) {
            return Err(bad("ends_at")(format!("{} is no end of part {}", self.ends.0, self.part)));
        }
        Ok((Arc::new(name), sharer, Slot { part: self.part, ends: self.ends, amount, seq: self.seq }))
    }
}

fn read_counter(text: &str) -> Result<CounterName, String> {
    let read: Counter = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let owner = match (read.entry, read.of) {
        (Some(pointer), None) => Owner::Entry(pointer),
        (None, Some(of)) => Owner::Shared(of),
        _ => return Err("it belongs to one entry or one owner".to_owned()),
    };
    let window = Window { length: Duration::from_secs(read.seconds.max(1)), sliding: read.sliding };
    Ok(CounterName { owner, counter: read.counter, window, scope: read.scope })
}

fn read_sharer(scope: Scope, text: &str) -> Result<Sharer, String> {
    let read: Sharers = serde_json::from_str(text).map_err(|error| error.to_string())?;
    Ok(match (scope, read.agent, read.upstream, read.tool) {
        (Scope::Grant, Some(agent), Some(upstream), None) => Sharer::Grant(agent, upstream),
        (Scope::Agent, Some(agent), None, None) => Sharer::Agent(agent),
        (Scope::Upstream, None, Some(upstream), None) => Sharer::Upstream(upstream),
        (Scope::Tool, None, Some(upstream), Some(tool)) => Sharer::Tool(upstream, tool),
        (Scope::Global, None, None, None) => Sharer::Global,
        _ => return Err(format!("it is not shared by {}", scope.as_str())),
    })
}

impl Serialize for Scope {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = String::deserialize(from)?;
        Self::from_str(&name).map_err(serde::de::Error::custom)
    }
}
