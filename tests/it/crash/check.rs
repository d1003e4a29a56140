//! Whether what a run left behind is whole: the log, every call with its entries, what was acknowledged, what ran,
//! what was mailed. Read with another library than the one that wrote it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use placet::audit::SealedEntry;
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use super::book::Records;
use super::plan::Kind;
use super::world::World;
use crate::support::smtp::Received;

/// A call as it lies in the database.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) tool: String,
    pub(super) state: String,
    /// `verdict by-address`, in the order of the votes.
    pub(super) votes: BTreeSet<(String, String)>,
    pub(super) answered: bool,
    /// Kinds of its entries, in order.
    pub(super) entries: Vec<String>,
    /// Kinds of its notices, in order.
    pub(super) notices: Vec<String>,
}

/// One row of `mails`, with what it is about.
#[derive(Clone, Debug)]
pub(super) struct Mail {
    pub(super) notice: String,
    pub(super) call: String,
    pub(super) to: String,
    pub(super) state: String,
    pub(super) message: Option<String>,
}

pub(super) fn open(database: &Path, writable: bool) -> Connection {
    let flags = if writable { OpenFlags::SQLITE_OPEN_READ_WRITE } else { OpenFlags::SQLITE_OPEN_READ_ONLY };
    let connection = Connection::open_with_flags(database, flags).unwrap();
    connection.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    connection
}

fn strings<const N: usize>(database: &Connection, sql: &str) -> rusqlite::Result<Vec<[Option<String>; N]>> {
    let mut statement = database.prepare(sql)?;
    let rows = statement.query_map([], |row| {
        let mut values: [Option<String>; N] = std::array::from_fn(|_| None);
        for (at, value) in values.iter_mut().enumerate() {
            *value = row.get(at)?;
        }
        Ok(values)
    })?;
    rows.collect()
}

/// The calls that are being released: claimed, no outcome recorded.
pub(super) fn releasing(database: &Connection) -> BTreeSet<String> {
    let rows = strings(database, "SELECT id FROM calls WHERE state = 'releasing'").unwrap();
    rows.into_iter().map(|[id]| id.unwrap()).collect()
}

/// Whether nothing is left to do: every call is over, every mail has left.
pub(super) fn is_quiet(database: &Connection) -> bool {
    let sql = "SELECT (SELECT count(*) FROM calls WHERE state IN ('pending', 'approved', 'releasing'))
                    + (SELECT count(*) FROM outbox WHERE state = 'queued')
                    + (SELECT count(*) FROM mails WHERE state IN ('queued', 'sending'))";
    database.query_row(sql, [], |row| row.get::<_, i64>(0)).is_ok_and(|open| open == 0)
}

/// Whether everything is released that needs no caller for it, and recorded.
pub(super) fn is_settled(database: &Connection) -> bool {
    let sql = "SELECT count(*) FROM calls WHERE state = 'releasing'
                   OR state = 'approved' AND told_to_return = 1 AND tool <> 'on_return'";
    database.query_row(sql, [], |row| row.get::<_, i64>(0)).is_ok_and(|open| open == 0)
}

/// What keeps it from being quiet.
pub(super) fn left(database: &Connection) -> Vec<String> {
    let sql = "SELECT id || ' ' || tool || ' ' || state, 'told ' || told_to_return || ' gone ' || caller_gone,
                   (SELECT params FROM call_params WHERE call_id = id)
               FROM calls WHERE state IN ('pending', 'approved', 'releasing')
               UNION ALL SELECT 'notice ' || id, kind, call_id FROM outbox WHERE state = 'queued'
               UNION ALL SELECT 'mail ' || notice_id, state, coalesce(why, '') FROM mails WHERE state IN ('queued', 'sending')";
    let rows = strings::<3>(database, sql).unwrap().into_iter();
    rows.map(|columns| columns.map(Option::unwrap_or_default).join(", ")).collect()
}

pub(super) fn calls(database: &Connection) -> BTreeMap<String, Row> {
    let sql = "SELECT id, tool, state, (SELECT 'yes' FROM call_answers a WHERE a.call_id = calls.id) FROM calls";
    let mut calls = BTreeMap::new();
    for [id, tool, state, answered] in strings(database, sql).unwrap() {
        let id = id.unwrap();
        let row = Row {
            id: id.clone(),
            tool: tool.unwrap(),
            state: state.unwrap(),
            votes: BTreeSet::new(),
            answered: answered.is_some(),
            entries: Vec::new(),
            notices: Vec::new(),
        };
        calls.insert(id, row);
    }
    let votes = "SELECT call_id, verdict, email FROM votes ORDER BY at";
    for [call, verdict, by] in strings(database, votes).unwrap() {
        let row = calls.get_mut(&call.unwrap()).expect("a vote is about a call");
        row.votes.insert((verdict.unwrap(), by.unwrap()));
    }
    for [call, kind] in strings(database, "SELECT call_id, kind FROM outbox ORDER BY id").unwrap() {
        calls.get_mut(&call.unwrap()).expect("a notice is about a call").notices.push(kind.unwrap());
    }
    calls
}

/// The log from its first entry: numbers without a gap, each hash that of its body, each body naming the one before.
/// Adds to each call the kinds of its entries.
pub(super) fn log(database: &Connection, calls: &mut BTreeMap<String, Row>, wrong: &mut Vec<String>) -> usize {
    let sql = "SELECT CAST(seq AS TEXT), kind, call_id, body, leaf FROM entries ORDER BY seq";
    let entries = strings(database, sql).unwrap();
    let mut before = "0".repeat(64);
    for (at, [seq, kind, call, body, leaf]) in entries.iter().enumerate() {
        let (seq, kind, body, leaf) =
            (seq.as_deref().unwrap(), kind.as_deref().unwrap(), body.as_deref().unwrap(), leaf.as_deref().unwrap());
        let said: Value = serde_json::from_str(body).unwrap();
        if seq != (at + 1).to_string() || said["seq"] != at + 1 {
            wrong.push(format!("entry {seq} stands at place {}", at + 1));
        }
        if SealedEntry::leaf_of(body.as_bytes()).to_string() != leaf {
            wrong.push(format!("entry {seq} has another hash than its body"));
        }
        if said["prev"] != before || said["kind"] != kind || said["call"].as_str() != call.as_deref() {
            wrong.push(format!("entry {seq} does not follow the one before, or its columns do not: {body}"));
        }
        if kind.starts_with("alarm.") {
            wrong.push(format!("a false alarm: {body}"));
        }
        leaf.clone_into(&mut before);
        if let Some(call) = call
            && !matches!(kind, "context.read" | "context.recorded" | "mail.failed")
        {
            match calls.get_mut(call) {
                Some(row) => row.entries.push(kind.to_owned()),
                None => wrong.push(format!("entry {seq} ({kind}) is about a call that is not there")),
            }
        }
    }
    entries.len()
}

/// What the policy's limit counted: every call that was held, whenever the process died.
pub(super) fn counted(database: &Connection, wrong: &mut Vec<String>) {
    let sql = "SELECT (SELECT count(*) FROM entries WHERE kind = 'call.held'),
                   (SELECT coalesce(sum(amount), 0) FROM limit_counters)";
    let counted = database.query_row(sql, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, f64>(1)?)));
    let (held, counted) = counted.unwrap();
    if counted < held as f64 {
        wrong.push(format!("{held} calls were held, and the limit knows of {counted}"));
    }
}

/// Whether the entries tell a life that may be, and one that ends in the state of the row; what notices it leaves.
fn life(row: &Row) -> Result<Vec<&'static str>, String> {
    let (mut state, mut notices, mut votes) = ("", Vec::new(), 0);
    for entry in &row.entries {
        let (next, notice) = match (state, entry.as_str()) {
            ("", "call.held") => ("pending", Some("call.held")),
            ("pending", "call.voted") => ("pending", None),
            ("pending", "call.escalated") => ("pending", Some("call.escalated")),
            ("pending", "call.approved") => ("approved", Some("call.decided")),
            ("pending", "call.rejected") => ("rejected", Some("call.decided")),
            ("pending", "call.expired") => ("expired", Some("call.expired")),
            ("pending", "call.cancelled") => ("cancelled", Some("call.cancelled")),
            ("approved", "call.released") => ("releasing", None),
            ("approved", "call.lapsed") => ("lapsed", Some("call.expired")),
            ("releasing", "call.executed") => ("executed", Some("call.finished")),
            ("releasing", "call.tool_error" | "call.not_sent") => ("tool_error", Some("call.finished")),
            ("releasing", "call.outcome_unknown") => ("outcome_unknown", Some("call.outcome_unknown")),
            (state, entry) => return Err(format!("{entry} follows {state:?}")),
        };
        votes += usize::from(matches!(entry.as_str(), "call.voted" | "call.approved" | "call.rejected"));
        state = next;
        notices.extend(notice);
    }
    if state != row.state {
        return Err(format!("its entries end in {state:?}"));
    }
    let by_policy = row.tool == "auto";
    if !by_policy && votes != row.votes.len() {
        return Err(format!("it has {votes} entries of votes and {} votes", row.votes.len()));
    }
    if row.answered != matches!(state, "executed" | "tool_error") {
        return Err("an answer is stored, or missing, against its state".to_owned());
    }
    Ok(notices)
}

/// Every call: a legal life, the notices that belong to it, no more than one message to the upstream.
pub(super) fn lives(calls: &BTreeMap<String, Row>, sent: &BTreeMap<String, usize>, wrong: &mut Vec<String>) {
    for row in calls.values() {
        match life(row) {
            Ok(notices) if notices == row.notices => {}
            Ok(notices) => wrong.push(format!("the notices should be {notices:?}: {row:?}")),
            Err(why) => wrong.push(format!("{why}: {row:?}")),
        }
        let sent = sent.get(&row.id).copied().unwrap_or(0);
        let right = match row.state.as_str() {
            "executed" => sent == 1,
            "tool_error" => sent == 1 || (sent == 0 && row.entries.iter().any(|kind| kind == "call.not_sent")),
            "outcome_unknown" => sent <= 1,
            _ => sent == 0,
        };
        if !right {
            wrong.push(format!("sent {sent} times: {row:?}"));
        }
    }
    for call in sent.keys().filter(|call| !calls.contains_key(*call)) {
        wrong.push(format!("{call} was sent and is not in the database"));
    }
}

/// What the stub received as approved calls, by call.
pub(super) fn sent(world: &World) -> BTreeMap<String, usize> {
    let mut sent = BTreeMap::new();
    for arrived in world.upstream.arrived() {
        let message: Value = serde_json::from_str(&arrived.body).unwrap();
        let tool = message["params"]["name"].as_str().and_then(Kind::of_tool);
        if message["method"] == "tools/call" && tool.is_some() {
            let id = message["id"].as_str().and_then(|id| id.strip_prefix("placet-")).expect("Placet's own id");
            *sent.entry(id.to_owned()).or_default() += 1;
        }
    }
    sent
}

/// Everything that anybody was told is so.
pub(super) fn promises(calls: &BTreeMap<String, Row>, records: &Records, wrong: &mut Vec<String>) {
    wrong.extend(records.lies.iter().cloned());
    for call in records.shown.keys().filter(|call| !calls.contains_key(*call)) {
        wrong.push(format!("{call} was shown and is gone"));
    }
    for told in &records.acknowledged {
        let vote = (told.verdict.to_owned(), format!("{}@example.com", told.by));
        let Some(row) = calls.get(&told.call) else {
            wrong.push(format!("the call of {told:?} is gone"));
            continue;
        };
        let past = |kind: &str| row.entries.iter().any(|entry| entry == kind);
        let kept = match told.state.as_str() {
            "pending" => true,
            "rejected" => past("call.rejected"),
            _ => past("call.approved"),
        };
        if !row.votes.contains(&vote) || !kept {
            wrong.push(format!("the acknowledged {told:?} is not in {row:?}"));
        }
    }
    for told in &records.told {
        let Some(row) = calls.get(&told.call) else { continue };
        let open = matches!(told.state.as_str(), "pending" | "approved" | "releasing");
        if !open && told.state != row.state {
            wrong.push(format!("its agent was told {}: {row:?}", told.state));
        }
    }
}

pub(super) fn mails(database: &Connection) -> Vec<Mail> {
    let sql = "SELECT o.kind, m.call_id, r.email, m.state, m.message FROM mails m
               JOIN outbox o ON o.id = m.notice_id JOIN reviewers r ON r.id = m.reviewer_id";
    let rows = strings(database, sql).unwrap().into_iter();
    rows.map(|[notice, call, to, state, message]| Mail {
        notice: notice.unwrap(),
        call: call.unwrap(),
        to: to.unwrap(),
        state: state.unwrap(),
        message,
    })
    .collect()
}

/// Every mail that is said to have left arrived, under the name that it has, with what it was to tell; nothing arrived
/// under another name. How many arrived.
pub(super) fn delivered(world: &World, mails: &[Mail], wrong: &mut Vec<String>) -> usize {
    let arrived = world.sink.mails();
    let mut by_name: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for mail in &arrived {
        let name = mail.header("Message-ID").unwrap();
        let name = name.trim_start_matches('<').split('@').next().unwrap().to_owned();
        by_name.entry(name).or_default().push(mail);
    }
    for (name, mails) in &by_name {
        if mails.iter().any(|mail| mail.to != mails[0].to) {
            wrong.push(format!("the mail {name} went to several people"));
        }
    }
    for name in by_name.keys() {
        if !mails.iter().any(|mail| mail.message.as_ref() == Some(name)) {
            wrong.push(format!("a mail {name} arrived that nothing belongs to"));
        }
    }
    for mail in mails {
        match mail.state.as_str() {
            "sent" => {
                let told = mail.message.as_ref().and_then(|name| by_name.get(name));
                let tells = |arrived: &Received| {
                    let text = arrived.text();
                    // A mail about very many calls counts the last of them.
                    let names = text.contains(&mail.call) || text.contains(" more: http://placet.test/");
                    arrived.to == [mail.to.clone()] && names
                };
                if !told.is_some_and(|told| told.iter().any(|arrived| tells(arrived))) {
                    let told: Vec<_> = told.into_iter().flatten().map(|told| (&told.to, told.text())).collect();
                    wrong.push(format!("it is said to have left and did not arrive: {mail:?}, but {told:?}"));
                }
            }
            // Something later about the call was told in its place, or there was nothing to ask any more.
            "superseded" => {}
            _ => wrong.push(format!("not mailed: {mail:?}")),
        }
    }
    arrived.len()
}

/// Whom a notice has to reach: both reviewers are asked about every call, and hear of one that ended without anybody's
/// doing.
pub(super) fn told_everybody(calls: &BTreeMap<String, Row>, mails: &[Mail], wrong: &mut Vec<String>) {
    for row in calls.values() {
        for who in ["mira@example.com", "noor@example.com"] {
            let state = |kind: &str| {
                let mail = mails.iter().find(|mail| mail.call == row.id && mail.to == who && mail.notice == kind);
                mail.map(|mail| mail.state.as_str())
            };
            let voted = row.votes.iter().any(|(_, by)| by == who);
            let told = match row.state.as_str() {
                "expired" => state("call.expired") == Some("sent"),
                "outcome_unknown" => state("call.outcome_unknown") == Some("sent"),
                _ => true,
            };
            if !told || (!voted && state("call.held").is_none()) {
                wrong.push(format!("{who} did not hear of it: {row:?}"));
            }
        }
    }
}
