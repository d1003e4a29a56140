//! Checkpoints as C2SP specifies them (<https://c2sp.org/tlog-checkpoint>): what the log's tree was at one size, as the
//! text of a signed note.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::note::{self, NoteError, SigningKey, VerifyingKey};
use crate::call::Digest;

/// The log at one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log: one non-empty line, also the name of its keys.
    pub origin: String,
    /// How many entries; at most `i64::MAX`.
    pub size: u64,
    /// The root of the tree over them.
    pub root: Digest,
}

/// Why a checkpoint cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The note that carries it.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The note's text is something else.
    #[error("this is no checkpoint: {0}")]
    Malformed(&'static str),
    /// Signed by a known key, but speaks of a log that is not that key's.
    #[error("this is a checkpoint of the log {0}, signed by the key of another log")]
    Foreign(String),
}

impl Checkpoint {
    /// The text that is signed.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root.0))
    }

    /// Reads the text of a note. Extension lines are allowed, as the specification has them, and not kept.
    ///
    /// # Errors
    /// It is no checkpoint.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        use CheckpointError::Malformed;
        let body = text.strip_suffix('\n').ok_or(Malformed("its last line does not end"))?;
        let mut lines = body.split('\n');
        let origin = lines.next().filter(|line| !line.is_empty()).ok_or(Malformed("its origin is empty"))?;
        let size = lines.next().and_then(size).ok_or(Malformed("its size is no plain number below 2^63"))?;
        let root = lines.next().and_then(|line| STANDARD.decode(line).ok()).and_then(|root| root.try_into().ok());
        let root = Digest(root.ok_or(Malformed("its root is not 32 bytes in base64"))?);
        if lines.any(str::is_empty) {
            return Err(Malformed("it has an empty line"));
        }
        Ok(Self { origin: origin.to_owned(), size, root })
    }

    /// The checkpoint as a note that each of these keys signed.
    ///
    /// # Errors
    /// The origin has characters that no note may have, or there is no key.
    pub fn sign(&self, keys: &[&SigningKey]) -> Result<String, NoteError> {
        note::sign(&self.to_text(), keys)
    }

    /// Opens a note that one of these keys signed, and reads the checkpoint in it.
    ///
    /// # Errors
    /// The note does not open, is no checkpoint, or the keys that signed it are those of another log.
    pub fn open(note: impl AsRef<[u8]>, keys: &[VerifyingKey]) -> Result<Self, CheckpointError> {
        let opened = note::open(note, keys)?;
        let checkpoint = Self::parse(&opened.text)?;
        if opened.by.iter().any(|key| key.name() == checkpoint.origin) {
            Ok(checkpoint)
        } else {
            Err(CheckpointError::Foreign(checkpoint.origin))
        }
    }
}

/// A tree's size: digits alone, no leading zeros, below 2^63.
fn size(line: &str) -> Option<u64> {
    let plain = line.bytes().all(|b| b.is_ascii_digit()) && (line == "0" || !line.starts_with('0'));
    plain.then(|| line.parse::<u64>().ok()).flatten().filter(|size| i64::try_from(*size).is_ok())
}
