//! `placet audit verify`: whether the log is what was written, and whether the database says what the log says.
//! Streams, out of one look at the database; beside a running Placet or without one.

mod print;
mod rows;

use std::path::{Path, PathBuf};

use super::{Failure, Where, Which};
use crate::audit::note::VerifyingKey;
use crate::audit::verify::{Anchors, Chain, Check, Finding, Keys, Report, Verdict, Walked};
use crate::cli::{Exit, say};
use crate::seal::Seal;
use crate::store::{Snapshot, StoreError};

/// Entries read at once.
const ENTRIES: u32 = 2000;

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
    /// Leave the seals alone: for who has the database and not its seal.key
    #[arg(long)]
    without_seals: bool,
    /// The number of an entry that tells of a restore which you know of; may be given several times
    #[arg(long, value_name = "ENTRY")]
    restored: Vec<u64>,
}

/// Verifies. Exit code 0: intact; 1: tampered; 2: could not tell all of it.
pub(super) async fn run(which: &Which, args: &Args) -> Result<Exit, Failure> {
    let folder = args.place.folder(which)?;
    let mut snapshot = Snapshot::open_as_it_is(&folder).await?;
    let mut report = Report::default();
    report.without_seals = args.without_seals;
    // Read before the database is looked at, so that none of them can speak of entries that came later.
    let anchors = anchors(&folder, args, &mut report);
    snapshot.freeze().await?;
    let schema = snapshot.schema().await?;
    report.right(Check::Schema, schema.right);
    for text in schema.wrong {
        report.wrong(Finding { check: Check::Schema, seq: None, until: None, call: None, text });
    }
    // A table that is missing or another one was found already: what cannot be read for it is only incomplete.
    let broken = schema.unreadable;
    let keys = keys(&mut snapshot, &folder, args.key.as_deref(), &mut report).await;
    let keys = settle(keys, Check::Signatures, broken, &mut report).unwrap_or_default();
    let seal = if args.without_seals {
        report.note(Check::Seals, "not looked at, as asked with --without-seals");
        None
    } else {
        let seal = seal(&mut snapshot, &folder, &mut report).await;
        settle(seal, Check::Seals, broken, &mut report).flatten()
    };
    let copy = settle(snapshot.copy_mark().await, Check::Anchors, broken, &mut report).flatten();
    let begun = Chain::new(keys, &anchors, args.restored.clone()).of_copy(copy.map(|copy| copy.log));
    let walked = chain(&mut snapshot, begun, &mut report).await;
    let mut entries = 0;
    if let Some(walked) = settle(walked, Check::Sequence, broken, &mut report) {
        entries = walked.entries;
        let rights = rows::rights(&mut snapshot, walked.told, seal.as_ref(), &mut report).await;
        settle(rights, Check::Accounts, broken, &mut report);
        let calls = rows::calls(&mut snapshot, &walked.misfiled, seal.as_ref(), &mut report).await;
        settle(calls, Check::Calls, broken, &mut report);
    }
    if which.json {
        say(print::as_json(&report, entries));
    } else {
        print::print(&report);
    }
    Ok(match report.verdict() {
        Verdict::Intact => Exit::Done,
        Verdict::Tampered => Exit::No,
        Verdict::Incomplete | Verdict::PutBack => Exit::Failed,
    })
}

/// What was read; or that it could not be, which leaves the answer open and does not end it.
fn settle<T>(read: Result<T, StoreError>, check: Check, broken: bool, report: &mut Report) -> Option<T> {
    match read {
        Ok(read) => Some(read),
        Err(error) => {
            let (name, _) = check.words();
            let why = match error.trouble() {
                Some(trouble) => format!("{trouble}; restore a backup, and keep this file"),
                None if broken => "the database's tables are not as Placet made them".to_owned(),
                None => error.to_string(),
            };
            report.unknown(check, format!("{name} could not be looked at to the end: {why}"));
            None
        }
    }
}

fn anchors(folder: &Path, args: &Args, report: &mut Report) -> Anchors {
    let mut anchors = Anchors::default();
    if let Ok(text) = std::fs::read_to_string(folder.join("audit.checkpoint")) {
        anchors.beside("audit.checkpoint beside the database", &text);
    }
    for file in &args.anchors {
        let name = file.display().to_string();
        match std::fs::read_to_string(file) {
            Ok(text) => anchors.read(&name, &text, report),
            Err(error) => report.unknown(Check::Anchors, format!("{name} cannot be read: {error}")),
        }
    }
    if args.anchors.is_empty() {
        report.note(
            Check::Anchors,
            "none given with --anchor: a log that was cut or written anew, with its checkpoints, is not noticed",
        );
    }
    anchors
}

async fn keys(
    snapshot: &mut Snapshot,
    folder: &Path,
    given: Option<&Path>,
    report: &mut Report,
) -> Result<Keys, StoreError> {
    let file = given.map_or_else(|| folder.join("audit.pub"), Path::to_owned);
    let read = std::fs::read_to_string(&file);
    let missing = read.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound);
    if missing && given.is_none() && !folder.join("audit.key").exists() && !snapshot.was_signed().await? {
        report.unserved = true;
        report.unknown(
            Check::Signatures,
            "nobody was ever served from this folder, so nothing of its log is signed yet; the first `placet serve` \
             makes the key and signs it",
        );
        return Ok(Keys::default());
    }
    let keys = read.map_err(|error| error.to_string());
    let keys = keys.and_then(|text| VerifyingKey::parse_all(&text).map_err(|error| error.to_string()));
    Ok(match keys {
        Ok(keys) => {
            if given.is_none() {
                let text = format!(
                    "by {}, which whoever writes to the data folder can replace: --key FILE with the copy that you kept \
                     proves more",
                    file.display()
                );
                report.note(Check::Signatures, text);
            }
            Keys { keys, given: given.map(|file| file.display().to_string()) }
        }
        Err(error) => {
            let why = format!("the keys in {} cannot be read, so no signature was checked: {error}", file.display());
            report.unknown(Check::Signatures, why);
            Keys::default()
        }
    })
}

/// The key of the seals. Where it is missing, cannot be read, or is another one, nobody can say whether a row that the
/// log says nothing of was changed.
async fn seal(snapshot: &mut Snapshot, folder: &Path, report: &mut Report) -> Result<Option<Seal>, StoreError> {
    let why = match Seal::load(folder) {
        Ok(Some(kept)) => match snapshot.seal_key().await? {
            Some(id) if id != kept.seal.id().to_string() => {
                "seal.key in the data folder is another one than the database was sealed with".to_owned()
            }
            _ => {
                kept.seal.set_eras(snapshot.eras(&kept.seal).await?);
                return Ok(Some(kept.seal));
            }
        },
        Ok(None) => "the data folder has no seal.key".to_owned(),
        Err(error) => format!("seal.key in the data folder cannot be used ({error})"),
    };
    let text = format!(
        "{why}, so no seal was looked at: what the log does not tell of rows, as addresses and what was asked of \
         reviewers, may have been changed; put the right seal.key there, or leave the seals out with --without-seals"
    );
    report.unknown(Check::Seals, text);
    Ok(None)
}

async fn chain(snapshot: &mut Snapshot, mut chain: Chain, report: &mut Report) -> Result<Walked, StoreError> {
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
