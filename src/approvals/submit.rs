//! Holding a call, or joining the same call that is held already.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::Approvals;
use crate::call::{
    AgentId, CallId, Caller, Digest, Era, HeldCall, Millis, Requirement, Submission, ToolName, UpstreamName,
};
use crate::clock::Entropy;
use crate::store::{CounterRow, HoldLimits, HoldProof, HoldRefused, Holding, StoreError};

/// As long back new calls of one agent are counted.
const HOUR: Duration = Duration::from_secs(3600);

/// A call that the policy wants approved.
#[derive(Clone, Debug)]
pub struct NewCall {
    /// Who asks.
    pub agent: Caller,
    /// Where it goes.
    pub upstream: UpstreamName,
    /// Hash of that upstream's configuration.
    pub upstream_config: Digest,
    /// The tool.
    pub tool: ToolName,
    /// Hash of the tool as its server lists it, if it was listed.
    pub tool_schema: Option<Digest>,
    /// The complete `params`, byte for byte.
    pub params: String,
    /// Where the value of `arguments` stands in `params`.
    pub arguments_at: Option<(usize, usize)>,
    /// The arguments in the form that recognises the same call again.
    pub canonical_arguments: String,
    /// `Mcp-Param-*` headers that will be forwarded.
    pub headers: Vec<(String, String)>,
    /// The policy version that ruled.
    pub policy: Digest,
    /// JSON Pointer of the rule.
    pub rule: String,
    /// What the policy asks.
    pub requirement: Requirement,
    /// How the caller speaks.
    pub era: Era,
    /// What the client calls itself.
    pub client: Option<String>,
    /// Why the agent makes the call, in its own words.
    pub agent_reason: Option<String>,
}

/// Whether the call is new to Placet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Held just now.
    New,
    /// The same call came before.
    Joined,
}

/// A call that is in Placet's hands.
#[derive(Clone, Debug)]
pub struct Submitted {
    /// The call as committed.
    pub call: HeldCall,
    /// New, or joined.
    pub how: How,
}

/// Why a call was not held. It did not run.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The agent has this many open calls.
    #[error("{0} of this agent's calls are waiting already, which is as many as may wait at once")]
    TooManyPending(u32),
    /// The agent had this many held within the hour.
    #[error("{max} of this agent's calls were held within the last hour, which is as many as may be")]
    TooManyNew {
        /// The bound.
        max: u32,
        /// When the next may be held.
        retry_at: Millis,
    },
    /// Placet is stopping.
    #[error("Placet is stopping and holds no new calls; call again in a minute")]
    Stopping,
    /// The database did not take it.
    #[error("the call could not be held: {0}")]
    Store(#[from] StoreError),
}

/// Recognises the same call again: same agent, upstream, tool and canonical arguments.
fn same_call(agent: AgentId, upstream: &UpstreamName, tool: &ToolName, canonical: &str) -> Digest {
    let mut hash = Sha256::new();
    let parts: [&[u8]; 5] = [
        b"placet/same-call/v1",
        agent.0.as_bytes(),
        upstream.as_str().as_bytes(),
        tool.as_str().as_bytes(),
        canonical.as_bytes(),
    ];
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    Digest(hash.finalize().into())
}

/// The call as it is held at this moment, under an id and a salt of its own.
fn submission(new: NewCall, same_call: Digest, now: Millis, entropy: &Entropy) -> Submission {
    Submission {
        id: CallId(entropy.uuid(now)),
        agent: new.agent,
        upstream: new.upstream,
        upstream_config: new.upstream_config,
        tool: new.tool,
        tool_schema: new.tool_schema,
        params: new.params,
        arguments_at: new.arguments_at,
        headers: new.headers,
        same_call,
        nonce: entropy.bytes(),
        policy: new.policy,
        rule: new.rule,
        requirement: new.requirement,
        era: new.era,
        client: new.client,
        agent_reason: new.agent_reason,
        created_at: now,
    }
}

impl Approvals {
    /// Holds a call that counts towards no limit; see [`Approvals::submit_counted`].
    ///
    /// # Errors
    /// As there.
    pub async fn submit(&self, new: NewCall) -> Result<Submitted, SubmitError> {
        self.submit_counted(new, Vec::new()).await
    }

    /// Holds a call: when this returns `New`, call, log entry, notices and what it took of its limits are durable.
    ///
    /// # Errors
    /// A bound is reached, Placet is stopping, or the database did not take it; nothing is held then.
    pub async fn submit_counted(&self, new: NewCall, counted: Vec<CounterRow>) -> Result<Submitted, SubmitError> {
        if self.0.tasks.is_stopping() {
            return Err(SubmitError::Stopping);
        }
        failpoint!("submit.hold");
        let new = Arc::new(new);
        let mut limits = self.0.settings.limits;
        let mut held = self.hold_or_join(&new, limits, counted.clone()).await?;
        if let Err(HoldRefused::TooManyNew(..)) = held {
            // What passed by standing approvals reached nobody, so it is not what is bounded here.
            let hour_ago = self.0.store.now().before(HOUR);
            limits.new_per_hour =
                limits.new_per_hour.saturating_add(self.0.store.passed_since(new.agent.id, hour_ago).await?);
            if limits.new_per_hour > self.0.settings.limits.new_per_hour {
                held = self.hold_or_join(&new, limits, counted).await?;
            }
        }
        match held {
            Ok(Holding::New(call)) => {
                failpoint!("submit.held");
                let passed = self.pass(&call).await;
                if passed.is_none() {
                    self.announce(&call);
                }
                Ok(Submitted { call: passed.unwrap_or(*call), how: How::New })
            }
            Ok(Holding::Joined(call)) => {
                let passed = self.pass(&call).await;
                Ok(Submitted { call: passed.unwrap_or(*call), how: How::Joined })
            }
            Err(HoldRefused::TooManyPending(max)) => Err(SubmitError::TooManyPending(max)),
            Err(HoldRefused::TooManyNew(_, retry_at)) => {
                Err(SubmitError::TooManyNew { max: self.0.settings.limits.new_per_hour, retry_at })
            }
        }
    }

    /// The same call, if it is here already; never holds a new one. For a caller that comes back while no new call of
    /// its would be taken.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn rejoin(&self, new: NewCall) -> Result<Option<Submitted>, StoreError> {
        let nothing_new = HoldLimits { pending: 0, ..self.0.settings.limits };
        Ok(match self.hold_or_join(&Arc::new(new), nothing_new, Vec::new()).await? {
            Ok(Holding::Joined(call)) => Some(Submitted { call: *call, how: How::Joined }),
            Ok(Holding::New(_)) | Err(_) => None,
        })
    }

    async fn hold_or_join(
        &self,
        new: &Arc<NewCall>,
        limits: HoldLimits,
        counted: Vec<CounterRow>,
    ) -> Result<Result<Holding, HoldRefused>, StoreError> {
        let agent = new.agent.id;
        let same_call = same_call(agent, &new.upstream, &new.tool, &new.canonical_arguments);
        let (new, entropy, seal) = (Arc::clone(new), self.0.entropy.clone(), self.0.seal.clone());
        let make = move |now: Millis| {
            let submission = submission((*new).clone(), same_call, now, &entropy);
            let proof = seal.held(&submission)?;
            Ok((submission, HoldProof(proof)))
        };
        self.0.store.hold(agent, same_call, limits, counted, self.answers(), make).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn the_same_call_is_that_of_the_same_agent_upstream_and_tool() {
        let (a, b) = (AgentId(Uuid::nil()), AgentId(Uuid::max()));
        let (iam, eks) = (UpstreamName::new("iam").unwrap(), UpstreamName::new("eks").unwrap());
        let (put, del) = (ToolName::new("put").unwrap(), ToolName::new("del").unwrap());
        let base = same_call(a, &iam, &put, "{}");
        assert_eq!(base, same_call(a, &iam, &put, "{}"));
        for other in [
            same_call(b, &iam, &put, "{}"),
            same_call(a, &eks, &put, "{}"),
            same_call(a, &iam, &del, "{}"),
            same_call(a, &iam, &put, r#"{"a":1}"#),
        ] {
            assert_ne!(base, other);
        }
    }
}
