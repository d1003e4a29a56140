//! Who waits for which call, and how they hear that something happened to it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, broadcast};

use crate::call::{AgentId, CallId, HeldCall};

/// Something happened to a call; it is committed already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallChanged {
    /// The call.
    pub id: CallId,
    /// Its state now.
    pub state: &'static str,
    /// Whose call it is.
    pub agent: AgentId,
}

#[derive(Debug, Default)]
struct Waiting {
    callers: usize,
    changed: Arc<Notify>,
}

/// The callers that wait, and the channel that tells everybody else.
#[derive(Debug)]
pub(super) struct Events {
    // A plain mutex: held for a map operation only, never across an await.
    waiting: Mutex<HashMap<CallId, Waiting>>,
    everybody: broadcast::Sender<CallChanged>,
}

impl Events {
    pub(super) fn new() -> Self {
        Self { waiting: Mutex::default(), everybody: broadcast::Sender::new(1024) }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<CallId, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more caller waits for this call.
    pub(super) fn arrive(&self, id: CallId) -> Arc<Notify> {
        let mut waiting = self.waiting();
        let entry = waiting.entry(id).or_default();
        entry.callers += 1;
        Arc::clone(&entry.changed)
    }

    /// One caller less.
    pub(super) fn leave(&self, id: CallId) {
        let mut waiting = self.waiting();
        if let Some(entry) = waiting.get_mut(&id) {
            entry.callers -= 1;
            if entry.callers == 0 {
                waiting.remove(&id);
            }
        }
    }

    /// Whether a caller waits for this call.
    pub(super) fn is_attended(&self, id: CallId) -> bool {
        self.waiting().contains_key(&id)
    }

    /// Tells everybody; nobody listening is fine.
    pub(super) fn publish(&self, call: &HeldCall) {
        let id = call.submission.id;
        let changed = self.waiting().get(&id).map(|entry| Arc::clone(&entry.changed));
        if let Some(changed) = changed {
            changed.notify_waiters();
        }
        let _ = self.everybody.send(CallChanged { id, state: call.state.name(), agent: call.submission.agent.id });
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<CallChanged> {
        self.everybody.subscribe()
    }
}
