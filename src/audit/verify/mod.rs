//! Verification: whether the log is what was written, and whether the database says what the log says. Pure; whoever
//! reads the rows feeds them in order and asks for the [`Report`] at the end.

mod anchors;
mod call;
mod chain;
mod life;
mod report;

#[cfg(test)]
mod tests;

pub use anchors::{Anchors, Kept};
pub use call::{CallRow, Calls, Seals};
pub use chain::{Chain, StoredCheckpoint};
pub use report::{Check, Finding, Grade, Line, Report, Verdict};

use super::Row;

/// What a call came to by its entries, in their order; what they tell that cannot have happened is found. Empty: they
/// do not tell that it was held.
pub(super) fn life_of(call: &str, entries: &[Row], found: &mut Vec<Finding>) -> &'static str {
    life::Life::of(call, entries, found).state
}
