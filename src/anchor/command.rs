//! A program that takes the note on its standard input. It gets no environment but PATH, and all of its processes end
//! with it.

use std::io::ErrorKind;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{ChildStderr, Command};

use super::Undelivered;
use super::url::plain;

/// How much of what it says in a failure is kept, in bytes.
const EXCERPT: usize = 300;
/// How long its last words are waited for: a process that it left behind may hold the pipe for ever.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Kills every process of the group when dropped.
struct Group(Pid);

impl Drop for Group {
    fn drop(&mut self) {
        // Fails only where nobody is left in the group.
        let _ = kill_process_group(self.0, Signal::KILL);
    }
}

/// Runs the program; it has the note where it ends with 0.
pub(super) async fn run(command: &[String], note: &str) -> Result<(), Undelivered> {
    let [program, arguments @ ..] = command else { return Err("it names no program".into()) };
    let mut command = Command::new(program);
    command.args(arguments).env_clear().process_group(0).kill_on_drop(true);
    command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| match error.kind() {
        ErrorKind::NotFound => "the command was not found".to_owned(),
        ErrorKind::PermissionDenied => "the command may not be run".to_owned(),
        _ => format!("the command could not be started: {error}"),
    })?;
    let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let _group = id.map(Group);
    let (stdin, mut stderr) = (child.stdin.take(), child.stderr.take());
    let mut said = Vec::new();
    let ended = async {
        if let Some(mut stdin) = stdin {
            // One that does not read all of it still says by its end whether it is content.
            let _ = stdin.write_all(note.as_bytes()).await;
        }
        child.wait().await
    };
    let status = tokio::select! {
        status = ended => status,
        never = listen(stderr.as_mut(), &mut said) => match never {},
    };
    let status = status.map_err(|error| format!("how the command ended is not known: {error}"))?;
    if status.success() {
        return Ok(());
    }
    let _ = tokio::time::timeout(LAST_WORDS, listen(stderr.as_mut(), &mut said)).await;
    Err(failure(status, plain(&String::from_utf8_lossy(&said))))
}

fn failure(status: ExitStatus, said: String) -> Undelivered {
    let how = status.code().map_or_else(|| "was killed".to_owned(), |code| format!("ended with {code}"));
    Undelivered { why: format!("the command {how}"), said: Some(said).filter(|said| !said.is_empty()) }
}

/// Keeps the beginning of what the program says, and reads on, or it could not go on itself.
async fn listen(stderr: Option<&mut ChildStderr>, said: &mut Vec<u8>) -> std::convert::Infallible {
    if let Some(stderr) = stderr {
        let mut buffer = [0; 1024];
        while let Ok(count @ 1..) = stderr.read(&mut buffer).await {
            let room = EXCERPT.saturating_sub(said.len()).min(count);
            said.extend_from_slice(&buffer[..room]);
        }
    }
    std::future::pending().await
}
