//! The rows of people, agents, sessions, tokens, links and tools as a verification looks at them: each with the entry
//! that it names, and whether it bears its seal.

use serde_json::{Map, Value};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::sealed::{AGENTS, API_TOKENS, LINKS, PINS, REVIEWERS, SESSIONS, STANDING, Sealed};
use super::{Roles, Snapshot, StoreError};
use crate::audit::verify::{Holder, RightRow, tool_name};
use crate::call::Millis;
use crate::call::tool::Said;
use crate::seal::Seal;

impl Snapshot {
    /// Rows of one kind whose row numbers come after `after`, at most `limit`, and the last one's number. With the key
    /// of the seals it is also looked at whether each bears its seal.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn right_rows(
        &mut self,
        holder: Holder,
        after: i64,
        limit: u32,
        seal: Option<&Seal>,
    ) -> Result<(Vec<RightRow>, Option<i64>), StoreError> {
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
        Holder::Tool => &PINS,
        Holder::Standing => &STANDING,
    }
}

fn read(holder: Holder, sealed: &Sealed, row: &SqliteRow, genuine: Option<bool>) -> Result<RightRow, sqlx::Error> {
    // A tool's pin never ends: where it waits to be accepted, it stands in the database for that.
    let (made, ended) = match holder {
        Holder::Agent => ("created_at", Some("revoked_at")),
        Holder::Reviewer => ("created_at", Some("disabled_at")),
        Holder::Session | Holder::Token | Holder::Link => ("created_at", Some("ended_at")),
        Holder::Tool => ("seen_at", None),
        Holder::Standing => ("granted_at", Some("ended_at")),
    };
    let ended = ended.map(|ended| row.try_get::<Option<i64>, _>(ended)).transpose()?.flatten();
    let of = match holder {
        Holder::Agent | Holder::Reviewer | Holder::Tool | Holder::Standing => None,
        Holder::Session | Holder::Token | Holder::Link => Some(row.try_get("reviewer_id")?),
    };
    Ok(RightRow {
        holder,
        id: row.try_get::<Option<String>, _>(sealed.key)?.unwrap_or_default(),
        of,
        made_at: Millis(row.try_get(made)?),
        ended_at: ended.map(Millis),
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
        Holder::Tool => {
            let text = |column| row.try_get::<Option<String>, _>(column);
            let at =
                |column| Ok::<_, sqlx::Error>(row.try_get::<Option<i64>, _>(column)?.map(|at| Millis(at).to_string()));
            // Whatever stands beside it as its digest, what it says is what is shown and compared.
            let says = |column| {
                let words = text(column)?;
                let digest =
                    |words: &String| Said::parse(words).map_or("none".to_owned(), |said| said.digest.to_string());
                Ok::<_, sqlx::Error>(words.as_ref().map(digest))
            };
            let (upstream, tool): (String, String) = (row.try_get("upstream")?, row.try_get("tool")?);
            vec![
                ("name", tool_name(&upstream, &tool).into()),
                ("digest", text("digest")?.into()),
                ("says", says("json")?.into()),
                ("accepted_at", at("accepted_at")?.into()),
                ("accepted_by", text("accepted_by")?.into()),
                ("reason", text("reason")?.into()),
                ("pending_digest", text("pending_digest")?.into()),
                ("pending_says", says("pending_json")?.into()),
                ("pending_at", at("pending_at")?.into()),
            ]
        }
        Holder::Standing => {
            let text = |column| row.try_get::<String, _>(column);
            let number = |column| row.try_get::<i64, _>(column);
            let (agent, upstream, tool) = (text("agent_name")?, text("upstream")?, text("tool")?);
            vec![
                ("name", format!("{} by {agent}", tool_name(&upstream, &tool)).into()),
                ("agent_id", text("agent_id")?.into()),
                ("upstream_config", text("upstream_config")?.into()),
                ("tool_schema", row.try_get::<Option<String>, _>("tool_schema")?.into()),
                ("open", listed("open")?),
                ("fixed", text("fixed")?.into()),
                ("uses", number("uses")?.into()),
                ("used", number("used")?.into()),
                ("until", Millis(number("until")?).to_string().into()),
                ("call", text("call_id")?.into()),
                ("granted_by", text("granted_by")?.into()),
                ("granted_for", text("reason")?.into()),
            ]
        }
        Holder::Session | Holder::Link => Vec::new(),
    };
    Ok(facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}
