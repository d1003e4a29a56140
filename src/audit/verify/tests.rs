//! Verification against logs made by hand: the eight attacks on the entries, with an anchor and without one.

use super::*;
use crate::audit::note::{SigningKey, VerifyingKey};
use crate::audit::{Checkpoint, Entry, Frontier, Head, Row, SealedEntry};
use crate::call::Millis;

const ORIGIN: &str = "placet.log/test";

/// A log in memory, with a checkpoint after every fifth entry.
#[derive(Clone)]
struct Log {
    rows: Vec<Row>,
    checkpoints: Vec<StoredCheckpoint>,
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(ORIGIN, &[seed; 32]).unwrap()
}

fn row(head: &mut Head, word: &str, n: usize) -> Row {
    let sealed = head.seal(&Entry::new("call.denied").with("word", word), Millis(n as i64 * 10)).unwrap();
    Row {
        seq: sealed.seq,
        at: sealed.at,
        kind: "call.denied".into(),
        call: None,
        agent: None,
        upstream: None,
        tool: None,
        reviewer: None,
        body: sealed.body,
        leaf: sealed.leaf.to_string(),
    }
}

fn log(words: &[&str]) -> Log {
    let mut head = Head::EMPTY;
    let rows: Vec<_> = words.iter().enumerate().map(|(n, word)| row(&mut head, word, n)).collect();
    let checkpoints = sign(&rows, &key(1));
    Log { rows, checkpoints }
}

fn sign(rows: &[Row], key: &SigningKey) -> Vec<StoredCheckpoint> {
    let (mut frontier, mut made) = (Frontier::new(), Vec::new());
    for row in rows {
        frontier.push(SealedEntry::leaf_of(row.body.as_bytes()));
        if frontier.size() % 5 == 0 {
            let checkpoint = Checkpoint { origin: ORIGIN.into(), size: frontier.size(), root: frontier.root() };
            made.push(StoredCheckpoint {
                number: made.len() as i64 + 1,
                size: checkpoint.size as i64,
                root: checkpoint.root.to_string(),
                note: checkpoint.sign(&[key]).unwrap(),
            });
        }
    }
    made
}

fn verify(log: &Log, keys: &[VerifyingKey], anchors: &Anchors) -> Report {
    let mut report = Report::default();
    let keys = Keys { keys: keys.to_vec(), given: Some("a file".into()) };
    let mut chain = Chain::new(keys, anchors, Vec::new());
    log.checkpoints.iter().for_each(|checkpoint| chain.checkpoint(checkpoint.clone()));
    log.rows.iter().for_each(|row| chain.entry(row, &mut report));
    let _ = chain.end(&mut report);
    report
}

fn words() -> Vec<&'static str> {
    vec!["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m"]
}

/// What the log's notes were when they were copied elsewhere.
fn anchor(log: &Log, report: &mut Report) -> Anchors {
    let text: String = log.checkpoints.iter().map(|checkpoint| format!("{}\n", checkpoint.note)).collect();
    let mut anchors = Anchors::default();
    anchors.read("anchor", &text, report);
    anchors
}

/// As whoever can write to the database would: everything from entry `from` on is made anew.
fn rewritten(from: usize, word: &'static str) -> Vec<Row> {
    let mut words = words();
    words[from - 1] = word;
    log(&words).rows
}

#[test]
fn an_intact_log_is_intact_and_says_what_is_not_signed_yet() {
    let log = log(&words());
    let mut report = Report::default();
    let anchors = anchor(&log, &mut report);
    assert_eq!((report.verdict(), anchors.kept().len()), (Verdict::Intact, 2));
    let report = verify(&log, &[key(1).verifying_key()], &anchors);
    assert_eq!((report.verdict(), report.unsigned), (Verdict::Intact, 3), "{:?}", report.findings());
    let right = |check: Check| report.lines()[check as usize].right;
    assert_eq!(
        [Check::Sequence, Check::Hashes, Check::Chain, Check::Columns].map(right),
        [13; 4],
        "{:?}",
        report.lines()
    );
    assert_eq!([Check::Tree, Check::Signatures, Check::Anchors].map(right), [2; 3]);
}

#[test]
fn a_log_without_checkpoints_or_keys_is_no_proof() {
    let (full, none) = (log(&words()), Anchors::default());
    let bare = Log { checkpoints: Vec::new(), ..full.clone() };
    let report = verify(&bare, &[key(1).verifying_key()], &none);
    assert_eq!((report.verdict(), report.unsigned), (Verdict::Incomplete, 13));
    let report = verify(&full, &[key(2).verifying_key()], &none);
    assert_eq!(report.verdict(), Verdict::Incomplete, "signed by somebody else: a wrong file, or a log made anew");
    assert!(report.unknowns()[0].contains("no key in a file signed any of the 2"), "{:?}", report.unknowns());
    let empty = Log { rows: Vec::new(), checkpoints: Vec::new() };
    assert_eq!(verify(&empty, &[], &none).verdict(), Verdict::Incomplete);
}

#[test]
fn the_eight_attacks_and_which_of_them_need_an_anchor() {
    let honest = log(&words());
    let (thief, swap) = (key(1), |a: usize, b: usize| {
        let mut log = honest.clone();
        let (one, other) = (log.rows[a - 1].clone(), log.rows[b - 1].clone());
        log.rows[a - 1] = Row { seq: one.seq, ..other };
        log.rows[b - 1] = Row { seq: log.rows[b - 1].seq, ..one };
        log
    });
    let edited = {
        let mut log = honest.clone();
        log.rows[6].body = log.rows[6].body.replace("\"g\"", "\"G\"");
        log
    };
    let deleted = {
        let mut log = honest.clone();
        log.rows.remove(6);
        log
    };
    let inserted = {
        let mut log = honest.clone();
        let mut more = log.rows[6].clone();
        log.rows[7..].iter_mut().for_each(|row| row.seq += 1);
        more.seq = 8;
        log.rows.insert(7, more);
        log
    };
    let recomputed = Log { rows: rewritten(7, "G"), ..honest.clone() };
    let truncated = Log { rows: honest.rows[..6].to_vec(), checkpoints: honest.checkpoints[..1].to_vec() };
    // The service itself goes on from an older state, and signs what it then has.
    let regrown = {
        let rows = rewritten(7, "G");
        Log { checkpoints: sign(&rows, &thief), rows }
    };
    let resigned = {
        let rows = rewritten(3, "C");
        Log { checkpoints: sign(&rows, &thief), rows }
    };
    // The attack, the entries that it may be, and whether it is caught without the anchor.
    let attacks = [
        ("edit", edited, 7..=7, true),
        ("delete", deleted, 7..=7, true),
        ("reorder", swap(7, 9), 7..=7, true),
        ("insert", inserted, 8..=8, true),
        ("recompute", recomputed, 6..=10, true),
        ("truncate", truncated, 7..=7, false),
        ("roll back and regrow", regrown, 6..=10, false),
        ("re-sign with the stolen key", resigned, 1..=5, false),
    ];
    let anchors = anchor(&honest, &mut Report::default());
    for (attack, log, entries, alone) in attacks {
        let keys = [thief.verifying_key()];
        let report = verify(&log, &keys, &anchors);
        let first = report.first().unwrap_or_else(|| panic!("{attack} is not caught"));
        let named = first.seq.unwrap()..=first.until.or(first.seq).unwrap();
        assert_eq!((report.verdict(), named), (Verdict::Tampered, entries), "{attack}: {first:?}");
        let without = verify(&log, &keys, &Anchors::default());
        let caught = without.verdict() == Verdict::Tampered;
        assert_eq!(caught, alone, "{attack}: {:?}", without.findings());
    }
}

#[test]
fn columns_and_time_are_compared_as_well() {
    let honest = log(&words());
    let change = |how: fn(&mut Row)| {
        let mut log = honest.clone();
        how(&mut log.rows[3]);
        verify(&log, &[key(1).verifying_key()], &Anchors::default())
    };
    let hows: [fn(&mut Row); 6] = [
        |row| row.kind = "call.allowed".into(),
        |row| row.at = Millis(31),
        |row| row.call = Some("x".into()),
        |row| row.agent = Some(String::new()),
        |row| row.leaf = "0".repeat(64),
        |row| row.leaf = row.leaf.to_uppercase(),
    ];
    for how in hows {
        let report = change(how);
        assert_eq!((report.verdict(), report.first().unwrap().seq), (Verdict::Tampered, Some(4)));
    }
    let backwards = {
        let mut head = Head::EMPTY;
        let mut rows = vec![row(&mut head, "a", 5)];
        // Whoever makes the chain anew can put any time into it.
        head.at = Millis(0);
        rows.push(row(&mut head, "b", 1));
        Log { checkpoints: sign(&rows, &key(1)), rows }
    };
    let report = verify(&backwards, &[key(1).verifying_key()], &Anchors::default());
    assert_eq!(report.first().unwrap().seq, Some(2));
}

#[test]
fn an_anchor_that_cannot_be_used_leaves_the_answer_open() {
    let honest = log(&words());
    let note = &honest.checkpoints[0].note;
    let read = |text: &str| {
        let (mut report, mut anchors) = (Report::default(), Anchors::default());
        anchors.read("a", text, &mut report);
        let unread = report.unknowns().join(" ");
        let report = verify(&honest, &[key(1).verifying_key()], &anchors);
        (report.lines()[Check::Anchors as usize].right, format!("{unread} {}", report.unknowns().join(" ")))
    };
    assert_eq!(read(note), (1, " ".into()));
    assert_eq!(read(&format!("\n{note}\n\n{note}")).0, 2);
    assert_eq!(read(&note.replace('\n', "\r\n")).0, 1, "as a mail program may save it");
    for (text, says) in [
        (String::new(), "no checkpoint"),
        ("hello\n".into(), "a:1"),
        (note[..note.len() / 2].into(), "does not open"),
        (note.replacen('5', "6", 1), "does not open"),
        (note.replacen('5', "600", 1), "does not open"),
        (anchor_of_another(), "--key"),
        (format!("{note}\nhalf"), "a:7"),
    ] {
        let (_, why) = read(&text);
        assert!(why.contains(says), "{text}: {why}");
    }
}

/// A note of a log of the same name, by a key that is not known.
fn anchor_of_another() -> String {
    sign(&log(&words()).rows, &key(2))[0].note.clone()
}

#[test]
fn a_key_is_trusted_once_a_known_one_vouches_for_it() {
    let (old, new) = (key(1), key(2));
    let rotated = Entry::new("log.key_rotated")
        .with("old", old.verifying_key().to_string())
        .with("new", new.verifying_key().to_string());
    let (mut head, mut rows) = (Head::EMPTY, Vec::new());
    for n in 0..4 {
        rows.push(row(&mut head, "a", n));
    }
    let sealed = head.seal(&rotated, Millis(40)).unwrap();
    rows.push(Row {
        seq: 5,
        at: sealed.at,
        kind: rotated.kind.into(),
        body: sealed.body,
        leaf: sealed.leaf.to_string(),
        ..rows[0].clone()
    });
    for n in 5..10 {
        rows.push(row(&mut head, "b", n));
    }
    // The checkpoint over the change bears both signatures, the next only that of the new key.
    let with_new = sign(&rows, &new);
    let opened = Checkpoint::open(&with_new[0].note, &[new.verifying_key()]).unwrap();
    let both = StoredCheckpoint { note: opened.sign(&[&old, &new]).unwrap(), ..with_new[0].clone() };
    let honest = Log { rows: rows.clone(), checkpoints: vec![both, with_new[1].clone()] };
    let report = verify(&honest, &[old.verifying_key()], &Anchors::default());
    assert_eq!(report.verdict(), Verdict::Intact, "{:?}", report.findings());
    // Whoever only says that the old key is lost is not believed.
    let lost = Log { rows, checkpoints: with_new };
    let report = verify(&lost, &[old.verifying_key()], &Anchors::default());
    assert_eq!(report.verdict(), Verdict::Tampered);
    assert!(report.findings()[0].text.contains("--key"), "{:?}", report.findings());
    let report = verify(&lost, &[old.verifying_key(), new.verifying_key()], &Anchors::default());
    assert_eq!(report.verdict(), Verdict::Intact);
}
