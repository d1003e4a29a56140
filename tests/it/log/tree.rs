//! The tree of a log on disk: every proof verifies, through restarts, lost hashes and refused writes.

use placet::audit::{Checkpoint, Entry, Frontier, SealedEntry};
use placet::call::Digest;

use super::{Log, public, tamper};

/// Every signed note, in the order in which they were signed.
fn notes(log: &Log) -> Vec<(u64, String)> {
    let connection = rusqlite::Connection::open(log.path("placet.db")).unwrap();
    let mut rows = connection.prepare("SELECT size, note FROM checkpoints ORDER BY number").unwrap();
    rows.query_map([], |row| Ok((row.get::<_, i64>(0)? as u64, row.get(1)?))).unwrap().map(Result::unwrap).collect()
}

/// The leaf hashes, from the bodies.
fn leaves(log: &Log) -> Vec<Digest> {
    let connection = rusqlite::Connection::open(log.path("placet.db")).unwrap();
    let mut rows = connection.prepare("SELECT body FROM entries ORDER BY seq").unwrap();
    let bodies = rows.query_map([], |row| row.get::<_, String>(0)).unwrap();
    bodies.map(|body| SealedEntry::leaf_of(body.unwrap().as_bytes())).collect()
}

fn kept(log: &Log) -> Vec<(i64, i64, String)> {
    let connection = rusqlite::Connection::open(log.path("placet.db")).unwrap();
    let mut rows = connection.prepare("SELECT level, idx, hash FROM tree_hashes ORDER BY level, idx").unwrap();
    rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap().map(Result::unwrap).collect()
}

/// Checks every checkpoint against every later one, and every entry against the last.
async fn prove_everything(log: &Log, last: &Checkpoint) {
    let keys = public(log.folder.path());
    let mut before: Vec<Checkpoint> = Vec::new();
    for (size, note) in notes(log) {
        let checkpoint = Checkpoint::open(note, &keys).unwrap();
        assert_eq!(checkpoint.size, size);
        for earlier in &before {
            let proof = log.store.consistency_proof(earlier.size, size).await.unwrap().unwrap();
            assert!(proof.verify(&earlier.root, &checkpoint.root), "{} to {size}", earlier.size);
        }
        assert!(log.store.root_at(size).await.unwrap().matches(&checkpoint.root));
        before.push(checkpoint);
    }
    for (index, leaf) in leaves(log).iter().enumerate().take(last.size as usize) {
        let proof = log.store.inclusion_proof(index as u64 + 1, last.size).await.unwrap().unwrap();
        assert!(proof.verify(leaf, &last.root), "entry {}", index + 1);
    }
    assert_eq!(log.store.inclusion_proof(0, last.size).await.unwrap(), None);
    assert_eq!(log.store.inclusion_proof(last.size + 1, last.size).await.unwrap(), None);
    assert_eq!(log.store.consistency_proof(last.size + 1, last.size).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checkpoints_follow_from_each_other_through_growth_and_restarts() {
    let mut log = Log::new().await;
    let mut last = log.sign().await;
    // Past the first kept hash and the second; restarts fall between a change and its checkpoint, and after one.
    for count in [1, 2, 60, 190, 1, 2, 255, 3] {
        log.grow(count).await;
        if count % 2 == 0 {
            log = log.reopen().await;
        }
        let signed = log.sign().await;
        assert_eq!((signed.size, &signed.origin), (last.size + count, &last.origin));
        last = signed;
        if count % 3 == 0 {
            log = log.reopen().await;
        }
        assert_eq!(log.sign().await, last, "what has not grown is not signed again");
    }
    assert_eq!(last.size, 515);
    prove_everything(&log, &last).await;
    assert_eq!(kept(&log).iter().map(|(level, idx, _)| (*level, *idx)).collect::<Vec<_>>(), [(8, 0), (8, 1)]);
    assert_eq!(log.said().await, ["log.key_made"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_refused_batch_would_have_added_is_not_in_the_tree() {
    let log = Log::new().await;
    log.grow(3).await;
    let before = log.store.tree();
    let edit = |sql: &str| rusqlite::Connection::open(log.path("placet.db")).unwrap().execute_batch(sql).unwrap();
    edit(
        "CREATE TRIGGER failpoint_full BEFORE INSERT ON entries WHEN new.kind = 'x' BEGIN SELECT RAISE(ROLLBACK, 'full'); END",
    );
    let mut appends = tokio::task::JoinSet::new();
    for n in 0..40 {
        let store = log.store.clone();
        appends.spawn(async move { store.append(Entry::new(if n == 20 { "x" } else { "call.denied" })).await.is_ok() });
    }
    let kept = appends.join_all().await.into_iter().filter(|kept| *kept).count() as u64;
    assert!(kept < 40);
    edit("DROP TRIGGER failpoint_full");
    assert_eq!(log.store.tree().size(), before.size() + kept);
    log.grow(1).await;
    let signed = log.sign().await;
    assert_eq!(signed.root, log.store.root_at(signed.size).await.unwrap());
    assert_eq!(log.store.log_size().await.unwrap(), signed.size);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_log_opens_by_its_kept_hashes_and_makes_lost_ones_again() {
    let log = Log::new().await;
    let folder = log.close().await;
    // A whole subtree of the second kept level, and something of everything beside it.
    let size = 65_536 + 3 * 256 + 77;
    tamper(
        folder.path(),
        &format!(
            "WITH RECURSIVE n(seq) AS (SELECT 2 UNION ALL SELECT seq + 1 FROM n WHERE seq < {size})
             INSERT INTO entries (seq, at, kind, body, leaf)
             SELECT seq, 1795356131000, 'call.allowed', 'entry ' || seq, printf('%064x', seq) FROM n"
        ),
    );
    let log = Log::open(folder).await.unwrap();
    let all = leaves(&log);
    let mut whole = Frontier::new();
    all.iter().for_each(|leaf| whole.push(*leaf));
    assert_eq!(log.store.tree(), whole);
    let signed = log.sign().await;
    let made = kept(&log);
    assert_eq!(made.len(), (size >> 8) + (size >> 16));

    // Kept hashes are lost, in the middle and at the end, of both levels.
    let folder = log.close().await;
    tamper(folder.path(), "DELETE FROM tree_hashes WHERE level = 16 OR idx IN (0, 100, 255) OR idx >= 257");
    let log = Log::open(folder).await.unwrap();
    assert_eq!(log.found, placet::notary::LogAtStart::Continues { size: size as u64 });
    assert_eq!(kept(&log), made, "they are made again");
    let prove = async |indices: &[usize]| {
        for index in indices {
            let proof = log.store.inclusion_proof(*index as u64 + 1, signed.size).await.unwrap().unwrap();
            assert!(proof.verify(&all[*index], &signed.root), "entry {}", index + 1);
        }
    };
    prove(&[0, 1, 255, 256, 65_279, 65_280, 65_535, 65_536, 66_303, 66_304, size - 2, size - 1]).await;
    // Lost while it runs, they are made when they are asked for.
    rusqlite::Connection::open(log.path("placet.db")).unwrap().execute_batch("DELETE FROM tree_hashes").unwrap();
    prove(&[0, size - 1]).await;
    let proof = log.store.consistency_proof(65_537, signed.size).await.unwrap().unwrap();
    let mut old = Frontier::new();
    all[..65_537].iter().for_each(|leaf| old.push(*leaf));
    assert!(proof.verify(&old.root(), &signed.root));
}

#[tokio::test]
async fn a_gap_in_the_log_is_named_and_no_number_makes_it_up() {
    let log = Log::new().await;
    log.grow(20).await;
    log.sign().await;
    let folder = log.close().await;
    tamper(folder.path(), "DELETE FROM entries WHERE seq = 17");
    let error = Log::open(folder).await.map(drop).unwrap_err().to_string();
    assert!(error.contains("entries are missing from the log; `placet audit verify` says which"), "{error}");
}
