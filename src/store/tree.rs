//! The log's tree: its right edge in memory, grown by what was committed; hashes of complete subtrees in the database,
//! so that a start and a proof read few entries.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection as _, Row as _};
use tokio::sync::watch;

use super::{BoxFuture, Store, StoreError};
use crate::audit::{ConsistencyProof, Frontier, InclusionProof, SealedEntry, tree};
use crate::call::Digest;

/// Hashes are kept for every eighth level: each is over `2^8` of the level below.
const STEP: u32 = 8;

/// A complete subtree and its hash.
pub(super) type Subtree = (u32, u64, Digest);

/// The tree as this process knows it. What is signed later is what the writer wrote, not what the database says it did.
#[derive(Debug)]
pub(super) struct Growing {
    edge: watch::Sender<Frontier>,
    /// Complete subtrees whose hashes the database has yet to get.
    unstored: Mutex<Vec<Subtree>>,
}

impl Growing {
    pub(super) fn new(frontier: Frontier) -> Self {
        Self { edge: watch::Sender::new(frontier), unstored: Mutex::default() }
    }

    /// Adds entries that were committed, by their leaf hashes, in their order.
    pub(super) fn committed(&self, leaves: &[Digest]) {
        if leaves.is_empty() {
            return;
        }
        let mut unstored = self.unstored.lock().unwrap_or_else(PoisonError::into_inner);
        self.edge.send_modify(|frontier| {
            for leaf in leaves {
                frontier.push_noting(*leaf, |level, index, hash| {
                    if level > 0 && level % STEP == 0 {
                        unstored.push((level, index, *hash));
                    }
                });
            }
        });
    }

    pub(super) fn unstored(&self) -> Vec<Subtree> {
        self.unstored.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// These are in the database now.
    pub(super) fn stored(&self, hashes: &[Subtree]) {
        self.unstored.lock().unwrap_or_else(PoisonError::into_inner).retain(|subtree| !hashes.contains(subtree));
    }
}

/// Reads the right edge of a tree of `size`, making anew what hashes are missing for it.
pub(super) async fn load(connection: &mut SqliteConnection, size: u64) -> Result<Frontier, StoreError> {
    if let Err(error) = complete(connection, size).await {
        tracing::warn!(%error, "hashes of the log's tree could not be stored; they are made again when needed");
    }
    frontier(connection, size).await
}

/// The right edge that the tree had at `size`.
async fn frontier(connection: &mut SqliteConnection, size: u64) -> Result<Frontier, StoreError> {
    let mut peaks = Vec::new();
    for (level, index) in Frontier::subtrees(size) {
        peaks.push(subtree(connection, level, index).await?);
    }
    Frontier::of(size, peaks).ok_or_else(|| missing(size))
}

/// Stores the hashes that are missing of a tree of `size`.
async fn complete(connection: &mut SqliteConnection, size: u64) -> Result<(), StoreError> {
    let mut level = STEP;
    while size >> level > 0 {
        let wanted = size >> level;
        let sql = "SELECT idx FROM tree_hashes WHERE level = $1 AND idx < $2 ORDER BY idx";
        let query = sqlx::query_scalar(sql).bind(level).bind(signed(wanted));
        let there: Vec<i64> = query.fetch_all(&mut *connection).await?;
        if there.len() as u64 != wanted {
            let mut there = there.into_iter().peekable();
            let gaps: Vec<_> = (0..wanted).filter(|index| there.next_if_eq(&signed(*index)).is_none()).collect();
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            for index in gaps {
                let below = row(&mut transaction, level - STEP, index << STEP, (index + 1) << STEP).await?;
                insert(&mut transaction, &[(level, index, fold(below))]).await?;
            }
            transaction.commit().await?;
        }
        level += STEP;
    }
    Ok(())
}

/// Writes hashes of complete subtrees. What is there already stays.
pub(super) async fn insert(connection: &mut SqliteConnection, hashes: &[Subtree]) -> Result<(), StoreError> {
    for (level, index, hash) in hashes {
        sqlx::query("INSERT INTO tree_hashes (level, idx, hash) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
            .bind(level)
            .bind(signed(*index))
            .bind(hash.to_string())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// The hash of a complete subtree.
async fn subtree(connection: &mut SqliteConnection, level: u32, index: u64) -> Result<Digest, StoreError> {
    let above = level % STEP;
    Ok(fold(row(connection, level - above, index << above, (index + 1) << above).await?))
}

/// The hashes of neighbouring complete subtrees of a level that is kept, or of leaves, from the entries' bodies.
/// Those that the database has not are made out of the level below.
fn row<'c>(
    connection: &'c mut SqliteConnection,
    level: u32,
    from: u64,
    to: u64,
) -> BoxFuture<'c, Result<Vec<Digest>, StoreError>> {
    Box::pin(async move {
        let mut hashes = Vec::new();
        if level == 0 {
            let sql = "SELECT body FROM entries WHERE seq > $1 AND seq <= $2 ORDER BY seq";
            let rows = sqlx::query(sql).bind(signed(from)).bind(signed(to)).fetch_all(&mut *connection).await?;
            for row in rows {
                let body: String = row.try_get("body")?;
                hashes.push(SealedEntry::leaf_of(body.as_bytes()));
            }
            return if hashes.len() as u64 == to - from { Ok(hashes) } else { Err(missing(to)) };
        }
        let sql = "SELECT idx, hash FROM tree_hashes WHERE level = $1 AND idx >= $2 AND idx < $3";
        let query = sqlx::query(sql).bind(level).bind(signed(from)).bind(signed(to));
        let mut stored = HashMap::new();
        for row in query.fetch_all(&mut *connection).await? {
            stored.insert(row.try_get::<i64, _>("idx")?, digest(&row.try_get::<String, _>("hash")?, level)?);
        }
        for index in from..to {
            hashes.push(match stored.get(&signed(index)) {
                Some(hash) => *hash,
                None => fold(row(connection, level - STEP, index << STEP, (index + 1) << STEP).await?),
            });
        }
        Ok(hashes)
    })
}

/// The root over a number of neighbours that is a power of two.
fn fold(mut hashes: Vec<Digest>) -> Digest {
    while hashes.len() > 1 {
        hashes = hashes.chunks_exact(2).map(|pair| tree::node(&pair[0], &pair[1])).collect();
    }
    hashes.first().copied().unwrap_or_else(tree::empty_root)
}

/// SQLite's numbers are signed; the log ends long before they do.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn digest(text: &str, level: u32) -> Result<Digest, StoreError> {
    text.parse().map_err(|error: crate::call::BadDigest| StoreError::BadRow {
        table: "tree_hashes",
        row: format!("of level {level}"),
        column: "hash",
        problem: error.to_string(),
    })
}

fn missing(size: u64) -> StoreError {
    StoreError::BadRow {
        table: "entries",
        row: format!("before number {size}"),
        column: "seq",
        problem: "entries are missing from the log; `placet audit verify` says which".to_owned(),
    }
}

impl Store {
    /// The right edge of the log's tree, as of the last commit.
    #[must_use]
    pub fn tree(&self) -> Frontier {
        self.tree.edge.borrow().clone()
    }

    /// Returns when the log has more than `size` entries.
    pub async fn log_grown(&self, size: u64) {
        // The sender lives in `self`, so the wait can only end by the log's growing.
        let _ = self.tree.edge.subscribe().wait_for(|frontier| frontier.size() > size).await;
    }

    /// The root that the log's tree had at `size`, from stored hashes and bodies.
    ///
    /// # Errors
    /// The log is shorter or has gaps, or the database does not answer.
    pub async fn root_at(&self, size: u64) -> Result<Digest, StoreError> {
        root(&mut *self.readers().acquire().await?, size).await
    }

    /// Proves that entry `seq` is among the first `size`; `None` if it is not. Reads a few hundred rows at most for each
    /// eighth level. The proof is of what the database says now: check it against a signed root before handing it on.
    ///
    /// # Errors
    /// The log is shorter or has gaps, or the database does not answer.
    pub async fn inclusion_proof(&self, seq: u64, size: u64) -> Result<Option<InclusionProof>, StoreError> {
        inclusion(&mut *self.readers().acquire().await?, seq, size).await
    }

    /// Proves that the log of `from` entries is the beginning of that of `to`; `None` if it is longer. As
    /// [`Store::inclusion_proof`].
    ///
    /// # Errors
    /// The log is shorter or has gaps, or the database does not answer.
    pub async fn consistency_proof(&self, from: u64, to: u64) -> Result<Option<ConsistencyProof>, StoreError> {
        consistency(&mut *self.readers().acquire().await?, from, to).await
    }
}

/// As [`Store::root_at`], on any connection.
pub(super) async fn root(connection: &mut SqliteConnection, size: u64) -> Result<Digest, StoreError> {
    Ok(frontier(connection, size).await?.root())
}

/// As [`Store::inclusion_proof`], on any connection.
pub(super) async fn inclusion(
    connection: &mut SqliteConnection,
    seq: u64,
    size: u64,
) -> Result<Option<InclusionProof>, StoreError> {
    let Some(index) = seq.checked_sub(1) else { return Ok(None) };
    proof(connection, |of| InclusionProof::build(index, size, of)).await
}

/// As [`Store::consistency_proof`], on any connection.
pub(super) async fn consistency(
    connection: &mut SqliteConnection,
    from: u64,
    to: u64,
) -> Result<Option<ConsistencyProof>, StoreError> {
    proof(connection, |of| ConsistencyProof::build(from, to, of)).await
}

type Hashes<'h> = dyn FnMut(u32, u64) -> Result<Digest, Infallible> + 'h;

/// Runs a builder twice: once to hear which subtrees it asks for, once with their hashes.
async fn proof<P>(
    connection: &mut SqliteConnection,
    build: impl Fn(&mut Hashes<'_>) -> Result<Option<P>, Infallible>,
) -> Result<Option<P>, StoreError> {
    let mut hashes = HashMap::new();
    let Ok(shape) = build(&mut |level, index| {
        hashes.insert((level, index), tree::empty_root());
        Ok(tree::empty_root())
    });
    if shape.is_none() {
        return Ok(None);
    }
    drop(shape);
    for ((level, index), hash) in &mut hashes {
        *hash = subtree(connection, *level, *index).await?;
    }
    let Ok(proof) = build(&mut |level, index| Ok(hashes[&(level, index)]));
    Ok(proof)
}
