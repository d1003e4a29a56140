//! The audit log, pure: what an entry is and how it is hashed.

mod entry;

pub use entry::{Entry, Head, SealedEntry};
