//! `placet audit`: the log, signed and proved.

mod checkpoint;
mod rotate;

use clap::Subcommand;

use super::Exit;
use super::identity::Which;

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
    /// Replace the key that signs the log; the log says so
    RotateKey(rotate::Args),
}

/// Runs the command.
#[must_use]
pub fn run(args: Args) -> Exit {
    let config = match args.which.load() {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    match args.command {
        Command::Checkpoint => checkpoint::run(&config),
        Command::RotateKey(lost) => rotate::run(&config, &lost, args.which.json),
    }
}

/// Whether there is a log at all: these commands make none.
fn has_log(config: &crate::config::Config) -> Result<(), Exit> {
    if config.data_dir.join("placet.db").exists() {
        return Ok(());
    }
    let folder = config.data_dir.display();
    super::complain(format!("there is no log in {folder}; `placet serve` begins one, or name another placet.toml"));
    Err(Exit::Failed)
}
