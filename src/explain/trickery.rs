//! Finds what hides or misleads in a text: characters without a shape, look-alikes, texts pushed out of sight.
//!
//! [`segments`] makes one text showable; [`tricks`] lists what is wrong in a whole JSON document.

mod characters;
mod lookalikes;
mod walk;

#[cfg(test)]
mod tests;

use std::fmt;

pub use walk::tricks;

/// The sorts of trick, named for scripts as in the API's `tricks[].kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrickKind {
    /// Characters that change the direction of text.
    Bidi,
    /// Characters that take no room, or leave blank room.
    ZeroWidth,
    /// Control characters, terminal escapes among them.
    Control,
    /// Letters that look like others.
    Confusable,
    /// One word of letters from several alphabets.
    MixedScript,
    /// One object has a key twice.
    DuplicateKey,
    /// A key that the format does not have.
    UnknownKey,
    /// A key that the format has in another case.
    WrongCase,
    /// Text that is encoded more often than needed.
    Encoded,
    /// A line too long to be read.
    LongLine,
    /// Spaces that are none, or so many that what follows is out of sight.
    Whitespace,
    /// What is meant is not in the call.
    Opaque,
    /// Looks like a document and cannot be read as one.
    Unparsable,
}

impl TrickKind {
    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bidi => "bidi",
            Self::ZeroWidth => "zero_width",
            Self::Control => "control",
            Self::Confusable => "confusable",
            Self::MixedScript => "mixed_script",
            Self::DuplicateKey => "duplicate_key",
            Self::UnknownKey => "unknown_key",
            Self::WrongCase => "wrong_case",
            Self::Encoded => "encoded",
            Self::LongLine => "long_line",
            Self::Whitespace => "whitespace",
            Self::Opaque => "opaque",
            Self::Unparsable => "unparsable",
        }
    }
}

impl fmt::Display for TrickKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Something that hides or misleads, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trick {
    /// What sort.
    pub kind: TrickKind,
    /// The JSON Pointer of the value. A second pointer behind `#` leads on inside a JSON text that the string
    /// there holds. Very long ones end in `…`; empty also where a line sums up what was left off.
    pub where_: String,
    /// How it looks once the hidden is visible, in one line.
    pub shown: String,
}

/// A piece of a text to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment<'a> {
    /// Characters that show themselves.
    Text(&'a str),
    /// Something to be named instead, as it would not be seen.
    Badge {
        /// The character, `U+202E`; repeated, `U+200B×12`.
        label: String,
        /// What it is in plain words: "right-to-left override".
        name: &'static str,
        /// Which sort of trick it is.
        kind: TrickKind,
    },
}

/// From here on a run of blanks can push what follows out of sight.
const LONG_BLANK: usize = 40;

/// From here on a line is too long to be read, in characters.
const LONG_LINE: usize = 2000;

/// Splits a text into what shows itself and badges for what does not: nothing is dropped, and the characters of
/// text and badges in their order are the input. Line feed, tab and space are text, but for runs of 40 or more.
pub fn segments(text: &str) -> Vec<Segment<'_>> {
    let mut segments = Vec::new();
    let mut shown_to = 0;
    for badge in characters::badges(text) {
        if shown_to < badge.start {
            segments.push(Segment::Text(&text[shown_to..badge.start]));
        }
        shown_to = badge.end;
        segments.push(Segment::Badge { label: badge.label(), name: badge.name, kind: badge.kind });
    }
    if shown_to < text.len() {
        segments.push(Segment::Text(&text[shown_to..]));
    }
    segments
}
