//! A caller that waits for its call.

use std::sync::Arc;

use tokio::sync::Notify;

use super::Approvals;
use crate::call::{CallId, HeldCall};
use crate::store::StoreError;

/// A caller's presence: while it lives, the call has somebody to answer to. Dropping it is leaving.
#[derive(Debug)]
pub struct Attached {
    approvals: Approvals,
    id: CallId,
    changed: Arc<Notify>,
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.approvals.0.events.leave(self.id);
    }
}

impl Attached {
    /// The call that is waited for.
    #[must_use]
    pub fn id(&self) -> CallId {
        self.id
    }

    /// Returns the call once nothing more can happen to it. May be dropped and called again at any time.
    ///
    /// # Errors
    /// The database does not answer, or there is no such call.
    pub async fn finished(&self) -> Result<HeldCall, StoreError> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Listens before it looks, so that no change falls between.
            changed.as_mut().enable();
            let call = self.approvals.call(self.id).await?;
            if call.state.is_terminal() {
                return Ok(call);
            }
            changed.await;
        }
    }
}

impl Approvals {
    /// A call by its id.
    ///
    /// # Errors
    /// The database does not answer, or there is no such call.
    pub async fn call(&self, id: CallId) -> Result<HeldCall, StoreError> {
        self.0.store.call(id).await?.ok_or(StoreError::NoSuchCall(id))
    }

    /// A caller waits for this call from now on. An approved call that waited for its caller runs now.
    #[must_use]
    pub fn attach(&self, id: CallId) -> Attached {
        let changed = self.0.events.arrive(id);
        self.spawn_release(id, false);
        Attached { approvals: self.clone(), id, changed }
    }

    /// The caller came back with the same call, or asks for it by id: whatever the approval waited for is here.
    pub async fn returned(&self, id: CallId) {
        if let Err(error) = self.0.store.set_caller_gone(id, false).await {
            tracing::warn!(%error, "that a caller is back was not noted");
        }
        failpoint!("caller.returned");
        self.spawn_release(id, true);
    }

    /// Notes, before the caller is told "pending, come back", that it is: an approval then runs without it.
    ///
    /// # Errors
    /// It could not be noted; the caller must not be told so.
    pub async fn told_to_return(&self, id: CallId) -> Result<(), StoreError> {
        failpoint!("caller.tell");
        self.0.store.set_told_to_return(id).await?;
        failpoint!("caller.told");
        self.spawn_release(id, false);
        Ok(())
    }

    /// Notes that the caller left without being told to come back: the call stays pending, an approval is parked.
    pub async fn caller_gone(&self, id: CallId) {
        if self.0.events.is_attended(id) {
            return;
        }
        failpoint!("caller.gone");
        match self.0.store.set_caller_gone(id, true).await {
            Ok(()) => {
                failpoint!("caller.noted");
                if let Ok(call) = self.call(id).await {
                    self.0.events.publish(&call);
                }
            }
            Err(error) => tracing::warn!(%error, "that a caller left was not noted"),
        }
    }
}
