//! Reading calls: one, a page of many, what is due.

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::row::{self, select_calls};
use super::sealed::Trust;
use super::visible::visible;
use super::{Changed, Sight, Store, StoreError};
use crate::call::{CallId, HeldCall, Millis};

/// Which calls to read; a field that is `None` does not filter.
#[derive(Clone, Debug, Default)]
pub struct CallFilter {
    /// In this state, as the interface names it.
    pub state: Option<String>,
    /// Of this agent, by name.
    pub agent: Option<String>,
    /// Of this tool.
    pub tool: Option<String>,
    /// Only ended calls.
    pub ended: bool,
    /// With this text in tool, agent, upstream or reason, whatever the case of its ASCII letters.
    pub text: Option<String>,
    /// Only what this sight reaches.
    pub sight: Sight,
    /// Oldest first (a queue) instead of newest first (a history).
    pub oldest_first: bool,
    /// Continue after this call, in the order asked for.
    pub after: Option<CallId>,
    /// How many at most.
    pub limit: u32,
}

/// Whether the text that `$text` binds, in lower case, stands in what a history's row shows; null: yes.
macro_rules! mentions {
    ($text:literal) => {
        concat!(
            "(",
            $text,
            " IS NULL OR instr(lower(c.tool || ' ' || c.agent_name || ' ' || c.upstream || ' ' || ",
            "coalesce(c.ended_why, '')), ",
            $text,
            "))"
        )
    };
}

/// A page of calls in one order: `$state` says which states, `$beyond` and `$order` which way.
macro_rules! page_of {
    ($state:literal, $beyond:literal, $order:literal) => {
        select_calls!(concat!(
            "WHERE ",
            $state,
            " AND ($2 IS NULL OR c.agent_name = $2) AND ($3 IS NULL OR c.tool = $3)
             AND (NOT $4 OR c.state NOT IN ('pending', 'approved', 'releasing')) AND ($5 IS NULL OR c.id ",
            $beyond,
            " $5) AND ",
            visible!("$7"),
            " AND ",
            mentions!("$8"),
            " ORDER BY c.id ",
            $order,
            " LIMIT $6"
        ))
    };
}

/// Pending calls have indices of their own, which SQLite takes only where the query says so in the same words.
macro_rules! pending_page_of {
    ($beyond:literal, $order:literal) => {
        page_of!("c.id IN (SELECT id FROM calls INDEXED BY calls_queue WHERE state = 'pending')", $beyond, $order)
    };
}

/// Pages by order (newest first, oldest first) and by the state that is given: none, pending, another. Only where it
/// surely is one does SQLite begin with it.
pub(super) const PAGES: [[&str; 3]; 2] = [
    [
        page_of!("($1 IS NULL OR c.state = $1)", "<", "DESC"),
        pending_page_of!("<", "DESC"),
        page_of!("c.state = $1 AND c.state <> 'pending'", "<", "DESC"),
    ],
    [
        page_of!("($1 IS NULL OR c.state = $1)", ">", "ASC"),
        pending_page_of!(">", "ASC"),
        page_of!("c.state = $1 AND c.state <> 'pending'", ">", "ASC"),
    ],
];

/// What is due first, pending or approved.
pub(super) const DUE: &str = "
    SELECT id, expires_at AS due FROM (SELECT id, expires_at FROM calls INDEXED BY calls_deadline
                                       WHERE state = 'pending' ORDER BY expires_at LIMIT 500)
    UNION ALL
    SELECT id, usable_until FROM (SELECT id, usable_until FROM calls INDEXED BY calls_usable
                                  WHERE state = 'approved' ORDER BY usable_until LIMIT 500)
    ORDER BY due LIMIT 500";

/// What a restart must look at.
pub(super) const UNFINISHED: &str =
    select_calls!("WHERE c.state IN ('approved', 'releasing') AND c.state <> 'pending' ORDER BY c.id");

/// One page of calls.
#[derive(Clone, Debug)]
pub struct CallPage {
    /// The calls.
    pub calls: Vec<HeldCall>,
    /// Where the next page continues, if there is one.
    pub next: Option<CallId>,
}

impl Store {
    /// One call. One that was changed behind Placet's back raises an alarm.
    ///
    /// # Errors
    /// The database does not answer, or the row is damaged.
    pub async fn call(&self, id: CallId) -> Result<Option<HeldCall>, StoreError> {
        let trust = self.trust();
        let row = sqlx::query(row::SELECT_ONE).bind(id.to_string()).fetch_optional(self.readers()).await?;
        let call = row.as_ref().map(|row| row::whole_call(row, &trust)).transpose()?;
        if let Some(forged) = call.as_ref().filter(|call| !call.genuine) {
            self.alarm(Changed::Call(forged.submission.id)).await;
        }
        Ok(call)
    }

    /// A page of calls by filter.
    ///
    /// # Errors
    /// The database does not answer, or a row is damaged.
    pub async fn calls(&self, filter: CallFilter) -> Result<CallPage, StoreError> {
        let state = match filter.state.as_deref() {
            None => 0,
            Some("pending") => 1,
            Some(_) => 2,
        };
        let text = PAGES[usize::from(filter.oldest_first)][state];
        let trust = self.trust();
        let rows = sqlx::query(text)
            .bind(filter.state)
            .bind(filter.agent)
            .bind(filter.tool)
            .bind(filter.ended)
            .bind(filter.after.map(|id| id.to_string()))
            .bind(i64::from(filter.limit) + 1)
            .bind(filter.sight.groups()?)
            .bind(filter.text.map(|text| text.to_ascii_lowercase()))
            .fetch_all(self.readers())
            .await?;
        let mut calls = self.listed(&rows, &trust).await?;
        let more = calls.len() > filter.limit as usize;
        calls.truncate(filter.limit as usize);
        let next = calls.last().filter(|_| more).map(|call| call.submission.id);
        Ok(CallPage { calls, next })
    }

    /// How many calls are pending.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn pending_count(&self) -> Result<u64, StoreError> {
        let count: i64 =
            sqlx::query_scalar("SELECT count(*) FROM calls WHERE state = 'pending'").fetch_one(self.readers()).await?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Calls whose deadline (pending or approval) is at or before `now`, and the next deadline after it.
    ///
    /// # Errors
    /// The database does not answer, or a row is damaged.
    pub async fn due(&self, now: Millis) -> Result<(Vec<CallId>, Option<Millis>), StoreError> {
        let rows = sqlx::query(DUE).fetch_all(self.readers()).await?;
        let mut ids = Vec::new();
        for row in rows {
            let (id, due): (String, Option<i64>) = (row.try_get("id")?, row.try_get("due")?);
            let bad = |column, problem: String| StoreError::BadRow { table: "calls", row: id.clone(), column, problem };
            let due = Millis(due.ok_or_else(|| bad("usable_until", "an approved call has no deadline".into()))?);
            if due > now {
                return Ok((ids, Some(due)));
            }
            ids.push(id.parse().map_err(|e: crate::call::BadName| bad("id", e.to_string()))?);
        }
        Ok((ids, None))
    }

    /// Calls in one of the states that a restart must look at: approved ones and those that were being released.
    ///
    /// # Errors
    /// The database does not answer, or a row is damaged.
    pub async fn unfinished(&self) -> Result<Vec<HeldCall>, StoreError> {
        let trust = self.trust();
        let rows = sqlx::query(UNFINISHED).fetch_all(self.readers()).await?;
        self.listed(&rows, &trust).await
    }

    /// The calls of these rows, judged by what was taken before they were read. Each that was changed behind Placet's back
    /// raises an alarm.
    pub(super) async fn listed(&self, rows: &[SqliteRow], trust: &Trust) -> Result<Vec<HeldCall>, StoreError> {
        let calls: Vec<_> = rows.iter().map(|row| row::held_call(row, trust)).collect::<Result<_, _>>()?;
        for forged in calls.iter().filter(|call| !call.genuine) {
            self.alarm(Changed::Call(forged.submission.id)).await;
        }
        Ok(calls)
    }
}
