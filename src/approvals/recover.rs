//! After a restart: what the last process left open.

use super::Approvals;
use super::decide::entry_of;
use crate::call::{CallState, Event, Outcome};
use crate::store::{CallChange, StoreError};

impl Approvals {
    /// Finds what a stop or crash left open. A call that was being released has an unknown outcome and is never sent
    /// again; an approved one whose caller was told to come back runs now; every other one waits for its caller.
    ///
    /// # Errors
    /// The database does not answer; nothing may be served then.
    pub async fn recover(&self) -> Result<(), StoreError> {
        for call in self.0.store.unfinished().await? {
            let id = call.submission.id;
            let CallState::Releasing { claim, .. } = call.state else {
                self.spawn_release(id, false);
                continue;
            };
            failpoint!("recover.call");
            let why = "Placet stopped after the call was sent and before an answer was recorded";
            let changed = self.0.store.change_call(id, None, move |scene| {
                Ok::<_, ()>(CallChange {
                    event: Event::Finish { claim, at: scene.now, outcome: Outcome::Unknown(why.into()) },
                    entry: entry_of(scene.call, "call.outcome_unknown").with("why", why),
                    vote: None,
                    approval: None,
                    answer: None,
                    notice: Some("call.outcome_unknown"),
                })
            });
            if let Ok(call) = changed.await? {
                failpoint!("recover.unknown");
                tracing::warn!(call = %id, "the outcome of a released call is unknown; it is not sent again");
                self.announce(&call);
            }
        }
        self.0.store.callers_are_gone().await?;
        failpoint!("recover.callers");
        self.expire().await?;
        failpoint!("recover.expired");
        Ok(())
    }
}
