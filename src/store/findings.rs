//! Findings about calls of unknown outcome, and which of those calls still wait for one.

use sqlx::Row as _;

use super::people::{self, Person};
use super::row::{self, select_calls};
use super::visible::visible;
use super::{Sight, Store, StoreError, Tx};
use crate::audit::Entry;
use crate::call::{CallId, HeldCall, Millis, ReviewerId, StoredFinding};

/// What a finding is judged on, read in the transaction that records it.
#[derive(Debug)]
pub struct FindingScene<'a> {
    /// The committed call.
    pub call: &'a HeldCall,
    /// Whether the log tells of a finding about it, whatever its row says.
    pub logged: bool,
    /// The moment of the write.
    pub now: Millis,
    /// Who says so, if they have an account.
    pub person: Option<&'a Person>,
}

/// Calls of unknown outcome that nobody has looked into.
#[derive(Clone, Debug)]
pub struct Unfound {
    /// Some of them, oldest first.
    pub calls: Vec<HeldCall>,
    /// How many there are.
    pub total: u64,
}

/// A finding that the log knows nothing of takes no call off anybody's list.
macro_rules! unfound {
    () => {
        "NOT (EXISTS (SELECT 1 FROM findings f WHERE f.call_id = c.id) AND EXISTS (SELECT 1 FROM entries e \
         WHERE e.call_id = c.id AND e.kind = 'call.finding'))"
    };
}

pub(super) const OLDEST: &str = select_calls!(concat!(
    "WHERE c.state = 'outcome_unknown' AND ",
    unfound!(),
    " AND ",
    visible!("$1"),
    " ORDER BY c.id LIMIT $2"
));
pub(super) const COUNT: &str = concat!(
    "SELECT count(*) AS count FROM calls c WHERE c.state = 'outcome_unknown' AND ",
    unfound!(),
    " AND ",
    visible!("$1")
);

impl Store {
    /// Records what a person found out about one call, together with its entry: `judge` sees what is committed and
    /// answers with both, or declines. It must decline where the call has a finding. `None`: there is no such call.
    ///
    /// # Errors
    /// The database did not take it: nothing changed.
    pub async fn record_finding<R: Send + 'static>(
        &self,
        id: CallId,
        by: ReviewerId,
        judge: impl FnOnce(&FindingScene<'_>) -> Result<(StoredFinding, Entry), R> + Send + 'static,
    ) -> Result<Option<Result<HeldCall, R>>, StoreError> {
        self.write("record_finding", move |tx| Box::pin(record(tx, id, by, judge))).await
    }

    /// Calls within sight whose outcome is unknown and that have no finding, at most `most` of them.
    ///
    /// # Errors
    /// The database does not answer, or a row is damaged.
    pub async fn unfound(&self, sight: &Sight, most: u32) -> Result<Unfound, StoreError> {
        let groups = sight.groups()?;
        let row = sqlx::query(COUNT).bind(groups.as_deref()).fetch_one(self.readers()).await?;
        let total = u64::try_from(row.try_get::<i64, _>("count")?).unwrap_or(0);
        if total == 0 || most == 0 {
            return Ok(Unfound { calls: Vec::new(), total });
        }
        let trust = self.trust();
        let rows = sqlx::query(OLDEST).bind(groups).bind(i64::from(most)).fetch_all(self.readers()).await?;
        let calls = rows.iter().map(|row| row::held_call(row, &trust)).collect::<Result<_, _>>()?;
        Ok(Unfound { calls, total })
    }
}

async fn load(tx: &mut Tx<'_>, id: CallId) -> Result<Option<HeldCall>, StoreError> {
    let row = sqlx::query(row::SELECT_ONE).bind(id.to_string()).fetch_optional(tx.connection()).await?;
    let trust = tx.trust();
    row.as_ref().map(|row| row::held_call(row, &trust)).transpose()
}

async fn record<R: Send + 'static>(
    tx: &mut Tx<'_>,
    id: CallId,
    by: ReviewerId,
    judge: impl FnOnce(&FindingScene<'_>) -> Result<(StoredFinding, Entry), R>,
) -> Result<Option<Result<HeldCall, R>>, StoreError> {
    let Some(call) = load(tx, id).await? else { return Ok(None) };
    let person = people::load(tx, by).await?;
    let logged = "SELECT EXISTS (SELECT 1 FROM entries WHERE call_id = $1 AND kind = 'call.finding')";
    let logged = sqlx::query_scalar(logged).bind(id.to_string()).fetch_one(tx.connection()).await?;
    let scene = FindingScene { call: &call, logged, now: tx.now(), person: person.as_ref() };
    let (stored, entry) = match judge(&scene) {
        Ok(found) => found,
        Err(declined) => return Ok(Some(Err(declined))),
    };
    let sql = "INSERT INTO findings (call_id, ran, reason, reviewer_id, email, at, mac)
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    sqlx::query(sql)
        .bind(id.to_string())
        .bind(stored.finding.ran)
        .bind(&stored.finding.reason)
        .bind(stored.finding.by.to_string())
        .bind(stored.by_email.as_str())
        .bind(stored.finding.at.0)
        .bind(stored.mac.to_string())
        .execute(tx.connection())
        .await?;
    tx.append(entry)?;
    Ok(load(tx, id).await?.map(Ok))
}
