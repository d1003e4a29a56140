//! Held calls as a trace that other programs judge: the JSONL form, schema version 2, that `agentack check` of the
//! PyPI package agentack 0.6 reads.
//!
//! A call is an action, its approval bears the call's id as well. `call.held` proposes the action and asks for the
//! approval; the deciding vote, the deadline or the caller who takes it back decides; then it is executed or blocked.
//! An action is told by upstream, tool, agent and call digest: the digest stands for the exact bytes, so arguments are
//! not in the trace. An execution names its approval only if the log has one before it, so that a call that ran
//! without one is told as that.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::row::{Row, Said, Shown, shown};

/// The version of the form.
const SCHEMA: u32 = 2;

/// Kinds of entry that end a call, and so complete its part of the trace.
pub const ENDS: &[&str] = &[
    "call.rejected",
    "call.expired",
    "call.cancelled",
    "call.executed",
    "call.tool_error",
    "call.not_sent",
    "call.outcome_unknown",
    "call.lapsed",
    "call.revoked",
    "alarm.call_tampered",
];

/// Kinds of entry that a trace is made of, besides [`ENDS`].
pub const STEPS: &[&str] = &["call.held", "call.approved", "call.released"];

/// Makes a trace of entries in their order. Remembers a call from its holding to its end, nothing longer.
#[derive(Debug)]
pub struct Trace {
    session: String,
    open: HashMap<String, Open>,
}

#[derive(Debug, Default)]
struct Open {
    approved: bool,
    /// When it was sent.
    released: Option<String>,
}

impl Trace {
    /// A trace of this log.
    #[must_use]
    pub fn new(session: impl Into<String>) -> Self {
        Self { session: session.into(), open: HashMap::new() }
    }

    /// What this entry adds to the trace: lines, their ends included; often none.
    #[must_use]
    pub fn lines(&mut self, row: &Row) -> String {
        let text = match shown(&row.body) {
            Shown::AsStored => row.body.clone(),
            Shown::Covered(text) | Shown::Unreadable(text) => text,
        };
        let Ok(said) = Said::read(&text) else { return String::new() };
        let Some(call) = said.call.as_deref() else { return String::new() };
        let event = |kind: &str, at: &str| json!({"schema_version": SCHEMA, "type": kind, "timestamp": at, "session_id": self.session, "action_id": call});
        let action = || {
            json!({"tool": "mcp", "operation": "call", "resource": said.upstream,
                   "parameters": {"name": said.tool, "agent": said.agent, "digest": said.text("digest")}})
        };
        let decided = |decision: &str| {
            let mut decided = with(event("approval_decision", &said.at), "approval_id", call.into());
            decided["decision"] = decision.into();
            decided
        };
        let blocked =
            |why: &str| with(with(event("action_blocked", &said.at), "approval_id", call.into()), "reason", why.into());
        let end = said.kind.strip_prefix("call.").unwrap_or("tampered");
        let mut events: Vec<Value> = Vec::new();
        match &*said.kind {
            "call.held" => {
                events.push(with(event("action_proposed", &said.at), "action", action()));
                let asked = with(event("approval_requested", &said.at), "action", action());
                events.push(with(asked, "approval_id", call.into()));
                self.open.insert(call.to_owned(), Open::default());
            }
            "call.approved" => {
                let allowed = decided("allow");
                events.push(match said.text("usable_until") {
                    Some(until) => with(allowed, "expires_at", until.into()),
                    None => allowed,
                });
                self.open.entry(call.to_owned()).or_default().approved = true;
            }
            "call.released" => {
                self.open.entry(call.to_owned()).or_default().released = Some(said.at.to_string());
            }
            "call.executed" | "call.tool_error" | "call.outcome_unknown" => {
                let open = self.open.remove(call).unwrap_or_default();
                let at = open.released.as_deref().unwrap_or(&said.at);
                let ran = with(event("action_executed", at), "action", action());
                events.push(if open.approved { with(ran, "approval_id", call.into()) } else { ran });
            }
            kind if ENDS.contains(&kind) => {
                // An alarm about a call that has ended already ends nothing.
                if let Some(open) = self.open.remove(call) {
                    if !open.approved {
                        events.push(decided("deny"));
                    }
                    events.push(blocked(end));
                }
            }
            _ => {}
        }
        events.iter().map(|event| format!("{event}\n")).collect()
    }

    /// The last line: the trace is complete up to this moment, an ISO 8601 text.
    #[must_use]
    pub fn end(&self, at: &str) -> String {
        let end = json!({"schema_version": SCHEMA, "type": "session_end", "timestamp": at, "session_id": self.session,
                         "reason": "exported"});
        format!("{end}\n")
    }
}

fn with(mut event: Value, key: &str, value: Value) -> Value {
    event[key] = value;
    event
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Entry, Head};
    use crate::call::{CallId, Millis};
    use uuid::Uuid;

    /// The types of the events that these entries about one call give, and the last event.
    fn told(kinds: &[&'static str]) -> (Vec<String>, Value) {
        let (mut head, mut trace) = (Head::EMPTY, Trace::new("s"));
        let mut events: Vec<Value> = Vec::new();
        for (at, kind) in kinds.iter().enumerate() {
            let entry = Entry::new(kind).call(CallId(Uuid::nil())).with("digest", "d").with("reason", "because");
            let sealed = head.seal(&entry, Millis(at as i64)).unwrap();
            let row = Row {
                seq: sealed.seq,
                at: sealed.at,
                kind: (*kind).into(),
                call: None,
                agent: None,
                upstream: None,
                tool: None,
                reviewer: None,
                body: sealed.body,
                leaf: sealed.leaf.to_string(),
            };
            events.extend(trace.lines(&row).lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
        }
        let last = events.last().cloned().unwrap_or_default();
        (events.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect(), last)
    }

    #[test]
    fn every_end_of_a_call_is_an_execution_or_a_block() {
        for end in ENDS {
            let (types, last) = told(&["call.held", "call.approved", "call.released", end]);
            assert_eq!(types[..3], ["action_proposed", "approval_requested", "approval_decision"], "{end}");
            assert_eq!(types.len(), 4, "{end}");
            assert_eq!(last["approval_id"], Uuid::nil().to_string(), "{end}");
        }
        for end in ["call.rejected", "call.expired", "call.cancelled"] {
            let (types, last) = told(&["call.held", "call.voted", "call.escalated", end]);
            assert_eq!(types[2..], ["approval_decision", "action_blocked"], "{end}");
            assert_eq!(last["reason"], end[5..], "the reviewer's words are not in it");
        }
    }

    #[test]
    fn what_ran_without_an_approval_is_told_as_that() {
        for entries in [&["call.held", "call.released", "call.executed"][..], &["call.executed"]] {
            let (_, last) = told(entries);
            assert_eq!((last["type"].as_str(), last.get("approval_id")), (Some("action_executed"), None));
        }
        let (types, last) = told(&["call.held", "call.rejected", "call.executed"]);
        assert_eq!((types.len(), last.get("approval_id")), (5, None));
        assert_eq!(told(&["call.executed", "alarm.call_tampered"]).0.len(), 1);
    }

    #[test]
    fn an_execution_bears_the_time_at_which_it_was_sent() {
        let (_, last) = told(&["call.held", "call.approved", "call.released", "call.executed"]);
        assert_eq!(last["timestamp"], Millis(2).to_string());
    }
}
