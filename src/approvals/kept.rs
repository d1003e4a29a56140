//! Whether what is kept of a call is what the log committed to: an answer that was edited in the database is told to
//! nobody.

use super::Approvals;
use super::decide::entry_of;
use super::release::body_of;
use crate::call::{CallState, Digest, HeldCall, json};
use crate::store::{StoreError, StoredEntry};

/// What the kept contents of a call are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The upstream's answer is the one that was recorded, or lawfully gone.
    pub answer: bool,
    /// So are the reads made for the reviewers.
    pub context: bool,
    /// Where the contents are gone, the log says that they were erased.
    pub erasure: bool,
    /// The finding, if there is one, was recorded here.
    pub finding: bool,
}

/// What an entry says, read from its body: the columns beside it prove nothing.
struct Said {
    kind: String,
    result: Option<String>,
    reads: Option<String>,
}

/// What an entry about this call says, if its body is the one that was hashed.
fn said(entry: &StoredEntry, call: &HeldCall) -> Option<Said> {
    let body = body_of(entry)?;
    let text = |pointer: &str| body.root().pointer(pointer).and_then(json::Node::as_str).map(str::to_owned);
    let ours = text("/call") == Some(call.submission.id.to_string());
    ours.then_some(())?;
    Some(Said { kind: text("/kind")?, result: text("/detail/result"), reads: text("/detail/reads") })
}

fn answer_is_as_logged(call: &HeldCall, log: &[StoredEntry]) -> bool {
    if !matches!(call.state, CallState::Executed { .. } | CallState::ToolError { .. }) {
        return call.answer.is_none();
    }
    if call.redacted_at.is_some() {
        return true;
    }
    let ends = |said: &Said| matches!(said.kind.as_str(), "call.executed" | "call.tool_error" | "call.not_sent");
    let mut ended = log.iter().filter_map(|entry| said(entry, call)).filter(ends);
    match (ended.next(), ended.next()) {
        (Some(Said { result, .. }), None) => is_committed(call.answer_digest(), result, call.answer_salt.is_some()),
        _ => false,
    }
}

fn context_is_as_logged(call: &HeldCall, log: &[StoredEntry]) -> bool {
    if call.redacted_at.is_some() {
        return true;
    }
    let mut read = log.iter().filter_map(|entry| said(entry, call)).filter(|said| said.kind == "context.recorded");
    match (read.next(), read.next()) {
        (Some(Said { reads, .. }), None) => is_committed(call.context_digest(), reads, call.context_salt.is_some()),
        // Reads that an earlier version kept have no entry and no salt.
        (None, _) => call.context_salt.is_none(),
        _ => false,
    }
}

/// Where the log has no hash an earlier version wrote the entry, and then it drew no salt either.
fn is_committed(kept: Option<Digest>, logged: Option<String>, salted: bool) -> bool {
    match logged {
        Some(logged) => kept.zip(logged.parse().ok()).is_some_and(|(kept, logged)| kept.matches(&logged)),
        None => !salted,
    }
}

impl Approvals {
    /// Compares a call with its entries in the log.
    #[must_use]
    pub fn kept(&self, call: &HeldCall, log: &[StoredEntry]) -> Kept {
        let erased = || log.iter().filter_map(|entry| said(entry, call)).any(|said| said.kind == "call.erased");
        Kept {
            answer: answer_is_as_logged(call, log),
            context: context_is_as_logged(call, log),
            erasure: call.redacted_at.is_none() || erased(),
            finding: self.is_genuine_finding(call),
        }
    }

    /// Whether what is kept of an ended call may be told: its answer is the one that was recorded, its finding was
    /// recorded here. Where not, the log gets an alarm, once.
    ///
    /// # Errors
    /// The database does not answer, or does not take the alarm.
    pub async fn vouches_for(&self, call: &HeldCall) -> Result<bool, StoreError> {
        let (alarm, what) = match call.state {
            CallState::Executed { .. } | CallState::ToolError { .. } => ("alarm.result_tampered", "answer"),
            CallState::OutcomeUnknown { .. } if self.is_genuine_finding(call) => return Ok(true),
            CallState::OutcomeUnknown { .. } => ("alarm.finding_tampered", "finding"),
            _ => return Ok(true),
        };
        let log = self.0.store.entries_of(call.submission.id).await?;
        if what == "answer" && answer_is_as_logged(call, &log) {
            return Ok(true);
        }
        if !log.iter().any(|entry| entry.kind == alarm) {
            let why = format!("the kept {what} is not what was recorded; the database may have been changed by hand");
            tracing::error!(call = %call.submission.id, why, "ALARM: what is kept of a call was changed");
            self.0.store.append(entry_of(call, alarm).with("why", why)).await?;
        }
        Ok(false)
    }
}
