//! What stands in a file and can never have an effect, or leaves no call a chance: each a warning.

use std::cmp::Ordering;

use crate::policy::circumstances::changes_access;
use crate::policy::condition::{Comparison, Condition, Operator, Value};
use crate::policy::decimal::Decimal;
use crate::policy::model::{Action, Clause, Entry, Policy};
use crate::policy::path::Path;
use crate::policy::pattern::Pattern;
use crate::policy::source::Reader;

/// Looks at every entry of `tools`.
pub(super) fn entries(reader: &mut Reader<'_>, policy: &Policy) {
    let entries = &policy.tools.list;
    for entry in entries {
        if entry.action == Action::Deny && !(entry.clauses.require.is_empty() && entry.clauses.deny_if.is_empty()) {
            let words = "every call of this entry is denied, so its conditions do nothing";
            reader.warn(entry.offset, &entry.pointer, words, "leave them out, or allow the call");
        }
        if entry.action == Action::RequireApproval && asks_for_nothing(entry) {
            let words = "no call can meet \"when\", so this entry never asks for approval";
            reader.warn(entry.offset, &entry.pointer, words, "change one of the values");
        }
        if let Some((one, other)) = contradiction(&entry.clauses.require) {
            let words = format!("no call can meet both {one} and {other}, so every call is denied");
            reader.warn(entry.offset, &entry.pointer, words, "change one of them, or write \"action\": \"deny\"");
        }
        if entry.approval.standing.as_ref().is_some_and(|standing| !standing.access)
            && entry.pattern.is_exact()
            && changes_access(entry.pattern.text())
        {
            let words = "by its name this tool changes who may do what, so no standing approval is offered";
            let hint = "leave \"standing\" out; or, if you mean it, add \"access\": true to it";
            reader.warn(entry.offset, &format!("{}/approval/standing", entry.pointer), words, hint);
        }
        covered(reader, policy, entry);
    }
}

/// A glob under a stricter one. What an exact name says is judged with the overrides.
fn covered(reader: &mut Reader<'_>, policy: &Policy, entry: &Entry) {
    if entry.pattern.is_exact() {
        return;
    }
    if let Some(at) = policy.hide.texts.iter().position(|hidden| covers(hidden, &entry.pattern)) {
        let words = format!("/hide/{at} hides everything that this matches, so the entry does nothing");
        return reader.warn(entry.offset, &entry.pointer, words, "leave one of them out");
    }
    let stricter = policy.tools.list.iter().find(|other| {
        other.action == Action::Deny && entry.action < Action::Deny && covers(other.pattern.text(), &entry.pattern)
    });
    if let Some(other) = stricter {
        let words = format!("{} denies everything that this matches, so the entry does nothing", other.pointer);
        reader.warn(
            entry.offset,
            &entry.pointer,
            words,
            "leave one of them out, or write exact names with an override",
        );
    }
}

/// Whether a glob surely matches everything that the pattern does: one that ends in its only star, and whose beginning
/// is that of the pattern.
fn covers(glob: &str, pattern: &Pattern) -> bool {
    const MAGIC: [char; 7] = ['*', '?', '[', ']', '{', '}', '\\'];
    let Some(beginning) = glob.strip_suffix('*') else { return false };
    let plain = !beginning.contains(MAGIC) && !beginning.contains('/');
    let text = pattern.text();
    let literal = text.find(MAGIC).map_or(text, |at| &text[..at]);
    // `iam/*` is not below `iam*`: the upstream is not part of a tool's name.
    plain && (beginning.is_empty() || !text.contains('/')) && literal.starts_with(beginning)
}

/// Two conditions of which no call can meet both.
fn contradiction(clauses: &[Clause]) -> Option<(&str, &str)> {
    clauses.iter().enumerate().find_map(|(at, clause)| {
        let other = clauses[at + 1..].iter().find(|other| exclude(&clause.condition, &other.condition))?;
        Some((clause.pointer.as_str(), other.pointer.as_str()))
    })
}

fn asks_for_nothing(entry: &Entry) -> bool {
    let Some(Condition::All(several)) = &entry.approval.when else { return false };
    // A value of another type counts as a match of both, so bounds alone prove nothing here; equal values do not either.
    let missing = |condition: &Condition| match condition {
        Condition::Test(path, Operator::Exists(wanted)) => Some((path.clone(), *wanted)),
        _ => None,
    };
    let stated: Vec<(Path, bool)> = several.iter().filter_map(missing).collect();
    stated
        .iter()
        .any(|(path, wanted)| stated.iter().any(|(other, other_wanted)| path == other && wanted != other_wanted))
}

/// Whether two conditions on the same single argument exclude each other.
fn exclude(one: &Condition, other: &Condition) -> bool {
    let (Condition::Test(a, one), Condition::Test(b, other)) = (one, other) else { return false };
    if a != b || a.is_many() {
        return false;
    }
    match (values(one), values(other)) {
        (Some(ours), Some(theirs)) => !ours.iter().any(|value| theirs.contains(value)),
        _ => apart(one, other) || apart(other, one),
    }
}

/// The only values that it allows.
fn values(operator: &Operator) -> Option<Vec<&Value>> {
    match operator {
        Operator::Equal(value) => Some(vec![value]),
        Operator::In(values) => Some(values.iter().collect()),
        _ => None,
    }
}

/// Whether everything below the one lies below everything above the other.
fn apart(below: &Operator, above: &Operator) -> bool {
    let upper: Option<(&Decimal, bool)> = match below {
        Operator::Compare(Comparison::Less, bound) => Some((bound, false)),
        Operator::Compare(Comparison::LessOrEqual, bound) => Some((bound, true)),
        _ => None,
    };
    let lower: Option<(&Decimal, bool)> = match above {
        Operator::Compare(Comparison::Greater, bound) => Some((bound, false)),
        Operator::Compare(Comparison::GreaterOrEqual, bound) => Some((bound, true)),
        _ => None,
    };
    match (upper, lower) {
        (Some((upper, upper_in)), Some((lower, lower_in))) => match upper.cmp(lower) {
            Ordering::Less => true,
            Ordering::Equal => !(upper_in && lower_in),
            Ordering::Greater => false,
        },
        _ => false,
    }
}
