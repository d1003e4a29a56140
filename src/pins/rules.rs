//! What is asked again when an approved call is about to run: the policy in force, and whether its tool still is the one
//! that the reviewers knew.

use std::sync::Arc;

use super::Pins;
use crate::approvals::Rules;
use crate::call::Submission;
use crate::in_force::InForce;
use crate::policy::ToolChanges;

/// The policy in force together with the pins.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The policy.
    pub policy: Arc<InForce>,
    /// What the tools say.
    pub pins: Pins,
}

impl Rules for Checked {
    fn still_allow(&self, call: &Submission) -> Result<(), String> {
        self.policy.still_allow(call)?;
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
}
