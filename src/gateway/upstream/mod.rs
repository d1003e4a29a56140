//! The servers behind Placet: how they are reached, and the links that carry agents' messages to them.
//!
//! A message goes upstream, and comes back, as the bytes that were received. Sessions have a child process or an HTTP
//! session each; requests of the stateless era share a pool of processes by agent, in which no two open requests have
//! the same id or progress token, so that nothing has to be rewritten.

mod account;
mod ask;
mod config;
mod envelope;
mod error;
mod forward;
mod http;
mod learn;
mod link;
mod message;
mod probe;
mod process;
mod router;
mod server;
mod sse;
mod starts;
mod stream;
mod tools;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

pub use config::{Transport, UpstreamConfig};
pub use envelope::question;
pub use error::{SendError, UpstreamError};
pub use forward::{Outgoing, Registered};
pub use link::Link;
pub use message::{Exchange, Message};
pub use probe::Eras;
pub use server::Upstream;
pub use tools::KnownTool;

use crate::call::{CallId, UpstreamName};
use crate::clock::{Clock, Entropy};
use crate::lifecycle::Tasks;

/// How often unused links are looked for.
const SWEEP: Duration = Duration::from_secs(60);

/// All configured upstreams. Clones share the same links.
#[derive(Clone, Debug)]
pub struct Upstreams {
    all: Arc<[Arc<Upstream>]>,
    calls: Arc<forward::Calls>,
}

impl Upstreams {
    /// Prepares every upstream; none is started or asked yet. Needs a running runtime.
    ///
    /// # Errors
    /// A configuration that cannot work: an empty command, a user that does not exist, a URL or header that is none,
    /// a name that occurs twice.
    pub fn new(
        configs: &[UpstreamConfig],
        tasks: &Tasks,
        clock: &Clock,
        entropy: &Entropy,
    ) -> Result<Self, UpstreamError> {
        let mut all: Vec<Arc<Upstream>> = Vec::with_capacity(configs.len());
        for config in configs {
            if all.iter().any(|other| *other.name() == config.name) {
                let problem = "its name occurs twice".to_owned();
                return Err(UpstreamError::Config { upstream: config.name.clone(), problem });
            }
            all.push(Arc::new(Upstream::new(config, tasks, clock, entropy)?));
        }
        let upstreams = Self { all: all.into(), calls: Arc::default() };
        let (all, clock, stopping) = (Arc::clone(&upstreams.all), clock.clone(), tasks.clone());
        tasks.spawn("upstream sweep", async move {
            loop {
                tokio::select! {
                    () = stopping.stopped() => return,
                    () = clock.sleep(SWEEP) => {}
                }
                for upstream in all.iter() {
                    upstream.sweep(Some(clock.now())).await;
                }
            }
        });
        Ok(upstreams)
    }

    /// The upstream of that name.
    #[must_use]
    pub fn get(&self, name: &UpstreamName) -> Option<Arc<Upstream>> {
        self.all.iter().find(|upstream| upstream.name() == name).cloned()
    }

    /// All names, in the order of the configuration.
    #[must_use]
    pub fn names(&self) -> Vec<UpstreamName> {
        self.all.iter().map(|upstream| upstream.name().clone()).collect()
    }

    /// The upstream, where there is exactly one.
    #[must_use]
    pub fn only(&self) -> Option<Arc<Upstream>> {
        match &self.all[..] {
            [only] => Some(Arc::clone(only)),
            _ => None,
        }
    }

    /// Says that the agent is there for this call and on which link: a release then uses that link. While the guard
    /// lives the link does not count as idle. What the upstream says about the released call before its answer goes
    /// to `relay` (nothing to the agent without one), save questions for input, which are refused.
    pub fn register(&self, call: CallId, link: Arc<Link>, relay: Option<mpsc::Sender<Message>>) -> Registered {
        self.calls.register(call, link, relay)
    }

    /// The link registered for a call, while it lives.
    #[must_use]
    pub fn registered(&self, call: CallId) -> Option<Arc<Link>> {
        self.calls.registered(call)
    }

    /// Passes a cancel of a call that [`Upstreams::forward`] has under way to the upstream. The call ends when the
    /// upstream ends it, or after 10 s of silence. `false` if no such call is under way.
    pub async fn cancel(&self, call: CallId) -> bool {
        self.calls.cancel(call)
    }

    /// Closes every link; returns when the processes have ended.
    pub async fn close(&self) {
        futures_util::future::join_all(self.all.iter().map(|upstream| upstream.sweep(None))).await;
    }
}
