//! placet.toml: where Placet listens, what it stands in front of, and how long things last. Read once at start; every
//! problem of the file is reported at once, with its place.

mod address;
mod read;
mod secret;
mod toml_tree;

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;

use crate::call::{Email, UpstreamName};
use crate::policy::{Problem, Severity};

use secret::Secrets;

/// Everything that placet.toml says, defaults filled in, paths made relative to its folder.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where HTTP is served.
    pub listen: SocketAddr,
    /// Scheme, host and port under which browsers reach the service, without a slash at the end.
    pub public_url: String,
    /// Database and keys.
    pub data_dir: PathBuf,
    /// The policy file.
    pub policy: PathBuf,
    /// How calls are held.
    pub hold: Hold,
    /// Who may reach the service, and for how long a sign-in lasts.
    pub server: Server,
    /// How long what is stored is kept.
    pub retention: Retention,
    /// The servers behind; their names differ.
    pub upstreams: Vec<Upstream>,
    /// How mails leave; `None`: they do not.
    pub mail: Option<Mail>,
    /// Where checkpoints of the audit log are also written.
    pub anchors: Vec<Anchor>,
    /// What its author may want to look at.
    pub warnings: Vec<ConfigProblem>,
}

/// `[hold]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Pending deadline where the policy names none.
    pub timeout: Duration,
    /// How long a plain response is kept open before "pending, call again".
    pub budget: Duration,
    /// Calls of one agent that may be pending at once.
    pub max_pending_per_agent: u32,
    /// New holds of one agent in any hour.
    pub max_new_per_agent_per_hour: u32,
    /// How long a result is kept for the caller that comes back.
    pub result_ttl: Duration,
    /// Whether an agent's owner may decide.
    pub self_approval: bool,
}

/// `[server]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Hosts, with or without a port, that are served besides those of `public_url` and the listen address.
    pub allowed_hosts: Vec<String>,
    /// Addresses or networks whose `X-Forwarded-*` count.
    pub trusted_proxies: Vec<String>,
    /// A sign-in ends when it was not used for so long.
    pub session_idle: Duration,
    /// A sign-in ends after so long in any case.
    pub session_max: Duration,
}

/// `[retention]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// So long after a call has ended its arguments, reads and result are erased.
    pub arguments: Duration,
}

/// One of `[[upstreams]]`
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Part of `/mcp/{upstream}`.
    pub name: UpstreamName,
    /// How it is reached.
    pub transport: Transport,
    /// Whether agents share its process.
    pub shared: bool,
}

/// How an upstream is reached.
#[derive(Clone, Debug)]
pub enum Transport {
    /// A child process on its standard input and output.
    Stdio {
        /// Program and arguments, at least the program. A relative path with a `/` is relative to the file's folder.
        command: Vec<String>,
        /// Its environment, beside the little that every child gets; sorted by name.
        env: Vec<(String, SecretString)>,
        /// The system user it runs as.
        user: Option<String>,
    },
    /// Streamable HTTP.
    Http {
        /// http or https.
        url: String,
        /// Sent with every request; sorted by name.
        headers: Vec<(String, SecretString)>,
    },
}

/// `[mail]`
#[derive(Clone, Debug)]
pub struct Mail {
    /// Server name or address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is secured.
    pub security: MailSecurity,
    /// User and password.
    pub credentials: Option<(String, SecretString)>,
    /// The sender's display name.
    pub from_name: Option<String>,
    /// The sender's address.
    pub from: Email,
}

impl Mail {
    /// The sender as a mail header shows it.
    #[must_use]
    pub fn sender(&self) -> String {
        match &self.from_name {
            Some(name) => format!("{name} <{}>", self.from),
            None => self.from.to_string(),
        }
    }
}

/// How a connection to the mail server is secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailSecurity {
    /// Not at all: `smtp://host` (port 25).
    Plain,
    /// Upgraded before anything is said, or given up: `smtp://host?tls=required` (port 587).
    StartTls,
    /// From the first byte: `smtps://host` (port 465).
    Tls,
}

/// One of `[[anchors]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Where it stands in the file: the byte at which its place is named.
    pub offset: usize,
    /// Where checkpoints go.
    pub to: AnchorTo,
    /// How often.
    pub every: Duration,
}

/// Where checkpoints go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnchorTo {
    /// Appended to a file.
    File(PathBuf),
    /// To a program's standard input.
    Command(Vec<String>),
    /// By POST.
    Url {
        /// https, or http on this machine.
        url: String,
        /// Whether it may be on this machine or in a private network.
        allow_private: bool,
    },
    /// To a mailbox.
    Mail(Email),
}

/// One problem of placet.toml, or of what it names. Printed as `FILE:LINE:COLUMN /pointer: message (hint)`; without a
/// line, which is then 0, as `FILE: message (hint)`: the file itself is not there, or cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblem {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub problem: Problem,
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, problem) = (self.file.display(), &self.problem);
        if problem.line > 0 {
            return write!(f, "{file}:{problem}");
        }
        write!(f, "{file}: {}", problem.message)?;
        problem.hint.iter().try_for_each(|hint| write!(f, " ({hint})"))
    }
}

impl Config {
    /// Reads the file for a service that is to run: every secret that it names must be there.
    ///
    /// # Errors
    /// Everything that is wrong with it, warnings included; at least one is an error.
    pub fn load(path: &Path) -> Result<Self, Vec<ConfigProblem>> {
        Self::load_with(path, &Secrets::read())
    }

    /// Reads the file for a command that neither reaches upstreams nor sends mails: secrets are left empty and need
    /// not be there.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_without_secrets(path: &Path) -> Result<Self, Vec<ConfigProblem>> {
        Self::load_with(path, &Secrets::skip())
    }

    fn load_with(path: &Path, secrets: &Secrets<'_>) -> Result<Self, Vec<ConfigProblem>> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, path, secrets).0,
            Err(error) => Err(vec![unreadable(path, &error)]),
        }
    }

    /// As [`Config::load`], of text that was read already; also says what the policy needs to be checked.
    pub(crate) fn check(text: &str, path: &Path) -> (Result<Self, Vec<ConfigProblem>>, Partial) {
        Self::parse(text, path, &Secrets::read())
    }

    fn parse(text: &str, path: &Path, secrets: &Secrets<'_>) -> (Result<Self, Vec<ConfigProblem>>, Partial) {
        let (config, partial, problems) = read::config(text, path, secrets);
        let failed = problems.iter().any(|problem| problem.severity == Severity::Error);
        let warnings: Vec<_> =
            problems.into_iter().map(|problem| ConfigProblem { file: path.to_owned(), problem }).collect();
        let config = match config {
            Some(config) if !failed => Ok(Self { warnings, ..config }),
            _ => Err(warnings),
        };
        (config, partial)
    }
}

/// What the policy needs to be checked, known even where the rest of the file is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Partial {
    pub policy: PathBuf,
    pub timeout: Duration,
    pub upstreams: Vec<UpstreamName>,
}

impl Default for Partial {
    fn default() -> Self {
        Self { policy: PathBuf::from("policy.json"), timeout: Duration::from_secs(15 * 60), upstreams: Vec::new() }
    }
}

/// The problem of a file that cannot be read at all.
pub(crate) fn unreadable(path: &Path, error: &std::io::Error) -> ConfigProblem {
    let hint = match error.kind() {
        std::io::ErrorKind::NotFound => "`placet init` writes one to start from, or name the right file",
        _ => "make it a text file in UTF-8 that this user may read",
    };
    let message = match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "this user may not read it".to_owned(),
        std::io::ErrorKind::IsADirectory => "it is a folder, not a file".to_owned(),
        _ => format!("this file cannot be read: {error}"),
    };
    let hint = Some(hint.to_owned());
    let problem = Problem { severity: Severity::Error, line: 0, column: 0, pointer: String::new(), message, hint };
    ConfigProblem { file: path.to_owned(), problem }
}
