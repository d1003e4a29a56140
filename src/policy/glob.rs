//! Globs over texts, character by character. The matcher that paths are found with works on bytes: a `?` would be half a
//! letter there, and `[é]` one of two bytes of it.

use regex::{Regex, RegexBuilder};

/// A glob: `*` is anything, a `/` too, `?` one character, `[a-z]` one of these, `{a,b}` one of these, which may be
/// nothing.
#[derive(Clone, Debug)]
pub(super) struct Glob {
    glob: globset::Glob,
    matcher: Regex,
}

impl Glob {
    /// Reads a glob.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn new(text: &str) -> Result<Self, String> {
        let mut builder = globset::GlobBuilder::new(text);
        let builder = builder.literal_separator(false).backslash_escape(true).empty_alternates(true);
        let glob = builder.build().map_err(|error| error.kind().to_string())?;
        let matcher = RegexBuilder::new(&of_characters(glob.regex())).dot_matches_new_line(true).build();
        Ok(Self { glob, matcher: matcher.map_err(|_| "it is too large".to_owned())? })
    }

    /// As written.
    pub fn text(&self) -> &str {
        self.glob.glob()
    }

    /// For sets of globs, which are right about ASCII alone.
    pub fn of_bytes(&self) -> &globset::Glob {
        &self.glob
    }

    pub fn is_match(&self, text: &str) -> bool {
        self.matcher.is_match(text)
    }
}

/// The regular expression of a glob, in which a character beyond ASCII stands as its bytes, each `\xNN`, with the
/// characters themselves.
fn of_characters(regex: &str) -> String {
    let regex = regex.strip_prefix("(?-u)").unwrap_or(regex);
    let (mut read, mut bytes, mut rest) = (String::with_capacity(regex.len()), Vec::new(), regex);
    while let Some(c) = rest.chars().next() {
        let byte = rest.strip_prefix("\\x").and_then(|hex| u8::from_str_radix(hex.get(..2)?, 16).ok());
        let taken = match (c, byte) {
            (_, Some(byte)) => {
                bytes.push(byte);
                "\\xNN".len()
            }
            // A backslash and what it escapes, which may be another one.
            ('\\', None) => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            _ => c.len_utf8(),
        };
        if byte.is_none() {
            read.push_str(&String::from_utf8_lossy(&std::mem::take(&mut bytes)));
            read.push_str(&rest[..taken]);
        }
        rest = &rest[taken..];
    }
    read.push_str(&String::from_utf8_lossy(&bytes));
    read
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_character_is_one_whatever_its_bytes() {
        for (glob, text, expected) in [
            ("?", "é", true),
            ("??", "é", false),
            ("[é]", "é", true),
            ("[éà]", "à", true),
            ("[à-ü]x", "éx", true),
            ("[!é]", "à", true),
            ("[!é]", "é", false),
            ("{é,☃}*", "☃", true),
            ("a{,b}", "a", true),
            ("a{,b}", "ab", true),
            ("a{}", "a", true),
            (r"\\x41", r"\x41", true),
            (r"\\x41", "A", false),
            (r"\\é?", "\\é\n", true),
            ("*", "\n/é", true),
            ("*", "", true),
        ] {
            assert_eq!(Glob::new(glob).unwrap().is_match(text), expected, "{glob} {text:?}");
        }
        for bad in ["[", "{a", "a}", "[b-a]", "\\"] {
            assert!(Glob::new(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn of_ascii_both_say_the_same(glob in r"[ab*?,.{}\[\]!\\^/-]{1,8}", text in r"[ab,.{}\[\]!\\^/\n-]{0,5}") {
            if let Ok(glob) = Glob::new(&glob) {
                let bytes = glob.of_bytes().compile_matcher();
                prop_assert_eq!(glob.is_match(&text), bytes.is_match(&text), "{}", glob.text());
            }
        }
    }
}
