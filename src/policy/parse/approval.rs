//! The `approval` block of an entry.

use std::time::Duration;

use crate::call::{GroupName, InputAfterApproval, OnTimeout, Quorum, ReleaseWhen, Risk};
use crate::policy::combine::is_mild;
use crate::policy::context::Template;
use crate::policy::duration;
use crate::policy::model::{Action, Approval, AskReason};
use crate::policy::source::{At, Fields, Reader};

use super::entry::RISKS;

const KEYS: [&str; 16] = [
    "timeout",
    "on_timeout",
    "escalate_to",
    "execute_within",
    "approvals",
    "reviewers",
    "risk",
    "message",
    "self_approval",
    "require_reason",
    "release",
    "context",
    "input_after_approval",
    "when",
    "ask_reason",
    "standing",
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fallback {
    Reject,
    Escalate,
    Approve,
}

/// Reads the block, and the risk that it declares.
pub(super) fn approval(reader: &mut Reader<'_>, at: &At<'_, '_>) -> (Approval, Option<Risk>) {
    let Some(fields) = reader.object(at, &KEYS) else { return Default::default() };
    let flag = |reader: &mut Reader<'_>, key| fields.get(key).and_then(|at| reader.flag(&at));
    let approval = Approval {
        when: fields.get("when").and_then(|at| super::condition::when(reader, &at)),
        timeout: span(reader, &fields, "timeout"),
        on_timeout: on_timeout(reader, &fields),
        execute_within: span(reader, &fields, "execute_within"),
        quorum: fields
            .get("approvals")
            .and_then(|at| reader.whole(&at, 1, u64::from(u8::MAX)))
            .and_then(|approvals| u8::try_from(approvals).ok())
            .and_then(Quorum::new),
        reviewers: fields.get("reviewers").map(|at| groups(reader, &at, "leave it out to ask every reviewer")),
        self_approval: flag(reader, "self_approval"),
        require_reason: flag(reader, "require_reason"),
        release: fields.get("release").and_then(|at| {
            let choices = [("on_approval", ReleaseWhen::OnApproval), ("on_return", ReleaseWhen::OnReturn)];
            reader.choice(&at, &choices)
        }),
        input_after_approval: fields.get("input_after_approval").and_then(|at| {
            let choices = [("review", InputAfterApproval::Review), ("allow", InputAfterApproval::Allow)];
            let chosen = reader.choice(&at, &choices);
            if chosen == Some(InputAfterApproval::Allow) {
                let words =
                    "this version refuses every question that a server asks after the approval, so this does nothing";
                reader.warn(at.node.span.start, &at.pointer, words, "leave it out");
            }
            chosen
        }),
        message: fields.get("message").and_then(|at| reader.text(&at)),
        context: context(reader, &fields),
        ask_reason: fields.get("ask_reason").and_then(|at| ask_reason(reader, &at)),
        standing: fields.get("standing").and_then(|at| super::standing::standing(reader, &at)),
    };
    (approval, fields.get("risk").and_then(|at| reader.choice(&at, &RISKS)))
}

/// What the block may not say beside what its entry says.
pub(super) fn contradictions(reader: &mut Reader<'_>, block: &At<'_, '_>, action: Option<Action>, risk: Option<Risk>) {
    if let Some(action @ (Action::Allow | Action::Deny)) = action {
        let asks = block.members().iter().any(|(key, ..)| *key != "risk" && KEYS.contains(key));
        if asks {
            let message =
                format!("\"approval\" says how a call is approved, but the entry's action is {}", action.as_str());
            reader.error(block, message, "write \"action\": \"require_approval\", or leave \"approval\" out");
        }
        return;
    }
    super::standing::contradictions(reader, block, risk);
    if let Some(at) = block.get("on_timeout")
        && at.node.as_str() == Some("approve")
        && !is_mild(risk)
    {
        let message = match risk {
            Some(risk) => format!("a call of risk {} is never approved by a timeout", risk.as_str()),
            None => "only a call of a declared risk can be approved by a timeout".to_owned(),
        };
        let hint = "write \"reject\" or \"escalate\"; or, if it is true of this tool, \"risk\": \"read\" or \"write\"";
        reader.error(&at, message, hint);
    }
}

/// `true`, `false`, or `"required"`.
fn ask_reason(reader: &mut Reader<'_>, at: &At<'_, '_>) -> Option<AskReason> {
    match at.node.as_bool() {
        Some(asks) => asks.then_some(AskReason::Asked),
        None if at.node.as_str() == Some("required") => Some(AskReason::Required),
        None => {
            let hint = "write true, false, or \"required\" if no call without a reason should be held";
            reader.error(at, "this says neither whether agents are asked nor that they must answer", hint);
            None
        }
    }
}

fn span(reader: &mut Reader<'_>, fields: &Fields<'_, '_>, key: &str) -> Option<Duration> {
    fields.get(key).and_then(|at| reader.parsed(&at, duration::HINT, duration::positive_duration))
}

fn groups(reader: &mut Reader<'_>, at: &At<'_, '_>, hint_if_empty: &str) -> Vec<GroupName> {
    let elements = reader.list(at);
    if elements.is_empty() && at.node.as_array().is_some() {
        reader.error(at, "this names no group", hint_if_empty);
    }
    let name = |text: &str| GroupName::new(text).map_err(|error| error.to_string());
    elements.iter().filter_map(|at| reader.parsed(at, "name a group of reviewers", name)).collect()
}

fn on_timeout(reader: &mut Reader<'_>, fields: &Fields<'_, '_>) -> Option<OnTimeout> {
    let choices = [("reject", Fallback::Reject), ("escalate", Fallback::Escalate), ("approve", Fallback::Approve)];
    let stated = fields.get("on_timeout");
    let fallback = stated.as_ref().and_then(|at| reader.choice(at, &choices));
    let to = fields.get("escalate_to");
    let groups = to.as_ref().map(|at| groups(reader, at, "name the groups that are asked after the timeout"));
    match (fallback, groups) {
        (Some(Fallback::Escalate), Some(groups)) => Some(OnTimeout::Escalate(groups)),
        (Some(Fallback::Escalate), None) => {
            let hint = "add \"escalate_to\": [\"group\"] beside it";
            stated.inspect(|at| reader.error(at, "nobody is named to escalate to", hint));
            None
        }
        (fallback, Some(_)) => {
            // A word that is not known has its own problem already.
            if fallback.is_some() || stated.is_none() {
                let hint = "write \"on_timeout\": \"escalate\", or leave \"escalate_to\" out";
                to.inspect(|at| reader.error(at, "nothing is escalated here", hint));
            }
            None
        }
        (Some(Fallback::Reject), None) => Some(OnTimeout::Reject),
        (Some(Fallback::Approve), None) => Some(OnTimeout::Approve),
        (None, None) => None,
    }
}

fn context(reader: &mut Reader<'_>, fields: &Fields<'_, '_>) -> Vec<Template> {
    let elements = fields.get("context").map(|at| reader.list(&at)).unwrap_or_default();
    elements.iter().filter_map(|at| read(reader, at)).collect()
}

fn read(reader: &mut Reader<'_>, at: &At<'_, '_>) -> Option<Template> {
    let fields = reader.object(at, &["tool", "arguments"])?;
    let tool_at = reader.required(&fields, "tool", "name the tool that reads")?;
    let tool = reader.text(&tool_at)?;
    let arguments = fields.get("arguments");
    if let Some(at) = &arguments {
        reader.map(at)?;
    }
    match Template::new(&tool, tool_at.node.span.start, arguments.as_ref().map(|at| at.node)) {
        Ok(template) => Some(template),
        Err(bad) => {
            for (node, message) in bad {
                let pointer = arguments.as_ref().map_or_else(String::new, |at| at.pointer.clone());
                let hint = "write $args.name, $args.list[0] or the like".to_owned();
                reader.error_at(node.span.start, &pointer, message, hint);
            }
            None
        }
    }
}
