//! How one upstream is reached: what the operator configured, and the hash that approvals are bound to.

use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use crate::call::{Digest, UpstreamName};

/// Separates this record from every other that is hashed with SHA-256.
const DOMAIN: &[u8] = b"placet/upstream-config/v1";

/// One configured upstream server.
#[derive(Clone, Debug)]
pub struct UpstreamConfig {
    /// Its name, part of `/mcp/{upstream}`.
    pub name: UpstreamName,
    /// How it is reached.
    pub transport: Transport,
    /// Whether agents share the pooled processes of a stdio upstream. Only the stateless era has such a pool: a
    /// session has a process of its own in any case.
    pub shared: bool,
}

/// The two ways of reaching a server.
#[derive(Clone, Debug)]
pub enum Transport {
    /// A child process that speaks on its standard input and output.
    Stdio {
        /// Program and arguments. Never run through a shell.
        command: Vec<String>,
        /// Variables besides `PATH`, `HOME`, `LANG` and `TMPDIR`, which are all that the child inherits.
        env: Vec<(String, SecretString)>,
        /// The system user to run as; it takes root to change it.
        user: Option<String>,
    },
    /// Streamable HTTP.
    Http {
        /// The endpoint. Redirects are never followed.
        url: String,
        /// Sent with every request, the upstream's credentials among them.
        headers: Vec<(String, SecretString)>,
    },
}

impl UpstreamConfig {
    /// SHA-256 over everything that decides what answers a call: length-prefixed, so that no two configurations give
    /// the same record. Values of variables and headers count, so a changed credential needs a new approval.
    #[must_use]
    pub fn hash(&self) -> Digest {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        part(DOMAIN);
        part(self.name.as_str().as_bytes());
        let pairs = match &self.transport {
            Transport::Stdio { command, env, user } => {
                part(b"stdio");
                part(&(command.len() as u64).to_be_bytes());
                command.iter().for_each(|word| part(word.as_bytes()));
                part(&[u8::from(user.is_some())]);
                part(user.as_deref().unwrap_or_default().as_bytes());
                env
            }
            Transport::Http { url, headers } => {
                part(b"http");
                part(url.as_bytes());
                headers
            }
        };
        for (name, value) in pairs {
            part(name.as_bytes());
            part(value.expose_secret().as_bytes());
        }
        Digest(hash.finalize().into())
    }
}
