//! What happened to a call, from the log, in sentences.

use std::collections::HashMap;

use serde_json::Value;

use super::Review;
use super::view::Text;
use super::view::call::{Event, EventKind};
use crate::call::{Millis, secrets};
use crate::identity::Reviewer;
use crate::store::StoredEntry;

/// People by the id that the log knows them by.
pub type Names = HashMap<String, String>;

/// Everybody's name.
#[must_use]
pub fn names(everybody: &[Reviewer]) -> Names {
    everybody.iter().map(|reviewer| (reviewer.id.to_string(), reviewer.name.clone())).collect()
}

/// Everybody's name with the address, for the log: two people may have one name.
#[must_use]
pub fn addressed(everybody: &[Reviewer]) -> Names {
    let words = |reviewer: &Reviewer| match reviewer.email.as_str() {
        email if email == reviewer.name => email.to_owned(),
        email => format!("{} ({email})", reviewer.name),
    };
    everybody.iter().map(|reviewer| (reviewer.id.to_string(), words(reviewer))).collect()
}

/// An entry in words: who, what, and what was said with it.
pub struct Told {
    /// The looks.
    pub kind: EventKind,
    /// Who did it, where a person or an agent did.
    pub who: Option<String>,
    /// What happened, following `who`.
    pub what: String,
    /// Words given with it.
    pub quote: Option<String>,
}

/// Puts an entry into words. An entry of a kind that this version does not know keeps its kind as its words.
#[must_use]
pub fn tell(entry: &StoredEntry, names: &Names) -> Told {
    let body: Value = serde_json::from_str(&entry.body).unwrap_or_default();
    let detail = |key: &str| body["detail"][key].as_str().filter(|text| !text.is_empty()).map(secrets::mask_text);
    let person = entry.reviewer.as_ref().map(|id| names.get(id).cloned().unwrap_or_else(|| format!("reviewer {id}")));
    let agent = || entry.agent.clone();
    let why = detail("why");
    let name = |name: &Option<String>| name.clone().unwrap_or_default();
    let (tool, upstream) = (name(&entry.tool), name(&entry.upstream));
    let told = |kind, who: Option<String>, what: &str, quote| Told { kind, who, what: what.to_owned(), quote };
    match entry.kind.as_str() {
        "call.held" => told(EventKind::Plain, agent(), "asked; the call is held for its reviewers", None),
        "call.voted" => told(EventKind::Approve, person, "approved; further approvals are needed", detail("reason")),
        "call.approved" if person.is_none() => {
            told(EventKind::Approve, Some("The policy".into()), "approved, as nobody answered in time", None)
        }
        "call.approved" if body["detail"]["channel"] == "standing" => {
            told(EventKind::Approve, person, "let it pass, by a standing approval", detail("reason"))
        }
        "standing.used" => {
            let (used, of) = (&body["detail"]["use"], &body["detail"]["of"]);
            told(EventKind::Plain, None, &format!("A standing approval let it pass: use {used} of {of}"), None)
        }
        "standing.granted" => {
            let (uses, until) = (&body["detail"]["uses"], detail("until").map(|at| moment(&at)).unwrap_or_default());
            let what =
                format!("let further calls of {tool} by {} pass: {uses} at most, until {until}", name(&entry.agent));
            told(EventKind::Approve, person, &what, detail("reason"))
        }
        "standing.ended" => {
            let what = format!("ended a standing approval for {tool} by {}", name(&entry.agent));
            match person {
                Some(person) => told(EventKind::Stopped, Some(person), &what, None),
                None => told(EventKind::Stopped, Some("Placet".into()), &what, why),
            }
        }
        "call.approved" => told(EventKind::Approve, person, "approved this call", detail("reason")),
        "call.rejected" => told(EventKind::Reject, person, "rejected this call", detail("reason")),
        "call.escalated" => told(EventKind::Plain, None, "Nobody answered in time; further reviewers are asked", None),
        "call.expired" => told(EventKind::Stopped, None, "Nobody answered in time; the call does not run", None),
        "call.cancelled" => told(EventKind::Stopped, agent(), "took the call back", None),
        "call.released" => told(EventKind::Plain, None, "Sent to the upstream, once", None),
        "call.executed" | "call.finished" => told(EventKind::Done, None, "The tool ran and answered", None),
        "call.tool_error" => told(EventKind::Alarm, None, "The tool answered with an error", None),
        "call.not_sent" => told(EventKind::Alarm, None, "The call did not reach the upstream", why),
        "call.outcome_unknown" => told(EventKind::Alarm, None, "Nobody knows whether the call ran", why),
        "call.lapsed" => told(EventKind::Stopped, None, "The approval ran out before the caller came back", None),
        "call.revoked" => told(EventKind::Stopped, None, "The approval was withdrawn", why),
        "call.finding" => {
            let ran = body["detail"]["ran"].as_bool() == Some(true);
            let found = if ran { "found out that it ran" } else { "found out that it did not run" };
            told(if ran { EventKind::Done } else { EventKind::Stopped }, person, found, detail("reason"))
        }
        "call.restored" => told(
            EventKind::Alarm,
            None,
            "The database was put back from a copy; the call may have been decided and run since",
            detail("as_of").map(|at| format!("as of {}", moment(&at))),
        ),
        "call.revealed" => told(EventKind::Plain, person, "looked at the masked secrets", None),
        "call.erased" => {
            told(EventKind::Plain, None, "What was sent and what came back was erased, as the retention asks", None)
        }
        "call.allowed" => told(EventKind::Done, agent(), "called it, as the policy allows", None),
        "call.denied" => told(EventKind::Stopped, agent(), "was refused by the policy", detail("rule")),
        "call.limited" => told(EventKind::Stopped, agent(), "called more often than a limit allows", detail("rule")),
        "method.denied" => told(EventKind::Stopped, agent(), "used a method that the policy denies", detail("method")),
        "context.read" => told(EventKind::Plain, None, "Placet read the state of things for the reviewers", None),
        "alarm.call_tampered" => {
            told(EventKind::Alarm, None, "ALARM: what is stored is not what was approved; it did not run", why)
        }
        "context.recorded" => told(EventKind::Plain, None, "What was read for the reviewers was recorded", None),
        "alarm.finding_tampered" => {
            told(EventKind::Alarm, None, "ALARM: the stored finding was not recorded here; it counts for nothing", why)
        }
        "alarm.result_tampered" => told(
            EventKind::Alarm,
            None,
            "ALARM: the kept result is not the one that was recorded; nobody is told it",
            why,
        ),
        "alarm.log_behind" | "alarm.log_disagrees" | "alarm.log_unwitnessed" => {
            told(EventKind::Alarm, None, &log_alarm(&entry.kind, &body["detail"]), None)
        }
        "store.backed_up" => {
            let what = format!("The database was copied, with {} log entries", body["detail"]["log"]);
            told(EventKind::Plain, None, &what, None)
        }
        "store.restored" => told(EventKind::Alarm, None, &put_back(&body["detail"]), None),
        "log.key_made" => told(EventKind::Plain, None, "The log got its key", detail("vkey")),
        "log.key_rotated" if body["detail"]["old_lost"] == true => {
            told(EventKind::Alarm, None, "The log got another key; the one before was lost", detail("new"))
        }
        "log.key_rotated" if body["detail"]["restored"] == true => told(
            EventKind::Alarm,
            None,
            "The database was put back to before the log got another key; it goes on with the newer one",
            detail("new"),
        ),
        "log.key_rotated" => told(EventKind::Plain, None, "The log got another key", detail("new")),
        "anchor.added" => told(EventKind::Plain, None, &format!("An anchor was added: {}", anchor(&detail)), None),
        "anchor.removed" => {
            told(EventKind::Stopped, None, &format!("An anchor was removed: {}", anchor(&detail)), None)
        }
        "anchor.failed" => {
            told(EventKind::Alarm, None, &format!("An anchor does not get the checkpoints: {}", anchor(&detail)), None)
        }
        "mail.failed" => told(EventKind::Alarm, person, "could not be mailed", why),
        "service.started" => told(EventKind::Plain, None, "Placet was started", detail("version")),
        "policy.refused" => {
            told(EventKind::Alarm, None, "A new policy file is not valid; the old one stays", detail("problems"))
        }
        "agent.added" => told(EventKind::Plain, agent(), "was added as an agent", None),
        "agent.revoked" => told(EventKind::Stopped, agent(), "was revoked", None),
        "reviewer.added" => told(EventKind::Plain, person, "got an account", None),
        "reviewer.disabled" => told(EventKind::Stopped, person, "lost the account", None),
        "session.signed_in" => told(EventKind::Plain, person, &signed_in(detail("by").as_deref()), None),
        "session.signed_out" => told(EventKind::Plain, person, "signed out", None),
        "session.refused" => {
            let who = person.or_else(|| Some("Somebody without an account".into()));
            told(EventKind::Alarm, who, "was not let in", why)
        }
        "password.changed" => told(EventKind::Plain, person, "changed the password", None),
        "link.made" => told(EventKind::Plain, person, "got a sign-in link", None),
        "token.made" => told(EventKind::Plain, person, "got an API token", None),
        "token.revoked" => told(EventKind::Plain, person, "ended an API token", None),
        "tools.pinned" => {
            let what = format!("{} tools of {upstream} were seen for the first time", body["detail"]["count"]);
            told(EventKind::Plain, None, &what, None)
        }
        "tool.changed" if body["detail"]["restored"] == true => {
            let what =
                format!("What was accepted of {tool} of {upstream} is not known since the database was put back");
            told(EventKind::Alarm, None, &what, None)
        }
        "tool.changed" => {
            told(EventKind::Alarm, None, &format!("{tool} of {upstream} changed what it says of itself"), None)
        }
        "tool.accepted" => {
            told(EventKind::Approve, person, &format!("accepted what {tool} of {upstream} says"), detail("reason"))
        }
        "policy.loaded" => told(EventKind::Plain, None, "The policy was loaded", detail("policy")),
        other => told(EventKind::Plain, person.or_else(agent), other, why),
    }
}

/// An alarm about the log itself, in a sentence.
#[must_use]
pub fn log_alarm(kind: &str, detail: &Value) -> String {
    let source = detail["source"].as_str().unwrap_or("a checkpoint");
    match kind {
        "alarm.log_behind" => format!(
            "ALARM: {source} was signed over {} entries, and the log had {} at the start: an older database was put \
             back, or its end was cut off",
            detail["checkpoint"], detail["log"]
        ),
        "alarm.log_disagrees" => format!(
            "ALARM: at the start the log was not the one that {source} was signed over: {}",
            detail["why"].as_str().unwrap_or_default()
        ),
        _ => format!(
            "ALARM: at the start audit.checkpoint was missing, although the database had a checkpoint over {} entries",
            detail["checkpoint"]
        ),
    }
}

/// A moment of the log as the rest of a page writes moments.
fn moment(iso: &str) -> String {
    let read = iso.parse::<jiff::Timestamp>();
    read.map_or_else(|_| iso.to_owned(), |at| Millis(at.as_millisecond()).in_words())
}

fn put_back(detail: &Value) -> String {
    format!(
        "The database was put back to how it was at {}. Calls whose outcome is unknown for it: {}; calls that wait for \
         a decision: {}. Sessions, links and API tokens were ended",
        detail["as_of"].as_str().map_or_else(|| "an unknown moment".to_owned(), moment),
        detail["outcome_unknown"],
        detail["pending"]
    )
}

fn anchor(detail: &impl Fn(&str) -> Option<String>) -> String {
    let part = |key| detail(key).unwrap_or_default();
    format!("{} {}", part("kind"), part("anchor"))
}

fn signed_in(by: Option<&str>) -> String {
    match by {
        Some("password") => "signed in with a password".to_owned(),
        Some("link") => "signed in by a link and its code".to_owned(),
        Some(other) => format!("signed in by {other}"),
        None => "signed in".to_owned(),
    }
}

impl Review {
    /// The call's entries as events.
    pub(super) fn timeline(&self, entries: &[StoredEntry], names: &Names) -> Vec<Event> {
        let event = |entry: &StoredEntry| {
            let Told { kind, who, what, quote } = tell(entry, names);
            let (who, quote) = (who.map(|who| Text::new(&who)), quote.map(|quote| Text::new(&quote)));
            Event { at: self.time(entry.at), kind, who, what, quote }
        };
        entries.iter().map(event).collect()
    }
}
