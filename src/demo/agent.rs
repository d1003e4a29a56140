//! The demo's agent: reads what is there, asks for far too much, waits, and tells what came of it.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

/// An MCP client of the sessions era, as small as the demo needs it.
#[derive(Debug)]
pub struct Agent {
    client: reqwest::Client,
    url: String,
    token: String,
    session: Option<String>,
    next_id: u64,
}

/// A request, its members in the order in which a client writes them: people will read the arguments.
#[derive(Debug, Serialize)]
struct Request<'a, P> {
    jsonrpc: &'static str,
    id: u64,
    method: &'a str,
    params: P,
}

#[derive(Debug, Serialize)]
struct ToolCall<'a, A> {
    name: &'a str,
    arguments: A,
}

/// The arguments of `put_user_policy`.
#[derive(Debug, Serialize)]
pub struct PutUserPolicy<'a> {
    /// Whose.
    pub user_name: &'a str,
    /// Which of the user's policies.
    pub policy_name: &'a str,
    /// The document, as JSON text.
    pub policy_document: &'a str,
    /// What the real server asks agents to set.
    pub confirmed: bool,
}

/// What a tool call came to.
#[derive(Debug, PartialEq, Eq)]
pub struct Told {
    /// The call's state as Placet names it; `executed` for a call that needed no approval.
    pub state: String,
    /// The first text of the result.
    pub text: String,
}

impl Agent {
    /// An agent that has not yet said anything.
    ///
    /// # Errors
    /// The HTTP client cannot be made.
    pub fn new(url: String, token: String) -> reqwest::Result<Self> {
        let client = reqwest::Client::builder().connect_timeout(Duration::from_secs(5)).build()?;
        Ok(Self { client, url, token, session: None, next_id: 0 })
    }

    /// Opens the session.
    ///
    /// # Errors
    /// Nobody answers, or not as MCP has it.
    pub async fn initialize(&mut self) -> anyhow::Result<()> {
        let params = json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "placet-demo-agent", "version": env!("CARGO_PKG_VERSION")}
        });
        self.request("initialize", &params).await?;
        let body = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        self.post(body.to_string()).await?.error_for_status()?;
        Ok(())
    }

    /// Calls a tool and waits for its result. "Pending" is answered by asking again, as Placet tells agents to.
    ///
    /// # Errors
    /// Nobody answers, or not as MCP has it.
    pub async fn call(&mut self, tool: &str, arguments: impl Serialize) -> anyhow::Result<Told> {
        loop {
            let result = self.request("tools/call", &ToolCall { name: tool, arguments: &arguments }).await?;
            let state = result.pointer("/_meta/placet~1call/state").and_then(Value::as_str).unwrap_or("executed");
            let text = result.pointer("/content/0/text").and_then(Value::as_str).unwrap_or_default();
            if state != "pending" {
                return Ok(Told { state: state.to_owned(), text: text.to_owned() });
            }
        }
    }

    async fn post(&self, body: String) -> reqwest::Result<reqwest::Response> {
        let mut request = self
            .client
            .post(&self.url)
            .bearer_auth(&self.token)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2025-11-25")
            .body(body);
        if let Some(session) = &self.session {
            request = request.header("mcp-session-id", session);
        }
        request.send().await
    }

    async fn request(&mut self, method: &str, params: &impl Serialize) -> anyhow::Result<Value> {
        self.next_id += 1;
        let id = self.next_id;
        let request = Request { jsonrpc: "2.0", id, method, params };
        let response = self.post(serde_json::to_string(&request)?).await?;
        if let Some(session) = response.headers().get("mcp-session-id") {
            self.session = Some(session.to_str()?.to_owned());
        }
        let status = response.status();
        let stream = response
            .headers()
            .get("content-type")
            .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        let text = response.text().await?;
        anyhow::ensure!(status.is_success(), "{method} was answered with HTTP {status}: {text}");
        let messages: Vec<&str> = if stream {
            text.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim_start).collect()
        } else {
            vec![text.as_str()]
        };
        for message in messages.into_iter().filter(|message| !message.is_empty()) {
            let mut message: Value = serde_json::from_str(message)?;
            if message.get("id") == Some(&json!(id)) {
                anyhow::ensure!(message.get("error").is_none(), "{method}: {}", message["error"]["message"]);
                return Ok(message["result"].take());
            }
        }
        anyhow::bail!("{method}: the stream ended without an answer")
    }
}

/// The policy document that the scripted agent asks for: it may change its own rights.
pub const DANGEROUS_POLICY: &str = r#"{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Sid": "Deploy",
      "Effect": "Allow",
      "Action": ["s3:*", "iam:PutUserPolicy"],
      "Resource": "*"
    }
  ]
}"#;
