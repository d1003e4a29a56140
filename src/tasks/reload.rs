//! The policy file: reloaded when it changes.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::in_force::InForce;
use crate::lifecycle::Tasks;
use crate::store::Store;

/// How often the file is looked at.
const PERIOD: Duration = Duration::from_secs(2);

/// Keeps the newest good policy in force until the process stops.
pub async fn reload(policy: Arc<InForce>, store: Store, clock: Clock, tasks: Tasks) {
    while !tasks.is_stopping() {
        if let Err(error) = policy.reload(&store, clock.now()).await {
            tracing::error!(%error, "a new policy could not be logged, so the last one stays in force");
        }
        tokio::select! {
            () = tasks.stopped() => {}
            () = clock.sleep(PERIOD) => {}
        }
    }
}
