//! Deadlines. Enforced in the write, so it does not matter who notices first or how late.

use std::collections::BTreeSet;

use super::decide::entry_of;
use super::{Approvals, Seal};
use crate::call::{Approver, CallId, CallState, Event, Millis, OnTimeout};
use crate::store::{ApprovalProof, CallChange, NotChanged, Scene, StoreError};

impl Approvals {
    /// Takes every call whose deadline is over one step further, and answers with the next deadline there is.
    ///
    /// # Errors
    /// The database does not answer, or a row is damaged, which keeps no other call from its deadline; what was not
    /// expired is found again next time.
    pub async fn expire(&self) -> Result<Option<Millis>, StoreError> {
        // Each call once: one that stays due would be found without end.
        let mut tried = BTreeSet::new();
        let mut damaged = None;
        loop {
            let (mut due, next) = self.0.store.due(self.0.store.now()).await?;
            due.retain(|id| tried.insert(*id));
            if due.is_empty() {
                return damaged.map_or(Ok(next), Err);
            }
            for id in due {
                match self.expire_one(id).await {
                    Err(error @ StoreError::BadRow { .. }) => damaged = Some(error),
                    done => done?,
                }
            }
            self.0.store.ends_kept().await;
        }
    }

    async fn expire_one(&self, id: CallId) -> Result<(), StoreError> {
        let seal = self.0.seal.clone();
        failpoint!("expire.call");
        match self.0.store.change_call(id, None, move |scene| overdue(scene, &seal)).await? {
            Ok(call) => {
                failpoint!("expire.expired");
                self.announce(&call);
                if matches!(call.state, CallState::Approved { .. }) {
                    self.spawn_release(id, false);
                }
                Ok(())
            }
            // Somebody else's step came first: as good.
            Err(NotChanged::NoSuchCall | NotChanged::Declined(()) | NotChanged::Invalid(..)) => Ok(()),
        }
    }
}

/// What an overdue call becomes.
fn overdue(scene: &Scene<'_>, seal: &Seal) -> Result<CallChange, ()> {
    let (call, at) = (scene.call, scene.now);
    let requirement = &call.submission.requirement;
    let mut approval = None;
    // A deadline that the step sets, as the log names it.
    let mut until = None;
    let (event, kind, notice) = match &call.state {
        // What the stored call asks for proves nothing; that its time is over needs no proof.
        CallState::Pending { .. } if !call.genuine || !seal.is_as_held(call) => {
            tracing::error!(call = %call.submission.id, "ALARM: a pending call is not the one that was held");
            (Event::Expire { at }, "alarm.call_tampered", Some("call.expired"))
        }
        CallState::Approved { .. } if !call.genuine => {
            (Event::Lapse { at }, "alarm.call_tampered", Some("call.expired"))
        }
        CallState::Approved { .. } => (Event::Lapse { at }, "call.lapsed", Some("call.expired")),
        CallState::Pending { escalated, .. } => match &requirement.on_timeout {
            OnTimeout::Escalate(_) if !escalated => {
                let expires_at = at.after(requirement.timeout);
                until = Some(("expires_at", expires_at));
                (Event::Escalate { at, expires_at }, "call.escalated", Some("call.escalated"))
            }
            // It may have run since then already; only a person can look.
            OnTimeout::Approve if call.as_of.is_some() => (Event::Expire { at }, "call.expired", Some("call.expired")),
            OnTimeout::Approve => {
                let usable_until = at.after(requirement.execute_within);
                let proof = seal.approval(&call.digest, &Approver::Policy, at, usable_until);
                approval = Some(ApprovalProof(proof));
                until = Some(("usable_until", usable_until));
                (Event::ApproveByPolicy { at, usable_until }, "call.approved", Some("call.decided"))
            }
            OnTimeout::Reject | OnTimeout::Escalate(_) => (Event::Expire { at }, "call.expired", Some("call.expired")),
        },
        _ => return Err(()),
    };
    let mut entry = entry_of(call, kind);
    if let Some((key, moment)) = until {
        entry = entry.with(key, moment.to_string());
    }
    if approval.is_some() {
        entry = entry.with("by", "policy").with("rule", call.submission.rule.clone());
    }
    Ok(CallChange { event, entry, vote: None, approval, answer: None, notice })
}
