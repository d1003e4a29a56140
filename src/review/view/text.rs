//! Words on a page: hostile text with its hidden characters made visible.

use unicode_security::MixedScript;

/// A piece of a [`Text`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Characters that show themselves.
    Plain(String),
    /// A character that hides, moves others or looks like another one.
    Badge {
        /// What stands in the text, for example `⟦U+202E⟧`, or the character and its number.
        shown: String,
        /// What it does, in words, for the title and for screen readers.
        meaning: &'static str,
    },
}

/// Text from outside (names, arguments, reasons, results), ready to be shown.
///
/// Templates render it with the macro `text`, which puts it in `<bdi>`; nothing is cut. Make it with
/// [`Text::new`] from whatever an agent, an upstream or a person wrote.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Text(pub Vec<Piece>);

impl Text {
    /// Splits `raw` into plain pieces and badges. Line feeds stay; a carriage return, a tab and every
    /// other control, format, private or unassigned-looking character becomes a badge, and so does a
    /// letter from a second alphabet within one word (`pаypal` with a Cyrillic `а`).
    #[must_use]
    pub fn new(raw: &str) -> Self {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        for word in raw.split_inclusive(|c: char| !c.is_alphanumeric()) {
            let mixed = !word.is_ascii() && has_ascii_letter(word) && !word.is_single_script();
            for c in word.chars() {
                let badge = match hidden(c) {
                    Some(meaning) => Some((format!("⟦U+{:04X}⟧", u32::from(c)), meaning)),
                    None if mixed && c.is_alphabetic() && !c.is_ascii() => {
                        Some((format!("{c}⟦U+{:04X}⟧", u32::from(c)), "letter of another alphabet in this word"))
                    }
                    None => None,
                };
                match badge {
                    None => plain.push(c),
                    Some((shown, meaning)) => {
                        if !plain.is_empty() {
                            pieces.push(Piece::Plain(std::mem::take(&mut plain)));
                        }
                        pieces.push(Piece::Badge { shown, meaning });
                    }
                }
            }
        }
        if !plain.is_empty() {
            pieces.push(Piece::Plain(plain));
        }
        Self(pieces)
    }

    /// Whether it is of several lines.
    #[must_use]
    pub fn has_lines(&self) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Plain(plain) if plain.contains('\n')))
    }

    /// Whether anything in it had to be made visible.
    #[must_use]
    pub fn has_badges(&self) -> bool {
        self.0.iter().any(|p| matches!(p, Piece::Badge { .. }))
    }

    /// Whether there is nothing to show.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same words as one string, badges as they are shown: for titles and attributes.
    #[must_use]
    pub fn flat(&self) -> String {
        self.0
            .iter()
            .map(|piece| match piece {
                Piece::Plain(text) => text.as_str(),
                Piece::Badge { shown, .. } => shown.as_str(),
            })
            .collect()
    }
}

impl From<&str> for Text {
    fn from(raw: &str) -> Self {
        Self::new(raw)
    }
}

impl From<String> for Text {
    fn from(raw: String) -> Self {
        Self::new(&raw)
    }
}

/// A number with commas between groups of three digits: `48,211`. (Templates pass by reference.)
#[must_use]
pub fn grouped(number: &u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn has_ascii_letter(word: &str) -> bool {
    word.bytes().any(|b| b.is_ascii_alphabetic())
}

/// What a character does that the eye cannot see, or `None` where it shows itself.
fn hidden(c: char) -> Option<&'static str> {
    Some(match c {
        '\n' => return None,
        '\t' => "tab",
        '\r' => "carriage return",
        '\u{1b}' => "escape, starts a terminal command",
        '\u{0}'..='\u{1f}' | '\u{7f}' => "control character",
        '\u{80}'..='\u{9f}' => "control character (C1)",
        '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => "unusual space",
        '\u{ad}' => "soft hyphen, invisible",
        '\u{61c}' | '\u{200e}' | '\u{200f}' => "direction mark, invisible",
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => "changes the direction of the text",
        '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}' => "zero width, invisible",
        '\u{2028}' | '\u{2029}' => "line or paragraph separator",
        '\u{34f}' | '\u{2061}'..='\u{2065}' | '\u{206a}'..='\u{206f}' => "invisible",
        '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{2800}' => "blank letter",
        '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' => "invisible",
        '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' => "variation selector, invisible",
        '\u{e0000}'..='\u{e007f}' => "tag character, invisible",
        '\u{fff9}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' => "invisible",
        '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{ffffd}' | '\u{100000}'..='\u{10fffd}' => {
            "private character, looks different everywhere"
        }
        c if u32::from(c) & 0xfffe == 0xfffe => "not a character",
        '\u{fdd0}'..='\u{fdef}' => "not a character",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_stays_one_piece() {
        let text = Text::new("put_user_policy für Zoë\n東京");
        assert_eq!(text.0.len(), 1);
        assert!(!text.has_badges());
    }

    #[test]
    fn what_hides_is_named() {
        let text = Text::new("admin\u{202e}nimda\u{200b}");
        assert_eq!(text.flat(), "admin⟦U+202E⟧nimda⟦U+200B⟧");
        assert!(Text::new("\u{1b}[2J").has_badges());
        assert!(Text::new("\u{e0041}").has_badges());
        assert!(Text::new("\u{10ffff}").has_badges());
    }

    #[test]
    fn a_foreign_letter_within_a_word_is_named_but_a_foreign_word_is_not() {
        assert_eq!(Text::new("p\u{430}ypal").flat(), "p\u{430}⟦U+0430⟧ypal");
        assert!(!Text::new("user Иван").has_badges());
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(
            [0, 999, 1000, 48_211, 1_000_000].each_ref().map(grouped),
            ["0", "999", "1,000", "48,211", "1,000,000"].map(str::to_owned)
        );
    }

    #[test]
    fn nothing_is_lost() {
        for raw in ["", "\n\n", "a b  c", "👩\u{200d}🔬"] {
            let plain: String = Text::new(raw)
                .0
                .iter()
                .map(|p| match p {
                    Piece::Plain(text) => text.clone(),
                    Piece::Badge { .. } => "\u{200d}".to_owned(),
                })
                .collect();
            assert_eq!(plain, raw);
        }
    }
}
