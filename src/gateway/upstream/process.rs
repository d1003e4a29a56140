//! One child process that speaks MCP on its standard input and output, and its whole process group.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustix::process::{Pid, Signal, kill_process_group};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::account::Account;
use super::envelope::split;
use super::router::Router;
use super::starts::Starts;
use crate::call::{UpstreamName, secrets};
use crate::clock::Clock;
use crate::lifecycle::Tasks;

/// Longest message that a process may say.
const MAX_MESSAGE: usize = 64 << 20;
/// How much of what it wrote to standard error before its first message is kept for the log.
const EXCERPT: usize = 4 << 10;
/// Messages that wait to be written.
const WAITING: usize = 64;
/// How long each step of a polite stop may take: closing its input, then SIGTERM; then SIGKILL.
const STEP: Duration = Duration::from_secs(2);
/// Variables that a child inherits: without a PATH it could not find its interpreter.
const INHERITED: [&str; 4] = ["PATH", "HOME", "LANG", "TMPDIR"];

/// How to start the process.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) upstream: UpstreamName,
    pub(super) command: String,
    pub(super) arguments: Vec<String>,
    pub(super) env: Vec<(String, SecretString)>,
    pub(super) account: Option<Account>,
    pub(super) starts: Starts,
}

/// What a process is started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Its messages wait for a listener.
    Session,
    /// Requests that have nothing to do with each other; what belongs to none of them is dropped.
    Pool,
    /// A question that may well be the end of it, which then counts as no failure.
    Probe,
}

/// A running process.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) router: Arc<Router>,
    lines: mpsc::Sender<Line>,
    ending: Arc<Ending>,
}

/// How a stop is asked for and seen.
#[derive(Debug, Default)]
struct Ending {
    /// Placet wants it to stop.
    asked: AtomicBool,
    /// Its input is to be closed.
    stop: CancellationToken,
    /// Nothing more will come out of it.
    silent: CancellationToken,
    /// It has ended, all of its group too.
    done: CancellationToken,
}

#[derive(Debug)]
struct Line {
    text: Bytes,
    written: oneshot::Sender<Result<(), NotWritten>>,
}

/// A message that did not leave whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotWritten {
    /// Not one byte left.
    Nothing,
    /// Some of it may have been read.
    Partly,
}

/// Kills the process group when dropped, so that no grandchild outlives its upstream, whatever ends the task.
struct Group(Pid);

impl Group {
    fn signal(&self, signal: Signal) {
        // Fails only where nobody is left in the group.
        let _ = kill_process_group(self.0, signal);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

impl Program {
    /// Starts a process; where the last ones failed at their start, only after a while.
    pub(super) fn start(
        self: &Arc<Self>,
        tasks: &Tasks,
        clock: &Clock,
        purpose: Purpose,
    ) -> Result<Arc<Process>, String> {
        self.starts.check(clock.now())?;
        let started = self.spawn().inspect_err(|why| {
            tracing::warn!(upstream = %self.upstream, why, "an upstream could not be started");
            self.starts.failed(clock.now(), why);
        });
        let (mut child, group) = started?;
        let router = Arc::new(Router::new(purpose == Purpose::Session, clock.clone()));
        let ending = Arc::new(Ending::default());
        let (lines, queue) = mpsc::channel(WAITING);
        if let Some(stdin) = child.stdin.take() {
            tasks.spawn("upstream input", write_lines(stdin, queue, ending.stop.clone()));
        }
        if let Some(stdout) = child.stdout.take() {
            let (program, router, ending) = (Arc::clone(self), Arc::clone(&router), Arc::clone(&ending));
            tasks.spawn("upstream output", async move {
                read_lines(stdout, &program, &router).await;
                ending.silent.cancel();
            });
        }
        let excerpt = Arc::new(Mutex::new(String::new()));
        if let Some(stderr) = child.stderr.take() {
            tasks.spawn("upstream errors", drain(stderr, Arc::clone(&router), Arc::clone(&excerpt)));
        }
        let (program, clock) = (Arc::clone(self), clock.clone());
        let watched =
            Watched { program, purpose, clock, router: Arc::clone(&router), ending: Arc::clone(&ending), excerpt };
        let watch = watched.watch(child, group);
        tasks.spawn("upstream process", watch);
        Ok(Arc::new(Process { router, lines, ending }))
    }

    fn spawn(&self) -> Result<(Child, Group), String> {
        let mut command = Command::new(&self.command);
        command.args(&self.arguments).env_clear();
        command.envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        if let Some(account) = &self.account {
            command.uid(account.uid).gid(account.gid).env("HOME", &account.home);
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value.expose_secret())));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        let child = command.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => "its command was not found".to_owned(),
            io::ErrorKind::PermissionDenied => "its command may not be run".to_owned(),
            _ => format!("its command could not be started ({error})"),
        })?;
        let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let id = id.ok_or("it ended as soon as it was started")?;
        Ok((child, Group(id)))
    }
}

impl Process {
    /// Writes one line; the text must hold no line break.
    pub(super) async fn write(&self, text: Bytes) -> Result<(), NotWritten> {
        let (written, wait) = oneshot::channel();
        self.lines.send(Line { text, written }).await.map_err(|_| NotWritten::Nothing)?;
        // The writer answers for every line that it has begun.
        wait.await.unwrap_or(Err(NotWritten::Nothing))
    }

    /// Whether it still takes messages.
    pub(super) fn is_alive(&self) -> bool {
        !self.ending.stop.is_cancelled() && self.router.ended().is_none()
    }

    /// Stops it and waits until it has ended.
    pub(super) async fn close(&self) {
        self.ask_to_stop();
        self.ending.done.cancelled().await;
    }

    fn ask_to_stop(&self) {
        self.ending.asked.store(true, Ordering::Relaxed);
        self.ending.stop.cancel();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.ask_to_stop();
    }
}

/// Writes lines until the stop, then closes the pipe. Who has given up before its line was begun is not served: a
/// call that was reported as not answered must not start late.
async fn write_lines(mut stdin: impl AsyncWrite + Unpin, mut queue: mpsc::Receiver<Line>, stop: CancellationToken) {
    loop {
        let line = tokio::select! {
            () = stop.cancelled() => return,
            line = queue.recv() => line,
        };
        let Some(Line { text, written }) = line else { return };
        if written.is_closed() {
            continue;
        }
        let mut left = bytes::Buf::chain(text, &b"\n"[..]);
        let whole = bytes::Buf::remaining(&left);
        let result = tokio::select! {
            () = stop.cancelled() => Err(io::ErrorKind::BrokenPipe.into()),
            result = stdin.write_all_buf(&mut left) => result,
        };
        let result = result.map_err(|_| match bytes::Buf::remaining(&left) {
            all if all == whole => NotWritten::Nothing,
            _ => NotWritten::Partly,
        });
        let broken = result.is_err();
        let _ = written.send(result);
        if broken {
            return;
        }
    }
}

/// Routes every line until the output ends or a line is too long.
async fn read_lines(mut stdout: impl AsyncRead + Unpin, program: &Program, router: &Router) {
    let mut buffer = BytesMut::with_capacity(64 << 10);
    let mut searched = 0;
    loop {
        if let Some(at) = buffer[searched..].iter().position(|byte| *byte == b'\n') {
            let line = buffer.split_to(searched + at + 1).freeze();
            searched = 0;
            let line = line.slice_ref(line.trim_ascii());
            if line.is_empty() {
                continue;
            }
            for message in split(line) {
                router.route(message).await;
            }
            if router.spoke() {
                program.starts.worked();
            }
            continue;
        }
        searched = buffer.len();
        if searched > MAX_MESSAGE {
            tracing::warn!(upstream = %program.upstream, limit = MAX_MESSAGE, "an upstream's message is too long");
            router.end(format!("it sent a message of more than {} MiB", MAX_MESSAGE >> 20));
            return;
        }
        match stdout.read_buf(&mut buffer).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => return,
        }
    }
}

/// Reads standard error to its end, so that the process never blocks on it. What comes before the first message is
/// kept for the log; what comes later may hold arguments, so only its size is.
async fn drain(mut stderr: impl AsyncRead + Unpin, router: Arc<Router>, excerpt: Arc<Mutex<String>>) {
    let mut buffer = vec![0; 8 << 10];
    let mut later = 0_usize;
    while let Ok(count @ 1..) = stderr.read(&mut buffer).await {
        if router.spoke() {
            later += count;
            continue;
        }
        let mut kept = excerpt.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_str(&String::from_utf8_lossy(&buffer[..count]));
        let over = kept.len().saturating_sub(EXCERPT);
        let cut = (over..).find(|at| kept.is_char_boundary(*at)).unwrap_or(over);
        kept.drain(..cut);
    }
    tracing::debug!(bytes = later, "an upstream's standard error ended");
}

/// What there is to know of a process at its end.
struct Watched {
    program: Arc<Program>,
    purpose: Purpose,
    clock: Clock,
    router: Arc<Router>,
    ending: Arc<Ending>,
    excerpt: Arc<Mutex<String>>,
}

impl Watched {
    /// Sees the process to its end, by itself or asked to, and then tells everybody who waits for it.
    async fn watch(self, mut child: Child, group: Group) {
        let ending = &self.ending;
        let mut status = tokio::select! {
            status = child.wait() => status.ok(),
            () = ending.silent.cancelled() => None,
            () = ending.stop.cancelled() => None,
        };
        ending.stop.cancel();
        for signal in [Signal::TERM, Signal::KILL] {
            if status.is_none() {
                match tokio::time::timeout(STEP, child.wait()).await {
                    Ok(ended) => status = ended.ok(),
                    Err(_) => group.signal(signal),
                }
            }
        }
        // Who is left of the group holds the pipes open. Its number cannot have been given to others in this moment.
        drop(group);
        if status.is_none() {
            status = child.wait().await.ok();
        }
        let _ = tokio::time::timeout(STEP, ending.silent.cancelled()).await;
        self.tell(status);
        ending.done.cancel();
    }

    fn tell(&self, status: Option<ExitStatus>) {
        let (upstream, asked) = (&self.program.upstream, self.ending.asked.load(Ordering::Relaxed));
        let why = if asked { "Placet closed it".to_owned() } else { obituary(status, self.router.spoke()) };
        if asked || self.router.spoke() {
            tracing::info!(%upstream, why, "an upstream's process ended");
        } else {
            let stderr = secrets::mask_text(&self.excerpt.lock().unwrap_or_else(PoisonError::into_inner));
            tracing::warn!(%upstream, why, stderr, "an upstream's process ended before it said anything");
            if self.purpose != Purpose::Probe {
                self.program.starts.failed(self.clock.now(), &why);
            }
        }
        self.router.end(why);
    }
}

fn obituary(status: Option<ExitStatus>, spoke: bool) -> String {
    let when = if spoke { "its process ended" } else { "its process ended as soon as it was started" };
    status.map_or_else(|| when.to_owned(), |status| format!("{when} ({status})"))
}
