//! `placet agent`: the programs that call tools through Placet.

use clap::Subcommand;

use super::identity::{Which, perform, table};
use super::{Exit, complain, say};
use crate::call::{AgentName, Email, UpstreamName};
use crate::config::Config;
use crate::control::{AgentLine, Command as Wish, Reply};

/// Arguments of `placet agent`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    which: Which,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add an agent and print its bearer token, once
    Add {
        /// Its name, as reviewers and the log see it
        name: AgentName,
        /// Address of the human who answers for it, and who does not decide its calls
        #[arg(long, value_parser = Email::parse, value_name = "EMAIL")]
        owner: Email,
        /// An upstream that it may use; without any, all of them
        #[arg(long = "upstream", value_name = "NAME")]
        upstreams: Vec<UpstreamName>,
    },
    /// List the agents
    List,
    /// End an agent's token
    Revoke {
        /// Its name
        name: AgentName,
    },
}

/// Runs the command.
#[must_use]
pub fn run(args: Args) -> Exit {
    let config = match args.which.load() {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    match args.command {
        Command::Add { name, owner, upstreams } => add(&config, &name, &owner, &upstreams, args.which.json),
        Command::List => match perform(&config, &|| Wish::AgentList) {
            Ok(Reply::Agents { agents }) => list(&agents, args.which.json),
            Ok(other) => unexpected(&other),
            Err(exit) => exit,
        },
        Command::Revoke { name } => match perform(&config, &|| Wish::AgentRevoke { name: name.clone() }) {
            Ok(_) => {
                complain(format!("{name} is revoked; its token does not work any more"));
                Exit::Done
            }
            Err(exit) => exit,
        },
    }
}

fn add(config: &Config, name: &AgentName, owner: &Email, upstreams: &[UpstreamName], json: bool) -> Exit {
    let known: Vec<_> = config.upstreams.iter().map(|upstream| &upstream.name).collect();
    if let Some(unknown) = upstreams.iter().find(|name| !known.contains(name)) {
        let known: Vec<_> = known.iter().map(ToString::to_string).collect();
        complain(format!("placet.toml has no upstream named {unknown}; it has {}", known.join(", ")));
        return Exit::No;
    }
    let wish = || Wish::AgentAdd { name: name.clone(), owner: owner.clone(), upstreams: upstreams.to_vec() };
    match perform(config, &wish) {
        Ok(Reply::Secret { token, notice, .. }) => {
            if let Some(notice) = notice {
                complain(format!("note: {notice}"));
            }
            complain("the agent's bearer token, shown this once; send it as \"Authorization: Bearer …\":");
            if json {
                say(serde_json::json!({ "name": name, "token": token }));
            } else {
                say(token);
            }
            Exit::Done
        }
        Ok(other) => unexpected(&other),
        Err(exit) => exit,
    }
}

fn list(agents: &[AgentLine], json: bool) -> Exit {
    if json {
        say(serde_json::json!(agents));
    } else if agents.is_empty() {
        complain("there is no agent yet; `placet agent add NAME --owner EMAIL` adds one");
    } else {
        let row = |agent: &AgentLine| {
            let upstreams = if agent.upstreams.is_empty() { "all".into() } else { agent.upstreams.join(",") };
            let state = match &agent.revoked_at {
                _ if agent.changed_by_hand => "changed by hand, counts for nothing: revoke it, then add it anew".into(),
                Some(at) => format!("revoked {at}"),
                None => "active".into(),
            };
            vec![agent.name.clone(), agent.owner.clone(), upstreams, state]
        };
        let rows: Vec<_> = agents.iter().map(row).collect();
        table(&rows).into_iter().for_each(say);
    }
    Exit::Done
}

/// A running Placet of another version may answer what this one does not expect; its words may hold a secret.
pub(super) fn unexpected(_: &Reply) -> Exit {
    complain("the running Placet answered something else than was asked for; is it of another version?");
    Exit::Failed
}
