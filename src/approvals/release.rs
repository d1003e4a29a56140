//! The release: an approved call runs, once.
//!
//! Everything is asked again first: the bytes against the digest, votes and approval against their seals, the log's
//! entry, the voters' rights, the agent, the policy. Then the claim is committed, and only then does the first byte
//! go out. Whatever happens after the claim, the call is never sent a second time.

use std::time::Duration;

use tokio::sync::watch;

use super::decide::entry_of;
use super::{Approvals, ForwardError, Seal, may_decide};
use crate::audit::SealedEntry;
use crate::call::salted::{Salt, answer_digest};
use crate::call::{Answer, Approver, CallId, CallState, ClaimId, Event, HeldCall, Outcome, ReleaseWhen, json};
use crate::store::{AgentStands, CallChange, Changed, NotChanged, Scene, StoreError, StoredEntry};

/// After a write that the database did not take the next attempt is made so soon, later ones less often.
const SOON: Duration = Duration::from_millis(100);

/// The longest wait between two attempts: so soon everything goes on when a full disk has room again.
const LATEST: Duration = Duration::from_secs(10);

/// Why an approved call must not run.
struct Forbidden {
    why: String,
    /// Something was changed behind Placet's back.
    alarm: bool,
}

impl Forbidden {
    fn tampered(what: &str) -> Self {
        Self { why: format!("{what}; the database may have been changed by hand"), alarm: true }
    }

    fn changed(why: impl Into<String>) -> Self {
        Self { why: why.into(), alarm: false }
    }
}

/// Counts a release while it runs.
struct Running<'a>(&'a watch::Sender<usize>);

impl<'a> Running<'a> {
    fn new(running: &'a watch::Sender<usize>) -> Self {
        running.send_modify(|running| *running += 1);
        Self(running)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running -= 1);
    }
}

impl Approvals {
    /// Runs the call if it is approved and its time has come: its caller waits, was told to come back, or, where the
    /// policy asks for that, has `returned`. Otherwise it stays parked.
    pub(super) async fn release_if_due(&self, id: CallId, returned: bool) {
        let call = match self.call(id).await {
            Ok(call) => call,
            Err(error) => {
                tracing::error!(call = %id, %error, "a call could not be read, so it was not released");
                return;
            }
        };
        let CallState::Approved { .. } = call.state else { return };
        // One whose row was changed waits for nobody: it is refused at once, with an alarm.
        let due = returned
            || !call.genuine
            || (call.submission.requirement.release == ReleaseWhen::OnApproval
                && (call.told_to_return || self.0.events.is_attended(id)));
        if !due || self.0.tasks.is_stopping() {
            return;
        }
        let _running = Running::new(&self.0.running);
        let mut wait = SOON;
        while let Err(error) = self.release(&call).await {
            if !matches!(error, StoreError::NotWritten(_) | StoreError::Database(_)) {
                tracing::error!(call = %id, %error, "a call was not released");
                return;
            }
            tracing::error!(call = %id, %error, "a claim could not be committed, so the call was not sent yet");
            // What made it due holds on; nobody else may come to try it again. Its deadline ends this as well.
            tokio::select! {
                () = self.0.tasks.stopped() => return,
                () = tokio::time::sleep(wait) => {}
            }
            wait = (wait * 2).min(LATEST);
        }
    }

    /// Runs the call in a task of its own if its time has come: whoever asks for it does not wait for the upstream.
    pub(super) fn spawn_release(&self, id: CallId, returned: bool) {
        let approvals = self.clone();
        self.0.tasks.spawn("release", async move { approvals.release_if_due(id, returned).await });
    }

    /// Returns once no release is running. While the process stops none begins.
    pub async fn releases_ended(&self) {
        // The sender lives in `self`, so the wait can only end by the count's being zero.
        let _ = self.0.running.subscribe().wait_for(|running| *running == 0).await;
    }

    async fn release(&self, call: &HeldCall) -> Result<(), StoreError> {
        let id = call.submission.id;
        let claim = ClaimId(self.0.entropy.uuid(self.0.store.now()));
        let log = self.0.store.entries_of(id).await?;
        let (seal, solo) = (self.0.seal.clone(), self.0.settings.self_approval);
        let rules = std::sync::Arc::clone(&self.0.rules);
        let store = self.0.store.clone();
        failpoint!("release.claim");
        let claimed = self
            .0
            .store
            .change_call(id, None, move |scene| {
                if !matches!(scene.call.state, CallState::Approved { .. }) {
                    return Err(());
                }
                let once = if store.is_claimed(id) { Err(Forbidden::tampered("it was sent already")) } else { Ok(()) };
                let allowed = once
                    .and_then(|()| check(scene, &seal, solo, &log))
                    .and_then(|()| rules.still_allow(&scene.call.submission, scene.now).map_err(Forbidden::changed));
                Ok(claim_or_revoke(scene, claim, allowed))
            })
            .await?;
        let claimed = match claimed {
            Ok(call) => call,
            // Somebody else claimed it, or its time is over: nothing to do here.
            Err(NotChanged::Invalid(..) | NotChanged::NoSuchCall | NotChanged::Declined(())) => return Ok(()),
        };
        failpoint!("release.claimed");
        if !matches!(claimed.state, CallState::Releasing { .. }) {
            self.0.store.ends_kept().await;
            self.announce(&claimed);
            return Ok(());
        }
        self.announce(&claimed);
        let answer = match self.listed(call, &claimed).await {
            Ok(()) => self.0.forward.forward(&claimed.submission).await,
            Err(why) => Err(why),
        };
        self.record(id, claim, answer).await
    }

    /// Puts the claim on the list beside the database. Not before it is on the disk the first byte goes out; where that
    /// does not come about while the approval can be used, the call is not sent.
    async fn listed(&self, approved: &HeldCall, claimed: &HeldCall) -> Result<(), ForwardError> {
        let Some(listed) = self.0.store.claim_once(claimed) else {
            self.0.store.alarm(Changed::Call(claimed.submission.id)).await;
            let why = "it was sent before, under another claim, and its row was put back since";
            return Err(ForwardError::Unknown(why.to_owned()));
        };
        failpoint!("release.list");
        let mut wait = SOON;
        while let Err(error) = self.0.store.claim_kept(listed).await {
            tracing::error!(call = %claimed.submission.id, %error, "a claimed call was not sent yet");
            let usable = match approved.state {
                CallState::Approved { usable_until, .. } => self.0.store.now() < usable_until,
                _ => false,
            };
            if !usable || self.0.tasks.is_stopping() {
                return Err(ForwardError::NotSent(error.to_string()));
            }
            tokio::select! {
                () = self.0.tasks.stopped() => {}
                () = tokio::time::sleep(wait) => {}
            }
            wait = (wait * 2).min(LATEST);
        }
        failpoint!("release.listed");
        Ok(())
    }

    /// Records what came back. The call was sent: if this cannot be written now, it is tried again until the process
    /// stops, and a restart then finds the outcome unknown.
    async fn record(&self, id: CallId, claim: ClaimId, answer: Result<Answer, ForwardError>) -> Result<(), StoreError> {
        let mut wait = SOON;
        let salt = self.0.entropy.bytes();
        failpoint!("release.record");
        loop {
            let answer = answer.clone();
            let step = move |scene: &Scene<'_>| Ok::<_, ()>(finish(scene, claim, answer.clone(), salt));
            match self.0.store.change_call(id, None, step).await {
                Ok(Ok(call)) => {
                    failpoint!("release.recorded");
                    self.announce(&call);
                    return Ok(());
                }
                Ok(Err(_)) => {
                    // Nothing but this ends a claimed call, so its row says what nobody here wrote.
                    self.0.store.alarm(Changed::Call(id)).await;
                    return Ok(());
                }
                Err(error @ StoreError::Stopping) => return Err(error),
                Err(error) => {
                    tracing::error!(call = %id, %error, "an outcome could not be recorded yet");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(LATEST);
                }
            }
        }
    }
}

/// Whether what is stored is what was approved, by people who still may.
fn check(scene: &Scene<'_>, seal: &Seal, solo: bool, log: &[StoredEntry]) -> Result<(), Forbidden> {
    let call = scene.call;
    let CallState::Approved { by, at, usable_until } = &call.state else { return Ok(()) };
    if !call.submission.digest().matches(&call.digest) || !seal.is_as_held(call) {
        return Err(Forbidden::tampered("the stored call is not the one that was approved"));
    }
    if !call.genuine {
        return Err(Forbidden::tampered("the stored state of the call is not the one that Placet wrote"));
    }
    let proof = seal.approval(&call.digest, by, *at, *usable_until);
    if !call.approval_mac.is_some_and(|mac| mac.matches(&proof)) {
        return Err(Forbidden::tampered("the approval does not bear this service's seal"));
    }
    let digest = call.digest.to_string();
    let logged = |kind: &str| log.iter().any(|entry| says(entry, kind, &digest));
    if !logged("call.approved") {
        return Err(Forbidden::tampered("the log has no entry of the approval"));
    }
    if logged("call.released") {
        return Err(Forbidden::tampered("the log has an entry of its release, so it was sent already"));
    }
    if let Approver::Reviewers(votes) = by {
        if !call.submission.requirement.quorum.is_met(votes) {
            return Err(Forbidden::tampered("fewer people approved than the policy asked for"));
        }
        for stored in &call.votes {
            if !seal.is_genuine(&call.digest, stored) {
                return Err(Forbidden::tampered("a vote does not bear this service's seal"));
            }
            let person = scene.people.get(&stored.vote.by);
            if person.is_some_and(|person| !person.genuine) {
                return Err(Forbidden::tampered("the account of a reviewer who approved it was changed"));
            }
            let may = person.map(|person| may_decide(call, person, solo));
            if !matches!(may, Some(Ok(()))) {
                return Err(Forbidden::changed("a reviewer who approved it may no longer decide it"));
            }
        }
    }
    match scene.agent {
        AgentStands::Active => {}
        AgentStands::Revoked => return Err(Forbidden::changed("the agent's access was revoked")),
        AgentStands::Changed => return Err(Forbidden::tampered("the agent's row does not bear this service's seal")),
    }
    Ok(())
}

/// An entry's body, read by the strict reader, if it is the one that was hashed.
pub(super) fn body_of(entry: &StoredEntry) -> Option<json::Document<'_>> {
    let intact = SealedEntry::leaf_of(entry.body.as_bytes()).matches(&entry.leaf);
    intact.then(|| json::read_strict(entry.body.as_bytes(), &json::Limits::default()).ok())?
}

/// Whether an entry's body tells this of this digest: the columns beside it prove nothing.
fn says(entry: &StoredEntry, kind: &str, digest: &str) -> bool {
    body_of(entry).is_some_and(|body| {
        let is = |pointer, text| body.root().pointer(pointer).and_then(json::Node::as_str) == Some(text);
        is("/kind", kind) && is("/detail/digest", digest)
    })
}

fn claim_or_revoke(scene: &Scene<'_>, claim: ClaimId, allowed: Result<(), Forbidden>) -> CallChange {
    let at = scene.now;
    let (event, entry, notice) = match allowed {
        Ok(()) => {
            let entry = entry_of(scene.call, "call.released").with("claim", claim.to_string());
            (Event::Claim { claim, at }, entry, None)
        }
        Err(Forbidden { why, alarm }) => {
            if alarm {
                tracing::error!(call = %scene.call.submission.id, why, "ALARM: an approval was refused");
            }
            let kind = if alarm { "alarm.call_tampered" } else { "call.revoked" };
            let entry = entry_of(scene.call, kind).with("why", why.clone());
            (Event::Revoke { at, why }, entry, Some("call.decided"))
        }
    };
    CallChange { event, entry, vote: None, approval: None, answer: None, notice }
}

fn finish(scene: &Scene<'_>, claim: ClaimId, answer: Result<Answer, ForwardError>, salt: Salt) -> CallChange {
    let (outcome, kind, answer, why) = match answer {
        Ok(answer @ Answer::Error(_)) => (Outcome::ToolError, "call.tool_error", Some(answer), None),
        Ok(Answer::Result(result)) if is_error(&result) => {
            (Outcome::ToolError, "call.tool_error", Some(Answer::Result(result)), None)
        }
        Ok(answer) => (Outcome::Executed, "call.executed", Some(answer), None),
        Err(ForwardError::NotSent(why)) => {
            // Surely not run; told as the error that the server would have given.
            let text = format!("The call was approved but could not be sent, so it did not run: {why}");
            let error = format!(r#"{{"code":-32000,"message":{}}}"#, json::quote(&text));
            (Outcome::ToolError, "call.not_sent", Some(Answer::Error(error)), Some(why))
        }
        Err(ForwardError::Unknown(why)) => (Outcome::Unknown(why.clone()), "call.outcome_unknown", None, Some(why)),
    };
    let mut entry = entry_of(scene.call, kind).with("claim", claim.to_string());
    if let Some(why) = why {
        entry = entry.with("why", why);
    }
    if let Some(answer) = &answer {
        entry = entry.with("result", answer_digest(scene.call.submission.id, &salt, answer).to_string());
    }
    let notice = if kind == "call.outcome_unknown" { "call.outcome_unknown" } else { "call.finished" };
    let event = Event::Finish { claim, at: scene.now, outcome };
    let answer = answer.map(|answer| (answer, salt));
    CallChange { event, entry, vote: None, approval: None, answer, notice: Some(notice) }
}

/// Whether a tool result says of itself that it is an error. Read generously: servers do answer with lone surrogates
/// and repeated keys, and a tool that ran has run. What cannot be read at all counts as an error.
fn is_error(result: &str) -> bool {
    let limits = json::Limits { max_bytes: usize::MAX, max_depth: json::DEEPEST };
    json::read_reporting(result.as_bytes(), &limits)
        .map_or(true, |(document, _)| document.root().get("isError").and_then(json::Node::as_bool) == Some(true))
}
