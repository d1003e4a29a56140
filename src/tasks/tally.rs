//! How often each tool was called: the log is counted bit by bit, so that pages need not.

use std::time::Duration;

use crate::clock::Clock;
use crate::lifecycle::Tasks;
use crate::store::Store;

/// How often. A page reads what came since by itself.
const PERIOD: Duration = Duration::from_secs(30);

/// Counts what is new in the log until the process stops.
pub async fn tally(store: Store, clock: Clock, tasks: Tasks) {
    while !tasks.is_stopping() {
        match store.tally().await {
            // A long history is counted piece by piece, and calls that come meanwhile are written in between.
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "the calls of tools could not be counted; trying again"),
        }
        tokio::select! {
            () = tasks.stopped() => {}
            () = clock.sleep(PERIOD) => {}
        }
    }
}
