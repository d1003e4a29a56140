//! The files that a command works with, as its options name them.

use std::path::PathBuf;

use super::{Exit, complain};
use crate::config::Config;

/// The configuration, for a command that runs on it.
#[derive(Debug, clap::Args)]
pub(super) struct ConfigFile {
    /// Configuration file
    #[arg(long, default_value = "placet.toml", value_name = "FILE")]
    config: PathBuf,
}

impl ConfigFile {
    /// The configuration; what is wrong with it is told. What is not there is neither right nor wrong.
    pub(super) fn load(&self) -> Result<Config, Exit> {
        Config::load(&self.config).map_err(|problems| {
            problems.iter().for_each(complain);
            if self.config.exists() { Exit::No } else { Exit::Failed }
        })
    }
}

/// Configuration and policy, for a command that judges them.
#[derive(Debug, clap::Args)]
pub(super) struct Files {
    /// Configuration file [default: placet.toml]
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Policy file, in place of the one that the configuration names
    #[arg(long, value_name = "FILE")]
    pub(super) policy: Option<PathBuf>,
}

impl Files {
    /// The configuration's file; `None` where a policy is judged by itself: no configuration lies about, and none was
    /// asked for.
    pub(super) fn config(&self) -> Option<PathBuf> {
        let path = self.config.clone().unwrap_or_else(|| PathBuf::from("placet.toml"));
        let alone = self.config.is_none() && self.policy.is_some() && !path.exists();
        (!alone).then_some(path)
    }
}
