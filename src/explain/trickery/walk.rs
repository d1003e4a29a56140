//! Looks through every decoded string and key of a document, and through JSON inside strings.

use super::characters::{Badge, badges};
use super::lookalikes::look_alikes;
use super::{LONG_LINE, Segment, Trick, TrickKind, segments};
use crate::call::json::{Document, JsonErrorKind, Kind, Node, duplicates, push_pointer};
use crate::explain::embedded::{Embedded, embedded};

/// So many tricks of one sort are told singly; the rest is counted, so that one sort cannot crowd out another.
const TOLD: usize = 40;
/// JSON inside strings inside JSON is opened this many times.
const LEVELS: usize = 4;
/// Longest pointer and longest excerpt, in characters.
const LONGEST: usize = 300;
/// What is shown of a text on either side of a trick, in characters.
const AROUND: usize = 24;

/// Everything in the document that hides or misleads, in its order; one entry for each value and sort of trick.
pub fn tricks(doc: &Document<'_>) -> Vec<Trick> {
    let mut walk = Walk { place: String::new(), found: Vec::new(), counts: Vec::new() };
    walk.node(doc, doc.root(), 0);
    walk.finish()
}

struct Walk {
    /// The pointer of the value being looked at.
    place: String,
    found: Vec<Trick>,
    counts: Vec<(TrickKind, usize)>,
}

impl Walk {
    /// Recursion is bounded by the reader's depth times [`LEVELS`].
    fn node(&mut self, doc: &Document<'_>, node: &Node<'_>, level: usize) {
        let here = self.place.len();
        match &node.kind {
            Kind::Null | Kind::Bool(_) | Kind::Number(_) => {}
            Kind::String(text) => self.string(text, level),
            Kind::Array(elements) => {
                for (at, element) in elements.iter().enumerate() {
                    push_pointer(&mut self.place, &at.to_string());
                    self.node(doc, element, level);
                    self.place.truncate(here);
                }
            }
            Kind::Object(members) => {
                for (nth, at) in duplicates(members).into_iter().enumerate() {
                    let key = &members[at].key;
                    // Looked for only where it is told: with many repeated keys the search would be quadratic.
                    let same = members.iter().filter(|m| nth < TOLD && m.key == *key).take(3);
                    let values: Vec<_> = same.map(|m| visible(&shorten(doc.slice(m.value.span)))).collect();
                    push_pointer(&mut self.place, key);
                    self.tell(TrickKind::DuplicateKey, &format!("given more than once: {}", values.join(" and ")));
                    self.place.truncate(here);
                }
                for member in members {
                    push_pointer(&mut self.place, &member.key);
                    self.text(&member.key, "the key ", true);
                    self.node(doc, &member.value, level);
                    self.place.truncate(here);
                }
            }
        }
    }

    fn string(&mut self, text: &str, level: usize) {
        let here = self.place.len();
        match embedded(text) {
            Embedded::Text => self.text(text, "", true),
            Embedded::Broken(error) => {
                let kind = match error.kind {
                    JsonErrorKind::DuplicateKey(_) => TrickKind::DuplicateKey,
                    _ => TrickKind::Unparsable,
                };
                self.tell(kind, &format!("looks like JSON, but cannot be read safely: {error}"));
                self.text(text, "", true);
            }
            Embedded::Document(doc) => {
                if level > 0 {
                    self.tell(TrickKind::Encoded, &format!("JSON inside a string, {} times over", level + 1));
                }
                // It is laid out for the reader, so that long lines are none there.
                self.text(text, "", false);
                if level < LEVELS {
                    self.place.push('#');
                    self.node(&doc, doc.root(), level + 1);
                    self.place.truncate(here);
                }
            }
        }
    }

    /// Looks through one decoded text. `what` introduces what is shown of it.
    fn text(&mut self, text: &str, what: &str, lines_matter: bool) {
        if text.len() < super::LONG_BLANK && text.bytes().all(|b| (b' '..=b'~').contains(&b)) {
            return;
        }
        let mut sorts: Vec<(TrickKind, usize, String)> = Vec::new();
        let mut note = |kind, times, shown: &dyn Fn() -> String| match sorts.iter_mut().find(|s| s.0 == kind) {
            Some(sort) => sort.1 += times,
            None => sorts.push((kind, times, shown())),
        };
        for badge in badges(text) {
            note(badge.kind, badge.count(), &|| excerpt(text, &badge));
        }
        for word in look_alikes(text) {
            note(word.kind, 1, &|| visible(&word.shown));
        }
        if lines_matter && text.len() > LONG_LINE {
            for length in text.split('\n').map(|line| line.chars().count()).filter(|&length| length > LONG_LINE) {
                note(TrickKind::LongLine, 1, &|| format!("a line of {length} characters"));
            }
        }
        for (kind, times, shown) in sorts {
            let more = if times > 1 { format!(" ({times} in all)") } else { String::new() };
            self.tell(kind, &format!("{what}{}{more}", shorten(&shown)));
        }
    }

    fn tell(&mut self, kind: TrickKind, shown: &str) {
        let told = match self.counts.iter_mut().find(|(counted, _)| *counted == kind) {
            Some((_, count)) => {
                *count += 1;
                *count
            }
            None => {
                self.counts.push((kind, 1));
                1
            }
        };
        if told <= TOLD {
            self.found.push(Trick { kind, where_: shorten(&self.place), shown: shown.to_owned() });
        }
    }

    fn finish(mut self) -> Vec<Trick> {
        for (kind, count) in self.counts {
            if count > TOLD {
                let shown = format!("and {} more of this sort", count - TOLD);
                self.found.push(Trick { kind, where_: String::new(), shown });
            }
        }
        self.found
    }
}

/// A badge with a little of what surrounds it, everything hidden made visible, in one line.
fn excerpt(text: &str, badge: &Badge) -> String {
    let (before, behind) = (&text[..badge.start], &text[badge.end..]);
    let from = before.char_indices().rev().nth(AROUND - 1).map_or(0, |(at, _)| at);
    let to = behind.char_indices().nth(AROUND).map_or(behind.len(), |(at, _)| at);
    format!(
        "{}{}⟦{}⟧{}{}",
        if from > 0 { "…" } else { "" },
        visible(&before[from..]),
        badge.label(),
        visible(&behind[..to]),
        if to < behind.len() { "…" } else { "" },
    )
}

/// The text in one line, with what hides as `⟦U+202E⟧`.
fn visible(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for segment in segments(text) {
        match segment {
            Segment::Text(text) => line.extend(text.chars().map(|c| match c {
                '\n' => '⏎',
                '\t' => '⇥',
                c => c,
            })),
            Segment::Badge { label, .. } => {
                line.push('⟦');
                line.push_str(&label);
                line.push('⟧');
            }
        }
    }
    line
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
