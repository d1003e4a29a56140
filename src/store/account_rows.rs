//! The rows of people, agents, sessions, tokens and links as a verification looks at them: each with the entry that it
//! names, and whether it bears its seal.

use serde_json::{Map, Value};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::sealed::{AGENTS, API_TOKENS, LINKS, REVIEWERS, SESSIONS, Sealed};
use super::{Roles, Snapshot, StoreError};
use crate::audit::verify::{AccountRow, Holder};
use crate::call::Millis;
use crate::seal::Seal;

impl Snapshot {
    /// Rows of one kind whose row numbers come after `after`, at most `limit`, and the last one's number. With the key
    /// of the seals it is also looked at whether each bears its seal.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn account_rows(
        &mut self,
        holder: Holder,
        after: i64,
        limit: u32,
        seal: Option<&Seal>,
    ) -> Result<(Vec<AccountRow>, Option<i64>), StoreError> {
        let sealed = table(holder);
        // By row numbers: they miss nothing, an id could be null.
        let sql = format!(
            "SELECT t.*, t.rowid AS number, e.body AS entry_body FROM {} t LEFT JOIN entries e ON e.seq = t.entry
             WHERE t.rowid > $1 ORDER BY t.rowid LIMIT $2",
            sealed.table
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(after).bind(i64::from(limit));
        let rows = query.fetch_all(&mut self.connection).await?;
        let last = rows.last().map(|row| row.try_get("number")).transpose()?;
        let read = |row: &SqliteRow| {
            let genuine = seal.map(|seal| sealed.bears_seal(row, seal)).transpose()?;
            Ok::<_, StoreError>(read(holder, sealed, row, genuine)?)
        };
        Ok((rows.iter().map(read).collect::<Result<_, _>>()?, last))
    }
}

fn table(holder: Holder) -> &'static Sealed {
    match holder {
        Holder::Agent => &AGENTS,
        Holder::Reviewer => &REVIEWERS,
        Holder::Session => &SESSIONS,
        Holder::Token => &API_TOKENS,
        Holder::Link => &LINKS,
    }
}

fn read(holder: Holder, sealed: &Sealed, row: &SqliteRow, genuine: Option<bool>) -> Result<AccountRow, sqlx::Error> {
    let ended = match holder {
        Holder::Agent => "revoked_at",
        Holder::Reviewer => "disabled_at",
        Holder::Session | Holder::Token | Holder::Link => "ended_at",
    };
    let of = match holder {
        Holder::Agent | Holder::Reviewer => None,
        Holder::Session | Holder::Token | Holder::Link => Some(row.try_get("reviewer_id")?),
    };
    Ok(AccountRow {
        holder,
        id: row.try_get::<Option<String>, _>(sealed.key)?.unwrap_or_default(),
        of,
        made_at: Millis(row.try_get("created_at")?),
        ended_at: row.try_get::<Option<i64>, _>(ended)?.map(Millis),
        entry: row.try_get("entry")?,
        body: row.try_get("entry_body")?,
        facts: facts(holder, row)?,
        sealed: genuine,
    })
}

/// What entries tell of it as well, by the names that they have for it.
fn facts(holder: Holder, row: &SqliteRow) -> Result<Map<String, Value>, sqlx::Error> {
    let listed = |column: &str| {
        let text: String = row.try_get(column)?;
        Ok::<_, sqlx::Error>(serde_json::from_str(&text).unwrap_or(Value::String(text)))
    };
    let facts = match holder {
        Holder::Agent => {
            vec![("name", row.try_get::<String, _>("name")?.into()), ("upstreams", listed("upstreams")?)]
        }
        Holder::Reviewer => {
            let roles = Roles {
                reviewer: row.try_get("is_reviewer")?,
                auditor: row.try_get("is_auditor")?,
                administrator: row.try_get("is_administrator")?,
            };
            vec![("roles", roles.names().into()), ("groups", listed("groups")?)]
        }
        Holder::Token => {
            let expires_at = Millis(row.try_get("expires_at")?).to_string();
            vec![("may_decide", row.try_get::<bool, _>("may_decide")?.into()), ("expires_at", expires_at.into())]
        }
        Holder::Session | Holder::Link => Vec::new(),
    };
    Ok(facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}
