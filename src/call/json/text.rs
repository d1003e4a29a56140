//! Small text helpers around JSON: quoting, and places that a person can find.

use std::fmt::Write;

/// A JSON string literal for `text`, quotes included. Control characters, line breaks of
/// every kind and invisible direction marks are escaped, so that it stays one honest line.
pub fn quote(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    quote_into(&mut literal, text);
    literal
}

/// Appends what [`quote`] returns.
pub fn quote_into(out: &mut String, text: &str) {
    out.push('"');
    let mut copied = 0;
    for (at, c) in text.char_indices() {
        if !must_escape(c) {
            continue;
        }
        out.push_str(&text[copied..at]);
        copied = at + c.len_utf8();
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // All that must be escaped lies in the basic plane: one unit.
            c => write!(out, "\\u{:04x}", c as u32).unwrap_or_default(),
        }
    }
    out.push_str(&text[copied..]);
    out.push('"');
}

fn must_escape(c: char) -> bool {
    match c {
        '"' | '\\' => true,
        ' '..='~' => false,
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' => true,
        '\u{2060}'..='\u{206f}' | '\u{feff}' => true,
        c => c.is_control(),
    }
}

/// Line and column of a byte offset, both counted from 1, the column in characters.
/// An offset behind the end, or inside a character, counts as the nearest place before.
pub fn line_column(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(offset)];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = before.bytes().filter(|&b| b == b'\n').count() + 1;
    (line, before[line_start..].chars().count() + 1)
}
