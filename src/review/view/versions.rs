//! A version of the policy: its text, and what differs from the one before.

use askama::Template;

use super::{Chrome, Text, Time};

/// `/policy/versions/{entry}`
#[derive(Debug, Clone, Template)]
#[template(path = "version.html")]
pub struct VersionPage {
    /// Top bar and banners; `nav` is Tools.
    pub chrome: Chrome,
    /// The start of the file's SHA-256.
    pub version: String,
    /// The whole of it.
    pub digest: String,
    /// When it came into force.
    pub at: Time,
    /// The version before, and when it came into force.
    pub before: Option<(String, Time)>,
    /// The text; `None` where it is not kept.
    pub text: Option<Text>,
    /// What differs from the version before; `None` where one of the texts is not kept.
    pub changes: Option<Changes>,
}

/// What differs between two versions.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// Lines that were put in.
    pub added: usize,
    /// Lines that were taken out.
    pub removed: usize,
    /// Those lines with a few around them.
    pub lines: Vec<Line>,
}

/// A line of a difference.
#[derive(Debug, Clone)]
pub enum Line {
    /// It stands in both.
    Kept(Text),
    /// It was taken out.
    Removed(Text),
    /// It was put in.
    Added(Text),
    /// So many lines that stand in both are left out.
    Skipped(usize),
}
