//! The log as lines for other programs: JSONL, which can be verified, and CSV, which can be opened. Security systems
//! read it as OCSF: see [`super::ocsf`].
//!
//! **JSONL.** A line is the entry's stored body, byte for byte: `SHA-256(0x00 ‖ line)` is its leaf hash, and the next
//! entry's `prev` says the same. A body in which something looks like a secret is not shown as it is: its line has the
//! secret covered and one more member, `masked`, which holds the leaf hash of the stored bytes, so that the chain can
//! still be followed across it.
//!
//! **CSV.** RFC 4180: a header, CRLF, quotes doubled. A cell that a spreadsheet would take for a formula begins with
//! an apostrophe.

use std::fmt::Write as _;

use serde_json::Value;

use super::SealedEntry;
use super::row::{Row, Said, Shown, shown};
use crate::call::json::quote;

/// The first line of a CSV export, its end included.
pub const CSV_HEADER: &str = "seq,at,kind,call,agent,upstream,tool,reviewer,reviewer_id,digest,reason,detail,leaf\r\n";

/// The entry as a line of JSON, its end included.
#[must_use]
pub fn jsonl(row: &Row) -> String {
    let leaf = || SealedEntry::leaf_of(row.body.as_bytes());
    match shown(&row.body) {
        Shown::AsStored => format!("{}\n", row.body),
        // An object with members, so what comes before its end is no opening brace.
        Shown::Covered(object) => {
            let open = object.trim_end().strip_suffix('}').unwrap_or(&object);
            format!("{open},\"masked\":\"{}\"}}\n", leaf())
        }
        Shown::Unreadable(text) => {
            format!("{{\"seq\":{},\"unreadable\":{},\"masked\":\"{}\"}}\n", row.seq, quote(&text), leaf())
        }
    }
}

/// The entry as a line of CSV, its end included. `address` is the reviewer's, where one did it and has an account.
#[must_use]
pub fn csv(row: &Row, address: Option<&str>) -> String {
    let shown = match &shown(&row.body) {
        Shown::AsStored => row.body.clone(),
        Shown::Covered(text) | Shown::Unreadable(text) => text.clone(),
    };
    let seq = row.seq.to_string();
    let mut line = String::with_capacity(shown.len() + 64);
    let Ok(said) = Said::read(&shown) else {
        // What cannot be read is shown, not dropped: the export of a damaged log tells of the damage.
        let kind = row.kind.as_str();
        return join(&mut line, &[&seq, "", kind, "", "", "", "", "", "", "", "", &shown, &row.leaf]);
    };
    let mut detail = said.detail.clone();
    let mut take = |key: &str| match detail.remove(key) {
        Some(Value::String(text)) => text,
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let digest = take("digest");
    let reason = match take("reason") {
        empty if empty.is_empty() => take("why"),
        reason => reason,
    };
    let detail = if detail.is_empty() { String::new() } else { Value::Object(detail).to_string() };
    let or_empty = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().unwrap_or_default().to_owned();
    let (call, agent, upstream) = (or_empty(&said.call), or_empty(&said.agent), or_empty(&said.upstream));
    let (tool, reviewer) = (or_empty(&said.tool), or_empty(&said.reviewer));
    let by = address.unwrap_or(&reviewer);
    join(
        &mut line,
        &[
            &seq, &said.at, &said.kind, &call, &agent, &upstream, &tool, by, &reviewer, &digest, &reason, &detail,
            &row.leaf,
        ],
    )
}

fn join(line: &mut String, cells: &[&str]) -> String {
    for (place, cell) in cells.iter().enumerate() {
        if place > 0 {
            line.push(',');
        }
        push_cell(line, cell);
    }
    line.push_str("\r\n");
    std::mem::take(line)
}

fn push_cell(line: &mut String, cell: &str) {
    let formula = begins_a_formula(cell);
    let quoted = formula || cell.contains(['"', ',', '\r', '\n', '\t']) || cell != cell.trim();
    if !quoted {
        line.push_str(cell);
        return;
    }
    let guard = if formula { "'" } else { "" };
    // Writing to a string does not fail.
    let _ = write!(line, "\"{guard}{}\"", cell.replace('"', "\"\""));
}

/// Whether a spreadsheet would calculate the cell: the signs that begin a formula, their full-width forms, behind
/// blanks as well, and the control characters that some programs skip.
fn begins_a_formula(cell: &str) -> bool {
    let first = cell.trim_start_matches([' ', '\u{a0}']).chars().next();
    matches!(
        first,
        Some('=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '\u{ff1d}' | '\u{ff0b}' | '\u{ff0d}' | '\u{ff20}')
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Entry, Head};
    use crate::call::{AgentName, Millis, ToolName};

    fn row(entry: &Entry) -> Row {
        let mut head = Head::EMPTY;
        let sealed = head.seal(entry, Millis(1_795_356_131_000)).unwrap();
        Row {
            seq: sealed.seq,
            at: sealed.at,
            kind: entry.kind.into(),
            call: None,
            agent: entry.agent.clone(),
            upstream: None,
            tool: entry.tool.clone(),
            reviewer: None,
            body: sealed.body,
            leaf: sealed.leaf.to_string(),
        }
    }

    /// Reads one line as RFC 4180 says.
    fn cells(line: &str) -> Vec<String> {
        let mut cells = vec![String::new()];
        let (mut quoted, mut rest) = (false, line.strip_suffix("\r\n").unwrap().chars().peekable());
        while let Some(c) = rest.next() {
            let cell = cells.last_mut().unwrap();
            match (c, quoted) {
                ('"', true) if rest.peek() == Some(&'"') => cell.push(rest.next().unwrap()),
                ('"', _) => quoted = !quoted,
                (',', false) => cells.push(String::new()),
                _ => cell.push(c),
            }
        }
        assert!(!quoted);
        cells
    }

    #[test]
    fn a_line_of_json_is_what_was_hashed() {
        let row = row(&Entry::new("policy.refused").with("problems", "a\nb\u{2028}"));
        let line = jsonl(&row);
        assert_eq!(line.strip_suffix('\n'), Some(row.body.as_str()));
        assert_eq!(line.matches('\n').count(), 1);
    }

    #[test]
    fn a_secret_is_covered_and_the_chain_still_followed() {
        let secret = "hunter2-hunter2";
        let row = row(&Entry::new("call.rejected").with("reason", format!("password={secret}")));
        let line = jsonl(&row);
        let members: Value = serde_json::from_str(&line).unwrap();
        assert!(!line.contains(secret) && members["masked"] == row.leaf.as_str(), "{line}");
        assert!(!csv(&row, None).contains(secret));
    }

    #[test]
    fn no_cell_is_a_formula_and_every_cell_reads_back() {
        for nasty in ["=1+1", "+1", "-2", "@SUM(A1)", "\t=1", "\r=1", " =1", "\u{ff1d}1", "a\"b,c\r\nd", "", "'", "\""]
        {
            let tool = ToolName::new(if nasty.is_empty() { "x" } else { nasty }).unwrap();
            let agent = AgentName::new("ci-bot").unwrap();
            let entry = Entry::new("call.denied").agent(&agent).tool(&tool).with("reason", nasty).with("rule", nasty);
            let line = csv(&row(&entry), Some("mira@example.com"));
            let cells = cells(&line);
            assert_eq!(cells.len(), CSV_HEADER.split(',').count(), "{line}");
            assert_eq!((cells[0].as_str(), cells[2].as_str(), cells[4].as_str()), ("1", "call.denied", "ci-bot"));
            let plain = cells[6].strip_prefix('\'').filter(|_| begins_a_formula(nasty)).unwrap_or(&cells[6]);
            assert_eq!(plain, tool.as_str());
            assert!(cells.iter().all(|cell| !begins_a_formula(cell)), "{line}");
            assert_eq!(serde_json::from_str::<Value>(&cells[11]).unwrap()["rule"], nasty);
        }
    }

    #[test]
    fn what_cannot_be_read_is_shown() {
        let broken = Row { body: "=cmd|' /C calc'!A0".into(), ..row(&Entry::new("x.y")) };
        let line = csv(&broken, None);
        assert!(cells(&line)[11].starts_with("'=cmd"), "{line}");
        let members: Value = serde_json::from_str(&jsonl(&broken)).unwrap();
        assert_eq!(members["unreadable"], broken.body.as_str());
        let lines = Row { body: "{\"seq\":1,\n\"kind\":\"x\"}".into(), ..broken };
        assert_eq!(jsonl(&lines).matches('\n').count(), 1);
    }
}
