//! Around one message: who sends it, where it goes, and how.

use std::sync::Arc;

use super::Gateway;
use super::envelope::{Id, Message};
use super::sessions::Session;
use super::upstream::{Exchange, Link, Upstream, UpstreamError};
use crate::audit::Entry;
use crate::call::{Caller, Era};
use crate::identity::Agent;

/// Everything about a message but the message.
#[derive(Debug)]
pub struct Context {
    /// The gateway.
    pub gateway: Gateway,
    /// Who sends it.
    pub agent: Agent,
    /// Where it goes.
    pub upstream: Arc<Upstream>,
    /// The headers that go along.
    pub headers: Vec<(String, String)>,
    /// How it goes.
    pub route: Route,
}

/// How messages reach the upstream.
#[derive(Debug)]
pub enum Route {
    /// Over the link of a session.
    Session(Arc<Session>),
    /// Each over a link of its own; the client's own name for itself is in the message.
    Stateless {
        /// What the client calls itself.
        client: Option<String>,
    },
}

impl Context {
    /// The session, where there is one.
    pub fn session(&self) -> Option<&Arc<Session>> {
        match &self.route {
            Route::Session(session) => Some(session),
            Route::Stateless { .. } => None,
        }
    }

    /// Whether this is the stateless era.
    pub fn is_stateless(&self) -> bool {
        self.session().is_none()
    }

    /// The era.
    pub fn era(&self) -> Era {
        if self.is_stateless() { Era::Stateless } else { Era::Sessions }
    }

    /// What the client calls itself.
    pub fn client(&self) -> Option<String> {
        match &self.route {
            Route::Session(session) => session.client.clone(),
            Route::Stateless { client } => client.clone(),
        }
    }

    /// The agent as a held call remembers it.
    pub fn caller(&self) -> Caller {
        Caller { id: self.agent.id, name: self.agent.name.clone(), owner: self.agent.owner.clone() }
    }

    /// A log entry about this agent and upstream.
    pub fn entry(&self, kind: &'static str) -> Entry {
        Entry::new(kind).agent(&self.agent.name).upstream(self.upstream.name())
    }

    /// Sends a message on, byte for byte. The future owns what it needs, so that an answer can begin before it ends.
    pub fn send(
        self: &Arc<Self>,
        message: &Message<'_>,
    ) -> impl Future<Output = Result<(Arc<Link>, Exchange), UpstreamError>> + Send + use<> {
        let (context, bytes) = (Arc::clone(self), message.bytes.clone());
        let id = message.id().map(|Id { text, .. }| text.clone());
        let token = message.progress_token().map(str::to_owned);
        async move {
            let link = match &context.route {
                Route::Session(session) => Arc::clone(&session.link),
                Route::Stateless { .. } => {
                    context.upstream.stateless(context.agent.id, id.as_deref(), token.as_deref()).await?
                }
            };
            let exchange = link.send(bytes, &context.headers).await?;
            Ok((link, exchange))
        }
    }
}
