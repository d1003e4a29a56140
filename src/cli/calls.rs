//! `placet calls`: review from a terminal.

use clap::Subcommand;
use serde_json::{Value, json};

use super::api::{Api, Failure, Server, block_on};
use super::{Exit, complain, say, visible};

/// Arguments of `placet calls`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    server: Server,
    #[command(subcommand)]
    command: Option<Command>,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Pending calls, or those of another state
    List {
        /// One of pending, approved, rejected, expired, cancelled, releasing, executed, tool_error, outcome_unknown,
        /// lapsed, revoked; or all
        #[arg(long, default_value = "pending")]
        state: String,
    },
    /// One call, its arguments included
    Show {
        /// The call's id
        id: String,
        /// Show what is masked as well; the log says who looked. Needs a token made with --decide
        #[arg(long)]
        reveal: bool,
    },
    /// Approve this exact call once
    Approve {
        /// The call's id
        id: String,
        /// Why, for the log
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Say what became of a call whose outcome is unknown, once you have looked
    Finding {
        /// The call's id
        id: String,
        /// Whether it took effect
        #[arg(long, value_enum)]
        ran: Ran,
        /// How you know
        #[arg(long)]
        reason: String,
    },
    /// Reject it
    Reject {
        /// The call's id
        id: String,
        /// Why; the agent is told
        #[arg(long)]
        reason: String,
    },
}

/// What a person found out.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Ran {
    /// It took effect
    Yes,
    /// It did not
    No,
}

/// Runs the command.
pub fn run(args: Args) -> Exit {
    let done = block_on(async {
        let api = args.server.open()?;
        match args.command.unwrap_or(Command::List { state: "pending".into() }) {
            Command::List { state } => list(&api, &state, args.json).await,
            Command::Show { id, reveal } => {
                let path = path(&id)?;
                let call = if reveal {
                    api.post(&format!("{path}/reveal"), &json!({})).await?
                } else {
                    api.get(&path).await?
                };
                if args.json {
                    say(&call);
                } else {
                    show(&call);
                }
                Ok(())
            }
            Command::Approve { id, reason } => decide(&api, &id, "approve", &reason, args.json).await,
            Command::Finding { id, ran, reason } => {
                let body = json!({"ran": matches!(ran, Ran::Yes), "reason": reason});
                let call = api.post(&format!("{}/finding", path(&id)?), &body).await?;
                if args.json {
                    say(&call);
                } else {
                    say(format!("{} {}", text(&call, "id"), found(&call)));
                }
                Ok(())
            }
            Command::Reject { id, reason } => decide(&api, &id, "reject", &reason, args.json).await,
        }
    });
    match done {
        Ok(()) => Exit::Done,
        Err(Failure { exit, message }) => {
            complain(message);
            exit
        }
    }
}

fn path(id: &str) -> Result<String, Failure> {
    let id: crate::call::CallId =
        id.parse().map_err(|error| Failure { exit: Exit::Usage, message: format!("{id}: {error}") })?;
    Ok(format!("/api/v1/calls/{id}"))
}

async fn list(api: &Api, state: &str, json: bool) -> Result<(), Failure> {
    if !state.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
        return Err(Failure { exit: Exit::Usage, message: format!("{state:?} is no state") });
    }
    let mut next = Some(if state == "all" { "/api/v1/calls".into() } else { format!("/api/v1/calls?state={state}") });
    let mut calls = Vec::new();
    while let Some(page) = next {
        let mut answer = api.get(&page).await?;
        if let Some(Value::Array(page)) = answer.get_mut("calls").map(Value::take) {
            calls.extend(page);
        }
        next = answer.get("next").and_then(Value::as_str).map(str::to_owned);
    }
    if json {
        say(Value::Array(calls));
        return Ok(());
    }
    if calls.is_empty() {
        complain(format!("no call is {state}"));
    }
    for call in &calls {
        let last = match call["state"].as_str() {
            Some("outcome_unknown") => found(call),
            Some("pending") if call["restored_as_of"].is_string() => {
                format!("until {}  FROM A COPY: it may have run since", text(call, "expires_at"))
            }
            _ => format!("until {}", text(call, "expires_at")),
        };
        say(format!(
            "{}  {:<10} {}  {} on {}  {last}",
            text(call, "id"),
            text(call, "state"),
            text(call, "agent"),
            text(call, "tool"),
            text(call, "upstream"),
        ));
    }
    Ok(())
}

async fn decide(api: &Api, id: &str, verdict: &str, reason: &str, json: bool) -> Result<(), Failure> {
    let path = path(id)?;
    let call = api.get(&path).await?;
    if verdict == "approve" {
        warn_of_copy(&call);
    }
    let body = json!({"verdict": verdict, "digest": call["digest"], "reason": reason});
    let call = api.post(&format!("{path}/decision"), &body).await?;
    if json {
        say(&call);
    } else {
        say(format!("{} is {}", text(&call, "id"), text(&call, "state")));
    }
    Ok(())
}

fn show(call: &Value) {
    for key in ["id", "state", "agent", "upstream", "tool", "created_at", "expires_at", "digest"] {
        say(format!("{key:<11} {}", text(call, key)));
    }
    match call["redacted_at"].as_str() {
        Some(at) => say(format!("arguments   erased at {at}, as the retention asks")),
        None => say(format!("arguments   {}", text(call, "arguments"))),
    }
    if call["agent_reason"].is_string() {
        say(format!("agent says  {}", text(call, "agent_reason")));
    }
    if call["tool_changed"] == true {
        say("changed     its tool said something else of itself than was accepted when the call was held");
    }
    if let Some(masked @ 1..) = call["masked"].as_u64() {
        let id = text(call, "id");
        complain(format!("{masked} masked; `placet calls show {id} --reveal` shows them, and the log says who looked"));
    }
    warn_of_copy(call);
    if call["state"] == "outcome_unknown" {
        let (finding, why) = (&call["finding"], &call["outcome"]);
        say(format!("why         {}", text(why, "why")));
        say(format!(
            "finding     {} {} {} {}",
            found(call),
            text(finding, "by"),
            text(finding, "at"),
            text(finding, "reason")
        ));
    }
    for decision in call["decisions"].as_array().into_iter().flatten() {
        say(format!(
            "{:<11} by {} at {} {}",
            text(decision, "verdict"),
            text(decision, "by"),
            text(decision, "at"),
            text(decision, "reason")
        ));
    }
}

/// A call of a database that was put back may have been decided and run since.
fn warn_of_copy(call: &Value) {
    if let Some(at) = call["restored_as_of"].as_str().filter(|_| call["state"] == "pending") {
        complain(format!(
            "this call comes from a copy of {at}: it may have been decided, and have run, since; look at the upstream \
             before you approve it"
        ));
    }
}

/// What is known of a call that may have run.
fn found(call: &Value) -> String {
    match call["finding"]["ran"].as_bool() {
        None => format!(
            "NOBODY KNOWS whether it ran: look, then `placet calls finding {} --ran yes|no --reason R`",
            text(call, "id")
        ),
        Some(true) => "was found to have run".to_owned(),
        Some(false) => "was found not to have run".to_owned(),
    }
}

/// A member as text for a terminal: what an agent wrote must not move the cursor or hide what stands beside it.
fn text(value: &Value, key: &str) -> String {
    let text = match &value[key] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    visible(&text)
}
