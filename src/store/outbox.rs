//! The outbox: what reviewers have to be told, kept until they were.
//!
//! A notice is written in the transaction of what happened. Later it is addressed: one row in `mails`
//! for each reviewer. Rows are claimed before a mail leaves and settled after, so that a crash in between repeats a mail
//! (with the same Message-ID) and never loses one.

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::{Store, StoreError, Tx};
use crate::audit::Entry;
use crate::call::{CallId, Millis, ReviewerId};

/// What a notice tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeKind {
    /// A call waits for a decision.
    Held,
    /// Further reviewers are asked.
    Escalated,
    /// Approved or rejected.
    Decided,
    /// Nobody decided in time.
    Expired,
    /// It may have run.
    OutcomeUnknown,
    /// Its caller took it back.
    Cancelled,
    /// It ran and answered. Shown on its page; nobody is mailed.
    Finished,
}

impl std::str::FromStr for NoticeKind {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "call.held" => Ok(Self::Held),
            "call.escalated" => Ok(Self::Escalated),
            "call.decided" => Ok(Self::Decided),
            "call.expired" => Ok(Self::Expired),
            "call.outcome_unknown" => Ok(Self::OutcomeUnknown),
            "call.cancelled" => Ok(Self::Cancelled),
            "call.finished" => Ok(Self::Finished),
            _ => Err("is no kind of notice"),
        }
    }
}

/// A notice that nobody is written down for yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Its number: later notices have greater ones.
    pub id: i64,
    /// What it tells of.
    pub kind: NoticeKind,
    /// The call.
    pub call: CallId,
    /// When it happened.
    pub at: Millis,
}

/// Somebody who was to be told that a call waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Who.
    pub reviewer: ReviewerId,
    /// A mail about it may have arrived, or is under way.
    pub reached: bool,
}

/// Notices to one reviewer that leave together: the fresh ones, or those of a mail that was tried before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailGroup {
    /// To whom.
    pub reviewer: ReviewerId,
    /// The mail they are fixed to.
    pub message: Option<String>,
    /// When the oldest notice happened.
    pub first: Millis,
    /// When the newest notice happened.
    pub latest: Millis,
    /// Not before.
    pub due: Millis,
    /// When the last mail to this reviewer left.
    pub last_mail: Option<Millis>,
}

/// A notice that is being mailed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedMail {
    /// The notice.
    pub notice: Notice,
    /// Attempts so far, this one included.
    pub attempts: u32,
}

/// What became of a claimed row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The server took it.
    Sent,
    /// It no longer has to be told.
    Superseded,
    /// Try again then. `reached`: the server saw this mail, so it stays the same mail.
    Again {
        /// Not before.
        at: Millis,
        /// Whether the attempt counts.
        reached: bool,
        /// What went wrong.
        why: String,
    },
    /// Try again now, as the only notice in its mail.
    Alone {
        /// That mail.
        message: String,
        /// What went wrong.
        why: String,
    },
    /// Not tried again.
    Failed {
        /// What went wrong, for the database.
        why: String,
        /// The same without addresses, for the log.
        plain: String,
    },
}

fn bad(table: &'static str, row: &dyn ToString, column: &'static str, problem: &dyn ToString) -> StoreError {
    StoreError::BadRow { table, row: row.to_string(), column, problem: problem.to_string() }
}

fn notice(row: &SqliteRow) -> Result<Notice, StoreError> {
    let id: i64 = row.try_get("id")?;
    let (kind, call): (String, String) = (row.try_get("kind")?, row.try_get("call_id")?);
    Ok(Notice {
        id,
        kind: kind.parse().map_err(|e| bad("outbox", &id, "kind", &e))?,
        call: call.parse().map_err(|e| bad("outbox", &id, "call_id", &e))?,
        at: Millis(row.try_get("created_at")?),
    })
}

impl Store {
    /// Up to 200 notices that nobody is written down for yet, oldest first. One that cannot be read is an error of its
    /// own beside its number; it stops none of the others.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn notices_queued(&self) -> Result<Vec<Result<Notice, (i64, StoreError)>>, StoreError> {
        let sql = "SELECT id, kind, call_id, created_at FROM outbox WHERE state = 'queued' ORDER BY id LIMIT 200";
        let rows = sqlx::query(sql).fetch_all(self.readers()).await?;
        rows.iter()
            .map(|row| {
                let id: i64 = row.try_get("id")?;
                Ok(notice(row).map_err(|error| (id, error)))
            })
            .collect()
    }

    /// Writes down who gets a notice.
    ///
    /// # Errors
    /// The database did not take it.
    pub async fn notice_addressed(&self, notice: Notice, to: Vec<ReviewerId>) -> Result<(), StoreError> {
        self.write("notice_addressed", move |tx| {
            Box::pin(async move {
                let now = tx.now();
                let sql = "INSERT INTO mails (notice_id, reviewer_id, call_id, created_at, state, due_at, changed_at)
                           SELECT $1, value, $2, $3, 'queued', $3, $4 FROM json_each($5) WHERE true
                           ON CONFLICT DO NOTHING";
                sqlx::query(sql)
                    .bind(notice.id)
                    .bind(notice.call.to_string())
                    .bind(notice.at.0)
                    .bind(now.0)
                    .bind(serde_json::to_string(&to)?)
                    .execute(tx.connection())
                    .await?;
                failpoint!("mail.addressing" => sqlx::Error);
                set_notice(tx, notice.id, "addressed").await
            })
        })
        .await
    }

    /// Puts a notice aside that cannot be read.
    ///
    /// # Errors
    /// The database did not take it.
    pub async fn notice_broken(&self, id: i64) -> Result<(), StoreError> {
        self.write("notice_broken", move |tx| Box::pin(async move { set_notice(tx, id, "broken").await })).await
    }

    /// Puts all queued notices aside: no mail server is configured.
    ///
    /// # Errors
    /// The database did not take it.
    pub async fn notices_unmailed(&self) -> Result<(), StoreError> {
        self.write("notices_unmailed", |tx| {
            Box::pin(async move {
                let sql = "UPDATE outbox SET state = 'unmailed' WHERE state = 'queued'";
                sqlx::query(sql).execute(tx.connection()).await?;
                Ok(())
            })
        })
        .await
    }

    /// Who was to be told that this call waits.
    ///
    /// # Errors
    /// The database does not answer, or a row is damaged.
    pub async fn told_of(&self, call: CallId) -> Result<Vec<Told>, StoreError> {
        let sql = "SELECT m.reviewer_id, max(m.attempts > 0 OR m.state = 'sent') AS reached FROM mails m
                   JOIN outbox o ON o.id = m.notice_id
                   WHERE m.call_id = $1 AND o.kind IN ('call.held', 'call.escalated') GROUP BY m.reviewer_id";
        let rows = sqlx::query(sql).bind(call.to_string()).fetch_all(self.readers()).await?;
        rows.iter()
            .map(|row| Ok(Told { reviewer: reviewer(row)?, reached: row.try_get::<i64, _>("reached")? != 0 }))
            .collect()
    }

    /// What waits to be mailed, by reviewer and mail.
    ///
    /// # Errors
    /// The database does not answer, or a row is damaged.
    pub async fn mail_groups(&self) -> Result<Vec<MailGroup>, StoreError> {
        let sql = "SELECT m.reviewer_id, m.message, min(m.created_at) AS first, max(m.created_at) AS latest,
                       min(m.due_at) AS due,
                       (SELECT max(s.changed_at) FROM mails s WHERE s.reviewer_id = m.reviewer_id AND s.state = 'sent')
                           AS last_mail
                   FROM mails m WHERE m.state = 'queued' GROUP BY m.reviewer_id, m.message ORDER BY first, m.reviewer_id";
        let rows = sqlx::query(sql).fetch_all(self.readers()).await?;
        rows.iter()
            .map(|row| {
                Ok(MailGroup {
                    reviewer: reviewer(row)?,
                    message: row.try_get("message")?,
                    first: Millis(row.try_get("first")?),
                    latest: Millis(row.try_get("latest")?),
                    due: Millis(row.try_get("due")?),
                    last_mail: row.try_get::<Option<i64>, _>("last_mail")?.map(Millis),
                })
            })
            .collect()
    }

    /// How many notices wait to be mailed.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn mails_waiting(&self) -> Result<u64, StoreError> {
        let sql = "SELECT (SELECT count(*) FROM mails WHERE state IN ('queued', 'sending'))
                        + (SELECT count(*) FROM outbox WHERE state = 'queued')";
        let count: i64 = sqlx::query_scalar(sql).fetch_one(self.readers()).await?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Since when the oldest notice waits to be mailed, and how many wait; `None` if none does.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn oldest_waiting_mail(&self) -> Result<Option<(Millis, u64)>, StoreError> {
        let sql = "SELECT min(o.created_at), count(*) FROM outbox o
                   WHERE o.state = 'queued'
                      OR EXISTS (SELECT 1 FROM mails m WHERE m.notice_id = o.id AND m.state IN ('queued', 'sending'))";
        let (since, count): (Option<i64>, i64) = sqlx::query_as(sql).fetch_one(self.readers()).await?;
        Ok(since.map(|since| (Millis(since), u64::try_from(count).unwrap_or(0))))
    }

    /// Claims a group's rows, oldest first, at most `most`: until `lease` ends nobody else mails them. `name` makes the
    /// mail's identity from the notices' numbers, for rows that have none.
    ///
    /// # Errors
    /// The database did not take it, or a row is damaged.
    pub async fn mails_claim(
        &self,
        group: MailGroup,
        most: u32,
        lease: Millis,
        name: impl FnOnce(&[i64]) -> String + Send + 'static,
    ) -> Result<(String, Vec<ClaimedMail>), StoreError> {
        self.write("mails_claim", move |tx| {
            Box::pin(async move {
                let now = tx.now();
                let sql = "SELECT o.id, o.kind, o.call_id, o.created_at, m.attempts FROM mails m
                           JOIN outbox o ON o.id = m.notice_id
                           WHERE m.reviewer_id = $1 AND m.message IS $2 AND m.state = 'queued' ORDER BY o.id LIMIT $3";
                let rows = sqlx::query(sql)
                    .bind(group.reviewer.to_string())
                    .bind(&group.message)
                    .bind(most)
                    .fetch_all(tx.connection())
                    .await?;
                let claimed: Vec<ClaimedMail> = rows
                    .iter()
                    .map(|row| {
                        let attempts: u32 = row.try_get("attempts")?;
                        Ok(ClaimedMail { notice: notice(row)?, attempts: attempts.saturating_add(1) })
                    })
                    .collect::<Result<_, StoreError>>()?;
                let ids: Vec<i64> = claimed.iter().map(|claimed| claimed.notice.id).collect();
                let message = group.message.unwrap_or_else(|| name(&ids));
                let sql = "UPDATE mails SET state = 'sending', attempts = attempts + 1, lease_until = $1, message = $2,
                               changed_at = $3
                           WHERE reviewer_id = $4 AND notice_id IN (SELECT value FROM json_each($5))";
                sqlx::query(sql)
                    .bind(lease.0)
                    .bind(&message)
                    .bind(now.0)
                    .bind(group.reviewer.to_string())
                    .bind(serde_json::to_string(&ids)?)
                    .execute(tx.connection())
                    .await?;
                Ok((message, claimed))
            })
        })
        .await
    }

    /// Records what became of one reviewer's claimed rows. A failure for good is an entry in the log.
    ///
    /// # Errors
    /// The database did not take it; the rows stay claimed until their lease ends.
    pub async fn mails_settle(&self, to: ReviewerId, settled: Vec<(Notice, Settled)>) -> Result<(), StoreError> {
        self.write("mails_settle", move |tx| {
            Box::pin(async move {
                for (notice, how) in settled {
                    settle(tx, to, notice, how).await?;
                    failpoint!("mail.settling" => sqlx::Error);
                }
                Ok(())
            })
        })
        .await
    }

    /// Queues again what was under way when its lease ended, or, right after a start, whatever was under way.
    ///
    /// # Errors
    /// The database did not take it.
    pub async fn mails_recover(&self, lease_before: Millis) -> Result<u64, StoreError> {
        self.write("mails_recover", move |tx| {
            Box::pin(async move {
                let sql = "UPDATE mails SET state = 'queued', due_at = $1, lease_until = NULL, changed_at = $1
                           WHERE state = 'sending' AND lease_until <= $2";
                let now = tx.now();
                let done = sqlx::query(sql).bind(now.0).bind(lease_before.0).execute(tx.connection()).await?;
                Ok(done.rows_affected())
            })
        })
        .await
    }

    /// Forgets notices older than `before` that no mail waits for.
    ///
    /// # Errors
    /// The database did not take it.
    pub async fn outbox_prune(&self, before: Millis) -> Result<u64, StoreError> {
        self.write("outbox_prune", move |tx| {
            Box::pin(async move {
                let sql = "DELETE FROM outbox WHERE state <> 'queued' AND created_at < $1 AND NOT EXISTS
                               (SELECT 1 FROM mails m WHERE m.notice_id = outbox.id AND m.state IN ('queued', 'sending'))";
                Ok(sqlx::query(sql).bind(before.0).execute(tx.connection()).await?.rows_affected())
            })
        })
        .await
    }
}

async fn set_notice(tx: &mut Tx<'_>, id: i64, state: &'static str) -> Result<(), StoreError> {
    let sql = "UPDATE outbox SET state = $1 WHERE id = $2 AND state = 'queued'";
    sqlx::query(sql).bind(state).bind(id).execute(tx.connection()).await?;
    Ok(())
}

fn reviewer(row: &SqliteRow) -> Result<ReviewerId, StoreError> {
    let id: String = row.try_get("reviewer_id")?;
    id.parse().map_err(|e| bad("mails", &id, "reviewer_id", &e))
}

async fn settle(tx: &mut Tx<'_>, to: ReviewerId, notice: Notice, how: Settled) -> Result<(), StoreError> {
    let now = tx.now();
    let (state, due, uncounted, message, why) = match &how {
        Settled::Sent => ("sent", now, false, None, None),
        Settled::Superseded => ("superseded", now, true, None, None),
        Settled::Again { at, reached, why } => ("queued", *at, !reached, None, Some(why)),
        Settled::Alone { message, why } => ("queued", now, false, Some(message), Some(why)),
        Settled::Failed { why, .. } => ("failed", now, false, None, Some(why)),
    };
    // What never reached the server leaves no trace: its notices may join other mails again.
    let sql = "UPDATE mails SET state = $1, due_at = $2, lease_until = NULL, changed_at = $3, why = coalesce($4, why),
                   attempts = attempts - $5,
                   message = CASE WHEN $5 AND attempts = 1 THEN NULL ELSE coalesce($6, message) END
               WHERE notice_id = $7 AND reviewer_id = $8 AND state = 'sending'";
    sqlx::query(sql)
        .bind(state)
        .bind(due.0)
        .bind(now.0)
        .bind(why)
        .bind(i64::from(uncounted))
        .bind(message)
        .bind(notice.id)
        .bind(to.to_string())
        .execute(tx.connection())
        .await?;
    if let Settled::Failed { plain, .. } = how {
        tx.append(Entry::new("mail.failed").call(notice.call).reviewer(to).with("why", plain))?;
    }
    Ok(())
}
