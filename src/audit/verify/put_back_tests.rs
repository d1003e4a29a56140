//! What a log may explain by telling that it was put back, and what it may not: above all who cuts it off.

use super::*;
use crate::audit::note::SigningKey;
use crate::audit::{Checkpoint, Entry, Frontier, Head, Row};
use crate::call::Millis;

fn key() -> SigningKey {
    SigningKey::from_seed("placet.log/test", &[1; 32]).unwrap()
}

/// An entry as a Placet in service writes it.
fn served(word: &str) -> Entry {
    Entry::new("call.denied").with("word", word)
}

fn restored(log: u64, checkpoint: u64) -> Entry {
    Entry::new("store.restored").with("log", log).with("checkpoint", checkpoint).with("source", "audit.checkpoint")
}

/// The rows of these entries, and the note over each size.
fn log(entries: &[Entry]) -> (Vec<Row>, Vec<String>) {
    let (mut head, mut tree, mut rows, mut notes) = (Head::EMPTY, Frontier::new(), Vec::new(), Vec::new());
    for (n, entry) in entries.iter().enumerate() {
        let sealed = head.seal(entry, Millis(n as i64)).unwrap();
        tree.push(sealed.leaf);
        let checkpoint = Checkpoint { origin: "placet.log/test".into(), size: tree.size(), root: tree.root() };
        notes.push(checkpoint.sign(&[&key()]).unwrap());
        rows.push(Row {
            seq: sealed.seq,
            at: sealed.at,
            kind: entry.kind.into(),
            call: None,
            agent: None,
            upstream: None,
            tool: None,
            reviewer: None,
            body: sealed.body,
            leaf: sealed.leaf.to_string(),
        });
    }
    (rows, notes)
}

/// Verified against what was kept elsewhere, with the last checkpoint stored.
fn verify(entries: &[Entry], kept: &[String], known: &[u64]) -> Report {
    let (rows, notes) = log(entries);
    let (mut report, mut anchors) = (Report::default(), Anchors::default());
    anchors.read("anchor", &kept.join("\n"), &mut report);
    let keys = Keys { keys: vec![key().verifying_key()], given: None };
    let mut chain = Chain::new(keys, &anchors, known.to_vec());
    let note = notes.last().unwrap().clone();
    let Checkpoint { size, root, .. } = Checkpoint::open(&note, &[key().verifying_key()]).unwrap();
    chain.checkpoint(StoredCheckpoint { number: 1, size: size as i64, root: root.to_string(), note });
    rows.iter().for_each(|row| chain.entry(row, &mut report));
    let _ = chain.end(&mut report);
    report
}

fn words(words: &[&str]) -> Vec<Entry> {
    words.iter().map(|word| served(word)).collect()
}

#[test]
fn who_cuts_a_log_and_has_it_say_so_does_not_make_it_intact() {
    let whole = words(&["a", "b", "c", "d", "e", "f", "g", "h"]);
    let (_, kept) = log(&whole);
    // Cut, and not a word: as it ever was.
    let report = verify(&whole[..4], &kept, &[]);
    assert_eq!((report.verdict(), report.first().unwrap().seq), (Verdict::Tampered, Some(5)));
    // The same with the word that a start writes, truly or not; with an anchor and without one; and grown again.
    for grown in [0, 2, 9] {
        let mut cut = whole[..4].to_vec();
        cut.push(restored(4, 8));
        cut.extend((0..grown).map(|_| served("new")));
        for kept in [&kept[..], &kept[..4]] {
            let report = verify(&cut, kept, &[]);
            assert_eq!(report.verdict(), Verdict::PutBack, "{grown}: {:?}", report.findings());
            let last = report.last_word();
            assert!(last.contains("entry 5 tells") && last.contains("entries 5 to 8"), "{last}");
            // By another entry nobody has been told of it.
            assert_eq!(verify(&cut, kept, &[4]).verdict(), Verdict::PutBack);
        }
        let report = verify(&cut, &kept, &[5]);
        assert_eq!((report.verdict(), report.put_back.len()), (Verdict::Intact, 1), "{:?}", report.findings());
    }
}

#[test]
fn a_restore_explains_no_entry_before_it_and_none_after() {
    let whole = words(&["a", "b", "c", "d", "e", "f", "g", "h"]);
    let (_, kept) = log(&whole);
    let restore = |before: &[&str], after: &[&str]| {
        let mut entries = words(before);
        entries.push(restored(before.len() as u64, 8));
        entries.extend(words(after));
        entries
    };
    // Changed before it.
    let report = verify(&restore(&["a", "B", "c", "d"], &["x"]), &kept, &[5]);
    assert_eq!(
        (report.verdict(), report.first().unwrap().seq),
        (Verdict::Tampered, Some(2)),
        "{:?}",
        report.findings()
    );
    // It went on, and what was kept then is what is there: what changed later is not explained any more.
    let honest = restore(&["a", "b", "c", "d"], &["v", "w", "x", "y", "z"]);
    let (_, new) = log(&honest);
    let both = [&kept[..], &new[5..]].concat();
    assert_eq!(verify(&honest, &both, &[5]).verdict(), Verdict::Intact);
    let changed = restore(&["a", "b", "c", "d"], &["v", "w", "X", "y", "z"]);
    let report = verify(&changed, &both, &[5]);
    assert_eq!(
        (report.verdict(), report.first().unwrap().seq),
        (Verdict::Tampered, Some(8)),
        "{:?}",
        report.findings()
    );
    // And cut off once more.
    let report = verify(&honest[..8], &both, &[5]);
    assert_eq!(
        (report.verdict(), report.first().unwrap().seq),
        (Verdict::Tampered, Some(9)),
        "{:?}",
        report.findings()
    );
}

#[test]
fn a_restore_that_cannot_have_been_explains_nothing() {
    let whole = words(&["a", "b", "c", "d", "e", "f", "g", "h"]);
    let (_, kept) = log(&whole);
    // It says that there were two entries, after a Placet in service had written eight.
    let mut forged = words(&["a", "b", "C", "d", "e", "f", "g", "h"]);
    forged.push(restored(2, 8));
    let report = verify(&forged, &kept, &[]);
    assert_eq!(
        (report.verdict(), report.first().unwrap().seq),
        (Verdict::Tampered, Some(3)),
        "{:?}",
        report.findings()
    );
    let report = verify(&forged, &kept[..2], &[9]);
    assert_eq!(report.verdict(), Verdict::Incomplete);
    assert!(report.unknowns()[0].contains("entry 9 tells") && report.unknowns()[0].contains("explains nothing"));
    // What a start writes before it says so, and the alarm after it, are no service; a second restore is another.
    let mut twice = words(&["a", "b"]);
    twice.push(Entry::new("call.outcome_unknown").with("restored", true));
    twice.push(Entry::new("tool.changed").with("restored", true));
    twice.push(restored(2, 8));
    twice.push(Entry::new("alarm.log_behind").with("log", 2).with("checkpoint", 8).with("source", "audit.checkpoint"));
    twice.push(served("new"));
    twice.push(restored(7, 9));
    let report = verify(&twice, &kept, &[]);
    let told: Vec<_> = report.put_back.iter().map(|told| (told.entry, told.log)).collect();
    assert_eq!((report.verdict(), told), (Verdict::PutBack, vec![(5, 2), (8, 7)]), "{:?}", report.findings());
    assert_eq!(verify(&twice, &kept, &[5]).verdict(), Verdict::PutBack);
    assert_eq!(verify(&twice, &kept, &[5, 8]).verdict(), Verdict::Intact);
    // Where nothing says that entries are missing it is no more than a doubt, and one all the same.
    let mut doubt = words(&["a", "b"]);
    doubt.push(Entry::new("store.restored").with("log", 2).with("checkpoint", 0).with("source", "spent"));
    let report = verify(&doubt, &[], &[]);
    assert_eq!(report.verdict(), Verdict::PutBack);
    assert!(
        report.last_word().contains("entry 3 tells that the database may have been put back"),
        "{}",
        report.last_word()
    );
}
