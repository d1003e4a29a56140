//! Changes to a JSON text that leave every other byte as it was.

use std::borrow::Cow;

use super::{Document, Node, Span};

/// Replaces the bytes at the given spans (sorted here by where they start); everything
/// else stays byte for byte.
///
/// # Panics
/// Where spans overlap, leave the text or split a character: forwarding a message that
/// was put together wrongly would be worse than losing it.
pub fn splice(text: &str, edits: &mut [(Span, String)]) -> String {
    edits.sort_by_key(|(span, _)| (span.start, span.end));
    let added: usize = edits.iter().map(|(_, new)| new.len()).sum();
    let mut spliced = String::with_capacity(text.len() + added);
    let mut copied = 0;
    for (span, new) in edits.iter() {
        spliced.push_str(&text[copied..span.start]);
        spliced.push_str(new);
        copied = span.end;
    }
    spliced.push_str(&text[copied..]);
    spliced
}

/// The document's text without the elements of `array` that `remove` picks, given their
/// position and value. Where `array` is none, nothing is cut.
pub fn cut_elements(doc: &Document<'_>, array: &Node<'_>, remove: impl Fn(usize, &Node<'_>) -> bool) -> String {
    cut(doc.text(), element_cuts(array, remove))
}

/// The document's text without the members of `object` that have this key.
pub fn cut_member(doc: &Document<'_>, object: &Node<'_>, key: &str) -> String {
    cut(doc.text(), member_cuts(object, key))
}

/// The spans to leave out, for [`splice`] together with other edits, in order that the
/// picked elements vanish together with their commas.
pub fn element_cuts(array: &Node<'_>, remove: impl Fn(usize, &Node<'_>) -> bool) -> Vec<Span> {
    cuts(
        array
            .as_array()
            .unwrap_or_default()
            .iter()
            .enumerate()
            .map(|(at, element)| (element.span, remove(at, element))),
    )
}

/// As [`element_cuts`], for the members of that key.
pub fn member_cuts(object: &Node<'_>, key: &str) -> Vec<Span> {
    cuts(object.as_object().unwrap_or_default().iter().map(|member| (member.span(), member.key == key)))
}

/// A removed item takes along the comma before it; at the beginning, where there is none,
/// everything up to the first item that stays.
fn cuts(items: impl Iterator<Item = (Span, bool)>) -> Vec<Span> {
    let mut cuts = Vec::new();
    let mut leading: Option<Span> = None;
    let mut kept_before = false;
    let mut previous_end = 0;
    for (span, removed) in items {
        match (removed, kept_before) {
            (true, true) => cuts.push(Span { start: previous_end, end: span.end }),
            (true, false) => {
                let start = leading.map_or(span.start, |cut| cut.start);
                leading = Some(Span { start, end: span.end });
            }
            (false, _) => {
                if let Some(cut) = leading.take() {
                    cuts.push(Span { start: cut.start, end: span.start });
                }
                kept_before = true;
            }
        }
        previous_end = span.end;
    }
    cuts.extend(leading);
    cuts
}

fn cut(text: &str, cuts: Vec<Span>) -> String {
    let mut edits: Vec<_> = cuts.into_iter().map(|span| (span, String::new())).collect();
    splice(text, &mut edits)
}

/// Replaces raw line breaks by spaces, so that a message fits one line of a stdio
/// transport; spans stay valid. In a text that was read strictly, raw line breaks are
/// insignificant whitespace (inside strings they are escaped), so the meaning stays.
pub fn compact_lines(bytes: &[u8]) -> Cow<'_, [u8]> {
    let is_break = |byte: &u8| matches!(byte, b'\r' | b'\n');
    if !bytes.iter().any(is_break) {
        return Cow::Borrowed(bytes);
    }
    Cow::Owned(bytes.iter().map(|byte| if is_break(byte) { b' ' } else { *byte }).collect())
}
