//! Why a JSON text was refused, in words for whoever sent it.

use std::fmt;

use super::quote;

/// A refusal and where in the text it arose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// Byte offset of the place; for [`JsonErrorKind::TooLarge`] it is the limit itself.
    pub offset: usize,
    /// What was wrong there.
    pub kind: JsonErrorKind,
}

/// The reasons to refuse a JSON text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JsonErrorKind {
    /// More bytes than [`super::Limits::max_bytes`].
    TooLarge,
    /// Bytes that are not valid UTF-8.
    NotUtf8,
    /// The text begins with U+FEFF; some parsers skip it, others fail.
    ByteOrderMark,
    /// Arrays and objects nested deeper than [`super::Limits::max_depth`].
    TooDeep,
    /// One object has this (decoded) key twice; the offset is that of the second.
    DuplicateKey(String),
    /// A `\u` escape names half of a surrogate pair.
    LoneSurrogate,
    /// An unescaped control character (this byte) stands in a string.
    ControlCharacter(u8),
    /// Nothing but whitespace.
    Empty,
    /// Something follows the value.
    TrailingText,
    /// The text breaks JSON's grammar; the words say what was expected.
    Syntax(&'static str),
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.offset;
        match &self.kind {
            JsonErrorKind::TooLarge => {
                write!(f, "the JSON text is larger than the limit of {at} bytes")
            }
            JsonErrorKind::NotUtf8 => {
                write!(f, "the JSON text is not valid UTF-8 at byte {at}")
            }
            JsonErrorKind::ByteOrderMark => write!(f, "the JSON text begins with a byte order mark; send it without"),
            JsonErrorKind::TooDeep => write!(f, "arrays and objects are nested deeper than allowed at byte {at}"),
            JsonErrorKind::DuplicateKey(key) => write!(
                f,
                "the key {} occurs twice in one object at byte {at}, so its meaning is ambiguous",
                quote(&shortened(key))
            ),
            JsonErrorKind::LoneSurrogate => {
                write!(f, "the \\u escape at byte {at} is half of a surrogate pair and names no character")
            }
            JsonErrorKind::ControlCharacter(byte) => {
                write!(f, "the control character U+{byte:04X} at byte {at} must be escaped inside a string")
            }
            JsonErrorKind::Empty => write!(f, "the JSON text is empty"),
            JsonErrorKind::TrailingText => {
                write!(f, "something follows the end of the JSON value at byte {at}")
            }
            JsonErrorKind::Syntax(expected) => {
                write!(f, "this is not JSON: {expected} at byte {at}")
            }
        }
    }
}

impl std::error::Error for JsonError {}

/// A key may be as long as the whole text; a message need not be.
fn shortened(key: &str) -> String {
    const SHOWN: usize = 80;
    match key.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &key[..end]),
        None => key.to_owned(),
    }
}
