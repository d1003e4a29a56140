//! Checkpoints of the log: signed a moment after it has grown.

use std::time::Duration;

use crate::clock::Clock;
use crate::lifecycle::Tasks;
use crate::notary::Notary;
use crate::store::Store;

/// How long after a change the log is signed: what happens in between is signed with it.
const MOMENT: Duration = Duration::from_secs(2);
/// The longest wait after a failure.
const LONGEST: Duration = Duration::from_secs(60);

/// Signs the log whenever it has grown, until the process stops. What grows after that is signed by who stops it.
pub async fn checkpoints(notary: Notary, store: Store, clock: Clock, tasks: Tasks) {
    let mut failed = None;
    while !tasks.is_stopping() {
        let size = notary.size();
        let due = async {
            if failed.is_none() {
                store.log_grown(size).await;
            }
            clock.sleep(failed.unwrap_or(MOMENT)).await;
        };
        tokio::select! {
            () = tasks.stopped() => return,
            () = due => {}
        }
        failed = match notary.checkpoint().await {
            Ok(checkpoint) => {
                tracing::debug!(size = checkpoint.size, "the log was signed");
                None
            }
            Err(error) => {
                let wait = (failed.unwrap_or(MOMENT) * 2).min(LONGEST);
                tracing::error!(%error, seconds = wait.as_secs(), "the log could not be signed; trying again");
                Some(wait)
            }
        };
    }
}
