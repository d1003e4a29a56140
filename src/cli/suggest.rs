//! `placet suggest`: asks an upstream for its tools and prints a policy to start from.

use std::time::Duration;

use super::files::ConfigFile;
use super::{Exit, complain, say, visible};
use crate::app::upstream_config;
use crate::call::{ToolName, UpstreamName};
use crate::clock::{Clock, Entropy};
use crate::config::Config;
use crate::gateway::upstream::{KnownTool, Upstreams};
use crate::lifecycle::Tasks;
use crate::policy::classify::Tool;
use crate::policy::suggest::suggest;
use crate::telemetry;

/// How long a process that was started for this may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Arguments of `placet suggest`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The upstream, as placet.toml names it
    #[arg(value_name = "UPSTREAM")]
    upstream: UpstreamName,
    #[command(flatten)]
    file: ConfigFile,
}

/// Prints the policy on stdout and what it is about on stderr.
pub fn run(args: &Args) -> Exit {
    let config = match args.file.load() {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    if !config.upstreams.iter().any(|upstream| upstream.name == args.upstream) {
        let names: Vec<_> = config.upstreams.iter().map(|upstream| upstream.name.as_str()).collect();
        complain(format!("no upstream is called {}; placet.toml has {}", args.upstream, names.join(", ")));
        return Exit::Failed;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let listed = match runtime {
        Ok(runtime) => runtime.block_on(list(&config, &args.upstream)),
        Err(error) => Err(format!("the runtime did not start: {error}")),
    };
    let known = match listed {
        Ok(known) => known,
        Err(why) => {
            complain(format!("the tools of {} could not be listed: {}", args.upstream, visible(&why)));
            return Exit::Failed;
        }
    };
    let tools: Vec<_> = known.iter().map(|known| Tool::read(&known.name, &known.json)).collect();
    say(suggest(&args.upstream, config.upstreams.len() == 1, &tools));
    let unusable = tools.iter().filter(|tool| ToolName::new(tool.name.as_str()).is_err()).count();
    if unusable > 0 {
        complain(format!("{unusable} have names that are empty or longer than 512 bytes, and cannot be called"));
    }
    complain(format!("{} tools; read it through: names, parameters and hints prove nothing", tools.len()));
    Exit::Done
}

/// The upstream's tools, all of them. What was started for it has ended when this returns.
async fn list(config: &Config, name: &UpstreamName) -> Result<Vec<KnownTool>, String> {
    telemetry::init_logs("error").map_err(|error| error.to_string())?;
    let wanted: Vec<_> = config.upstreams.iter().filter(|one| one.name == *name).map(upstream_config).collect();
    let tasks = Tasks::default();
    let upstreams = Upstreams::new(&wanted, &tasks, &Clock::of_process(), &Entropy::System);
    let listed = match &upstreams {
        Ok(upstreams) => match upstreams.get(name) {
            Some(upstream) => upstream.list_tools(None).await,
            None => Err("it is not configured".to_owned()),
        },
        Err(error) => Err(error.to_string()),
    };
    if let Ok(upstreams) = upstreams {
        upstreams.close().await;
    }
    tasks.begin_stop();
    tasks.ended(PATIENCE).await;
    listed
}
