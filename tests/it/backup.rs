//! `placet backup`: whole, while everything goes on; and what is refused leaves nothing behind.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use placet::audit::{Entry, SealedEntry};
use placet::clock::Clock;
use placet::lifecycle::Tasks;
use placet::store::{BackupError, Store, StoreError};

use crate::support::app::Setup;
use crate::support::bench::{Bench, START};
use crate::support::upstream::Upstream;

/// A copy as somebody has it who restores it, with the key that was kept apart from it.
async fn opened(file: &Path, of: &Path) -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(file, folder.path().join("placet.db")).unwrap();
    fs::copy(of.join("seal.key"), folder.path().join("seal.key")).unwrap();
    let store = Store::open(folder.path(), Clock::manual(START), &Tasks::default()).await.unwrap();
    (folder, store)
}

/// Past Placet, while it runs.
fn edit(bench: &Bench, sql: &str) {
    rusqlite::Connection::open(bench.folder.path().join("placet.db")).unwrap().execute_batch(sql).unwrap();
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_made_under_load_is_whole_and_has_all_that_was_acknowledged_before() {
    let bench = Arc::new(Bench::new().await);
    let store = bench.store.clone();
    let mut filling = tokio::task::JoinSet::new();
    for n in 0..3000 {
        let store = store.clone();
        let entry = Entry::new("call.allowed").with("n", n).with("filler", "x".repeat(500));
        filling.spawn(async move { store.append(entry).await });
    }
    assert!(filling.join_all().await.iter().all(Result::is_ok));
    let held = bench.hold("{\"held\":\"before\"}").await;

    let (going, acknowledged) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU64::new(0)));
    let mut writers = tokio::task::JoinSet::new();
    for n in 0..16 {
        let (store, going, acknowledged) = (store.clone(), Arc::clone(&going), Arc::clone(&acknowledged));
        writers.spawn(async move {
            while going.load(Ordering::SeqCst) {
                store.append(Entry::new("call.denied").with("by", n)).await.unwrap();
                acknowledged.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    let folder = tempfile::tempdir().unwrap();
    for round in 0..5 {
        let file = folder.path().join(format!("copy {round} é'\".db"));
        let (before, size) = (acknowledged.load(Ordering::SeqCst), store.log_size().await.unwrap());
        let copied = store.backup(&file, format!("copy-{round}")).await.unwrap();
        assert!(acknowledged.load(Ordering::SeqCst) > before, "writes wait for the copy");
        assert!(copied.mark.log >= size, "{copied:?}: {size} were there before");
        assert_eq!(fs::metadata(&file).unwrap().len(), copied.bytes);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

        let (_folder, copy) = opened(&file, bench.folder.path()).await;
        assert_eq!(copy.log_size().await.unwrap(), copied.mark.log);
        assert_eq!(copy.tree().root(), store.root_at(copied.mark.log).await.unwrap());
        assert_eq!(copy.copy_mark().await.unwrap().unwrap(), copied.mark);
        assert_eq!(copy.call(held.submission.id).await.unwrap().unwrap(), held);
        assert_eq!(store.copy_mark().await.unwrap(), None, "the original is no copy");
        whole(&file, i64::try_from(copied.mark.log).unwrap());
    }
    going.store(false, Ordering::SeqCst);
    writers.join_all().await;
    let files = names(folder.path());
    assert_eq!(files.len(), 5, "nothing else is left there: {files:?}");
    let filter = placet::store::EntryFilter { limit: 10, kind: Some("store.backed_up".into()), ..Default::default() };
    let said = store.entries(filter).await.unwrap();
    assert_eq!(said.len(), 5);
    let told = &said[0].body;
    assert!(told.contains("\"copy\":\"copy-4\"") && told.contains("\"log\":") && told.contains("\"bytes\":"), "{told}");
    assert!(!told.contains(folder.path().to_str().unwrap()) && !told.contains(".db"), "{told}");
}

/// Read by SQLite alone: sound, without gaps, each leaf that of its body.
fn whole(file: &Path, entries: i64) {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let copy = rusqlite::Connection::open_with_flags(file, flags).unwrap();
    let check: String = copy.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
    let mut rows = copy.prepare("SELECT seq, body, leaf FROM entries ORDER BY seq").unwrap();
    let mut rows = rows.query([]).unwrap();
    let mut count = 0;
    while let Some(row) = rows.next().unwrap() {
        count += 1;
        let (seq, body, leaf): (i64, String, String) = (row.get(0).unwrap(), row.get(1).unwrap(), row.get(2).unwrap());
        assert_eq!(seq, count);
        assert_eq!(SealedEntry::leaf_of(body.as_bytes()).to_string(), leaf);
    }
    assert_eq!(count, entries);
}

#[tokio::test]
async fn what_cannot_be_copied_leaves_nothing_and_changes_nothing() {
    let bench = Bench::new().await;
    let (store, data) = (&bench.store, bench.folder.path());
    let folder = tempfile::tempdir().unwrap();
    let there = folder.path().join("there");
    fs::write(&there, "mine").unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    std::os::unix::fs::symlink("/nowhere", folder.path().join("dangling")).unwrap();
    std::os::unix::fs::symlink(data, folder.path().join("data")).unwrap();
    let (before, files, ours) = (store.log_size().await.unwrap(), names(folder.path()), names(data));
    let cases: [(PathBuf, &str); 9] = [
        (there.clone(), "exists already"),
        (folder.path().join("dangling"), "exists already"),
        (folder.path().to_owned(), "exists already"),
        (data.join("placet.db"), "is in the data folder"),
        (data.join("copy.db"), "is in the data folder"),
        (folder.path().join("data/copy.db"), "is in the data folder"),
        (folder.path().join("none/copy.db"), "there is no such folder"),
        (folder.path().join("file/copy.db"), "is not a folder"),
        (PathBuf::from("/"), "is not a file's name"),
    ];
    for (file, why) in cases {
        let error = store.backup(&file, "x".into()).await.unwrap_err();
        assert!(error.to_string().contains(why), "{}: {error}", file.display());
        assert_eq!((names(folder.path()), names(data)), (files.clone(), ours.clone()), "{}", file.display());
    }
    assert_eq!(store.log_size().await.unwrap(), before, "nothing is said of a copy that there is not");
    assert_eq!(fs::read(&there).unwrap(), b"mine");

    // A copy that the log cannot speak of is none.
    edit(&bench, "CREATE TRIGGER failpoint_full BEFORE INSERT ON entries BEGIN SELECT RAISE(ABORT, 'full'); END");
    let error = store.backup(&folder.path().join("copy.db"), "x".into()).await.unwrap_err();
    assert!(matches!(error, BackupError::Store(StoreError::NotWritten(_))), "{error}");
    assert_eq!(names(folder.path()), files);
}

#[tokio::test]
async fn a_log_that_is_not_what_was_written_is_not_copied_as_if_it_were() {
    let bench = Bench::new().await;
    for n in 0..5 {
        bench.store.append(Entry::new("call.allowed").with("n", n)).await.unwrap();
    }
    edit(
        &bench,
        "DROP TRIGGER entries_are_never_changed;
         UPDATE entries SET body = replace(body, 'allowed', 'denied!') WHERE seq = 5",
    );
    let folder = tempfile::tempdir().unwrap();
    let error = bench.store.backup(&folder.path().join("copy.db"), "x".into()).await.unwrap_err();
    assert!(error.to_string().contains("is not what was written"), "{error}");
    assert_eq!(names(folder.path()), Vec::<String>::new());
}

#[tokio::test]
async fn another_databases_write_ahead_log_is_not_written_over_a_copy() {
    let bench = Bench::new().await;
    bench.hold("{}").await;
    let (folder, restored) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = folder.path().join("copy.db");
    bench.store.backup(&file, "x".into()).await.unwrap();
    bench.hold("{\"later\":1}").await;
    // As after a crash: the log lies there, and the copy is put beside it.
    fs::copy(&file, restored.path().join("placet.db")).unwrap();
    fs::copy(bench.folder.path().join("seal.key"), restored.path().join("seal.key")).unwrap();
    fs::copy(bench.folder.path().join("placet.db-wal"), restored.path().join("placet.db-wal")).unwrap();
    let error = Store::open(restored.path(), Clock::manual(START), &Tasks::default()).await.unwrap_err();
    assert!(error.to_string().contains("move placet.db-wal and placet.db-shm away"), "{error}");
    fs::remove_file(restored.path().join("placet.db-wal")).unwrap();
    Store::open(restored.path(), Clock::manual(START), &Tasks::default()).await.unwrap();
}

fn placet(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_placet")).args(arguments).current_dir(folder).output().unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_copies_with_and_without_a_server() {
    let upstream = Upstream::start().await;
    let app = Setup::http(&upstream.url).real_time().start().await;
    let folder = app.folder.path().to_owned();
    app.agent("ci").await;
    let outside = tempfile::tempdir().unwrap();
    let file = outside.path().join("monday.db");

    let ask = |arguments: Vec<String>| {
        let folder = folder.clone();
        async move {
            let run = move || placet(&folder, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
            tokio::task::spawn_blocking(run).await.unwrap()
        }
    };
    let wish = |name: &str| vec!["backup".to_owned(), outside.path().join(name).to_str().unwrap().to_owned()];
    // Through the running server.
    let output = ask(wish("monday.db")).await;
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let said = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(said.starts_with(file.to_str().unwrap()) && said.contains("checked"), "{said}");
    for key in ["seal.key", "audit.key", "audit.pub"] {
        assert!(err(&output).contains(key), "{}", err(&output));
    }
    let again = ask(wish("monday.db")).await;
    assert_eq!((again.status.code(), again.stdout.len()), (Some(1), 0));
    assert!(err(&again).contains("exists already"), "{}", err(&again));
    let (_kept, copy) = opened(&file, &folder.join("data")).await;
    assert_eq!(copy.agents().await.unwrap().len(), 1);

    // Without one, by a relative path, as JSON.
    assert!(app.app.stop(Duration::from_secs(20)).await);
    let output = ask(["backup", "tuesday.db", "--json"].map(str::to_owned).into()).await;
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["bytes"], fs::metadata(folder.join("tuesday.db")).unwrap().len());
    let none = ask(["backup"].map(str::to_owned).into()).await;
    assert_eq!(none.status.code(), Some(64));

    // Where the disk ends in the middle; a limit on the size of files stands for it.
    let limited = {
        let (folder, file) = (folder.clone(), outside.path().join("wednesday.db"));
        let script =
            format!("trap '' XFSZ; ulimit -f 64; exec '{}' backup '{}'", env!("CARGO_BIN_EXE_placet"), file.display());
        let run = move || Command::new("bash").args(["-c", &script]).current_dir(folder).output().unwrap();
        tokio::task::spawn_blocking(run).await.unwrap()
    };
    assert_eq!((limited.status.code(), limited.stdout.len()), (Some(2), 0), "{}", err(&limited));
    assert!(
        err(&limited).contains("was not written") && err(&limited).contains("nothing was left"),
        "{}",
        err(&limited)
    );
    assert_eq!(names(outside.path()), ["monday.db"]);

    // Asking makes no database.
    fs::remove_dir_all(folder.join("data")).unwrap();
    let output = ask(wish("none.db")).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(err(&output).contains("there is no database") && !folder.join("data").exists(), "{}", err(&output));
}
