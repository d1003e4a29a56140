//! A held call: what came in, what the policy asked, and where it stands.

use serde::{Deserialize, Serialize};

use super::{
    AgentId, AgentName, CallId, CallState, Digest, DigestParts, Email, Millis, Requirement, StoredFinding, ToolName,
    UpstreamName, salted::Salt,
};

/// The two eras of the protocol that one endpoint serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Era {
    /// 2025-03-26 to 2025-11-25: initialize, sessions; a disconnect does not cancel.
    Sessions,
    /// 2026-07-28: stateless; closing the response stream cancels the request.
    Stateless,
}

/// Who sent a call, as the service knows it. The owner may not decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The agent.
    pub id: AgentId,
    /// Its name when the call was held.
    pub name: AgentName,
    /// The human who answers for it.
    pub owner: Email,
}

/// Everything that is fixed from the moment of holding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// The call.
    pub id: CallId,
    /// Who asks.
    pub agent: Caller,
    /// Where it goes.
    pub upstream: UpstreamName,
    /// Hash of how that upstream is configured.
    pub upstream_config: Digest,
    /// The tool.
    pub tool: ToolName,
    /// Hash of the tool's schema as its server lists it, if it was listed.
    pub tool_schema: Option<Digest>,
    /// The complete `params`, byte for byte as received and as they will be forwarded.
    pub params: String,
    /// Where the `arguments` member's value stands in `params`, as byte offsets; `None` where the call has none.
    pub arguments_at: Option<(usize, usize)>,
    /// Forwarded `Mcp-Param-*` headers.
    pub headers: Vec<(String, String)>,
    /// Recognises "the same call again": hash of agent, upstream, tool and canonical arguments.
    pub same_call: Digest,
    /// Random salt of the digest.
    pub nonce: [u8; 32],
    /// The policy version that ruled.
    pub policy: Digest,
    /// JSON Pointer of the rule that asked for approval.
    pub rule: String,
    /// What the policy asks, frozen.
    pub requirement: Requirement,
    /// How the caller speaks.
    pub era: Era,
    /// The client's name and version: its own claim.
    pub client: Option<String>,
    /// Why the agent makes the call, in its own words; no part of what runs.
    pub agent_reason: Option<String>,
    /// When it was held.
    pub created_at: Millis,
}

impl Submission {
    /// The digest of everything that is approved.
    #[must_use]
    pub fn digest(&self) -> Digest {
        DigestParts {
            nonce: &self.nonce,
            id: self.id,
            agent: self.agent.id,
            upstream: &self.upstream,
            upstream_config: &self.upstream_config,
            tool: &self.tool,
            tool_schema: self.tool_schema.as_ref(),
            params: &self.params,
            headers: &self.headers,
            policy: &self.policy,
        }
        .digest()
    }

    /// The arguments, byte for byte; the empty object where the call has none. Of a call that may have been redacted
    /// ask [`HeldCall::arguments`].
    #[must_use]
    pub fn arguments(&self) -> &str {
        self.arguments_at.and_then(|(start, end)| self.params.get(start..end)).unwrap_or("{}")
    }
}

/// One read of the state of things for the reviewer, as it came back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextResult {
    /// The reading tool.
    pub tool: String,
    /// Its arguments, JSON text.
    pub arguments: String,
    /// When it was read.
    pub at: Millis,
    /// The result's JSON text as returned, or why there is none.
    pub result: Result<String, String>,
}

/// A call as it is stored: the submission, its digest at that time, and its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldCall {
    /// What was held.
    pub submission: Submission,
    /// The digest that was stored and shown. Release compares it with [`Submission::digest`].
    pub digest: Digest,
    /// Where the call stands.
    pub state: CallState,
    /// Every vote, in order, terminal or not.
    pub votes: Vec<StoredVote>,
    /// The deadline in force (pending) or that was.
    pub expires_at: Millis,
    /// The caller has been told to come back, so an approval runs without it.
    pub told_to_return: bool,
    /// The caller's stream closed without its being told.
    pub caller_gone: bool,
    /// What was read for the reviewer; `None` until the reads have ended.
    pub context: Option<Vec<ContextResult>>,
    /// Salts the log's commitment to `context`.
    pub context_salt: Option<Salt>,
    /// The upstream's answer, while it is kept: a JSON-RPC `result` or `error`.
    pub answer: Option<Answer>,
    /// Salts the log's commitment to `answer`.
    pub answer_salt: Option<Salt>,
    /// When the state last changed.
    pub changed_at: Millis,
    /// While it was pending the database was put back to how it was at this moment: it may have been decided, and have
    /// run, since.
    pub as_of: Option<Millis>,
    /// Proves that the service held the call on these terms.
    pub held_mac: Option<Digest>,
    /// Proves the approval, as each vote's own proves the vote.
    pub approval_mac: Option<Digest>,
    /// What a person found out, where the outcome was unknown.
    pub finding: Option<StoredFinding>,
    /// When retention erased the parameters, headers, nonce, reads and answer, and what recognises the same call. The
    /// submission has them empty then, so that its digest is no longer the stored one: such a call cannot run.
    pub redacted_at: Option<Millis>,
    /// The number of the log's entry that led to this state.
    pub entry: i64,
    /// Where it stands is as Placet wrote it last. Otherwise nothing may be done on the word of this row.
    pub genuine: bool,
}

impl HeldCall {
    /// The arguments, byte for byte, while they are kept.
    #[must_use]
    pub fn arguments(&self) -> Option<&str> {
        self.redacted_at.is_none().then(|| self.submission.arguments())
    }
}

/// A vote with what proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredVote {
    /// The vote.
    pub vote: super::Vote,
    /// The reviewer's address when the vote was cast.
    pub by_email: Email,
    /// HMAC-SHA-256 over digest, verdict, reviewer and time, under a key that is not in the database.
    pub mac: Digest,
}

/// The upstream's answer to a released call, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The `result` member.
    Result(String),
    /// The `error` member.
    Error(String),
}

/// How a call ended or stands, in SEP-2848's words where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Disposition {
    /// Ran and answered.
    ApprovedExecuted,
    /// Did not run and will not.
    DeniedNotExecuted,
    /// Ran and answered with an error.
    ExecutionError,
    /// May have run.
    OutcomeUnknown,
}

impl Disposition {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ApprovedExecuted => "approved-executed",
            Self::DeniedNotExecuted => "denied-not-executed",
            Self::ExecutionError => "execution-error",
            Self::OutcomeUnknown => "outcome-unknown",
        }
    }
}

impl CallState {
    /// The disposition, once there is one.
    #[must_use]
    pub fn disposition(&self) -> Option<Disposition> {
        match self {
            Self::Pending { .. } | Self::Approved { .. } | Self::Releasing { .. } => None,
            Self::Executed { .. } => Some(Disposition::ApprovedExecuted),
            Self::ToolError { .. } => Some(Disposition::ExecutionError),
            Self::OutcomeUnknown { .. } => Some(Disposition::OutcomeUnknown),
            Self::Rejected { .. }
            | Self::Expired { .. }
            | Self::Cancelled { .. }
            | Self::Lapsed { .. }
            | Self::Revoked { .. } => Some(Disposition::DeniedNotExecuted),
        }
    }
}
