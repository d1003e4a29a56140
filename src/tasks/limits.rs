//! Limits: what no longer counts is forgotten.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::in_force::InForce;
use crate::lifecycle::Tasks;
use crate::store::Store;

/// How often it is looked for.
const PERIOD: Duration = Duration::from_secs(60);

/// Forgets it until the process stops.
pub async fn limits(policy: Arc<InForce>, store: Store, clock: Clock, tasks: Tasks) {
    while !tasks.is_stopping() {
        if let Err(error) = policy.forget_ended_limits(&store, clock.now()).await {
            tracing::error!(%error, "counters of limits that have ended were not forgotten; trying again");
        }
        tokio::select! {
            () = tasks.stopped() => {}
            () = clock.sleep(PERIOD) => {}
        }
    }
}
