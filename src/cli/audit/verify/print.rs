//! What a verification found, for people and for programs.

use serde_json::json;

use crate::audit::verify::{Grade, Report};
use crate::cli::{complain, say, visible};

/// Findings that are printed; `--json` has up to 200.
const TOLD: usize = 20;

pub(super) fn as_json(report: &Report, entries: u64) -> serde_json::Value {
    json!({
        "verdict": report.verdict(),
        "entries": entries,
        "unsigned": report.unsigned,
        "alarms": report.alarms,
        "checks": report.lines(),
        "first": report.first(),
        "findings": report.findings(),
        "unknown": report.unknowns(),
        "put_back": report.put_back,
        "says": report.last_word(),
    })
}

pub(super) fn print(report: &Report) {
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
        say(format!("wrong: {}", visible(&finding.text)));
    }
    let more = report.lines().iter().map(|line| line.wrong).sum::<u64>().saturating_sub(TOLD as u64);
    if more > 0 {
        say(format!("wrong: and {more} more"));
    }
    report.unknowns().iter().for_each(|why| complain(format!("could not tell: {}", visible(why))));
    for told in report.put_back.iter().filter(|told| told.known) {
        say(format!("known: {}", told.words()));
    }
    say(visible(&report.last_word()));
}
