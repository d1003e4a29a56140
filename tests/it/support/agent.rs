//! An agent as HTTP sees it: every byte and header in the test's hands, event streams read piece by piece.

use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

/// One agent's client.
#[derive(Clone)]
pub(crate) struct Agent {
    http: reqwest::Client,
    pub(crate) url: String,
    pub(crate) token: String,
    pub(crate) session: Option<String>,
    pub(crate) version: Option<String>,
}

/// One piece of an event stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Message(String),
    Comment,
}

/// An event stream that is open.
pub(crate) struct Stream {
    response: Response,
    buffer: String,
}

impl Agent {
    pub(crate) fn new(url: String, token: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { http, url, token: token.to_owned(), session: None, version: None }
    }

    /// A request with everything that belongs to this agent.
    pub(crate) fn request(&self, method: Method) -> RequestBuilder {
        let mut request = self.bare(method).bearer_auth(&self.token);
        if let Some(session) = &self.session {
            request = request.header("mcp-session-id", session);
        }
        if let Some(version) = &self.version {
            request = request.header("mcp-protocol-version", version);
        }
        request
    }

    /// A request without token or session.
    pub(crate) fn bare(&self, method: Method) -> RequestBuilder {
        self.http.request(method, &self.url).timeout(Duration::from_secs(30))
    }

    /// Posts a body as it is.
    pub(crate) async fn post(&self, body: impl Into<String>) -> Response {
        let request = self.request(Method::POST).header("content-type", "application/json");
        request.header("accept", "application/json, text/event-stream").body(body.into()).send().await.unwrap()
    }

    /// Opens a session of this revision.
    pub(crate) async fn initialize(&mut self, version: &str) {
        let params =
            json!({"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}});
        let body = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}).to_string();
        let response = self.post(body).await;
        assert_eq!(response.status(), 200);
        self.session = Some(response.headers()["mcp-session-id"].to_str().unwrap().to_owned());
        self.version = Some(version.to_owned());
        let ready = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        assert_eq!(self.post(ready).await.status(), 202);
    }

    /// Calls a tool; the answer may be JSON or a stream.
    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> Response {
        self.post(call(1, tool, &arguments)).await
    }

    /// Calls a tool and waits for its answer, however it comes.
    pub(crate) async fn result(&self, tool: &str, arguments: Value) -> Value {
        answer(self.call(tool, arguments).await).await
    }

    /// A request of 2026-07-28 with all that belongs to it.
    pub(crate) async fn stateless(&self, method: &str, params: Value) -> Response {
        self.stateless_as(1, method, params).await
    }

    /// As [`Agent::stateless`], under this id.
    pub(crate) async fn stateless_as(&self, id: u32, method: &str, mut params: Value) -> Response {
        params["_meta"]["io.modelcontextprotocol/protocolVersion"] = "2026-07-28".into();
        params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
        let mut request = self
            .request(Method::POST)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", method);
        if let Some(name) = params["name"].as_str() {
            request = request.header("mcp-name", name);
        }
        let body = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        request.body(body.to_string()).send().await.unwrap()
    }
}

/// The body of a tool call.
pub(crate) fn call(id: u32, tool: &str, arguments: &Value) -> String {
    let params = json!({"name": tool, "arguments": arguments});
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}).to_string()
}

/// The text of the answer, however it comes.
pub(crate) async fn text(response: Response) -> String {
    assert_eq!(response.status(), 200, "{response:?}");
    if response.headers()["content-type"] == "application/json" {
        return response.text().await.unwrap();
    }
    let mut stream = Stream::of(response);
    loop {
        if let Piece::Message(message) = stream.next().await.expect("the stream ended without an answer")
            && serde_json::from_str::<Value>(&message).unwrap().get("method").is_none()
        {
            assert_eq!(stream.next().await, None, "something came after the answer");
            return message;
        }
    }
}

/// The answer, however it comes.
pub(crate) async fn answer(response: Response) -> Value {
    serde_json::from_str(&text(response).await).unwrap()
}

/// The first text of a tool's result that is an error.
pub(crate) fn refusal(answer: &Value) -> &str {
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    answer["result"]["content"][0]["text"].as_str().unwrap()
}

impl Stream {
    /// The stream that a response is.
    pub(crate) fn of(response: Response) -> Self {
        assert_eq!(response.status(), 200, "{response:?}");
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, buffer: String::new() }
    }

    /// The next piece; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Piece> {
        loop {
            if let Some((event, rest)) = self.buffer.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.buffer = rest;
                let data: Vec<_> = event.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
                return Some(if data.is_empty() { Piece::Comment } else { Piece::Message(data.join("\n")) });
            }
            let chunk = tokio::time::timeout(Duration::from_secs(20), self.response.chunk()).await;
            let chunk = chunk.expect("nothing came").ok()??;
            self.buffer.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next message, as JSON.
    pub(crate) async fn message(&mut self) -> Value {
        loop {
            match self.next().await.expect("the stream ended") {
                Piece::Message(message) => return serde_json::from_str(&message).unwrap(),
                Piece::Comment => {}
            }
        }
    }
}
