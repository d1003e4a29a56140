//! One call: its row, its votes and its answer against what its entries tell, both ways.

use super::life::Life;
use super::report::{Check, Finding, Report};
use crate::audit::Row;
use crate::call::salted::{answer_digest, context_digest};
use crate::call::{CallState, HeldCall, Millis};

/// A call as the database has it.
#[derive(Clone, Debug)]
pub struct CallRow {
    /// Its id.
    pub id: String,
    /// The call, or why its row cannot be read.
    pub call: Result<HeldCall, String>,
    /// When it was approved.
    pub approved_at: Option<Millis>,
    /// By whom: `reviewers` or `policy`.
    pub approved_by: Option<String>,
    /// The approval's deadline.
    pub usable_until: Option<Millis>,
    /// The attempt to release it.
    pub claim: Option<String>,
    /// Who rejected it.
    pub ended_by: Option<String>,
    /// Why it ended.
    pub ended_why: Option<String>,
    /// Whether further groups were asked.
    pub escalated: bool,
    /// When the answer was recorded.
    pub answered_at: Option<Millis>,
    /// The reads made for reviewers, as the text that is stored.
    pub context: Option<String>,
    /// Whether what says where it stands bears this service's seal; `None`: the key is not known.
    pub stands: Option<bool>,
}

/// Who knows the key of the seals: whether the call stands as it was held, and each of its votes as it was cast.
/// Answers what is wrong, and how many seals were looked at.
pub type Seals<'s> = &'s dyn Fn(&HeldCall) -> (u64, Vec<String>);

/// Compares calls, one after another.
pub struct Calls<'s> {
    seals: Option<Seals<'s>>,
    erased: u64,
    unsalted: u64,
}

impl std::fmt::Debug for Calls<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Calls")
    }
}

impl<'s> Calls<'s> {
    /// Before the first call. Without the key seals are not looked at.
    #[must_use]
    pub fn new(seals: Option<Seals<'s>>) -> Self {
        Self { seals, erased: 0, unsalted: 0 }
    }

    /// Entries about a call that the database does not have.
    pub fn gone(&self, id: &str, entries: &[Row], report: &mut Report) {
        let seq = entries.first().and_then(|row| u64::try_from(row.seq).ok());
        let text = format!("the log tells of call {id}, and the database does not have it: its row was deleted");
        report.wrong(Finding { check: Check::Calls, seq, until: None, call: Some(id.to_owned()), text });
    }

    /// A call and every entry about it, in order.
    pub fn call(&mut self, row: &CallRow, entries: &[Row], report: &mut Report) {
        let mut found = Vec::new();
        let life = Life::of(&row.id, entries, &mut found);
        let seq = u64::try_from(life.first).ok().filter(|first| *first > 0);
        let mut wrong = |check, seq, text| {
            found.push(Finding { check, seq, until: None, call: Some(row.id.clone()), text });
        };
        match &row.call {
            Err(problem) => wrong(Check::Calls, seq, format!("call {}: {problem}", row.id)),
            Ok(_) if life.state.is_empty() => {
                let text = format!("the log does not tell of the call {}: its row was put in", row.id);
                wrong(Check::Calls, None, text);
            }
            Ok(call) => {
                for text in differences(row, call, &life) {
                    wrong(Check::Calls, seq, format!("call {}: {text}", row.id));
                }
                votes(call, &life, report, &mut wrong);
                finding(call, &life, &mut wrong);
                self.digest(call, seq, report, &mut wrong);
                self.contents(row, call, &life, report, &mut wrong);
                if row.stands == Some(false) {
                    let text = format!("call {}: what says where it stands does not bear this service's seal", row.id);
                    wrong(Check::Seals, seq, text);
                }
                report.right(Check::Seals, u64::from(row.stands == Some(true)));
                if let Some(seals) = self.seals {
                    let (right, broken) = seals(call);
                    report.right(Check::Seals, right);
                    for text in broken {
                        wrong(Check::Seals, seq, format!("call {}: {text}", row.id));
                    }
                }
            }
        }
        if !found.iter().any(|finding| finding.check == Check::Calls) {
            report.right(Check::Calls, 1);
        }
        found.into_iter().for_each(|finding| report.wrong(finding));
    }

    fn digest(
        &mut self,
        call: &HeldCall,
        seq: Option<u64>,
        report: &mut Report,
        wrong: &mut impl FnMut(Check, Option<u64>, String),
    ) {
        let id = call.submission.id;
        if call.redacted_at.is_some() {
            self.erased += 1;
        } else if call.submission.digest().matches(&call.digest) {
            report.right(Check::Digests, 1);
        } else {
            let text = format!("call {id}: what is stored of it is not what its digest was made of: it was changed");
            wrong(Check::Digests, seq, text);
        }
    }

    fn contents(
        &mut self,
        row: &CallRow,
        call: &HeldCall,
        life: &Life,
        report: &mut Report,
        wrong: &mut impl FnMut(Check, Option<u64>, String),
    ) {
        let id = call.submission.id;
        let erased = call.redacted_at.is_some();
        let ran = matches!(call.state, CallState::Executed { .. } | CallState::ToolError { .. });
        let to_u64 = |seq: &i64| u64::try_from(*seq).ok();
        match (&call.answer, &life.result) {
            (Some(answer), Some((seq, hash))) if ran && !erased => {
                let stored = call.answer_salt.map(|salt| answer_digest(id, &salt, answer).to_string());
                if stored.as_ref() == Some(hash) {
                    report.right(Check::Answers, 1);
                } else {
                    wrong(
                        Check::Answers,
                        to_u64(seq),
                        format!("call {id}: the kept answer is not the one of entry {seq}"),
                    );
                }
            }
            // Written by a version that logged no hash of the answer, and so made no salt for one.
            (Some(_), None) if ran && !erased && call.answer_salt.is_none() => self.unsalted += 1,
            (Some(_), _) => {
                let why = if erased { "its contents were erased" } else { "the log tells of none" };
                wrong(Check::Answers, None, format!("call {id}: an answer is kept, and {why}"));
            }
            (None, result) if ran && !erased => {
                let seq = result.as_ref().and_then(|(seq, _)| to_u64(seq));
                wrong(
                    Check::Answers,
                    seq,
                    format!("call {id}: its answer is gone, and nothing says that it was erased"),
                );
            }
            (None, _) => {}
        }
        match (&row.context, &life.reads) {
            (Some(text), Some((seq, hash))) if !erased => {
                let stored = call.context_salt.map(|salt| context_digest(id, &salt, text).to_string());
                if stored.as_ref() == Some(hash) {
                    report.right(Check::Answers, 1);
                } else {
                    wrong(
                        Check::Answers,
                        to_u64(seq),
                        format!("call {id}: the kept reads are not those of entry {seq}"),
                    );
                }
            }
            (Some(_), None) if !erased && call.context_salt.is_none() => self.unsalted += 1,
            (Some(_), _) => {
                wrong(Check::Answers, None, format!("call {id}: reads are kept that the log does not tell of"));
            }
            (None, Some((seq, _))) if !erased => {
                let text = format!("call {id}: its reads are gone, and nothing says that they were erased");
                wrong(Check::Answers, to_u64(seq), text);
            }
            (None, _) => {}
        }
    }

    /// After the last call.
    pub fn end(self, report: &mut Report) {
        if self.erased > 0 {
            report.note(Check::Digests, format!("{} calls were erased by retention, as the log tells", self.erased));
        }
        if self.unsalted > 0 {
            let text = format!(
                "{} answers and reads were recorded by an earlier version, which logged no hash",
                self.unsalted
            );
            report.note(Check::Answers, text);
        }
    }
}

/// How the row differs from what the log tells, each as the end of a sentence.
fn differences(row: &CallRow, call: &HeldCall, life: &Life) -> Vec<String> {
    let mut found = Vec::new();
    let state = call.state.name();
    // An alarm ends a pending or approved call, if the call did not go on.
    let alarmed = life
        .alarm
        .as_ref()
        .filter(|_| matches!((life.state, state), ("pending", "expired") | ("approved", "revoked" | "lapsed")));
    if state != life.state && alarmed.is_none() {
        found.push(format!("it is {state} in the database and {} by the log", life.state));
    }
    let changed_at = alarmed.map_or(life.changed_at, |(at, _)| Some(*at));
    let ended_why = match alarmed {
        Some((_, why)) => why.clone().filter(|_| state == "revoked"),
        None => life.ended_why.clone(),
    };
    let approval = life.approval.as_ref();
    let usable = row.usable_until.map(|until| until.to_string());
    let told_until = approval.and_then(|approval| approval.usable_until.clone());
    let submission = &call.submission;
    let same = [
        ("agent", submission.agent.name.as_str() == life.agent),
        ("upstream", submission.upstream.as_str() == life.upstream),
        ("tool", submission.tool.as_str() == life.tool),
        ("digest", call.digest.to_string() == life.digest),
        ("rule", submission.rule == life.rule),
        ("policy", submission.policy.to_string() == life.policy),
        ("time of holding", Some(submission.created_at) == life.held_at),
        ("time of the last change", Some(call.changed_at) == changed_at),
        ("deadline", call.expires_at.to_string() == life.expires_at || (life.escalated && life.expires_at.is_empty())),
        ("escalation", row.escalated == life.escalated),
        ("time of approval", row.approved_at == approval.map(|approval| approval.at)),
        ("approver", row.approved_by.as_deref() == approval.map(|approval| approval.by)),
        ("deadline of the approval", usable == told_until || (approval.is_some() && told_until.is_none())),
        ("claim", row.claim == life.claim),
        ("person who rejected it", row.ended_by == life.ended_by),
        ("reason for its end", row.ended_why == ended_why),
        ("time of erasure", call.redacted_at == life.erased_at),
    ];
    found
        .extend(same.iter().filter(|(_, same)| !same).map(|(what, _)| format!("its {what} is not the one of the log")));
    // What the answer's time is compared with is the entry of the outcome, which changed the state.
    if row.answered_at.is_some() && row.answered_at != life.changed_at {
        found.push("the time of its answer is not the one of the log".into());
    }
    found
}

/// The votes of the row and those of the log, both ways.
fn votes(call: &HeldCall, life: &Life, report: &mut Report, wrong: &mut impl FnMut(Check, Option<u64>, String)) {
    let id = call.submission.id;
    for stored in &call.votes {
        let by = stored.vote.by.to_string();
        let told = life.votes.iter().find(|told| told.by == by);
        let same = told.is_some_and(|told| {
            let vote = &stored.vote;
            told.verdict == vote.verdict.as_str() && told.at == vote.at && told.reason == vote.reason
        });
        if same {
            report.right(Check::Votes, 1);
        } else if let Some(told) = told {
            let seq = u64::try_from(told.seq).ok();
            wrong(Check::Votes, seq, format!("call {id}: the vote of {by} is not the one of entry {}", told.seq));
        } else {
            wrong(Check::Votes, None, format!("call {id}: the log does not tell of a vote of {by}: it was put in"));
        }
    }
    for told in &life.votes {
        if !call.votes.iter().any(|stored| stored.vote.by.to_string() == told.by) {
            let text = format!("call {id}: the vote of {} in entry {} is gone", told.by, told.seq);
            wrong(Check::Votes, u64::try_from(told.seq).ok(), text);
        }
    }
}

/// What a person found out of an unknown outcome, both ways.
fn finding(call: &HeldCall, life: &Life, wrong: &mut impl FnMut(Check, Option<u64>, String)) {
    let id = call.submission.id;
    match (&call.finding, &life.finding) {
        (None, None) => {}
        (Some(_), None) => {
            wrong(Check::Calls, None, format!("call {id}: the log does not tell of its finding: it was put in"));
        }
        (stored, Some(told)) => {
            let same = stored.as_ref().is_some_and(|stored| {
                let finding = &stored.finding;
                (finding.by.to_string(), Some(finding.ran), finding.at) == (told.by.clone(), told.ran, told.at)
                    && finding.reason == told.reason
            });
            if !same {
                let text = format!("call {id}: its finding is not the one of entry {}", told.seq);
                wrong(Check::Calls, u64::try_from(told.seq).ok(), text);
            }
        }
    }
}
