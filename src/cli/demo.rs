//! `placet demo`: the whole thing in one process.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use super::serve::stop_asked;
use super::{Exit, complain, say};
use crate::demo::agent::{Agent, DANGEROUS_POLICY, PutUserPolicy, Told};
use crate::demo::run::Demo;
use crate::telemetry;

/// How long the stop waits: nothing of the demo is worth more.
const PATIENCE: Duration = Duration::from_secs(3);

/// Arguments of `placet demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDR")]
    listen: SocketAddr,
    /// Without the scripted agent: connect your own
    #[arg(long)]
    no_agent: bool,
}

/// Runs the demo until it is told to stop.
pub fn run(args: &Args) -> Exit {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(format!("the runtime did not start: {error}"));
            return Exit::Failed;
        }
    };
    match runtime.block_on(demo(args)) {
        Ok(()) => Exit::Done,
        Err(error) => {
            complain(format!("the demo did not start: {error:#}"));
            Exit::Failed
        }
    }
}

async fn demo(args: &Args) -> anyhow::Result<()> {
    telemetry::init_logs("error")?;
    let asked = stop_asked()?;
    let demo = Demo::start(args.listen).await?;
    say(format!("{}\ncode: {}", demo.link, demo.code));
    say("1. Open the link and type the code; you are the reviewer.");
    if args.no_agent {
        say(format!("2. Connect your agent to {}/mcp with the header Authorization: Bearer {}", demo.url, demo.token));
    } else {
        say("2. An agent asks for a dangerous IAM policy. Read the call, then approve or reject it.");
        say("3. What the agent was told appears below.");
    }
    say(format!("Mails: {}/demo/mails   End with Ctrl-C; nothing stays behind.", demo.url));
    let agent = async {
        if !args.no_agent
            && let Err(error) = script(&format!("{}/mcp", demo.url), &demo.token).await
        {
            complain(format!("agent: stopped: {error:#}"));
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = asked => {}
        () = agent => {}
    }
    demo.stop(PATIENCE).await
}

/// What the agent does: looks around, then asks for more than it should have.
async fn script(url: &str, token: &str) -> anyhow::Result<()> {
    let mut agent = Agent::new(url.to_owned(), token.to_owned())?;
    agent.initialize().await?;
    let user = json!({"user_name": "ci-bot"});
    for (tool, arguments) in [("list_users", json!({})), ("list_user_policies", user)] {
        tell(tool, &agent.call(tool, arguments).await?);
    }
    say("agent: put_user_policy pending, waits for you");
    let arguments = PutUserPolicy {
        user_name: "ci-bot",
        policy_name: "build-access",
        policy_document: DANGEROUS_POLICY,
        confirmed: true,
    };
    tell("put_user_policy", &agent.call("put_user_policy", arguments).await?);
    let read = json!({"user_name": "ci-bot", "policy_name": "build-access"});
    let mut read = agent.call("get_user_policy", read).await?;
    // The document alone: what is in force now, with or without the change.
    if let Ok(answer) = serde_json::from_str::<Value>(&read.text)
        && let Some(document) = answer["policy_document"].as_str()
    {
        read.text = document.to_owned();
    }
    tell("get_user_policy", &read);
    Ok(())
}

/// One line for one call, whatever the text of its result contains: Placet's words in full, a tool's own shortened.
fn tell(tool: &str, told: &Told) {
    let text: String = told.text.split_whitespace().collect::<Vec<_>>().join(" ");
    let most = if told.state == "executed" { 144 } else { 400 };
    let short: String = text.chars().take(most).collect();
    let more = if short.len() < text.len() { " …" } else { "" };
    say(format!("agent: {tool} {} {short}{more}", told.state));
}
