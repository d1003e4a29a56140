//! The command line: one file per command. Prints; everything else in Placet logs.

mod agent;
mod api;
mod audit;
mod backup;
mod calls;
mod check;
mod demo;
mod files;
mod identity;
mod init;
mod output;
mod reviewer;
mod serve;
mod suggest;
mod test;
mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub(crate) use output::{Exit, complain, say, visible};

/// The approval service between AI agents and the MCP servers they can break.
#[derive(Debug, Parser)]
#[command(name = "placet", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The whole thing in one process, nothing to configure, nothing left behind
    Demo(demo::Args),
    /// Write a commented placet.toml and policy.json to start from
    Init(init::Args),
    /// Run the gateway and the reviewers' pages
    Serve(serve::Args),
    /// Say what is wrong with placet.toml and the policy
    Check(check::Args),
    /// Run calls through the policy: written ones, or those that the log tells of. Nothing is forwarded or written
    Test(test::Args),
    /// Propose a policy for an upstream's tools, with a reason for each
    Suggest(suggest::Args),
    /// Add, list and revoke agents
    Agent(agent::Args),
    /// Add, list and disable reviewers; make sign-in links and API tokens
    Reviewer(reviewer::Args),
    /// Sign the audit log, replace its key; export, verify and prove it
    Audit(audit::Args),
    /// Copy the database into a file, while it is served from or not
    Backup(backup::Args),
    /// Review calls from a terminal
    Calls(calls::Args),
    /// Print every change of every call as it happens
    Watch(watch::Args),
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers; everything else is wrong usage. A closed terminal is nobody's error.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() };
        }
    };
    let exit = match cli.command {
        Command::Demo(args) => demo::run(&args),
        Command::Init(args) => init::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Suggest(args) => suggest::run(&args),
        Command::Agent(args) => agent::run(args),
        Command::Reviewer(args) => reviewer::run(args),
        Command::Audit(args) => audit::run(args),
        Command::Backup(args) => backup::run(&args),
        Command::Calls(args) => calls::run(args),
        Command::Watch(args) => watch::run(args),
    };
    exit.into()
}
