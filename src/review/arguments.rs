//! A call's arguments for its page: laid out, looked through for tricks, and judged whether they can be read in one
//! way only.

use super::view::tree as view;
use crate::call::json::{Document, Kind, Limits, Node, read_strict};
use crate::call::secrets::{self, MASK};
use crate::explain::tree::{self, Reveal};
use crate::explain::trickery::{Trick, TrickKind, tricks};

/// Arguments, read.
#[derive(Clone, Debug)]
pub struct Read {
    /// The tree.
    pub tree: view::Tree,
    /// What hides or misleads.
    pub tricks: Vec<Trick>,
    /// Why nobody can approve what can be read in more than one way, or not at all.
    pub blocked: Option<String>,
    /// The agent's own `confirmed: true`, which is no human's consent.
    pub claims_confirmation: bool,
}

/// Reads the exact text of a call's arguments; nothing where they are erased.
#[must_use]
pub fn read(text: Option<&str>, reveal: Reveal) -> Read {
    let nothing = Read { tree: view::Tree::new(), tricks: Vec::new(), blocked: None, claims_confirmation: false };
    let Some(text) = text else { return nothing };
    match parse(text) {
        Ok(document) => {
            let found = tricks(&document);
            let masked = reveal == Reveal::Masked && !secrets::masks(&document).is_empty();
            let tricks = if masked { covered(found, text) } else { found };
            Read {
                tree: laid_out(tree::Tree::of(&document, reveal)),
                blocked: blocked(&tricks),
                claims_confirmation: document.root().get("confirmed").and_then(Node::as_bool) == Some(true),
                tricks,
            }
        }
        // They were read strictly when the call came in: what cannot be read now was changed since.
        Err(why) => Read {
            tricks: vec![Trick { kind: TrickKind::Unparsable, where_: String::new(), shown: why.clone() }],
            blocked: Some(format!(
                "The stored arguments cannot be read ({why}), so nobody can know what would happen."
            )),
            ..nothing
        },
    }
}

/// The tricks of a text that holds secrets: what is shown of each, and the place where it is, is taken from the masked
/// text, and of a trick that masking covers nothing is.
fn covered(mut all: Vec<Trick>, text: &str) -> Vec<Trick> {
    let masked = secrets::mask_json(text);
    let masked = parse(&masked).ok();
    let seen = masked.as_ref().map(tricks).unwrap_or_default();
    for trick in &mut all {
        if let Some(same) = seen.iter().find(|seen| (seen.kind, &seen.where_) == (trick.kind, &trick.where_)) {
            trick.shown.clone_from(&same.shown);
            continue;
        }
        MASK.clone_into(&mut trick.shown);
        trick.where_ = masked.as_ref().map_or_else(String::new, |doc| place(doc.root(), &trick.where_));
    }
    all
}

/// As much of a pointer as leads somewhere in the masked text: a key on its way may be a secret.
fn place(root: &Node<'_>, pointer: &str) -> String {
    let outer = pointer.split('#').next().unwrap_or_default();
    let mut known = outer;
    while root.pointer(known).is_none() {
        known = known.rfind('/').map_or("", |end| &known[..end]);
    }
    if known == pointer { known.to_owned() } else { format!("{known}/{MASK}") }
}

/// Why arguments with these tricks cannot be approved; `None` if they can.
fn blocked(tricks: &[Trick]) -> Option<String> {
    let ambiguous = |trick: &&Trick| matches!(trick.kind, TrickKind::DuplicateKey | TrickKind::Unparsable);
    let trick = tricks.iter().find(ambiguous)?;
    let what = match trick.kind {
        TrickKind::DuplicateKey => "has a key twice, and programs differ in which one counts",
        _ => "looks like a document and cannot be read as one",
    };
    Some(format!("{} {what}. Reject it, and let the agent send it again.", trick.where_))
}

/// JSON text as pretty-printed lines; `None` if it is no object or array.
#[must_use]
pub fn document(text: &str, reveal: Reveal) -> Option<Vec<view::CodeLine>> {
    let document = parse(text).ok()?;
    let structured = matches!(document.root().kind, Kind::Object(_) | Kind::Array(_));
    structured.then(|| tree::lines(&document, reveal).into_iter().map(line).collect())
}

/// JSON text, its secrets masked unless they are asked for.
#[must_use]
pub fn masked(text: &str, reveal: Reveal) -> String {
    match reveal {
        Reveal::Masked => secrets::mask_json(text),
        Reveal::Revealed => text.to_owned(),
    }
}

fn parse(text: &str) -> Result<Document<'_>, String> {
    let limits = Limits { max_bytes: usize::MAX, ..Limits::default() };
    read_strict(text.as_bytes(), &limits).map_err(|error| error.to_string())
}

fn laid_out(tree: tree::Tree) -> view::Tree {
    let mut page = view::Tree::new();
    for row in tree.rows {
        match row {
            tree::Row::Open { key, brackets, len } => {
                let brackets = match brackets {
                    tree::Brackets::Object => view::Brackets::Object,
                    tree::Brackets::Array => view::Brackets::Array,
                };
                page.open(key, brackets, len, None);
            }
            tree::Row::Close => page.close(),
            tree::Row::Leaf { key, kind, text, note } => {
                let consent = (key == "confirmed" && text == "true").then(|| "set by the agent itself".to_owned());
                page.leaf(key, self::kind(kind), text, note.or(consent));
            }
            tree::Row::Document { key, lines, note } => {
                page.document(key, lines.into_iter().map(line).collect(), note);
            }
        }
    }
    page.finish()
}

fn kind(kind: tree::Kind) -> view::Kind {
    match kind {
        tree::Kind::String => view::Kind::String,
        tree::Kind::Number => view::Kind::Number,
        tree::Kind::Word => view::Kind::Word,
        tree::Kind::Secret => view::Kind::Secret,
        tree::Kind::Empty => view::Kind::Empty,
    }
}

fn line(line: tree::CodeLine) -> view::CodeLine {
    let tree::CodeLine { indent, key, value, kind, comma, note } = line;
    view::CodeLine {
        indent,
        key: key.map(Into::into),
        value: value.into(),
        kind: kind.map(self::kind),
        comma,
        note: note.map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reads_two_ways_cannot_be_approved() {
        let fine = r#"{"policy_document":"{\"Statement\":[]}","note":"[sic] a remark"}"#;
        assert_eq!(read(Some(fine), Reveal::Masked).blocked, None);
        for bad in
            [r#"{"policy_document":"{\"Action\":1,\"Action\":2}"}"#, r#"{"policy_document":"{\"Action\":"}"#, "{"]
        {
            assert!(read(Some(bad), Reveal::Masked).blocked.is_some(), "{bad}");
        }
    }

    #[test]
    fn secrets_stay_out_of_the_page_until_they_are_asked_for() {
        let text = "{\"name\":\"db\",\"password\":\"hunter2\u{200b}hunter2\",\"confirmed\":true}";
        let masked = read(Some(text), Reveal::Masked);
        assert!(masked.claims_confirmation);
        assert!(!format!("{masked:?}").contains("hunter2"));
        assert_eq!(masked.tricks[0].kind, TrickKind::ZeroWidth, "told, though what is around it is not");
        let revealed = read(Some(text), Reveal::Revealed);
        assert!(format!("{:?}", revealed.tree).contains("hunter2"));
        assert!(!format!("{:?}", document(text, Reveal::Masked)).contains("hunter2"));
    }

    #[test]
    fn a_key_that_is_a_secret_stays_out_of_the_page_and_of_what_is_said_of_it() {
        let text = "{\"tokens\":{\"hunter2\u{200b}\":true,\"hunter2b\":true,\"a\":\"x\u{200b}\"}}";
        let masked = read(Some(text), Reveal::Masked);
        assert!(!format!("{masked:?}").contains("hunter2"), "{masked:?}");
        assert!(format!("{:?}", masked.tree).contains("••• masked 2"), "two keys stay two");
        assert_eq!(masked.tricks[0].where_, "/tokens/••• masked");
        assert!(!format!("{:?}", document(text, Reveal::Masked)).contains("hunter2"));
        assert!(format!("{:?}", read(Some(text), Reveal::Revealed)).contains("hunter2b"));
        let twice = r#"{"doc":"{\"tokens\":{\"hunter2\":1,\"hunter2\":true}}"}"#;
        assert!(!format!("{:?}", read(Some(twice), Reveal::Masked)).contains("hunter2"));
    }
}
