//! One entry of `tools` or `methods`.

use crate::call::Risk;
use crate::policy::model::{Action, Clauses, Entry, ToolChanges};
use crate::policy::pattern::Pattern;
use crate::policy::source::{At, Fields, Reader};

use super::state::Declared;
use super::{approval, limit};

/// What the entries of a block speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Tool,
    Method,
}

const TOOL_KEYS: [&str; 12] = [
    "action",
    "reason",
    "note",
    "override",
    "lists",
    "approval",
    "risk",
    "limits",
    "rate_limit",
    "require",
    "deny_if",
    "tool_changes",
];

/// Of a method nothing is held and nothing has a risk.
const METHOD_KEYS: [&str; 9] =
    ["action", "reason", "note", "override", "lists", "limits", "rate_limit", "require", "deny_if"];

pub(super) const RISKS: [(&str, Risk); 6] = [
    ("read", Risk::Read),
    ("write", Risk::Write),
    ("destructive", Risk::Destructive),
    ("execute", Risk::Execute),
    ("financial", Risk::Financial),
    ("access", Risk::Access),
];

/// Reads what stands under one name: an entry, a list of entries, or rules as Intercept has them.
pub(super) fn named(
    reader: &mut Reader<'_>,
    declared: &Declared,
    key: &str,
    offset: usize,
    at: &At<'_, '_>,
    kind: Kind,
) -> Vec<Entry> {
    if at.node.as_array().is_some() {
        let elements = reader.list(at);
        if elements.is_empty() {
            reader.error(at, "this list of entries is empty", "write {} for an entry that only lists");
        }
        let read = |at: &At<'_, '_>| entry(reader, key, offset, at, kind);
        return elements.iter().filter_map(read).collect();
    }
    if kind == Kind::Tool && at.get("rules").is_some() {
        return super::rules::entries(reader, declared, key, offset, at);
    }
    entry(reader, key, offset, at, kind).into_iter().collect()
}

/// Reads a name or glob.
pub(super) fn pattern(
    reader: &mut Reader<'_>,
    key: &str,
    offset: usize,
    at: &At<'_, '_>,
    kind: Kind,
) -> Option<Pattern> {
    let pattern = match kind {
        Kind::Tool => Pattern::tool(key),
        Kind::Method => Pattern::method(key),
    };
    let hint = "write a name, or a glob such as \"list_*\"";
    pattern.map_err(|message| reader.error_at(offset, &at.pointer, message, hint.to_owned())).ok()
}

/// Reads one entry; `None` where its name is none. Its other faults are reported, and what they concern is left out.
pub(super) fn entry(reader: &mut Reader<'_>, key: &str, offset: usize, at: &At<'_, '_>, kind: Kind) -> Option<Entry> {
    let pattern = pattern(reader, key, offset, at, kind);
    if kind == Kind::Method && key == "tools/call" {
        let hint = "move it to \"tools\", under the tool's name".to_owned();
        reader.error_at(offset, &at.pointer, "calls of tools are not ruled as a method", hint);
    }
    let keys: &[&str] = if kind == Kind::Tool { &TOOL_KEYS } else { &METHOD_KEYS };
    let fields = reader.object(at, keys)?;
    let clauses = match kind {
        Kind::Tool => super::clauses(reader, &fields),
        Kind::Method => {
            no_arguments(reader, &fields);
            Clauses::default()
        }
    };
    let action = action(reader, &fields, kind);
    let approval = fields.get("approval").map(|at| approval::approval(reader, &at));
    let (approval, approval_risk) = approval.unwrap_or_default();
    let mut limits = limit::limits(reader, &fields, kind);
    limits.extend(limit::rate_limit(reader, &fields));
    let pattern = pattern?;
    let lists = fields.get("lists").and_then(|at| reader.flag(&at)).unwrap_or(true);
    let overrides = fields.get("override").and_then(|at| reader.flag(&at)).unwrap_or(false);
    if overrides && !pattern.is_exact() {
        let hint = "write the entry under the tool's exact name";
        fields.get("override").inspect(|at| reader.error(at, "only an exact name can override globs", hint));
    }
    if action == Some(Action::Deny) && !limits.is_empty() {
        let hint = "leave the limits out, or allow the call";
        reader.warn(offset, &at.pointer, "a denied call is never counted, so these limits do nothing", hint);
    }
    let reason = fields.get("reason").and_then(|at| reader.text(&at));
    if action == Some(Action::Allow) && reason.is_some() {
        let hint = "the reason is shown to the agent with a denial or while a call waits";
        reader.warn(offset, &at.pointer, "nobody is told the reason of an allowed call", hint);
    }
    let note = fields.get("note").and_then(|at| reader.text(&at));
    let own_risk = fields.get("risk").and_then(|at| reader.choice(&at, &RISKS));
    if let (Some(own), Some(other)) = (own_risk, approval_risk)
        && own != other
        && let Some(at) = fields.get("risk")
    {
        let message = format!("the risk is {} here and {} in \"approval\"", own.as_str(), other.as_str());
        reader.error(&at, message, "keep one of them");
    }
    let risk = own_risk.max(approval_risk);
    if let Some(block) = fields.get("approval") {
        approval::contradictions(reader, &block, action, risk);
    }
    Some(Entry {
        pattern,
        pointer: at.pointer.clone(),
        offset,
        // Only read where there is no error, and then the action is known.
        action: action.unwrap_or(Action::Deny),
        reason,
        note,
        overrides,
        lists,
        risk,
        approval,
        clauses,
        limits,
        tool_changes: tool_changes(reader, &fields),
    })
}

/// What becomes of calls of a tool that has changed.
pub(super) fn tool_changes(reader: &mut Reader<'_>, fields: &Fields<'_, '_>) -> Option<ToolChanges> {
    let choices = [ToolChanges::Hold, ToolChanges::Deny, ToolChanges::Allow].map(|one| (one.as_str(), one));
    fields.get("tool_changes").and_then(|at| reader.choice(&at, &choices))
}

/// What an entry does; being listed is being allowed.
fn action(reader: &mut Reader<'_>, fields: &Fields<'_, '_>, kind: Kind) -> Option<Action> {
    let Some(at) = fields.get("action") else { return Some(Action::Allow) };
    let choices = [("allow", Action::Allow), ("deny", Action::Deny), ("require_approval", Action::RequireApproval)];
    let action = reader.choice(&at, &choices)?;
    if kind == Kind::Method && action == Action::RequireApproval {
        reader.error(&at, "only calls of tools can be held for approval", "write \"allow\" or \"deny\"");
    }
    Some(action)
}

/// Only calls of tools have arguments: a condition on a method is empty or a mistake.
fn no_arguments(reader: &mut Reader<'_>, fields: &Fields<'_, '_>) {
    for key in ["require", "deny_if"] {
        let Some(at) = fields.get(key) else { continue };
        if !reader.list(&at).is_empty() {
            let hint = "leave it out, or write \"action\": \"deny\"";
            reader.error(&at, "only calls of tools have arguments that conditions can look at", hint);
        }
    }
}
