//! Recognises secrets by the name of the member that holds them and by their shape, and
//! masks them wherever arguments and results are shown unasked: mails, lists, exports.
//!
//! Recognition is a net, not a proof: it leans towards masking, and a reviewer may reveal.

mod assigned;
mod blocks;
mod commands;
mod encoded;
mod issued;
mod markup;
mod names;
mod scan;
mod shapes;
mod tables;
mod urls;
mod walk;

#[cfg(test)]
mod tests;

use super::json::{self, Document, Limits, Span, quote, splice};
use walk::Walk;

/// What stands in place of a secret.
pub const MASK: &str = "••• masked";

/// JSON texts inside strings inside JSON texts, and texts in base64, are opened this many times; what lies deeper is
/// masked by shape alone.
const LEVELS: usize = 4;

/// How closely a text is looked at.
#[derive(Clone, Copy, Debug)]
struct Look {
    /// Whether an AWS access key id stands anywhere: then its secret may as well.
    aws_key: bool,
    /// How many texts inside texts are opened.
    levels: usize,
}

impl Look {
    fn at(text: &str) -> Self {
        Self { aws_key: shapes::mentions_aws_key(text), levels: LEVELS }
    }

    /// For a text inside this one.
    fn inner(self) -> Self {
        Self { levels: self.levels.saturating_sub(1), ..self }
    }
}

/// A value or key that holds a secret, and what to show for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    /// The place of the value or key, quotes included.
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
    cover(text, &shapes::find(text, Look::at(text)))
}

/// How many values of a JSON text, or places of any other text, masking would cover.
pub fn count(text: &str) -> usize {
    match read(text) {
        Some(doc) => masks(&doc).len(),
        None => shapes::find(text, Look::at(text)).len(),
    }
}

/// Whether masking would change the text, JSON or not.
pub fn contains_secret(text: &str) -> bool {
    match read(text) {
        Some(doc) => !masks(&doc).is_empty(),
        None => !shapes::find(text, Look::at(text)).is_empty(),
    }
}

/// The values and keys of a document to be masked, in the order of the text. No two keys of an object are shown
/// alike: the structure stays as it is.
pub fn masks(doc: &Document<'_>) -> Vec<Mask> {
    let mut walk = Walk { look: Look::at(doc.text()), found: Vec::new() };
    walk.root(doc.root());
    walk.found
}

/// Whether a text inside another holds a secret.
fn holds_secret(text: &str, look: Look) -> bool {
    let structured = text.trim_start().starts_with(['{', '[']).then(|| read(text)).flatten();
    match structured {
        Some(doc) => {
            let mut walk = Walk { look, found: Vec::new() };
            walk.root(doc.root());
            !walk.found.is_empty()
        }
        None => !shapes::find(text, look).is_empty(),
    }
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
