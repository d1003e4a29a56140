//! Starting and stopping: every task of the process is counted here, and the stop waits for them.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

/// The tasks of the running process. Clones share the same tasks.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Tasks {
    /// Runs `future` until it ends; the stop waits for it. `name` is its span in the logs.
    pub fn spawn(&self, name: &'static str, future: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn(future.instrument(tracing::info_span!("task", task = name)));
    }

    /// Becomes true, and wakes [`Tasks::stopped`], when the process begins to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Returns when the process begins to stop.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// Begins the stop: tasks that wait for [`Tasks::stopped`] end.
    pub fn begin_stop(&self) {
        self.stop.cancel();
        self.tracker.close();
    }

    /// Waits until every task has ended; `false` if some still run after `patience`.
    pub async fn ended(&self, patience: Duration) -> bool {
        self.tracker.close();
        tokio::time::timeout(patience, self.tracker.wait()).await.is_ok()
    }
}
