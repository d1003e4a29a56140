//! Arguments laid out for reading: rows for the page, and documents pretty-printed, wherever they hide.

mod pretty;

#[cfg(test)]
mod tests;

pub use pretty::{CodeLine, pretty};

use super::embedded::{Embedded, embedded};
use crate::call::json::{Document, Kind as Value, Member, Node, Span};
use crate::call::secrets::{Mask, masks};

/// More values than these are not laid out: a page of so many rows would show less, not more.
pub const MOST_VALUES: usize = 10_000;

/// Whether secrets are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reveal {
    /// Secrets are masked and their rows marked as such.
    Masked,
    /// Everything is shown as it is.
    Revealed,
}

/// A JSON value laid out for reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    /// In the order of the text; every [`Row::Open`] has its [`Row::Close`]. The members of an object given as the
    /// whole are at the outermost level.
    pub rows: Vec<Row>,
    /// How many values and keys are masked.
    pub masked: usize,
}

/// One row. A `key` is a member's decoded name, an element's number from 0, or empty for the value as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// An object or array begins.
    Open {
        /// Its name.
        key: String,
        /// What it is.
        brackets: Brackets,
        /// How many parts it has.
        len: usize,
    },
    /// The innermost open object or array ends.
    Close,
    /// A value without parts.
    Leaf {
        /// Its name.
        key: String,
        /// What it is.
        kind: Kind,
        /// The decoded string, the number's exact text, the word, or the masked text.
        text: String,
        /// A remark: that it looks like JSON and why it cannot be read.
        note: Option<String>,
    },
    /// A document as a block of pretty-printed lines.
    Document {
        /// Its name.
        key: String,
        /// The lines.
        lines: Vec<CodeLine>,
        /// How it was given: "a JSON text inside a string".
        note: Option<String>,
    },
}

/// The two sorts of container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Brackets {
    /// An object.
    Object,
    /// An array.
    Array,
}

/// The sorts of value without parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    String,
    /// A number.
    Number,
    /// true, false or null.
    Word,
    /// A value that is masked, wholly or in part, and could be revealed.
    Secret,
    /// `{}` or `[]`.
    Empty,
}

impl Tree {
    /// Lays out a document. A string that holds an object or array is shown as that document, and so is a policy
    /// document given as an object. What has more than [`MOST_VALUES`] values is shown as it was received.
    pub fn of(doc: &Document<'_>, reveal: Reveal) -> Self {
        let masks = match reveal {
            Reveal::Masked => masks(doc),
            Reveal::Revealed => Vec::new(),
        };
        let mut layout = Layout { doc, masks: &masks, rows: Vec::new() };
        match doc.root().as_object() {
            _ if values(doc.root()) > MOST_VALUES => layout.raw(),
            Some(members) => members.iter().for_each(|m| layout.member(m)),
            None => layout.node(String::new(), doc.root()),
        }
        Self { rows: layout.rows, masked: masks.len() }
    }
}

/// A whole document as pretty-printed lines; strings that hold an object or array are laid out as such.
pub fn lines(doc: &Document<'_>, reveal: Reveal) -> Vec<CodeLine> {
    match reveal {
        Reveal::Masked => pretty::unfolded(doc, &masks(doc)),
        Reveal::Revealed => pretty::unfolded(doc, &[]),
    }
}

/// The mask for a value or key, if it has one. Masks come in the order of the text.
fn mask_of(masks: &[Mask], span: Span) -> Option<&str> {
    let at = masks.binary_search_by_key(&span.start, |mask| mask.span.start).ok()?;
    Some(&masks[at].text)
}

struct Layout<'d, 'a> {
    doc: &'d Document<'a>,
    masks: &'d [Mask],
    rows: Vec<Row>,
}

impl Layout<'_, '_> {
    fn member(&mut self, member: &Member<'_>) {
        let key = mask_of(self.masks, member.key_span).unwrap_or(&member.key);
        self.node(key.to_owned(), &member.value);
    }

    /// Recursion is bounded by the reader's depth.
    fn node(&mut self, key: String, node: &Node<'_>) {
        let masked = mask_of(self.masks, node.span);
        match (&node.kind, masked) {
            (Value::String(text), _) => self.string(key, text, masked),
            (_, Some(masked)) => self.leaf(key, Kind::Secret, masked, None),
            (Value::Number(text), None) => self.leaf(key, Kind::Number, text, None),
            (Value::Null | Value::Bool(_), None) => self.leaf(key, Kind::Word, self.doc.slice(node.span), None),
            (Value::Array(elements), None) if elements.is_empty() => self.leaf(key, Kind::Empty, "[]", None),
            (Value::Object(members), None) if members.is_empty() => self.leaf(key, Kind::Empty, "{}", None),
            _ if is_policy(node) => {
                let lines = pretty::lines(self.doc, node, self.masks);
                self.rows.push(Row::Document { key, lines, note: Some("a policy document".to_owned()) });
            }
            (Value::Array(elements), None) => {
                self.rows.push(Row::Open { key, brackets: Brackets::Array, len: elements.len() });
                elements.iter().enumerate().for_each(|(at, element)| self.node(at.to_string(), element));
                self.rows.push(Row::Close);
            }
            (Value::Object(members), None) => {
                self.rows.push(Row::Open { key, brackets: Brackets::Object, len: members.len() });
                members.iter().for_each(|m| self.member(m));
                self.rows.push(Row::Close);
            }
        }
    }

    /// `masked` stands for the text where something in it is secret; it keeps the structure of JSON inside.
    fn string(&mut self, key: String, text: &str, masked: Option<&str>) {
        let shown = masked.unwrap_or(text);
        let kind = if masked.is_some() { Kind::Secret } else { Kind::String };
        match embedded(shown) {
            Embedded::Document(doc) if values(doc.root()) <= MOST_VALUES => {
                let what = if is_policy(doc.root()) { "a policy document, as JSON text" } else { "a JSON text" };
                let hidden = if masked.is_some() { "; secrets are masked" } else { "" };
                let lines = pretty::lines(&doc, doc.root(), &[]);
                self.rows.push(Row::Document { key, lines, note: Some(format!("{what} inside a string{hidden}")) });
            }
            Embedded::Document(_) => self.leaf(key, kind, shown, Some(too_many("a JSON text inside a string"))),
            Embedded::Broken(error) => {
                let note = format!("looks like JSON inside a string, but cannot be read safely: {error}");
                self.leaf(key, kind, shown, Some(note));
            }
            Embedded::Text => self.leaf(key, kind, shown, None),
        }
    }

    /// The whole text as received, but for what is masked.
    fn raw(&mut self) {
        let text = pretty::masked_text(self.doc, self.masks);
        let kind = if self.masks.is_empty() { Kind::String } else { Kind::Secret };
        self.leaf(String::new(), kind, &text, Some(too_many("the arguments")));
    }

    fn leaf(&mut self, key: String, kind: Kind, text: &str, note: Option<String>) {
        self.rows.push(Row::Leaf { key, kind, text: text.to_owned(), note });
    }
}

fn too_many(what: &str) -> String {
    format!("{what}, of more than {MOST_VALUES} values: shown as received, not laid out")
}

/// How many values a tree has; stops counting a little above [`MOST_VALUES`].
fn values(node: &Node<'_>) -> usize {
    let parts = |count, part: &Node<'_>| if count > MOST_VALUES { count } else { count + values(part) };
    match &node.kind {
        Value::Array(elements) => elements.iter().fold(1, parts),
        Value::Object(members) => members.iter().map(|member| &member.value).fold(1, parts),
        _ => 1,
    }
}

/// Whether this is an IAM policy document, a statement, or a list of statements, in whichever case it is written.
fn is_policy(node: &Node<'_>) -> bool {
    let has = |key: &str| node.as_object().unwrap_or_default().iter().any(|m| m.key.eq_ignore_ascii_case(key));
    match &node.kind {
        Value::Object(_) => has("Statement") || has("Effect") && (has("Action") || has("NotAction")),
        Value::Array(elements) => {
            !elements.is_empty() && elements.iter().all(|e| e.as_object().is_some() && is_policy(e))
        }
        _ => false,
    }
}
