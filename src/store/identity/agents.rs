//! Agents.

use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::{Agent, listed, moment, parsed};
use crate::audit::Entry;
use crate::call::{AgentId, AgentName, Digest, Email, Millis, UpstreamName};
use crate::store::sealed::{AGENTS, Trust};
use crate::store::spent::{How, Kind, Right};
use crate::store::{Store, StoreError, Tx};

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
    /// SHA-256 of its token.
    pub token_hash: Digest,
}

/// A row that does not bear its seal is nobody's: an agent that is revoked.
fn agent(row: &SqliteRow, trust: &Trust) -> Result<Agent, StoreError> {
    let genuine = AGENTS.is_genuine(row, trust)?;
    let created_at = Millis(row.try_get("created_at")?);
    Ok(Agent {
        id: parsed(row, "agents", "id")?,
        name: parsed(row, "agents", "name")?,
        owner: parsed(row, "agents", "owner")?,
        upstreams: listed(row, "agents", "upstreams")?,
        created_at,
        revoked_at: moment(row, "revoked_at")?.or((!genuine).then_some(created_at)),
        genuine,
    })
}

pub(in crate::store) async fn by_id(
    connection: &mut SqliteConnection,
    id: AgentId,
    trust: &Trust,
) -> Result<Option<Agent>, StoreError> {
    let query = sqlx::query(AGENTS.select("WHERE t.id = $1")).bind(id.to_string());
    query.fetch_optional(connection).await?.as_ref().map(|row| agent(row, trust)).transpose()
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
                let token = tx.trust().seal.keyed(&new.token_hash);
                let done = sqlx::query(sql)
                    .bind(new.id.to_string())
                    .bind(new.name.as_str())
                    .bind(new.owner.as_str())
                    .bind(upstreams)
                    .bind(token.to_string())
                    .bind(now.0)
                    .execute(tx.connection())
                    .await?;
                if done.rows_affected() == 0 {
                    return Ok(None);
                }
                // The name is given anew: no row of before has it, whether or not it could be found.
                AGENTS.spend_all(tx, new.name.as_str(), None);
                let upstreams: Vec<_> = new.upstreams.iter().map(ToString::to_string).collect();
                let entry = Entry::new("agent.added").agent(&new.name).with("agent_id", new.id.to_string());
                let entry = tx.append_numbered(entry.with("upstreams", upstreams))?;
                AGENTS.seal_row(tx, &new.id.to_string(), Some(entry)).await?;
                let NewAgent { id, name, owner, upstreams, .. } = new;
                Ok(Some(Agent { id, name, owner, upstreams, created_at: now, revoked_at: None, genuine: true }))
            })
        })
        .await
    }

    /// The agent with this token (its SHA-256), revoked or not.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn agent_by_token(&self, hash: Digest) -> Result<Option<Agent>, StoreError> {
        let trust = self.trust();
        let query = sqlx::query(AGENTS.select("WHERE t.token_hash = $1")).bind(trust.seal.keyed(&hash).to_string());
        query.fetch_optional(self.readers()).await?.as_ref().map(|row| agent(row, &trust)).transpose()
    }

    /// An agent, revoked or not.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn agent(&self, id: AgentId) -> Result<Option<Agent>, StoreError> {
        let mut connection = self.readers().acquire().await?;
        by_id(&mut connection, id, &self.trust()).await
    }

    /// All agents by name, the revoked ones last.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn agents(&self) -> Result<Vec<Agent>, StoreError> {
        let order = "ORDER BY t.revoked_at IS NOT NULL, t.name, t.created_at";
        let trust = self.trust();
        let rows = sqlx::query(AGENTS.select(order)).fetch_all(self.readers()).await?;
        rows.iter().map(|row| agent(row, &trust)).collect()
    }

    /// Ends an agent's token; `None` if no live agent has that name. A row that was changed behind Placet's back is
    /// ended as well: that gives nobody a right.
    ///
    /// # Errors
    /// The database did not take it.
    pub async fn agent_revoke(&self, name: AgentName) -> Result<Option<Agent>, StoreError> {
        self.write("agent_revoke", move |tx| {
            Box::pin(async move {
                let trust = tx.trust();
                let query =
                    sqlx::query(AGENTS.select("WHERE t.name = $1 AND t.revoked_at IS NULL")).bind(name.as_str());
                let row = query.fetch_optional(tx.connection()).await?;
                let Some(agent) = row.as_ref().map(|row| agent(row, &trust)).transpose()? else { return Ok(None) };
                let changed = (!agent.genuine).then_some("changed_by_hand");
                revoke(tx, &agent, changed).await?;
                Ok(Some(Agent { revoked_at: Some(tx.now()), ..agent }))
            })
        })
        .await
    }
}

async fn revoke(tx: &mut Tx<'_>, agent: &Agent, why: Option<&str>) -> Result<(), StoreError> {
    let (id, now) = (agent.id.to_string(), tx.now());
    let sql = "UPDATE agents SET revoked_at = $2 WHERE id = $1";
    sqlx::query(sql).bind(&id).bind(now.0).execute(tx.connection()).await?;
    let mut entry = Entry::new("agent.revoked").agent(&agent.name).with("agent_id", id.as_str());
    if let Some(why) = why {
        entry = entry.with(why, true);
    }
    let entry = tx.append_numbered(entry)?;
    // Another row may have stood under the name.
    AGENTS.spend_all(tx, agent.name.as_str(), None);
    AGENTS.spend_row(tx, &id, Some(entry), How::Ended).await
}

/// After the database was put back: revokes the agents that are known to have been revoked since. Returns how many.
pub(in crate::store) async fn revoke_again(tx: &mut Tx<'_>) -> Result<u64, StoreError> {
    let trust = tx.trust();
    let view = trust.spent.clone().of_one_put_back();
    let rows = sqlx::query(AGENTS.select("WHERE t.revoked_at IS NULL")).fetch_all(tx.connection()).await?;
    let mut count = 0;
    for row in &rows {
        let (agent, entry) = (agent(row, &trust)?, row.try_get::<Option<i64>, _>("entry")?.unwrap_or_default());
        let (id, name) = (agent.id.to_string(), agent.name.as_str());
        if view.is_older(&Right { kind: Kind::Agent, id: &id, of: Some(name), entry }) {
            revoke(tx, &agent, Some("restored")).await?;
            count += 1;
        }
    }
    Ok(count)
}
