//! Checkpoints that were kept elsewhere: reading a file of notes, and what each is worth.

use super::report::{Check, Report};
use crate::audit::Checkpoint;
use crate::audit::CheckpointError;
use crate::audit::note::NoteError;

/// A note that somebody kept; nobody has looked at its signature yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// How many entries it says that it covers.
    pub size: u64,
    /// The note.
    pub note: String,
    /// Where it stands, for people.
    pub place: String,
    /// Which check it belongs to: one that stands beside the database is no anchor.
    pub check: Check,
    /// Which file it stands in, counted.
    pub file: usize,
    /// Which note of its file it is: they stand there in the order in which they were signed.
    pub order: usize,
}

/// What was kept elsewhere, by size.
#[derive(Clone, Debug, Default)]
pub struct Anchors {
    kept: Vec<Kept>,
    files: usize,
}

impl Anchors {
    /// Reads the note that a data folder has beside its database, if it can be read: it finds out who puts an older
    /// database back, or cuts this one, and forgets the file.
    pub fn beside(&mut self, name: &str, text: &str) {
        let file = self.next_file();
        for (order, (line, note)) in notes(text).into_iter().enumerate() {
            if let Ok(Checkpoint { size, .. }) = text_of(&note) {
                self.kept.push(Kept { size, note, place: format!("{name}:{line}"), check: Check::Tree, file, order });
            }
        }
        self.kept.sort_by_key(|kept| kept.size);
    }

    /// Reads a file of notes, one after another; empty lines between them are nothing. `name` is the file's, for
    /// people. What cannot be read makes the answer incomplete: it is no evidence for or against.
    pub fn read(&mut self, name: &str, text: &str, report: &mut Report) {
        let notes = notes(text);
        if notes.is_empty() {
            report.unknown(Check::Anchors, format!("{name} has no checkpoint in it"));
        }
        let (check, file) = (Check::Anchors, self.next_file());
        for (order, (line, note)) in notes.into_iter().enumerate() {
            let place = format!("{name}:{line}");
            match text_of(&note) {
                Ok(Checkpoint { size, .. }) => self.kept.push(Kept { size, note, place, check, file, order }),
                Err(error) => report.unknown(Check::Anchors, format!("what stands at {place} cannot be read: {error}")),
            }
        }
        self.kept.sort_by_key(|kept| kept.size);
    }

    fn next_file(&mut self) -> usize {
        self.files += 1;
        self.files
    }

    /// The notes, by size.
    #[must_use]
    pub fn kept(&self) -> &[Kept] {
        &self.kept
    }
}

/// The checkpoint that a note says it is, whoever signed it.
pub(super) fn text_of(note: &str) -> Result<Checkpoint, CheckpointError> {
    let text = note.split_once("\n\n").map(|(text, _)| text);
    let text = text.ok_or(NoteError::Malformed("no empty line before its signatures"))?;
    Checkpoint::parse(&format!("{text}\n"))
}

/// What is said of a kept note that does not open.
pub(super) fn refusal(place: &str, error: &CheckpointError) -> String {
    match error {
        CheckpointError::Note(NoteError::Unknown(by)) => format!(
            "the checkpoint at {place} is signed by {by} with a key that is not among the known ones: it is of another \
             log, or this log's key was replaced; give the key that you kept with --key"
        ),
        other => format!("the checkpoint at {place} does not open: {other}"),
    }
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
