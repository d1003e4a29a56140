//! Other people's words in a mail: hidden characters made visible, lengths bounded, headers kept to one line.

use std::fmt::Write as _;

/// Whether a character shows nothing of itself, or rearranges what stands around it: control characters, bidi
/// controls, zero-width characters, line and paragraph separators, tags, variation selectors, fillers.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// The text with every hidden character written as `⟦U+202E⟧`, line breaks and tabs included.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) {
            // Writing to a String cannot fail.
            let _ = write!(out, "⟦U+{:04X}⟧", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

/// At most `most` characters, the last of them `…` where something was cut off.
#[must_use]
pub fn bounded(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// What may stand in a header: one line, nothing hidden, at most `most` characters.
#[must_use]
pub fn header(text: &str, most: usize) -> String {
    // Bounded first, so that a megabyte of control characters is not written out eight times as long.
    bounded(visible(&bounded(text, most)).trim(), most)
}

/// A name as it stands in a sentence: visible, at most 80 characters.
#[must_use]
pub fn name(text: &str) -> String {
    header(text, 80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_characters_are_named() {
        assert_eq!(visible("a\u{202e}b\r\n\0\u{200b}é漢"), "a⟦U+202E⟧b⟦U+000D⟧⟦U+000A⟧⟦U+0000⟧⟦U+200B⟧é漢");
        assert_eq!(visible("\u{e0041}\u{85}\u{feff}"), "⟦U+E0041⟧⟦U+0085⟧⟦U+FEFF⟧");
    }

    #[test]
    fn a_header_is_one_bounded_line() {
        let nasty = "x\r\nBcc: a@b\r\n\r\nbody".repeat(10_000);
        let header = header(&nasty, 150);
        assert!(header.chars().count() <= 150 && !header.chars().any(char::is_control));
        assert_eq!(bounded("漢字漢字", 3), "漢字…");
        assert_eq!(bounded("漢字", 2), "漢字");
        assert_eq!(bounded("x", 0), "…");
    }
}
