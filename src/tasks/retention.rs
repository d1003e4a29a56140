//! Retention: what agents sent and what came back is erased by age.

use std::time::Duration;

use crate::clock::Clock;
use crate::lifecycle::Tasks;
use crate::store::{Store, StoreError};

/// How often it is looked for, at least.
const PERIOD: Duration = Duration::from_secs(600);

/// How soon the write-ahead log is emptied again where somebody who read kept part of it back.
const AGAIN: Duration = Duration::from_secs(5);

/// Calls erased in one transaction: few enough that nobody who decides meanwhile waits long.
const BATCH: u32 = 100;

/// Erases what is older than `keep` until the process stops.
pub async fn retention(store: Store, keep: Duration, clock: Clock, tasks: Tasks) {
    // What an earlier process erased may still stand in the write-ahead log.
    let mut unscrubbed = true;
    let period = (keep / 4).clamp(Duration::from_secs(1), PERIOD);
    while !tasks.is_stopping() {
        match pass(&store, keep, &tasks).await {
            Ok(erased) => unscrubbed |= erased > 0,
            Err(error) => tracing::error!(%error, "what is old enough could not be erased; trying again"),
        }
        if unscrubbed {
            match store.scrub().await {
                Ok(done) => unscrubbed = !done,
                Err(error) => tracing::error!(%error, "what was erased may still be in the write-ahead log"),
            }
        }
        tokio::select! {
            () = tasks.stopped() => {}
            () = clock.sleep(if unscrubbed { AGAIN.min(period) } else { period }) => {}
        }
    }
}

/// Batch by batch, until nothing is left that is old enough.
async fn pass(store: &Store, keep: Duration, tasks: &Tasks) -> Result<usize, StoreError> {
    let mut all = 0;
    while !tasks.is_stopping() {
        let erased = store.erase_ended(keep, BATCH).await?;
        all += erased;
        if erased == 0 {
            break;
        }
    }
    if all > 0 {
        tracing::info!(calls = all, "the arguments and results of old calls were erased");
    }
    Ok(all)
}
