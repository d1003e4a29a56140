//! `placet serve`: the gateway.

use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::files::ConfigFile;
use super::{Exit, complain};
use crate::app::{self, App, Outside};
use crate::clock::{Clock, Entropy};
use crate::config::Config;
use crate::telemetry::{self, Metrics};

/// How long a stop waits for what still runs.
const PATIENCE: Duration = Duration::from_secs(20);

/// Arguments of `placet serve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    file: ConfigFile,
}

/// Runs the service until it is told to stop.
pub fn run(args: &Args) -> Exit {
    let config = match args.file.load() {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(serve(&config)).unwrap_or_else(|error| {
            complain(format!("Placet did not start: {error:#}"));
            Exit::Failed
        }),
        Err(error) => {
            complain(format!("the runtime did not start: {error}"));
            Exit::Failed
        }
    }
}

async fn serve(config: &Config) -> anyhow::Result<Exit> {
    telemetry::init_logs("info")?;
    warn(config);
    let listener = TcpListener::bind(config.listen).await.map_err(|error| {
        anyhow::anyhow!("it cannot listen on {}: {error}; stop what listens there, or set `listen`", config.listen)
    })?;
    // Listened for from here on, so that nobody is told that it serves before it can be told to stop.
    let asked = stop_asked()?;
    let app = App::start(
        config,
        Outside {
            clock: Clock::of_process(),
            entropy: Entropy::System,
            mailer: app::mailer(config)?,
            listener,
            metrics: Metrics::install()?,
            routes: Default::default(),
        },
    )
    .await?;
    tracing::info!(address = %app.address, "serving");
    let asked = tokio::select! {
        () = asked => true,
        () = app.broken() => false,
    };
    tracing::info!("stopping");
    if app.stop(PATIENCE).await && asked {
        tracing::info!("stopped");
        Ok(Exit::Done)
    } else {
        tracing::warn!("something broke, or still ran and was cut off; the next start finds out what");
        Ok(Exit::Failed)
    }
}

/// Says at the start what the configuration asks for and does not get, and what is doubtful in it.
fn warn(config: &Config) {
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    if config.anchors.is_empty() {
        tracing::warn!(
            "no [[anchors]] in placet.toml: who may write to the data folder can put an older log back unnoticed"
        );
    }
    if config.hold.self_approval {
        tracing::warn!("hold.self_approval is on: an agent's owner may decide its own agent's calls");
    }
}

/// Listens for SIGINT and SIGTERM from now on; the future returns at the first of them.
pub(super) fn stop_asked() -> std::io::Result<impl Future<Output = ()>> {
    let (mut int, mut term) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = int.recv() => {}
            _ = term.recv() => {}
        }
    })
}
