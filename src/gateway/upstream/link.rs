//! A link: one connection to an upstream on behalf of one agent.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::{Exchange, Message, SendError, UpstreamError};
use crate::call::Answer;

/// One connection to an upstream: a child process, an HTTP session, or a place in a pool of processes.
#[derive(Debug)]
pub struct Link {}

impl Link {
    /// Sends one JSON-RPC message byte for byte (over stdio raw line breaks become spaces). Of `headers`, which only
    /// HTTP carries, `MCP-Protocol-Version` and those that begin with `Mcp-` (but not `Mcp-Session-Id`) go upstream.
    ///
    /// # Errors
    /// [`UpstreamError::surely_not_sent`] says whether the message can have arrived.
    #[expect(clippy::unused_async, reason = "bodies follow")]
    pub async fn send(&self, message: Bytes, headers: &[(String, String)]) -> Result<Exchange, UpstreamError> {
        let _ = (message, headers);
        Err(UpstreamError::Malformed)
    }

    /// The upstream's messages that belong to no request, for the agent's GET stream. A later listener replaces an
    /// earlier one, whose channel then ends.
    ///
    /// # Errors
    /// [`UpstreamError::NoStream`] where the upstream has none.
    #[expect(clippy::unused_async, reason = "bodies follow")]
    pub async fn listen(&self) -> Result<mpsc::Receiver<Message>, UpstreamError> {
        Err(UpstreamError::Malformed)
    }

    /// Placet's own request, under an id of its own; waits for the answer for `deadline` at most. In the stateless
    /// era `params` (a JSON object) gets Placet's `_meta` if it has none.
    ///
    /// # Errors
    /// [`SendError::NotSent`] only if surely no byte was delivered.
    #[expect(clippy::unused_async, reason = "bodies follow")]
    pub async fn request(
        &self,
        method: &str,
        params: &str,
        headers: &[(String, String)],
        deadline: Duration,
    ) -> Result<Answer, SendError> {
        let _ = (method, params, headers, deadline);
        Err(SendError::NotSent(String::new()))
    }

    /// Ends the link: a process is asked to stop and then stopped, an HTTP session deleted.
    #[expect(clippy::unused_async, reason = "bodies follow")]
    pub async fn close(&self) {}

    /// Whether messages can still be sent. Once false it stays false, and the agent's session has ended with it.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        false
    }

    /// Why the link ended, in words for an agent; `None` while it lives.
    #[must_use]
    pub fn ended_because(&self) -> Option<String> {
        None
    }
}
