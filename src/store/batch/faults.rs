//! Lets crash tests fail a batch behind any of its tables, in the middle of the one statement that writes it. Not
//! compiled elsewhere.

use crate::failpoint::reach;

/// The batch's view, with the point that fails the write.
pub(super) const VIEW: &str = "CREATE TEMP VIEW batch AS SELECT NULL AS text, NULL AS calls, NULL AS params,
    NULL AS changes, NULL AS votes, NULL AS answers, NULL AS notices, NULL AS entries, NULL AS unseen, NULL AS fault";

/// The batch's statement, with that point as the last parameter.
pub(super) const INSERT: &str =
    "INSERT INTO batch (text, calls, params, changes, votes, answers, notices, entries, unseen, fault)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";

/// The sections, in the order of the statement's parameters: the point behind each, and what its statement begins with.
const SECTIONS: [(&str, &str); 7] = [
    ("write.calls", "INSERT INTO calls "),
    ("write.params", "INSERT INTO call_params "),
    ("write.changes", "INSERT INTO batch_changes "),
    ("write.votes", "INSERT INTO votes "),
    ("write.answers", "INSERT INTO call_answers "),
    ("write.notices", "INSERT INTO outbox "),
    ("write.entries", "INSERT INTO entries "),
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
pub(super) fn reached(sections: &[Option<String>]) -> Option<&'static str> {
    let mut points = SECTIONS.iter().zip(sections).filter(|(_, rows)| rows.is_some()).map(|((point, _), _)| *point);
    points.find(|point| reach(point))
}
