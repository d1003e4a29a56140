//! `placet audit`: the log, signed by the running Placet or here; exported, verified and proved from the database
//! itself, beside a running Placet or without one.

mod checkpoint;
mod export;
mod receipt;
mod rotate;
mod verify;

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::identity::Which;
use super::{Exit, complain};
use crate::store::{Snapshot, StoreError};

/// Arguments of `placet audit`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    which: Which,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Sign the log as it is and print the note, which `audit verify --anchor` takes
    Checkpoint,
    /// Say whether a receipt holds, without the log
    CheckReceipt(receipt::Check),
    /// Print the log, or a part of it, for other programs
    Export(export::Args),
    /// Print a call's receipt: what the log tells of it, which anybody can check without the log
    Proof(receipt::Make),
    /// Replace the key that signs the log; the log says so
    RotateKey(rotate::Args),
    /// Say whether the log is what was written, and the database what the log says
    Verify(verify::Args),
}

/// Which log is read.
#[derive(Clone, Debug, clap::Args)]
struct Where {
    /// The data folder itself, as for a copy without a placet.toml
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// Why a command ended without its work's being done.
#[derive(Debug)]
struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: message.into() }
    }

    /// Could not tell.
    fn failed(message: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, message: message.into() }
    }
}

/// Why a file that was asked for could not be made, in words that name no other file.
fn unwritable(file: &Path, error: &io::Error) -> Failure {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = folder.display();
    let why = match error.kind() {
        ErrorKind::NotFound => format!("the folder {folder} is not there; make it, or name another"),
        ErrorKind::PermissionDenied => format!("this user may not write to {folder}; name another folder"),
        ErrorKind::NotADirectory => format!("{folder} is not a folder; name another"),
        ErrorKind::IsADirectory => "it is a folder; name a file in it".to_owned(),
        ErrorKind::AlreadyExists => "it is there already, and a receipt replaces no file; name another".to_owned(),
        ErrorKind::StorageFull => format!("the disk of {folder} is full"),
        kind => {
            error.raw_os_error().map_or_else(|| kind.to_string(), |code| io::Error::from_raw_os_error(code).to_string())
        }
    };
    Failure::failed(format!("{} cannot be written: {why}", file.display()))
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::failed(error.to_string())
    }
}

impl Where {
    /// The data folder. A configuration that is wrong is no answer about the log, so it is never exit code 1.
    fn folder(&self, which: &Which) -> Result<PathBuf, Failure> {
        match &self.data_dir {
            Some(folder) => Ok(folder.clone()),
            None => which.load().map(|config| config.data_dir).map_err(|_| {
                Failure::failed("so nothing could be read; name the data folder itself with --data-dir DIR")
            }),
        }
    }

    async fn open(&self, which: &Which) -> Result<Snapshot, Failure> {
        Ok(Snapshot::open(&self.folder(which)?).await?)
    }
}

/// Runs the command.
#[must_use]
pub fn run(args: Args) -> Exit {
    match args.command {
        Command::Checkpoint => args.which.load().map_or_else(|exit| exit, |config| checkpoint::run(&config)),
        Command::RotateKey(lost) => {
            args.which.load().map_or_else(|exit| exit, |config| rotate::run(&config, &lost, args.which.json))
        }
        Command::CheckReceipt(check) => reading(async { receipt::check(&args.which, &check) }),
        Command::Proof(make) => reading(receipt::make(&args.which, &make)),
        Command::Export(export) => reading(export::run(&args.which, &export)),
        Command::Verify(verify) => reading(verify::run(&args.which, &verify)),
    }
}

/// Runs a command that only reads.
fn reading(work: impl Future<Output = Result<Exit, Failure>>) -> Exit {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => Err(Failure::failed(format!("the runtime did not start: {error}"))),
    };
    done.unwrap_or_else(|Failure { exit, message }| {
        complain(message);
        exit
    })
}

/// Whether there is a log at all: these commands make none.
fn has_log(config: &crate::config::Config) -> Result<(), Exit> {
    if config.data_dir.join("placet.db").exists() {
        return Ok(());
    }
    let folder = config.data_dir.display();
    complain(format!("there is no log in {folder}; `placet serve` begins one, or name another placet.toml"));
    Err(Exit::Failed)
}
