//! JSON texts inside strings: policy documents arrive so, and tricks hide there.

use crate::call::json::{Document, JsonError, Limits, read_strict};

/// What a string holds.
pub(super) enum Embedded<'a> {
    /// An object or array that everybody reads alike.
    Document(Document<'a>),
    /// It begins like an object or array and is none, or one that parsers read differently.
    Broken(JsonError),
    /// Ordinary text.
    Text,
}

/// Reads the string as JSON if it begins so. The string was inside a text that was accepted, so its size is bounded.
pub(super) fn embedded(text: &str) -> Embedded<'_> {
    let trimmed = text.trim_start_matches('\u{feff}').trim_start();
    let Some(inside) = trimmed.strip_prefix(['{', '[']) else {
        return Embedded::Text;
    };
    let limits = Limits { max_bytes: usize::MAX, ..Limits::default() };
    match read_strict(text.as_bytes(), &limits) {
        Ok(doc) => Embedded::Document(doc),
        Err(error) if begins_like_json(trimmed, inside) => Embedded::Broken(error),
        Err(_) => Embedded::Text,
    }
}

/// Tells `{"a": …` and `[{…` from `{placeholder}` and `[INFO] done`.
fn begins_like_json(text: &str, inside: &str) -> bool {
    let inside = inside.trim_start();
    let object = inside.starts_with(['"', '\'', '}', '/']);
    let array = inside.starts_with(['{', '[', '"', ']']);
    if text.starts_with('{') { object } else { array }
}
