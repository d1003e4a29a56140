//! A database that was put back: what was approved then does not run, what was running then is not known to have run.
//!
//! It is found by the mark of a copy, by a signed checkpoint that knows of a log which this is not, or by the list of what
//! is spent. Everything here is done before anybody is served, and again by the next start if this one ends in the
//! middle.

use super::decide::entry_of;
use crate::call::{CallState, Event, Millis, Outcome};
use crate::store::{Aftermath, CallChange, PutBack, Restoration, Scene, SpentCall, Store, StoreError, Witness};

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
    // Whatever is written from here on gets numbers that entries had that are not here any more.
    store.begin_era().await?;
    let then = as_of.in_words();
    let why = format!("the database was put back to how it was at {then}, and what happened since is not known");
    let mut done = Aftermath::default();
    for call in store.unfinished().await? {
        let why = why.clone();
        let changed = store.change_call(call.submission.id, None, move |scene| given_up(scene, &why)).await?;
        // Nothing else changes calls yet, so that only those are left as they are that are pending.
        done.unknown += u64::from(changed.is_ok_and(|call| matches!(call.state, CallState::OutcomeUnknown { .. })));
    }
    // Of some pending calls it is known what became of them: the list beside the database was not put back with it.
    for (id, spent) in store.spent_pending().await? {
        let why = why.clone();
        let changed = store.change_call(id, None, move |scene| known_to_have_ended(scene, spent, &why)).await?;
        match changed.map(|call| call.state) {
            Ok(CallState::OutcomeUnknown { .. }) => done.unknown += 1,
            Ok(CallState::Cancelled { .. }) => done.ended += 1,
            _ => {}
        }
    }
    store.put_back(PutBack { copy, witness, as_of, log }, done).await.map(Some)
}

fn known_to_have_ended(scene: &Scene<'_>, spent: SpentCall, why: &str) -> Result<CallChange, ()> {
    let (call, at) = (scene.call, scene.now);
    if !call.state.is_pending() {
        return Err(());
    }
    let (event, kind, why) = match spent {
        SpentCall::Sent => {
            let why = format!("{why}, but that it was sent");
            (Event::LoseTrack { at, why: why.clone() }, "call.outcome_unknown", why)
        }
        SpentCall::Over => {
            let why = format!("{why}, but that it was over; it may have run");
            (Event::LoseTrack { at, why: why.clone() }, "call.outcome_unknown", why)
        }
        SpentCall::Ended(how) => (Event::Cancel { at }, "call.cancelled", format!("{why}, but that it was {how}")),
    };
    let entry = entry_of(call, kind).with("why", why).with("restored", true);
    let notice = Some(if kind == "call.cancelled" { "call.decided" } else { kind });
    Ok(CallChange { event, entry, vote: None, approval: None, answer: None, notice })
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
