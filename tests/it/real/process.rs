//! Placet as it is deployed: the binary itself, in a process of its own.

use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

use crate::support::components::{Env, PATIENCE};

/// A running `placet`; killed when dropped.
pub(super) struct Process {
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    stderr: Lines<BufReader<ChildStderr>>,
}

/// How a process ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// `None`: by a signal.
    pub(super) code: Option<i32>,
    /// What nobody had read yet.
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Process {
    pub(super) fn start(args: &[&str], env: &Env) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_placet"))
            .args(args)
            .envs(env)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, stdout, stderr }
    }

    /// `placet serve` with this configuration; returns when it serves.
    pub(super) async fn serve(config: &Path) -> Self {
        let mut process = Self::start(&["serve", "--config", config.to_str().unwrap()], &Env::new());
        let mut said = String::new();
        let serving = async {
            while let Some(line) = process.stderr.next_line().await.unwrap() {
                if line.contains("serving") {
                    return true;
                }
                said.push_str(&line);
            }
            false
        };
        assert!(tokio::time::timeout(PATIENCE, serving).await.unwrap(), "it does not serve: {said}");
        process
    }

    /// Runs a command to its end; what it printed.
    pub(super) async fn output(args: &[&str]) -> String {
        let ended = Self::start(args, &Env::new()).end().await;
        assert_eq!(ended.code, Some(0), "placet {}: {ended:?}", args.join(" "));
        ended.stdout
    }

    /// The next line on stdout.
    pub(super) async fn line(&mut self) -> String {
        let line = tokio::time::timeout(PATIENCE, self.stdout.next_line()).await.expect("a line in time").unwrap();
        line.expect("it goes on")
    }

    /// Ends it as a power cut does.
    pub(super) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Asks it to stop and waits for its end.
    pub(super) async fn terminate(self) -> Ended {
        let id = self.child.id().and_then(|id| Pid::from_raw(id.try_into().unwrap())).expect("it still runs");
        kill_process(id, Signal::TERM).unwrap();
        self.end().await
    }

    /// Waits for its end.
    pub(super) async fn end(mut self) -> Ended {
        let ended = async {
            let (stdout, stderr) = tokio::join!(rest(&mut self.stdout), rest(&mut self.stderr));
            Ended { code: self.child.wait().await.unwrap().code(), stdout, stderr }
        };
        tokio::time::timeout(PATIENCE, ended).await.expect("it ends in time")
    }
}

async fn rest<R: AsyncRead + Unpin>(lines: &mut Lines<BufReader<R>>) -> String {
    let mut text = String::new();
    while let Ok(Some(line)) = lines.next_line().await {
        text.push_str(&line);
        text.push('\n');
    }
    text
}
