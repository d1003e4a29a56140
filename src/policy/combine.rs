//! Several entries that all ask for approval of one call become one requirement, as strict as the strictest.
//!
//! - What tightens holds as soon as one entry says it: the greatest number of approvals, the shortest deadlines, a
//!   reason, `release: on_return`, the gravest risk.
//! - What loosens holds only if every entry says it: `self_approval`, `input_after_approval: allow`,
//!   `on_timeout: approve` (and that only for risk read and write), `standing`, and of that what all of them say.
//! - Reviewers and the message are those of the most specific entry that names any: of exact names before globs, of
//!   longer patterns before shorter. Two lists of groups cannot be met in one list otherwise.
//! - Escalation is taken where some entry says it and none says `reject`. The reads for reviewers are those of all.

use crate::call::{
    ANY, ContextRead, InputAfterApproval, OnTimeout, Quorum, ReleaseWhen, Requirement, Risk, StandingOffer,
};

use super::circumstances::is_access;
use super::model::{Approval, Entry, Policy};
use super::ruling::Call;

/// One requirement for all these entries, of which the most specific is the first.
pub(super) fn combine(policy: &Policy, entries: &[&Entry], risk: Option<Risk>, call: &Call<'_>) -> Requirement {
    let said = || entries.iter().map(|entry| &entry.approval);
    let all = |loose: &dyn Fn(&Approval) -> bool| said().all(loose);
    let plain = Requirement::plain(policy.defaults.timeout);
    let message = |entry: &&Entry| entry.approval.message.clone().or_else(|| entry.reason.clone());
    Requirement {
        timeout: said().filter_map(|a| a.timeout).min().unwrap_or(plain.timeout),
        on_timeout: on_timeout(entries, risk),
        execute_within: said().filter_map(|a| a.execute_within).min().unwrap_or(plain.execute_within),
        quorum: said().filter_map(|a| a.quorum).max_by_key(|q| q.approvals()).unwrap_or(Quorum::ONE),
        reviewers: said().find_map(|a| a.reviewers.clone()).unwrap_or_default(),
        self_approval: all(&|a| a.self_approval == Some(true)),
        require_reason: said().any(|a| a.require_reason == Some(true)),
        risk,
        release: match said().any(|a| a.release == Some(ReleaseWhen::OnReturn)) {
            true => ReleaseWhen::OnReturn,
            false => ReleaseWhen::OnApproval,
        },
        input_after_approval: match all(&|a| a.input_after_approval == Some(InputAfterApproval::Allow)) {
            true => InputAfterApproval::Allow,
            false => InputAfterApproval::Review,
        },
        message: entries.iter().find_map(message),
        context: context(policy, entries, call),
        tool_changed: None,
        standing: standing(entries, risk, call),
    }
}

/// What every entry offers; nothing where several people must approve, or where the tool changes who may do what, as the
/// policy or its own name and description say, and not every entry says that it may be offered all the same.
fn standing(entries: &[&Entry], risk: Option<Risk>, call: &Call<'_>) -> Option<StandingOffer> {
    let all: Option<Vec<_>> = entries.iter().map(|entry| entry.approval.standing.as_ref()).collect();
    let (first, others) = all?.split_first().map(|(first, others)| ((*first).clone(), others.to_vec()))?;
    let several = |entry: &&Entry| entry.approval.quorum.is_some_and(|quorum| quorum != Quorum::ONE);
    let access = first.access && others.iter().all(|standing| standing.access);
    if entries.iter().any(several) || !access && (risk == Some(Risk::Access) || is_access(call)) {
        return None;
    }
    Some(others.iter().fold(first.offer, |offer, other| narrower(offer, &other.offer)))
}

/// What both offer.
fn narrower(offer: StandingOffer, other: &StandingOffer) -> StandingOffer {
    let open = offer.open.into_iter().filter_map(|(name, glob)| {
        let theirs = other.open.get(&name)?;
        let glob = match (glob.as_str(), theirs.as_str()) {
            (ANY, _) => theirs.clone(),
            (ours, theirs) if theirs == ANY || theirs == ours => glob,
            // What matches both could not be said in one glob.
            _ => return None,
        };
        Some((name, glob))
    });
    StandingOffer { uses: offer.uses.min(other.uses), lasts: offer.lasts.min(other.lasts), open: open.collect() }
}

fn on_timeout(entries: &[&Entry], risk: Option<Risk>) -> OnTimeout {
    let said = || entries.iter().map(|entry| &entry.approval.on_timeout);
    if said().any(|said| *said == Some(OnTimeout::Reject)) {
        return OnTimeout::Reject;
    }
    let escalation = said().flatten().find(|said| matches!(said, OnTimeout::Escalate(_)));
    match escalation {
        Some(escalation) => escalation.clone(),
        None if said().all(|said| *said == Some(OnTimeout::Approve)) && is_mild(risk) => OnTimeout::Approve,
        None => OnTimeout::Reject,
    }
}

/// Whether the policy itself may approve a call of this risk.
pub(super) fn is_mild(risk: Option<Risk>) -> bool {
    matches!(risk, Some(Risk::Read | Risk::Write))
}

fn context(policy: &Policy, entries: &[&Entry], call: &Call<'_>) -> Vec<ContextRead> {
    let mut reads: Vec<ContextRead> = Vec::new();
    for template in entries.iter().flat_map(|entry| &entry.approval.context) {
        let arguments = if policy.is_reader(call.upstream, &template.tool) {
            template.fill(call.arguments)
        } else {
            Err(format!("could not read: the policy names no reader {} for this upstream", template.tool))
        };
        let read = ContextRead { tool: template.tool.clone(), arguments };
        if !reads.contains(&read) {
            reads.push(read);
        }
    }
    reads
}
