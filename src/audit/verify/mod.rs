//! Verification: whether the log is what was written, and whether the database says what the log says. Pure; whoever
//! reads the rows feeds them in order and asks for the [`Report`] at the end.

mod anchors;
mod call;
mod chain;
mod life;
mod put_back;
mod report;
mod rights;
mod signed;

#[cfg(test)]
mod put_back_tests;
#[cfg(test)]
mod tests;

pub use anchors::{Anchors, Kept};
pub use call::{CallRow, Calls, Seals};
pub use chain::{Chain, Misfiled, Walked};
pub use life::ToldFinding;
pub use put_back::PutBack;
pub use report::{Check, Finding, Grade, Line, Report, Verdict};
pub use rights::{Holder, RightRow, Rights, Told, tool_name};
pub use signed::{Keys, StoredCheckpoint};

use super::Row;

/// What a call came to by its entries, in their order, and what a person found of it; what they tell that cannot have
/// happened is found. Empty: they do not tell that it was held.
pub(super) fn life_of(call: &str, entries: &[Row], found: &mut Vec<Finding>) -> (&'static str, Option<ToldFinding>) {
    let life = life::Life::of(call, entries, found);
    (life.state, life.finding)
}
