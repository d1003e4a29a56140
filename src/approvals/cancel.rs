//! The caller takes its call back.

use super::Approvals;
use super::decide::entry_of;
use crate::call::{AgentId, CallId, Event, HeldCall};
use crate::store::{CallChange, Changed, NotChanged, StoreError};

/// Why a call was not cancelled.
#[derive(Debug, thiserror::Error)]
pub enum NotCancelled {
    /// No such call of this agent.
    #[error("there is no such call")]
    NotFound,
    /// It is past that.
    #[error("the call is {} already", .0.state.name())]
    TooLate(Box<HeldCall>),
    /// Its row was changed.
    #[error("the stored call was changed behind Placet's back, so nothing is done with it")]
    Tampered,
    /// The database did not take it.
    #[error("the call was not cancelled: {0}")]
    Store(#[from] StoreError),
}

impl Approvals {
    /// Cancels a pending call of this agent. Not while another caller of the same call still waits for it.
    ///
    /// # Errors
    /// There is no such call, it is not pending any more, or the database did not take it.
    pub async fn cancel(&self, id: CallId, agent: AgentId) -> Result<HeldCall, NotCancelled> {
        if self.0.events.is_attended(id) {
            let call = self.call(id).await?;
            return if call.submission.agent.id == agent { Ok(call) } else { Err(NotCancelled::NotFound) };
        }
        failpoint!("cancel.call");
        let outcome = self.0.store.change_call(id, None, move |scene| {
            if scene.call.submission.agent.id != agent {
                return Err(NotCancelled::NotFound);
            }
            if !scene.call.genuine {
                return Err(NotCancelled::Tampered);
            }
            Ok(CallChange {
                event: Event::Cancel { at: scene.now },
                entry: entry_of(scene.call, "call.cancelled"),
                vote: None,
                approval: None,
                answer: None,
                notice: Some("call.cancelled"),
            })
        });
        match outcome.await? {
            Ok(call) => {
                failpoint!("cancel.cancelled");
                self.announce(&call);
                self.0.store.ends_kept().await;
                Ok(call)
            }
            Err(NotChanged::NoSuchCall) => Err(NotCancelled::NotFound),
            Err(NotChanged::Declined(error)) => {
                if matches!(error, NotCancelled::Tampered) {
                    self.0.store.alarm(Changed::Call(id)).await;
                }
                Err(error)
            }
            Err(NotChanged::Invalid(call, _)) => Err(NotCancelled::TooLate(call)),
        }
    }
}
