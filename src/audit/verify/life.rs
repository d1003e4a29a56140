//! A call's life as its entries tell it: the same steps as `call/state.rs` allows, read back from the log.

use std::collections::BTreeSet;

use super::report::{Check, Finding};
use crate::audit::{Row, Said};
use crate::call::Millis;

/// A vote as the log tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ToldVote {
    pub seq: i64,
    pub by: String,
    pub verdict: String,
    pub at: Millis,
    pub reason: String,
}

/// What a person found out of an unknown outcome, as the log tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldFinding {
    /// The entry.
    pub seq: i64,
    /// Who: a reviewer's id.
    pub by: String,
    /// Whether the call ran; `None`: the entry does not say, as none does that this program wrote.
    pub ran: Option<bool>,
    /// When.
    pub at: Millis,
    /// Why they say so.
    pub reason: String,
}

/// How an approval came about, as the log tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ToldApproval {
    pub at: Millis,
    /// `reviewers` or `policy`.
    pub by: &'static str,
    /// `None`: an earlier version did not say.
    pub usable_until: Option<String>,
}

/// Everything that the entries about one call say.
#[derive(Clone, Debug, Default)]
pub(super) struct Life {
    /// The number of its first entry; 0 before it.
    pub first: i64,
    /// The state; empty before the call was held.
    pub state: &'static str,
    pub agent: String,
    pub upstream: String,
    pub tool: String,
    pub digest: String,
    pub rule: String,
    pub policy: String,
    pub held_at: Millis0,
    pub changed_at: Millis0,
    pub expires_at: String,
    pub escalated: bool,
    pub votes: Vec<ToldVote>,
    pub approval: Option<ToldApproval>,
    pub claim: Option<String>,
    pub ended_by: Option<String>,
    pub ended_why: Option<String>,
    /// The hash of the answer, where the entry of the outcome has one, and that entry's number.
    pub result: Option<(i64, String)>,
    pub reads: Option<(i64, String)>,
    pub finding: Option<ToldFinding>,
    pub erased_at: Option<Millis>,
    /// An alarm may have ended the call: then it was at this moment, and this is why.
    pub alarm: Option<(Millis, Option<String>)>,
}

/// A moment that is not known before the entry that tells it.
pub(super) type Millis0 = Option<Millis>;

impl Life {
    /// Reads the entries about one call, in their order. What they tell that cannot have happened is found.
    pub(super) fn of(call: &str, entries: &[Row], found: &mut Vec<Finding>) -> Self {
        let mut life = Self { first: entries.first().map_or(0, |row| row.seq), ..Self::default() };
        for row in entries {
            // A body that cannot be read was found by whoever walked the log.
            let Ok(said) = Said::read(&row.body) else { continue };
            if let Err(text) = life.step(row, &said) {
                let text = format!("entry {} cannot have happened: {text}", row.seq);
                let seq = u64::try_from(row.seq).ok();
                found.push(Finding { check: Check::Calls, seq, until: None, call: Some(call.to_owned()), text });
            }
        }
        life
    }

    fn step(&mut self, row: &Row, said: &Said<'_>) -> Result<(), String> {
        // What the body says is what was signed; the column beside it only finds it.
        let at = said.at.parse().unwrap_or(row.at);
        let owned = |key: &str| said.text(key).map(str::to_owned);
        match &*said.kind {
            "call.held" => {
                self.go(&[""], "pending", at, "it was held before")?;
                let or_empty =
                    |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().unwrap_or_default().to_owned();
                self.agent = or_empty(&said.agent);
                self.upstream = or_empty(&said.upstream);
                self.tool = or_empty(&said.tool);
                self.digest = owned("digest").unwrap_or_default();
                self.rule = owned("rule").unwrap_or_default();
                self.policy = owned("policy").unwrap_or_default();
                self.expires_at = owned("expires_at").unwrap_or_default();
                self.held_at = Some(at);
            }
            "call.voted" => {
                self.go(&["pending"], "pending", at, "a vote on a call that is not pending")?;
                self.vote(row, said, "approve")?;
            }
            "call.approved" => {
                self.go(&["pending"], "approved", at, "an approval of a call that is not pending")?;
                let by = if said.reviewer.is_some() { "reviewers" } else { "policy" };
                self.approval = Some(ToldApproval { at, by, usable_until: owned("usable_until") });
                if said.reviewer.is_some() {
                    self.vote(row, said, "approve")?;
                }
            }
            "call.rejected" => {
                self.go(&["pending"], "rejected", at, "a rejection of a call that is not pending")?;
                self.ended_by = said.reviewer.as_deref().map(str::to_owned);
                self.ended_why = Some(owned("reason").unwrap_or_default());
                self.vote(row, said, "reject")?;
            }
            "call.escalated" => {
                self.go(&["pending"], "pending", at, "an escalation of a call that is not pending")?;
                if std::mem::replace(&mut self.escalated, true) {
                    return Err("it was escalated before".into());
                }
                self.expires_at = owned("expires_at").unwrap_or_default();
            }
            "call.expired" => self.go(&["pending"], "expired", at, "an expiry of a call that is not pending")?,
            "call.cancelled" => self.go(&["pending"], "cancelled", at, "a cancel of a call that is not pending")?,
            "call.released" => {
                self.go(&["approved"], "releasing", at, "a release of a call that is not approved")?;
                self.claim = owned("claim");
            }
            "call.executed" => self.outcome("executed", row, said, at)?,
            "call.tool_error" | "call.not_sent" => self.outcome("tool_error", row, said, at)?,
            "call.outcome_unknown" => {
                let restored = said.detail.get("restored") == Some(&true.into());
                if restored && matches!(self.state, "approved" | "pending") {
                    self.go(&["approved", "pending"], "outcome_unknown", at, "")?;
                } else {
                    self.outcome("outcome_unknown", row, said, at)?;
                }
                self.ended_why = owned("why");
            }
            "call.lapsed" => self.go(&["approved"], "lapsed", at, "a lapse of a call that is not approved")?,
            "call.revoked" => {
                self.go(&["approved"], "revoked", at, "a revocation of a call that is not approved")?;
                self.ended_why = owned("why");
            }
            "call.finding" => {
                if self.state != "outcome_unknown" || self.finding.is_some() {
                    return Err("a finding on a call whose outcome was known, or found out before".into());
                }
                self.finding = Some(ToldFinding {
                    seq: row.seq,
                    by: said.reviewer.as_deref().unwrap_or_default().to_owned(),
                    ran: said.detail.get("ran").and_then(serde_json::Value::as_bool),
                    at,
                    reason: owned("reason").unwrap_or_default(),
                });
            }
            "call.erased" => {
                let ended = !matches!(self.state, "" | "pending" | "approved" | "releasing" | "outcome_unknown");
                if !ended && self.alarm.is_none() && self.finding.is_none() {
                    return Err("its contents were erased before it had ended".into());
                }
                self.erased_at = Some(at);
            }
            "context.recorded" => self.reads = owned("reads").map(|hash| (row.seq, hash)),
            "alarm.call_tampered" => self.alarm = Some((at, owned("why"))),
            // What was told besides: mails that failed, secrets looked at, further alarms.
            _ => {}
        }
        if let Some(digest) = said.text("digest")
            && digest != self.digest
        {
            return Err("it is about another digest than the one that was held".into());
        }
        Ok(())
    }

    /// Takes a step from one of these states.
    fn go(&mut self, from: &[&str], to: &'static str, at: Millis, otherwise: &str) -> Result<(), String> {
        if !from.contains(&self.state) {
            let is = if self.state.is_empty() { "was never held" } else { self.state };
            return Err(format!("{otherwise}; by the entries before it the call {is}"));
        }
        self.state = to;
        self.changed_at = Some(at);
        Ok(())
    }

    fn outcome(&mut self, state: &'static str, row: &Row, said: &Said<'_>, at: Millis) -> Result<(), String> {
        self.go(&["releasing"], state, at, "an outcome of a call that was not released")?;
        self.result = said.text("result").map(|hash| (row.seq, hash.to_owned()));
        match (said.text("claim"), &self.claim) {
            (Some(claim), Some(ours)) if claim != ours => Err("it is the outcome of another attempt".into()),
            _ => Ok(()),
        }
    }

    fn vote(&mut self, row: &Row, said: &Said<'_>, verdict: &str) -> Result<(), String> {
        let by = said.reviewer.as_deref().unwrap_or_default();
        let people: BTreeSet<_> = self.votes.iter().map(|vote| vote.by.as_str()).collect();
        let again = people.contains(by);
        self.votes.push(ToldVote {
            seq: row.seq,
            by: by.to_owned(),
            verdict: said.text("verdict").unwrap_or_default().to_owned(),
            at: said.at.parse().unwrap_or(row.at),
            reason: said.text("reason").unwrap_or_default().to_owned(),
        });
        if again {
            return Err("a second vote of one person".into());
        }
        if said.text("verdict") == Some(verdict) { Ok(()) } else { Err(format!("its verdict is not {verdict}")) }
    }
}
