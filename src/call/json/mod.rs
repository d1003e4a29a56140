//! The one JSON reader: keeps byte spans, refuses what two parsers could read differently.
//!
//! Placet shows, hashes, stores and forwards the bytes it received, so it never serialises
//! a message again. It reads the text into a tree of spans, and changes a message, where it
//! must (a hidden tool leaves `tools/list`), by [`splice`] on the original text.

mod canonical;
mod document;
mod duplicates;
mod edit;
mod error;
mod parser;
mod text;

#[cfg(test)]
mod corpus;
#[cfg(test)]
pub(crate) mod properties;
#[cfg(test)]
mod tests;

pub use canonical::{canonical, canonical_members};
pub use document::{Document, Kind, Member, Node, Span, push_pointer};
pub use duplicates::{alike, duplicates};
pub use edit::{compact_lines, cut_elements, cut_member, element_cuts, member_cuts, splice};
pub use error::{JsonError, JsonErrorKind};
pub use parser::{DEEPEST, read_reporting, read_strict};
pub use text::{line_column, quote, quote_into};

/// How much a text may hold before it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest accepted text, in bytes.
    pub max_bytes: usize,
    /// Deepest accepted nesting of arrays and objects: `[[0]]` is 2 deep.
    /// Values above [`DEEPEST`] count as [`DEEPEST`].
    pub max_depth: usize,
}

impl Default for Limits {
    /// 1 MiB, 64 levels.
    fn default() -> Self {
        Self { max_bytes: 1 << 20, max_depth: 64 }
    }
}
