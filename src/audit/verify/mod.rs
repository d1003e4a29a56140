//! Verification: whether the log is what was written, and whether the database says what the log says. Pure; whoever
//! reads the rows feeds them in order and asks for the [`Report`] at the end.

mod anchors;
mod call;
mod chain;
mod life;
mod report;

#[cfg(test)]
mod tests;

pub use anchors::{Anchors, Witness};
pub use call::{CallRow, Calls, Seals};
pub use chain::{Chain, StoredCheckpoint};
pub use report::{Check, Finding, Grade, Line, Report, Verdict};
