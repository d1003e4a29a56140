//! Secrets in indented text, as YAML has it: block scalars, lists and maps under a telling name, and the data of a
//! Kubernetes `kind: Secret`.

use super::Span;
use super::names::{Name, is_plural, secret_name};
use super::scan::{run_end, run_within, step};

/// Keys of a Kubernetes secret under which everything is secret.
pub(super) const DATA: &[&str] = &["data", "stringData"];

/// Keys under a telling name that say where the secret is kept, not what it is.
pub(super) const REFERENCES: &[&str] =
    &["secretKeyRef", "valueFrom", "secretRef", "configMapKeyRef", "fromSecret", "existingSecret"];

/// Keys of a schema, whose values describe a password and are none.
pub(super) const SCHEMA: &[&str] =
    &["format", "minLength", "maxLength", "writeOnly", "readOnly", "nullable", "required", "sensitive", "deprecated"];

/// Words of a schema behind `type`.
pub(super) const TYPES: &[&str] = &["string", "number", "integer", "boolean", "object", "array", "null"];

/// One line: `  - key: rest`.
struct Line<'t> {
    text: &'t str,
    /// Where its own text begins and ends.
    start: usize,
    end: usize,
    /// Where the text begins behind dashes.
    body: usize,
    /// How far its first character stands from the margin, and how far its text.
    margin: usize,
    column: usize,
}

/// What stands deeper than a telling name.
struct Block {
    /// How far the name stands from the margin.
    column: usize,
    counts: bool,
    /// A text of several lines, covered as one; else each line has its own value.
    scalar: Option<Span>,
    is_scalar: bool,
}

/// The values to cover.
pub(super) fn find(text: &str) -> Vec<Span> {
    let mut found = Vec::new();
    // One line has no block; most texts end here.
    if !text.contains('\n') {
        return found;
    }
    step(text.len());
    for document in documents(text) {
        let is_secret = lines(text, document).any(|line| {
            line.pair().is_some_and(|(key, rest)| {
                key == "kind" && matches!(rest_of(text, rest).trim_matches(['"', '\'']), "Secret" | "SealedSecret")
            })
        });
        let mut block: Option<Block> = None;
        for line in lines(text, document) {
            block = block.and_then(|block| block.goes_on(&line, &mut found));
            if block.is_none() {
                block = Block::begins(&line, is_secret, &mut found);
            }
        }
        found.extend(block.and_then(|block| block.scalar));
    }
    found
}

/// The documents of a text, divided by lines of three dashes.
fn documents(text: &str) -> Vec<Span> {
    let mut all = Vec::new();
    let mut start = 0;
    for (at, _) in text.match_indices("\n---") {
        all.push(Span { start, end: at });
        start = at + 1;
    }
    all.push(Span { start, end: text.len() });
    all
}

fn lines(text: &str, within: Span) -> impl Iterator<Item = Line<'_>> {
    let mut next = within.start;
    step(within.end - within.start);
    text[within.start..within.end].split('\n').map(move |line| {
        let start = next;
        next += line.len() + 1;
        Line::read(text, start, start + line.trim_end().len())
    })
}

fn rest_of(text: &str, span: Span) -> &str {
    let rest = &text[span.start..span.end];
    // A remark behind the value.
    rest.split_once(" #").map_or(rest, |(rest, _)| rest).trim()
}

impl<'t> Line<'t> {
    fn read(text: &'t str, start: usize, end: usize) -> Self {
        let bytes = &text.as_bytes()[..end];
        let first = run_end(bytes, start, |b| matches!(b, b' ' | b'\t'));
        let mut body = first;
        // Lists, lists of lists, and the marks of a difference.
        while matches!(bytes.get(body), Some(b'-' | b'+')) && bytes.get(body + 1) == Some(&b' ') {
            body = run_end(bytes, body + 1, |b| b == b' ');
        }
        Self { text, start: first, end, body, margin: first - start, column: body - start }
    }

    /// `key: rest`
    fn pair(&self) -> Option<(&'t str, Span)> {
        const LONGEST: usize = 128;
        let bytes = &self.text.as_bytes()[..self.end];
        let key_end = run_within(bytes, self.body, LONGEST, |b| b != b':' && !b.is_ascii_whitespace() && b != b'{');
        if bytes.get(key_end) != Some(&b':') || bytes.get(key_end + 1).is_some_and(|b| !b.is_ascii_whitespace()) {
            return None;
        }
        let key = self.text[self.body..key_end].trim_matches(['"', '\'']);
        let rest = run_end(bytes, key_end + 1, |b| matches!(b, b' ' | b'\t'));
        Some((key, Span { start: rest, end: self.end }))
    }

    fn is_blank(&self) -> bool {
        self.start >= self.end
    }
}

impl Block {
    /// The block that a line opens, if its key tells of a secret. What stands behind the key on the same line is
    /// covered here only where no other rule would: the data of a Kubernetes secret.
    fn begins(line: &Line<'_>, is_secret: bool, found: &mut Vec<Span>) -> Option<Self> {
        let (key, rest) = line.pair()?;
        let is_data = is_secret && DATA.contains(&key);
        let name = if is_data { Some(Name::Secret) } else { secret_name(key) }?;
        let counts = name == Name::Token && is_plural(key);
        let block = |is_scalar| Some(Self { column: line.column, counts, scalar: None, is_scalar });
        match rest_of(line.text, rest) {
            "" => block(false),
            "[" => block(false),
            "{" if is_plural(key) || is_data => block(false),
            sign if sign.starts_with(['|', '>']) && sign.len() <= 3 => block(true),
            _ if is_data => {
                found.extend(value_of(line.text, rest, false));
                None
            }
            _ => None,
        }
    }

    /// Covers a line of the block; nothing is left of it where the line is not its own.
    fn goes_on(mut self, line: &Line<'_>, found: &mut Vec<Span>) -> Option<Self> {
        if line.is_blank() {
            return Some(self);
        }
        let listed = line.column > line.margin && !self.is_scalar;
        if line.margin < self.column || (line.margin == self.column && !listed) {
            found.extend(self.scalar);
            return None;
        }
        if self.is_scalar {
            let start = self.scalar.map_or(line.start, |covered| covered.start);
            self.scalar = Some(Span { start, end: line.end });
            return Some(self);
        }
        let Some((key, rest)) = line.pair() else {
            found.extend(value_of(line.text, Span { start: line.body, end: line.end }, self.counts));
            return Some(self);
        };
        if REFERENCES.contains(&key) {
            return None;
        }
        let value = rest_of(line.text, rest);
        let describes = SCHEMA.contains(&key) || (key == "type" && TYPES.contains(&value));
        let opens = value.starts_with(['|', '>']) && value.len() <= 3;
        if !describes && !opens {
            found.extend(value_of(line.text, rest, self.counts));
        }
        Some(self)
    }
}

/// The value in what stands at a line's end: without its quotes and the signs of a list around it. With `counts`
/// numbers are none.
fn value_of(text: &str, span: Span, counts: bool) -> Option<Span> {
    let all = &text[span.start..span.end];
    let kept = all.trim_end_matches([',', ']', '}']);
    let inner = kept.trim_start_matches(['[', '{', '"', '\'']);
    let start = span.start + (kept.len() - inner.len());
    let end = start + inner.trim_end_matches(['"', '\'']).len();
    let number = text[start..end].bytes().all(|b| b.is_ascii_digit() || b == b'.');
    (start < end && !(counts && number)).then_some(Span { start, end })
}
