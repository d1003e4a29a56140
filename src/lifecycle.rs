//! Starting and stopping: every task of the process is counted here, and the stop waits for them.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
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
        let guarded = async move {
            // What it held was dropped with it; nothing of it is used again.
            if AssertUnwindSafe(future).catch_unwind().await.is_err() {
                tracing::error!(task = name, "a task broke off; this is a bug of Placet's");
            }
        };
        self.tracker.spawn(guarded.instrument(tracing::info_span!("task", task = name)));
    }

    /// As [`Tasks::spawn`], for a task without which nothing works: where it breaks off, the stop begins, so that
    /// whoever supervises the process starts it anew.
    pub fn spawn_vital(&self, name: &'static str, future: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.spawn(name, async move {
            if AssertUnwindSafe(future).catch_unwind().await.is_err() {
                tracing::error!(task = name, "a vital task broke off, so Placet stops; this is a bug of Placet's");
                stop.cancel();
            }
        });
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_breaks_off_ends_alone_and_a_vital_one_ends_the_process() {
        let tasks = Tasks::default();
        tasks.spawn("plain", async { panic!("a bug") });
        tasks.tracker.close();
        tasks.tracker.wait().await;
        assert!(!tasks.is_stopping());
        tasks.spawn_vital("vital", async { panic!("a bug") });
        tasks.stopped().await;
        assert!(tasks.ended(Duration::from_secs(10)).await);
    }
}
