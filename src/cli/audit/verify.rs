//! `placet audit verify`: whether the log is what was written, and whether the database says what the log says.
//! Streams, out of one look at the database; beside a running Placet or without one.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Failure, Where, Which};
use crate::approvals::Seal;
use crate::audit::Row;
use crate::audit::note::VerifyingKey;
use crate::audit::verify::{Anchors, CallRow, Calls, Chain, Check, Finding, Grade, Report, Verdict};
use crate::call::HeldCall;
use crate::cli::{Exit, complain, say};
use crate::store::Snapshot;

/// Entries, and calls, read at once.
const ENTRIES: u32 = 2000;
const CALLS: u32 = 500;

/// Findings that are printed; `--json` has up to 200.
const TOLD: usize = 20;

/// Arguments of `placet audit verify`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    place: Where,
    /// A file of checkpoints that were kept elsewhere; may be given several times
    #[arg(long = "anchor", value_name = "FILE")]
    anchors: Vec<PathBuf>,
    /// A file of public keys that you kept, one vkey a line; without it audit.pub of the data folder, which proves less
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

/// Verifies. Exit code 0: intact; 1: tampered; 2: could not tell all of it.
pub(super) async fn run(which: &Which, args: &Args) -> Result<Exit, Failure> {
    let folder = args.place.folder(which)?;
    let mut snapshot = args.place.open(which).await?;
    let mut report = Report::default();
    let keys = keys(&folder, args.key.as_deref(), &mut report);
    // Read before the database is looked at, so that none of them can speak of entries that came later.
    let mut anchors = Anchors::default();
    if let Ok(text) = std::fs::read_to_string(folder.join("audit.checkpoint")) {
        anchors.beside("audit.checkpoint beside the database", &text);
    }
    for file in &args.anchors {
        let name = file.display().to_string();
        match std::fs::read_to_string(file) {
            Ok(text) => anchors.read(&name, &text, &mut report),
            Err(error) => report.unknown(Check::Anchors, format!("{name} cannot be read: {error}")),
        }
    }
    if args.anchors.is_empty() {
        report.note(
            Check::Anchors,
            "none given with --anchor: a log that was cut or written anew, with its checkpoints, is not noticed",
        );
    }
    let seal = seal(&folder, &mut report);
    snapshot.freeze().await?;
    let entries = chain(&mut snapshot, Chain::new(keys, &anchors), &mut report).await?;
    calls(&mut snapshot, seal.as_ref(), &mut report).await?;
    for (table, id) in snapshot.strays().await? {
        let text = format!("a row of {table} belongs to the call {id}, which is not there");
        report.wrong(Finding { check: Check::Calls, seq: None, until: None, call: Some(id), text });
    }
    if which.json {
        say(as_json(&report, entries));
    } else {
        print(&report);
    }
    Ok(match report.verdict() {
        Verdict::Intact => Exit::Done,
        Verdict::Tampered => Exit::No,
        Verdict::Incomplete => Exit::Failed,
    })
}

fn keys(folder: &Path, given: Option<&Path>, report: &mut Report) -> Vec<VerifyingKey> {
    let file = given.map_or_else(|| folder.join("audit.pub"), Path::to_owned);
    let read = std::fs::read_to_string(&file).map_err(|error| error.to_string());
    let keys = read.and_then(|text| VerifyingKey::parse_all(&text).map_err(|error| error.to_string()));
    match keys {
        Ok(keys) => {
            if given.is_none() {
                let text = format!(
                    "by {}, which whoever writes to the data folder can replace: --key FILE with the copy that you kept \
                     proves more",
                    file.display()
                );
                report.note(Check::Signatures, text);
            }
            keys
        }
        Err(error) => {
            let why = format!("the keys in {} cannot be read, so no signature was checked: {error}", file.display());
            report.unknown(Check::Signatures, why);
            Vec::new()
        }
    }
}

/// The key of the seals, where this is the data folder itself and not a copy without its keys.
fn seal(folder: &Path, report: &mut Report) -> Option<Seal> {
    let key = std::fs::read(folder.join("seal.key")).ok().and_then(|key| key.first_chunk::<32>().copied());
    if key.is_none() {
        report.note(Check::Seals, "not looked at: the data folder has no seal.key that this user can read");
    }
    key.map(Seal::new)
}

async fn chain(snapshot: &mut Snapshot, mut chain: Chain, report: &mut Report) -> Result<u64, Failure> {
    let (mut after, mut covered) = (i64::MIN, i64::MIN);
    loop {
        let page = snapshot.log(after, ENTRIES).await?;
        let Some(last) = page.last().map(|row| row.seq) else { break };
        // By how many entries were walked, not by their numbers: a gap must not hide a checkpoint.
        for checkpoint in snapshot.checkpoints(covered, last).await? {
            chain.checkpoint(checkpoint);
        }
        (after, covered) = (last, last);
        page.iter().for_each(|row| chain.entry(row, report));
    }
    for checkpoint in snapshot.checkpoints(covered, i64::MAX).await? {
        chain.checkpoint(checkpoint);
    }
    Ok(chain.end(report))
}

async fn calls(snapshot: &mut Snapshot, seal: Option<&Seal>, report: &mut Report) -> Result<(), Failure> {
    let seals = seal.map(|seal| move |call: &HeldCall| seals(seal, call));
    let mut calls = Calls::new(seals.as_ref().map(|seals| seals as _));
    let mut after = String::new();
    loop {
        let page = snapshot.call_rows(&after, CALLS).await?;
        let upto = page.last().map(|row| row.id.clone());
        let entries = snapshot.entries_about(&after, upto.as_deref()).await?;
        pair(&page, &entries, &mut calls, report);
        let Some(upto) = upto else { break };
        after = upto;
    }
    calls.end(report);
    Ok(())
}

/// Brings calls and entries together, both in the order of the calls' ids.
fn pair(page: &[CallRow], entries: &[Row], calls: &mut Calls<'_>, report: &mut Report) {
    let mut about = entries.chunk_by(|one, other| one.call == other.call).peekable();
    let id = |entries: &[Row]| entries.first().and_then(|row| row.call.clone()).unwrap_or_default();
    for row in page {
        while let Some(gone) = about.next_if(|entries| id(entries) < row.id) {
            calls.gone(&id(gone), gone, report);
        }
        let own = about.next_if(|entries| id(entries) == row.id).unwrap_or_default();
        calls.call(row, own, report);
    }
    for gone in about {
        calls.gone(&id(gone), gone, report);
    }
}

/// How many of a call's seals are right, and what is wrong with the others. Retention takes the seal of the holding
/// away with what it covers.
fn seals(seal: &Seal, call: &HeldCall) -> (u64, Vec<String>) {
    let mut broken = Vec::new();
    let mut right = 0;
    if call.redacted_at.is_none() {
        if seal.is_as_held(call) {
            right += 1;
        } else {
            broken.push("the terms on which it was held are not those that were sealed".to_owned());
        }
    }
    for stored in &call.votes {
        if seal.is_genuine(&call.digest, stored) {
            right += 1;
        } else {
            broken.push(format!("the vote of {} does not bear this service's seal", stored.vote.by));
        }
    }
    if let Some(finding) = &call.finding {
        if seal.is_genuine_finding(&call.digest, finding) {
            right += 1;
        } else {
            broken.push("its finding does not bear this service's seal".to_owned());
        }
    }
    (right, broken)
}

fn as_json(report: &Report, entries: u64) -> serde_json::Value {
    json!({
        "verdict": report.verdict(),
        "entries": entries,
        "unsigned": report.unsigned,
        "alarms": report.alarms,
        "checks": report.lines(),
        "first": report.first(),
        "findings": report.findings(),
        "unknown": report.unknowns(),
    })
}

fn print(report: &Report) {
    for line in report.lines() {
        let (name, words) = line.check.words();
        let grade = match line.grade {
            Grade::Ok => "ok",
            Grade::Bad => "WRONG",
            Grade::Unknown => "?",
            Grade::Skipped => "-",
        };
        let wrong = if line.wrong > 0 { format!("; wrong: {}", line.wrong) } else { String::new() };
        say(format!("{grade:<6} {name:<11} {:>9} {words}{wrong}", line.right));
        line.notes.iter().for_each(|note| say(format!("{:<6} {:<11} {:>9} ({note})", "", "", "")));
    }
    if report.unsigned > 0 {
        say(format!(
            "{:<6} {:<11} {:>9} entries after the last checkpoint, not yet signed",
            "", "unsigned", report.unsigned
        ));
    }
    if report.alarms > 0 {
        let words = "alarms that the log itself tells; see `placet audit export --kind alarm.`";
        say(format!("{:<6} {:<11} {:>9} {words}", "", "alarms", report.alarms));
    }
    for finding in report.findings().iter().take(TOLD) {
        say(format!("wrong: {}", finding.text));
    }
    let more = report.lines().iter().map(|line| line.wrong).sum::<u64>().saturating_sub(TOLD as u64);
    if more > 0 {
        say(format!("wrong: and {more} more"));
    }
    report.unknowns().iter().for_each(|why| complain(format!("could not tell: {why}")));
    say(match report.verdict() {
        Verdict::Intact => "INTACT".to_owned(),
        Verdict::Incomplete => "INCOMPLETE: nothing wrong was found, but not everything could be checked".to_owned(),
        Verdict::Tampered => match report.first() {
            Some(finding) => format!("TAMPERED: {}", finding.text),
            None => "TAMPERED".to_owned(),
        },
    });
}
