//! What a start finds out: a database put back, cut off, altered; a checkpoint that is missing, foreign or garbage.

use std::fs;
use std::sync::Arc;

use placet::audit::Checkpoint;
use placet::audit::note::SigningKey;
use placet::call::Digest;
use placet::notary::{LogAtStart, NotaryError};
use tempfile::TempDir;

use super::{Log, backup, restore, tamper};

async fn grown(entries: u64) -> (Arc<TempDir>, Checkpoint) {
    let log = Log::new().await;
    log.grow(entries).await;
    let signed = log.sign().await;
    (log.close().await, signed)
}

/// Nothing is signed over a wrong log until the log says so; then it goes on, and the note that told of it is kept.
async fn is_told_once(log: Log, kind: &str) -> Log {
    let before = log.store.log_size().await.unwrap();
    assert!(matches!(log.notary.checkpoint().await, Err(NotaryError::Wrong(_))));
    assert!(log.notary.rotate(&placet::clock::Entropy::System).await.is_err());
    assert_eq!(log.store.log_size().await.unwrap(), before);
    let (wrong, old) = (log.found.clone(), fs::read(log.path("audit.checkpoint")).unwrap());
    let log = log.recorded().await;
    assert_eq!(log.said().await.last().unwrap(), kind);
    log.sign().await;
    let kept: Vec<_> = fs::read_dir(log.folder.path())
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.to_str().unwrap().contains("audit.checkpoint.before-"))
        .collect();
    assert_eq!(kept.iter().map(|path| fs::read(path).unwrap()).collect::<Vec<_>>(), [old]);
    let said = log.said().await.len();
    log.notary.record(&wrong).await.unwrap();
    let log = log.reopen().await;
    assert!(matches!(log.found, LogAtStart::Continues { .. }), "{:?}", log.found);
    assert_eq!(log.said().await.len(), said, "it is not said twice");
    log
}

#[tokio::test]
async fn a_log_that_goes_on_where_it_was_signed_continues() {
    let (folder, signed) = grown(10).await;
    let log = Log::open(folder).await.unwrap();
    assert_eq!(log.found, LogAtStart::Continues { size: signed.size });
    log.grow(5).await;
    let log = log.reopen().await.recorded().await;
    assert_eq!(log.found, LogAtStart::Continues { size: signed.size });
    assert_eq!(log.sign().await.size, signed.size + 5);
    assert_eq!(log.said().await, ["log.key_made"]);
}

#[tokio::test]
async fn yesterdays_database_is_behind() {
    let (folder, first) = grown(10).await;
    let yesterday = backup(folder.path());
    let log = Log::open(Arc::clone(&folder)).await.unwrap();
    log.grow(7).await;
    let signed = log.sign().await;
    log.close().await;
    restore(folder.path(), &yesterday);
    let log = Log::open(folder).await.unwrap();
    let behind = LogAtStart::Behind { source: "audit.checkpoint".into(), checkpoint: signed.size, log: first.size };
    assert_eq!(log.found, behind);
    assert!(log.found.to_string().contains("the log has 11 entries, but audit.checkpoint was signed over 18"));
    let log = is_told_once(log, "alarm.log_behind").await;
    let entry = log.store.log_entries().await.unwrap().pop().unwrap();
    assert_eq!((&entry.detail["checkpoint"], &entry.detail["log"]), (&18.into(), &11.into()));
}

#[tokio::test]
async fn a_database_put_back_and_grown_past_its_checkpoint_disagrees() {
    let (folder, _) = grown(10).await;
    let yesterday = backup(folder.path());
    let log = Log::open(Arc::clone(&folder)).await.unwrap();
    log.grow(7).await;
    let signed = log.sign().await;
    let published = fs::read(log.path("audit.checkpoint")).unwrap();
    log.close().await;
    restore(folder.path(), &yesterday);
    // Grown by commands, which sign nothing.
    let log = Log::open(Arc::clone(&folder)).await.unwrap();
    log.store.append(placet::audit::Entry::new("call.denied")).await.unwrap();
    log.grow(20).await;
    log.close().await;
    fs::write(folder.path().join("audit.checkpoint"), published).unwrap();
    let log = Log::open(folder).await.unwrap();
    let LogAtStart::Disagrees { checkpoint, ref why, .. } = log.found else { panic!("{:?}", log.found) };
    assert_eq!((checkpoint, why.as_str()), (signed.size, "the first 18 entries were altered since"));
    is_told_once(log, "alarm.log_disagrees").await;
}

#[tokio::test]
async fn entries_cut_off_together_with_the_published_checkpoint_are_missed_by_the_databases_own() {
    let (folder, signed) = grown(10).await;
    let published = fs::read(folder.path().join("audit.checkpoint")).unwrap();
    tamper(folder.path(), "DELETE FROM entries WHERE seq > 8");
    fs::remove_file(folder.path().join("audit.checkpoint")).unwrap();
    let log = Log::open(folder).await.unwrap();
    let LogAtStart::Behind { ref source, checkpoint, log: size } = log.found else { panic!("{:?}", log.found) };
    assert_eq!((source.as_str(), checkpoint, size), ("the last checkpoint in the database", signed.size, 8));
    fs::write(log.path("audit.checkpoint"), published).unwrap();
    is_told_once(log, "alarm.log_behind").await;
}

#[tokio::test]
async fn an_altered_entry_or_kept_hash_disagrees() {
    for edit in [
        "UPDATE entries SET body = replace(body, 'allowed', 'denied') WHERE seq = 5",
        "UPDATE entries SET body = (SELECT body FROM entries WHERE seq = 6) WHERE seq = 5",
        "UPDATE tree_hashes SET hash = printf('%064x', 7)",
    ] {
        // The first two stand among the last entries, the third is all that is read of the rest.
        let (folder, signed) = grown(if edit.contains("tree_hashes") { 300 } else { 10 }).await;
        tamper(folder.path(), edit);
        let log = Log::open(folder).await.unwrap();
        let LogAtStart::Disagrees { checkpoint, ref why, .. } = log.found else { panic!("{edit}: {:?}", log.found) };
        assert_eq!(checkpoint, signed.size, "{edit}");
        assert!(why.contains("were altered since"), "{edit}: {why}");
        is_told_once(log, "alarm.log_disagrees").await;
    }
}

#[tokio::test]
async fn a_missing_checkpoint_is_told_and_written_again() {
    let (folder, signed) = grown(10).await;
    fs::remove_file(folder.path().join("audit.checkpoint")).unwrap();
    let log = Log::open(folder).await.unwrap();
    assert_eq!(log.found, LogAtStart::Unwitnessed { size: signed.size });
    assert!(log.found.to_string().starts_with("audit.checkpoint is missing, although"));
    let log = log.recorded().await;
    assert_eq!(log.said().await, ["log.key_made", "alarm.log_unwitnessed"]);
    log.sign().await;
    let log = log.reopen().await;
    assert!(matches!(log.found, LogAtStart::Continues { .. }));
}

#[tokio::test]
async fn a_checkpoint_that_is_not_ours_is_told() {
    let (folder, signed) = grown(10).await;
    let database = backup(folder.path());
    let stranger = SigningKey::from_seed("placet.log/stranger", &[1; 32]).unwrap();
    let twin = SigningKey::from_seed(&signed.origin, &[1; 32]).unwrap();
    let ours = SigningKey::parse(fs::read_to_string(folder.path().join("audit.key")).unwrap().trim_end()).unwrap();
    let other = Checkpoint { origin: "placet.log/stranger".into(), ..signed.clone() };
    let mut altered = signed.clone();
    altered.root = Digest::of(b"other");
    let good = fs::read_to_string(folder.path().join("audit.checkpoint")).unwrap();
    for (note, wanted) in [
        (other.sign(&[&stranger]).unwrap(), "none of the known keys signed this note"),
        (signed.sign(&[&twin]).unwrap(), "none of the known keys signed this note"),
        (other.sign(&[&ours]).unwrap(), "signed by the key of another log"),
        (altered.sign(&[&ours]).unwrap(), "the first 11 entries were altered since"),
        (good.replacen("\n11\n", "\n12\n", 1), "does not fit the text"),
        (String::new(), "this is no signed note"),
        ("\0".repeat(2_000_000), "too long"),
        (good.replace('\n', "\r\n"), "control characters"),
        (ours.sign("hello\n").unwrap(), "this is no checkpoint"),
    ] {
        fs::write(folder.path().join("audit.checkpoint"), &note).unwrap();
        let log = Log::open(Arc::clone(&folder)).await.unwrap();
        let LogAtStart::Disagrees { ref why, .. } = log.found else { panic!("{wanted}: {:?}", log.found) };
        assert!(why.contains(wanted), "{wanted}: {why}");
        is_told_once(log, "alarm.log_disagrees").await.close().await;
        for file in fs::read_dir(folder.path()).unwrap() {
            let path = file.unwrap().path();
            if path.to_str().unwrap().contains(".before-") {
                fs::remove_file(path).unwrap();
            }
        }
        restore(folder.path(), &database);
    }
}
