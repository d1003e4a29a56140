//! `placet audit`: the log, read from the database itself, beside a running Placet or without one.

mod export;
mod verify;

use std::path::PathBuf;

use clap::Subcommand;

use super::{Exit, complain};
use crate::config::Config;
use crate::store::{Snapshot, StoreError};

/// Arguments of `placet audit`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    from: Where,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the log, or a part of it, for other programs
    Export(export::Args),
    /// Say whether the log is what was written, and the database what the log says
    Verify(verify::Args),
}

/// Which log.
#[derive(Clone, Debug, clap::Args)]
struct Where {
    /// Configuration file, which names the data folder
    #[arg(long, default_value = "placet.toml", value_name = "FILE", global = true)]
    config: PathBuf,
    /// The data folder itself, as for a copy without a configuration
    #[arg(long, value_name = "DIR", global = true, conflicts_with = "config")]
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

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::failed(error.to_string())
    }
}

impl Where {
    /// The data folder. A configuration that is wrong is no answer about the log, so it is never exit code 1.
    fn folder(&self) -> Result<PathBuf, Failure> {
        match &self.data_dir {
            Some(folder) => Ok(folder.clone()),
            None => Config::load_without_secrets(&self.config).map(|config| config.data_dir).map_err(|problems| {
                let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
                Failure::failed(format!("{}\nor name the data folder with --data-dir DIR", problems.join("\n")))
            }),
        }
    }

    async fn open(&self) -> Result<Snapshot, Failure> {
        Ok(Snapshot::open(&self.folder()?).await?)
    }
}

/// Runs the command.
#[must_use]
pub fn run(args: &Args) -> Exit {
    let done = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(async {
            match &args.command {
                Command::Export(export) => export::run(&args.from, export).await,
                Command::Verify(verify) => verify::run(&args.from, verify).await,
            }
        }),
        Err(error) => Err(Failure::failed(format!("the runtime did not start: {error}"))),
    };
    done.unwrap_or_else(|Failure { exit, message }| {
        complain(message);
        exit
    })
}
