//! Calls of a tool that says something else of itself than what was accepted.

use super::Gateway;
use super::context::Context;
use crate::call::{ToolChanged, ToolName, UpstreamName};
use crate::policy::{Policy, Ruling, ToolChanges};

/// What the agent is told where such calls are denied.
const DENIED: &str = "the tool has changed what it says of itself, and a person must accept that first";

/// What the policy's ruling comes to where the tool has changed. A denial stays what it is.
pub fn rule(context: &Context, policy: &Policy, tool: &ToolName, ruling: Ruling) -> Ruling {
    let upstream = context.upstream.name();
    let Some(change) = context.gateway.parts().pins.change(upstream, tool) else { return ruling };
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

/// Whether a tool stays out of lists because it has changed: its calls are denied, and nobody has read what it says.
pub fn keeps_out(context: &Context, policy: &Policy, tool: &str) -> bool {
    let upstream = context.upstream.name();
    let changed = ToolName::new(tool).is_ok_and(|tool| context.gateway.parts().pins.change(upstream, &tool).is_some());
    changed && policy.tool_changes(upstream, tool).0 == ToolChanges::Deny
}

/// Whether a reading tool is not asked for reviewers, because it has changed.
pub fn is_held_back(gateway: &Gateway, policy: &Policy, upstream: &UpstreamName, tool: &ToolName) -> bool {
    let changed = gateway.parts().pins.change(upstream, tool).is_some();
    changed && policy.tool_changes(upstream, tool.as_str()).0 != ToolChanges::Allow
}

/// Whether some tool's calls can be held, by the policy or because it changed.
pub fn may_hold(context: &Context, policy: &Policy) -> bool {
    let upstream = context.upstream.name();
    policy.may_hold(upstream) || context.gateway.parts().pins.have_changed(upstream)
}
