//! What the lists of agents and accounts say of each.

use serde::{Deserialize, Serialize};

use crate::identity::{Agent, Reviewer};

/// An agent in a list.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentLine {
    /// Its name.
    pub name: String,
    /// The human who answers for it.
    pub owner: String,
    /// Where it may go; empty: everywhere.
    pub upstreams: Vec<String>,
    /// ISO 8601.
    pub created_at: String,
    /// ISO 8601; `None` while it lives.
    pub revoked_at: Option<String>,
    /// The row was changed behind Placet's back: the agent may do nothing.
    #[serde(default)]
    pub changed_by_hand: bool,
}

/// An account in a list.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewerLine {
    /// Its address.
    pub email: String,
    /// As shown.
    pub name: String,
    /// Names of roles.
    pub roles: Vec<String>,
    /// Groups.
    pub groups: Vec<String>,
    /// ISO 8601; `None` while it lives.
    pub disabled_at: Option<String>,
    /// The row was changed behind Placet's back: the person may do nothing.
    #[serde(default)]
    pub changed_by_hand: bool,
}

impl From<Agent> for AgentLine {
    fn from(agent: Agent) -> Self {
        Self {
            name: agent.name.to_string(),
            owner: agent.owner.to_string(),
            upstreams: agent.upstreams.iter().map(ToString::to_string).collect(),
            created_at: agent.created_at.to_string(),
            revoked_at: agent.revoked_at.map(|at| at.to_string()),
            changed_by_hand: !agent.genuine,
        }
    }
}

impl From<Reviewer> for ReviewerLine {
    fn from(person: Reviewer) -> Self {
        Self {
            email: person.email.to_string(),
            name: person.name,
            roles: person.roles.names().into_iter().map(str::to_owned).collect(),
            groups: person.groups.iter().map(ToString::to_string).collect(),
            disabled_at: person.disabled_at.map(|at| at.to_string()),
            changed_by_hand: !person.genuine,
        }
    }
}
