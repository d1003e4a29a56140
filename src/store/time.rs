//! Placet's time over restarts, and what is written down when the machine's clock was set.

use std::time::Duration;

use sqlx::sqlite::SqliteConnection;

use super::{Store, StoreError, Tx};
use crate::audit::Entry;
use crate::call::Millis;
use crate::clock::{Clock, Jump, Kept};
use crate::telemetry;

const READ: &str = "SELECT value FROM meta WHERE key = 'clock'";

/// Lets `clock` go on from `latest`, the latest moment in the log, and from what the last process kept.
pub(super) async fn resume(
    connection: &mut SqliteConnection,
    clock: &Clock,
    latest: Millis,
) -> Result<(), sqlx::Error> {
    let text: Option<String> = sqlx::query_scalar(READ).fetch_optional(connection).await?;
    clock.resume(latest, text.and_then(|text| serde_json::from_str(&text).ok()).as_ref());
    Ok(())
}

/// Keeps what time needs to go on after a restart. Written with the first write after it has changed, so that no moment
/// that was ever written down is further on than what is kept.
pub(super) async fn keep(tx: &mut Tx<'_>, kept: &Kept) -> Result<(), StoreError> {
    let sql = "INSERT INTO meta (key, value) VALUES ('clock', $1)
               ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    sqlx::query(sql).bind(serde_json::to_string(kept)?).execute(tx.connection()).await?;
    Ok(())
}

impl Store {
    /// How far Placet's time is ahead of the machine's clock: more than a little only after that was set back.
    #[must_use]
    pub fn clock_ahead(&self) -> Duration {
        self.clock.ahead()
    }

    /// Writes down that the machine's clock was set, if it was. To be called now and then.
    ///
    /// # Errors
    /// The database did not take it; it is written the next time.
    pub async fn note_clock(&self) -> Result<Option<Jump>, StoreError> {
        let jump = self.clock.take_jump();
        let (machine, ahead) = (self.clock.machine(), self.clock.ahead());
        telemetry::clock_ahead(ahead);
        let Some(jump) = jump else { return Ok(None) };
        let ahead = u64::try_from(ahead.as_millis()).unwrap_or(u64::MAX);
        let entry = Entry::new("clock.jumped").with("by_ms", jump.by).with("times", jump.times);
        let entry = entry.with("machine", machine.to_string()).with("ahead_ms", ahead);
        if let Err(error) = self.append(entry).await {
            self.clock.put_back(jump);
            return Err(error);
        }
        telemetry::clock_jumped();
        tracing::warn!(by_ms = jump.by, times = jump.times, "the machine's clock was set");
        Ok(Some(jump))
    }
}
