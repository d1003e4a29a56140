//! Values given to telling names in a text: `NAME=value`, `name: value`, `--name value`, and names that stand in a
//! value themselves, `name: DB_PASSWORD` and then `value: …`.

use super::names::{Name, is_plural, secret_name, secret_place};
use super::scan::{closing_quote, is_name, is_quote, is_word, run_end, run_start, run_within, step};
use super::{MASK, Span};

/// Keys whose value names what stands beside it.
pub(super) const NAMES: &[&str] = &[
    "name",
    "key",
    "header",
    "headername",
    "parameterkey",
    "parametername",
    "parameter",
    "param",
    "field",
    "fieldname",
    "variable",
    "var",
    "env",
    "option",
    "option_name",
    "setting",
    "attribute",
    "property",
    "element",
    "selector",
    "type",
    "k",
];

/// Keys of what stands beside such a name.
pub(super) const VALUES: &[&str] = &[
    "value",
    "values",
    "val",
    "v",
    "parametervalue",
    "headervalue",
    "fieldvalue",
    "stringvalue",
    "optionvalue",
    "option_value",
    "content",
    "data",
    "default",
    "text",
];

/// The name that the text has told last, and where that ended.
#[derive(Default)]
pub(super) struct Pairs {
    told: Option<(Name, usize)>,
}

/// An assignment that begins at a word.
struct Assignment {
    name_end: usize,
    /// Where the value begins, quotes included.
    value: usize,
    /// Where the sign ends.
    behind: usize,
    colon: bool,
}

/// The value given to a telling name whose name begins at `at`.
pub(super) fn find(text: &str, at: usize, pairs: &mut Pairs) -> Option<Span> {
    let bytes = text.as_bytes();
    // A name of several words is judged at its first.
    let is_option = option_dash(bytes, at);
    if at > 0 && is_name(bytes[at - 1]) && !is_option {
        return None;
    }
    let Some(found) = read(bytes, at, is_option) else {
        return said(text, at);
    };
    let name_text = &text[at..found.name_end];
    let Some(name) = secret_name(name_text) else {
        return pairs.beside(text, name_text, &found);
    };
    let quoted = opening(bytes, found.value);
    // `arn:aws:secretsmanager:…:secret:name` assigns nothing, and `"tokens": 12` counts.
    let opens = matches!(bytes.get(found.value), Some(b'[' | b'{'));
    if found.colon && found.value == found.behind && quoted.is_none() && name != Name::Header && !opens {
        return None;
    }
    let plural = is_plural(name_text);
    let span = match bytes[found.value..].first() {
        Some(b'[') => listed(bytes, found.value, name)?,
        Some(b'{') if plural => listed(bytes, found.value, name)?,
        _ => value(bytes, found.value, name),
    };
    if name == Name::Token && quoted.is_none() && plural && is_count(&bytes[span.start..span.end]) {
        return None;
    }
    let another_option = is_option && bytes.get(found.value) == Some(&b'-');
    let masked = text[span.start..].starts_with(MASK);
    (span.start < span.end && !masked && !another_option).then_some(span)
}

/// `PASSWORD 'secret'` and `IDENTIFIED BY 'secret'`, as SQL has it, and `password is secret`, as people do. "The secret "db" is not there" and
/// "unexpected token '<'" are told every day and give nothing away.
fn said(text: &str, at: usize) -> Option<Span> {
    const LONGEST: usize = 64;
    let bytes = text.as_bytes();
    let end = run_within(bytes, at, LONGEST, is_word);
    let value = run_within(bytes, end, 4, is_space);
    if value == end {
        return None;
    }
    let quoted = opening(bytes, value);
    let plain = bytes[value..].starts_with(b"is ");
    if quoted.is_none() && !plain {
        return None;
    }
    let word = text[at..end].to_ascii_lowercase();
    let by = word == "by" && follows(bytes, at, b"identified");
    let told = ["password", "passwd", "passphrase", "pwd"].iter().any(|name| word.ends_with(name));
    let Some((escapes, quote)) = quoted else {
        return told.then(|| spoken(bytes, value + "is ".len())).flatten();
    };
    let start = value + escapes + 1;
    (told || by).then(|| Span { start, end: closing_quote(bytes, start, quote, escapes) })
}

/// "The password is hunter2": a word of letters and digits, not "required" nor "14".
fn spoken(bytes: &[u8], at: usize) -> Option<Span> {
    const SHORTEST: usize = 6;
    const LONGEST: usize = 128;
    let inside = |b: u8| b.is_ascii_graphic() && !b"\"'`,;()<>".contains(&b);
    let end = run_within(bytes, at, LONGEST, inside);
    let word = bytes[at..end].strip_suffix(b".").unwrap_or(&bytes[at..end]);
    let mixed = word.iter().any(u8::is_ascii_digit) && word.iter().any(u8::is_ascii_alphabetic);
    (mixed && word.len() >= SHORTEST).then_some(Span { start: at, end: at + word.len() })
}

/// Whether that word stands before `at`, in either case.
fn follows(bytes: &[u8], at: usize, word: &[u8]) -> bool {
    let end = run_start(bytes, at, 4, is_space);
    end >= word.len() && bytes[end - word.len()..end].eq_ignore_ascii_case(word)
}

/// What stands in the brackets that open at `at`, on one line if they are braces; nothing where it is all numbers.
fn listed(bytes: &[u8], at: usize, name: Name) -> Option<Span> {
    let braces = bytes[at] == b'{';
    let mut depth = 0_usize;
    let mut end = at;
    for &byte in &bytes[at..] {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            b'\n' if braces => depth = 0,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        end += 1;
    }
    step(end - at);
    let inside = &bytes[at + 1..end];
    let numbers = inside.iter().all(|&b| b.is_ascii_digit() || b.is_ascii_whitespace() || b",.-".contains(&b));
    (!(numbers && name == Name::Token)).then_some(Span { start: at + 1, end })
}

impl Pairs {
    /// `name: DB_PASSWORD` is remembered; `value: …` close behind it is a secret.
    fn beside(&mut self, text: &str, key: &str, found: &Assignment) -> Option<Span> {
        const NEAR: usize = 80;
        let bytes = text.as_bytes();
        let is = |list: &[&str]| list.iter().any(|word| key.eq_ignore_ascii_case(word));
        if is(VALUES)
            && let Some((name, end)) = self.told
            && end <= found.value
            && found.value - end <= NEAR
            && !bytes[end..found.value].contains(&b'}')
        {
            self.told = None;
            let span = value(bytes, found.value, name);
            return (span.start < span.end).then_some(span);
        }
        if is(NAMES) {
            let Span { start, end } = bounded_value(bytes, found.value);
            let told = &text[start..end];
            let name = if key.len() > 4 { secret_place(told) } else { secret_name(told) };
            // A type between a name and its value says nothing.
            if name.is_some() || !key.eq_ignore_ascii_case("type") {
                self.told = name.map(|name| (name, end));
            }
        }
        None
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// The parts of what is assigned at `at`; `None` where nothing is.
fn read(bytes: &[u8], at: usize, is_option: bool) -> Option<Assignment> {
    let name_end = run_end(bytes, at, is_name);
    let quotes_end = run_end(bytes, name_end, |b| b == b'\\' || is_quote(b));
    let sign = run_end(bytes, quotes_end, is_space);
    let (behind, colon) = match bytes.get(sign)? {
        b'=' => (run_end(bytes, sign + 1, |b| matches!(b, b'=' | b'>')), false),
        b':' => (run_end(bytes, sign + 1, |b| b == b'='), true),
        _ if is_option && sign > name_end => (sign, false),
        _ => return None,
    };
    Some(Assignment { name_end, value: run_end(bytes, behind, is_space), behind, colon })
}

/// How many backslashes stand before the quote that opens the value, and which quote that is.
fn opening(bytes: &[u8], at: usize) -> Option<(usize, u8)> {
    let escapes = run_end(bytes, at, |b| b == b'\\') - at;
    bytes.get(at + escapes).filter(|&&b| is_quote(b)).map(|&quote| (escapes, quote))
}

/// The value that begins at `at`, without its quotes.
fn value(bytes: &[u8], at: usize, name: Name) -> Span {
    if let Some((escapes, quote)) = opening(bytes, at) {
        let start = at + escapes + 1;
        return Span { start, end: closing_quote(bytes, start, quote, escapes) };
    }
    let end = match name {
        Name::Header => run_end(bytes, at, |b| !matches!(b, b'\r' | b'\n' | b'"' | b'\'')),
        _ => bare_end(bytes, at),
    };
    Span { start: at, end }
}

/// Where a value without quotes ends. A comma is part of it unless another name follows or the value is over.
fn bare_end(bytes: &[u8], at: usize) -> usize {
    const LONGEST_NAME: usize = 64;
    let inside = |b: u8| !b.is_ascii_whitespace() && !b"\"'`,;&|<>()[]{}\\".contains(&b);
    let mut end = run_end(bytes, at, inside);
    while bytes.get(end) == Some(&b',') {
        let name_end = run_within(bytes, end + 1, LONGEST_NAME, is_name);
        let more = run_within(bytes, end + 1, 1, inside) > end + 1;
        if !more || matches!(bytes.get(name_end), Some(b'=' | b':')) {
            break;
        }
        end = run_end(bytes, end + 1, inside);
    }
    end
}

/// As [`value`], of what may be a name: short, and on one line.
fn bounded_value(bytes: &[u8], at: usize) -> Span {
    const LONGEST: usize = 128;
    let escapes = run_within(bytes, at, 8, |b| b == b'\\');
    let start = if bytes.get(escapes).is_some_and(|&b| is_quote(b)) { escapes + 1 } else { at };
    let inside = |b: u8| b.is_ascii_alphanumeric() || !b.is_ascii() || b"_-. #/:".contains(&b);
    let end = run_within(bytes, start, LONGEST, inside);
    // The limit may lie within a character.
    let end = if end - start == LONGEST { start } else { end };
    Span { start, end }
}

/// "tokens: 1200" is a count.
fn is_count(value: &[u8]) -> bool {
    const LONGEST: usize = 9;
    value.len() <= LONGEST && value.iter().all(u8::is_ascii_digit)
}

/// Whether the word at `at` is an option's name, `-name` or `--name`.
fn option_dash(bytes: &[u8], at: usize) -> bool {
    let dashes = at - run_start(bytes, at, 3, |b| b == b'-');
    let before = at.checked_sub(dashes + 1).map(|before| bytes[before]);
    (1..3).contains(&dashes) && !before.is_some_and(|b| is_word(b) || b == b'-')
}
