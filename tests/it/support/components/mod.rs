//! The real programs that Placet is tested with: MCP servers, AWS, MCP clients, a browser. `tests/run` installs them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinSet;

pub mod agent;
pub mod browser;
pub mod servers;

/// Nothing here takes this long on a loaded machine; after it, a test fails instead of hanging.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// How much of a program's stderr is kept for the message of a failing test, in bytes.
const KEPT_STDERR: usize = 16 * 1024;

/// The environment of a child process.
pub type Env = BTreeMap<String, String>;

/// The folder that `tests/run` installs into.
pub fn tools() -> PathBuf {
    std::env::var_os("PLACET_TOOLS").map_or_else(|| root().join(".tools"), PathBuf::from)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file below [`tools`]; the test fails with what to do where it is missing.
fn installed(path: &str) -> String {
    let file = tools().join(path);
    assert!(file.exists(), "{} is missing: run ./tests/run once", file.display());
    text(&file)
}

fn text(path: &Path) -> String {
    path.to_str().expect("the path is UTF-8").to_owned()
}

/// A child process: its stderr is drained, its end is ours.
struct Program {
    name: String,
    child: Child,
    stderr: Arc<Mutex<String>>,
    tasks: JoinSet<()>,
}

impl Program {
    /// Starts `command` with `env` added to this process's environment, stdin and stdout piped.
    fn start(command: &[String], env: &Env) -> Self {
        let mut child = Command::new(&command[0])
            .args(&command[1..])
            .envs(env)
            .env("PLACET_TOOLS", tools())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", command[0]));
        let stderr = Arc::new(Mutex::new(String::new()));
        let mut tasks = JoinSet::new();
        tasks.spawn(drain(child.stderr.take().expect("stderr is piped"), Arc::clone(&stderr)));
        Self { name: command.join(" "), child, stderr, tasks }
    }

    fn stdout(&mut self) -> Lines<BufReader<ChildStdout>> {
        BufReader::new(self.child.stdout.take().expect("stdout is taken once")).lines()
    }

    /// Waits for a line for which `wanted` has an answer, and keeps draining the rest.
    async fn wait_for_line<R, T>(&mut self, mut lines: Lines<R>, wanted: fn(&str) -> Option<T>) -> T
    where
        R: AsyncBufReadExt + Unpin + Send + 'static,
    {
        let found = tokio::time::timeout(PATIENCE, async {
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some(found) = wanted(&line) {
                    return Some(found);
                }
            }
            None
        })
        .await;
        let Ok(Some(found)) = found else { panic!("{} did not start.\n{}", self.name, self.said()) };
        self.tasks.spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        found
    }

    /// The end of what it wrote to stderr.
    fn said(&self) -> String {
        self.stderr.lock().expect("no holder panics").clone()
    }
}

/// Reads to the end, keeping the last part.
async fn drain(stream: impl AsyncRead + Unpin + Send + 'static, kept: Arc<Mutex<String>>) {
    let mut lines = BufReader::new(stream).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let mut kept = kept.lock().expect("no holder panics");
        kept.push_str(&line);
        kept.push('\n');
        if kept.len() > KEPT_STDERR {
            let cut = kept.ceil_char_boundary(kept.len() - KEPT_STDERR / 2);
            kept.drain(..cut);
        }
    }
}
