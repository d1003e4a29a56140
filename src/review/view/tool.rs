//! `/tools/{upstream}/{tool}`: what a tool says of itself, how that differs from what was accepted, and the form that
//! accepts it.

use askama::Template;

use super::call::Trick;
use super::{Chrome, Text, Time};
use crate::explain::difference::{self, Line, Side};

/// Where a tool's page is.
#[must_use]
pub fn path(upstream: &str, tool: &str) -> String {
    use std::fmt::Write as _;
    let mut path = String::from("/tools");
    for segment in [upstream, tool] {
        path.push('/');
        for byte in segment.bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
                path.push(char::from(byte));
            } else {
                // Writing into a String cannot fail.
                let _ = write!(path, "%{byte:02X}");
            }
        }
    }
    path
}

/// One tool.
#[derive(Debug, Clone, Template)]
#[template(path = "tool.html")]
pub struct ToolPage {
    /// Top bar and banners; `nav` is Tools.
    pub chrome: Chrome,
    /// The upstream's name.
    pub upstream: Text,
    /// The tool's name.
    pub tool: Text,
    /// This page's address, where the form goes below.
    pub path: String,
    /// When it was first seen.
    pub seen: Time,
    /// Where it stands.
    pub standing: Standing,
    /// Since when what was accepted counts; `None` where that is not known any more.
    pub accepted: Option<Accepted>,
    /// The difference; of a tool that has not changed, all that it says.
    pub lines: Vec<Shown>,
    /// Hidden characters and other tricks in what it says now.
    pub tricks: Vec<Trick>,
    /// Why this person may not accept; `None` where they may, or where there is nothing to accept.
    pub barred: Option<Barred>,
    /// The form to `…/acceptance` with `csrf`, `digest` and `reason`.
    pub form: Option<AcceptForm>,
}

/// Whether a tool has changed.
#[derive(Debug, Clone)]
pub enum Standing {
    /// It says what was accepted.
    Same,
    /// It says something else.
    Changed {
        /// Since when.
        at: Time,
        /// Its calls are refused meanwhile, not held.
        refused: bool,
        /// Nothing becomes of its calls: the policy does not mind.
        harmless: bool,
        /// Its last listing said again what was accepted before.
        back: bool,
    },
    /// What was accepted is not known: its row was changed behind Placet's back, or comes from a copy.
    Lost {
        /// Its calls are refused meanwhile, not held.
        refused: bool,
        /// It was not listed since, so that there is nothing to accept yet.
        unlisted: bool,
    },
}

/// How what counts came to count.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// When.
    pub at: Time,
    /// Who accepted it; `None`: it was seen like that at first.
    pub by: Option<Text>,
    /// Why.
    pub reason: Text,
}

/// Why a person may not accept.
#[derive(Debug, Clone)]
pub enum Barred {
    /// Reads everything, decides nothing.
    Auditor,
    /// Others review this tool's calls.
    OtherGroup(Vec<Text>),
}

/// The form.
#[derive(Debug, Clone)]
pub struct AcceptForm {
    /// What is accepted.
    pub digest: String,
    /// It is what was accepted before.
    pub keeps: bool,
    /// What was wrong with the last try.
    pub error: Option<String>,
    /// The reason typed then.
    pub reason: String,
}

/// A line, ready to be shown.
#[derive(Debug, Clone)]
pub enum Shown {
    /// In both, or of a text that has not changed.
    Both(Text),
    /// Gone: pieces, and whether the new line lacks them.
    Old(Vec<(Text, bool)>),
    /// New: pieces, and whether the old line lacks them.
    New(Vec<(Text, bool)>),
    /// So many unchanged lines are left out.
    Left(usize),
}

/// How `new` differs from `old`.
#[must_use]
pub fn compared(old: &str, new: &str) -> Vec<Shown> {
    let shown = |line: Line| match line {
        Line::Left(count) => Shown::Left(count),
        Line::Text { side, pieces } => {
            let whole = || Text::new(&pieces.iter().map(|piece| piece.text.as_str()).collect::<String>());
            let marked = || pieces.iter().map(|piece| (Text::new(&piece.text), piece.changed)).collect();
            match side {
                Side::Both => Shown::Both(whole()),
                Side::Old => Shown::Old(marked()),
                Side::New => Shown::New(marked()),
            }
        }
    };
    difference::difference(old, new).into_iter().map(shown).collect()
}

/// All lines of a text that is compared with nothing.
#[must_use]
pub fn alone(text: &str) -> Vec<Shown> {
    difference::laid_out(text).iter().map(|line| Shown::Both(Text::new(line))).collect()
}
