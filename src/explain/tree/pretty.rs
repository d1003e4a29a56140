//! JSON pretty-printed from its source: two spaces a level, every string and number as it was written.

use super::super::embedded::{Embedded, embedded};
use super::{Kind, MOST_VALUES, mask_of, values};
use crate::call::json::{Document, Kind as Value, Node, quote, splice};
use crate::call::secrets::Mask;

/// One line of pretty-printed JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeLine {
    /// Levels of indentation, two spaces each.
    pub indent: usize,
    /// The member's name as written, escapes included, without its quotes.
    pub key: Option<String>,
    /// The value as written, or a bracket.
    pub value: String,
    /// What the value is; `None` for a bracket.
    pub kind: Option<Kind>,
    /// Whether a comma follows.
    pub comma: bool,
    /// How the value was given, where it is not shown as it was written.
    pub note: Option<&'static str>,
}

/// The value in two-space indentation, one member or element a line. Strings keep their escapes, numbers their text.
pub fn pretty(doc: &Document<'_>, node: &Node<'_>) -> String {
    let mut text = String::new();
    for line in lines(doc, node, &[]) {
        if !text.is_empty() {
            text.push('\n');
        }
        text.extend(std::iter::repeat_n("  ", line.indent));
        if let Some(key) = line.key {
            text.push('"');
            text.push_str(&key);
            text.push_str("\": ");
        }
        text.push_str(&line.value);
        if line.comma {
            text.push(',');
        }
    }
    text
}

/// As [`pretty`], in lines, with masked values in place.
pub(super) fn lines(doc: &Document<'_>, node: &Node<'_>, masks: &[Mask]) -> Vec<CodeLine> {
    let mut printer = Printer { doc, masks, unfolds: false, lines: Vec::new() };
    printer.node(node, 0, None, false);
    printer.lines
}

/// As [`lines`], with strings that hold an object or array laid out as such, and said so. One level deep: what such
/// a text holds in its own strings stays as written.
pub(super) fn unfolded(doc: &Document<'_>, masks: &[Mask]) -> Vec<CodeLine> {
    let mut printer = Printer { doc, masks, unfolds: true, lines: Vec::new() };
    printer.node(doc.root(), 0, None, false);
    printer.lines
}

/// The document's text with masked values in place.
pub(super) fn masked_text(doc: &Document<'_>, masks: &[Mask]) -> String {
    let mut edits: Vec<_> = masks.iter().map(|mask| (mask.span, quote(&mask.text))).collect();
    splice(doc.text(), &mut edits)
}

struct Printer<'d, 'a> {
    doc: &'d Document<'a>,
    masks: &'d [Mask],
    unfolds: bool,
    lines: Vec<CodeLine>,
}

impl Printer<'_, '_> {
    /// Recursion is bounded by the reader's depth.
    fn node(&mut self, node: &Node<'_>, indent: usize, key: Option<String>, comma: bool) {
        match &node.kind {
            Value::Array(elements) if !elements.is_empty() => {
                self.line(indent, key, "[".to_owned(), None, false);
                for (at, element) in elements.iter().enumerate() {
                    self.node(element, indent + 1, None, at + 1 < elements.len());
                }
                self.line(indent, None, "]".to_owned(), None, comma);
            }
            Value::Object(members) if !members.is_empty() => {
                self.line(indent, key, "{".to_owned(), None, false);
                for (at, member) in members.iter().enumerate() {
                    let masked = mask_of(self.masks, member.key_span).map(quote);
                    let quoted = masked.as_deref().unwrap_or_else(|| self.doc.slice(member.key_span));
                    let name = quoted[1..quoted.len() - 1].to_owned();
                    self.node(&member.value, indent + 1, Some(name), at + 1 < members.len());
                }
                self.line(indent, None, "}".to_owned(), None, comma);
            }
            Value::String(text) if self.unfolds => self.string(node, text, indent, key, comma),
            _ => {
                let (kind, value) = self.leaf(node);
                self.line(indent, key, value, Some(kind), comma);
            }
        }
    }

    fn string(&mut self, node: &Node<'_>, text: &str, indent: usize, key: Option<String>, comma: bool) {
        let inside = match embedded(mask_of(self.masks, node.span).unwrap_or(text)) {
            Embedded::Document(inside) if values(inside.root()) <= MOST_VALUES => lines(&inside, inside.root(), &[]),
            _ => Vec::new(),
        };
        if inside.len() < 2 {
            let (kind, value) = self.leaf(node);
            return self.line(indent, key, value, Some(kind), comma);
        }
        let last = inside.len() - 1;
        for (at, mut line) in inside.into_iter().enumerate() {
            line.indent += indent;
            line.comma |= comma && at == last;
            if at == 0 {
                line.key.clone_from(&key);
                line.note = Some("JSON text inside a string");
            }
            self.lines.push(line);
        }
    }

    fn leaf(&self, node: &Node<'_>) -> (Kind, String) {
        if let Some(masked) = mask_of(self.masks, node.span) {
            return (Kind::Secret, quote(masked));
        }
        let source = || self.doc.slice(node.span).to_owned();
        match &node.kind {
            Value::Null | Value::Bool(_) => (Kind::Word, source()),
            Value::Number(_) => (Kind::Number, source()),
            Value::String(_) => (Kind::String, source()),
            Value::Array(_) => (Kind::Empty, "[]".to_owned()),
            Value::Object(_) => (Kind::Empty, "{}".to_owned()),
        }
    }

    fn line(&mut self, indent: usize, key: Option<String>, value: String, kind: Option<Kind>, comma: bool) {
        self.lines.push(CodeLine { indent, key, value, kind, comma, note: None });
    }
}
