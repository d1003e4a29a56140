//! Reviewers' accounts.

use std::collections::BTreeSet;

use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::sessions::end_all;
use super::{Reviewer, Roles, listed, moment, parsed};
use crate::audit::Entry;
use crate::call::{Email, GroupName, Millis, ReviewerId};
use crate::store::sealed::{API_TOKENS, LINKS, REVIEWERS, Trust};
use crate::store::spent::{How, Kind};
use crate::store::{Store, StoreError, Tx};

/// An account that is to be made.
#[derive(Clone, Debug)]
pub struct NewReviewer {
    /// Its id, unless a disabled account of the same address is opened again.
    pub id: ReviewerId,
    /// Where mails go.
    pub email: Email,
    /// As shown.
    pub name: String,
    /// What the person may do.
    pub roles: Roles,
    /// Whose calls the person reviews.
    pub groups: BTreeSet<GroupName>,
    /// PHC string; `None`: signs in by link.
    pub password: Option<String>,
}

/// A row that does not bear its seal is nobody's: an account that is disabled.
fn reviewer(row: &SqliteRow, trust: &Trust) -> Result<Reviewer, StoreError> {
    let genuine = REVIEWERS.is_genuine(row, trust)?;
    let made = Millis(row.try_get("created_at")?);
    Ok(Reviewer {
        id: parsed(row, "reviewers", "id")?,
        email: parsed(row, "reviewers", "email")?,
        name: row.try_get("name")?,
        roles: Roles {
            reviewer: row.try_get("is_reviewer")?,
            auditor: row.try_get("is_auditor")?,
            administrator: row.try_get("is_administrator")?,
        },
        groups: listed(row, "reviewers", "groups")?,
        disabled_at: moment(row, "disabled_at")?.or((!genuine).then_some(made)),
        genuine,
    })
}

/// The account inside a transaction, so that a decision and the right to it are judged at the same moment.
pub(in crate::store) async fn by_id(
    connection: &mut SqliteConnection,
    id: ReviewerId,
    trust: &Trust,
) -> Result<Option<Reviewer>, StoreError> {
    let query = sqlx::query(REVIEWERS.select("WHERE t.id = $1")).bind(id.to_string());
    query.fetch_optional(connection).await?.as_ref().map(|row| reviewer(row, trust)).transpose()
}

async fn by_email(tx: &mut Tx<'_>, email: &Email) -> Result<Option<Reviewer>, StoreError> {
    let trust = tx.trust();
    let query = sqlx::query(REVIEWERS.select("WHERE t.email = $1")).bind(email.as_str());
    query.fetch_optional(tx.connection()).await?.as_ref().map(|row| reviewer(row, &trust)).transpose()
}

/// Whether the account stands, with this password, at the moment of the write.
pub(super) async fn stands(tx: &mut Tx<'_>, id: ReviewerId, phc: &str) -> Result<bool, StoreError> {
    let trust = tx.trust();
    let query = sqlx::query(REVIEWERS.select("WHERE t.id = $1 AND t.password = $2")).bind(id.to_string()).bind(phc);
    let row = query.fetch_optional(tx.connection()).await?;
    let account = row.as_ref().map(|row| reviewer(row, &trust)).transpose()?;
    Ok(account.is_some_and(|account| account.disabled_at.is_none()))
}

impl Store {
    /// Makes an account, or opens a disabled one of the same address again with these rights; `None` if a live one
    /// has that address. An account that was changed behind Placet's back is set aside for good, and the person gets
    /// another one.
    ///
    /// # Errors
    /// The database did not take it.
    pub async fn reviewer_add(&self, new: NewReviewer) -> Result<Option<Reviewer>, StoreError> {
        self.write("reviewer_add", move |tx| {
            Box::pin(async move {
                let known = by_email(tx, &new.email).await?;
                let id = match known {
                    Some(known) if known.genuine && known.disabled_at.is_none() => return Ok(None),
                    Some(known) if known.genuine => known.id,
                    Some(forged) => {
                        set_aside(tx, &forged).await?;
                        new.id
                    }
                    None => new.id,
                };
                let sql = "INSERT INTO reviewers (id, email, name, is_reviewer, is_auditor, is_administrator, groups,
                                                  password, created_at)
                           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
                           ON CONFLICT (id) DO UPDATE
                           SET name = excluded.name, is_reviewer = excluded.is_reviewer,
                               is_auditor = excluded.is_auditor, is_administrator = excluded.is_administrator,
                               groups = excluded.groups, password = excluded.password, disabled_at = NULL";
                sqlx::query(sql)
                    .bind(id.to_string())
                    .bind(new.email.as_str())
                    .bind(&new.name)
                    .bind(new.roles.reviewer)
                    .bind(new.roles.auditor)
                    .bind(new.roles.administrator)
                    .bind(serde_json::to_string(&new.groups)?)
                    .bind(&new.password)
                    .bind(tx.now().0)
                    .execute(tx.connection())
                    .await?;
                // The address is given anew: no row of before has it, whether or not it could be found.
                REVIEWERS.spend_all(tx, new.email.as_str(), None);
                let groups: Vec<_> = new.groups.iter().map(ToString::to_string).collect();
                let entry = Entry::new("reviewer.added").reviewer(id).with("roles", new.roles.names());
                let entry = tx.append_numbered(entry.with("groups", groups).with("again", id != new.id))?;
                REVIEWERS.spend_row(tx, &id.to_string(), Some(entry), How::Live).await?;
                let NewReviewer { email, name, roles, groups, .. } = new;
                Ok(Some(Reviewer { id, email, name, roles, groups, disabled_at: None, genuine: true }))
            })
        })
        .await
    }

    /// An account, disabled or not.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn reviewer(&self, id: ReviewerId) -> Result<Option<Reviewer>, StoreError> {
        let mut connection = self.readers().acquire().await?;
        by_id(&mut connection, id, &self.trust()).await
    }

    /// The account of an address, with its password's PHC string.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn reviewer_by_email(&self, email: &Email) -> Result<Option<(Reviewer, Option<String>)>, StoreError> {
        let query = sqlx::query(REVIEWERS.select("WHERE t.email = $1")).bind(email.as_str());
        let trust = self.trust();
        let row = query.fetch_optional(self.readers()).await?;
        row.as_ref().map(|row| Ok((reviewer(row, &trust)?, row.try_get("password")?))).transpose()
    }

    /// All accounts by address, the disabled ones last.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn reviewers(&self) -> Result<Vec<Reviewer>, StoreError> {
        let order = "ORDER BY t.disabled_at IS NOT NULL, t.email";
        let trust = self.trust();
        let rows = sqlx::query(REVIEWERS.select(order)).fetch_all(self.readers()).await?;
        rows.iter().map(|row| reviewer(row, &trust)).collect()
    }

    /// Disables an account and ends its sessions, links and tokens; `None` if no live account has that address. One
    /// that was changed behind Placet's back is disabled as well: that gives nobody a right.
    ///
    /// # Errors
    /// The database did not take it.
    pub async fn reviewer_disable(&self, email: Email) -> Result<Option<Reviewer>, StoreError> {
        self.write("reviewer_disable", move |tx| {
            Box::pin(async move {
                let now = tx.now();
                let Some(known) = by_email(tx, &email).await? else { return Ok(None) };
                if known.genuine && known.disabled_at.is_some() {
                    return Ok(None);
                }
                let changed = (!known.genuine).then_some("changed_by_hand");
                // Another row may have stood under the address.
                REVIEWERS.spend_all(tx, email.as_str(), None);
                disable(tx, known.id, changed).await?;
                Ok(Some(Reviewer { disabled_at: Some(now), ..known }))
            })
        })
        .await
    }

    /// Sets a password and ends every other session and open link of the person; `false` if the account does not stand.
    ///
    /// # Errors
    /// The database did not take it.
    pub async fn password_set(&self, id: ReviewerId, phc: String, keep: Option<String>) -> Result<bool, StoreError> {
        self.write("password_set", move |tx| {
            Box::pin(async move {
                let trust = tx.trust();
                let account = by_id(tx.connection(), id, &trust).await?;
                if account.is_none_or(|account| account.disabled_at.is_some()) {
                    return Ok(false);
                }
                let query = sqlx::query("UPDATE reviewers SET password = $2 WHERE id = $1").bind(id.to_string());
                query.bind(phc).execute(tx.connection()).await?;
                end_all(tx, id, keep.as_deref()).await?;
                end_links(tx, id).await?;
                let entry = Entry::new("password.changed").reviewer(id);
                let entry = match keep {
                    Some(keep) => entry.with("kept", keep),
                    None => entry,
                };
                let entry = tx.append_numbered(entry)?;
                REVIEWERS.spend_row(tx, &id.to_string(), Some(entry), How::Live).await?;
                Ok(true)
            })
        })
        .await
    }
}

/// Disables an account and ends its sessions, links and tokens.
async fn disable(tx: &mut Tx<'_>, id: ReviewerId, why: Option<&str>) -> Result<(), StoreError> {
    let (key, now) = (id.to_string(), tx.now().0);
    let sql = "UPDATE reviewers SET disabled_at = $2 WHERE id = $1";
    sqlx::query(sql).bind(&key).bind(now).execute(tx.connection()).await?;
    end_all(tx, id, None).await?;
    end_links(tx, id).await?;
    end_tokens(tx, id).await?;
    let mut entry = Entry::new("reviewer.disabled").reviewer(id);
    if let Some(why) = why {
        entry = entry.with(why, true);
    }
    let entry = tx.append_numbered(entry)?;
    REVIEWERS.spend_row(tx, &key, Some(entry), How::Ended).await
}

/// After the database was put back: disables the accounts that are known to have been disabled since. Those that were
/// changed otherwise stand as they were then. Returns how many were disabled.
pub(in crate::store) async fn disable_again(tx: &mut Tx<'_>) -> Result<u64, StoreError> {
    let view = tx.trust().spent.of_one_put_back();
    let mut count = 0;
    for row in REVIEWERS.live(tx.connection()).await? {
        // That an account was disabled counts whatever number its row names: its log is another one.
        let ended = matches!(view.what_became(Kind::Reviewer, &row.id), Some((How::Ended, _)));
        if ended || row.is_older(&view) {
            disable(tx, person(&row.id)?, Some("restored")).await?;
            count += 1;
        }
    }
    Ok(count)
}

fn person(key: &str) -> Result<ReviewerId, StoreError> {
    key.parse().map_err(|error: crate::call::BadName| StoreError::BadRow {
        table: "reviewers",
        row: key.to_owned(),
        column: "id",
        problem: error.to_string(),
    })
}

/// Takes an account that was changed behind Placet's back out of the way of its address. It never stands again.
async fn set_aside(tx: &mut Tx<'_>, forged: &Reviewer) -> Result<(), StoreError> {
    let sql = "UPDATE reviewers SET email = id || '@set-aside.invalid', disabled_at = $2, seal = NULL WHERE id = $1";
    let now = tx.now().0;
    sqlx::query(sql).bind(forged.id.to_string()).bind(now).execute(tx.connection()).await?;
    tx.append(Entry::new("reviewer.set_aside").reviewer(forged.id))
}

/// Ends a person's open links; returns how many.
pub(super) async fn end_links(tx: &mut Tx<'_>, id: ReviewerId) -> Result<u64, StoreError> {
    let sql = "UPDATE sign_in_links SET ended_at = $2 WHERE reviewer_id = $1 AND ended_at IS NULL RETURNING token_hash";
    let now = tx.now().0;
    let query = sqlx::query_scalar::<_, String>(sql).bind(id.to_string()).bind(now);
    let ended = query.fetch_all(tx.connection()).await?;
    for link in &ended {
        LINKS.seal_row(tx, link, None).await?;
    }
    LINKS.spend_all(tx, &id.to_string(), None);
    Ok(ended.len() as u64)
}

/// Ends a person's API tokens; returns how many.
async fn end_tokens(tx: &mut Tx<'_>, id: ReviewerId) -> Result<u64, StoreError> {
    let sql = "UPDATE api_tokens SET ended_at = $2 WHERE reviewer_id = $1 AND ended_at IS NULL RETURNING id";
    let now = tx.now().0;
    let query = sqlx::query_scalar::<_, String>(sql).bind(id.to_string()).bind(now);
    let ended = query.fetch_all(tx.connection()).await?;
    for token in &ended {
        API_TOKENS.seal_row(tx, token, None).await?;
    }
    API_TOKENS.spend_all(tx, &id.to_string(), None);
    Ok(ended.len() as u64)
}

/// How much was ended.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::store) struct Ended {
    pub sessions: u64,
    pub links: u64,
    pub tokens: u64,
}

/// Ends all sessions, links and API tokens of everybody.
pub(in crate::store) async fn end_everything(tx: &mut Tx<'_>) -> Result<Ended, StoreError> {
    let ids: Vec<String> = sqlx::query_scalar("SELECT id FROM reviewers").fetch_all(tx.connection()).await?;
    let mut all = Ended::default();
    for id in ids {
        let person = person(&id)?;
        let why = "the database was put back";
        let sessions = end_all(tx, person, None).await?;
        if sessions > 0 {
            let entry = Entry::new("session.signed_out").reviewer(person).with("sessions", sessions);
            tx.append(entry.with("why", why))?;
        }
        let tokens = end_tokens(tx, person).await?;
        if tokens > 0 {
            let entry = Entry::new("token.revoked").reviewer(person).with("tokens", tokens);
            tx.append(entry.with("why", why))?;
        }
        all.sessions += sessions;
        all.links += end_links(tx, person).await?;
        all.tokens += tokens;
    }
    Ok(all)
}
