//! A call in a few words, made from the call alone: how grave, and what on what.

use super::view::{Severity, State};
use crate::call::json::{Kind, Limits, Node, read_strict};
use crate::call::{CallState, HeldCall, Requirement, Risk, secrets};

/// Longest value that a line repeats, in characters.
const LONGEST: usize = 80;

/// Arguments that name what a call is about, the most telling first, and the word for each.
const TARGETS: [(&str, &str); 12] = [
    ("user_name", "user"),
    ("role_name", "role"),
    ("group_name", "group"),
    ("policy_arn", "policy"),
    ("policy_name", "policy"),
    ("bucket", "bucket"),
    ("path", "file"),
    ("table", "table"),
    ("repo_path", "repository"),
    ("to", "recipient"),
    ("url", "address"),
    ("name", "name"),
];

/// How grave the policy declares the call to be.
#[must_use]
pub fn severity(requirement: &Requirement) -> Severity {
    match requirement.risk {
        Some(Risk::Access) => Severity::Critical,
        Some(Risk::Destructive | Risk::Execute | Risk::Financial) => Severity::High,
        Some(Risk::Write) => Severity::Medium,
        Some(Risk::Read) => Severity::Low,
        None => Severity::None,
    }
}

/// "put_user_policy on user ci-bot"; the tool alone where nothing names a target. Secrets are masked.
#[must_use]
pub fn line(call: &HeldCall) -> String {
    let tool = call.submission.tool.as_str();
    let Some(arguments) = call.arguments() else { return tool.to_owned() };
    let masked = secrets::mask_json(arguments);
    let limits = Limits { max_bytes: usize::MAX, ..Limits::default() };
    let Ok(document) = read_strict(masked.as_bytes(), &limits) else { return tool.to_owned() };
    let target = TARGETS.iter().find_map(|(key, word)| Some((word, words(document.root().get(key)?)?)));
    target.map_or_else(|| tool.to_owned(), |(word, target)| format!("{tool} on {word} {target}"))
}

fn words(node: &Node<'_>) -> Option<String> {
    let text = match &node.kind {
        Kind::String(text) if !text.trim().is_empty() => text.as_ref(),
        Kind::Number(text) => text,
        _ => return None,
    };
    let cut = text.char_indices().nth(LONGEST);
    Some(cut.map_or_else(|| text.to_owned(), |(end, _)| format!("{}…", &text[..end])))
}

/// The state as pages name it.
#[must_use]
pub fn state(state: &CallState) -> State {
    match state {
        CallState::Pending { .. } => State::Pending,
        CallState::Approved { .. } => State::Approved,
        CallState::Rejected { .. } => State::Rejected,
        CallState::Expired { .. } => State::Expired,
        CallState::Cancelled { .. } => State::Cancelled,
        CallState::Releasing { .. } => State::Releasing,
        CallState::Executed { .. } => State::Executed,
        CallState::ToolError { .. } => State::ToolError,
        CallState::OutcomeUnknown { .. } => State::OutcomeUnknown,
        CallState::Lapsed { .. } => State::Lapsed,
        CallState::Revoked { .. } => State::Revoked,
    }
}
