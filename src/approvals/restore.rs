//! A database that was put back: what was approved then does not run, what was running then is not known to have run.
//!
//! It is found by the mark of a copy, or by a signed checkpoint that knows of a log which this is not. Everything here
//! is done before anybody is served, and again by the next start if this one ends in the middle.

use super::decide::entry_of;
use crate::call::{CallState, Event, Millis, Outcome};
use crate::store::{Aftermath, CallChange, PutBack, Restoration, Scene, Store, StoreError, Witness};

/// Looks whether the database is a copy that nobody was served from yet, or `witness` says that it is an older one, and
/// if so withdraws every approval, gives up every release, and lets the log and the pending calls say so. `log` and
/// `as_of` are the log's size and last moment before this start.
///
/// # Errors
/// The database does not answer or take it; nothing may be served then.
pub async fn settle(
    store: &Store,
    witness: Option<Witness>,
    log: u64,
    as_of: Millis,
) -> Result<Option<Restoration>, StoreError> {
    let copy = store.copy_mark().await?;
    if copy.is_none() && witness.is_none() {
        return Ok(None);
    }
    let as_of = copy.as_ref().map_or(as_of, |copy| copy.at);
    let why = format!("the database was put back to how it was at {as_of}, and what happened since is not known");
    let mut done = Aftermath::default();
    for call in store.unfinished().await? {
        let why = why.clone();
        let changed = store.change_call(call.submission.id, None, move |scene| given_up(scene, &why)).await?;
        match changed.map(|call| call.state) {
            Ok(CallState::Revoked { .. }) => done.revoked += 1,
            Ok(CallState::OutcomeUnknown { .. }) => done.unknown += 1,
            // Nothing else changes calls yet.
            Ok(_) | Err(_) => {}
        }
    }
    store.put_back(PutBack { copy, witness, as_of, log }, done).await.map(Some)
}

fn given_up(scene: &Scene<'_>, why: &str) -> Result<CallChange, ()> {
    let (call, at) = (scene.call, scene.now);
    let (event, kind, notice, why) = match call.state {
        CallState::Approved { .. } => {
            let why = format!("{why}: it needs a new approval");
            (Event::Revoke { at, why: why.clone() }, "call.revoked", "call.decided", why)
        }
        CallState::Releasing { claim, .. } => {
            let why = format!("{why}: the call was being sent then");
            let outcome = Outcome::Unknown(why.clone());
            (Event::Finish { claim, at, outcome }, "call.outcome_unknown", "call.outcome_unknown", why)
        }
        _ => return Err(()),
    };
    let entry = entry_of(call, kind).with("why", why);
    Ok(CallChange { event, entry, vote: None, approval: None, answer: None, notice: Some(notice) })
}
