//! `/audit`: the log's entries, filtered.

use axum::extract::{Query, State};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::Review;
use super::chrome::html;
use super::failure::Answer;
use super::next::query_value;
use super::rights::sight;
use super::session::Visitor;
use super::timeline::{Names, addressed, tell};
use super::view::audit::{AuditFilter, AuditPage, AuditRow};
use super::view::{Nav, Paging, Text};
use crate::call::{CallId, Millis};
use crate::identity::Reviewer;
use crate::store::{EntryFilter, StoredEntry};

/// Entries on one page.
const PAGE: u32 = 100;

/// Kinds of entry to choose from, with a trailing `.` for all that begin so.
const KINDS: [(&str, &str); 33] = [
    ("call.", "Calls, everything"),
    ("call.held", "Call held"),
    ("call.allowed", "Call allowed"),
    ("call.denied", "Call refused by the policy"),
    ("call.limited", "Call over a limit"),
    ("call.voted", "One of several approvals"),
    ("call.approved", "Call approved"),
    ("call.rejected", "Call rejected"),
    ("call.escalated", "Further reviewers asked"),
    ("call.expired", "Call expired"),
    ("call.cancelled", "Call taken back"),
    ("call.released", "Call sent"),
    ("call.not_sent", "Call that did not reach the upstream"),
    ("call.executed", "Call executed"),
    ("call.tool_error", "Tool error"),
    ("call.outcome_unknown", "Outcome unknown"),
    ("call.lapsed", "Approval lapsed"),
    ("call.revoked", "Approval withdrawn"),
    ("call.revealed", "Secrets looked at"),
    ("context.read", "State read for reviewers"),
    ("method.denied", "Method refused by the policy"),
    ("alarm.", "Alarms"),
    ("session.", "Sign-ins and sign-outs"),
    ("reviewer.", "Reviewers"),
    ("agent.", "Agents"),
    ("link.made", "Sign-in links"),
    ("token.", "API tokens"),
    ("password.changed", "Password changed"),
    ("policy.", "Policy"),
    ("mail.failed", "Mails that failed"),
    ("log.", "Keys of the log"),
    ("anchor.", "Anchors of the log"),
    ("service.started", "Starts of Placet"),
];

/// What the audit page is asked with; empty strings do not filter.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Asked {
    from: String,
    to: String,
    kind: String,
    agent: String,
    reviewer: String,
    tool: String,
    call: String,
    below: String,
}

/// `GET /audit`
pub async fn page(State(review): State<Review>, Visitor(session): Visitor, Query(asked): Query<Asked>) -> Answer {
    let everybody = review.0.identity.reviewers().await?;
    let (rows, problem) = match filter(&asked, &everybody) {
        Ok(filter) => {
            let filter = EntryFilter { sight: sight(&session.reviewer), ..filter };
            (review.0.store.entries(filter).await?, None)
        }
        Err(problem) => (Vec::new(), Some(problem)),
    };
    let older = rows.last().filter(|_| rows.len() == PAGE as usize).map(|entry| address(&asked, Some(entry.seq)));
    let names = addressed(&everybody);
    html(&AuditPage {
        chrome: review.chrome(&session, "Audit".into(), Nav::Audit).await?,
        kinds: KINDS.iter().map(|(name, words)| ((*name).to_owned(), (*words).to_owned())).collect(),
        rows: rows.iter().map(|entry| review.audit_row(entry, &names)).collect(),
        log: review.log_facts(&session.reviewer).await?,
        partial: !session.reviewer.roles.read_everything(),
        problem,
        paging: Paging { newer: (!asked.below.is_empty()).then(|| address(&asked, None)), older },
        printed: review.time(review.0.clock.now()),
        filter: AuditFilter {
            from: asked.from,
            to: asked.to,
            kind: asked.kind,
            agent: asked.agent,
            reviewer: asked.reviewer,
            tool: asked.tool,
            call: asked.call,
        },
    })
}

/// What to read, or what is wrong with what was asked.
fn filter(asked: &Asked, everybody: &[Reviewer]) -> Result<EntryFilter, String> {
    let set = |text: &str| (!text.is_empty()).then(|| text.trim().to_owned());
    let reviewer = set(&asked.reviewer).map(|email| {
        let person = everybody.iter().find(|person| person.email.as_str().eq_ignore_ascii_case(&email));
        person.map(|person| person.id.to_string()).ok_or_else(|| format!("reviewer: nobody has the address {email}"))
    });
    let call = set(&asked.call).map(|id| id.parse::<CallId>().map_err(|_| format!("call: {id} is no call’s id")));
    let below = set(&asked.below).map(|n| n.parse::<i64>().map_err(|_| format!("below: {n} is no number")));
    Ok(EntryFilter {
        from: moment("from", &asked.from)?,
        until: moment("to", &asked.to)?,
        kind: set(&asked.kind),
        agent: set(&asked.agent),
        reviewer: reviewer.transpose()?,
        tool: set(&asked.tool),
        call: call.transpose()?,
        below: below.transpose()?,
        limit: PAGE,
        ..EntryFilter::default()
    })
}

fn moment(name: &str, text: &str) -> Result<Option<Millis>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let parsed = text.parse::<DateTime>().ok().and_then(|date| date.to_zoned(TimeZone::UTC).ok());
    let zoned = parsed.ok_or_else(|| format!("{name}: {text} is no date and time such as 2026-11-22T14:00, in UTC"))?;
    Ok(Some(Millis(zoned.timestamp().as_millisecond())))
}

fn address(asked: &Asked, below: Option<i64>) -> String {
    let below = below.map(|seq| seq.to_string()).unwrap_or_default();
    let pairs = [
        ("from", &asked.from),
        ("to", &asked.to),
        ("kind", &asked.kind),
        ("agent", &asked.agent),
        ("reviewer", &asked.reviewer),
        ("tool", &asked.tool),
        ("call", &asked.call),
        ("below", &below),
    ];
    let set: Vec<_> = pairs.iter().filter(|(_, value)| !value.is_empty()).collect();
    let query: Vec<_> = set.iter().map(|(key, value)| format!("{key}={}", query_value(value))).collect();
    if query.is_empty() { "/audit".to_owned() } else { format!("/audit?{}", query.join("&")) }
}

impl Review {
    fn audit_row(&self, entry: &StoredEntry, names: &Names) -> AuditRow {
        let told = tell(entry, names);
        let mut what = told.what;
        if let Some(tool) = &entry.tool {
            let upstream = entry.upstream.as_ref().map(|upstream| format!(" on {upstream}")).unwrap_or_default();
            what.push_str(&format!(" · {tool}{upstream}"));
        }
        if let Some(quote) = told.quote {
            what.push_str(&format!(": {quote}"));
        }
        AuditRow {
            seq: u64::try_from(entry.seq).unwrap_or(0),
            at: self.time(entry.at),
            kind: entry.kind.clone(),
            who: Text::new(told.who.as_deref().unwrap_or("Placet")),
            what: Text::new(&what),
            call: entry.call.clone(),
            leaf: entry.leaf.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_say_what_is_wrong_with_them() {
        let asked = |from: &str, call: &str, reviewer: &str| Asked {
            from: from.into(),
            call: call.into(),
            reviewer: reviewer.into(),
            ..Asked::default()
        };
        assert_eq!(filter(&asked("2026-11-22T14:02", "", ""), &[]).unwrap().from, Some(Millis(1_795_356_120_000)));
        for bad in [asked("2026-13-01T00:00", "", ""), asked("", "x", ""), asked("", "", "a@b.c")] {
            assert!(filter(&bad, &[]).unwrap_err().contains(": "));
        }
    }

    #[test]
    fn pages_keep_their_filters() {
        let asked = Asked { kind: "call.".into(), tool: "a&b".into(), ..Asked::default() };
        assert_eq!(address(&asked, Some(7)), "/audit?kind=call.&tool=a%26b&below=7");
        assert_eq!(address(&Asked::default(), None), "/audit");
    }
}
