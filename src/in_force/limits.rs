//! What the limits have counted, between the policy, which knows what it means, and the database, which keeps it.

use super::InForce;
use crate::call::Millis;
use crate::policy::Kept;
use crate::store::{CounterRow, Store, StoreError};

/// The rows that the database keeps.
#[must_use]
pub fn counted(kept: Vec<Kept>) -> Vec<CounterRow> {
    kept.into_iter().map(row).collect()
}

fn row(kept: Kept) -> CounterRow {
    let Kept { counter, sharer, part, amount, ends, seq } = kept;
    CounterRow { counter, sharer, part, amount, ends_at: ends, seq }
}

impl InForce {
    /// Lets the limits go on from what an earlier process counted. Before the first call.
    ///
    /// # Errors
    /// The database does not answer, or has a row of which nobody can say what it counted.
    pub async fn resume_limits(&self, store: &Store, now: Millis) -> Result<(), StoreError> {
        let kept = |row: CounterRow| {
            let CounterRow { counter, sharer, part, amount, ends_at, seq } = row;
            Kept { counter, sharer, part, amount, ends: ends_at, seq }
        };
        let rows = store.counters().await?.into_iter().map(kept).collect();
        let moved = self.counters().resume(rows, now);
        let moved = moved.map_err(|bad| row(*bad.row).bad(bad.column, &bad.problem))?;
        if moved.is_empty() { Ok(()) } else { store.count(counted(moved)).await }
    }

    /// Forgets what no longer counts. To be called now and then.
    ///
    /// # Errors
    /// The database did not take it; it is forgotten the next time.
    pub async fn forget_ended_limits(&self, store: &Store, now: Millis) -> Result<(), StoreError> {
        self.counters().forget_ended(now);
        store.forget_counters(now).await
    }
}
