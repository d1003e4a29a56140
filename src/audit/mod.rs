//! The audit log, pure: what an entry is and how it is hashed, and how the log is told to others.

mod entry;
pub mod export;
mod row;
pub mod trace;

pub use entry::{Entry, Head, SealedEntry};
pub use row::{Row, Said, Shown, shown};
