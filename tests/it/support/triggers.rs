//! The log's own triggers: whoever forges takes them away and puts them back, since Placet opens no database without.

/// Takes them away.
pub(crate) const AWAY: &str =
    "DROP TRIGGER IF EXISTS entries_are_never_changed; DROP TRIGGER IF EXISTS entries_are_never_deleted;";

/// Puts them back, as the first migration makes them.
pub(crate) fn back() -> &'static str {
    let schema = include_str!("../../../migrations/0001_calls.sql");
    &schema[schema.find("CREATE TRIGGER entries_are_never_changed").unwrap()..]
}
