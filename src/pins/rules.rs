//! What a changed tool makes of the policy's ruling; and what is asked again when an approved call is about to run: the
//! policy in force, and whether its tool still is the one that the reviewers knew.

use std::sync::Arc;

use super::Pins;
use crate::approvals::Rules;
use crate::call::{Millis, StandingOffer, Submission, ToolChanged, ToolName, UpstreamName};
use crate::in_force::InForce;
use crate::policy::{Policy, Ruling, ToolChanges};

/// What the agent is told where such calls are denied.
const DENIED: &str = "the tool has changed what it says of itself, and a person must accept that first";

impl Pins {
    /// What the policy's ruling comes to where the tool has changed. A denial stays what it is.
    #[must_use]
    pub fn rule(&self, policy: &Policy, upstream: &UpstreamName, tool: &ToolName, ruling: Ruling) -> Ruling {
        let Some(change) = self.change(upstream, tool) else { return ruling };
        let (changes, said_by) = policy.tool_changes(upstream, tool.as_str());
        let told = |only| Some(ToolChanged { to: change.to, only });
        match (changes, ruling) {
            (ToolChanges::Allow, ruling) | (_, ruling @ Ruling::Deny { .. }) => ruling,
            (ToolChanges::Deny, _) => Ruling::Deny { rule: said_by, reason: Some(DENIED.to_owned()), hidden: false },
            (ToolChanges::Hold, Ruling::Allow { risk, .. }) => {
                let mut requirement = policy.plain_requirement();
                (requirement.risk, requirement.tool_changed) = (risk, told(true));
                Ruling::RequireApproval { rule: said_by, requirement: Box::new(requirement) }
            }
            (ToolChanges::Hold, Ruling::RequireApproval { rule, mut requirement }) => {
                requirement.tool_changed = told(false);
                Ruling::RequireApproval { rule, requirement }
            }
        }
    }
}

/// The policy in force together with the pins.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The policy.
    pub policy: Arc<InForce>,
    /// What the tools say.
    pub pins: Pins,
}

impl Rules for Checked {
    fn still_allow(&self, call: &Submission, now: Millis) -> Result<(), String> {
        self.policy.still_allow(call, now)?;
        let Some(change) = self.pins.change(&call.upstream, &call.tool) else { return Ok(()) };
        let (changes, _) = self.policy.loaded().policy.tool_changes(&call.upstream, call.tool.as_str());
        // Who approved was told of this very change.
        let known = call.requirement.tool_changed.is_some_and(|changed| changed.to == change.to);
        match changes {
            ToolChanges::Allow => Ok(()),
            ToolChanges::Hold if known => Ok(()),
            ToolChanges::Hold => {
                Err("its tool has changed what it says since the call was held, and nobody has accepted that".into())
            }
            ToolChanges::Deny => Err("its tool has changed what it says, and nobody has accepted that".into()),
        }
    }

    fn standing(&self, call: &Submission, now: Millis) -> Option<StandingOffer> {
        // What a changed tool does is looked at.
        let unchanged = self.pins.change(&call.upstream, &call.tool).is_none();
        unchanged.then(|| self.policy.standing(call, now)).flatten()
    }
}
