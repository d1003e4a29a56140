//! Secrets that an agent sends, an upstream answers or a person types are masked wherever they are shown, logged, mailed
//! or exported, and shown in clear only to somebody whom the log names.

use std::io::Write;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::response::IntoResponse as _;
use placet::approvals::{Channel, Decision};
use placet::call::{HeldCall, ReviewerId, Verdict};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::ConnectOptions as _;
use tokio::process::Command;

use crate::support::agent::{Agent, Stream};
use crate::support::app::{Setup, TestApp};
use crate::support::pages::Browser;
use crate::support::upstream::{Upstream, json_answer};

const AWS_SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPL3KEY";

/// None of these is real; each is cut in two, so that scanners of repositories leave this file alone.
fn aws_id() -> String {
    format!("AKIA{}", "IOSFODNN7EXAMPL3")
}

fn web_token() -> String {
    format!("eyJhbGciOiJIUzI1NiJ9.{}.c2lnbmVkLW5lZWRsZQ", "eyJzdWIiOiJuZWVkbGUifQ")
}

fn private_key() -> String {
    format!("-----BEGIN RSA {0}-----\nMIIEneedle\n-----END RSA {0}-----", "PRIVATE KEY")
}

fn arguments() -> Value {
    json!({
        "user_name": "ci-bot",
        "aws": { "id": aws_id(), "note": format!("its secret is {AWS_SECRET}") },
        "command": "curl -H 'Authorization: Bearer hunter2-bearer-0123456789' https://h",
        "key": private_key(),
        "password": "hunter2-by-name",
        "hidden": { "pass\u{200b}phrase": "visible", "api_key": "hunter2\u{200b}-hidden\u{202e}" },
        "session": web_token(),
        "database": "postgres://bob:hunter2-in-url@db/x",
        "dsn": "Server=db;User=bob;Password=hunter2-in-dsn;",
        "document": "{\"spec\":{\"env\":[{\"name\":\"DB_PASSWORD\",\"value\":\"hunter2-nested\"}]}}",
        "deeper": json!({"inner": json!({"client_secret": "hunter2-deeper"}).to_string()}).to_string(),
        "argv": ["login", "--token", "hunter2-argv"],
        "run": ["mysql", "-uroot", "-phunter2-short"],
        "shell": "curl -u bob:hunter2-curl https://h && sshpass -p hunter2-ssh ssh h",
        "headers": [["X-Api-Key", "hunter2-pair"], ["Accept", "text/html"]],
        "fields": [{ "key": "password", "value": "hunter2-sibling" }],
        "tokens": { "hunter2-key": true, "hunter2\u{202e}-key": true },
        "config": "<db><password>hunter2-xml</password></db>",
        "values": "db:\n  password: >-\n    hunter2-yaml\n  host: h\n",
        "manifest": { "kind": "Secret", "stringData": { "x": "hunter2-manifest" } },
        "registry": { "auths": { "h": { "auth": "Ym9iOmh1bnRlcjI=" } } },
        "sql": "INSERT INTO users (name, password) VALUES ('bob', 'hunter2-sql')",
        "pin": 2_718_281_828_u64, "secret": 3_141_592_653_u64,
    })
}

/// What must be nowhere.
fn needles() -> Vec<String> {
    let mut all = [
        "hunter2",
        "MIIEneedle",
        "eyJzdWIiOiJuZWVkbGUifQ",
        "c2lnbmVkLW5lZWRsZQ",
        "Ym9iOmh1bnRlcjI",
        AWS_SECRET,
        "3141592653",
    ]
    .map(str::to_owned)
    .to_vec();
    all.extend([aws_id(), AWS_SECRET.replace('/', "\\/"), AWS_SECRET.replace('/', "&#x2f;")]);
    all
}

fn assert_clean(what: &str, text: &str) {
    for needle in needles() {
        if let Some(at) = text.find(&needle) {
            let (from, to) = (text.floor_char_boundary(at.saturating_sub(200)), text.ceil_char_boundary(at + 80));
            panic!("{what} shows {needle}: …{}…", &text[from..to]);
        }
    }
}

/// Takes what this thread logs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Everything that this thread logs from now on, at the level that finds faults.
    fn begin() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber =
            tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone());
        (log, tracing::subscriber::set_default(subscriber.finish()))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

struct World {
    app: TestApp,
    mira: ReviewerId,
    noor: ReviewerId,
    browser: Browser,
    reads: String,
    decides: String,
}

impl World {
    async fn start(upstream: &Upstream) -> Self {
        let policy = json!({
            "version": "1", "default": "deny", "readers": ["get_user_policy"],
            "tools": { "get_*": {}, "put_user_policy": { "action": "require_approval", "approval": {
                "reviewers": ["iam"],
                "context": [{ "tool": "get_user_policy", "arguments": { "user_name": "$args.user_name", "password": "$args.password" } }],
            } } },
        });
        let app = Setup::http(&upstream.url).policy(&policy.to_string()).start().await;
        let mira = app.reviewer("mira@example.com", &["iam"]).await.id;
        let noor = app.reviewer("noor@example.com", &["iam"]).await.id;
        let browser = Browser::signed_in(&app.url, "mira@example.com").await;
        let token = async |decide| {
            let day = Duration::from_secs(86_400);
            let made = app.app.identity.api_token_make("mira@example.com".parse().unwrap(), decide, day).await.unwrap();
            made.token.reveal().to_owned()
        };
        let (reads, decides) = (token(false).await, token(true).await);
        Self { app, mira, noor, browser, reads, decides }
    }

    async fn decide(&self, call: &HeldCall, verdict: Verdict, reason: &str) {
        let decision = Decision {
            call: call.submission.id,
            digest: call.digest,
            verdict,
            reason: reason.to_owned(),
            by: self.noor,
            channel: Channel::Page,
            confirmed: false,
        };
        self.app.app.approvals.decide(decision).await.unwrap();
    }

    async fn api(&self, token: &str, method: Method, path: &str) -> (u16, String) {
        let answer = self.browser.request(method, path).bearer_auth(token).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn terminal(&self, token: &str, arguments: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_placet"));
        command.args(arguments).env("PLACET_URL", &self.app.url).env("PLACET_TOKEN", token).stdin(Stdio::null());
        let output = command.output().await.unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
    }

    /// Looks everywhere that only reads, and answers with the call's own page and JSON.
    async fn look_everywhere(&self, call: &HeldCall) -> (String, String) {
        let id = call.submission.id.to_string();
        let own = format!("/calls/{id}");
        for path in ["/", &format!("/partials/queue?selected={id}"), &own, &format!("{own}?prepare=reject"), "/history"]
        {
            assert_clean(path, &self.browser.page(path).await);
        }
        for path in ["/audit", &format!("/audit?call={id}"), "/policy", "/account", "/history?text=hunter2"] {
            assert_clean(path, &self.browser.page(path).await.replace("value=\"hunter2\"", ""));
        }
        for path in ["/api/v1/calls", &format!("/api/v1/calls?state={}", call.state.name()), &format!("/api/v1{own}")] {
            for token in [&self.reads, &self.decides] {
                let (status, text) = self.api(token, Method::GET, path).await;
                assert_eq!(status, 200);
                assert_clean(path, &text);
            }
        }
        for arguments in
            [&["calls", "list", "--state", "all"][..], &["calls", "show", &id], &["calls", "show", &id, "--json"]]
        {
            assert_clean("the terminal", &self.terminal(&self.decides, arguments).await);
        }
        for entry in self.app.app.store.entries_of(call.submission.id).await.unwrap() {
            assert_clean("the audit log", &entry.body);
        }
        (self.browser.page(&own).await, self.api(&self.reads, Method::GET, &format!("/api/v1{own}")).await.1)
    }

    /// Lets every mail leave that is due, and looks at all of them.
    async fn mails(&self, least: usize) {
        let arrived = async || {
            self.app.setup.clock.advance(Duration::from_secs(1));
            (self.app.mailbox.mails().len() >= least).then_some(())
        };
        self.app.until("a mail", arrived).await;
        for mail in self.app.mailbox.mails() {
            assert_clean("a mail", &mail.message.subject);
            assert_clean("a mail", &mail.message.text);
            assert_clean("a mail", &mail.message.html);
            assert_clean("a mail", &String::from_utf8_lossy(&mail.raw));
        }
    }
}

async fn connect(world: &World) -> Agent {
    let mut agent = Agent::new(world.app.mcp(), &world.app.agent("ci-bot").await);
    let info = json!({"name": "client --password hunter2-client", "version": "1"});
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info});
    let opened =
        agent.post(json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}).to_string()).await;
    agent.session = Some(opened.headers()["mcp-session-id"].to_str().unwrap().to_owned());
    agent.version = Some("2025-11-25".to_owned());
    agent.post(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
    agent
}

fn texts(texts: &[String]) -> Value {
    let blocks: Vec<_> = texts.iter().map(|text| json!({"type": "text", "text": text})).collect();
    json!({ "content": blocks })
}

fn answering(upstream: &Upstream, tool: &str, member: &'static str, value: Value) {
    upstream.on(&format!("tools/call {tool}"), move |message| {
        let mut answer = json!({"jsonrpc": "2.0", "id": message["id"]});
        answer[member] = value.clone();
        json_answer(answer.to_string())
    });
}

#[tokio::test]
async fn secrets_are_masked_wherever_a_call_goes_and_revealed_only_on_the_record() {
    let (log, _logging) = Log::begin();
    let upstream = Upstream::start().await;
    answering(&upstream, "get_user_policy", "result", texts(&["{\"SecretAccessKey\":\"hunter2-read\"}".to_owned()]));
    let issued = json!({"AccessKey": {"UserName": "bob", "SecretAccessKey": "hunter2-issued"}}).to_string();
    let environment = json!([{"name": "DB_PASSWORD", "value": "hunter2-env"}]).to_string();
    answering(&upstream, "put_user_policy", "result", texts(&[issued, environment, "--token hunter2-said".into()]));
    let world = World::start(&upstream).await;
    let agent = connect(&world).await;

    let mut stream = Stream::of(agent.call("put_user_policy", arguments()).await);
    let call = world.app.pending().await;
    let read = async || {
        let call = world.app.app.store.call(call.submission.id).await.unwrap().unwrap();
        call.context.is_some().then_some(call)
    };
    let call = world.app.until("the reads", read).await;
    assert!(format!("{:?}", call.context).contains("hunter2-read"), "it was really read");
    let (page, _) = world.look_everywhere(&call).await;
    assert!(page.contains("••• masked") && page.contains("secrets are masked"));
    assert!(!page.contains("SHA-256 of the arguments"), "from which a short secret could be guessed");
    world.mails(2).await;

    world.decide(&call, Verdict::Approve, "agreed; password=hunter2-reason").await;
    let result = stream.message().await;
    assert!(result.to_string().contains("hunter2-issued"), "the agent gets what the tool answered");
    let ended = world.app.app.store.call(call.submission.id).await.unwrap().unwrap();
    let (page, value) = world.look_everywhere(&ended).await;
    assert!(page.contains("password=••• masked") && page.contains("bob"), "{page}");
    assert!(value.contains("bob"), "the rest of the result is there: {value}");

    world.mails(3).await;

    // In clear: on the page by a form, over the API for a token that may decide. Each time it is written down first.
    let own = format!("/calls/{}", call.submission.id);
    let csrf = world.browser.csrf().await;
    let page = world.browser.post(&format!("{own}/reveal"), &[("csrf", &csrf)]).await.text().await.unwrap();
    let (status, _) = world.api(&world.reads, Method::POST, &format!("/api/v1{own}/reveal")).await;
    assert_eq!(status, 403, "a token that only reads reveals nothing");
    let (status, value) = world.api(&world.decides, Method::POST, &format!("/api/v1{own}/reveal")).await;
    assert_eq!(status, 200);
    let id = call.submission.id.to_string();
    let covered = world.terminal(&world.decides, &["calls", "show", &id]).await;
    assert!(covered.contains(&format!("`placet calls show {id} --reveal` shows them")), "{covered}");
    let shown = world.terminal(&world.decides, &["calls", "show", &id, "--reveal"]).await;
    for part in ["hunter2-by-name", "hunter2-nested", "MIIEneedle"] {
        assert!(page.contains(part) && value.contains(part) && shown.contains(part), "{part}");
    }
    for part in ["hunter2-issued", "hunter2-env", "hunter2-read"] {
        assert!(page.contains(part) && value.contains(part), "{part}");
    }
    let exact: Value = serde_json::from_str(&value).unwrap();
    assert_eq!(exact["arguments"], call.submission.arguments(), "byte for byte");
    let reveals = world.app.app.store.entries_of(call.submission.id).await.unwrap();
    let reveals: Vec<Value> = reveals
        .iter()
        .filter(|entry| entry.kind == "call.revealed")
        .map(|entry| serde_json::from_str(&entry.body).unwrap())
        .collect();
    assert_eq!(reveals.len(), 3);
    for (entry, channel) in reveals.iter().zip(["page", "api", "api"]) {
        let detail = &entry["detail"];
        assert_eq!((&entry["reviewer"], &detail["channel"]), (&json!(world.mira.to_string()), &json!(channel)));
        assert!(detail["arguments"].as_u64() > Some(8) && detail["result"].as_u64() >= Some(1) && detail["reads"] == 2);
    }
    world.look_everywhere(&ended).await;

    // An error of the tool, a rejection, and words that a person typed.
    answering(&upstream, "put_user_policy", "error", json!({"code": -32000, "message": "no: password=hunter2-error"}));
    for (n, verdict) in [(1, Verdict::Approve), (2, Verdict::Reject)] {
        let mut stream = Stream::of(agent.call("put_user_policy", json!({"n": n, "secret": "hunter2-again"})).await);
        let call = world.app.pending().await;
        world.decide(&call, verdict, "no; my token: hunter2-mine").await;
        stream.message().await;
        let ended = world.app.app.store.call(call.submission.id).await.unwrap().unwrap();
        world.look_everywhere(&ended).await;
    }
    assert_clean("the service's log", &log.text());
}

#[tokio::test]
async fn what_goes_wrong_logs_and_answers_no_secrets() {
    let (log, _logging) = Log::begin();
    let upstream = Upstream::start().await;
    let world = World::start(&upstream).await;
    let agent = connect(&world).await;
    let body = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call",
        "params": {"name": "put_user_policy", "arguments": arguments()}});
    // Messages that cannot be read, each with the secrets in it.
    for broken in [body.to_string().replace("}}", "}"), body.to_string().replace("\"pin\"", "\"pin\":1,\"pin\"")] {
        let answer = agent.post(broken).await.text().await.unwrap();
        assert_clean("an answer to what cannot be read", &answer);
    }
    // An upstream that throws them back in every wrong way.
    let secret = json!(arguments()).to_string();
    let kinds: [(u16, &str, String); 4] = [
        (500, "text/plain", secret.clone()),
        (200, "application/json", format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{secret}")),
        (200, "text/html", secret.clone()),
        (200, "text/event-stream", format!("data: {secret}\n\n")),
    ];
    for (n, (status, kind, text)) in kinds.into_iter().enumerate() {
        for tool in ["put_user_policy", "get_user_policy"] {
            let text = text.clone();
            upstream.on(&format!("tools/call {tool}"), move |_| {
                let status = axum::http::StatusCode::from_u16(status).unwrap();
                (status, [("content-type", kind)], text.clone()).into_response()
            });
        }
        let mut asked = arguments();
        asked["n"] = n.into();
        let mut stream = Stream::of(agent.call("put_user_policy", asked).await);
        let call = world.app.pending().await;
        world.decide(&call, Verdict::Approve, "").await;
        let told = stream.message().await;
        assert_clean("what the agent is told of a broken answer", &told.to_string());
        let ended = world.app.app.store.call(call.submission.id).await.unwrap().unwrap();
        assert!(ended.state.is_terminal(), "{ended:?}");
        world.look_everywhere(&ended).await;
    }
    // Rows that cannot be read.
    let _stream = Stream::of(agent.call("put_user_policy", arguments()).await);
    let call = world.app.pending().await;
    let mut database = database(&world.app).await;
    for damage in [
        "UPDATE calls SET requirement = '{\"timeout\":\"hunter2-damaged\"}'",
        "UPDATE calls SET headers = '[\"hunter2-damaged\"]'",
        "UPDATE calls SET context = '\"hunter2-damaged\"'",
    ] {
        sqlx::query(damage).execute(&mut database).await.unwrap();
        let page = world.browser.get(&format!("/calls/{}", call.submission.id)).await;
        assert_eq!(page.status(), 500);
        assert_clean("a page that failed", &page.text().await.unwrap());
        let (_, text) = world.api(&world.reads, Method::GET, "/api/v1/calls").await;
        assert_clean("an answer that failed", &text);
    }
    let log = log.text();
    assert!(log.contains("a request failed") && log.contains("unusable requirement"), "it does log: {log}");
    assert_clean("the service's log", &log);
    assert!(!log.contains("@example.com") && !log.contains("plt_"), "an address or a token in the log: {log}");
}

async fn database(app: &TestApp) -> sqlx::SqliteConnection {
    let file = app.app.store.folder().join("placet.db");
    sqlx::sqlite::SqliteConnectOptions::new().filename(file).connect().await.unwrap()
}

#[tokio::test]
async fn nothing_is_revealed_that_could_not_be_written_down() {
    let upstream = Upstream::start().await;
    let world = World::start(&upstream).await;
    let agent = connect(&world).await;
    let _stream = Stream::of(agent.call("put_user_policy", arguments()).await);
    let call = world.app.pending().await;
    let csrf = world.browser.csrf().await;
    let mut database = database(&world.app).await;
    let full = "CREATE TRIGGER failpoint_full BEFORE INSERT ON entries BEGIN SELECT RAISE(ABORT, 'full'); END";
    sqlx::query(full).execute(&mut database).await.unwrap();
    let own = format!("/calls/{}", call.submission.id);
    let page = world.browser.post(&format!("{own}/reveal"), &[("csrf", &csrf)]).await;
    assert_eq!(page.status(), 503);
    assert_clean("a page that failed", &page.text().await.unwrap());
    let (status, text) = world.api(&world.decides, Method::POST, &format!("/api/v1{own}/reveal")).await;
    assert_eq!(status, 503);
    assert_clean("an answer that failed", &text);
}

#[tokio::test]
async fn what_an_upstream_says_as_it_dies_is_logged_without_its_secrets() {
    let (log, _logging) = Log::begin();
    let script = "echo 'cannot sign in with --password hunter2-dying' >&2; exit 3";
    let app = Setup::toml(format!("[[upstreams]]\nname = \"iam\"\ncommand = [\"sh\", \"-c\", \"{script}\"]\n"));
    let app = app.start().await;
    let mut agent = Agent::new(app.mcp(), &app.agent("ci-bot").await);
    agent.version = Some("2025-11-25".to_owned());
    agent.call("list_users", json!({})).await;
    let told = async || log.text().contains("cannot sign in").then_some(());
    app.until("a word of the process", told).await;
    assert!(log.text().contains("--password ••• masked"), "{}", log.text());
    assert_clean("the service's log", &log.text());
}
