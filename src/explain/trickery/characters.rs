//! The characters that do not show themselves, and what they are called.

use super::{LONG_BLANK, TrickKind};

/// A run of one character that is named instead of shown.
pub(super) struct Badge {
    /// Byte offset of the run.
    pub start: usize,
    /// Byte offset behind it.
    pub end: usize,
    /// The character.
    pub character: char,
    /// What it is, in plain words.
    pub name: &'static str,
    /// Which sort of trick.
    pub kind: TrickKind,
}

impl Badge {
    /// How often the character stands there.
    pub fn count(&self) -> usize {
        (self.end - self.start) / self.character.len_utf8()
    }

    /// `U+202E`, or `U+200B×12` for a run.
    pub fn label(&self) -> String {
        let number = u32::from(self.character);
        match self.count() {
            1 => format!("U+{number:04X}"),
            count => format!("U+{number:04X}×{count}"),
        }
    }
}

/// The runs of characters in a text that need a badge, in their order. One pass.
pub(super) fn badges(text: &str) -> Vec<Badge> {
    let mut badges: Vec<Badge> = Vec::new();
    // A run of blanks, of one sort or mixed, becomes badges only when it turns out to be long: it is put down
    // as candidates, which are dropped when it ends too early.
    let mut kept = 0;
    let mut blanks = 0;
    for (start, character) in text.char_indices() {
        let blank = matches!(character, ' ' | '\t' | '\n');
        if !blank {
            if blanks < LONG_BLANK {
                badges.truncate(kept);
            }
            blanks = 0;
        }
        let Some((kind, name)) = describe(character) else {
            kept = badges.len();
            continue;
        };
        let end = start + character.len_utf8();
        match badges.last_mut() {
            Some(last) if last.character == character && last.end == start => last.end = end,
            _ => badges.push(Badge { start, end, character, name, kind }),
        }
        if blank {
            blanks += 1;
        } else {
            kept = badges.len();
        }
    }
    if blanks < LONG_BLANK {
        badges.truncate(kept);
    }
    badges
}

/// What a character is called that does not show itself. Space, tab and line feed do, unless there are many.
fn describe(c: char) -> Option<(TrickKind, &'static str)> {
    use TrickKind::{Bidi, Control, Whitespace, ZeroWidth};
    Some(match c {
        ' ' => (Whitespace, "many spaces"),
        '\t' => (Whitespace, "many tabs"),
        '\n' => (Whitespace, "many line breaks"),
        '!'..='~' => return None,
        '\0' => (Control, "null character"),
        '\u{7}' => (Control, "bell"),
        '\u{8}' => (Control, "backspace"),
        '\u{b}' => (Control, "vertical tab"),
        '\u{c}' => (Control, "form feed"),
        '\r' => (Control, "carriage return"),
        '\u{1b}' => (Control, "escape, begins a terminal command"),
        '\u{7f}' => (Control, "delete"),
        '\u{85}' => (Control, "next line"),
        '\u{9b}' => (Control, "begins a terminal command"),
        '\u{2028}' => (Control, "line separator"),
        '\u{2029}' => (Control, "paragraph separator"),
        '\u{fdd0}'..='\u{fdef}' => (Control, "not a character"),
        c if u32::from(c) & 0xfffe == 0xfffe => (Control, "not a character"),
        c if c.is_control() => (Control, "control character"),
        '\u{61c}' => (Bidi, "Arabic letter mark"),
        '\u{200e}' => (Bidi, "left-to-right mark"),
        '\u{200f}' => (Bidi, "right-to-left mark"),
        '\u{202a}' => (Bidi, "left-to-right embedding"),
        '\u{202b}' => (Bidi, "right-to-left embedding"),
        '\u{202c}' => (Bidi, "end of direction change"),
        '\u{202d}' => (Bidi, "left-to-right override"),
        '\u{202e}' => (Bidi, "right-to-left override"),
        '\u{2066}' => (Bidi, "left-to-right isolate"),
        '\u{2067}' => (Bidi, "right-to-left isolate"),
        '\u{2068}' => (Bidi, "first strong isolate"),
        '\u{2069}' => (Bidi, "end of direction isolate"),
        '\u{a0}' => (Whitespace, "no-break space"),
        '\u{202f}' => (Whitespace, "narrow no-break space"),
        '\u{3000}' => (Whitespace, "wide space"),
        '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{205f}' => (Whitespace, "unusual space"),
        '\u{ad}' => (ZeroWidth, "soft hyphen"),
        '\u{200b}' => (ZeroWidth, "zero width space"),
        '\u{200c}' => (ZeroWidth, "zero width non-joiner"),
        '\u{200d}' => (ZeroWidth, "zero width joiner"),
        '\u{2060}' => (ZeroWidth, "word joiner"),
        '\u{feff}' => (ZeroWidth, "byte order mark"),
        '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' => (ZeroWidth, "blank letter (Hangul filler)"),
        '\u{2800}' => (ZeroWidth, "blank braille pattern"),
        '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' => {
            (ZeroWidth, "variation selector")
        }
        '\u{e0000}'..='\u{e007f}' => (ZeroWidth, "tag character"),
        // The rest of Unicode's Default_Ignorable_Code_Point, and the marks of annotations, music and shorthand.
        '\u{34f}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}' | '\u{2061}'..='\u{2065}' | '\u{206a}'..='\u{206f}' => {
            (ZeroWidth, "invisible character")
        }
        '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' => {
            (ZeroWidth, "invisible character")
        }
        '\u{e0080}'..='\u{e00ff}' | '\u{e01f0}'..='\u{e0fff}' => (ZeroWidth, "invisible character"),
        '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{ffffd}' | '\u{100000}'..='\u{10fffd}' => {
            (Control, "private character, looks different everywhere")
        }
        _ => return None,
    })
}
