//! Secrets in XML: the text of an element whose name, or whose `name` or `key` attribute, tells of one, and what
//! follows a `<key>` or `<name>` that does. Attributes that tell by their own name are found as assignments.

use super::Span;
use super::assigned::NAMES;
use super::names::{Name, is_plural, secret_name};
use super::scan::{is_name, run_end, run_within, step};

/// Elements open at once; of more, the outermost are forgotten. What closes is sought among so many.
const DEPTH: usize = 32;

/// An element whose text is secret once it closes: `<token>` in prose never does.
struct Open<'t> {
    name: &'t str,
    /// Where its texts begin in the list of texts.
    texts: usize,
    /// Whether numbers are counts.
    counts: bool,
}

struct Reader<'t> {
    text: &'t str,
    open: Vec<Open<'t>>,
    /// What stands between tags since the outermost open element began.
    texts: Vec<Span>,
    found: Vec<Span>,
    /// `<key>password</key>` came before.
    told: Option<Name>,
    /// The last opening tag, and where it ended.
    last: Option<(&'t str, usize)>,
}

/// The texts to cover.
pub(super) fn find(text: &str) -> Vec<Span> {
    let bytes = text.as_bytes();
    let mut reader = Reader { text, open: Vec::new(), texts: Vec::new(), found: Vec::new(), told: None, last: None };
    let mut at = run_end(bytes, 0, |b| b != b'<');
    let mut text_start = at;
    while at < bytes.len() {
        let Some((tag, end)) = Tag::read(text, at) else {
            at = run_end(bytes, at + 1, |b| b != b'<');
            continue;
        };
        if !reader.open.is_empty() && text_start < at {
            reader.texts.push(Span { start: text_start, end: at });
        }
        reader.tag(&tag, at, end);
        text_start = end;
        at = run_end(bytes, end, |b| b != b'<');
    }
    reader.found
}

struct Tag<'t> {
    /// Without what stands before a colon.
    name: &'t str,
    attributes: &'t str,
    closes: bool,
    /// `<a/>`
    empty: bool,
}

impl<'t> Tag<'t> {
    /// The tag that begins at `at`, and where it ends. Tags with other tags in them are none, so nothing is read twice.
    fn read(text: &'t str, at: usize) -> Option<(Self, usize)> {
        let bytes = text.as_bytes();
        let closes = bytes.get(at + 1) == Some(&b'/');
        let name_start = at + 1 + usize::from(closes);
        let name_end = run_end(bytes, name_start, |b| is_name(b) || b == b':' || !b.is_ascii());
        let end = run_end(bytes, name_end, |b| b != b'>' && b != b'<');
        if name_end == name_start || bytes.get(end) != Some(&b'>') {
            return None;
        }
        let name = &text[name_start..name_end];
        let name = name.rsplit(':').next().unwrap_or(name);
        let attributes = &text[name_end..end];
        Some((Self { name, attributes, closes, empty: attributes.ends_with('/') }, end + 1))
    }

    /// What the element's name or its attributes promise.
    fn promises(&self) -> Option<(Name, bool)> {
        let by_name = secret_name(self.name).map(|name| (name, is_plural(self.name)));
        by_name.or_else(|| self.named_by_attribute().map(|name| (name, false)))
    }

    /// `<entry key="password">`
    fn named_by_attribute(&self) -> Option<Name> {
        let bytes = self.attributes.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            let start = run_end(bytes, at, |b| !is_name(b));
            let end = run_end(bytes, start, is_name);
            let open = run_within(bytes, end, 2, |b| matches!(b, b'=' | b'"' | b'\''));
            let value_end = run_end(bytes, open, |b| !matches!(b, b'"' | b'\''));
            let key = &self.attributes[start..end];
            if open == end + 2
                && matches!(key, "key" | "name" | "Name" | "Key")
                && let Some(name) = secret_name(&self.attributes[open..value_end])
            {
                return Some(name);
            }
            at = if open > end { value_end + 1 } else { end.max(at + 1) };
        }
        None
    }
}

impl<'t> Reader<'t> {
    fn tag(&mut self, tag: &Tag<'t>, at: usize, end: usize) {
        if tag.closes {
            self.close(tag.name);
            self.tell(tag.name, at);
            return;
        }
        self.last = Some((tag.name, end));
        let told = self.told.take();
        if tag.empty {
            return;
        }
        let promised = tag.promises().or(told.map(|name| (name, false)));
        if let Some((name, plural)) = promised {
            if self.open.len() == DEPTH {
                self.open.remove(0);
            }
            let counts = name == Name::Token && plural;
            self.open.push(Open { name: tag.name, texts: self.texts.len(), counts });
        }
    }

    /// The texts of the innermost open element of that name are secret.
    fn close(&mut self, name: &str) {
        step(self.open.len());
        let Some(at) = self.open.iter().rposition(|open| open.name == name) else { return };
        let Open { texts, counts, .. } = self.open[at];
        self.open.truncate(at);
        for span in self.texts.drain(texts..) {
            self.found.extend(trimmed(self.text, span).filter(|inner| !(counts && is_number(self.text, *inner))));
        }
    }

    /// Remembers `<key>password</key>` and `<name>password</name>` for the element behind.
    fn tell(&mut self, name: &str, at: usize) {
        const LONGEST: usize = 128;
        let Some((opened, start)) = self.last.take() else { return };
        let tells = NAMES.iter().any(|known| opened.eq_ignore_ascii_case(known));
        if opened == name && tells && at - start <= LONGEST {
            self.told = secret_name(&self.text[start..at]);
        }
    }
}

fn is_number(text: &str, span: Span) -> bool {
    text[span.start..span.end].bytes().all(|b| b.is_ascii_digit())
}

/// The span without the blanks around it, and without `<![CDATA[`, of which tags are no part.
fn trimmed(text: &str, span: Span) -> Option<Span> {
    let inner = &text[span.start..span.end];
    let kept = inner.trim();
    let start = span.start + (inner.len() - inner.trim_start().len());
    (!kept.is_empty()).then_some(Span { start, end: start + kept.len() })
}
