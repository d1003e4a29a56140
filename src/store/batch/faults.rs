//! Lets crash tests fail a batch behind any of its tables, in the middle of the one statement that writes it. Not
//! compiled elsewhere.

use crate::failpoint::reach;

/// The column of a batch's view that names the point which fails the write.
pub(super) const COLUMN: &str = "fault";

/// The sections, in the order of the statement's parameters: the point behind each, and what its statement begins with.
const SECTIONS: [(&str, &str); 8] = [
    ("write.calls", "INSERT INTO calls "),
    ("write.params", "INSERT INTO call_params "),
    ("write.changes", "INSERT INTO batch_changes "),
    ("write.votes", "INSERT INTO votes "),
    ("write.answers", "INSERT INTO call_answers "),
    ("write.notices", "INSERT INTO outbox "),
    ("write.entries", "INSERT INTO entries "),
    ("write.counters", "INSERT INTO limit_counters "),
];

/// The trigger's statements with a possible failure behind each that writes.
pub(super) fn between(statements: Vec<String>) -> Vec<String> {
    let mut with = Vec::new();
    for statement in statements {
        let point = SECTIONS.iter().find(|(_, begins)| statement.starts_with(begins)).map(|(point, _)| *point);
        with.push(statement);
        with.extend(point.map(|point| format!("SELECT RAISE(ABORT, 'failpoint') WHERE NEW.fault = '{point}'")));
    }
    with
}

/// The point that fails this write, if one does: only a section that has rows is reached.
pub(super) fn reached<'s>(sections: impl Iterator<Item = &'s Option<String>>) -> Option<&'static str> {
    let mut points = SECTIONS.iter().zip(sections).filter(|(_, rows)| rows.is_some()).map(|((point, _), _)| *point);
    points.find(|point| reach(point))
}
