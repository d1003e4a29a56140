//! The tree that a JSON text is read into, every part with its place in that text.

use std::borrow::Cow;

/// A half-open range of byte offsets into the text that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte.
    pub start: usize,
    /// Offset behind the last byte.
    pub end: usize,
}

/// A JSON text together with the tree that was read from it.
#[derive(Clone, Debug)]
pub struct Document<'a> {
    text: &'a str,
    root: Node<'a>,
}

impl<'a> Document<'a> {
    pub(super) fn new(text: &'a str, root: Node<'a>) -> Self {
        Self { text, root }
    }

    /// The whole text as received, surrounding whitespace included.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// The outermost value.
    pub fn root(&self) -> &Node<'a> {
        &self.root
    }

    /// The exact text at `span`, which must come from this document.
    pub fn slice(&self, span: Span) -> &'a str {
        &self.text[span.start..span.end]
    }
}

/// One JSON value and where it stands; a string's span includes its quotes.
#[derive(Clone, Debug)]
pub struct Node<'a> {
    /// The place of the value in the text.
    pub span: Span,
    /// The value.
    pub kind: Kind<'a>,
}

/// What a JSON value is.
#[derive(Clone, Debug)]
pub enum Kind<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// The exact text of the number: no conversion can lose a digit of it.
    Number(&'a str),
    /// The decoded text; borrowed where the source has no escapes.
    String(Cow<'a, str>),
    /// The elements in their order.
    Array(Vec<Node<'a>>),
    /// The members in their order. A strict reading holds no key twice.
    Object(Vec<Member<'a>>),
}

/// One key and its value in an object.
#[derive(Clone, Debug)]
pub struct Member<'a> {
    /// The decoded key.
    pub key: Cow<'a, str>,
    /// The place of the key in the text, quotes included.
    pub key_span: Span,
    /// The value.
    pub value: Node<'a>,
}

impl Member<'_> {
    /// From the key's first quote to the end of the value.
    pub fn span(&self) -> Span {
        Span { start: self.key_span.start, end: self.value.span.end }
    }
}

impl<'a> Node<'a> {
    /// The value of the first member of that key, where this is an object.
    pub fn get(&self, key: &str) -> Option<&Node<'a>> {
        self.as_object()?.iter().find(|member| member.key == key).map(|member| &member.value)
    }

    /// The decoded text, where this is a string.
    pub fn as_str(&self) -> Option<&str> {
        match &self.kind {
            Kind::String(text) => Some(text),
            _ => None,
        }
    }

    /// The truth value, where this is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self.kind {
            Kind::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// The exact text of the number, where this is one.
    pub fn as_number(&self) -> Option<&str> {
        match self.kind {
            Kind::Number(text) => Some(text),
            _ => None,
        }
    }

    /// The elements, where this is an array.
    pub fn as_array(&self) -> Option<&[Node<'a>]> {
        match &self.kind {
            Kind::Array(elements) => Some(elements),
            _ => None,
        }
    }

    /// The members, where this is an object.
    pub fn as_object(&self) -> Option<&[Member<'a>]> {
        match &self.kind {
            Kind::Object(members) => Some(members),
            _ => None,
        }
    }

    /// Whether this is `null`.
    pub fn is_null(&self) -> bool {
        matches!(self.kind, Kind::Null)
    }

    /// The value that a JSON Pointer (RFC 6901) names, seen from here.
    /// A pointer that is malformed or leads nowhere gives `None`.
    pub fn pointer(&self, pointer: &str) -> Option<&Node<'a>> {
        if pointer.is_empty() {
            return Some(self);
        }
        pointer.strip_prefix('/')?.split('/').try_fold(self, |node, token| match &node.kind {
            Kind::Object(_) => node.get(&unescape_token(token)?),
            Kind::Array(elements) => elements.get(array_index(token)?),
            _ => None,
        })
    }
}

/// Appends one reference token to a JSON Pointer, escaped as RFC 6901 asks.
pub fn push_pointer(pointer: &mut String, token: &str) {
    pointer.push('/');
    for c in token.chars() {
        match c {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            c => pointer.push(c),
        }
    }
}

fn unescape_token(token: &str) -> Option<Cow<'_, str>> {
    if !token.contains('~') {
        return Some(Cow::Borrowed(token));
    }
    let mut plain = String::with_capacity(token.len());
    let mut chars = token.chars();
    while let Some(c) = chars.next() {
        plain.push(match c {
            '~' => match chars.next()? {
                '0' => '~',
                '1' => '/',
                _ => return None,
            },
            c => c,
        });
    }
    Some(Cow::Owned(plain))
}

fn array_index(token: &str) -> Option<usize> {
    let canonical = token == "0" || !token.starts_with('0');
    let digits = token.bytes().all(|b| b.is_ascii_digit());
    (canonical && digits).then(|| token.parse().ok()).flatten()
}
