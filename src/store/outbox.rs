//! The outbox: what reviewers have to be told, kept until they were.

use super::{StoreError, Tx};
use crate::call::CallId;

impl Tx<'_> {
    /// Queues a notice about a call, committed together with what it tells of.
    ///
    /// # Errors
    /// The database did not take it.
    pub(crate) async fn notify(
        &mut self,
        kind: &'static str,
        call: CallId,
        detail: Option<String>,
    ) -> Result<(), StoreError> {
        let now = self.now();
        let sql = "INSERT INTO outbox (kind, call_id, detail, created_at) VALUES ($1, $2, $3, $4)";
        sqlx::query(sql).bind(kind).bind(call.to_string()).bind(detail).bind(now.0).execute(self.connection()).await?;
        Ok(())
    }
}
