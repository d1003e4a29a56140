//! What is found at the start: does the log that the database has continue what was signed before?

use crate::audit::note::VerifyingKey;
use crate::audit::{Checkpoint, Entry};
use crate::store::{Store, StoreError};

/// How the log stands to what was signed of it before this start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogAtStart {
    /// Nothing was signed yet.
    Fresh,
    /// It begins with what was signed last.
    Continues {
        /// How many entries the last checkpoint covers.
        size: u64,
    },
    /// The database continues what it has signed itself, but `audit.checkpoint` beside it is missing: a database that
    /// was put into another folder, or a file that somebody took away.
    Unwitnessed {
        /// How many entries the last checkpoint in the database covers.
        size: u64,
    },
    /// Entries that were signed are not there: an older state of the database was put back, or its end was cut off.
    Behind {
        /// What knows of more: `audit.checkpoint`, the database, an anchor.
        source: String,
        /// How many entries were signed.
        checkpoint: u64,
        /// How many the database has.
        log: u64,
    },
    /// The entries are others than those that were signed, or the signature is not ours.
    Disagrees {
        /// What says otherwise.
        source: String,
        /// How many entries were signed; 0 where that cannot be read.
        checkpoint: u64,
        /// In words.
        why: String,
    },
}

impl LogAtStart {
    /// Whether the log is not what it was: nothing may be signed over it without saying so.
    #[must_use]
    pub fn is_wrong(&self) -> bool {
        matches!(self, Self::Behind { .. } | Self::Disagrees { .. })
    }

    /// The worse of the two; of two alike, `self`.
    #[must_use]
    pub fn or_worse(self, other: Self) -> Self {
        let rank = |found: &Self| match found {
            Self::Fresh => 0,
            Self::Continues { .. } => 1,
            Self::Unwitnessed { .. } => 2,
            Self::Behind { .. } => 3,
            Self::Disagrees { .. } => 4,
        };
        if rank(&other) > rank(&self) { other } else { self }
    }

    /// The entry that says so in the log, where something is to be said.
    #[must_use]
    pub fn alarm(&self) -> Option<Entry> {
        match self {
            Self::Fresh | Self::Continues { .. } => None,
            Self::Unwitnessed { size } => Some(Entry::new("alarm.log_unwitnessed").with("checkpoint", *size)),
            Self::Behind { source, checkpoint, log } => Some(
                Entry::new("alarm.log_behind")
                    .with("source", source.as_str())
                    .with("checkpoint", *checkpoint)
                    .with("log", *log),
            ),
            Self::Disagrees { source, checkpoint, why } => Some(
                Entry::new("alarm.log_disagrees")
                    .with("source", source.as_str())
                    .with("checkpoint", *checkpoint)
                    .with("why", why.as_str()),
            ),
        }
    }
}

impl std::fmt::Display for LogAtStart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fresh => f.write_str("nothing of the log was signed yet"),
            Self::Continues { size } => write!(f, "the log continues its checkpoint over {size} entries"),
            Self::Unwitnessed { size } => write!(
                f,
                "audit.checkpoint is missing, although the database has a checkpoint over {size} entries: it was put \
                 into another folder, or somebody took the file away; compare the log with an anchor \
                 (`placet audit verify --anchor FILE`)"
            ),
            Self::Behind { source, checkpoint, log } => write!(
                f,
                "the log has {log} entries, but {source} was signed over {checkpoint}: an older database was put \
                 back, or the end of the log was cut off"
            ),
            Self::Disagrees { source, why, .. } => {
                write!(f, "the log is not the one that {source} was signed over: {why}")
            }
        }
    }
}

/// Compares a signed note with the first `size` entries of the database.
pub(super) async fn compare(
    store: &Store,
    size: u64,
    source: &str,
    note: &[u8],
    keys: &[VerifyingKey],
) -> Result<LogAtStart, StoreError> {
    let disagrees = |checkpoint, why: String| LogAtStart::Disagrees { source: source.to_owned(), checkpoint, why };
    let checkpoint = match Checkpoint::open(note, keys) {
        Ok(checkpoint) => checkpoint,
        Err(error) => return Ok(disagrees(0, error.to_string())),
    };
    if checkpoint.size > size {
        return Ok(LogAtStart::Behind { source: source.to_owned(), checkpoint: checkpoint.size, log: size });
    }
    match store.root_at(checkpoint.size).await {
        Ok(root) if root.matches(&checkpoint.root) => Ok(LogAtStart::Continues { size: checkpoint.size }),
        Ok(_) => {
            let why = format!("the first {} entries were altered since", checkpoint.size);
            Ok(disagrees(checkpoint.size, why))
        }
        Err(error @ StoreError::BadRow { .. }) => Ok(disagrees(checkpoint.size, error.to_string())),
        Err(error) => Err(error),
    }
}
