//! The audit log, pure: what an entry is and how it is hashed, the tree over the entries, the signed checkpoints, and
//! how the log is told to others.

pub mod checkpoint;
mod entry;
pub mod export;
pub mod note;
pub mod receipt;
mod row;
pub mod trace;
pub mod tree;
pub mod verify;

#[cfg(test)]
mod note_tests;
#[cfg(test)]
mod tree_tests;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use entry::{Entry, Head, SealedEntry};
pub use row::{Row, Said, Shown, shown};
pub use tree::{ConsistencyProof, Frontier, InclusionProof};
