//! `placet audit export`: the log as JSONL, CSV, OCSF, or a trace of held calls. Streams: what is in memory is one page of
//! entries, however long the log is; no page is read in a transaction that outlasts it, so a slow reader holds back
//! nothing.

mod filter;

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use super::{Failure, Where, Which, unwritable};
use crate::audit::ocsf::{Beside, ocsf};
use crate::audit::{Row, export, trace::Trace};
use crate::call::{AgentName, Millis, UpstreamName};
use crate::cli::{Exit, complain};
use crate::clock::Clock;
use crate::store::{ExportFilter, Snapshot};

/// Entries read at once.
const PAGE: u32 = 1000;

/// Events beyond which `agentack check` refuses a file.
const LONGEST_TRACE: usize = 100_000;

/// Every state of a call, and what each is in the words of dispositions.
const STATES: &[(&str, &str)] = &[
    ("pending", ""),
    ("approved", ""),
    ("releasing", ""),
    ("executed", "approved-executed"),
    ("tool_error", "execution-error"),
    ("outcome_unknown", "outcome-unknown"),
    ("rejected", "denied-not-executed"),
    ("expired", "denied-not-executed"),
    ("cancelled", "denied-not-executed"),
    ("lapsed", "denied-not-executed"),
    ("revoked", "denied-not-executed"),
];

/// Arguments of `placet audit export`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    place: Where,
    /// jsonl: each line the stored bytes of an entry; csv: for spreadsheets; ocsf: each line an event of OCSF 1.8.0, for
    /// a SIEM; agentack: a trace of the held calls that have ended, as `agentack check` reads it
    #[arg(long, value_enum, default_value = "jsonl")]
    format: Format,
    /// Write to this file, replacing it when all is written, instead of printing
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// From this moment on, as 2026-11-22, 2026-11-22T14:00 (both UTC) or 2026-11-22T14:00:00+01:00
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: Option<Millis>,
    /// Before this moment
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Millis>,
    /// By or about this agent
    #[arg(long, value_name = "NAME")]
    agent: Option<AgentName>,
    /// By or about this reviewer: an address or an id
    #[arg(long, value_name = "EMAIL")]
    reviewer: Option<String>,
    /// About this tool
    #[arg(long, value_name = "NAME")]
    tool: Option<String>,
    /// About this upstream
    #[arg(long, value_name = "NAME")]
    upstream: Option<UpstreamName>,
    /// About held calls that ended so: a state, as executed, or a disposition, as denied-not-executed
    #[arg(long, alias = "state", value_name = "OUTCOME", value_parser = states)]
    outcome: Option<States>,
    /// Of this kind, as call.approved, or with a dot at its end all that begin so, as call.
    #[arg(long, value_name = "KIND", value_parser = kind)]
    kind: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Jsonl,
    Csv,
    Ocsf,
    Agentack,
}

/// States to filter by.
#[derive(Clone, Debug, PartialEq, Eq)]
struct States(Vec<String>);

/// Exports. Nothing that fits is no error, and is said; a name that the log has never seen is one, since nobody could
/// tell then whether nothing happened or the name is wrong.
pub(super) async fn run(which: &Which, args: &Args) -> Result<Exit, Failure> {
    if let (Some(from), Some(until)) = (args.from, args.until)
        && from >= until
    {
        return Err(Failure::usage(format!("--from {from} is not before --until {until}, so nothing can fit")));
    }
    if which.json && args.format == Format::Csv {
        return Err(Failure::usage("--json and --format csv contradict each other: leave one of them out"));
    }
    if args.format == Format::Agentack && args.kind.is_some() {
        return Err(Failure::usage("--kind does not go with --format agentack: a trace needs every step of a call"));
    }
    let mut snapshot = args.place.open(which).await?;
    let filter = filter::filter(&mut snapshot, args).await?;
    let written = match &args.out {
        Some(file) => {
            let folder = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let unwritable = |error: &io::Error| unwritable(file, error);
            if file.is_dir() {
                return Err(unwritable(&io::ErrorKind::IsADirectory.into()));
            }
            // The file as it was stays until the new one is whole.
            let mut new = tempfile::NamedTempFile::new_in(folder).map_err(|e| unwritable(&e))?;
            let mut out = io::BufWriter::new(&mut new);
            let written = write(&mut snapshot, &filter, args, &mut out).await?;
            let flushed = out.flush();
            drop(out);
            flushed.and_then(|()| new.as_file().sync_all()).map_err(|e| unwritable(&e))?;
            new.persist(file).map_err(|e| unwritable(&e.error))?;
            written
        }
        None => {
            let mut out = io::BufWriter::new(io::stdout().lock());
            let written = write(&mut snapshot, &filter, args, &mut out).await?;
            out.flush().or_else(gone).map_err(|e| Failure::failed(format!("it cannot be printed: {e}")))?;
            written
        }
    };
    tell(&mut snapshot, args, &written).await?;
    Ok(Exit::Done)
}

/// What beside the export a person should know.
async fn tell(snapshot: &mut Snapshot, args: &Args, &Written { lines, unknown }: &Written) -> Result<(), Failure> {
    if args.format != Format::Agentack {
        if lines == 0 {
            complain("no entry of the log fits what was asked for");
        }
        return Ok(());
    }
    let last = snapshot.last().await?;
    let open = snapshot.open_calls(last).await?;
    if open > 0 {
        complain(format!("calls in the log that have not ended: {open}; a trace has only those that have"));
    }
    if unknown > 0 {
        complain(format!(
            "calls of unknown outcome that nobody has looked into: {unknown}; for as long, agentack calls the trace \
             incomplete; look, and write down what you find with `placet calls finding`"
        ));
    }
    if lines == 0 {
        complain("no held call that has ended fits what was asked for");
    }
    if lines > LONGEST_TRACE {
        complain(format!(
            "the trace has {lines} events, and agentack reads {LONGEST_TRACE}; export shorter times with --from and --until"
        ));
    }
    Ok(())
}

/// What was written.
#[derive(Clone, Copy, Debug)]
struct Written {
    /// Entries, or events of a trace before its end.
    lines: usize,
    /// Calls of a trace of which nobody knows whether they ran.
    unknown: usize,
}

/// Writes what fits.
async fn write(
    snapshot: &mut Snapshot,
    filter: &ExportFilter,
    args: &Args,
    out: &mut impl io::Write,
) -> Result<Written, Failure> {
    let addresses: BTreeMap<_, _> = snapshot.addresses().await?.into_iter().collect();
    // What is written while the export runs is not in it.
    let last = snapshot.last().await?;
    let (mut after, mut lines) = (0, 0);
    let origin = snapshot.origin();
    let beside = Beside { log: origin.as_deref(), addresses: &addresses };
    let mut trace = Trace::new(origin.as_deref().unwrap_or("placet"));
    let line = |row: &Row, trace: &mut Trace| match args.format {
        Format::Jsonl => export::jsonl(row),
        Format::Csv => export::csv(row, row.reviewer.as_ref().and_then(|id| addresses.get(id)).map(String::as_str)),
        Format::Ocsf => ocsf(row, &beside),
        Format::Agentack => trace.lines(row),
    };
    let mut written = match args.format {
        Format::Csv => out.write_all(export::CSV_HEADER.as_bytes()),
        Format::Jsonl | Format::Ocsf | Format::Agentack => Ok(()),
    };
    loop {
        let page = match args.format {
            Format::Agentack => snapshot.steps(filter, after, last, PAGE).await?,
            Format::Jsonl | Format::Csv | Format::Ocsf => snapshot.entries(filter, after, last, PAGE).await?,
        };
        let Some(end) = page.last() else { break };
        after = end.seq;
        for row in &page {
            let text = line(row, &mut trace);
            lines += if args.format == Format::Csv { 1 } else { text.matches('\n').count() };
            written = written.and_then(|()| out.write_all(text.as_bytes()));
        }
        if written.is_err() {
            break;
        }
    }
    if args.format == Format::Agentack {
        let end = trace.end(&Clock::system().now().to_string());
        written = written.and_then(|()| out.write_all(end.as_bytes()));
    }
    written.or_else(gone).map_err(|error| Failure::failed(format!("the export cannot be written: {error}")))?;
    Ok(Written { lines, unknown: trace.unknown() })
}

/// A reader that has gone away has seen enough.
fn gone(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) }
}

fn moment(text: &str) -> Result<Millis, String> {
    let utc = |date: DateTime| date.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp());
    let parsed = text
        .parse::<jiff::Timestamp>()
        .or_else(|_| text.parse::<DateTime>().and_then(utc))
        .or_else(|_| text.parse::<Date>().and_then(|date| utc(date.to_datetime(jiff::civil::Time::midnight()))));
    parsed.map(|at| Millis(at.as_millisecond())).map_err(|_| {
        "give a date (2026-11-22), a date and time in UTC (2026-11-22T14:00) or one with its offset \
         (2026-11-22T14:00:00+01:00)"
            .to_owned()
    })
}

fn kind(text: &str) -> Result<String, String> {
    let fits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || matches!(b, b'.' | b'_'));
    if fits && text.contains('.') && !text.starts_with('.') {
        Ok(text.to_owned())
    } else {
        Err("a kind is two words with a dot between, as call.approved, or only the first with its dot, as call.".into())
    }
}

fn states(text: &str) -> Result<States, String> {
    let fits = |(state, disposition): &&(&str, &str)| *state == text || (*disposition == text && !text.is_empty());
    let states: Vec<_> = STATES.iter().filter(fits).map(|(state, _)| (*state).to_owned()).collect();
    if !states.is_empty() {
        return Ok(States(states));
    }
    let mut words: Vec<_> = STATES.iter().map(|(state, _)| *state).collect();
    for (_, disposition) in STATES {
        if !disposition.is_empty() && !words.contains(disposition) {
            words.push(disposition);
        }
    }
    Err(format!("it is one of {}", words.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_people_write_them() {
        let two = Millis(1_795_356_120_000);
        for text in ["2026-11-22T14:02", "2026-11-22T14:02:00Z", "2026-11-22T15:02:00+01:00", "2026-11-22 14:02:00"] {
            assert_eq!(moment(text), Ok(two), "{text}");
        }
        assert_eq!(moment("2026-11-22"), Ok(Millis(1_795_305_600_000)));
        for bad in ["", "yesterday", "2026-13-01", "14:02", "22.11.2026", "1795356120000"] {
            assert!(moment(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn outcomes_are_states_or_dispositions() {
        assert_eq!(states("executed"), Ok(States(vec!["executed".into()])));
        assert_eq!(states("denied-not-executed").unwrap().0.len(), 5);
        for bad in ["", "done", "EXECUTED"] {
            assert!(states(bad).unwrap_err().contains("approved-executed"), "{bad}");
        }
        for bad in ["", "call", ".", ".approved", "call.*", "Call."] {
            assert!(kind(bad).is_err(), "{bad}");
        }
    }
}
