//! What `agent`, `reviewer` and `audit` share: a command is carried out by the running Placet if there is one, else here.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Exit, complain};
use crate::clock::{Clock, Entropy};
use crate::config::Config;
use crate::control::{Command, Desk, Reply, ask, carry_out};
use crate::identity::{Identity, SessionLimits};
use crate::lifecycle::Tasks;
use crate::notary::Notary;
use crate::store::{Store, StoreError};

/// How long a process that starts or stops may hold the folder without listening.
const PATIENCE: Duration = Duration::from_secs(5);

/// Which Placet is meant.
#[derive(Clone, Debug, clap::Args)]
pub struct Which {
    /// Configuration file
    #[arg(long, default_value = "placet.toml", value_name = "FILE", global = true)]
    config: PathBuf,
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
}

impl Which {
    /// The configuration, without its secrets; what is wrong with it is told.
    pub fn load(&self) -> Result<Config, Exit> {
        Config::load_without_secrets(&self.config).map_err(|problems| {
            problems.iter().for_each(complain);
            Exit::No
        })
    }
}

/// Carries a command out and gives its reply; a refusal is told, and ends the command.
pub fn perform(config: &Config, command: &impl Fn() -> Command) -> Result<Reply, Exit> {
    match attempt(&config.data_dir, command) {
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

/// Carries a command out and gives its reply, or why there is none.
pub fn attempt(folder: &Path, command: &impl Fn() -> Command) -> Result<Reply, String> {
    let offline = async |store: Store| {
        let (command, entropy) = (command(), Entropy::System);
        let notary = if command.signs() {
            match Notary::open(store.clone(), &entropy).await {
                Ok((notary, _)) => Some(notary),
                Err(error) => return Reply::from(error),
            }
        } else {
            None
        };
        let identity = Identity::new(store.clone(), Clock::system(), Entropy::System, SessionLimits::default());
        carry_out(&Desk { identity, store, notary, entropy }, command).await
    };
    in_runtime(async {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            match alone(folder, offline).await {
                Err(StoreError::InUse(_)) => {}
                Ok(reply) => return Ok(reply),
                Err(error) => return Err(error.to_string()),
            }
            match ask(folder, &command()).await {
                Ok(reply) => return Ok(reply),
                Err(error) if tokio::time::Instant::now() >= deadline => {
                    return Err(format!(
                        "the Placet that uses {} does not take commands ({error}); try again, or stop it first",
                        folder.display()
                    ));
                }
                // It starts or stops at this moment.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    })
}

/// Runs a command's future to its end.
pub fn in_runtime<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| format!("the runtime did not start: {error}"))?.block_on(work)
}

/// Opens the database of a folder that nobody uses, works with it, and closes it again. One that was put back is served
/// from first: what is written before that would take the numbers of entries that are missing.
pub async fn alone<T>(folder: &Path, work: impl AsyncFnOnce(Store) -> T) -> Result<T, StoreError> {
    let tasks = Tasks::default();
    let store = Store::open(folder, Clock::system(), &tasks).await?;
    let done = match store.must_be_settled().await {
        Ok(()) => Ok(work(store).await),
        Err(error) => {
            drop(store);
            Err(error)
        }
    };
    tasks.begin_stop();
    tasks.ended(PATIENCE).await;
    done
}

/// A table for people: columns as wide as their widest cell.
pub fn table(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<_> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}
