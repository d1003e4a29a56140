//! `placet audit proof` and `placet audit check-receipt`: what the log tells of one call, to be checked without it.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Failure, Where, Which, unwritable};
use crate::audit::note::{NoteError, VerifyingKey};
use crate::audit::receipt::{BadReceipt, Proof, Receipt};
use crate::audit::verify::{Anchors, Report};
use crate::audit::{Checkpoint, CheckpointError};
use crate::call::CallId;
use crate::cli::{Exit, complain, say};
use crate::store::Receipted;

/// Arguments of `placet audit proof`.
#[derive(Debug, clap::Args)]
pub(super) struct Make {
    #[command(flatten)]
    place: Where,
    /// The call's id
    #[arg(value_name = "CALL")]
    call: CallId,
    /// Write to this file instead of printing; it must not be there yet
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Arguments of `placet audit check-receipt`.
#[derive(Debug, clap::Args)]
pub(super) struct Check {
    /// The receipt
    #[arg(value_name = "FILE")]
    receipt: PathBuf,
    /// A file of public keys that you kept, one vkey a line; without it those in the receipt, which proves less
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// A file of checkpoints that were kept elsewhere; the receipt's must be one of them; may be given several times
    #[arg(long = "anchor", value_name = "FILE")]
    anchors: Vec<PathBuf>,
}

/// Makes a receipt.
pub(super) async fn make(which: &Which, args: &Make) -> Result<Exit, Failure> {
    let call = args.call;
    let receipt = match args.place.open(which).await?.receipt(call).await? {
        Receipted::Ready(receipt) => receipt,
        Receipted::NoSuchCall => {
            complain(format!("the log does not tell of a call {call}"));
            return Ok(Exit::No);
        }
        Receipted::Unsigned => {
            return Err(Failure::failed(
                "no checkpoint covers this call yet: a running Placet makes one within seconds, and `placet audit \
                 checkpoint` makes one now",
            ));
        }
        Receipted::Broken(why) => {
            complain(format!(
                "the database is not what was signed: {why}; `placet audit verify` says where it was changed"
            ));
            return Ok(Exit::No);
        }
    };
    let text = serde_json::to_string_pretty(&receipt).map_err(|error| Failure::failed(error.to_string()))?;
    let Some(file) = &args.out else {
        say(text);
        return Ok(Exit::Done);
    };
    let written =
        std::fs::File::create_new(file).and_then(|mut new| writeln!(new, "{text}").and_then(|()| new.sync_all()));
    written.map_err(|error| unwritable(file, &error))?;
    Ok(Exit::Done)
}

/// Checks a receipt. Exit code 0: it holds; 1: it does not; 2: could not tell.
pub(super) fn check(which: &Which, args: &Check) -> Result<Exit, Failure> {
    let text = read(&args.receipt)?;
    let parsed = Receipt::parse(&text).and_then(|receipt| Ok((receipt.own_keys()?, receipt)));
    let (own, receipt) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return Err(Failure::failed(format!("{}: {error}", args.receipt.display()))),
    };
    let keys = match &args.key {
        Some(file) => VerifyingKey::parse_all(&read(file)?)
            .map_err(|error| Failure::failed(format!("{}: {error}", file.display())))?,
        None => own,
    };
    let proof = match receipt.check(&keys) {
        Ok(proof) => proof,
        Err(BadReceipt::Checkpoint(CheckpointError::Note(NoteError::Unknown(by)))) if args.key.is_some() => {
            let file = args.key.as_deref().unwrap_or(Path::new("")).display();
            if which.json {
                say(json!({ "holds": null, "why": format!("it is signed by {by}, with none of the keys in {file}") }));
            }
            return Err(Failure::failed(format!(
                "this receipt is signed by {by} with another key than those in {file}, so whether it holds cannot be \
                 told: give the key of the log that it is from; if the log's key was replaced, both, one a line"
            )));
        }
        Err(error) => {
            if which.json {
                say(json!({ "holds": false, "why": error.to_string() }));
            }
            complain(format!("this receipt does not hold: {error}"));
            return Ok(Exit::No);
        }
    };
    let anchored = anchored(&args.anchors, &keys, &proof)?;
    print(which.json, &receipt, &proof, anchored);
    if args.key.is_none() {
        complain(
            "it fits the key that stands in it; whether that is the log's key, only a copy kept elsewhere tells: give \
             it with --key FILE",
        );
    }
    if !proof.covered.is_empty() && anchored != Some(Anchored::Other) {
        complain(
            "what the call came to is not proved: the texts marked UNPROVED were covered since they hold a secret, and \
             whoever made this receipt could have written anything there; the log itself tells, where it is kept",
        );
        return Ok(Exit::Failed);
    }
    match anchored {
        Some(Anchored::Other) => {
            complain("this receipt does not hold: a checkpoint of the same size was kept elsewhere, and it is another");
            Ok(Exit::No)
        }
        Some(Anchored::None) => {
            complain(
                "none of the checkpoints kept elsewhere has the size of the receipt's, so nothing could be compared",
            );
            Ok(Exit::Failed)
        }
        Some(Anchored::Same) | None => Ok(Exit::Done),
    }
}

/// How a receipt's checkpoint stands to those kept elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Anchored {
    Same,
    Other,
    None,
}

fn anchored(files: &[PathBuf], keys: &[VerifyingKey], proof: &Proof) -> Result<Option<Anchored>, Failure> {
    if files.is_empty() {
        return Ok(None);
    }
    let (mut anchors, mut report) = (Anchors::default(), Report::default());
    for file in files {
        anchors.read(&file.display().to_string(), &read(file)?, &mut report);
    }
    report.unknowns().iter().for_each(complain);
    let kept = anchors.kept().iter().filter(|kept| kept.size == proof.checkpoint.size);
    let opened: Vec<_> = kept.filter_map(|kept| Checkpoint::open(&kept.note, keys).ok()).collect();
    Ok(Some(match opened.iter().all(|kept| kept.root.matches(&proof.checkpoint.root)) {
        false => Anchored::Other,
        true if opened.is_empty() => Anchored::None,
        true => Anchored::Same,
    }))
}

fn print(as_json: bool, receipt: &Receipt, proof: &Proof, anchored: Option<Anchored>) {
    if as_json {
        say(json!({
            "holds": anchored != Some(Anchored::Other),
            "call": receipt.call,
            "state": proof.state,
            "log": proof.checkpoint.origin,
            "size": proof.checkpoint.size,
            "keys": proof.by.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "entries": proof.told.iter().map(|(seq, at, kind)| json!({"seq": seq, "at": at, "kind": kind}))
                .collect::<Vec<_>>(),
            "covered": proof.covered,
            "finding": proof.finding.as_ref().map(|finding| json!({
                "seq": finding.seq, "ran": finding.ran, "by": finding.by, "at": finding.at.to_string(),
                "reason": finding.reason, "proved": proof.covered.is_empty(),
            })),
            "anchored": anchored == Some(Anchored::Same),
        }));
        return;
    }
    match proof.state {
        Some(state) => say(format!("call  {}: {state} by its entries", receipt.call)),
        None => say(format!("call  {}: what it came to is not proved", receipt.call)),
    }
    say(format!("log   {}, {} entries when it was signed", proof.checkpoint.origin, proof.checkpoint.size));
    proof.by.iter().for_each(|key| say(format!("key   {key}")));
    for (seq, at, kind) in &proof.told {
        let covered =
            if proof.covered.contains(seq) { "  UNPROVED: its text has a secret and was left out" } else { "" };
        say(format!("{seq:>9}  {at}  {kind}{covered}"));
        if let Some(finding) = proof.finding.as_ref().filter(|finding| u64::try_from(finding.seq) == Ok(*seq)) {
            let found = match finding.ran {
                Some(true) => "that it ran",
                Some(false) => "that it did not run",
                None => "something, and not whether it ran",
            };
            say(format!("           reviewer {} found {found}: {:?}", finding.by, finding.reason));
        }
    }
    if anchored == Some(Anchored::Same) {
        say("the checkpoint is one of those kept elsewhere");
    }
}

fn read(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file)
        .map_err(|error| Failure::failed(format!("{} cannot be read: {error}", file.display())))
}
