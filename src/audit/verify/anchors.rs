//! Checkpoints that were kept elsewhere: reading a file of notes, and what each is worth.

use super::report::{Check, Report};
use crate::audit::note::{NoteError, VerifyingKey};
use crate::audit::{Checkpoint, CheckpointError};
use crate::call::Digest;

/// A checkpoint that somebody kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// How many entries it covers.
    pub size: u64,
    /// The root of the tree over them.
    pub root: Digest,
    /// Where it stands, for people.
    pub place: String,
}

/// What was kept elsewhere, by size.
#[derive(Clone, Debug, Default)]
pub struct Anchors {
    witnesses: Vec<Witness>,
}

impl Anchors {
    /// Reads a file of notes, one after another; empty lines between them are nothing. `name` is the file's, for
    /// people. What cannot be read or does not open makes the answer incomplete: it is no evidence for or against.
    pub fn read(&mut self, name: &str, text: &str, keys: &[VerifyingKey], report: &mut Report) {
        let notes = notes(text);
        if notes.is_empty() {
            report.unknown(Check::Anchors, format!("{name} has no checkpoint in it"));
        }
        for (line, note) in notes {
            let place = format!("{name}:{line}");
            match Checkpoint::open(&note, keys) {
                Ok(opened) => self.witnesses.push(Witness { size: opened.size, root: opened.root, place }),
                Err(error) => refuse(&place, &error, report),
            }
        }
        self.witnesses.sort_by_key(|witness| witness.size);
    }

    /// What opened, by size.
    #[must_use]
    pub fn witnesses(&self) -> &[Witness] {
        &self.witnesses
    }
}

fn refuse(place: &str, error: &CheckpointError, report: &mut Report) {
    let text = match error {
        CheckpointError::Note(NoteError::Unknown(by)) => format!(
            "the checkpoint at {place} is signed by {by}, whose key is not among the known ones: it is of another log, \
             or this log's key was replaced; give the key that you kept with --key"
        ),
        other => format!("the checkpoint at {place} does not open: {other}"),
    };
    report.unknown(Check::Anchors, text);
}

/// The notes of a file, each with the number of its first line.
fn notes(text: &str) -> Vec<(usize, String)> {
    let (mut notes, mut note, mut first, mut signed) = (Vec::new(), String::new(), 0, false);
    for (number, line) in text.lines().enumerate() {
        let signature = line.starts_with("\u{2014} ");
        if signed && !signature {
            notes.push((first, std::mem::take(&mut note)));
            signed = false;
        }
        if note.is_empty() {
            if line.is_empty() {
                continue;
            }
            first = number + 1;
        }
        signed = signature;
        note.push_str(line);
        note.push('\n');
    }
    if !note.is_empty() {
        notes.push((first, note));
    }
    notes
}
