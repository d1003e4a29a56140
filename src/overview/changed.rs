//! What the pages tell of tools that have changed.

use std::sync::Arc;

use crate::approvals::{Ineligible, may_accept};
use crate::call::{CallState, HeldCall, ToolName, UpstreamName};
use crate::in_force::Loaded;
use crate::pins::Pins;
use crate::policy::{Policy, ToolChanges};
use crate::review::view::tool::path;
use crate::review::view::{Banner, ChangedTool, Text};
use crate::review::{Effect, ToolNews, ToolOverview};
use crate::store::{Acceptance, NotAccepted, StoreError};

/// So many tools are named in a banner; the others are counted.
const NAMED: usize = 3;

fn effect(policy: &Policy, upstream: &UpstreamName, tool: &str) -> Effect {
    match policy.tool_changes(upstream, tool).0 {
        ToolChanges::Allow => Effect::None,
        ToolChanges::Hold => Effect::Held,
        ToolChanges::Deny => Effect::Refused,
    }
}

/// What becomes of a tool's calls because it has changed; `None`: it has not.
pub(super) fn effect_now(pins: &Pins, policy: &Policy, upstream: &UpstreamName, tool: &str) -> Option<Effect> {
    let name = ToolName::new(tool).ok()?;
    pins.change(upstream, &name).map(|_| effect(policy, upstream, tool))
}

/// One banner for the tools whose calls are held, one for those whose calls are refused. What only is logged keeps
/// nobody from anything, and so does a tool that nobody may call, or of an upstream that is no longer `configured`.
pub(super) fn banners(pins: &Pins, policy: &Policy, configured: impl Fn(&UpstreamName) -> bool) -> Vec<Banner> {
    let mut changed = pins.changed();
    changed.retain(|(upstream, tool)| configured(upstream) && policy.lists(upstream, tool.as_str()));
    let of = |wanted: Effect| {
        let all = changed.iter().filter(|(upstream, tool)| effect(policy, upstream, tool.as_str()) == wanted);
        let all: Vec<_> = all.collect();
        let named = all.iter().take(NAMED).map(|(upstream, tool)| ChangedTool {
            tool: Text::new(tool.as_str()),
            upstream: Text::new(upstream.as_str()),
            page: path(upstream.as_str(), tool.as_str()),
        });
        let (tools, further) = (named.collect(), all.len().saturating_sub(NAMED));
        (!all.is_empty()).then_some(Banner::ToolsChanged { tools, further, refused: wanted == Effect::Refused })
    };
    [of(Effect::Held), of(Effect::Refused)].into_iter().flatten().collect()
}

pub(super) async fn tool(
    pins: &Pins,
    loaded: Arc<Loaded>,
    upstream: &UpstreamName,
    tool: &ToolName,
) -> Result<Option<ToolOverview>, StoreError> {
    let Some(pin) = pins.pin(upstream, tool).await? else { return Ok(None) };
    let (effect, groups) =
        (effect(&loaded.policy, upstream, tool.as_str()), loaded.policy.reviewers_of(upstream, tool.as_str()));
    Ok(Some(ToolOverview { pin, is_back: pins.is_back(upstream, tool), effect, groups }))
}

pub(super) async fn accept(
    pins: &Pins,
    loaded: Arc<Loaded>,
    acceptance: Acceptance,
) -> Result<Result<(), NotAccepted<Ineligible>>, StoreError> {
    let groups = loaded.policy.reviewers_of(&acceptance.upstream, acceptance.tool.as_str());
    pins.accept(acceptance, move |person| may_accept(&groups, person.ok_or(Ineligible::Disabled)?)).await
}

/// What a call's page tells of its tool, as long as the call can still run.
pub(super) fn news(pins: &Pins, policy: &Policy, call: &HeldCall) -> Option<ToolNews> {
    let (upstream, tool) = (&call.submission.upstream, &call.submission.tool);
    let change = pins.change(upstream, tool);
    if let Some(then) = call.submission.requirement.tool_changed
        && change.is_none_or(|now| now.to == then.to)
    {
        let waits = change.is_some();
        return Some(if then.only { ToolNews::HeldForIt(waits) } else { ToolNews::ChangedThen(waits) });
    }
    let may_run = matches!(call.state, CallState::Pending { .. } | CallState::Approved { .. });
    let matters = effect(policy, upstream, tool.as_str()) != Effect::None;
    (change.is_some() && may_run && matters).then_some(ToolNews::ChangedSince)
}
