//! The agents' side alone on a port of its own: real gateway, policy, approvals and database in front of a stub
//! upstream, the clock standing still until the test moves it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use placet::approvals::{Approvals, Channel, Decision, Rules, Seal, Settings};
use placet::call::{AgentName, Email, HeldCall, Millis, ReviewerId, UpstreamName, Verdict};
use placet::clock::{Clock, Entropy};
use placet::gateway::upstream::{Transport, UpstreamConfig, Upstreams};
use placet::gateway::{Gateway, Hosts, Parts, router};
use placet::identity::{AddReviewer, Identity, Roles, SessionLimits};
use placet::in_force::{InForce, Listing};
use placet::lifecycle::Tasks;
use placet::pins::{Checked, Pins};
use placet::policy::Defaults;
use placet::store::{CallFilter, Store};
use sqlx::Connection as _;
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::agent::Agent;
use super::upstream::Upstream;

/// The moment at which the clock stands.
pub(crate) const START: Millis = Millis(1_795_356_131_000);

/// Reading is allowed, writing waits for people, the rest is denied or hidden.
pub(crate) const POLICY: &str = r#"{ "version": "1", "default": "deny", "hide": ["delete_user"],
  "readers": ["get_user_policy"],
  "methods": { "vendor/*": { "action": "allow" } },
  "tools": {
    "list_*": { "risk": "read" }, "get_*": {}, "echo": {},
    "create_user": { "action": "deny", "reason": "users come from the directory" },
    "put_user_policy": { "action": "require_approval",
      "approval": { "timeout": "15m", "message": "The IAM team is asked" } } } }"#;

/// A running gateway.
pub(crate) struct Gate {
    _folder: TempDir,
    pub(crate) clock: Clock,
    pub(crate) tasks: Tasks,
    pub(crate) store: Store,
    pub(crate) approvals: Approvals,
    pub(crate) identity: Identity,
    pub(crate) upstream: Upstream,
    /// Without a slash at the end.
    pub(crate) url: String,
    pub(crate) mira: ReviewerId,
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.tasks.begin_stop();
    }
}

impl Gate {
    pub(crate) async fn start() -> Self {
        Self::with(POLICY).await
    }

    /// One upstream `iam` under this policy.
    pub(crate) async fn with(policy: &str) -> Self {
        Self::serving(policy, Upstream::start().await, &["iam"]).await
    }

    /// Upstreams of these names, all of them the same stub.
    pub(crate) async fn serving(policy: &str, upstream: Upstream, names: &[&str]) -> Self {
        let transport = Transport::Http {
            url: upstream.url.clone(),
            headers: vec![("authorization".into(), "Bearer of-placet".to_owned().into())],
        };
        Self::configured(policy, upstream, names, &transport).await
    }

    /// The upstream `iam` is a process that speaks these eras (see `stub_server.py`), and may do anything.
    pub(crate) async fn process(eras: &str) -> Self {
        Self::process_with(eras, r#"{ "version": "1", "default": "allow", "tools": {} }"#).await
    }

    /// As [`Gate::process`], under this policy.
    pub(crate) async fn process_with(eras: &str, policy: &str) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/stub_server.py");
        let command = ["python3", "-u", script, eras].map(str::to_owned).to_vec();
        let transport = Transport::Stdio { command, env: vec![], user: None };
        Self::configured(policy, Upstream::start().await, &["iam"], &transport).await
    }

    async fn configured(policy: &str, upstream: Upstream, names: &[&str], transport: &Transport) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (clock, entropy, tasks) = (Clock::manual(START), Entropy::System, Tasks::default());
        let store = Store::open(&folder.path().join("data"), clock.clone(), &tasks).await.unwrap();
        let config = |name: &&str| UpstreamConfig {
            name: UpstreamName::new(*name).unwrap(),
            transport: transport.clone(),
            shared: false,
        };
        let configs: Vec<_> = names.iter().map(config).collect();
        let upstreams = Upstreams::new(&configs, &tasks, &clock, &entropy).unwrap();
        let file = folder.path().join("policy.json");
        std::fs::write(&file, policy).unwrap();
        let hashes: BTreeMap<_, _> = configs.iter().map(|config| (config.name.clone(), config.hash())).collect();
        let defaults = Defaults { timeout: Duration::from_secs(900), upstreams: upstreams.names() };
        let listed = upstreams.clone();
        let listing = Listing(Arc::new(move |upstream, tool| Some(listed.get(upstream)?.tool(tool)?.facts)));
        let policy = Arc::new(InForce::load(&file, defaults, hashes, listing, clock.now()).unwrap());
        let seal = Seal::load_or_create(&folder.path().join("data"), &entropy).unwrap();
        let forward = Arc::new(upstreams.clone());
        let pins = Pins::load(store.clone()).await.unwrap();
        pins.save_on(&tasks);
        let rules: Arc<dyn Rules> = Arc::new(Checked { policy: Arc::clone(&policy), pins: pins.clone() });
        let approvals =
            Approvals::new(store.clone(), entropy.clone(), tasks.clone(), seal, forward, rules, Settings::default());
        let identity = Identity::new(store.clone(), clock.clone(), entropy.clone(), SessionLimits::default());
        let reviewer = AddReviewer {
            email: Email::parse("mira@example.com").unwrap(),
            name: None,
            roles: Roles { reviewer: true, auditor: false, administrator: false },
            groups: [].into(),
            password: None,
        };
        let mira = identity.reviewer_add(reviewer).await.unwrap().id;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let gateway = Gateway::new(Parts {
            hosts: Hosts::new("https://placet.example.com", address, &[]),
            hold_budget: Duration::from_secs(50),
            upstreams: upstreams.clone(),
            approvals: approvals.clone(),
            identity: identity.clone(),
            policy,
            pins,
            store: store.clone(),
            clock: clock.clone(),
            entropy,
            tasks: tasks.clone(),
        });
        let (app, stopping) = (router(gateway), tasks.clone());
        tasks.spawn("http", async move {
            let stopped = async move { stopping.stopped().await };
            axum::serve(listener, app).with_graceful_shutdown(stopped).await.unwrap();
        });
        let url = format!("http://{address}");
        Self { _folder: folder, clock, tasks, store, approvals, identity, upstream, url, mira }
    }

    /// Adds an agent and gives its client, which has said nothing yet.
    pub(crate) async fn agent(&self, name: &str) -> Agent {
        self.agent_for(name, vec![]).await
    }

    /// As [`Gate::agent`], for these upstreams only.
    pub(crate) async fn agent_for(&self, name: &str, upstreams: Vec<UpstreamName>) -> Agent {
        let owner = Email::parse("owner@example.com").unwrap();
        let added = self.identity.agent_add(AgentName::new(name).unwrap(), owner, upstreams).await.unwrap();
        Agent::new(format!("{}/mcp/iam", self.url), added.token.reveal())
    }

    /// An agent with a session of 2025-11-25.
    pub(crate) async fn session(&self, name: &str) -> Agent {
        let mut agent = self.agent(name).await;
        agent.initialize("2025-11-25").await;
        agent
    }

    /// Moves the clock, so that whatever is due happens.
    pub(crate) fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// What comes of `future`, time passing in steps of so many seconds until it comes.
    pub(crate) async fn in_time<T>(&self, future: impl Future<Output = T>, seconds: u64) -> T {
        tokio::pin!(future);
        loop {
            tokio::select! {
                out = &mut future => return out,
                () = tokio::time::sleep(Duration::from_millis(10)) => self.pass(seconds),
            }
        }
    }

    /// The oldest call in this state, once there is one.
    pub(crate) async fn held(&self, state: &str) -> HeldCall {
        let mut events = self.approvals.events();
        loop {
            let filter =
                CallFilter { state: Some(state.to_owned()), oldest_first: true, limit: 1, ..CallFilter::default() };
            if let Some(call) = self.store.calls(filter).await.unwrap().calls.into_iter().next() {
                return call;
            }
            let changed = tokio::time::timeout(Duration::from_secs(10), events.recv());
            changed.await.unwrap_or_else(|_| panic!("no call became {state}")).unwrap();
        }
    }

    /// Mira decides.
    pub(crate) async fn decide(&self, call: &HeldCall, verdict: Verdict, reason: &str) {
        let decision = Decision {
            call: call.submission.id,
            digest: call.digest,
            verdict,
            reason: reason.to_owned(),
            by: self.mira,
            channel: Channel::Page,
            confirmed: false,
        };
        self.approvals.decide(decision).await.unwrap();
    }

    /// The kinds of all log entries about calls and methods, oldest first.
    pub(crate) async fn log(&self) -> Vec<String> {
        let filter = placet::store::EntryFilter { limit: 1000, ..Default::default() };
        let entries = self.store.entries(filter).await.unwrap();
        let kinds = entries.into_iter().rev().map(|entry| entry.kind);
        kinds.filter(|kind| !kind.starts_with("agent.") && !kind.starts_with("reviewer.")).collect()
    }

    /// From now on the log takes no entry, as on a full disk.
    pub(crate) async fn break_log(&self) {
        let file = self.store.folder().join("placet.db");
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
        let mut database = sqlx::sqlite::SqliteConnection::connect_with(&options).await.unwrap();
        let trigger = "CREATE TRIGGER failpoint_full BEFORE INSERT ON entries BEGIN SELECT RAISE(ABORT, 'full'); END";
        sqlx::query(trigger).execute(&mut database).await.unwrap();
    }
}
