//! The database: what keeps it from being opened, what a batch does, and that the log has no gap.

use std::path::Path;
use std::time::Duration;

use placet::audit::{Entry, SealedEntry};
use placet::clock::Clock;
use placet::lifecycle::Tasks;
use placet::store::{EntryFilter, Store, StoreError};
use sqlx::Connection as _;

use crate::support::bench::{Bench, START};

async fn open(folder: &Path) -> Result<Store, StoreError> {
    Store::open(folder, Clock::manual(START), &Tasks::default()).await
}

/// Opens, closes, and gives the file to `edit`.
async fn edited(folder: &Path, edit: &'static str) {
    let tasks = Tasks::default();
    drop(Store::open(folder, Clock::manual(START), &tasks).await.unwrap());
    assert!(tasks.ended(Duration::from_secs(10)).await);
    let url = format!("sqlite://{}", folder.join("placet.db").display());
    let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
    sqlx::query(edit).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn what_keeps_it_from_being_opened_is_said_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(&folder.path().join("a")).await.unwrap();
    let second = open(&folder.path().join("a")).await.unwrap_err().to_string();
    assert!(second.contains("in use by another Placet process; stop that one first"), "{second}");
    drop(first);

    std::fs::write(folder.path().join("file"), "x").unwrap();
    let file = open(&folder.path().join("file")).await.unwrap_err().to_string();
    assert!(file.contains("is not a folder; move that file away, or set another data_dir"), "{file}");

    // Not even root makes a folder there.
    let closed = open(Path::new("/sys/placet-data")).await.unwrap_err().to_string();
    assert!(closed.contains("the data folder /sys/placet-data") && closed.contains("set another data_dir"), "{closed}");

    let newer = folder.path().join("newer");
    edited(
        &newer,
        "INSERT INTO _sqlx_migrations SELECT 9999, 'x', installed_on, 1, x'00', 0 FROM _sqlx_migrations LIMIT 1",
    )
    .await;
    let newer = open(&newer).await.unwrap_err().to_string();
    assert!(newer.contains("written by a newer version of Placet; use that version, or restore a backup"), "{newer}");

    let garbage = folder.path().join("garbage");
    std::fs::create_dir(&garbage).unwrap();
    std::fs::write(garbage.join("placet.db"), vec![7; 4096]).unwrap();
    let garbage = open(&garbage).await.unwrap_err().to_string();
    assert!(garbage.contains("placet.db") && garbage.contains("restore a backup"), "{garbage}");
}

#[tokio::test]
async fn the_folder_and_what_is_in_it_belong_to_this_user_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let store = open(&data).await.unwrap();
    store.append(Entry::new("service.started")).await.unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    for name in ["placet.db", "placet.db-wal", "placet.lock"] {
        assert_eq!(mode(&data.join(name)) & 0o077, 0, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_from_everywhere_make_one_chain_without_a_gap() {
    let bench = Bench::new().await;
    let mut appends = tokio::task::JoinSet::new();
    for n in 0..500 {
        let store = bench.store.clone();
        appends.spawn(async move { store.append(Entry::new("call.allowed").with("n", n)).await });
    }
    assert!(appends.join_all().await.iter().all(Result::is_ok));
    let filter = EntryFilter { limit: 10_000, ..EntryFilter::default() };
    let entries = bench.store.entries(filter).await.unwrap();
    let (mut seq, mut prev) = (0, "0".repeat(64));
    for entry in entries.iter().rev() {
        seq += 1;
        assert_eq!(entry.seq, seq);
        assert_eq!(SealedEntry::leaf_of(entry.body.as_bytes()), entry.leaf);
        let body: serde_json::Value = serde_json::from_str(&entry.body).unwrap();
        assert_eq!((&body["seq"], body["prev"].as_str().unwrap()), (&seq.into(), prev.as_str()));
        prev = entry.leaf.to_string();
    }
    assert!(seq >= 500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_write_undoes_itself_and_nothing_beside_it() {
    let bench = Bench::new().await;
    let mut work = tokio::task::JoinSet::new();
    for n in 0..100_u8 {
        let store = bench.store.clone();
        let id = bench.agent.id;
        // The name is taken: the database refuses it in the middle of whatever batch it is in.
        work.spawn(async move {
            if n % 2 == 0 {
                return store.append(Entry::new("call.denied")).await.is_ok();
            }
            let twin = placet::store::NewAgent {
                id,
                name: format!("twin-{n}").parse().unwrap(),
                owner: "owner@example.com".parse().unwrap(),
                upstreams: vec![],
                token_hash: placet::call::Digest::of(&[n]),
            };
            store.agent_add(twin).await.is_err()
        });
    }
    let calls: Vec<_> = (0..10)
        .map(|n| bench.call(&format!("[{n}]"), placet::call::Requirement::plain(Duration::from_secs(9))))
        .collect();
    for call in calls {
        bench.approvals.submit(call).await.unwrap();
    }
    assert!(work.join_all().await.iter().all(|done| *done));
    let filter = EntryFilter { kind: Some("call.held".into()), limit: 100, ..EntryFilter::default() };
    assert_eq!(bench.store.entries(filter).await.unwrap().len(), 10);
}

#[tokio::test]
async fn the_log_itself_refuses_to_be_changed() {
    let bench = Bench::new().await;
    bench.store.append(Entry::new("call.denied")).await.unwrap();
    let url = format!("sqlite://{}", bench.folder.path().join("placet.db").display());
    let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
    for edit in ["UPDATE entries SET kind = 'x'", "DELETE FROM entries"] {
        let error = sqlx::query(edit).execute(&mut connection).await.unwrap_err().to_string();
        assert!(error.contains("append-only"), "{error}");
    }
}

#[tokio::test]
async fn a_clock_set_back_revives_nothing() {
    let bench = Bench::new().await;
    let call = bench.hold("{}").await;
    bench.clock.advance(Duration::from_secs(900));
    bench.approvals.expire().await.unwrap();
    bench.until(&call, "expired").await;
    let other = bench.hold("[]").await;
    bench.clock.set(START.before(Duration::from_secs(86_400)));
    let late = bench.approvals.decide(bench.decision(&call, bench.mira, placet::call::Verdict::Approve)).await;
    assert!(late.is_err());
    let decided =
        bench.approvals.decide(bench.decision(&other, bench.mira, placet::call::Verdict::Reject)).await.unwrap();
    assert!(decided.changed_at >= other.submission.created_at, "time in the log never runs backwards");
}
