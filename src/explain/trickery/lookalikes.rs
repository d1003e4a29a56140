//! Words that are not spelled with the letters they seem to have (UTS #39, through `unicode-security`).

use unicode_security::{MixedScript, skeleton};

use super::TrickKind;

/// A misleading word.
pub(super) struct LookAlike {
    /// Letters of several alphabets, or letters that all look like ASCII.
    pub kind: TrickKind,
    /// What to say about it.
    pub shown: String,
}

/// The misleading words of a text, in their order.
pub(super) fn look_alikes(text: &str) -> impl Iterator<Item = LookAlike> {
    let tokens = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|token| !token.is_ascii());
    tokens.flat_map(move |token| {
        // A letter that stands alone is a word in many languages: suspicious only as the whole of a value.
        let alone = token != text && token.chars().nth(1).is_none();
        let words = words(token).filter(move |_| !alone);
        words.filter_map(misleading_word).chain(misleading_sign(token))
    })
}

/// Runs of letters and digits that are not all ASCII; `user-Иван` is two words, each in its own alphabet.
fn words(token: &str) -> impl Iterator<Item = &str> {
    token.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_ascii())
}

fn misleading_word(word: &str) -> Option<LookAlike> {
    if !word.chars().any(char::is_alphabetic) {
        return None;
    }
    if !word.is_single_script() {
        let shown = format!("“{word}” mixes alphabets: {}", foreign(word));
        return Some(LookAlike { kind: TrickKind::MixedScript, shown });
    }
    // Most words of other languages hold a letter that looks like no ASCII letter.
    let seems = word.chars().map(twin).collect::<Option<String>>()?;
    let shown = format!("“{word}” looks like “{seems}”, but has {}", foreign(word));
    Some(LookAlike { kind: TrickKind::Confusable, shown })
}

/// A sign between ASCII letters that looks like another one, as in `arn：aws` or `my‐user`. Curly quotes are
/// left alone: they stand in prose.
fn misleading_sign(token: &str) -> Option<LookAlike> {
    let chars: Vec<char> = token.chars().collect();
    let sign = chars.windows(3).map(|near| (near[0], near[1], near[2])).find(|&(before, c, behind)| {
        let tight = before.is_ascii_alphanumeric() && (behind.is_ascii_alphanumeric() || behind == '*');
        tight && !c.is_ascii() && !c.is_alphanumeric() && !('\u{2018}'..='\u{201f}').contains(&c) && twin(c).is_some()
    });
    let (_, c, _) = sign?;
    let seems = twin(c)?;
    let number = u32::from(c);
    let shown = format!("“{token}” has “{c}” (U+{number:04X}), which looks like “{seems}”");
    Some(LookAlike { kind: TrickKind::Confusable, shown })
}

/// The ASCII text that the character looks like; an ASCII character looks like itself.
fn twin(c: char) -> Option<String> {
    if c.is_ascii() {
        return Some(c.to_string());
    }
    let mut buffer = [0; 4];
    let seems: String = skeleton(c.encode_utf8(&mut buffer)).collect();
    (!seems.is_empty() && seems.is_ascii()).then_some(seems)
}

/// The characters of a word that are not ASCII, with their numbers: `а (U+0430)`.
fn foreign(word: &str) -> String {
    const NAMED: usize = 4;
    let mut named = Vec::new();
    for c in word.chars().filter(|c| !c.is_ascii()) {
        let entry = format!("{c} (U+{:04X})", u32::from(c));
        if named.len() < NAMED && !named.contains(&entry) {
            named.push(entry);
        }
    }
    named.join(", ")
}
