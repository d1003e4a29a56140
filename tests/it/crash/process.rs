//! `placet serve` in a process of its own, armed to die.

use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::world::PATIENCE;

/// As many lines of what it said are kept for the message of a failing run.
const KEPT: usize = 400;

/// How far a process has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Starting,
    /// At this URL.
    Serving(String),
    /// Its stderr has ended.
    Ended,
}

/// A running process; killed when dropped.
pub(super) struct Process {
    child: Child,
    stage: watch::Receiver<Stage>,
    said: Arc<Said>,
    _reading: JoinSet<()>,
}

/// What a process told.
#[derive(Default)]
pub(super) struct Said {
    lines: Mutex<Vec<String>>,
    /// The points that it told of, in order.
    points: Mutex<Vec<String>>,
}

impl Said {
    pub(super) fn points(&self) -> Vec<String> {
        self.points.lock().unwrap().clone()
    }

    pub(super) fn text(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }
}

impl Process {
    /// Starts it; `env` arms it. Where it freezes at a point, it is killed from outside.
    pub(super) fn start(config: &Path, env: &[(&str, String)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_placet"))
            .args(["serve", "--config", config.to_str().unwrap()])
            .envs(env.iter().map(|(name, value)| (name, value)))
            .env("PLACET_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let id = child.id().and_then(|id| Pid::from_raw(id.try_into().unwrap())).expect("it runs");
        let freezes = env.iter().any(|(name, value)| *name == "PLACET_FAILPOINT" && value.contains("=stop"));
        let (tell, stage) = watch::channel(Stage::Starting);
        let said = Arc::new(Said::default());
        let mut reading = JoinSet::new();
        let stderr = child.stderr.take().unwrap();
        reading.spawn(read(stderr, tell, Arc::clone(&said), freezes.then_some(id)));
        Self { child, stage, said, _reading: reading }
    }

    /// Its URL once it serves; `None` if it ended before.
    pub(super) async fn serving(&mut self) -> Option<String> {
        let stage = self.stage.wait_for(|stage| *stage != Stage::Starting);
        let stage = tokio::time::timeout(PATIENCE, stage).await.expect("it starts or ends in time").ok()?;
        match &*stage {
            Stage::Serving(url) => Some(url.clone()),
            _ => None,
        }
    }

    pub(super) fn said(&self) -> Arc<Said> {
        Arc::clone(&self.said)
    }

    /// Returns when it has ended, with its exit code if it ended of itself.
    pub(super) async fn ended(&mut self) -> Option<i32> {
        let _ = self.stage.wait_for(|stage| *stage == Stage::Ended).await;
        self.child.wait().await.unwrap().code()
    }

    /// Ends it as a power cut does.
    pub(super) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Asks it to stop; its exit code.
    pub(super) async fn terminate(mut self) -> Option<i32> {
        let id = self.child.id().and_then(|id| Pid::from_raw(id.try_into().unwrap())).expect("it still runs");
        kill_process(id, Signal::TERM).unwrap();
        tokio::time::timeout(PATIENCE, self.ended()).await.expect("it ends in time")
    }
}

async fn read(stderr: ChildStderr, stage: watch::Sender<Stage>, said: Arc<Said>, freezes: Option<Pid>) {
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(point) = line.strip_prefix("failpoint ") {
            said.points.lock().unwrap().push(point.to_owned());
            if let Some(id) = freezes {
                // It may be gone already where the test ends.
                let _ = kill_process(id, Signal::KILL);
            }
            continue;
        }
        if line.contains("\"message\":\"serving\"") {
            let entry: serde_json::Value = serde_json::from_str(&line).unwrap();
            let url = format!("http://{}", entry["address"].as_str().unwrap());
            stage.send_replace(Stage::Serving(url));
        }
        let mut kept = said.lines.lock().unwrap();
        if kept.len() == KEPT {
            kept.remove(0);
        }
        kept.push(line);
    }
    stage.send_replace(Stage::Ended);
}
