//! Sending an approved call, once, over the link on which its agent waits or over one of Placet's own.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::ask::{Ask, standard_headers};
use super::envelope::{Key, progress_token};
use super::router::Ties;
use super::{Link, Message, SendError, Upstream, Upstreams};
use crate::approvals::{BoxFuture, Forward, ForwardError};
use crate::call::{AgentId, Answer, CallId, Era, Submission, ToolName, UpstreamName};
use crate::telemetry;

/// How long a released call may take. Then its outcome is unknown, and a human looks after it.
const RELEASED: Duration = Duration::from_secs(30 * 60);

/// An approved call on its way.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// The call; the JSON-RPC id is `placet-<id>`.
    pub id: CallId,
    /// On whose behalf.
    pub agent: AgentId,
    /// Where to.
    pub upstream: &'a UpstreamName,
    /// The tool, as `params` name it.
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

/// The links on which callers wait, and the calls under way.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// Never held across an await.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: HashMap<CallId, Vec<Waiting>>,
    under_way: HashMap<CallId, CancellationToken>,
    registrations: u64,
}

#[derive(Clone, Debug)]
struct Waiting {
    number: u64,
    link: Arc<Link>,
    relay: Option<mpsc::Sender<Message>>,
}

/// Keeps a link registered for a call until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct Registered {
    calls: Arc<Calls>,
    call: CallId,
    number: u64,
}

/// Marks a call as under way until it is dropped.
struct UnderWay<'a> {
    calls: &'a Calls,
    call: CallId,
    cancel: CancellationToken,
}

impl Calls {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn register(
        self: &Arc<Self>,
        call: CallId,
        link: Arc<Link>,
        relay: Option<mpsc::Sender<Message>>,
    ) -> Registered {
        link.held.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state();
        state.registrations += 1;
        let number = state.registrations;
        state.waiting.entry(call).or_default().push(Waiting { number, link, relay });
        Registered { calls: Arc::clone(self), call, number }
    }

    /// The newest living link registered for the call.
    fn waiting(&self, call: CallId) -> Option<Waiting> {
        self.state().waiting.get(&call)?.iter().rev().find(|waiting| waiting.link.is_alive()).cloned()
    }

    pub(super) fn registered(&self, call: CallId) -> Option<Arc<Link>> {
        self.waiting(call).map(|waiting| waiting.link)
    }

    pub(super) fn cancel(&self, call: CallId) -> bool {
        let state = self.state();
        let under_way = state.under_way.get(&call);
        under_way.map(CancellationToken::cancel).is_some()
    }

    fn begin(&self, call: CallId) -> Option<UnderWay<'_>> {
        let mut state = self.state();
        if state.under_way.contains_key(&call) {
            return None;
        }
        let cancel = CancellationToken::new();
        state.under_way.insert(call, cancel.clone());
        Some(UnderWay { calls: self, call, cancel })
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut state = self.calls.state();
        let Some(waiting) = state.waiting.get_mut(&self.call) else { return };
        let mine = waiting.iter().position(|waiting| waiting.number == self.number).map(|at| waiting.remove(at));
        if waiting.is_empty() {
            state.waiting.remove(&self.call);
        }
        drop(state);
        // Outside the lock: the last reference to a link closes it.
        if let Some(mine) = mine {
            mine.link.held.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.calls.state().under_way.remove(&self.call);
    }
}

impl Upstreams {
    /// Sends an approved call, once: over the registered link, else over one of Placet's own. `params` goes byte for
    /// byte; of `headers` those that [`Link::send`] lets pass, `Mcp-Method` and `Mcp-Name` made anew from the call.
    ///
    /// # Errors
    /// [`SendError::NotSent`] only if surely no byte was delivered; [`SendError::Unknown`] also at the deadline.
    pub async fn forward(&self, call: Outgoing<'_>) -> Result<Answer, SendError> {
        let upstream = self.get(call.upstream).ok_or_else(|| {
            SendError::NotSent(format!("upstream {} is no longer configured, so the call was not sent", call.upstream))
        })?;
        let under_way = self.calls.begin(call.id);
        let under_way = under_way.ok_or_else(|| SendError::NotSent("this call is already under way".to_owned()))?;
        let waiting = self.calls.waiting(call.id);
        let relay = waiting.as_ref().and_then(|waiting| waiting.relay.clone());
        let registered = waiting.map(|waiting| waiting.link).filter(|link| link.upstream == *call.upstream);
        if let Some(link) = registered.filter(|link| link.era == call.era) {
            match send(&link, &call, &under_way.cancel, relay.clone()).await {
                // Its agent's session ended a moment ago: Placet's own takes its place.
                Err(SendError::NotSent(why)) => tracing::info!(call = %call.id, why, "the agent's link took nothing"),
                answered => return answered,
            }
        }
        failpoint!("forward.session");
        let own = own(&upstream, &call).await?;
        send(&own, &call, &under_way.cancel, relay).await
    }
}

impl Forward for Upstreams {
    fn forward<'a>(&'a self, call: &'a Submission) -> BoxFuture<'a, Result<Answer, ForwardError>> {
        let outgoing = Outgoing {
            id: call.id,
            agent: call.agent.id,
            upstream: &call.upstream,
            tool: &call.tool,
            params: &call.params,
            headers: &call.headers,
            era: call.era,
            deadline: RELEASED,
        };
        Box::pin(async move {
            let answer = self.forward(outgoing).await;
            answer.inspect_err(|_| telemetry::upstream_failed(call.upstream.as_str())).map_err(|error| match error {
                SendError::NotSent(why) => ForwardError::NotSent(why),
                SendError::Unknown(why) => ForwardError::Unknown(why),
            })
        })
    }
}

async fn own(upstream: &Upstream, call: &Outgoing<'_>) -> Result<Arc<Link>, SendError> {
    let link = match call.era {
        Era::Sessions => upstream.own_session(call.agent).await,
        Era::Stateless => {
            let id = Key::Text(format!("placet-{}", call.id));
            let ties = || Some(Ties { id: id.clone(), token: progress_token(call.params) });
            upstream.pooled(call.agent, ties, true)
        }
    };
    // Whatever went wrong here, the call itself has not been sent.
    link.map_err(|error| SendError::NotSent(error.to_string()))
}

async fn send(
    link: &Link,
    call: &Outgoing<'_>,
    cancel: &CancellationToken,
    relay: Option<mpsc::Sender<Message>>,
) -> Result<Answer, SendError> {
    let id = format!("placet-{}", call.id);
    let headers = standard_headers(call.era, "tools/call", call.params, call.headers);
    let ask =
        Ask { relay, cancel: cancel.clone(), ..Ask::new(&id, "tools/call", call.params, &headers, call.deadline) };
    failpoint!("forward.send");
    let answer = link.ask(ask).await;
    failpoint!("forward.answered");
    Ok(answer?)
}
