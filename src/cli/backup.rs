//! `placet backup`: a checked copy of the database in a file of its own.

use std::path::PathBuf;

use super::agent::unexpected;
use super::identity::{Which, perform};
use super::{Exit, complain, say};
use crate::control::{Command, Reply};

/// Arguments of `placet backup`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    which: Which,
    /// The file to make, in a folder other than the data folder. It must not exist
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Copies the database and says what is in the copy, and what is not.
#[must_use]
pub fn run(args: &Args) -> Exit {
    let config = match args.which.load() {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let data = config.data_dir.display();
    if !config.data_dir.join("placet.db").exists() {
        complain(format!("there is no database in {data}; `placet serve` makes one, or name another placet.toml"));
        return Exit::Failed;
    }
    // The process that carries it out may stand in another folder.
    let file = match std::path::absolute(&args.file) {
        Ok(file) => file,
        Err(error) => {
            complain(format!("{} cannot be a file: {error}; name another", args.file.display()));
            return Exit::No;
        }
    };
    match perform(&config, &|| Command::Backup { file: file.clone() }) {
        Ok(Reply::BackedUp { at, log, bytes }) => {
            let shown = file.display();
            if args.which.json {
                let at = at.to_string();
                say(serde_json::json!({ "file": shown.to_string(), "at": at, "log": log, "bytes": bytes }));
            } else {
                say(format!("{shown}: everything up to {at}, {log} log entries, {bytes} bytes, checked"));
            }
            complain(format!(
                "the keys are not in it: keep seal.key, audit.key and audit.pub of {data} too, apart from this file; \
                 who has both can forge approvals. To restore: stop Placet, move placet.db, placet.db-wal and \
                 placet.db-shm away, and put this file there as placet.db"
            ));
            Exit::Done
        }
        Ok(other) => unexpected(&other),
        Err(exit) => exit,
    }
}
