//! One row against what was told of it.

use serde_json::Value;

use super::told::{Live, ends_standing, pinned};
use super::{Holder, RightRow, Rights};
use crate::audit::Said;
use crate::call::{Millis, tool};

/// Entries that make a row end, of those rows that name them then.
const ENDS: [&str; 2] = ["agent.revoked", "reviewer.disabled"];

impl Rights {
    /// What is wrong with a row, each as the end of a sentence with the entry that says otherwise.
    pub(super) fn compare(&mut self, row: &RightRow, aside: bool) -> Vec<(Option<i64>, String)> {
        if aside {
            let live = row.ended_at.is_none();
            *self.ended.entry(row.holder).or_default() += 1;
            let text = "it was set aside since it had been changed by hand, and stands in the database as if it lived";
            return live.then(|| (row.entry, text.to_owned())).into_iter().collect();
        }
        let said = row.body.as_deref().and_then(|body| Said::read(body).ok());
        let said = said.filter(|said| Some(said.seq) == row.entry);
        let about = said.as_ref().is_some_and(|said| tells_of(said, row));
        let told = self.told.take(row.holder, &row.id, row.of.as_deref(), row.entry);
        match (told, row.ended_at) {
            (Some(live), Some(_)) => {
                vec![(Some(live.last), format!("it has ended in the database, and by entry {} it lives", live.last))]
            }
            (Some(live), None) => stands(row, &live, said.as_ref()),
            (None, _) if !about => {
                let text = match row.entry {
                    Some(entry) => format!("entry {entry}, which it names, does not tell of it: its row was put in"),
                    None => "no entry of the log tells of it: its row was put in".to_owned(),
                };
                vec![(None, text)]
            }
            (None, None) => {
                let text =
                    "it lives in the database, and the log tells that it was ended: an older row was put back, or \
                            its end was taken out"
                        .to_owned();
                vec![(row.entry, text)]
            }
            (None, Some(ended)) => {
                *self.ended.entry(row.holder).or_default() += 1;
                has_ended(row, ended, said.as_ref())
            }
        }
    }
}

/// Whether the entry is about this row, and one of those that rows of its kind name.
fn tells_of(said: &Said<'_>, row: &RightRow) -> bool {
    let person = || said.reviewer.as_deref();
    let owner = || row.of.is_some() && person() == row.of.as_deref();
    match (row.holder, &*said.kind) {
        (Holder::Agent, "agent.added" | "agent.revoked") => said.text("agent_id") == Some(&row.id),
        (Holder::Reviewer, "reviewer.added" | "reviewer.disabled" | "password.changed") => {
            person() == Some(row.id.as_str())
        }
        (Holder::Session, "session.signed_in") => owner() && said.text("session") == Some(&row.id),
        (Holder::Token, "token.made") => owner() && said.text("token") == Some(&row.id),
        (Holder::Link, "link.made") => owner(),
        (Holder::Tool, "tools.pinned") => pinned(said).any(|(tool, _)| is_of(said, tool, row)),
        (Holder::Tool, "tool.changed" | "tool.accepted") => {
            said.tool.as_deref().is_some_and(|tool| is_of(said, tool, row))
        }
        (Holder::Standing, "standing.granted" | "standing.used" | "standing.ended") => {
            said.text("standing") == Some(&row.id)
        }
        _ => false,
    }
}

/// Whether the row is that of this tool of the entry's upstream.
fn is_of(said: &Said<'_>, tool: &str, row: &RightRow) -> bool {
    said.upstream.as_deref().is_some_and(|upstream| tool::row_id(upstream, tool) == row.id)
}

/// A row of something that lives.
fn stands(row: &RightRow, live: &Live, said: Option<&Said<'_>>) -> Vec<(Option<i64>, String)> {
    if row.entry != Some(live.last) {
        let names = row.entry.map_or("no entry".to_owned(), |entry| format!("entry {entry}"));
        let text =
            format!("it names {names}, and entry {} is what made it what it is: an older row was put back", live.last);
        return vec![(Some(live.last), text)];
    }
    let (made_at, differing) = match row.holder {
        Holder::Agent | Holder::Reviewer | Holder::Tool | Holder::Standing => {
            (live.made_at, differing(row, |key| live.facts.get(key).map(|(value, seq)| (value, *seq))))
        }
        Holder::Session | Holder::Token | Holder::Link => {
            let Some(said) = said else { return vec![(Some(live.last), unread(live.last))] };
            (said.at.parse().ok(), differing(row, |key| told_in(said, key)))
        }
    };
    let another: Option<Millis> = made_at.filter(|at| *at != row.made_at);
    let made = another.map(|_| ("another time of making", live.made));
    let text = |(what, seq)| (Some(seq), format!("it has {what} than entry {seq} tells"));
    made.into_iter().chain(differing).map(text).collect()
}

/// A row of something that ended, which names an entry about it.
fn has_ended(row: &RightRow, ended: Millis, said: Option<&Said<'_>>) -> Vec<(Option<i64>, String)> {
    let Some(said) = said else { return Vec::new() };
    let at: Option<Millis> = said.at.parse().ok();
    // Accounts name the entry of their end, the others that of their beginning.
    let by_its_end = ENDS.contains(&&*said.kind);
    let text = |what: &str| (Some(said.seq), format!("it has {what} than entry {} tells", said.seq));
    match row.holder {
        Holder::Agent | Holder::Reviewer if !by_its_end => {
            vec![(
                Some(said.seq),
                format!("it has ended in the database, and entry {}, which it names, is not its end", said.seq),
            )]
        }
        Holder::Agent | Holder::Reviewer if at != Some(ended) => vec![text("another time of its end")],
        // What was changed by hand before was ended as it stood.
        Holder::Agent if said.detail.get("changed_by_hand").is_some() => Vec::new(),
        Holder::Agent if row.facts.get("name").and_then(Value::as_str) != said.agent.as_deref() => {
            vec![text("another name")]
        }
        Holder::Agent | Holder::Reviewer => Vec::new(),
        Holder::Standing if !ends_standing(said) => {
            let text = format!("it has ended in the database, and entry {}, which it names, is not its end", said.seq);
            vec![(Some(said.seq), text)]
        }
        Holder::Standing if at != Some(ended) => vec![text("another time of its end")],
        Holder::Standing => Vec::new(),
        _ if at != Some(row.made_at) => vec![text("another time of making")],
        _ => differing(row, |key| told_in(said, key)).into_iter().map(|(what, _)| text(what)).collect(),
    }
}

/// A fact of an entry, and the entry.
fn told_in<'s>(said: &'s Said<'_>, key: &str) -> Option<(&'s Value, i64)> {
    Some((said.detail.get(key)?, said.seq))
}

/// Facts of the row that the log tells otherwise, each with the entry that does; what an earlier version did not tell is
/// not compared.
fn differing<'t>(row: &RightRow, told: impl Fn(&str) -> Option<(&'t Value, i64)>) -> Vec<(&'static str, i64)> {
    const NAMES: [(&str, &str); 25] = [
        ("name", "another name"),
        ("upstreams", "other upstreams"),
        ("roles", "other roles"),
        ("groups", "other groups"),
        ("may_decide", "another right to decide"),
        ("expires_at", "another time of expiry"),
        ("digest", "another accepted digest"),
        ("says", "other accepted words"),
        ("accepted_at", "another time of acceptance"),
        ("accepted_by", "another person who accepted it"),
        ("reason", "another reason for its acceptance"),
        ("agent_id", "another agent"),
        ("granted_by", "another person who granted it"),
        ("granted_for", "another reason for which it was granted"),
        ("upstream_config", "another configuration of its upstream"),
        ("tool_schema", "another state of its tool"),
        ("open", "other arguments that may differ"),
        ("fixed", "another hash of what may not differ"),
        ("uses", "another number of uses"),
        ("used", "another number of calls that passed"),
        ("until", "another end of its time"),
        ("call", "another call that it was granted on"),
        ("pending_digest", "another digest of what waits to be accepted"),
        ("pending_says", "other words that wait to be accepted"),
        ("pending_at", "another time of its change"),
    ];
    let differs = |(key, what): (&str, &'static str)| {
        let (ours, (told, seq)) = (row.facts.get(key)?, told(key)?);
        (ours != told).then_some((what, seq))
    };
    NAMES.into_iter().filter_map(differs).collect()
}

fn unread(seq: i64) -> String {
    format!("the body of entry {seq}, which tells of it, cannot be read")
}
