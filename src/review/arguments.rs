//! A call's arguments as a readable tree: documents pretty-printed whether they came as text or as object, secrets
//! masked unless asked for, and everything that hides named.

use std::collections::HashMap;

use super::view::tree::{Brackets, CodeLine, Kind as Leaf, Tree};
use super::view::{Piece, Text};
use crate::call::json::{self, Kind, Limits, Node, push_pointer, read_strict};
use crate::call::secrets;

/// Names under which a document with a meaning of its own travels.
const DOCUMENTS: [&str; 5] =
    ["policy_document", "assume_role_policy_document", "policyDocument", "document", "permissions"];
/// Most tricks that are listed one by one.
const MOST_TRICKS: usize = 50;

/// Something in the arguments that hides or misleads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trick {
    /// Its kind, as the interface names it.
    pub kind: &'static str,
    /// JSON Pointer into the arguments; a document inside a string is pointed into as well.
    pub place: String,
    /// The text with what hides made visible, or what is wrong.
    pub shown: String,
}

/// Arguments, read for a page.
#[derive(Clone, Debug)]
pub struct Read {
    /// The tree.
    pub tree: Tree,
    /// What hides or misleads.
    pub tricks: Vec<Trick>,
    /// How many secrets are masked, or would be.
    pub secrets: usize,
    /// Why nobody can approve what cannot be read in one way only.
    pub blocked: Option<String>,
    /// The agent's own `confirmed: true`, which is no human's consent.
    pub claims_confirmation: bool,
}

/// Reads the exact text of a call's arguments.
#[must_use]
pub fn read(text: &str, revealed: bool) -> Read {
    let mut reader = Reader { revealed, tree: Tree::new(), tricks: Vec::new(), blocked: None };
    let (mut secrets, mut claims_confirmation) = (0, false);
    match read_strict(text.as_bytes(), &unbounded()) {
        Ok(document) => {
            let masks = secrets::masks(&document);
            secrets = masks.len();
            let masks = if revealed { HashMap::new() } else { by_place(masks) };
            claims_confirmation = document.root().get("confirmed").and_then(Node::as_bool) == Some(true);
            reader.members(document.root(), &masks, &mut String::new());
        }
        Err(error) => reader.unreadable("", &error.to_string(), error_kind(&error)),
    }
    let Reader { tree, tricks, blocked, .. } = reader;
    Read { tree: tree.finish(), tricks, secrets, blocked, claims_confirmation }
}

/// JSON text as pretty-printed lines, secrets masked unless `revealed`; `None` if it is no object or array.
#[must_use]
pub fn document(text: &str, revealed: bool) -> Option<Vec<CodeLine>> {
    let masked = if revealed { text.to_owned() } else { secrets::mask_json(text) };
    let document = read_strict(masked.as_bytes(), &unbounded()).ok()?;
    matches!(document.root().kind, Kind::Object(_) | Kind::Array(_)).then(|| lines(document.root(), &HashMap::new()))
}

fn unbounded() -> Limits {
    Limits { max_bytes: usize::MAX, ..Limits::default() }
}

fn error_kind(error: &json::JsonError) -> &'static str {
    if matches!(error.kind, json::JsonErrorKind::DuplicateKey(_)) { "duplicate_key" } else { "unparsable" }
}

type Masks = HashMap<usize, String>;

fn by_place(masks: Vec<secrets::Mask>) -> Masks {
    masks.into_iter().map(|mask| (mask.span.start, mask.text)).collect()
}

struct Reader {
    revealed: bool,
    tree: Tree,
    tricks: Vec<Trick>,
    blocked: Option<String>,
}

impl Reader {
    fn members(&mut self, node: &Node<'_>, masks: &Masks, place: &mut String) {
        match &node.kind {
            Kind::Object(members) => {
                for member in members {
                    let length = place.len();
                    push_pointer(place, &member.key);
                    self.look(&member.key, place);
                    self.value(&member.key, &member.value, masks, place);
                    place.truncate(length);
                }
            }
            Kind::Array(elements) => {
                for (number, element) in elements.iter().enumerate() {
                    let (length, key) = (place.len(), number.to_string());
                    push_pointer(place, &key);
                    self.value(&key, element, masks, place);
                    place.truncate(length);
                }
            }
            _ => self.value("", node, masks, place),
        }
    }

    fn value(&mut self, key: &str, node: &Node<'_>, masks: &Masks, place: &mut String) {
        let masked = masks.get(&node.span.start);
        match &node.kind {
            Kind::String(text) => {
                self.string(key, masked.map_or(text.as_ref(), String::as_str), masked.is_some(), place)
            }
            _ if masked.is_some() => self.tree.leaf(key, Leaf::Secret, secrets::MASK, None),
            Kind::Null => self.tree.leaf(key, Leaf::Word, "null", None),
            Kind::Bool(value) => {
                let note = (*value && key == "confirmed").then(|| "set by the agent; no human’s consent".to_owned());
                self.tree.leaf(key, Leaf::Word, if *value { "true" } else { "false" }, note);
            }
            Kind::Number(text) => self.tree.leaf(key, Leaf::Number, *text, None),
            Kind::Object(members) if members.is_empty() => self.tree.leaf(key, Leaf::Empty, "{}", None),
            Kind::Array(elements) if elements.is_empty() => self.tree.leaf(key, Leaf::Empty, "[]", None),
            Kind::Object(_) | Kind::Array(_) if DOCUMENTS.contains(&key) => {
                self.search(node, place);
                let given = if matches!(node.kind, Kind::Object(_)) { "an object" } else { "a list" };
                self.tree.document(key, lines(node, masks), Some(format!("document, given as {given}")));
            }
            Kind::Object(members) => {
                self.tree.open(key, Brackets::Object, members.len(), None);
                self.members(node, masks, place);
                self.tree.close();
            }
            Kind::Array(elements) => {
                self.tree.open(key, Brackets::Array, elements.len(), None);
                self.members(node, masks, place);
                self.tree.close();
            }
        }
    }

    fn string(&mut self, key: &str, text: &str, masked: bool, place: &mut String) {
        if masked && text == secrets::MASK {
            return self.tree.leaf(key, Leaf::Secret, text, None);
        }
        let note = masked.then(|| "secrets in it are masked".to_owned());
        let looks_like_json = text.trim_start().starts_with(['{', '[']);
        if !looks_like_json && !DOCUMENTS.contains(&key) {
            self.look(text, place);
            return self.tree.leaf(key, Leaf::String, text, note);
        }
        match read_strict(text.as_bytes(), &unbounded()) {
            Ok(inner) if matches!(inner.root().kind, Kind::Object(_) | Kind::Array(_)) => {
                self.search(inner.root(), place);
                let note = Some("JSON document, given as text".to_owned());
                self.tree.document(key, lines(inner.root(), &HashMap::new()), note);
            }
            Ok(_) => self.tree.leaf(key, Leaf::String, text, note),
            Err(error) => {
                self.look(text, place);
                // A text that merely begins with a bracket may be anything; under these names it must be a document.
                if DOCUMENTS.contains(&key) || error_kind(&error) == "duplicate_key" {
                    self.unreadable(place, &error.to_string(), error_kind(&error));
                    self.tree.leaf(key, Leaf::String, text, Some(format!("cannot be read as a document: {error}")));
                } else {
                    self.tree.leaf(key, Leaf::String, text, note);
                }
            }
        }
    }

    fn unreadable(&mut self, place: &str, why: &str, kind: &'static str) {
        self.tricks.push(Trick { kind, place: place.to_owned(), shown: why.to_owned() });
        let what = if place.is_empty() { "The arguments" } else { place };
        self.blocked.get_or_insert_with(|| {
            format!(
                "{what} cannot be read in one way only, so nobody can know what would happen: {why}. Reject it, and \
                     let the agent send it again."
            )
        });
    }

    /// Looks through a document that is shown as a block.
    fn search(&mut self, node: &Node<'_>, place: &mut String) {
        let length = place.len();
        match &node.kind {
            Kind::String(text) => self.look(text, place),
            Kind::Array(elements) => {
                for (number, element) in elements.iter().enumerate() {
                    push_pointer(place, &number.to_string());
                    self.search(element, place);
                    place.truncate(length);
                }
            }
            Kind::Object(members) => {
                for member in members {
                    push_pointer(place, &member.key);
                    self.look(&member.key, place);
                    self.search(&member.value, place);
                    place.truncate(length);
                }
            }
            _ => {}
        }
    }

    fn look(&mut self, text: &str, place: &str) {
        if self.tricks.len() >= MOST_TRICKS {
            return;
        }
        let shown = Text::new(text);
        let kind = shown.0.iter().find_map(|piece| match piece {
            Piece::Badge { meaning, .. } => trick_kind(meaning),
            Piece::Plain(_) => None,
        });
        if let Some(kind) = kind {
            let shown = if self.revealed { shown.flat() } else { secrets::mask_text(&shown.flat()) };
            self.tricks.push(Trick { kind, place: place.to_owned(), shown });
        }
    }
}

/// What a badge means, as the interface names it; `None` for what texts hold honestly.
fn trick_kind(meaning: &str) -> Option<&'static str> {
    match meaning {
        "tab" | "carriage return" => None,
        "letter of another alphabet in this word" => Some("mixed_script"),
        "unusual space" | "line or paragraph separator" => Some("whitespace"),
        _ if meaning.contains("direction") => Some("bidi"),
        _ if meaning.contains("invisible") || meaning.contains("blank") => Some("zero_width"),
        _ => Some("control"),
    }
}

/// Pretty-printed lines of a value.
fn lines(node: &Node<'_>, masks: &Masks) -> Vec<CodeLine> {
    let mut out = Vec::new();
    print(&mut out, node, masks, None, 0, false);
    out
}

fn print(out: &mut Vec<CodeLine>, node: &Node<'_>, masks: &Masks, key: Option<&str>, indent: usize, comma: bool) {
    let mut line = |key: Option<&str>, value: &str, kind: Option<Leaf>, comma: bool| {
        let (key, value) = (key.map(Text::new), Text::new(value));
        out.push(CodeLine { indent, key, value, kind, comma, note: None });
    };
    if let Some(mask) = masks.get(&node.span.start) {
        return line(key, mask, Some(Leaf::Secret), comma);
    }
    match &node.kind {
        Kind::Null => line(key, "null", Some(Leaf::Word), comma),
        Kind::Bool(true) => line(key, "true", Some(Leaf::Word), comma),
        Kind::Bool(false) => line(key, "false", Some(Leaf::Word), comma),
        Kind::Number(text) => line(key, text, Some(Leaf::Number), comma),
        Kind::String(text) => line(key, &json::quote(text), Some(Leaf::String), comma),
        Kind::Object(members) if members.is_empty() => line(key, "{}", Some(Leaf::Empty), comma),
        Kind::Array(elements) if elements.is_empty() => line(key, "[]", Some(Leaf::Empty), comma),
        Kind::Object(members) => {
            line(key, "{", None, false);
            for (at, member) in members.iter().enumerate() {
                print(out, &member.value, masks, Some(&member.key), indent + 1, at + 1 < members.len());
            }
            out.push(closing("}", indent, comma));
        }
        Kind::Array(elements) => {
            line(key, "[", None, false);
            for (at, element) in elements.iter().enumerate() {
                print(out, element, masks, None, indent + 1, at + 1 < elements.len());
            }
            out.push(closing("]", indent, comma));
        }
    }
}

fn closing(bracket: &str, indent: usize, comma: bool) -> CodeLine {
    CodeLine { indent, key: None, value: Text::new(bracket), kind: None, comma, note: None }
}

/// JSON text with its secrets masked, unless they are asked for.
#[must_use]
pub fn masked(text: &str, revealed: bool) -> String {
    if revealed { text.to_owned() } else { secrets::mask_json(text) }
}

#[cfg(test)]
#[path = "arguments_tests.rs"]
mod tests;
