//! The whole service in this process, on a port of its own: clock, randomness, mailbox and upstream in the test's
//! hands, and `restart()`.

use std::sync::Arc;
use std::time::Duration;

use placet::app::{self, App, Outside};
use placet::call::{AgentName, Email, GroupName, Millis};
use placet::clock::{Clock, Entropy};
use placet::config::Config;
use placet::identity::{AddReviewer, Roles};
use placet::notify::{Mailer, MemoryMailbox, Transport};
use placet::telemetry::Metrics;
use tempfile::TempDir;
use tokio::net::TcpListener;

/// The password of every reviewer that a test adds.
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// The moment at which a test's own clock starts.
pub(crate) const START: Millis = Millis(1_795_356_131_000);

/// A policy under which reading is allowed and everything else waits for the group `iam`.
pub(crate) const POLICY: &str = r#"{ "version": "1", "default": "deny", "hide": ["delete_user"],
  "readers": ["get_user_policy"],
  "tools": {
    "list_*": {}, "get_*": {}, "echo": {},
    "create_user": { "action": "deny", "reason": "users come from the directory" },
    "put_user_policy": { "action": "require_approval", "approval": { "timeout": "15m", "reviewers": ["iam"] } } } }"#;

/// How a test's service is set up.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) clock: Clock,
    pub(crate) policy: String,
    /// What stands in placet.toml beside addresses and folders: upstreams at least. Mails go into the test's mailbox
    /// where there is no `[mail]`.
    pub(crate) toml: String,
}

impl Setup {
    /// One upstream over HTTP, the clock standing still.
    pub(crate) fn http(url: &str) -> Self {
        Self::toml(format!("[[upstreams]]\nname = \"iam\"\nurl = \"{url}\"\n"))
    }

    pub(crate) fn toml(toml: String) -> Self {
        Self { clock: Clock::manual(START), policy: POLICY.to_owned(), toml }
    }

    pub(crate) fn policy(mut self, policy: &str) -> Self {
        policy.clone_into(&mut self.policy);
        self
    }

    /// On the machine's clock, for real components.
    pub(crate) fn real_time(mut self) -> Self {
        self.clock = Clock::system();
        self
    }

    pub(crate) async fn start(self) -> TestApp {
        self.start_in(Arc::new(tempfile::tempdir().unwrap())).await
    }

    /// On a folder whose `data` is there already.
    pub(crate) async fn start_in(self, folder: Arc<TempDir>) -> TestApp {
        std::fs::write(folder.path().join("policy.json"), &self.policy).unwrap();
        let mailbox = MemoryMailbox::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let entropy = Entropy::System;
        let (app, url) = open(&self, &folder, &entropy, &mailbox, listener).await;
        TestApp { setup: self, folder, entropy, mailbox, app, url }
    }
}

/// A running service.
pub(crate) struct TestApp {
    pub(crate) setup: Setup,
    pub(crate) folder: Arc<TempDir>,
    pub(crate) entropy: Entropy,
    pub(crate) mailbox: MemoryMailbox,
    pub(crate) app: App,
    /// Without a slash at the end.
    pub(crate) url: String,
}

async fn open(
    setup: &Setup,
    folder: &TempDir,
    entropy: &Entropy,
    mailbox: &MemoryMailbox,
    listener: TcpListener,
) -> (App, String) {
    let address = listener.local_addr().unwrap();
    let url = format!("http://localhost:{}", address.port());
    let file = folder.path().join("placet.toml");
    let own =
        format!("listen = \"{address}\"\npublic_url = \"{url}\"\ndata_dir = \"data\"\npolicy = \"policy.json\"\n");
    std::fs::write(&file, format!("{own}{}", setup.toml)).unwrap();
    let config = Config::load(&file).unwrap_or_else(|problems| panic!("{problems:?}"));
    let into_mailbox = || Mailer::new(Transport::Memory(mailbox.clone()), "Placet <placet@example.com>").unwrap();
    let outside = Outside {
        clock: setup.clock.clone(),
        entropy: entropy.clone(),
        mailer: app::mailer(&config).unwrap().or_else(|| Some(into_mailbox())),
        listener,
        metrics: Metrics::install().unwrap(),
        routes: axum::Router::new(),
    };
    (App::start(&config, outside).await.unwrap(), url)
}

impl TestApp {
    /// The MCP endpoint of the only upstream.
    pub(crate) fn mcp(&self) -> String {
        format!("{}/mcp", self.url)
    }

    /// Adds an agent of `owner@example.com` and gives its token.
    pub(crate) async fn agent(&self, name: &str) -> String {
        let owner = Email::parse("owner@example.com").unwrap();
        let added = self.app.identity.agent_add(AgentName::new(name).unwrap(), owner, vec![]).await.unwrap();
        added.token.reveal().to_owned()
    }

    /// Adds a reviewer with [`PASSWORD`].
    pub(crate) async fn reviewer(&self, email: &str, groups: &[&str]) -> placet::identity::Reviewer {
        let roles = Roles { reviewer: true, auditor: true, administrator: true };
        self.person(email, groups, roles).await
    }

    pub(crate) async fn person(&self, email: &str, groups: &[&str], roles: Roles) -> placet::identity::Reviewer {
        let add = AddReviewer {
            email: Email::parse(email).unwrap(),
            name: None,
            roles,
            groups: groups.iter().map(|name| GroupName::new(*name).unwrap()).collect(),
            password: Some(PASSWORD.to_owned().into()),
        };
        self.app.identity.reviewer_add(add).await.unwrap()
    }

    /// Stops the process as a deployment does, and starts it again on the same folder and port.
    pub(crate) async fn restart(self) -> Self {
        let Self { mut setup, folder, entropy, mailbox, app, .. } = self;
        setup.clock = setup.clock.restarted();
        let address = app.address;
        assert!(app.stop(Duration::from_secs(20)).await, "something did not stop");
        let listener = TcpListener::bind(address).await.unwrap();
        let (app, url) = open(&setup, &folder, &entropy, &mailbox, listener).await;
        Self { setup, folder, entropy, mailbox, app, url }
    }

    /// Waits until `look` finds what it looks for; fails after ten seconds.
    pub(crate) async fn until<T>(&self, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
        for _ in 0..1000 {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{what} did not happen");
    }

    /// Waits for the last entry that a first start writes by itself: that the tools were seen.
    pub(crate) async fn pinned(&self) {
        self.until("the tools", async || {
            let kind = Some("tools.pinned".to_owned());
            let filter = placet::store::EntryFilter { kind, limit: 1, ..Default::default() };
            (!self.app.store.entries(filter).await.unwrap().is_empty()).then_some(())
        })
        .await;
    }

    /// The oldest pending call, once there is one.
    pub(crate) async fn pending(&self) -> placet::call::HeldCall {
        let filter = placet::store::CallFilter {
            state: Some("pending".into()),
            oldest_first: true,
            limit: 1,
            ..Default::default()
        };
        self.until("a pending call", async || {
            self.app.store.calls(filter.clone()).await.unwrap().calls.into_iter().next()
        })
        .await
    }
}
