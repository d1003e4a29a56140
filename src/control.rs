//! Commands for a running Placet, over a Unix socket in its data folder: one process owns the database, so what the
//! command line wants to change while `serve` runs is done by that process.
//!
//! One connection carries one command and one reply, each a line of JSON. The socket is this user's alone (mode 0600,
//! and the other side's user is checked); replies may hold secrets that are shown once.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};

use crate::call::{AgentName, Email, GroupName, Millis, UpstreamName};
use crate::clock::Entropy;
use crate::identity::{AddReviewer, Agent, Identity, IdentityError, Reviewer, Roles};
use crate::lifecycle::Tasks;
use crate::notary::{Notary, NotaryError, Rotated};

/// The socket's name in the data folder.
const NAME: &str = "control.sock";
/// No command is longer, in bytes.
const LONGEST: u64 = 64 * 1024;
/// A client that says nothing for so long is sent away.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it rests after a connection that could not be taken.
const REST: Duration = Duration::from_secs(1);
/// `sun_path` holds no more, the closing zero included.
const LONGEST_PATH: usize = 107;

/// What the command line may ask for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Add an agent.
    AgentAdd {
        /// Its name.
        name: AgentName,
        /// The human who answers for it.
        owner: Email,
        /// Where it may go; empty: everywhere.
        upstreams: Vec<UpstreamName>,
    },
    /// List agents.
    AgentList,
    /// End an agent's token.
    AgentRevoke {
        /// Its name.
        name: AgentName,
    },
    /// Make an account.
    ReviewerAdd {
        /// Its address.
        email: Email,
        /// As shown.
        name: Option<String>,
        /// Whose calls the person reviews.
        groups: BTreeSet<GroupName>,
        /// Names of roles.
        roles: Vec<Role>,
        /// In clear; only ever on this socket.
        password: Option<String>,
    },
    /// List accounts.
    ReviewerList,
    /// Make a sign-in link.
    ReviewerLink {
        /// Whose.
        email: Email,
    },
    /// Make an API token.
    ReviewerToken {
        /// Whose.
        email: Email,
        /// Whether it decides calls.
        may_decide: bool,
        /// How long it works, in seconds.
        seconds: u64,
    },
    /// Disable an account.
    ReviewerDisable {
        /// Whose.
        email: Email,
    },
    /// Sign the log as it is now.
    AuditCheckpoint,
    /// Replace the log's key.
    AuditRotateKey,
}

impl Command {
    /// Whether carrying it out takes the log's key.
    #[must_use]
    pub fn signs(&self) -> bool {
        matches!(self, Self::AuditCheckpoint | Self::AuditRotateKey)
    }
}

/// Who carries commands out.
#[derive(Clone, Debug)]
pub struct Desk {
    /// Who is who.
    pub identity: Identity,
    /// Who signs the log; needed for commands that sign.
    pub notary: Option<Notary>,
    /// Randomness for new keys.
    pub entropy: Entropy,
}

/// A role by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads and decides the calls of the person's groups.
    Reviewer,
    /// Reads everything, decides nothing.
    Auditor,
    /// Manages people and agents, reads everything.
    Administrator,
}

/// What came of a command.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// Done, and there is nothing to hand over.
    Done,
    /// A secret that is shown once.
    Secret {
        /// The token.
        token: String,
        /// A link's code, which goes another way than its token.
        code: Option<String>,
        /// When it ends, where it does.
        expires_at: Option<Millis>,
        /// Something that the person should know.
        notice: Option<String>,
    },
    /// Agents.
    Agents {
        /// All of them.
        agents: Vec<AgentLine>,
    },
    /// Accounts.
    Reviewers {
        /// All of them.
        reviewers: Vec<ReviewerLine>,
    },
    /// The log's latest checkpoint.
    Note {
        /// As a signed note.
        note: String,
    },
    /// The log's key was replaced.
    Rotated {
        /// The vkey before.
        old: String,
        /// The vkey now.
        new: String,
    },
    /// Not done, and why; nothing changed.
    Refused {
        /// In words for the person at the terminal.
        why: String,
        /// Whether the command itself is impossible; otherwise it could not be carried out.
        wrong: bool,
    },
}

/// An agent in a list.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentLine {
    /// Its name.
    pub name: String,
    /// The human who answers for it.
    pub owner: String,
    /// Where it may go; empty: everywhere.
    pub upstreams: Vec<String>,
    /// ISO 8601.
    pub created_at: String,
    /// ISO 8601; `None` while it lives.
    pub revoked_at: Option<String>,
}

/// An account in a list.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewerLine {
    /// Its address.
    pub email: String,
    /// As shown.
    pub name: String,
    /// Names of roles.
    pub roles: Vec<String>,
    /// Groups.
    pub groups: Vec<String>,
    /// ISO 8601; `None` while it lives.
    pub disabled_at: Option<String>,
}

impl From<Agent> for AgentLine {
    fn from(agent: Agent) -> Self {
        Self {
            name: agent.name.to_string(),
            owner: agent.owner.to_string(),
            upstreams: agent.upstreams.iter().map(ToString::to_string).collect(),
            created_at: agent.created_at.to_string(),
            revoked_at: agent.revoked_at.map(|at| at.to_string()),
        }
    }
}

impl From<Reviewer> for ReviewerLine {
    fn from(person: Reviewer) -> Self {
        Self {
            email: person.email.to_string(),
            name: person.name,
            roles: person.roles.names().into_iter().map(str::to_owned).collect(),
            groups: person.groups.iter().map(ToString::to_string).collect(),
            disabled_at: person.disabled_at.map(|at| at.to_string()),
        }
    }
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// Accounts and tokens.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The log's key.
    #[error(transparent)]
    Notary(#[from] NotaryError),
    /// This desk has no key.
    #[error("the log cannot be signed here")]
    NoKey,
}

impl CommandError {
    /// Whether the command itself is impossible; that the log is not what it was is an answer too.
    fn is_wrong(&self) -> bool {
        match self {
            Self::Identity(error) => !matches!(error, IdentityError::Store(_) | IdentityError::Hash(_)),
            Self::Notary(error) => matches!(error, NotaryError::Wrong(_) | NotaryError::NotLost),
            Self::NoKey => false,
        }
    }
}

impl<E: Into<CommandError>> From<E> for Reply {
    fn from(error: E) -> Self {
        let error = error.into();
        Self::Refused { wrong: error.is_wrong(), why: error.to_string() }
    }
}

/// Carries a command out, in whichever process owns the database.
pub async fn carry_out(desk: &Desk, command: Command) -> Reply {
    done(desk, command).await.unwrap_or_else(Reply::from)
}

async fn done(desk: &Desk, command: Command) -> Result<Reply, CommandError> {
    let identity = &desk.identity;
    let notary = || desk.notary.as_ref().ok_or(CommandError::NoKey);
    match command {
        Command::AgentAdd { name, owner, upstreams } => {
            let added = identity.agent_add(name, owner, upstreams).await?;
            let unknown =
                "the owner has no account here; nobody is kept from deciding this agent's calls until one has";
            let notice = (!added.owner_is_known).then(|| unknown.to_owned());
            Ok(Reply::Secret { token: added.token.reveal().to_owned(), code: None, expires_at: None, notice })
        }
        Command::AgentList => {
            let agents = identity.agents().await.map_err(IdentityError::from)?.into_iter().map(Into::into).collect();
            Ok(Reply::Agents { agents })
        }
        Command::AgentRevoke { name } => {
            identity.agent_revoke(name).await?;
            Ok(Reply::Done)
        }
        Command::ReviewerAdd { email, name, groups, roles, password } => {
            let has = |role| roles.contains(&role);
            let roles = Roles {
                reviewer: has(Role::Reviewer),
                auditor: has(Role::Auditor),
                administrator: has(Role::Administrator),
            };
            let password = password.map(SecretString::from);
            identity.reviewer_add(AddReviewer { email, name, roles, groups, password }).await?;
            Ok(Reply::Done)
        }
        Command::ReviewerList => {
            let reviewers =
                identity.reviewers().await.map_err(IdentityError::from)?.into_iter().map(Into::into).collect();
            Ok(Reply::Reviewers { reviewers })
        }
        Command::ReviewerLink { email } => {
            let made = identity.link_make(email).await?;
            let code = Some(made.link.code.expose().to_owned());
            let (token, expires_at) = (made.link.token.reveal().to_owned(), Some(made.expires_at));
            Ok(Reply::Secret { token, code, expires_at, notice: None })
        }
        Command::ReviewerToken { email, may_decide, seconds } => {
            let made = identity.api_token_make(email, may_decide, Duration::from_secs(seconds)).await?;
            let (token, expires_at) = (made.token.reveal().to_owned(), Some(made.expires_at));
            Ok(Reply::Secret { token, code: None, expires_at, notice: None })
        }
        Command::ReviewerDisable { email } => {
            identity.reviewer_disable(email).await?;
            Ok(Reply::Done)
        }
        Command::AuditCheckpoint => Ok(Reply::Note { note: notary()?.checkpoint().await?.note }),
        Command::AuditRotateKey => {
            let Rotated { old, new } = notary()?.rotate(&desk.entropy).await?;
            Ok(Reply::Rotated { old, new })
        }
    }
}

/// Where the socket is, by a path that fits: a deep data folder is reached through its open handle.
struct Place {
    path: PathBuf,
    /// The path may lead through it, so it stays open as long.
    _folder: std::fs::File,
}

impl Place {
    fn of(folder: &Path) -> io::Result<Self> {
        let handle = std::fs::File::open(folder)?;
        let direct = folder.join(NAME);
        let path = if direct.as_os_str().len() <= LONGEST_PATH {
            direct
        } else {
            PathBuf::from(format!("/proc/self/fd/{}/{NAME}", handle.as_raw_fd()))
        };
        Ok(Self { path, _folder: handle })
    }

    fn remove(&self) -> io::Result<()> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Takes commands for `desk` until the process stops. Call it while holding the data folder's lock: a socket that
/// lies there from an earlier process is then nobody's.
///
/// # Errors
/// The socket cannot be made.
pub fn listen(folder: &Path, desk: Desk, tasks: &Tasks) -> io::Result<()> {
    let place = Place::of(folder)?;
    place.remove()?;
    let listener = UnixListener::bind(&place.path)?;
    std::fs::set_permissions(&place.path, std::fs::Permissions::from_mode(0o600))?;
    let own = tasks.clone();
    tasks.spawn("control", async move {
        loop {
            let accepted = tokio::select! {
                () = own.stopped() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) if is_ours(&stream) => {
                    let desk = desk.clone();
                    own.spawn("control_command", async move {
                        if let Err(error) = answer(&desk, stream).await {
                            tracing::warn!(%error, "a command was not answered");
                        }
                    });
                }
                Ok(_) => tracing::warn!("another user tried to give a command; it was refused"),
                // Too many open files, most likely: an operator must be heard again as soon as that is over.
                Err(error) => {
                    tracing::error!(%error, "a command could not be taken");
                    tokio::select! {
                        () = own.stopped() => break,
                        () = tokio::time::sleep(REST) => {}
                    }
                }
            }
        }
        // Who finds no socket opens the database itself, as soon as its lock is free.
        let _ = place.remove();
    });
    Ok(())
}

/// Between bind and chmod another user could have connected: the socket's mode alone is no proof.
fn is_ours(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == own || peer.uid() == 0)
}

async fn answer(desk: &Desk, mut stream: UnixStream) -> io::Result<()> {
    let (reader, mut writer) = stream.split();
    let mut line = String::new();
    let mut reader = BufReader::new(reader.take(LONGEST));
    tokio::time::timeout(PATIENCE, reader.read_line(&mut line)).await??;
    let reply = match serde_json::from_str(&line) {
        Ok(command) => carry_out(desk, command).await,
        Err(error) => {
            let why = format!("the running Placet does not know this command ({error}); is it of another version?");
            Reply::Refused { why, wrong: false }
        }
    };
    let mut text = serde_json::to_string(&reply)?;
    text.push('\n');
    tokio::time::timeout(PATIENCE, writer.write_all(text.as_bytes())).await??;
    Ok(())
}

/// Hands a command to the process that owns the data folder.
///
/// # Errors
/// Nobody listens, or the answer broke off.
pub async fn ask(folder: &Path, command: &Command) -> io::Result<Reply> {
    let place = Place::of(folder)?;
    let mut stream = UnixStream::connect(&place.path).await?;
    let mut text = serde_json::to_string(command)?;
    text.push('\n');
    stream.write_all(text.as_bytes()).await?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).await?;
    if line.is_empty() {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
    }
    Ok(serde_json::from_str(&line)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::identity::SessionLimits;
    use crate::store::Store;

    async fn listening(folder: &Path) -> Tasks {
        let tasks = Tasks::default();
        let store = Store::open(folder, Clock::System, &tasks).await.unwrap();
        let identity = Identity::new(store, Clock::System, Entropy::System, SessionLimits::default());
        listen(folder, Desk { identity, notary: None, entropy: Entropy::System }, &tasks).unwrap();
        tasks
    }

    fn add(name: &str) -> Command {
        let owner = Email::parse("o@example.com").unwrap();
        Command::AgentAdd { name: AgentName::new(name).unwrap(), owner, upstreams: vec![] }
    }

    #[tokio::test]
    async fn commands_reach_the_process_that_owns_the_folder() {
        let parent = tempfile::tempdir().unwrap();
        // Too deep for a socket's address as it stands.
        let folder = parent.path().join("x".repeat(120));
        let tasks = listening(&folder).await;
        let mode = std::fs::metadata(folder.join(NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let Reply::Secret { token, notice, .. } = ask(&folder, &add("ci-bot")).await.unwrap() else {
            panic!("an agent gets a token")
        };
        assert!(token.starts_with("plt_agent_"));
        assert!(notice.is_some(), "the owner is unknown");
        let again = ask(&folder, &add("ci-bot")).await.unwrap();
        assert!(matches!(again, Reply::Refused { wrong: true, .. }));
        let Reply::Agents { agents } = ask(&folder, &Command::AgentList).await.unwrap() else { panic!("a list") };
        assert_eq!(agents.len(), 1);
        tasks.begin_stop();
        assert!(tasks.ended(Duration::from_secs(5)).await);
        assert!(!folder.join(NAME).exists());
        assert!(ask(&folder, &Command::AgentList).await.is_err());
    }

    #[tokio::test]
    async fn what_is_no_command_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let _tasks = listening(folder.path()).await;
        for line in ["\n", "{}\n", "{\"command\":\"format_disk\"}\n", "\u{0}\n"] {
            let mut stream = UnixStream::connect(folder.path().join(NAME)).await.unwrap();
            stream.write_all(line.as_bytes()).await.unwrap();
            let mut reply = String::new();
            BufReader::new(stream).read_line(&mut reply).await.unwrap();
            assert!(reply.contains("does not know this command"), "{reply}");
        }
    }
}
