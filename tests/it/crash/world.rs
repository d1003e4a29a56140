//! Where the runs take place: a prepared data folder, and for each run a copy of it, an upstream and a mail server.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::response::IntoResponse as _;
use placet::call::{AgentName, Email, GroupName};
use placet::clock::{Clock, Entropy};
use placet::identity::{AddReviewer, Identity, Roles, SessionLimits};
use placet::lifecycle::Tasks;
use placet::store::Store;
use serde_json::json;
use tempfile::TempDir;

use super::driver::number;
use super::plan::POLICY;
use super::process::Process;
use crate::support::smtp::SmtpSink;
use crate::support::upstream::{Upstream, json_answer};

/// Nothing takes this long on a loaded machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// So many times faster than the machine's clock Placet's runs. On a busy machine so much less that what it waits for on
/// its own clock still has the time to happen: `PLACET_CRASHES_CLOCK`.
const TIMES: u64 = 50;

fn times() -> u64 {
    number("PLACET_CRASHES_CLOCK").unwrap_or(TIMES).max(1)
}

/// How long a run may take: what it waits for on its own clock takes longer where that is slower.
pub(super) fn patience() -> Duration {
    PATIENCE * u32::try_from(TIMES.div_ceil(times())).unwrap_or(1)
}

/// A data folder with an agent and two reviewers, made once.
pub(super) struct Template {
    database: Vec<u8>,
    /// Its accounts are sealed with this key.
    key: Vec<u8>,
    spent: Vec<u8>,
    pub(super) agent: String,
    pub(super) mira: String,
    pub(super) noor: String,
}

impl Template {
    pub(super) async fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (tasks, clock, entropy) = (Tasks::default(), Clock::system(), Entropy::System);
        let store = Store::open(folder.path(), clock.clone(), &tasks).await.unwrap();
        let identity = Identity::new(store.clone(), clock, entropy, SessionLimits::default());
        let owner = Email::parse("owner@example.com").unwrap();
        let agent = identity.agent_add(AgentName::new("ci-bot").unwrap(), owner, vec![]).await.unwrap();
        let mut tokens = Vec::new();
        for (email, groups) in [("mira@example.com", &[][..]), ("noor@example.com", &["night"])] {
            let email = Email::parse(email).unwrap();
            let add = AddReviewer {
                email: email.clone(),
                name: None,
                roles: Roles { reviewer: true, auditor: true, administrator: false },
                groups: groups.iter().map(|name| GroupName::new(*name).unwrap()).collect(),
                password: None,
            };
            identity.reviewer_add(add).await.unwrap();
            let token = identity.api_token_make(email, true, Duration::from_secs(300 * 86_400)).await.unwrap();
            tokens.push(token.token.reveal().to_owned());
        }
        tasks.begin_stop();
        drop((store, identity));
        assert!(tasks.ended(PATIENCE).await);
        let database = std::fs::read(folder.path().join("placet.db")).unwrap();
        let key = std::fs::read(folder.path().join("seal.key")).unwrap();
        let spent = std::fs::read(folder.path().join("spent")).unwrap();
        let [mira, noor] = tokens.try_into().unwrap();
        Self { database, key, spent, agent: agent.token.reveal().to_owned(), mira, noor }
    }
}

/// One run's surroundings.
pub(super) struct World {
    folder: TempDir,
    clock: String,
    pub(super) upstream: Upstream,
    pub(super) sink: SmtpSink,
}

impl World {
    pub(super) async fn new(template: &Template) -> Self {
        let (upstream, sink) = (Upstream::start().await, SmtpSink::start().await);
        upstream.on("tools/call fail", |message| {
            let result = json!({"content": [{"type": "text", "text": "no"}], "isError": true});
            json_answer(json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string()).into_response()
        });
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join("placet.db"), &template.database).unwrap();
        std::fs::write(data.join("seal.key"), &template.key).unwrap();
        std::fs::write(data.join("spent"), &template.spent).unwrap();
        std::fs::write(folder.path().join("policy.json"), POLICY).unwrap();
        let config = format!(
            "listen = \"127.0.0.1:0\"\npublic_url = \"http://placet.test\"\ndata_dir = \"data\"\npolicy = \"policy.json\"\n\
             [hold]\nbudget = \"20s\"\nmax_pending_per_agent = 1000\nmax_new_per_agent_per_hour = 10000\n\
             [[upstreams]]\nname = \"stub\"\nurl = \"{}\"\n\
             [mail]\nsmtp = \"smtp://127.0.0.1:{}\"\nfrom = \"Placet <placet@example.com>\"\n",
            upstream.url,
            sink.port()
        );
        std::fs::write(folder.path().join("placet.toml"), config).unwrap();
        let clock = format!("{}*{}", Clock::system().now().0, times());
        Self { folder, clock, upstream, sink }
    }

    pub(super) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(super) fn config(&self) -> PathBuf {
        self.folder.path().join("placet.toml")
    }

    /// `placet serve` on this folder, armed.
    pub(super) fn start(&self, failpoint: Option<String>) -> Process {
        let armed = failpoint.map(|armed| ("PLACET_FAILPOINT", armed));
        self.start_with(armed.into_iter().collect())
    }

    /// `placet serve` on this folder, with this in its environment.
    pub(super) fn start_with(&self, mut env: Vec<(&'static str, String)>) -> Process {
        env.push(("PLACET_CLOCK", self.clock.clone()));
        // So short a list is written anew several times in each run.
        env.push(("PLACET_SPENT_LONG", "5".to_owned()));
        Process::start(&self.config(), &env)
    }

    /// What lies in the data folder, by name.
    pub(super) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let entries = std::fs::read_dir(self.data()).unwrap().map(|entry| entry.unwrap());
        let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
        files.map(|file| (file.file_name().into_string().unwrap(), std::fs::read(file.path()).unwrap())).collect()
    }

    /// Puts these files in the place of what lies in the data folder.
    pub(super) fn put(&self, files: &BTreeMap<String, Vec<u8>>) {
        std::fs::remove_dir_all(self.data()).unwrap();
        std::fs::create_dir(self.data()).unwrap();
        for (name, content) in files {
            let path = self.data().join(name);
            std::fs::write(&path, content).unwrap();
            std::fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
        }
    }

    /// A copy of the database as it lies there, to be read without touching it.
    pub(super) fn copy(&self) -> TempDir {
        let copy = tempfile::tempdir().unwrap();
        for name in ["placet.db", "placet.db-wal"] {
            let from = self.data().join(name);
            if Path::new(&from).exists() {
                std::fs::copy(from, copy.path().join(name)).unwrap();
            }
        }
        copy
    }
}
