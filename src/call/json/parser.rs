//! Recursive descent over the bytes, the depth bounded, one pass, spans kept.

use std::borrow::Cow;

use super::{Document, JsonError, JsonErrorKind, Kind, Limits, Member, Node, Span, duplicates};

/// No [`Limits`] reach deeper than this: the reader and all who walk its tree use the stack.
pub const DEEPEST: usize = 256;

/// Reads one JSON text and refuses whatever another parser might understand differently:
/// invalid UTF-8, a byte order mark, duplicate keys, lone surrogates, and everything that
/// RFC 8259 does not allow, as well as what exceeds `limits`.
pub fn read_strict<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Document<'a>, JsonError> {
    read(bytes, limits, None).map(|(document, _)| document)
}

/// Reads as [`read_strict`] does, but goes on behind the faults after which a tree can still
/// be built (duplicate keys, lone surrogates, control characters in strings) and returns
/// them with it: for files that a person wrote and wants to hear everything about. Never
/// for what is forwarded.
///
/// # Errors
/// The first fault that leaves no tree: broken grammar, bad UTF-8, `limits`.
pub fn read_reporting<'a>(bytes: &'a [u8], limits: &Limits) -> Result<(Document<'a>, Vec<JsonError>), JsonError> {
    read(bytes, limits, Some(Vec::new()))
}

fn read<'a>(
    bytes: &'a [u8],
    limits: &Limits,
    faults: Option<Vec<JsonError>>,
) -> Result<(Document<'a>, Vec<JsonError>), JsonError> {
    if bytes.len() > limits.max_bytes {
        return Err(error(limits.max_bytes, JsonErrorKind::TooLarge));
    }
    let text = std::str::from_utf8(bytes).map_err(|invalid| error(invalid.valid_up_to(), JsonErrorKind::NotUtf8))?;
    if text.starts_with('\u{feff}') {
        return Err(error(0, JsonErrorKind::ByteOrderMark));
    }
    let mut parser = Parser { text, bytes, at: 0, levels_left: limits.max_depth.min(DEEPEST), faults };
    parser.skip_whitespace();
    if parser.peek().is_none() {
        return Err(error(parser.at, JsonErrorKind::Empty));
    }
    let root = parser.value()?;
    parser.skip_whitespace();
    match parser.peek() {
        None => Ok((Document::new(text, root), parser.faults.unwrap_or_default())),
        Some(_) => Err(error(parser.at, JsonErrorKind::TrailingText)),
    }
}

fn error(offset: usize, kind: JsonErrorKind) -> JsonError {
    JsonError { offset, kind }
}

struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    levels_left: usize,
    /// Where faults are collected; `None`: the first one ends the reading.
    faults: Option<Vec<JsonError>>,
}

impl<'a> Parser<'a> {
    /// A fault after which the tree could still be built. Everything of that sort passes
    /// through here, so that reporting instead of refusing is decided in one place.
    fn fault(&mut self, offset: usize, kind: JsonErrorKind) -> Result<(), JsonError> {
        let fault = error(offset, kind);
        match &mut self.faults {
            Some(faults) => faults.push(fault),
            None => return Err(fault),
        }
        Ok(())
    }

    fn syntax<T>(&self, expected: &'static str) -> Result<T, JsonError> {
        Err(error(self.at, JsonErrorKind::Syntax(expected)))
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_whitespace(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Steps over `byte` if it comes next.
    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Reads the value that begins at this very byte.
    fn value(&mut self) -> Result<Node<'a>, JsonError> {
        let start = self.at;
        let kind = match self.peek() {
            Some(b'{') => self.nested(Self::object)?,
            Some(b'[') => self.nested(Self::array)?,
            Some(b'"') => Kind::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => Kind::Number(self.number()?),
            Some(b't') => self.word("true", Kind::Bool(true))?,
            Some(b'f') => self.word("false", Kind::Bool(false))?,
            Some(b'n') => self.word("null", Kind::Null)?,
            _ => return self.syntax("a value is missing"),
        };
        let span = Span { start, end: self.at };
        Ok(Node { span, kind })
    }

    fn word(&mut self, word: &str, kind: Kind<'a>) -> Result<Kind<'a>, JsonError> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return self.syntax("only true, false and null may stand without quotes");
        }
        self.at += word.len();
        Ok(kind)
    }

    fn nested(&mut self, body: fn(&mut Self) -> Result<Kind<'a>, JsonError>) -> Result<Kind<'a>, JsonError> {
        let Some(left) = self.levels_left.checked_sub(1) else {
            return Err(error(self.at, JsonErrorKind::TooDeep));
        };
        self.levels_left = left;
        self.at += 1;
        let kind = body(self)?;
        self.levels_left += 1;
        Ok(kind)
    }

    /// Reads on behind the opening bracket.
    fn array(&mut self) -> Result<Kind<'a>, JsonError> {
        let mut elements = Vec::new();
        self.skip_whitespace();
        if self.take(b']') {
            return Ok(Kind::Array(elements));
        }
        loop {
            self.skip_whitespace();
            elements.push(self.value()?);
            self.skip_whitespace();
            if self.take(b']') {
                return Ok(Kind::Array(elements));
            }
            if !self.take(b',') {
                return self.syntax("a comma or the end of the array is missing");
            }
        }
    }

    /// Reads on behind the opening brace.
    fn object(&mut self) -> Result<Kind<'a>, JsonError> {
        let mut members = Vec::new();
        self.skip_whitespace();
        if self.take(b'}') {
            return Ok(Kind::Object(members));
        }
        loop {
            self.skip_whitespace();
            members.push(self.member()?);
            self.skip_whitespace();
            if self.take(b'}') {
                break;
            }
            if !self.take(b',') {
                return self.syntax("a comma or the end of the object is missing");
            }
        }
        for at in duplicates(&members) {
            let Member { key, key_span, .. } = &members[at];
            self.fault(key_span.start, JsonErrorKind::DuplicateKey(key.clone().into_owned()))?;
        }
        Ok(Kind::Object(members))
    }

    fn member(&mut self) -> Result<Member<'a>, JsonError> {
        let start = self.at;
        if self.peek() != Some(b'"') {
            return self.syntax("a key in double quotes is missing");
        }
        let key = self.string()?;
        let key_span = Span { start, end: self.at };
        self.skip_whitespace();
        if !self.take(b':') {
            return self.syntax("a colon is missing");
        }
        self.skip_whitespace();
        let value = self.value()?;
        Ok(Member { key, key_span, value })
    }

    fn number(&mut self) -> Result<&'a str, JsonError> {
        let start = self.at;
        self.take(b'-');
        if self.take(b'0') {
            if let Some(b'0'..=b'9') = self.peek() {
                return self.syntax("a number may not begin with a zero");
            }
        } else {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _signed = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start {
            return self.syntax("a digit is missing");
        }
        Ok(())
    }

    /// Reads a string from its opening quote; borrows unless there is something to decode.
    fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        self.at += 1;
        let first = self.at;
        self.skip_plain();
        if self.take(b'"') {
            return Ok(Cow::Borrowed(&self.text[first..self.at - 1]));
        }
        let mut decoded = String::from(&self.text[first..self.at]);
        loop {
            match self.peek() {
                None => return self.syntax("the closing quote of a string is missing"),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(decoded));
                }
                Some(b'\\') => decoded.push(self.escape()?),
                Some(control) => {
                    self.fault(self.at, JsonErrorKind::ControlCharacter(control))?;
                    decoded.push(char::from(control));
                    self.at += 1;
                }
            }
            let plain = self.at;
            self.skip_plain();
            decoded.push_str(&self.text[plain..self.at]);
        }
    }

    /// Steps over what a string holds literally; stops at ASCII, so on a character boundary.
    fn skip_plain(&mut self) {
        let rest = &self.bytes[self.at..];
        self.at += rest.iter().position(|&byte| byte == b'"' || byte == b'\\' || byte < 0x20).unwrap_or(rest.len());
    }

    /// Reads an escape from its backslash.
    fn escape(&mut self) -> Result<char, JsonError> {
        let start = self.at;
        let Some(letter) = self.bytes.get(start + 1) else {
            return self.syntax("the closing quote of a string is missing");
        };
        let plain = match letter {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = self.hex_escape()?;
                return self.character(start, unit);
            }
            _ => return self.syntax("an unknown escape stands in a string"),
        };
        self.at += 2;
        Ok(plain)
    }

    /// Completes a UTF-16 code unit to a character, with the low half that follows it.
    fn character(&mut self, start: usize, unit: u16) -> Result<char, JsonError> {
        if let Some(c) = char::from_u32(u32::from(unit)) {
            return Ok(c);
        }
        let behind_high = self.at;
        if unit < 0xdc00 && self.bytes[self.at..].starts_with(b"\\u") {
            let low = self.hex_escape()?;
            if let Some(Ok(c)) = char::decode_utf16([unit, low]).next() {
                return Ok(c);
            }
            self.at = behind_high;
        }
        self.fault(start, JsonErrorKind::LoneSurrogate)?;
        Ok(char::REPLACEMENT_CHARACTER)
    }

    /// Reads `\uXXXX`.
    fn hex_escape(&mut self) -> Result<u16, JsonError> {
        let digits = self.bytes.get(self.at + 2..self.at + 6).unwrap_or(b"");
        let mut unit = 0;
        for &digit in digits {
            let Some(value) = char::from(digit).to_digit(16) else {
                return self.syntax("four hexadecimal digits must follow \\u");
            };
            unit = unit << 4 | value as u16;
        }
        if digits.len() < 4 {
            return self.syntax("four hexadecimal digits must follow \\u");
        }
        self.at += 6;
        Ok(unit)
    }
}
