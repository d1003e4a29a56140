//! The rules of a tool, as Intercept's files have them: each becomes an entry of its own.

use std::time::Duration;

use crate::policy::condition::Condition;
use crate::policy::limits::{Add, Amount, Bound, CounterName, LimitUse, Owner, Scope, Window};
use crate::policy::model::{Action, Approval, Clause, Clauses, Entry};
use crate::policy::source::{At, Fields, Reader};

use super::state::{self, Declared};
use super::{approval, condition, entry};

const KEYS: [&str; 8] = ["name", "action", "conditions", "on_deny", "rate_limit", "state", "approval", "description"];

/// What a rule does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Evaluate,
    Deny,
    RequireApproval,
}

const KINDS: [(&str, Kind); 3] =
    [("evaluate", Kind::Evaluate), ("deny", Kind::Deny), ("require_approval", Kind::RequireApproval)];

/// Reads `{"rules": […]}`. Under `*` it adds to every tool and lists none.
pub(super) fn entries(
    reader: &mut Reader<'_>,
    declared: &Declared,
    key: &str,
    offset: usize,
    at: &At<'_, '_>,
) -> Vec<Entry> {
    let pattern = entry::pattern(reader, key, offset, at, entry::Kind::Tool);
    let Some(fields) = reader.object(at, &["rules", "description"]) else { return Vec::new() };
    fields.get("description").map(|at| reader.string(&at));
    let rules = fields.get("rules").map(|at| reader.list(&at)).unwrap_or_default();
    let plain = pattern.map(|pattern| Entry {
        pattern,
        pointer: at.pointer.clone(),
        offset,
        action: Action::Allow,
        reason: None,
        note: None,
        overrides: false,
        lists: key != "*",
        risk: None,
        approval: Approval::default(),
        clauses: Clauses::default(),
        limits: Vec::new(),
        tool_changes: None,
    });
    let mut entries: Vec<Entry> =
        rules.iter().filter_map(|at| rule(reader, declared, key, at, plain.as_ref())).collect();
    if rules.is_empty() {
        entries.extend(plain);
    }
    entries
}

fn rule(
    reader: &mut Reader<'_>,
    declared: &Declared,
    tool: &str,
    at: &At<'_, '_>,
    plain: Option<&Entry>,
) -> Option<Entry> {
    let fields = reader.object(at, &KEYS)?;
    let mut words = ["name", "description"].map(|key| fields.get(key).and_then(|at| reader.text(&at)));
    let note = words.iter_mut().find_map(Option::take);
    let kind = fields.get("action").map_or(Some(Kind::Evaluate), |at| reader.choice(&at, &KINDS));
    let on_deny = fields.get("on_deny").and_then(|at| reader.text(&at));
    let conditions = fields.get("conditions");
    if let Some(at) = conditions.as_ref().filter(|_| kind == Some(Kind::Deny)) {
        let hint = "turn the conditions round and write \"evaluate\", or leave them out";
        reader.error(at, "a rule that denies has no conditions", hint);
        return None;
    }
    let elements = conditions.map(|at| reader.list(&at)).unwrap_or_default();
    if kind == Some(Kind::RequireApproval) {
        state::no_bounds(reader, &elements);
    }
    let (bounds, elements): (Vec<_>, Vec<_>) = elements.into_iter().partition(state::is_bound);
    let clauses: Vec<Clause> = elements.iter().filter_map(|at| condition::clause(reader, at)).collect();
    let mut limits: Vec<LimitUse> = rate_limit(reader, &fields).into_iter().collect();
    limits.extend(state::counted(reader, declared, tool, &fields));
    if kind == Some(Kind::Evaluate) {
        limits.extend(bounds.iter().filter_map(|at| state::bound(reader, declared, at)));
    }
    for limit in limits.iter_mut().filter(|limit| limit.on_deny.is_none()) {
        limit.on_deny.clone_from(&on_deny);
    }
    let block = fields.get("approval");
    let (mut approval, risk) = block.as_ref().map(|at| approval::approval(reader, at)).unwrap_or_default();
    let action = match kind? {
        Kind::Evaluate => Action::Allow,
        Kind::Deny => Action::Deny,
        Kind::RequireApproval => Action::RequireApproval,
    };
    if let Some(block) = &block {
        approval::contradictions(reader, block, Some(action), risk);
    }
    let mut own = Clauses::default();
    match action {
        Action::RequireApproval => {
            let when = clauses.into_iter().map(|clause| clause.condition).chain(approval.when.take());
            let when: Vec<Condition> = when.collect();
            approval.when = (!when.is_empty()).then_some(Condition::All(when));
        }
        _ => {
            let told = |clause: Clause| Clause { on_deny: clause.on_deny.or_else(|| on_deny.clone()), ..clause };
            own.require = clauses.into_iter().map(told).collect();
        }
    }
    let plain = plain?.clone();
    Some(Entry {
        pointer: at.pointer.clone(),
        action,
        reason: on_deny.filter(|_| action != Action::Allow),
        note,
        risk,
        approval,
        clauses: own,
        limits,
        ..plain
    })
}

/// `"5/hour"`: so many calls of everybody within one window of the UTC calendar.
fn rate_limit(reader: &mut Reader<'_>, fields: &Fields<'_, '_>) -> Option<LimitUse> {
    let at = fields.get("rate_limit")?;
    let hint = "write calls and a window, as \"5/hour\"; the windows are second, minute, hour and day";
    let (max, window) = reader.parsed(&at, hint, rate)?;
    let owner = Owner::Entry(fields.at.pointer.clone());
    let name = CounterName { owner, counter: None, window: Window::fixed(window), scope: Scope::Global };
    Some(LimitUse::new(at.pointer, name, Add::Count(1), Some(Bound::AtMost(Amount::Whole(max)))))
}

fn rate(text: &str) -> Result<(u64, Duration), String> {
    let read = || {
        let (max, window) = text.split_once('/')?;
        let digits = !max.is_empty() && max.bytes().all(|byte| byte.is_ascii_digit());
        let max = digits.then(|| max.parse().ok()).flatten().filter(|max| *max <= super::limit::MOST)?;
        let seconds = super::limit::WINDOWS.iter().find(|(name, _)| *name == window)?.1;
        Some((max, Duration::from_secs(seconds)))
    };
    read().ok_or_else(|| format!("{text:?} is not a rate"))
}
