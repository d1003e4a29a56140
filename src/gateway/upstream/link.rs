//! A link: one connection to an upstream on behalf of one agent.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::ask::{Ask, meta_added, standard_headers};
use super::envelope::{Envelope, Key};
use super::http::HttpLink;
use super::process::{NotWritten, Process};
use super::router::{NotOpened, Sender, Ties};
use super::{Exchange, Message, SendError, UpstreamError};
use crate::call::json::compact_lines;
use crate::call::{Answer, Era, Millis, UpstreamName};
use crate::clock::{Clock, Entropy};

/// How long a link may be without use.
pub(super) const IDLE: Duration = Duration::from_secs(30 * 60);

/// One connection to an upstream: a child process, an HTTP session, or a place in a pool of processes.
#[derive(Debug)]
pub struct Link {
    pub(super) upstream: UpstreamName,
    pub(super) kind: Kind,
    pub(super) era: Era,
    /// Opened by Placet for itself: no agent answers the upstream's requests.
    pub(super) own: bool,
    pub(super) clock: Clock,
    pub(super) entropy: Entropy,
    /// How many held calls count on it.
    pub(super) held: AtomicUsize,
}

#[derive(Debug)]
pub(super) enum Kind {
    Process(Arc<Process>, Place),
    Http(HttpLink),
}

/// A link's part in its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The process is this link's alone.
    Alone,
    /// One of many, perhaps with a place kept for a request to come.
    Pooled(Option<u64>),
}

impl Link {
    /// Sends one JSON-RPC message byte for byte (over stdio raw line breaks become spaces). Of `headers`, which only
    /// HTTP carries, those go upstream that begin with `Mcp-`, but for `Mcp-Session-Id`. Dropping the channel of the
    /// exchange closes the connection over HTTP; over stdio the answer is then thrown away.
    ///
    /// # Errors
    /// [`UpstreamError::surely_not_sent`] says whether the message can have arrived.
    pub async fn send(&self, message: Bytes, headers: &[(String, String)]) -> Result<Exchange, UpstreamError> {
        self.post(message, headers, Sender::Agent).await
    }

    pub(super) async fn post(
        &self,
        message: Bytes,
        headers: &[(String, String)],
        sender: Sender,
    ) -> Result<Exchange, UpstreamError> {
        let (process, ticket) = match &self.kind {
            Kind::Http(http) => return http.send(message, headers).await,
            Kind::Process(process, Place::Alone) => (process, None),
            Kind::Process(process, Place::Pooled(ticket)) => (process, *ticket),
        };
        let line = Bytes::from(compact_lines(&message).into_owned());
        let envelope = Envelope::read(&line).ok_or(UpstreamError::Malformed)?;
        let request = envelope.id().filter(|_| envelope.is_request()).map(Key::of);
        let exchange = match &request {
            None => Exchange::Accepted,
            Some(id) => {
                let ties = Ties { id: id.clone(), token: envelope.wanted_progress() };
                let opened = process.router.open(ties, sender, ticket);
                Exchange::Messages(opened.map_err(|error| match error {
                    NotOpened::InUse => UpstreamError::IdInUse,
                    NotOpened::Ended(why) => self.closed(why),
                })?)
            }
        };
        let written = process.write(line.clone()).await;
        if let (Err(_), Some(id)) = (written, &request) {
            process.router.withdraw(id);
        }
        written.map(|()| exchange).map_err(|error| match error {
            NotWritten::Nothing => self.closed(self.ended_because().unwrap_or_else(|| "its process is ending".into())),
            NotWritten::Partly => {
                let why = "its process took only a part of the message".to_owned();
                UpstreamError::Lost { upstream: self.upstream.clone(), why }
            }
        })
    }

    fn closed(&self, why: String) -> UpstreamError {
        UpstreamError::Closed { upstream: self.upstream.clone(), why }
    }

    /// The upstream's messages that belong to no request, for the agent's GET stream. Over stdio a later listener
    /// replaces an earlier one, whose channel then ends.
    ///
    /// # Errors
    /// [`UpstreamError::NoStream`] where the upstream has none; [`UpstreamError::Closed`].
    pub async fn listen(&self) -> Result<mpsc::Receiver<Message>, UpstreamError> {
        match &self.kind {
            Kind::Http(http) => http.listen().await,
            Kind::Process(process, _) => process.router.listen().map_err(|why| self.closed(why)),
        }
    }

    /// Placet's own request, under an id of its own; waits for the answer for `deadline` at most. In the stateless
    /// era `params` (a JSON object) gets Placet's `_meta` if it has none, and the headers that the era asks for are
    /// added to `headers`.
    ///
    /// # Errors
    /// [`SendError::NotSent`] only if surely no byte was delivered.
    pub async fn request(
        &self,
        method: &str,
        params: &str,
        headers: &[(String, String)],
        deadline: Duration,
    ) -> Result<Answer, SendError> {
        let id = format!("placet-{}", self.entropy.uuid(self.clock.now()));
        let params = meta_added(self.era, params);
        let headers = standard_headers(self.era, method, &params, headers);
        Ok(self.ask(Ask::new(&id, method, &params, &headers, deadline)).await?)
    }

    /// Ends the link: a process is asked to stop and then stopped, an HTTP session deleted. A place in a pool is
    /// given back when the link is dropped; the process stays.
    pub async fn close(&self) {
        match &self.kind {
            Kind::Http(http) => http.close().await,
            Kind::Process(process, Place::Alone) => process.close().await,
            Kind::Process(..) => {}
        }
    }

    /// Whether messages can still be sent. Once false it stays false, and the agent's session has ended with it.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        match &self.kind {
            Kind::Http(http) => http.ended().is_none(),
            Kind::Process(process, _) => process.is_alive(),
        }
    }

    /// Why the link ended, in words for an agent; `None` while it lives.
    #[must_use]
    pub fn ended_because(&self) -> Option<String> {
        match &self.kind {
            Kind::Http(http) => http.ended(),
            Kind::Process(process, _) => process.router.ended(),
        }
    }

    /// Whether it goes over HTTP, where closing the connection takes a stateless request back.
    #[must_use]
    pub fn is_http(&self) -> bool {
        matches!(self.kind, Kind::Http(_))
    }

    /// When something last went over it.
    pub(super) fn used(&self) -> Millis {
        match &self.kind {
            Kind::Http(http) => http.used(),
            Kind::Process(process, _) => process.router.used(),
        }
    }

    /// Whether nothing is under way on it and no held call counts on it.
    pub(super) fn is_free(&self) -> bool {
        let busy = match &self.kind {
            Kind::Http(http) => http.is_busy(),
            Kind::Process(process, _) => process.router.is_busy(),
        };
        !busy && self.held.load(Ordering::Relaxed) == 0
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Kind::Process(process, Place::Pooled(Some(ticket))) = &self.kind {
            process.router.unreserve(*ticket);
        }
    }
}
