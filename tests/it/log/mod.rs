//! The log: its tree, its signed checkpoints, its keys, and what a start finds out about it.

mod anchors;
mod command;
mod keys;
mod page;
mod start;
mod tree;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use placet::audit::note::VerifyingKey;
use placet::audit::{Checkpoint, Entry};
use placet::clock::{Clock, Entropy};
use placet::lifecycle::Tasks;
use placet::notary::{LogAtStart, Notary, NotaryError};
use placet::store::Store;
use tempfile::TempDir;

use crate::support::bench::START;
use crate::support::triggers;

/// A data folder with its log open, as one process has it.
struct Log {
    folder: Arc<TempDir>,
    tasks: Tasks,
    store: Store,
    notary: Notary,
    found: LogAtStart,
}

impl Log {
    async fn new() -> Self {
        Self::open(Arc::new(tempfile::tempdir().unwrap())).await.unwrap()
    }

    async fn open(folder: Arc<TempDir>) -> Result<Self, NotaryError> {
        Self::open_with(folder, &Entropy::System).await
    }

    async fn open_with(folder: Arc<TempDir>, entropy: &Entropy) -> Result<Self, NotaryError> {
        let tasks = Tasks::default();
        let store = Store::open(folder.path(), Clock::manual(START), &tasks).await?;
        match Notary::open(store.clone(), entropy).await {
            Ok((notary, found)) => Ok(Self { folder, tasks, store, notary, found }),
            Err(error) => {
                drop(store);
                assert!(tasks.ended(Duration::from_secs(10)).await);
                Err(error)
            }
        }
    }

    /// Ends the process without a word: nothing is signed.
    async fn close(self) -> Arc<TempDir> {
        let Self { folder, tasks, store, notary, .. } = self;
        tasks.begin_stop();
        drop((store, notary));
        assert!(tasks.ended(Duration::from_secs(10)).await);
        folder
    }

    async fn reopen(self) -> Self {
        Self::open(self.close().await).await.unwrap()
    }

    /// As a service does at its start.
    async fn recorded(self) -> Self {
        self.notary.record(&self.found).await.unwrap();
        self
    }

    /// Appends `count` entries, many at once.
    async fn grow(&self, count: u64) {
        let mut appends = tokio::task::JoinSet::new();
        for n in 0..count {
            let store = self.store.clone();
            appends.spawn(async move { store.append(Entry::new("call.allowed").with("n", n)).await });
        }
        assert!(appends.join_all().await.iter().all(Result::is_ok));
    }

    async fn sign(&self) -> Checkpoint {
        let signed = self.notary.checkpoint().await.unwrap();
        let opened = Checkpoint::open(&signed.note, &self.public()).unwrap();
        assert_eq!((opened.size, opened.root), (signed.size, signed.root));
        assert_eq!(std::fs::read_to_string(self.path("audit.checkpoint")).unwrap(), signed.note);
        opened
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn public(&self) -> Vec<VerifyingKey> {
        public(self.folder.path())
    }

    /// The kinds of the entries about the log itself.
    async fn said(&self) -> Vec<String> {
        self.store.log_entries().await.unwrap().into_iter().map(|entry| entry.kind).collect()
    }
}

fn public(folder: &Path) -> Vec<VerifyingKey> {
    VerifyingKey::parse_all(&std::fs::read_to_string(folder.join("audit.pub")).unwrap()).unwrap()
}

/// Writes to the database of a folder that no process has open, past every trigger.
fn tamper(folder: &Path, sql: &str) {
    let connection = rusqlite::Connection::open(folder.join("placet.db")).unwrap();
    for sql in [triggers::AWAY, sql, triggers::back()] {
        connection.execute_batch(sql).unwrap();
    }
    connection.close().unwrap();
}

/// A closed database, to be put back later.
fn backup(folder: &Path) -> Vec<u8> {
    std::fs::read(folder.join("placet.db")).unwrap()
}

fn restore(folder: &Path, database: &[u8]) {
    for side in ["placet.db-wal", "placet.db-shm"] {
        let _ = std::fs::remove_file(folder.join(side));
    }
    std::fs::write(folder.join("placet.db"), database).unwrap();
}
