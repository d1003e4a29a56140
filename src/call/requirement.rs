//! What the policy asked of one call when it was held. Frozen with the call: a later edit of the policy cannot
//! shorten a quorum or stretch a deadline that reviewers were shown.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Digest, GroupName, Quorum, StandingOffer};

/// How grave a tool's calls are, as the policy declares it; ordered, the gravest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Risk {
    /// Looks only.
    Read,
    /// Changes something that can be changed back.
    Write,
    /// Loses something.
    Destructive,
    /// Runs code or commands.
    Execute,
    /// Moves money.
    Financial,
    /// Changes who may do what.
    Access,
}

impl Risk {
    /// The word that the interface uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Destructive => "destructive",
            Self::Execute => "execute",
            Self::Financial => "financial",
            Self::Access => "access",
        }
    }
}

/// What happens when nobody answers in time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnTimeout {
    /// The call expires and does not run.
    Reject,
    /// These groups are asked, for one further timeout; then the call expires.
    Escalate(Vec<GroupName>),
    /// The policy itself approves, and is recorded as the one who did. Only for risk read and write.
    Approve,
}

/// When an approved call runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseWhen {
    /// At once, if its caller waits or was told to come back.
    OnApproval,
    /// Only when the same call comes again.
    OnReturn,
}

/// Who answers what an upstream asks after the approval (elicitation, input required).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputAfterApproval {
    /// The answer goes to the same reviewers first.
    #[default]
    Review,
    /// The agent answers on its own.
    Allow,
}

/// A read-only call whose result the reviewer is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextRead {
    /// The reading tool, on the same upstream.
    pub tool: String,
    /// Its arguments as JSON text, `$args.name` already replaced by the held call's own value; or why this read
    /// cannot be made, in words for the reviewer.
    pub arguments: Result<String, String>,
}

/// A call's tool had changed what it says, and nobody had accepted that when the call was held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolChanged {
    /// What the tool said then; `None` where that was not known.
    pub to: Option<Digest>,
    /// The call was held for no other reason.
    pub only: bool,
}

/// Everything that the policy says about deciding one call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    /// Pending deadline, from the moment of holding.
    pub timeout: Duration,
    /// What then.
    pub on_timeout: OnTimeout,
    /// How long an approval stays usable.
    pub execute_within: Duration,
    /// How many people must approve.
    pub quorum: Quorum,
    /// Who may decide; empty: every reviewer.
    pub reviewers: Vec<GroupName>,
    /// Whether the agent's owner may decide; beyond this the service's own setting must allow it.
    pub self_approval: bool,
    /// Whether an approval needs a reason as well (a rejection may always carry one).
    pub require_reason: bool,
    /// The declared gravity, if the policy declares one.
    pub risk: Option<Risk>,
    /// When an approved call runs.
    pub release: ReleaseWhen,
    /// Who answers what the upstream asks after the approval.
    #[serde(default)]
    pub input_after_approval: InputAfterApproval,
    /// What the agent is told while it waits.
    pub message: Option<String>,
    /// What the reviewer is shown of the state of things.
    pub context: Vec<ContextRead>,
    /// The tool had changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_changed: Option<ToolChanged>,
    /// How far the reviewer may let the next calls like this one pass; `None`: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<StandingOffer>,
}

impl Requirement {
    /// Asks for one reviewer of any group within `timeout`; expires otherwise.
    #[must_use]
    pub fn plain(timeout: Duration) -> Self {
        Self {
            timeout,
            on_timeout: OnTimeout::Reject,
            execute_within: Duration::from_secs(3600),
            quorum: Quorum::ONE,
            reviewers: Vec::new(),
            self_approval: false,
            require_reason: false,
            risk: None,
            release: ReleaseWhen::OnApproval,
            input_after_approval: InputAfterApproval::Review,
            message: None,
            context: Vec::new(),
            tool_changed: None,
            standing: None,
        }
    }

    /// Whether approving needs the deliberate extra step: the call changes who may do what, so one wrong approval
    /// can give away everything else that needs approval.
    #[must_use]
    pub fn is_critical(&self) -> bool {
        self.risk == Some(Risk::Access)
    }
}
