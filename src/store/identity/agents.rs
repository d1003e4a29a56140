//! Agents.

use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::{Agent, listed, moment, parsed};
use crate::audit::Entry;
use crate::call::{AgentId, AgentName, Digest, Email, Millis, UpstreamName};
use crate::store::{Store, StoreError};

const COLUMNS: &str = "id, name, owner, upstreams, created_at, revoked_at";

/// An agent that is to be added.
#[derive(Clone, Debug)]
pub struct NewAgent {
    /// Its id.
    pub id: AgentId,
    /// Its name.
    pub name: AgentName,
    /// The human who answers for it.
    pub owner: Email,
    /// Where it may go; empty: everywhere.
    pub upstreams: Vec<UpstreamName>,
    /// Hash of its token.
    pub token_hash: Digest,
}

fn agent(row: &SqliteRow) -> Result<Agent, StoreError> {
    Ok(Agent {
        id: parsed(row, "agents", "id")?,
        name: parsed(row, "agents", "name")?,
        owner: parsed(row, "agents", "owner")?,
        upstreams: listed(row, "agents", "upstreams")?,
        created_at: Millis(row.try_get("created_at")?),
        revoked_at: moment(row, "revoked_at")?,
    })
}

pub(in crate::store) async fn by_id(
    connection: &mut SqliteConnection,
    id: AgentId,
) -> Result<Option<Agent>, StoreError> {
    let sql = sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM agents WHERE id = $1"));
    let row = sqlx::query(sql).bind(id.to_string()).fetch_optional(connection).await?;
    row.as_ref().map(agent).transpose()
}

impl Store {
    /// Adds an agent; `None` if a live one has that name.
    ///
    /// # Errors
    /// The database did not take it.
    pub async fn agent_add(&self, new: NewAgent) -> Result<Option<Agent>, StoreError> {
        self.write("agent_add", move |tx| {
            Box::pin(async move {
                let now = tx.now();
                let upstreams = serde_json::to_string(&new.upstreams)?;
                let sql = "INSERT INTO agents (id, name, owner, upstreams, token_hash, created_at)
                           VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (name) WHERE revoked_at IS NULL DO NOTHING";
                let done = sqlx::query(sql)
                    .bind(new.id.to_string())
                    .bind(new.name.as_str())
                    .bind(new.owner.as_str())
                    .bind(upstreams)
                    .bind(new.token_hash.to_string())
                    .bind(now.0)
                    .execute(tx.connection())
                    .await?;
                if done.rows_affected() == 0 {
                    return Ok(None);
                }
                let upstreams: Vec<_> = new.upstreams.iter().map(ToString::to_string).collect();
                let entry = Entry::new("agent.added").agent(&new.name).with("agent_id", new.id.to_string());
                tx.append(entry.with("upstreams", upstreams))?;
                let NewAgent { id, name, owner, upstreams, .. } = new;
                Ok(Some(Agent { id, name, owner, upstreams, created_at: now, revoked_at: None }))
            })
        })
        .await
    }

    /// The agent with this token, revoked or not.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn agent_by_token(&self, hash: Digest) -> Result<Option<Agent>, StoreError> {
        let sql = sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM agents WHERE token_hash = $1"));
        let row = sqlx::query(sql).bind(hash.to_string()).fetch_optional(self.readers()).await?;
        row.as_ref().map(agent).transpose()
    }

    /// An agent, revoked or not.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn agent(&self, id: AgentId) -> Result<Option<Agent>, StoreError> {
        let mut connection = self.readers().acquire().await?;
        by_id(&mut connection, id).await
    }

    /// All agents by name, the revoked ones last.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn agents(&self) -> Result<Vec<Agent>, StoreError> {
        let order = "ORDER BY revoked_at IS NOT NULL, name, created_at";
        let sql = sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM agents {order}"));
        let rows = sqlx::query(sql).fetch_all(self.readers()).await?;
        rows.iter().map(agent).collect()
    }

    /// Ends an agent's token; `None` if no live agent has that name.
    ///
    /// # Errors
    /// The database did not take it.
    pub async fn agent_revoke(&self, name: AgentName) -> Result<Option<Agent>, StoreError> {
        self.write("agent_revoke", move |tx| {
            Box::pin(async move {
                let sql = format!(
                    "UPDATE agents SET revoked_at = $2 WHERE name = $1 AND revoked_at IS NULL RETURNING {COLUMNS}"
                );
                let now = tx.now().0;
                let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(name.as_str()).bind(now);
                let Some(row) = query.fetch_optional(tx.connection()).await? else { return Ok(None) };
                let agent = agent(&row)?;
                tx.append(Entry::new("agent.revoked").agent(&name).with("agent_id", agent.id.to_string()))?;
                Ok(Some(agent))
            })
        })
        .await
    }
}
