//! Recognises secrets by the name of the member that holds them and by their shape, and
//! masks them wherever arguments and results are shown unasked: mails, lists, exports.
//!
//! Recognition is a net, not a proof: it leans towards masking, and a reviewer may reveal.

mod names;
mod shapes;

#[cfg(test)]
mod tests;

use super::json::{self, Document, Kind, Limits, Node, Span, quote, splice};
use names::{Name, secret_name};

/// What stands in place of a secret.
pub const MASK: &str = "••• masked";

/// JSON texts inside strings inside JSON texts are opened this many times; what lies
/// deeper is masked by shape alone.
const LEVELS: usize = 4;

/// A value that holds a secret, and what to show for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    /// The place of the value, quotes included.
    pub span: Span,
    /// The decoded text to show instead.
    pub text: String,
}

/// Masks the secrets in a JSON text and keeps every other byte, so that it stays JSON of
/// the same structure; JSON inside strings included. What is no JSON is masked as
/// [`mask_text`] does.
pub fn mask_json(text: &str) -> String {
    match read(text) {
        Some(doc) => apply(&doc, masks(&doc)),
        None => mask_text(text),
    }
}

/// Masks the secrets in plain text: what has the shape of one, and what is assigned to a
/// telling name (`password=…`, `--token …`, `"secret": "…"`).
pub fn mask_text(text: &str) -> String {
    cover(text, &shapes::find(text, shapes::mentions_aws_key(text)))
}

/// How many values of a JSON text, or places of any other text, masking would cover.
pub fn count(text: &str) -> usize {
    match read(text) {
        Some(doc) => masks(&doc).len(),
        None => shapes::find(text, shapes::mentions_aws_key(text)).len(),
    }
}

/// Whether masking would change the text, JSON or not.
pub fn contains_secret(text: &str) -> bool {
    match read(text) {
        Some(doc) => !masks(&doc).is_empty(),
        None => !shapes::find(text, shapes::mentions_aws_key(text)).is_empty(),
    }
}

/// The values of a document to be masked, in the order of the text. Keys are never
/// masked: the structure stays as it is.
pub fn masks(doc: &Document<'_>) -> Vec<Mask> {
    let mut walk = Walk { aws_key: shapes::mentions_aws_key(doc.text()), levels_left: LEVELS, found: Vec::new() };
    walk.node(doc.root(), None);
    walk.found
}

fn read(text: &str) -> Option<Document<'_>> {
    let limits = Limits { max_bytes: usize::MAX, max_depth: json::DEEPEST };
    json::read_strict(text.as_bytes(), &limits).ok()
}

fn apply(doc: &Document<'_>, masks: Vec<Mask>) -> String {
    let mut edits: Vec<_> = masks.into_iter().map(|mask| (mask.span, quote(&mask.text))).collect();
    splice(doc.text(), &mut edits)
}

fn cover(text: &str, places: &[Span]) -> String {
    let mut edits: Vec<_> = places.iter().map(|&span| (span, MASK.to_owned())).collect();
    splice(text, &mut edits)
}

struct Walk {
    /// Whether an AWS access key id stands anywhere: then its secret may as well.
    aws_key: bool,
    levels_left: usize,
    found: Vec<Mask>,
}

impl Walk {
    /// `under` is the secret name of the member that the node belongs to, if it has one.
    fn node(&mut self, node: &Node<'_>, under: Option<Name>) {
        match &node.kind {
            Kind::Null | Kind::Bool(_) => {}
            // A number of tokens is no token, but a password may be all digits.
            Kind::Number(_) => {
                if under == Some(Name::Secret) {
                    self.mask(node, MASK.to_owned());
                }
            }
            Kind::String(text) => self.string(node, text, under),
            Kind::Array(elements) => {
                let mut flag = None;
                for element in elements {
                    self.node(element, under.or(flag));
                    flag = element.as_str().and_then(flag_name);
                }
            }
            Kind::Object(members) => {
                let named = under.or_else(|| name_of_value(node));
                for member in members {
                    let is_value = is_one_of(&member.key, &["value", "parametervalue"]);
                    let by_sibling = named.filter(|_| under.is_some() || is_value);
                    self.node(&member.value, by_sibling.or_else(|| secret_name(&member.key)));
                }
            }
        }
    }

    fn string(&mut self, node: &Node<'_>, text: &str, under: Option<Name>) {
        if under.is_some() {
            if !text.is_empty() {
                self.mask(node, MASK.to_owned());
            }
        } else if let Some(masked) = self.masked_inside(text) {
            self.mask(node, masked);
        }
    }

    /// The text with its secrets masked, if it has any.
    fn masked_inside(&self, text: &str) -> Option<String> {
        let looks_like_json = text.trim_start().starts_with(['{', '[', '"']);
        if looks_like_json
            && self.levels_left > 0
            && let Some(doc) = read(text)
        {
            let mut inner = Self { aws_key: self.aws_key, levels_left: self.levels_left - 1, found: Vec::new() };
            inner.node(doc.root(), None);
            return (!inner.found.is_empty()).then(|| apply(&doc, inner.found));
        }
        let places = shapes::find(text, self.aws_key);
        (!places.is_empty()).then(|| cover(text, &places))
    }

    fn mask(&mut self, node: &Node<'_>, text: String) {
        self.found.push(Mask { span: node.span, text });
    }
}

/// `["--password", "x"]`: a command line as a list.
fn flag_name(element: &str) -> Option<Name> {
    secret_name(element.strip_prefix('-')?)
}

/// `{"name": "DB_PASSWORD", "value": "x"}`: variables, headers and parameters as lists.
fn name_of_value(object: &Node<'_>) -> Option<Name> {
    let members = object.as_object()?;
    members
        .iter()
        .filter(|member| is_one_of(&member.key, &["name", "key", "header", "parameterkey"]))
        .find_map(|member| secret_name(member.value.as_str()?))
}

fn is_one_of(key: &str, words: &[&str]) -> bool {
    words.iter().any(|word| key.eq_ignore_ascii_case(word))
}
