//! Calls of a tool that says something else of itself than what was accepted.

use super::Gateway;
use super::context::Context;
use crate::call::{ToolName, UpstreamName};
use crate::policy::{Policy, ToolChanges};

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
