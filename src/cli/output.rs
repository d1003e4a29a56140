//! How commands speak: what was asked for on stdout, everything else on stderr, and an exit code that scripts can use.

use std::fmt::Display;
use std::io::Write as _;
use std::process::ExitCode;

use crate::explain::trickery::{Segment, segments};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// The answer is no: invalid, rejected.
    No = 1,
    /// Could not tell.
    Failed = 2,
    /// Wrong usage.
    Usage = 64,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Prints what was asked for. A reader that has gone away is not an error.
pub fn say(line: impl Display) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// Tells a person something beside what was asked for.
pub fn complain(line: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// What an agent or a server wrote, for a terminal: it must not move the cursor or hide what stands beside it.
pub fn visible(text: &str) -> String {
    let visible = |segment| match segment {
        Segment::Text(text) => text.to_owned(),
        Segment::Badge { label, .. } => format!("⟦{label}⟧"),
    };
    segments(text).into_iter().map(visible).collect()
}
