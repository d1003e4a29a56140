//! Deadlines: sleeps until the next one.

use std::time::Duration;

use crate::approvals::Approvals;
use crate::clock::Clock;
use crate::lifecycle::Tasks;

/// Looks at least this often, whatever it was told.
const PERIOD: Duration = Duration::from_secs(60);

/// Enforces deadlines until the process stops.
pub async fn expiry(approvals: Approvals, clock: Clock, tasks: Tasks) {
    while !tasks.is_stopping() {
        let latest = clock.now().after(PERIOD);
        let next = match approvals.expire().await {
            Ok(next) => next.map_or(latest, |next| next.min(latest)),
            Err(error) => {
                tracing::error!(%error, "deadlines could not be enforced; trying again");
                clock.now().after(Duration::from_secs(1))
            }
        };
        tokio::select! {
            () = tasks.stopped() => {}
            () = approvals.deadlines_changed() => {}
            () = clock.sleep_until(next) => {}
        }
    }
}
