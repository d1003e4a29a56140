//! Held calls as a trace that other programs judge: the JSONL form, schema version 2, that `agentack check` of the
//! PyPI package agentack 0.6 reads.
//!
//! A call is an action, its approval bears the call's id as well. `call.held` proposes the action and asks for the
//! approval; the deciding vote, the deadline or the caller who takes it back decides; then it is executed or blocked.
//! An action is told by upstream, tool, agent and call digest: the digest stands for the exact bytes, so arguments are
//! not in the trace. An execution names its approval only if the log has one before it, so that a call that ran
//! without one is told as that.
//!
//! The form has no word for a call of unknown outcome. Such a call gets neither an execution nor a block, which
//! `agentack check` reports as incomplete evidence, and an `interrupt` at the end of the trace says why; it stands there
//! because an execution after an interrupt counts as a fault. Once a person has found out, the call is executed or
//! blocked as they found. One that was sent without an approval is told as executed whatever became of it: the worse
//! reading.

use std::collections::{BTreeMap, HashMap};

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
pub const STEPS: &[&str] = &["call.held", "call.approved", "call.released", "call.finding"];

/// Makes a trace of entries in their order. Remembers a call from its holding to its end, or to the finding about it.
#[derive(Debug)]
pub struct Trace {
    session: String,
    open: HashMap<String, Open>,
    /// Of unknown outcome, and nobody has found out yet; in the order of their ids.
    unknown: BTreeMap<String, Lost>,
}

#[derive(Debug, Default)]
struct Open {
    /// When it was approved.
    approved: Option<String>,
    /// When it was sent.
    released: Option<String>,
}

/// A call of unknown outcome.
#[derive(Debug)]
struct Lost {
    /// When it ran if it did: when it was sent, or, where the log does not know, the first moment that it could be.
    sent: String,
    /// When it was given up.
    at: String,
}

impl Trace {
    /// A trace of this log.
    #[must_use]
    pub fn new(session: impl Into<String>) -> Self {
        Self { session: session.into(), open: HashMap::new(), unknown: BTreeMap::new() }
    }

    /// How many calls of unknown outcome are in it that nobody has found out about.
    #[must_use]
    pub fn unknown(&self) -> usize {
        self.unknown.len()
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
                self.open.entry(call.to_owned()).or_default().approved = Some(said.at.to_string());
            }
            "call.released" => {
                self.open.entry(call.to_owned()).or_default().released = Some(said.at.to_string());
            }
            "call.executed" | "call.tool_error" | "call.outcome_unknown" => {
                let Open { approved, released } = self.open.remove(call).unwrap_or_default();
                match (approved, &*said.kind) {
                    (Some(approved), "call.outcome_unknown") => {
                        let (sent, at) = (released.unwrap_or(approved), said.at.to_string());
                        self.unknown.insert(call.to_owned(), Lost { sent, at });
                    }
                    (approved, _) => {
                        let at = released.as_deref().unwrap_or(&said.at);
                        let ran = with(event("action_executed", at), "action", action());
                        events.push(if approved.is_some() { with(ran, "approval_id", call.into()) } else { ran });
                    }
                }
            }
            "call.finding" => {
                if let Some(Lost { sent, .. }) = self.unknown.remove(call) {
                    // What is not plainly "it did not run" is told as having run.
                    events.push(if said.detail.get("ran") == Some(&Value::Bool(false)) {
                        blocked("outcome_unknown: a person found that it did not run")
                    } else {
                        let ran = with(event("action_executed", &sent), "action", action());
                        with(ran, "approval_id", call.into())
                    });
                }
            }
            kind if ENDS.contains(&kind) => {
                // An alarm about a call that has ended already ends nothing.
                if let Some(open) = self.open.remove(call) {
                    if open.approved.is_none() {
                        events.push(decided("deny"));
                    }
                    events.push(blocked(end));
                }
            }
            _ => {}
        }
        events.iter().map(|event| format!("{event}\n")).collect()
    }

    /// The last lines: which calls are of unknown outcome, and that the trace is complete up to this moment, an ISO 8601
    /// text.
    #[must_use]
    pub fn end(&self, at: &str) -> String {
        let event = |kind: &str, at: &str, reason: &str| json!({"schema_version": SCHEMA, "type": kind, "timestamp": at, "session_id": self.session, "reason": reason});
        let lost = self.unknown.iter().map(|(call, lost)| {
            let why = format!("outcome_unknown: nobody knows whether call {call} ran");
            event("interrupt", &lost.at, &why)
        });
        lost.chain([event("session_end", at, "exported")]).map(|event| format!("{event}\n")).collect()
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

    /// A trace of these entries about one call, and its events before the end.
    fn traced(kinds: &[&'static str], ran: bool) -> (Trace, Vec<Value>) {
        let (mut head, mut trace) = (Head::EMPTY, Trace::new("s"));
        let mut events: Vec<Value> = Vec::new();
        for (at, kind) in kinds.iter().enumerate() {
            let entry = Entry::new(kind).call(CallId(Uuid::nil())).with("digest", "d").with("reason", "because");
            let sealed = head.seal(&entry.with("ran", ran), Millis(at as i64)).unwrap();
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
            events.extend(read(&trace.lines(&row)));
        }
        (trace, events)
    }

    fn read(lines: &str) -> Vec<Value> {
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The types of the events that these entries about one call give, and the last event.
    fn told(kinds: &[&'static str]) -> (Vec<String>, Value) {
        let (_, events) = traced(kinds, true);
        let last = events.last().cloned().unwrap_or_default();
        (events.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect(), last)
    }

    const UNKNOWN: &str = "call.outcome_unknown";

    #[test]
    fn an_unknown_outcome_is_neither_until_a_person_has_found_out() {
        let lost = &["call.held", "call.approved", "call.released", UNKNOWN];
        let (trace, events) = traced(lost, false);
        assert_eq!((events.len(), trace.unknown()), (3, 1), "{events:?}");
        let end = read(&trace.end("now"));
        assert_eq!(end.iter().map(|event| &event["type"]).collect::<Vec<_>>(), ["interrupt", "session_end"]);
        let why = format!("outcome_unknown: nobody knows whether call {} ran", Uuid::nil());
        assert_eq!(
            (end[0]["reason"].as_str(), end[0]["timestamp"].as_str()),
            (Some(&*why), Some(&*Millis(3).to_string()))
        );

        let found = [lost, &["call.finding"][..]].concat();
        for (ran, kind, at) in [(true, "action_executed", 2), (false, "action_blocked", 4)] {
            let (trace, events) = traced(&found, ran);
            let last = events.last().unwrap();
            assert_eq!((events.len(), last["type"].as_str(), trace.unknown()), (4, Some(kind), 0));
            assert_eq!(last["timestamp"], Millis(at).to_string());
            assert_eq!(last["approval_id"], Uuid::nil().to_string());
            assert_eq!(read(&trace.end("now")).len(), 1);
        }
        // After a restore the log does not know when it was sent: from its approval on it could be.
        let (_, events) = traced(&["call.held", "call.approved", UNKNOWN, "call.finding"], true);
        assert_eq!(events.last().unwrap()["timestamp"], Millis(1).to_string());
        // Sent without an approval: that is what has to be told of it.
        let (types, last) = told(&["call.held", "call.released", UNKNOWN, "call.finding"]);
        assert_eq!((types.len(), last["type"].as_str(), last.get("approval_id")), (3, Some("action_executed"), None));
    }

    #[test]
    fn every_other_end_of_a_call_is_an_execution_or_a_block() {
        for end in ENDS.iter().filter(|end| **end != UNKNOWN) {
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
