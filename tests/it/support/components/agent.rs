//! Agents on the official MCP clients, around the programs in `tests/components`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncWriteExt, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::{mpsc, oneshot};

use super::{Env, PATIENCE, Program, installed, root, text};

/// Which official client an [`Agent`] uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// PyPI `mcp` 2.
    Python,
    /// npm `@modelcontextprotocol/client` 2.
    TypeScript,
    /// npm `@modelcontextprotocol/sdk` 1, which speaks only the legacy era.
    TypeScript1,
}

/// How a client settles the protocol's era.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Era {
    /// `initialize`, up to 2025-11-25.
    Legacy,
    /// Asks, and falls back to `initialize`.
    Auto,
    /// 2026-07-28 or nothing.
    Modern,
}

impl Client {
    fn command(self, era: Era) -> Vec<String> {
        let script = |name| text(&root().join("tests/components").join(name));
        let mut command = match self {
            Self::Python => vec![installed("python/mcp/bin/python"), script("agent.py")],
            Self::TypeScript | Self::TypeScript1 => {
                let _ = installed("node/load.mjs");
                let sdk = if self == Self::TypeScript { "2" } else { "1" };
                vec!["node".to_owned(), script("agent.mjs"), "--sdk".to_owned(), sdk.to_owned()]
            }
        };
        let era = match era {
            Era::Legacy => "legacy",
            Era::Auto => "auto",
            Era::Modern => "modern",
        };
        command.extend(["--era".to_owned(), era.to_owned()]);
        command
    }
}

/// The result of a tool call as the client hands it to its user, or the client's error
/// (`{"type", "code", "message", "data"}`).
pub type Answer = Result<Value, Value>;

type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<Answer>>>>;

/// An agent on an official MCP client; killed when dropped.
pub struct Agent {
    program: Program,
    stdin: tokio::sync::Mutex<ChildStdin>,
    waiting: Waiting,
    events: mpsc::UnboundedReceiver<Value>,
    next: AtomicU64,
    /// What the client knows after connecting: `version`, `server`, `instructions`.
    pub connected: Value,
}

/// A tool call that has been sent.
pub struct OpenCall {
    /// The number by which the agent's events and [`Agent::cancel`] name it.
    pub id: u64,
    answer: oneshot::Receiver<Answer>,
}

impl OpenCall {
    /// Waits for the answer.
    pub async fn answer(self) -> Answer {
        let answer = tokio::time::timeout(PATIENCE, self.answer).await;
        answer.expect("the agent answers in time").expect("the agent is still running")
    }
}

impl Agent {
    /// Connects over Streamable HTTP, with a bearer token where one is given.
    pub async fn connect(client: Client, era: Era, url: &str, token: Option<&str>) -> Self {
        Self::try_connect(client, era, url, token).await.unwrap_or_else(|error| panic!("the agent is refused: {error}"))
    }

    /// As [`Agent::connect`]; the client's error where it does not come to a connection.
    pub async fn try_connect(client: Client, era: Era, url: &str, token: Option<&str>) -> Result<Self, Value> {
        let env = token.map(|token| ("PLACET_TOKEN".to_owned(), token.to_owned())).into_iter().collect();
        Self::start([client.command(era), vec![url.to_owned()]].concat(), &env).await
    }

    /// Starts an MCP server as the client's child and connects over stdio.
    pub async fn over_stdio(client: Client, era: Era, server: &[String], env: &Env) -> Self {
        let command = [client.command(era), vec!["--".to_owned()], server.to_vec()].concat();
        Self::start(command, env).await.unwrap_or_else(|error| panic!("the server is not usable: {error}"))
    }

    async fn start(command: Vec<String>, env: &Env) -> Result<Self, Value> {
        let mut program = Program::start(&command, env);
        let stdin = program.child.stdin.take().expect("stdin is piped");
        let (tell, mut events) = mpsc::unbounded_channel();
        let waiting = Waiting::default();
        let lines = program.stdout();
        program.tasks.spawn(read_answers(lines, Arc::clone(&waiting), tell));
        let first = tokio::time::timeout(PATIENCE, events.recv()).await.ok().flatten();
        let Some(first) = first else { panic!("{} said nothing.\n{}", program.name, program.said()) };
        if first["event"] == "failed" {
            return Err(first["error"].clone());
        }
        let stdin = tokio::sync::Mutex::new(stdin);
        Ok(Self { program, stdin, waiting, events, next: AtomicU64::new(1), connected: first })
    }

    /// Sends a command and returns at once; `command` has everything but its `id`.
    async fn send(&self, mut command: Value) -> OpenCall {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (tell, answer) = oneshot::channel();
        self.waiting.lock().expect("no holder panics").insert(id, tell);
        command["id"] = id.into();
        let line = format!("{command}\n");
        let sent = self.stdin.lock().await.write_all(line.as_bytes()).await;
        sent.unwrap_or_else(|error| panic!("the agent is gone: {error}\n{}", self.program.said()));
        OpenCall { id, answer }
    }

    /// Sends a tool call and returns at once.
    pub async fn start_call(&self, tool: &str, arguments: Value) -> OpenCall {
        self.start_call_with(tool, arguments, json!({})).await
    }

    /// As [`Agent::start_call`], with `timeout_s`, `progress`, `meta` or (TypeScript)
    /// `reset_timeout_on_progress` in `options`.
    pub async fn start_call_with(&self, tool: &str, arguments: Value, options: Value) -> OpenCall {
        let mut command = json!({"do": "call", "tool": tool, "arguments": arguments});
        let options = options.as_object().expect("options are an object").clone();
        command.as_object_mut().expect("it is an object").extend(options);
        self.send(command).await
    }

    /// Calls a tool and waits for its answer.
    pub async fn call(&self, tool: &str, arguments: Value) -> Answer {
        self.start_call(tool, arguments).await.answer().await
    }

    /// Gives up a call in the client's own way; the call's answer is then an error of type `Cancelled`.
    pub async fn cancel(&self, call: &OpenCall) {
        let done = self.send(json!({"do": "cancel", "call": call.id})).await.answer().await;
        done.expect("the call was open");
    }

    /// The tools that the client sees, all pages.
    pub async fn list_tools(&self) -> Vec<Value> {
        let answer = self.send(json!({"do": "list_tools"})).await.answer().await;
        answer.expect("tools are listed")["tools"].as_array().expect("a list of tools").clone()
    }

    /// The next progress (`{"event": "progress", "id", "progress", …}`) or notification of the server.
    pub async fn next_event(&mut self) -> Value {
        let event = tokio::time::timeout(PATIENCE, self.events.recv()).await;
        event.expect("an event in time").expect("the agent is still running")
    }

    /// Ends the connection politely and waits until the client is gone.
    pub async fn close(mut self) {
        let sent = self.stdin.lock().await.write_all(b"{\"do\": \"close\"}\n").await;
        sent.expect("the agent is still running");
        let status = tokio::time::timeout(PATIENCE, self.program.child.wait()).await;
        let status = status.expect("the agent ends in time").expect("its status is known");
        assert!(status.success(), "the agent failed: {status}\n{}", self.program.said());
    }
}

/// Gives every answer to the call that waits for it, every event to `tell`.
async fn read_answers(mut lines: Lines<BufReader<ChildStdout>>, waiting: Waiting, tell: mpsc::UnboundedSender<Value>) {
    while let Ok(Some(line)) = lines.next_line().await {
        let mut message: Value = serde_json::from_str(&line).expect("the agent prints JSON");
        let call = message["id"].as_u64().filter(|_| message.get("ok").is_some());
        match call.and_then(|id| waiting.lock().expect("no holder panics").remove(&id)) {
            Some(call) => {
                let ok = message["ok"] == true;
                let answer = if ok { Ok(message["result"].take()) } else { Err(message["error"].take()) };
                // Whoever dropped the call does not want the answer.
                drop(call.send(answer));
            }
            // Whoever stopped listening for events does not want them.
            None => drop(tell.send(message)),
        }
    }
    // Dropping the senders tells whoever still waits that the agent is gone.
    waiting.lock().expect("no holder panics").clear();
}
