//! The people and agents around one process: they call, wait, leave, come back and decide, until every call is over.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::book::{Acknowledged, Book};
use super::plan::Kind;
use super::world::Template;

/// How soon somebody looks again, or tries again.
const SOON: Duration = Duration::from_millis(20);

/// Everybody who talks to one process.
#[derive(Clone)]
pub(super) struct Scene {
    http: Client,
    url: String,
    template: Arc<Template>,
    book: Arc<Book>,
}

/// The agents' protocol revision.
const VERSION: &str = "2025-11-25";

/// The states in which a call is not over.
const OPEN: [&str; 3] = ["pending", "approved", "releasing"];

impl Scene {
    pub(super) fn new(url: String, template: &Arc<Template>, book: &Arc<Book>) -> Self {
        let http = Client::builder().no_proxy().build().unwrap();
        book.begin();
        Self { http, url, template: Arc::clone(template), book: Arc::clone(book) }
    }

    /// What the process answers to somebody new, for who wants to know why a run does not end.
    pub(super) async fn condition(&self) -> String {
        let http = Client::builder().no_proxy().timeout(Duration::from_secs(5)).build().unwrap();
        let mut said = String::new();
        for path in ["/readyz", "/api/v1/calls?limit=200", "/metrics"] {
            let request = http.get(format!("{}{path}", self.url)).bearer_auth(&self.template.mira);
            let answer = match request.send().await {
                Ok(response) => format!("{}: {:?}", response.status(), response.text().await),
                Err(error) => format!("{error:?}"),
            };
            said += &format!("\n{path}: {answer}");
        }
        said
    }

    /// Plays the calls to their end. Whoever meets a broken connection tries again, so this ends only if every call
    /// does; drop it when the process has died.
    pub(super) async fn play(&self, calls: &[Kind]) {
        let mut reviewing = JoinSet::new();
        let scene = self.clone();
        reviewing.spawn(async move { scene.review().await });
        let mut callers = JoinSet::new();
        for (number, kind) in calls.iter().copied().enumerate() {
            let scene = self.clone();
            callers.spawn(async move { Caller { scene, number, kind, session: None, asked: 0 }.run().await });
        }
        while let Some(ended) = callers.join_next().await {
            ended.unwrap();
        }
    }

    /// Mira and Noor look at the queue and decide what is to be decided.
    async fn review(&self) {
        let mut deciding = JoinSet::new();
        let mut begun = BTreeSet::new();
        loop {
            let list = self.api(&self.template.mira, "/api/v1/calls?state=pending&limit=200").await;
            let calls = list.as_ref().and_then(|list| list["calls"].as_array()).cloned().unwrap_or_default();
            for call in calls {
                let kind = call["tool"].as_str().and_then(Kind::of_tool).expect("a tool of the plan");
                let arguments: Value = serde_json::from_str(call["arguments"].as_str().unwrap()).unwrap();
                let number = arguments["n"].as_u64().unwrap() as usize;
                let id = call["id"].as_str().unwrap();
                self.book.show(number, id);
                let verdict = match kind {
                    Kind::Run | Kind::Two | Kind::Fail | Kind::OnReturn => "approve",
                    Kind::Late | Kind::Park if self.book.has_left(number) => "approve",
                    Kind::Reject => "reject",
                    _ => continue,
                };
                let voters: &[&'static str] = if kind == Kind::Two { &["mira", "noor"] } else { &["mira"] };
                for by in voters.iter().copied() {
                    if begun.insert((id.to_owned(), by)) {
                        let (scene, id) = (self.clone(), id.to_owned());
                        let digest = call["digest"].as_str().unwrap().to_owned();
                        deciding.spawn(async move { scene.decide(id, digest, verdict, by).await });
                    }
                }
            }
            tokio::time::sleep(SOON).await;
        }
    }

    async fn decide(&self, call: String, digest: String, verdict: &'static str, by: &'static str) {
        let token = if by == "mira" { &self.template.mira } else { &self.template.noor };
        let body = json!({"verdict": verdict, "digest": digest, "reason": "as planned"});
        let mut heard = Vec::new();
        loop {
            let request = self.http.post(format!("{}/api/v1/calls/{call}/decision", self.url));
            match sent(request.bearer_auth(token).header("content-type", "application/json").body(body.to_string()))
                .await
            {
                Some((StatusCode::OK, answer)) => {
                    let state = answer["state"].as_str().unwrap().to_owned();
                    return self.book.acknowledge(Acknowledged { call, by, verdict, state, at: self.book.moment() });
                }
                // Decided already, or voted already: by a verdict whose answer broke off.
                Some((StatusCode::CONFLICT, answer)) => {
                    if !heard.is_empty() && !heard.contains(&"nothing".to_owned()) {
                        self.book.lie(format!("{by}'s {verdict} was refused, {heard:?}, and then: {answer}"));
                    }
                    return;
                }
                Some((StatusCode::SERVICE_UNAVAILABLE, answer)) => {
                    heard.push(answer.to_string());
                    tokio::time::sleep(SOON).await;
                }
                Some((status, answer)) => panic!("{by}'s {verdict} was answered {status}: {answer}"),
                None => {
                    heard.push("nothing".to_owned());
                    tokio::time::sleep(SOON).await;
                }
            }
        }
    }

    async fn api(&self, token: &str, path: &str) -> Option<Value> {
        let (status, answer) = sent(self.http.get(format!("{}{path}", self.url)).bearer_auth(token)).await?;
        match status {
            StatusCode::OK => Some(answer),
            StatusCode::SERVICE_UNAVAILABLE => None,
            _ => panic!("{path} was answered {status}: {answer}"),
        }
    }

    /// Returns when the call is in none of these states.
    async fn until_not(&self, number: usize, call: &str, states: &[&str]) {
        self.book.note(number, "waits for its call's end");
        loop {
            if let Some(call) = self.api(&self.template.mira, &format!("/api/v1/calls/{call}")).await
                && !states.contains(&call["state"].as_str().unwrap())
            {
                return;
            }
            tokio::time::sleep(SOON).await;
        }
    }
}

/// Status and JSON of a whole answer; `None` where the connection broke.
async fn sent(request: RequestBuilder) -> Option<(StatusCode, Value)> {
    let response = request.send().await.ok()?;
    let status = response.status();
    let text = response.text().await.ok()?;
    Some((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
}

/// One call's agent.
struct Caller {
    scene: Scene,
    number: usize,
    kind: Kind,
    session: Option<String>,
    /// The id of the last request.
    asked: u32,
}

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    /// The last word about the call.
    Over,
    /// It goes on without its caller, who is to come back.
    ComeBack,
    /// The stream ended without an answer, or the answer tells of no call.
    Nothing,
}

impl Caller {
    async fn run(&mut self) {
        match self.kind {
            Kind::Cancel => self.take_back().await,
            Kind::Park => self.leave_and_return().await,
            _ => self.answer().await,
        }
        self.scene.book.done(self.number);
    }

    /// Calls until the call is over, however often it is told to come back.
    async fn answer(&mut self) {
        loop {
            let heard = self.ask_and_hear().await;
            if heard == Heard::Over {
                return;
            }
            self.scene.book.leave(self.number);
            if self.kind == Kind::Late && heard == Heard::ComeBack {
                // It runs while nobody waits for it.
                let call = self.scene.book.waiting(self.number).await;
                self.scene.until_not(self.number, &call, &OPEN).await;
            }
        }
    }

    async fn ask_and_hear(&mut self) -> Heard {
        match self.ask().await {
            Some(response) => self.hear(response).await,
            None => {
                tokio::time::sleep(SOON).await;
                Heard::Nothing
            }
        }
    }

    async fn leave_and_return(&mut self) {
        let book = Arc::clone(&self.scene.book);
        loop {
            let Some(response) = self.ask().await else {
                tokio::time::sleep(SOON).await;
                continue;
            };
            let call = tokio::select! {
                heard = self.hear(response) => if heard == Heard::Over { return } else { continue },
                call = book.waiting(self.number) => call,
            };
            // The response is dropped, and with it the stream.
            book.leave(self.number);
            self.scene.until_not(self.number, &call, &["pending"]).await;
            return self.answer().await;
        }
    }

    async fn take_back(&mut self) {
        let book = Arc::clone(&self.scene.book);
        loop {
            let Some(response) = self.ask().await else {
                tokio::time::sleep(SOON).await;
                continue;
            };
            // Heard on while the call is taken back: who hangs up has left, which is something else.
            let hearing = self.hear(response);
            tokio::pin!(hearing);
            let call = tokio::select! {
                heard = &mut hearing => if heard == Heard::Over { return } else { continue },
                call = book.waiting(self.number) => call,
            };
            let cancel =
                json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": self.asked}});
            // Where it came too late its caller was told to come back before, and does.
            if self.in_session(&cancel).send().await.is_ok() && hearing.await == Heard::Nothing {
                // Where the disk takes nothing the call stays, and is taken back again.
                let over = self.scene.until_not(self.number, &call, &OPEN);
                if tokio::time::timeout(50 * SOON, over).await.is_ok() {
                    return;
                }
            }
        }
    }

    fn post(&self, body: &Value) -> RequestBuilder {
        self.scene
            .http
            .post(format!("{}/mcp", self.scene.url))
            .bearer_auth(&self.scene.template.agent)
            .header("accept", "application/json, text/event-stream")
            .header("content-type", "application/json")
            .body(body.to_string())
    }

    fn in_session(&self, body: &Value) -> RequestBuilder {
        let session = self.session.as_deref().unwrap_or_default();
        self.post(body).header("mcp-session-id", session).header("mcp-protocol-version", VERSION)
    }

    /// Calls in a session; `None` where the connection broke.
    async fn ask(&mut self) -> Option<Response> {
        if self.session.is_none() {
            let params =
                json!({"protocolVersion": VERSION, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
            let body = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
            self.scene.book.note(self.number, "opens a session");
            let response = self.post(&body).send().await.ok()?;
            self.scene.book.note(self.number, "reads its session");
            let session = response.headers().get("mcp-session-id")?.to_str().unwrap().to_owned();
            response.bytes().await.ok()?;
            let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
            self.session = Some(session);
            self.scene.book.note(self.number, "says that it is ready");
            if self.in_session(&ready).send().await.is_err() {
                self.session = None;
                return None;
            }
        }
        let params = json!({"name": self.kind.tool(), "arguments": {"n": self.number}});
        self.asked += 1;
        self.scene.book.note(self.number, "asks");
        let body = json!({"jsonrpc": "2.0", "id": self.asked, "method": "tools/call", "params": params});
        let response = self.in_session(&body).send().await.ok().filter(|response| response.status() == StatusCode::OK);
        if response.is_none() {
            self.session = None;
        }
        response
    }

    /// Reads to the answer.
    async fn hear(&self, mut response: Response) -> Heard {
        self.scene.book.note(self.number, "listens");
        let mut text = String::new();
        while let Ok(Some(piece)) = response.chunk().await {
            text.push_str(std::str::from_utf8(&piece).unwrap());
        }
        let data =
            text.lines().filter_map(|line| line.strip_prefix("data: ").or(line.starts_with('{').then_some(line)));
        let mut messages = data.filter_map(|data| serde_json::from_str::<Value>(data).ok());
        let Some(answer) = messages.rfind(|message| message.get("method").is_none()) else {
            self.scene.book.note(self.number, "heard no answer");
            return Heard::Nothing;
        };
        let about = &answer["result"]["_meta"]["placet/call"];
        let (Some(call), Some(state)) = (about["id"].as_str(), about["state"].as_str()) else {
            // On the hurried clock a busy machine's upstream is soon given up: that is the last word as well.
            if answer["error"]["message"].as_str().is_some_and(|words| words.contains("so it did not run")) {
                return Heard::Over;
            }
            self.scene.book.note(self.number, format!("heard of no call: {answer}"));
            return Heard::Nothing;
        };
        self.scene.book.tell(call.to_owned(), state.to_owned());
        if OPEN.contains(&state) { Heard::ComeBack } else { Heard::Over }
    }
}
