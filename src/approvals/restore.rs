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
    let then = as_of.in_words();
    let why = format!("the database was put back to how it was at {then}, and what happened since is not known");
    let mut done = Aftermath::default();
    for call in store.unfinished().await? {
        let why = why.clone();
        let changed = store.change_call(call.submission.id, None, move |scene| given_up(scene, &why)).await?;
        // Nothing else changes calls yet, so that only those are left as they are that are pending.
        done.unknown += u64::from(changed.is_ok_and(|call| matches!(call.state, CallState::OutcomeUnknown { .. })));
    }
    store.put_back(PutBack { copy, witness, as_of, log }, done).await.map(Some)
}

fn given_up(scene: &Scene<'_>, why: &str) -> Result<CallChange, ()> {
    let (call, at) = (scene.call, scene.now);
    let (event, why) = match call.state {
        CallState::Approved { .. } => {
            let why = format!("{why}: it was approved, and may have run");
            (Event::LoseTrack { at, why: why.clone() }, why)
        }
        CallState::Releasing { claim, .. } => {
            let why = format!("{why}: the call was being sent then");
            let outcome = Outcome::Unknown(why.clone());
            (Event::Finish { claim, at, outcome }, why)
        }
        _ => return Err(()),
    };
    let entry = entry_of(call, "call.outcome_unknown").with("why", why).with("restored", true);
    let notice = Some("call.outcome_unknown");
    Ok(CallChange { event, entry, vote: None, approval: None, answer: None, notice })
}
