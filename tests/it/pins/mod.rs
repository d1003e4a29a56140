//! A server that changes what its tools say, after the policy was written: what becomes of their calls, and who lets them
//! run again.

mod accept;
mod calls;
mod letters;
mod restored;
mod rows;

use std::path::Path;
use std::time::Duration;

use placet::call::{Digest, ToolName, UpstreamName};
use serde_json::{Value, json};

use crate::support::agent::{Agent, answer};
use crate::support::app::{POLICY, Setup, TestApp};
use crate::support::upstream::{Upstream, tools};

/// The stub's tools, but that `name` says this of itself.
fn saying(name: &str, description: &str) -> String {
    saying_all(&[(name, description)])
}

/// As [`saying`], of several, and with those that the stub does not have.
fn saying_all(said: &[(&str, &str)]) -> String {
    let mut all = tools();
    let all = all.as_array_mut().unwrap();
    for (name, description) in said {
        match all.iter_mut().find(|tool| tool["name"] == *name) {
            Some(tool) => tool["description"] = (*description).into(),
            None => all.push(json!({"name": name, "description": description})),
        }
    }
    Value::from(all.clone()).to_string()
}

/// A service in front of a stub whose tools were learned.
struct Stage {
    upstream: Upstream,
    app: TestApp,
    agent: Agent,
}

impl Stage {
    async fn new() -> Self {
        Self::with(POLICY).await
    }

    async fn with(policy: &str) -> Self {
        let upstream = Upstream::start().await;
        let setup = Setup::http(&upstream.url).policy(policy);
        Self::over(upstream, setup).await
    }

    async fn over(upstream: Upstream, setup: Setup) -> Self {
        let app = setup.start().await;
        let stage = Self { agent: Agent::new(app.mcp(), &app.agent("ci-bot").await), upstream, app };
        stage.app.pinned().await;
        stage.session().await
    }

    async fn session(mut self) -> Self {
        self.agent.session = None;
        self.agent.version = None;
        self.agent.initialize("2025-11-25").await;
        self
    }

    /// The same folder and port after a stop and a start, with a session of its own.
    async fn restart(self) -> Self {
        let Self { upstream, app, agent } = self;
        let stage = Self { upstream, app: app.restart().await, agent };
        stage.session().await
    }

    /// Stops, has something done to the data folder, and starts again.
    async fn restart_over(self, happens: impl AsyncFnOnce(&Path)) -> Self {
        let Self { upstream, app, agent } = self;
        let TestApp { mut setup, folder, app, .. } = app;
        setup.clock = setup.clock.restarted();
        assert!(app.stop(Duration::from_secs(20)).await, "something did not stop");
        happens(&folder.path().join("data")).await;
        let app = setup.start_in(folder).await;
        let agent = Agent::new(app.mcp(), &agent.token);
        Self { upstream, app, agent }.session().await
    }

    /// What the agent is told of its tools.
    async fn list(&self) -> Value {
        answer(self.agent.post(r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#).await).await
    }

    /// The tool says this from now on, and an agent hears it.
    async fn says(&self, tool: &str, description: &str) {
        self.upstream.lists(saying(tool, description));
        self.list().await;
    }

    /// The bodies of the log's entries of this kind, oldest first.
    async fn logged(&self, kind: &str) -> Vec<Value> {
        let filter = placet::store::EntryFilter { kind: Some(kind.to_owned()), limit: 100, ..Default::default() };
        let entries = self.app.app.store.entries(filter).await.unwrap();
        entries.iter().rev().map(|entry| serde_json::from_str(&entry.body).unwrap()).collect()
    }

    async fn until_logged(&self, kind: &str, count: usize) -> Vec<Value> {
        self.app.until(kind, async || Some(self.logged(kind).await).filter(|entries| entries.len() >= count)).await
    }

    /// What waits to be accepted of a tool of `iam`, once it is stored.
    async fn pending(&self, tool: &str) -> Digest {
        let (upstream, tool) = (UpstreamName::new("iam").unwrap(), ToolName::new(tool).unwrap());
        self.app
            .until("a change", async || {
                self.app.app.store.pin(&upstream, &tool).await.unwrap()?.pending?.said.map(|said| said.digest)
            })
            .await
    }
}

/// [`POLICY`] with this at its top.
fn policy(top: &str) -> String {
    POLICY.replacen(r#""default""#, &format!(r#"{top}, "default""#), 1)
}

fn echo() -> Value {
    json!({"text": "hello"})
}
