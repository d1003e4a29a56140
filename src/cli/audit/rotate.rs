//! `placet audit rotate-key`: another key signs the log from now on.

use super::super::agent::unexpected;
use super::super::identity::{alone, in_runtime, perform};
use super::super::{Exit, complain, say};
use super::has_log;
use crate::clock::Entropy;
use crate::config::Config;
use crate::control::{Command, Reply};
use crate::notary::{Notary, NotaryError, Rotated};
use crate::store::StoreError;

/// Arguments of `placet audit rotate-key`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The private key is gone: go on without its signature under the change. Only while no server runs
    #[arg(long)]
    lost: bool,
}

/// Replaces the key and prints the new public one.
pub fn run(config: &Config, args: &Args, json: bool) -> Exit {
    if let Err(exit) = has_log(config) {
        return exit;
    }
    let rotated = if args.lost { without(config) } else { perform(config, &|| Command::AuditRotateKey) };
    match rotated {
        Ok(Reply::Rotated { old, new }) => {
            complain("the log has a new key; give it to whoever verifies the log, beside the old one:");
            if json {
                say(serde_json::json!({ "old": old, "new": new }));
            } else {
                say(new);
            }
            Exit::Done
        }
        Ok(other) => unexpected(&other),
        Err(exit) => exit,
    }
}

fn without(config: &Config) -> Result<Reply, Exit> {
    let replaced = async |store| {
        let (notary, Rotated { old, new }) = Notary::open_without_key(store, &Entropy::System).await?;
        notary.checkpoint().await?;
        Ok::<_, NotaryError>(Reply::Rotated { old, new })
    };
    let done = in_runtime(async {
        alone(&config.data_dir, replaced).await.map_err(|error| match error {
            StoreError::InUse(_) => format!(
                "a Placet runs on {}: stop it first, if the key is lost. As long as it runs it has the key: `placet audit \
                 rotate-key` without --lost replaces it, and the old key signs that",
                config.data_dir.display()
            ),
            error => error.to_string(),
        })
    });
    match done.map(|replaced| replaced.unwrap_or_else(Reply::from)) {
        Ok(Reply::Refused { why, wrong }) => {
            complain(why);
            Err(if wrong { Exit::No } else { Exit::Failed })
        }
        Ok(reply) => Ok(reply),
        Err(why) => {
            complain(why);
            Err(Exit::Failed)
        }
    }
}
