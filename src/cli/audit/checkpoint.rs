//! `placet audit checkpoint`: the latest signed note.

use std::io::Write as _;

use super::super::agent::unexpected;
use super::super::identity::attempt;
use super::super::{Exit, complain};
use super::has_log;
use crate::audit::Checkpoint;
use crate::audit::note::VerifyingKey;
use crate::config::Config;
use crate::control::{Command, Reply};

/// Prints a fresh note over the whole log; where the log cannot be written to, the one that was published last, and the
/// exit code says that nothing was signed.
pub fn run(config: &Config) -> Exit {
    if let Err(exit) = has_log(config) {
        return exit;
    }
    let why = match attempt(&config.data_dir, &|| Command::AuditCheckpoint) {
        Ok(Reply::Note { note }) => return print(&note),
        Ok(Reply::Refused { why, wrong: true }) => {
            complain(why);
            return Exit::No;
        }
        Ok(Reply::Refused { why, .. }) | Err(why) => why,
        Ok(other) => return unexpected(&other),
    };
    complain(why);
    match published(config) {
        Ok(note) => {
            complain("nothing was signed: this is the note that was published last; later entries are not under it");
            print(&note);
            Exit::Failed
        }
        Err(why) => {
            complain(why);
            Exit::Failed
        }
    }
}

/// The note in `audit.checkpoint`, if it opens under a key in `audit.pub`.
fn published(config: &Config) -> Result<String, String> {
    let read = |name: &str| {
        let path = config.data_dir.join(name);
        std::fs::read_to_string(&path).map_err(|error| format!("{} cannot be read either: {error}", path.display()))
    };
    let (note, keys) = (read("audit.checkpoint")?, read("audit.pub")?);
    let keys = VerifyingKey::parse_all(&keys).map_err(|error| format!("audit.pub cannot be used: {error}"))?;
    Checkpoint::open(&note, &keys).map_err(|error| format!("audit.checkpoint cannot be used: {error}"))?;
    Ok(note)
}

/// Byte for byte: what is printed is what was signed. A reader that has gone away is not an error.
fn print(note: &str) -> Exit {
    let _ = std::io::stdout().lock().write_all(note.as_bytes());
    Exit::Done
}
