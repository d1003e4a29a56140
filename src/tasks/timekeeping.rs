//! The machine's clock: watched, so that it is written down when somebody sets it.

use std::time::Duration;

use crate::clock::Clock;
use crate::lifecycle::Tasks;
use crate::store::Store;

/// How often the clock is looked at.
const PERIOD: Duration = Duration::from_secs(5);

/// After an entry no other is written for so long: what happens meanwhile is summed up in the next.
const REST: Duration = Duration::from_secs(60);

/// Watches the clock until the process stops.
pub async fn timekeeping(store: Store, clock: Clock, tasks: Tasks) {
    while !tasks.is_stopping() {
        let wait = match store.note_clock().await {
            Ok(Some(_)) => REST,
            Ok(None) => PERIOD,
            Err(error) => {
                tracing::error!(%error, "that the machine's clock was set could not be written down yet");
                PERIOD
            }
        };
        tokio::select! {
            () = tasks.stopped() => {}
            () = clock.sleep(wait) => {}
        }
    }
}
