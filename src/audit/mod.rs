//! The audit log, pure: what an entry is and how it is hashed, the tree over the entries, the signed checkpoints.

pub mod checkpoint;
mod entry;
pub mod note;
pub mod tree;

#[cfg(test)]
mod note_tests;
#[cfg(test)]
mod tree_tests;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use entry::{Entry, Head, SealedEntry};
pub use tree::{ConsistencyProof, Frontier, InclusionProof};
