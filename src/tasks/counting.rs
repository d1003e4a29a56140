//! Numbers for operators: what became of calls, how many wait.

use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;

use crate::approvals::{Approvals, may_decide};
use crate::call::{CallId, HeldCall};
use crate::clock::Clock;
use crate::lifecycle::Tasks;
use crate::store::{CallFilter, Sight, Store, StoreError};
use crate::telemetry::{self, Metrics};

/// How often what is counted is folded together.
const PERIOD: Duration = Duration::from_secs(60);

/// Counts every change of every call until the process stops.
pub async fn counting(approvals: Approvals, store: Store, metrics: Metrics, clock: Clock, tasks: Tasks) {
    let mut events = approvals.events();
    let mut stuck = count_stuck(&approvals, &store).await;
    count_pending(&store, stuck).await;
    while !tasks.is_stopping() {
        tokio::select! {
            () = tasks.stopped() => {}
            () = clock.sleep(PERIOD) => {
                metrics.upkeep();
                stuck = count_stuck(&approvals, &store).await;
                count_pending(&store, stuck).await;
            }
            event = events.recv() => match event {
                Ok(event) => {
                    count(&approvals, event.id, event.state).await;
                    count_pending(&store, stuck).await;
                }
                // A burst went by faster than it was counted: the gauge is right again, the counters miss it.
                Err(RecvError::Lagged(missed)) => tracing::warn!(missed, "changes of calls were not counted"),
                Err(RecvError::Closed) => return,
            },
        }
    }
}

async fn count(approvals: &Approvals, id: CallId, state: &'static str) {
    let Ok(call) = approvals.call(id).await else { return };
    if call.state.is_terminal() && call.state.name() == state {
        telemetry::ended(state);
    }
    if let Some(span) = decided_after(&call, state) {
        telemetry::held_for(span);
    }
}

/// How long a call was pending, told once: when it stops being so.
fn decided_after(call: &HeldCall, state: &str) -> Option<Duration> {
    let over = matches!(state, "approved" | "rejected" | "expired" | "cancelled") && call.state.name() == state;
    over.then(|| call.changed_at.since(call.submission.created_at))
}

async fn count_pending(store: &Store, stuck: u64) {
    match store.unfound(&Sight::All, 0).await {
        Ok(unfound) => telemetry::outcome_unknown(unfound.total),
        Err(error) => tracing::error!(%error, "calls of unknown outcome could not be counted"),
    }
    match store.pending_count().await {
        Ok(pending) => telemetry::pending(pending, stuck.min(pending)),
        Err(error) => tracing::error!(%error, "pending calls could not be counted"),
    }
}

/// Of the oldest pending calls, how many nobody may decide: they can only expire. Said in the log as long as it lasts.
async fn count_stuck(approvals: &Approvals, store: &Store) -> u64 {
    let filter = CallFilter { state: Some("pending".into()), oldest_first: true, limit: 200, ..CallFilter::default() };
    let found = async { Ok::<_, StoreError>((store.calls(filter).await?.calls, store.people_enabled().await?)) };
    let (calls, people) = match found.await {
        Ok(found) => found,
        Err(error) => {
            tracing::error!(%error, "whether somebody may decide the pending calls could not be looked up");
            return 0;
        }
    };
    let solo = approvals.settings().self_approval;
    let nobody = |call: &&HeldCall| !people.iter().any(|person| may_decide(call, person, solo).is_ok());
    let stuck = calls.iter().filter(nobody).count();
    if stuck > 0 {
        tracing::warn!(calls = stuck, "nobody may decide some pending calls; add a reviewer to their groups");
    }
    stuck as u64
}
