//! The audit log, pure: what an entry is and how it is hashed, the tree over the entries, the signed checkpoints, and
//! how the log is told to others: exported, verified, proved.
//!
//! What `placet audit verify` notices of the attacks on the log, by who makes them. `tests/it/audit/attacks.rs` makes
//! each of them and asserts this table.
//!
//! | attack | who writes to the database alone | who owns the whole data folder, no anchor | the same, against an anchor and a key kept elsewhere |
//! |---|---|---|---|
//! | edit an entry | caught | caught | caught |
//! | delete one | caught | caught | caught |
//! | exchange two | caught | caught | caught |
//! | put one in | caught | caught | caught |
//! | edit one and make hashes and chain anew | caught | caught | caught |
//! | change a right of a person, agent or token, or the columns beside an entry | caught | caught | caught |
//! | cut the end off, with its checkpoints | caught | **not noticed** | caught |
//! | put an older state back and let it grow | caught | **not noticed** | caught |
//! | make everything anew and sign it with the stolen key | caught | **not noticed** | caught |
//!
//! A log that tells of its having been put back is never called intact, unless whoever verifies says that they know of it.
//!
//! What nothing signed covers yet, the entries after the last checkpoint, can be changed by whoever makes hashes and
//! chain anew: their number is told.

pub mod checkpoint;
mod entry;
pub mod export;
pub mod kinds;
pub mod note;
pub mod ocsf;
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
