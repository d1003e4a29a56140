//! Agents: added with a token that is shown once, recognised by it, revoked.

use super::token::{Kind, Token};
use super::{Agent, Identity, IdentityError};
use crate::call::{AgentId, AgentName, Email, UpstreamName};
use crate::store::{Changed, NewAgent, StoreError};

/// A new agent with its token, for the one who adds it.
#[derive(Clone, Debug)]
pub struct AddedAgent {
    /// The agent.
    pub agent: Agent,
    /// Shown once.
    pub token: Token,
    /// Whether the owner has an account here, and could be asked.
    pub owner_is_known: bool,
}

impl Identity {
    /// Adds an agent.
    ///
    /// # Errors
    /// A live one has that name, or the database did not take it.
    pub async fn agent_add(
        &self,
        name: AgentName,
        owner: Email,
        upstreams: Vec<UpstreamName>,
    ) -> Result<AddedAgent, IdentityError> {
        let token = Token::new(Kind::Agent, &self.entropy);
        let id = AgentId(self.entropy.uuid(self.clock.now()));
        let owner_is_known = self.store.reviewer_by_email(&owner).await?.is_some();
        let new = NewAgent { id, name: name.clone(), owner, upstreams, token_hash: token.hash() };
        let agent = self.store.agent_add(new).await?;
        let agent = agent.ok_or_else(|| IdentityError::AgentExists(name.to_string()))?;
        Ok(AddedAgent { agent, token, owner_is_known })
    }

    /// The agent that presents this token; `None` for anything that is not a live agent's.
    ///
    /// # Errors
    /// The database does not answer, or the agent's row was changed behind Placet's back.
    pub async fn agent_by_token(&self, presented: &str) -> Result<Option<Agent>, StoreError> {
        let Some(token) = Token::parse(Kind::Agent, presented) else { return Ok(None) };
        let Some(agent) = self.store.agent_by_token(token.hash()).await? else { return Ok(None) };
        if !agent.genuine {
            self.store.alarm(Changed::Agent(agent.id, agent.name)).await;
            return Err(StoreError::Changed("record of this agent"));
        }
        Ok(Some(agent).filter(|agent| agent.revoked_at.is_none()))
    }

    /// All agents, the revoked ones last.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn agents(&self) -> Result<Vec<Agent>, StoreError> {
        self.store.agents().await
    }

    /// Ends an agent's token.
    ///
    /// # Errors
    /// No live agent has that name, or the database did not take it.
    pub async fn agent_revoke(&self, name: AgentName) -> Result<Agent, IdentityError> {
        let agent = self.store.agent_revoke(name.clone()).await?;
        agent.ok_or_else(|| IdentityError::NoAgent(name.to_string()))
    }
}
