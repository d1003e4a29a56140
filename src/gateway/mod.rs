//! The agents' side: MCP over HTTP in front, the upstream servers behind.
//!
//! [`router`] checks who asks and reads the body strictly ([`checks`], [`envelope`]); `legacy` and `stateless` know
//! the two eras of the protocol; `intercept` decides what becomes of each message; `hold` keeps a caller company
//! while its call waits for people; `relay` passes everything else through.

mod batch;
mod changed;
mod checks;
mod context;
mod endpoint;
mod envelope;
mod error;
mod hold;
mod intercept;
mod legacy;
mod list;
mod meta;
mod modern;
mod quota;
mod reads;
mod reason;
mod relay;
mod reply;
mod respond;
mod sessions;
mod sse;
mod stateless;
pub mod upstream;
mod wait;

use std::sync::Arc;
use std::time::Duration;

pub use checks::Hosts;
pub use endpoint::router;
pub use reads::again as read_again;

use crate::approvals::Approvals;
use crate::clock::{Clock, Entropy};
use crate::identity::Identity;
use crate::in_force::{InForce, Loaded};
use crate::lifecycle::Tasks;
use crate::pins::Pins;
use crate::store::Store;
use sessions::Sessions;
use upstream::Upstreams;

/// What the gateway works with.
#[derive(Clone)]
pub struct Parts {
    /// The host names it answers to.
    pub hosts: Hosts,
    /// How long a call without progress token is kept open before "pending, call again".
    pub hold_budget: Duration,
    /// The servers behind.
    pub upstreams: Upstreams,
    /// The held calls.
    pub approvals: Approvals,
    /// Who the agents are.
    pub identity: Identity,
    /// The policy in force.
    pub policy: Arc<InForce>,
    /// What the tools say of themselves.
    pub pins: Pins,
    /// The log.
    pub store: Store,
    /// The time.
    pub clock: Clock,
    /// Session ids.
    pub entropy: Entropy,
    /// The process's tasks.
    pub tasks: Tasks,
}

/// The gateway. Clones share it.
#[derive(Clone)]
pub struct Gateway(Arc<Inner>);

struct Inner {
    parts: Parts,
    sessions: Sessions,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").field("sessions", &self.0.sessions.len()).finish_non_exhaustive()
    }
}

impl Gateway {
    /// Starts the gateway: among the tasks runs one that ends idle sessions.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let gateway = Self(Arc::new(Inner { parts, sessions: Sessions::default() }));
        let sweeper = gateway.clone();
        gateway.tasks().spawn("end_idle_sessions", async move { sweeper.end_idle_sessions().await });
        gateway
    }

    /// How many sessions are open.
    #[must_use]
    pub fn open_sessions(&self) -> usize {
        self.0.sessions.len()
    }

    fn parts(&self) -> &Parts {
        &self.0.parts
    }

    fn sessions(&self) -> &Sessions {
        &self.0.sessions
    }

    fn clock(&self) -> &Clock {
        &self.0.parts.clock
    }

    fn tasks(&self) -> &Tasks {
        &self.0.parts.tasks
    }

    fn approvals(&self) -> &Approvals {
        &self.0.parts.approvals
    }

    /// The policy in force at this moment; kept for the whole of one message.
    fn policy(&self) -> Arc<Loaded> {
        self.0.parts.policy.loaded()
    }

    async fn end_idle_sessions(&self) {
        loop {
            tokio::select! {
                () = self.tasks().stopped() => break,
                () = self.clock().sleep(Duration::from_secs(60)) => {}
            }
            let mut over = self.sessions().take_idle(self.clock().now());
            match self.parts().identity.agents().await {
                // A token is asked for with every request, but a stream that was open before goes on by itself.
                Ok(agents) => {
                    let revoked = |id| agents.iter().any(|agent| agent.id == id && agent.revoked_at.is_some());
                    over.extend(self.sessions().take_of(revoked));
                }
                Err(error) => tracing::error!(%error, "whose agents' sessions must end could not be looked up"),
            }
            for session in over {
                session.link.close().await;
            }
        }
        // At the stop the links stay: calls that are running on them end first, then the upstreams are closed.
    }
}
