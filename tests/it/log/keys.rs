//! The log's key: made once, ours alone, replaced without a gap, whatever happens in the middle of it.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::Arc;
use std::time::Duration;

use placet::audit::Checkpoint;
use placet::audit::note::{self, SigningKey, VerifyingKey};
use placet::clock::{Clock, Entropy};
use placet::lifecycle::Tasks;
use placet::notary::{LogAtStart, Notary, NotaryError, Rotated};
use placet::store::Store;
use tempfile::TempDir;

use super::{Log, backup, public, restore};
use crate::support::bench::START;

fn secret(log: &Log) -> String {
    fs::read_to_string(log.path("audit.key")).unwrap()
}

async fn refused(folder: &Arc<TempDir>) -> String {
    let size = || fs::metadata(folder.path().join("audit.key")).map(|file| file.len()).ok();
    let before = size();
    let error = Log::open(Arc::clone(folder)).await.map(drop).unwrap_err().to_string();
    assert_eq!(size(), before, "it is left as it is");
    error
}

/// `placet audit rotate-key --lost`
async fn replace_lost(folder: &Arc<TempDir>) -> Result<Rotated, NotaryError> {
    let tasks = Tasks::default();
    let store = Store::open(folder.path(), Clock::manual(START), &tasks).await?;
    let replaced = Notary::open_without_key(store, &Entropy::System).await;
    let rotated = match replaced {
        Ok((notary, rotated)) => notary.checkpoint().await.map(|_| rotated),
        Err(error) => Err(error),
    };
    assert!(tasks.ended(Duration::from_secs(10)).await);
    rotated
}

#[tokio::test]
async fn it_is_made_at_the_first_start_and_said_in_the_log() {
    let log = Log::new().await;
    assert_eq!(log.found, LogAtStart::Fresh);
    let mode = |name: &str| fs::metadata(log.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("audit.key"), 0o600);
    let key = SigningKey::parse(secret(&log).trim_end()).unwrap();
    assert!(key.verifying_key().name().starts_with("placet.log/0"));
    assert_eq!(log.public(), [key.verifying_key()]);
    let entries = log.store.log_entries().await.unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!((entries[0].seq, entries[0].kind.as_str()), (1, "log.key_made"));
    assert_eq!(entries[0].detail["vkey"], key.verifying_key().to_string());
    let again = secret(&log);
    let log = log.reopen().await;
    assert_eq!((secret(&log), log.said().await.len()), (again, 1));
}

#[tokio::test]
async fn a_key_that_is_not_ours_alone_or_damaged_is_refused_with_what_to_do() {
    let log = Log::new().await;
    log.sign().await;
    let good = secret(&log);
    let folder = log.close().await;
    let path = folder.path().join("audit.key");
    for mode in [0o644, 0o660, 0o604] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let error = refused(&folder).await;
        assert!(error.contains("audit.key may be used by other users") && error.contains("chmod 600"), "{error}");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let other = SigningKey::from_seed("placet.log/other", &[7; 32]).unwrap().to_secret_line();
    let three = format!("{good}{other}\n{other}\n");
    for content in ["", "\n", "garbage", &good[..40], &good.replace('+', " "), &three, &good.to_lowercase()] {
        fs::write(&path, content).unwrap();
        let error = refused(&folder).await;
        assert!(error.contains("audit.key is damaged; restore it from a backup"), "{content:?}: {error}");
        assert!(!error.contains("PRIVATE"), "{error}");
    }
    fs::write(&path, [0xff, 0xfe]).unwrap();
    assert!(refused(&folder).await.contains("is damaged"));

    fs::write(&path, format!("{other}\n")).unwrap();
    let error = refused(&folder).await;
    assert!(error.contains("audit.key is placet.log/other+") && error.contains("rotate-key --lost"), "{error}");

    fs::rename(&path, folder.path().join("elsewhere")).unwrap();
    symlink(folder.path().join("elsewhere"), &path).unwrap();
    assert!(refused(&folder).await.contains("audit.key is a symbolic link"));
    fs::remove_file(&path).unwrap();
    let error = refused(&folder).await;
    assert!(error.contains("audit.key is missing, but the log is signed by placet.log/0"), "{error}");
    assert!(error.contains("restore the file from a backup") && error.contains("rotate-key --lost"), "{error}");

    fs::write(&path, &good).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let log = Log::open(Arc::clone(&folder)).await.unwrap();
    assert!(matches!(log.found, LogAtStart::Continues { .. }));
    let folder = log.close().await;

    fs::write(folder.path().join("audit.pub"), "not keys\n").unwrap();
    let error = refused(&folder).await;
    assert!(error.contains("audit.pub is damaged; move it away"), "{error}");
    fs::remove_file(folder.path().join("audit.pub")).unwrap();
    let log = Log::open(folder).await.unwrap();
    assert_eq!(log.public(), [SigningKey::parse(good.trim_end()).unwrap().verifying_key()]);
}

#[tokio::test]
async fn a_replaced_key_is_in_the_log_and_both_sign_the_next_checkpoint() {
    let log = Log::new().await;
    log.grow(4).await;
    let before = log.sign().await;
    let first = secret(&log);
    let Rotated { old, new } = log.notary.rotate(&Entropy::System).await.unwrap();
    assert_eq!(log.public().iter().map(ToString::to_string).collect::<Vec<_>>(), [old.clone(), new.clone()]);
    let entry = log.store.log_entries().await.unwrap().pop().unwrap();
    assert_eq!(
        (entry.kind.as_str(), entry.detail["old"].as_str(), entry.detail["new"].as_str()),
        ("log.key_rotated", Some(old.as_str()), Some(new.as_str()),)
    );
    let signed = log.notary.checkpoint().await.unwrap();
    let opened = note::open(&signed.note, &log.public()).unwrap();
    assert_eq!(opened.by.iter().map(ToString::to_string).collect::<Vec<_>>(), [new.clone(), old.clone()]);
    assert_eq!(signed.size, before.size + 1);
    assert!(!secret(&log).contains(first.trim_end()) && secret(&log).lines().count() == 1, "the old one is gone");

    // From then on the new one alone; through a restart, and another change.
    log.grow(1).await;
    let log = log.reopen().await;
    assert_eq!(log.found, LogAtStart::Continues { size: signed.size });
    let by = |note: &str, log: &Log| note::open(note, &log.public()).unwrap().by;
    assert_eq!(by(&log.notary.checkpoint().await.unwrap().note, &log).len(), 1);
    let again = log.notary.rotate(&Entropy::System).await.unwrap();
    assert_eq!((again.old, log.public().len()), (new, 3));
    let origin = log.sign().await.origin;
    assert_eq!(origin, before.origin, "it is the same log");
    assert!(log.public().iter().all(|key| key.name() == origin));
}

/// A crash after each step of a change of keys.
#[tokio::test]
async fn a_change_of_keys_that_broke_off_ends_well() {
    // Before the log said so: the old key stays.
    let log = Log::new().await;
    log.sign().await;
    let first = secret(&log);
    let key = SigningKey::parse(first.trim_end()).unwrap();
    let second = SigningKey::from_seed(key.verifying_key().name(), &[9; 32]).unwrap();
    let folder = log.close().await;
    fs::write(folder.path().join("audit.key"), format!("{first}{}\n", second.to_secret_line())).unwrap();
    let log = Log::open(folder).await.unwrap();
    assert_eq!((secret(&log), log.public().len()), (first.clone(), 1));

    // After it: the new one is in force, the next checkpoint bears both signatures, the old one is gone then.
    let both = format!("{first}{}\n", second.to_secret_line());
    let (old, new) = (key.verifying_key().to_string(), second.verifying_key().to_string());
    let rotated = placet::audit::Entry::new("log.key_rotated").with("old", old.as_str()).with("new", new.as_str());
    log.store.append(rotated).await.unwrap();
    let folder = log.close().await;
    fs::write(folder.path().join("audit.key"), &both).unwrap();
    for _ in 0..2 {
        let log = Log::open(Arc::clone(&folder)).await.unwrap();
        assert_eq!((secret(&log), log.public().len()), (both.clone(), 2));
        log.close().await;
    }
    let log = Log::open(folder).await.unwrap();
    let signed = log.notary.checkpoint().await.unwrap();
    assert_eq!(note::open(&signed.note, &log.public()).unwrap().by.len(), 2);
    assert_eq!(secret(&log), format!("{}\n", second.to_secret_line()));
    assert_eq!(log.said().await, ["log.key_made", "log.key_rotated"]);
}

#[tokio::test]
async fn a_lost_key_is_replaced_only_when_told_to_and_the_log_says_so() {
    let log = Log::new().await;
    log.grow(3).await;
    let before = log.sign().await;
    let folder = log.close().await;
    assert!(matches!(replace_lost(&folder).await.unwrap_err(), NotaryError::NotLost));
    fs::remove_file(folder.path().join("audit.key")).unwrap();
    assert!(refused(&folder).await.contains("is missing"));
    let rotated = replace_lost(&folder).await.unwrap();
    let log = Log::open(folder).await.unwrap();
    assert_eq!(log.found, LogAtStart::Continues { size: before.size + 1 });
    let entry = log.store.log_entries().await.unwrap().pop().unwrap();
    assert_eq!((entry.kind.as_str(), &entry.detail["old_lost"]), ("log.key_rotated", &true.into()));
    assert_eq!((log.public()[0].to_string(), log.public()[1].to_string()), (rotated.old, rotated.new));
    assert_eq!(log.sign().await.origin, before.origin);

    // The same where a key of the same log lies there that nobody knows.
    let folder = log.close().await;
    let unknown = SigningKey::from_seed(&before.origin, &[3; 32]).unwrap();
    fs::write(folder.path().join("audit.key"), unknown.to_secret_line()).unwrap();
    assert!(refused(&folder).await.contains("rotate-key --lost"));
    assert_eq!(replace_lost(&folder).await.unwrap().new, unknown.verifying_key().to_string());
    assert_eq!(public(folder.path()).len(), 3);
}

/// A backup from before a change of keys is put back: the folder knows the newer key.
#[tokio::test]
async fn a_database_from_before_a_change_of_keys_goes_on_with_the_new_one() {
    let log = Log::new().await;
    log.sign().await;
    let folder = log.close().await;
    let old = backup(folder.path());
    let old_public = fs::read(folder.path().join("audit.pub")).unwrap();
    let log = Log::open(folder).await.unwrap();
    let rotated = log.notary.rotate(&Entropy::System).await.unwrap();
    let folder = log.close().await;
    restore(folder.path(), &old);
    // With the public keys of then nobody can tell that the private one is a later one of the same log.
    let public = fs::read(folder.path().join("audit.pub")).unwrap();
    fs::write(folder.path().join("audit.pub"), old_public).unwrap();
    assert!(refused(&folder).await.contains("put the audit.pub of this folder back as well"));
    fs::write(folder.path().join("audit.pub"), public).unwrap();
    let log = Log::open(folder).await.unwrap();
    let entry = log.store.log_entries().await.unwrap().pop().unwrap();
    assert_eq!((&entry.detail["restored"], &entry.detail["old_lost"]), (&true.into(), &serde_json::Value::Null));
    assert!(matches!(log.found, LogAtStart::Behind { checkpoint: 2, log: 1, .. }), "{:?}", log.found);
    let log = log.recorded().await;
    assert_eq!(log.said().await, ["log.key_made", "log.key_rotated", "alarm.log_behind"]);
    let signed = log.sign().await;
    let by = note::open(&log.notary.checkpoint().await.unwrap().note, &log.public()).unwrap().by;
    assert_eq!((signed.size, by), (3, vec![VerifyingKey::parse(&rotated.new).unwrap()]));
}

#[tokio::test]
async fn an_emptied_database_beside_a_key_is_noticed() {
    let log = Log::new().await;
    log.grow(5).await;
    let signed = log.sign().await;
    let folder = log.close().await;
    for name in ["placet.db", "placet.db-wal", "placet.db-shm"] {
        let _ = fs::remove_file(folder.path().join(name));
    }
    let log = Log::open(folder).await.unwrap();
    assert_eq!(log.found, LogAtStart::Behind { source: "audit.checkpoint".into(), checkpoint: signed.size, log: 0 });
    let log = log.recorded().await;
    assert_eq!(log.said().await, ["log.key_made", "alarm.log_behind"]);
    assert_eq!(log.sign().await.origin, signed.origin);
    let folder = log.close().await;
    for name in ["placet.db", "placet.db-wal", "placet.db-shm", "audit.key"] {
        let _ = fs::remove_file(folder.path().join(name));
    }
    assert!(refused(&folder).await.contains("is missing"), "audit.pub knows that there was one");
    let note = fs::read(folder.path().join("audit.checkpoint")).unwrap();
    assert!(Checkpoint::open(note, &public(folder.path())).is_ok());
}
