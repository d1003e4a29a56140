//! `placet reviewer`: the people who decide.

use std::io::Read as _;
use std::time::Duration;

use clap::Subcommand;

use super::agent::unexpected;
use super::identity::{Which, perform, table};
use super::{Exit, complain, say};
use crate::call::{Email, GroupName};
use crate::config::Config;
use crate::control::{Command as Wish, Reply, ReviewerLine, Role};

/// How long an API token works where nothing else is asked for, in days, and at most.
const TOKEN_DAYS: u64 = 30;
const LONGEST_TOKEN_DAYS: u64 = 366;

/// Arguments of `placet reviewer`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    which: Which,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make an account, or open a disabled one again
    Add {
        /// Where mails go, and what is typed to sign in
        #[arg(value_parser = Email::parse)]
        email: Email,
        /// As others see it
        #[arg(long)]
        name: Option<String>,
        /// A group whose calls the person reviews
        #[arg(long = "group", value_name = "GROUP")]
        groups: Vec<GroupName>,
        /// What the person may do; an auditor reads everything and decides nothing
        #[arg(long = "role", value_name = "ROLE", default_value = "reviewer")]
        roles: Vec<Role>,
        /// Read a password from standard input, one line; without it the person signs in by link
        #[arg(long)]
        password_stdin: bool,
    },
    /// List the accounts
    List,
    /// Print a one-time sign-in link and its code; it works for ten minutes
    Link {
        /// Whose
        #[arg(value_parser = Email::parse)]
        email: Email,
    },
    /// Print an API token, once; it reads only, unless it may decide
    Token {
        /// Whose
        #[arg(value_parser = Email::parse)]
        email: Email,
        /// It may decide calls, critical ones excepted
        #[arg(long)]
        decide: bool,
        /// How many days it works
        #[arg(long, value_name = "DAYS", default_value_t = TOKEN_DAYS, value_parser = clap::value_parser!(u64).range(1..=LONGEST_TOKEN_DAYS))]
        days: u64,
    },
    /// Disable an account: its sessions, links and tokens end at once
    Disable {
        /// Whose
        #[arg(value_parser = Email::parse)]
        email: Email,
    },
}

/// Runs the command.
#[must_use]
pub fn run(args: Args) -> Exit {
    let config = match args.which.load() {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let json = args.which.json;
    match args.command {
        Command::Add { email, name, groups, roles, password_stdin } => {
            let password = match password_stdin.then(read_password).transpose() {
                Ok(password) => password,
                Err(exit) => return exit,
            };
            let by_link = password.is_none();
            let wish = || Wish::ReviewerAdd {
                email: email.clone(),
                name: name.clone(),
                groups: groups.iter().cloned().collect(),
                roles: roles.clone(),
                password: password.clone(),
            };
            let added = perform(&config, &wish).map(|_| ());
            finish(added, || {
                complain(format!("{email} has an account"));
                if by_link {
                    complain(format!("without a password yet: `placet reviewer link {email}` prints a sign-in link"));
                }
            })
        }
        Command::List => match perform(&config, &|| Wish::ReviewerList) {
            Ok(Reply::Reviewers { reviewers }) => list(&reviewers, json),
            Ok(other) => unexpected(&other),
            Err(exit) => exit,
        },
        Command::Link { email } => link(&config, &email, json),
        Command::Token { email, decide, days } => token(&config, &email, decide, days, json),
        Command::Disable { email } => {
            let disabled = perform(&config, &|| Wish::ReviewerDisable { email: email.clone() }).map(|_| ());
            finish(disabled, || complain(format!("{email} is disabled and signed out everywhere")))
        }
    }
}

fn finish(done: Result<(), Exit>, tell: impl FnOnce()) -> Exit {
    match done {
        Ok(()) => {
            tell();
            Exit::Done
        }
        Err(exit) => exit,
    }
}

/// One line, its end not counted: what `printf` and `echo` give alike.
fn read_password() -> Result<String, Exit> {
    let mut text = String::new();
    // More than any password may have, so that a wrong file is not read to its end.
    let read = std::io::stdin().take(8 * 1024).read_to_string(&mut text);
    if let Err(error) = read {
        complain(format!("the password cannot be read from standard input: {error}"));
        return Err(Exit::Usage);
    }
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        complain("standard input gave no password; send one line, or leave --password-stdin out");
        return Err(Exit::Usage);
    }
    Ok(line.to_owned())
}

fn link(config: &Config, email: &Email, json: bool) -> Exit {
    match perform(config, &|| Wish::ReviewerLink { email: email.clone() }) {
        Ok(Reply::Secret { token, code: Some(code), expires_at, .. }) => {
            let url = format!("{}/login/link/{token}", config.public_url.trim_end_matches('/'));
            let until = expires_at.map(|at| at.to_string());
            if json {
                say(serde_json::json!({ "url": url, "code": code, "expires_at": until }));
            } else {
                say(url);
                say(format!("code: {code}"));
            }
            complain("the link works once, for ten minutes; send link and code by different ways");
            Exit::Done
        }
        Ok(other) => unexpected(&other),
        Err(exit) => exit,
    }
}

fn token(config: &Config, email: &Email, may_decide: bool, days: u64, json: bool) -> Exit {
    let seconds = Duration::from_secs(days * 24 * 3600).as_secs();
    match perform(config, &|| Wish::ReviewerToken { email: email.clone(), may_decide, seconds }) {
        Ok(Reply::Secret { token, expires_at, .. }) => {
            let until = expires_at.map(|at| at.to_string()).unwrap_or_default();
            let does = if may_decide { "reads and decides, critical calls excepted" } else { "reads only" };
            complain(format!("an API token of {email}, shown this once; it {does}, until {until}:"));
            if json {
                say(serde_json::json!({ "token": token, "expires_at": until }));
            } else {
                say(token);
            }
            Exit::Done
        }
        Ok(other) => unexpected(&other),
        Err(exit) => exit,
    }
}

fn list(reviewers: &[ReviewerLine], json: bool) -> Exit {
    if json {
        say(serde_json::json!(reviewers));
    } else if reviewers.is_empty() {
        complain("there is no reviewer yet; `placet reviewer add EMAIL --password-stdin` adds one");
    } else {
        let row = |person: &ReviewerLine| {
            let state = match &person.disabled_at {
                _ if person.changed_by_hand => "changed by hand, counts for nothing: add it anew".into(),
                Some(at) => format!("disabled {at}"),
                None => "active".into(),
            };
            let groups = if person.groups.is_empty() { "-".into() } else { person.groups.join(",") };
            vec![person.email.clone(), person.name.clone(), person.roles.join(","), groups, state]
        };
        let rows: Vec<_> = reviewers.iter().map(row).collect();
        table(&rows).into_iter().for_each(say);
    }
    Exit::Done
}
