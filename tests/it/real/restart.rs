//! The process dies while a call is held; the next one on the same folder knows the call.

use std::time::Duration;

use serde_json::json;
use tokio::net::TcpListener;

use super::desk::Desk;
use super::process::Process;
use super::{MIRA, document, put, succeeded};
use crate::support::app::{PASSWORD, Setup};
use crate::support::components::Env;
use crate::support::components::agent::{Agent, Client, Era};
use crate::support::upstream::Upstream;

#[tokio::test]
async fn a_held_call_survives_a_kill_and_runs_once() {
    let upstream = Upstream::start().await;
    let deployed = Deployed::new(&upstream).await;
    let config = deployed.folder.path().join("placet.toml");
    let arguments = put("deploy", &document());

    let first = Process::serve(&config).await;
    let agent = deployed.agent().await;
    let call = agent.start_call("put_user_policy", arguments.clone()).await;
    let mut desk = Desk::signed_in(&deployed.url, MIRA, PASSWORD).await;
    let id = desk.pending().await;
    first.kill().await;
    drop((call, agent));

    let second = Process::serve(&config).await;
    // The session of the reviewer survives as well.
    assert_eq!(desk.pending().await, id);
    let page = desk.decide(&id, "approve", "").await;
    assert!(page.text.contains("data-state=\"approved\""), "{}", page.text);
    assert_eq!(upstream.calls("put_user_policy").len(), 0, "nobody has come back for it yet");

    let agent = deployed.agent().await;
    let result = agent.call("put_user_policy", arguments.clone()).await;
    assert_eq!(succeeded(&result)["content"][0]["text"], "done");
    assert_eq!(succeeded(&result)["_meta"]["placet/call"]["id"], id);
    let again = agent.call("put_user_policy", arguments.clone()).await;
    assert_eq!(succeeded(&again)["content"][0]["text"], "done");
    agent.close().await;

    // Once more across a kill: the result is kept, nothing runs again.
    second.kill().await;
    let third = Process::serve(&config).await;
    let agent = deployed.agent().await;
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
    let config = deployed.folder.path().join("placet.toml");
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
    let page = Desk::signed_in(&deployed.url, MIRA, PASSWORD).await.get("/").await;
    assert_eq!(page.status, 200);
    assert_eq!(first.terminate().await.code, Some(0));
}

/// A folder as an operator leaves it: configuration, policy, an agent, a reviewer.
struct Deployed {
    folder: std::sync::Arc<tempfile::TempDir>,
    url: String,
    token: String,
}

impl Deployed {
    async fn new(upstream: &Upstream) -> Self {
        let app = Setup::http(&upstream.url).real_time().start().await;
        let token = app.agent("ci").await;
        app.reviewer(MIRA, &["iam"]).await;
        let (folder, url, address) = (app.folder.clone(), app.url.clone(), app.app.address);
        assert!(app.app.stop(Duration::from_secs(20)).await, "something did not stop");
        // The port is free again before the binary is to take it.
        drop(TcpListener::bind(address).await.unwrap());
        Self { folder, url, token }
    }

    async fn agent(&self) -> Agent {
        let url = format!("{}/mcp", self.url);
        let agent = Agent::connect(Client::Python, Era::Legacy, &url, Some(&self.token)).await;
        succeeded(&agent.call("echo", json!({})).await);
        agent
    }
}
