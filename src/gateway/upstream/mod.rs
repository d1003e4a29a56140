//! The servers behind Placet: how they are reached, and the links that carry agents' messages to them.

mod config;
mod error;
mod link;
mod message;
mod tools;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

pub use config::{Transport, UpstreamConfig};
pub use error::{SendError, UpstreamError};
pub use link::Link;
pub use message::{Exchange, Message};
pub use tools::KnownTool;

use crate::call::{AgentId, Answer, CallId, Digest, Era, ToolName, UpstreamName};
use crate::clock::{Clock, Entropy};
use crate::lifecycle::Tasks;

/// All configured upstreams. Clones share the same links.
#[derive(Clone, Debug)]
pub struct Upstreams {}

impl Upstreams {
    /// Prepares every upstream; none is started or asked yet.
    ///
    /// # Errors
    /// A configuration that cannot work: an empty command, a user that does not exist, a URL or header that is none,
    /// a name that occurs twice.
    pub fn new(
        configs: &[UpstreamConfig],
        tasks: Tasks,
        clock: Clock,
        entropy: Entropy,
    ) -> Result<Self, UpstreamError> {
        drop((configs, tasks, clock, entropy));
        Ok(Self {})
    }

    /// The upstream of that name.
    #[must_use]
    pub fn get(&self, name: &UpstreamName) -> Option<Arc<Upstream>> {
        let _ = name;
        None
    }

    /// All names, in the order of the configuration.
    #[must_use]
    pub fn names(&self) -> Vec<UpstreamName> {
        Vec::new()
    }

    /// The upstream, where there is exactly one.
    #[must_use]
    pub fn only(&self) -> Option<Arc<Upstream>> {
        None
    }

    /// Says that the agent is there for this call and on which link: a release then uses that link. While the guard
    /// lives the link does not count as idle. What the upstream says about the released call before its answer goes
    /// to `relay` (nothing to the agent without one), save questions for input, which are refused.
    #[must_use]
    pub fn register(&self, call: CallId, link: Arc<Link>, relay: Option<mpsc::Sender<Message>>) -> Registered {
        drop((call, link, relay));
        Registered {}
    }

    /// The link registered for a call.
    #[must_use]
    pub fn registered(&self, call: CallId) -> Option<Arc<Link>> {
        let _ = call;
        None
    }

    /// Sends an approved call, once: over the registered link, else over one of Placet's own. `params` goes byte for
    /// byte; of `headers` those that [`Link::send`] lets pass, `Mcp-Method` and `Mcp-Name` made anew from the call.
    ///
    /// # Errors
    /// [`SendError::NotSent`] only if surely no byte was delivered; [`SendError::Unknown`] also at the deadline.
    #[expect(clippy::unused_async, reason = "bodies follow")]
    pub async fn forward(&self, call: Outgoing<'_>) -> Result<Answer, SendError> {
        let _ = call;
        Err(SendError::NotSent(String::new()))
    }

    /// Passes a cancel of a call that [`Upstreams::forward`] has under way to the upstream. The call ends when the
    /// upstream ends it. `false` if no such call is under way.
    #[expect(clippy::unused_async, reason = "bodies follow")]
    pub async fn cancel(&self, call: CallId) -> bool {
        let _ = call;
        false
    }

    /// Closes every link.
    #[expect(clippy::unused_async, reason = "bodies follow")]
    pub async fn close(&self) {}
}

/// An approved call on its way.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// The call; the JSON-RPC id is `placet-<id>`.
    pub id: CallId,
    /// On whose behalf.
    pub agent: AgentId,
    /// Where to.
    pub upstream: &'a UpstreamName,
    /// The tool.
    pub tool: &'a ToolName,
    /// The complete `params`, exact bytes.
    pub params: &'a str,
    /// The agent's `Mcp-Param-*` headers.
    pub headers: &'a [(String, String)],
    /// How the agent speaks.
    pub era: Era,
    /// How long to wait for the answer.
    pub deadline: Duration,
}

/// Keeps a link registered for a call until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct Registered {}

/// Which eras an upstream speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Eras {
    /// Up to 2025-11-25: `initialize` and sessions.
    pub sessions: bool,
    /// 2026-07-28.
    pub stateless: bool,
}

/// One configured upstream.
#[derive(Debug)]
pub struct Upstream {
    config: UpstreamConfig,
}

impl Upstream {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &UpstreamName {
        &self.config.name
    }

    /// Hash of its configuration.
    #[must_use]
    pub fn config_hash(&self) -> Digest {
        self.config.hash()
    }

    /// Which eras it speaks: probed once and remembered; a failed probe is tried again after a while.
    ///
    /// # Errors
    /// It cannot be started or reached, or gives no answer within 20 s.
    #[expect(clippy::unused_async, reason = "bodies follow")]
    pub async fn eras(&self) -> Result<Eras, UpstreamError> {
        Err(UpstreamError::Malformed)
    }

    /// A fresh link for one session of an agent: a process of its own, or an HTTP session, whose id at the upstream
    /// stays inside the link. Dropping the last reference closes it.
    ///
    /// # Errors
    /// It cannot be started, or the agent has too many.
    #[expect(clippy::unused_async, reason = "bodies follow")]
    pub async fn open(&self, agent: AgentId) -> Result<Arc<Link>, UpstreamError> {
        let _ = agent;
        Err(UpstreamError::Malformed)
    }

    /// A link for one request of the stateless era, where no open request has the same id or progress token (both
    /// exact JSON text). The place is kept for this request while the link is held.
    ///
    /// # Errors
    /// As [`Upstream::open`].
    #[expect(clippy::unused_async, reason = "bodies follow")]
    pub async fn stateless(
        &self,
        agent: AgentId,
        request_id: Option<&str>,
        progress_token: Option<&str>,
    ) -> Result<Arc<Link>, UpstreamError> {
        let _ = (agent, request_id, progress_token);
        Err(UpstreamError::Malformed)
    }

    /// A link for Placet's own calls on an agent's behalf, declaring no client capabilities: kept while it is used,
    /// opened anew where it has ended.
    ///
    /// # Errors
    /// As [`Upstream::open`]; the upstream refuses to initialise.
    #[expect(clippy::unused_async, reason = "bodies follow")]
    pub async fn own(&self, agent: AgentId) -> Result<Arc<Link>, UpstreamError> {
        let _ = agent;
        Err(UpstreamError::Malformed)
    }

    /// Remembers the tools of a `tools/list` result (its exact JSON text).
    pub fn note_tools(&self, list_result: &str) {
        let _ = list_result;
    }

    /// A tool as last listed.
    #[must_use]
    pub fn tool(&self, name: &str) -> Option<KnownTool> {
        let _ = name;
        None
    }

    /// All tools that were listed, by name.
    #[must_use]
    pub fn tools(&self) -> Vec<KnownTool> {
        Vec::new()
    }
}
