//! The tools that upstreams have listed, as they listed them.

use std::sync::Arc;

use crate::call::Digest;

/// A tool as its upstream last listed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownTool {
    /// Its name, decoded.
    pub name: String,
    /// SHA-256 of `json`.
    pub digest: Digest,
    /// The element of `tools`, byte for byte.
    pub json: Arc<str>,
}
