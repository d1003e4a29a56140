//! The process dies while a call is held; the next one on the same folder knows the call.

use std::path::PathBuf;

use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::desk::Desk;
use super::process::Process;
use super::{MIRA, document, put, refused, succeeded};
use crate::support::app::{PASSWORD, POLICY, Setup};
use crate::support::components::Env;
use crate::support::components::agent::{Agent, Client, Era};
use crate::support::upstream::Upstream;

#[tokio::test]
async fn a_held_call_survives_a_kill_and_runs_once() {
    let upstream = Upstream::start().await;
    let deployed = Deployed::new(&upstream).await;
    let config = deployed.config();
    let arguments = put("deploy", &document());

    // One of them before there is a process, the other through the running one.
    let token = deployed.token().await;
    let first = Process::serve(&config).await;
    let mut desk = deployed.desk().await;
    let agent = deployed.agent(&token).await;
    let call = agent.start_call("put_user_policy", arguments.clone()).await;
    let id = desk.pending().await;
    first.kill().await;
    drop((call, agent));

    let second = Process::serve(&config).await;
    // The session of the reviewer survives as well.
    assert_eq!(desk.pending().await, id);
    let page = desk.decide(&id, "approve", "").await;
    assert!(page.text.contains("data-state=\"approved\""), "{}", page.text);
    assert_eq!(upstream.calls("put_user_policy").len(), 0, "nobody has come back for it yet");

    let agent = deployed.agent(&token).await;
    let result = agent.call("put_user_policy", arguments.clone()).await;
    assert_eq!(succeeded(&result)["content"][0]["text"], "done");
    assert_eq!(succeeded(&result)["_meta"]["placet/call"]["id"], id);
    let again = agent.call("put_user_policy", arguments.clone()).await;
    assert_eq!(succeeded(&again)["content"][0]["text"], "done");
    agent.close().await;

    // Once more across a kill: the result is kept, nothing runs again.
    second.kill().await;
    let third = Process::serve(&config).await;
    let agent = deployed.agent(&token).await;
    let again = agent.call("put_user_policy", arguments).await;
    assert_eq!(succeeded(&again)["_meta"]["placet/call"]["id"], id);
    agent.close().await;
    assert_eq!(upstream.calls("put_user_policy").len(), 1);
    let ended = third.terminate().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[tokio::test]
async fn a_second_process_on_the_folder_is_refused() {
    let upstream = Upstream::start().await;
    let deployed = Deployed::new(&upstream).await;
    let config = deployed.config();
    let first = Process::serve(&config).await;

    let other = deployed.folder.path().join("other.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let elsewhere = text.lines().map(|line| if line.starts_with("listen") { "listen = \"127.0.0.1:0\"" } else { line });
    std::fs::write(&other, elsewhere.collect::<Vec<_>>().join("\n")).unwrap();
    let ended = Process::start(&["serve", "--config", other.to_str().unwrap()], &Env::new()).end().await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let data = deployed.folder.path().join("data");
    assert!(ended.stderr.contains(data.to_str().unwrap()) && ended.stderr.contains("in use"), "{ended:?}");

    // On the same port it says that instead.
    let ended = Process::start(&["serve", "--config", config.to_str().unwrap()], &Env::new()).end().await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("cannot listen"), "{ended:?}");

    // The first one never noticed.
    let page = deployed.desk().await.get("/").await;
    assert_eq!(page.status, 200);
    assert_eq!(first.terminate().await.code, Some(0));
}

#[tokio::test]
async fn a_held_call_survives_a_stop_and_a_start() {
    let upstream = Upstream::start().await;
    let app = Setup::http(&upstream.url).real_time().start().await;
    app.reviewer(MIRA, &["iam"]).await;
    let token = app.agent("ci").await;
    let arguments = put("deploy", &document());
    let agent = Agent::connect(Client::TypeScript, Era::Legacy, &app.mcp(), Some(&token)).await;
    let call = agent.start_call("put_user_policy", arguments.clone()).await;
    let id = app.pending().await.submission.id.to_string();
    let mut desk = Desk::signed_in(&app.url, MIRA, PASSWORD).await;

    let app = app.restart().await;
    let told = call.answer().await;
    assert!(refused(&told).contains(&id), "{told:?}");
    desk.decide(&id, "approve", "").await;
    let again = Agent::connect(Client::TypeScript, Era::Legacy, &app.mcp(), Some(&token)).await;
    let waited = again.call("placet_wait", json!({"call_id": id})).await;
    assert_eq!(succeeded(&waited)["_meta"]["placet/call"]["state"], "executed");
    let result = again.call("put_user_policy", arguments).await;
    assert_eq!(succeeded(&result)["_meta"]["placet/call"]["id"], id);
    assert_eq!(upstream.calls("put_user_policy").len(), 1);
}

/// Placet as an operator sets it up: two files, then an agent and a reviewer from the command line.
struct Deployed {
    folder: TempDir,
    url: String,
}

impl Deployed {
    async fn new(upstream: &Upstream) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Free at this moment; the process takes it next.
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let url = format!("http://localhost:{port}");
        let text = format!(
            "listen = \"127.0.0.1:{port}\"\npublic_url = \"{url}\"\ndata_dir = \"data\"\npolicy = \"policy.json\"\n\
             [[upstreams]]\nname = \"iam\"\nurl = \"{}\"\n",
            upstream.url
        );
        std::fs::write(folder.path().join("placet.toml"), text).unwrap();
        std::fs::write(folder.path().join("policy.json"), POLICY).unwrap();
        Self { folder, url }
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("placet.toml")
    }

    async fn command(&self, args: &[&str]) -> String {
        let config = self.config();
        Process::output(&[args, &["--config", config.to_str().unwrap()]].concat()).await
    }

    /// A new agent's token.
    async fn token(&self) -> String {
        let added = self.command(&["agent", "add", "ci", "--owner", "owner@example.com", "--upstream", "iam"]).await;
        added.trim().to_owned()
    }

    /// A new reviewer, signed in.
    async fn desk(&self) -> Desk {
        self.command(&["reviewer", "add", MIRA, "--name", "Mira", "--group", "iam"]).await;
        let printed = self.command(&["reviewer", "link", MIRA]).await;
        let mut lines = printed.lines();
        let link = lines.next().unwrap();
        let code = lines.next().and_then(|line| line.strip_prefix("code: ")).expect("the code follows the link");
        Desk::by_link(link, code).await
    }

    async fn agent(&self, token: &str) -> Agent {
        let url = format!("{}/mcp", self.url);
        let agent = Agent::connect(Client::Python, Era::Legacy, &url, Some(token)).await;
        succeeded(&agent.call("echo", json!({})).await);
        agent
    }
}
