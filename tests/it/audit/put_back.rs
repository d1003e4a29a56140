//! A database that was put back as README says, and what verification makes of it: what is there is intact, what is not
//! there is told, and whoever cuts a log off gets no better word than that.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use placet::audit::note::VerifyingKey;
use placet::clock::Entropy;
use placet::notary::Notary;
use serde_json::Value;
use tempfile::TempDir;

use super::forged::Forged;
use super::{audit_in, history};
use crate::support::app::{Setup, TestApp};
use crate::support::bench::Bench;
use crate::support::upstream::Upstream;

/// A service that was served from, restored from a backup, and served from again.
struct Restored {
    folder: Arc<TempDir>,
    elsewhere: TempDir,
    /// The keys as they were before, and are now.
    keys: [PathBuf; 2],
    /// How many entries the backup had, and how many were signed before it was put back.
    log: u64,
    signed: u64,
}

impl Restored {
    async fn new(rotate: bool) -> Self {
        let upstream = Upstream::start().await;
        let elsewhere = tempfile::tempdir().unwrap();
        let at = |name: &str| elsewhere.path().join(name);
        let app = Setup::http(&upstream.url).start().await;
        for name in ["one", "two"] {
            app.agent(name).await;
            app.app.notary.checkpoint().await.unwrap();
        }
        let backup = at("backup.db");
        let log = app.app.store.backup(&backup, "a-copy".into()).await.unwrap().mark.log;
        let old = at("old.pub");
        std::fs::copy(data(&app).join("audit.pub"), &old).unwrap();
        if rotate {
            app.app.notary.rotate(&Entropy::System).await.unwrap();
        }
        for name in ["three", "four", "five"] {
            app.agent(name).await;
            app.app.notary.checkpoint().await.unwrap();
        }
        let (setup, folder) = (app.setup.clone(), Arc::clone(&app.folder));
        assert!(app.app.stop(Duration::from_secs(20)).await);
        let data = folder.path().join("data");
        let signed = keep(&data, &at("notes"));

        std::fs::rename(data.join("placet.db"), at("replaced.db")).unwrap();
        for beside in ["placet.db-wal", "placet.db-shm"] {
            let _ = std::fs::remove_file(data.join(beside));
        }
        std::fs::copy(&backup, data.join("placet.db")).unwrap();
        let app = setup.start_in(Arc::clone(&folder)).await;
        assert!(app.app.restored.is_some());
        for name in ["six", "seven", "eight"] {
            app.agent(name).await;
            app.app.notary.checkpoint().await.unwrap();
        }
        let (new, folder) = (at("new.pub"), Arc::clone(&app.folder));
        std::fs::copy(data.join("audit.pub"), &new).unwrap();
        assert!(app.app.stop(Duration::from_secs(20)).await);
        Self { folder, keys: [old, new], log, signed, elsewhere }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn notes(&self) -> String {
        self.elsewhere.path().join("notes").to_str().unwrap().to_owned()
    }
}

fn data(app: &TestApp) -> PathBuf {
    app.folder.path().join("data")
}

/// Keeps every note of the database elsewhere, after those that are there; answers how many entries the last covers.
fn keep(data: &Path, notes: &Path) -> u64 {
    let database = rusqlite::Connection::open(data.join("placet.db")).unwrap();
    let mut select = database.prepare("SELECT size, note FROM checkpoints ORDER BY number").unwrap();
    let rows = select.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))).unwrap();
    let kept: Vec<(i64, String)> = rows.collect::<Result<_, _>>().unwrap();
    let before = std::fs::read_to_string(notes).unwrap_or_default();
    let new = kept.iter().filter(|(_, note)| !before.contains(note)).map(|(_, note)| format!("{note}\n"));
    std::fs::write(notes, format!("{before}{}", new.collect::<String>())).unwrap();
    kept.last().unwrap().0 as u64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_has_a_verdict_of_its_own() {
    let restored = Restored::new(false).await;
    let Restored { log, signed, .. } = restored;
    let forged = Forged::of(&restored.data()).await;
    let entry = forged.first_of("store.restored", "");
    let (notes, key) = (restored.notes(), restored.keys[0].to_str().unwrap());
    let kept = ["--anchor", notes.as_str(), "--key", key];
    for (arguments, by) in
        [(&kept[..], "notes:"), (&[], "audit.checkpoint knows of"), (&["--restored", "1"], "audit.checkpoint")]
    {
        let (code, answer) = forged.verify(arguments).await;
        assert_eq!((code, answer["verdict"].as_str()), (2, Some("put_back")), "{arguments:?}: {answer}");
        let told = &answer["put_back"][0];
        assert_eq!(
            (told["entry"].as_u64(), told["log"].as_u64(), told["upto"].as_u64()),
            (Some(entry), Some(log), Some(signed))
        );
        let last = answer["says"].as_str().unwrap();
        let missing = format!("entries {} to {signed}", log + 1);
        for part in
            ["PUT BACK: what is there is intact", &format!("entry {entry} tells"), &missing, "verify that one too", by]
        {
            assert!(last.contains(part), "{arguments:?}: {part}: {last}");
        }
    }
    // Whoever knows of it says so, by the entry; what was kept before and after goes with it.
    keep(&restored.data(), Path::new(&notes));
    let number = entry.to_string();
    let said = audit_in(forged.path(), &[&["verify", "--restored", &number], &kept[..]].concat()).await;
    assert!(said.code == 0 && said.out.contains(&format!("known: entry {entry} tells")), "{}{}", said.out, said.err);
    assert!(said.out.ends_with("INTACT\n"), "{}", said.out);
    // The database that was replaced has the rest.
    let replaced = Forged::of(&restored.data()).await;
    std::fs::copy(restored.elsewhere.path().join("replaced.db"), replaced.path().join("placet.db")).unwrap();
    std::fs::remove_file(replaced.path().join("audit.checkpoint")).unwrap();
    assert_eq!(replaced.verify(&["--key", key]).await.0, 0);

    // What was there before, and what came after, is still judged.
    let known = [&kept[..], &["--restored", &number]].concat();
    for (kind, has) in [("agent.added", "\"agent\":\"one\""), ("agent.added", "\"agent\":\"eight\"")] {
        let forged = Forged::of(&restored.data()).await;
        let seq = forged.first_of(kind, has) as i64;
        forged.recompute(seq, |body| body.replacen("\"upstreams\":[]", "\"upstreams\":[\"x\"]", 1));
        forged.sign_again();
        forged.publish();
        for arguments in [&kept[..], &known] {
            let (code, answer) = forged.verify(arguments).await;
            let anchors = answer["findings"].as_array().unwrap().iter().any(|finding| finding["check"] == "anchors");
            assert!(code == 1 && anchors, "{has}: {answer}");
        }
    }
}

/// A copy that nobody was served from is behind what was signed since, and no log that was cut off; but nor is it proved
/// not to be one.
#[tokio::test]
async fn a_backup_verifies_and_what_was_signed_since_leaves_it_open() {
    let bench = Bench::new().await;
    history(&bench).await;
    let (notary, _) = Notary::open(bench.store.clone(), &bench.entropy).await.unwrap();
    notary.checkpoint().await.unwrap();
    let copy = tempfile::tempdir().unwrap();
    bench.store.backup(&copy.path().join("placet.db"), "x".into()).await.unwrap();
    let note = notary.checkpoint().await.unwrap().note;
    let (anchor, key) = (copy.path().join("notes"), copy.path().join("key"));
    std::fs::write(&anchor, note).unwrap();
    std::fs::copy(bench.folder.path().join("audit.pub"), &key).unwrap();
    let alone = ["verify", "--without-seals", "--key", key.to_str().unwrap()];
    let said = audit_in(copy.path(), &alone).await;
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let anchored = [&alone[..], &["--anchor", anchor.to_str().unwrap()]].concat();
    let said = audit_in(copy.path(), &anchored).await;
    assert!(said.code == 2 && said.err.contains("says of itself that it is a copy"), "{}{}", said.out, said.err);
    // Cut off beyond what it says, or without saying so, it is what it is.
    let connection = rusqlite::Connection::open(copy.path().join("placet.db")).unwrap();
    connection.execute_batch("DELETE FROM meta WHERE key = 'copy'").unwrap();
    let said = audit_in(copy.path(), &anchored).await;
    assert!(said.code == 1 && said.out.contains("was cut off"), "{}{}", said.out, said.err);
}

/// A backup from before a change of keys: nothing is lost, and whoever has the old key alone is told what to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_from_before_a_change_of_keys_is_called_that() {
    let restored = Restored::new(true).await;
    let forged = Forged::of(&restored.data()).await;
    let rotated: Vec<String> = forged
        .open()
        .prepare("SELECT body FROM entries WHERE kind = 'log.key_rotated'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let detail: Value = serde_json::from_str(&rotated[0]).unwrap();
    assert_eq!((rotated.len(), &detail["detail"]["restored"]), (1, &true.into()), "{rotated:?}");
    assert!(detail["detail"]["old_lost"].is_null(), "nothing is lost: {detail}");
    let [old, new] = restored.keys.each_ref().map(|path| path.to_str().unwrap());
    assert_eq!(VerifyingKey::parse_all(&std::fs::read_to_string(new).unwrap()).unwrap().len(), 2);
    let (code, answer) = forged.verify(&["--key", new]).await;
    assert_eq!((code, answer["verdict"].as_str()), (2, Some("put_back")), "{answer}");
    assert_eq!(answer["unknown"].as_array().unwrap().len(), 0, "{answer}");
    let (code, answer) = forged.verify(&["--key", old]).await;
    let why = answer["unknown"].to_string();
    assert_eq!((code, answer["verdict"].as_str()), (2, Some("put_back")), "{answer}");
    for part in ["put back to a time before its key was replaced", "Give the new key with --key as well"] {
        assert!(why.contains(part), "{part}: {why}");
    }
    assert!(!answer.to_string().contains("lost"), "{answer}");
}
