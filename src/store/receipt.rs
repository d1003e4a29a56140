//! A call's receipt, out of the log, its checkpoints and its tree.

use std::path::Path;

use sqlx::sqlite::SqliteConnection;

use super::snapshot::{self, Search};
use super::{Snapshot, Store, StoreError, tree};
use crate::audit::note::{self, VerifyingKey};
use crate::audit::receipt::{BadReceipt, FORMAT, Proved, Receipt, Text};
use crate::call::CallId;

/// What there is to give.
#[derive(Clone, Debug)]
pub enum Receipted {
    /// The receipt; it was checked.
    Ready(Box<Receipt>),
    /// No checkpoint covers everything that happened to the call yet.
    Unsigned,
    /// The log does not tell of such a call.
    NoSuchCall,
    /// What the database has is not what was signed.
    Broken(BadReceipt),
}

impl Store {
    /// The receipt of a call.
    ///
    /// # Errors
    /// The database does not answer, or the log has gaps.
    pub async fn receipt(&self, call: CallId) -> Result<Receipted, StoreError> {
        receipt(&mut *self.readers().acquire().await?, self.folder(), call, Search::Life).await
    }

    /// Whether a checkpoint covers everything that happened to a call so far.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn is_signed(&self, call: CallId) -> Result<bool, StoreError> {
        let sql = "SELECT coalesce((SELECT max(size) FROM checkpoints) >=
                       (SELECT max(seq) FROM entries WHERE call_id = $1), 0)";
        Ok(sqlx::query_scalar(sql).bind(call.to_string()).fetch_one(self.readers()).await?)
    }
}

impl Snapshot {
    /// As [`Store::receipt`].
    ///
    /// # Errors
    /// The database does not answer, or the log has gaps.
    pub async fn receipt(&mut self, call: CallId) -> Result<Receipted, StoreError> {
        receipt(&mut self.connection, &self.folder, call, Search::WholeLog).await
    }
}

async fn receipt(
    connection: &mut SqliteConnection,
    folder: &Path,
    call: CallId,
    search: Search,
) -> Result<Receipted, StoreError> {
    let rows = snapshot::entries_of(connection, call, search).await?;
    let Some(last) = rows.last().map(|row| row.seq) else { return Ok(Receipted::NoSuchCall) };
    // The call's row says which one must be among them.
    let stands: Option<i64> = sqlx::query_scalar("SELECT entry FROM calls WHERE id = $1")
        .bind(call.to_string())
        .fetch_optional(&mut *connection)
        .await?
        .flatten();
    if let Some(entry) = stands.filter(|entry| !rows.iter().any(|row| row.seq == *entry)) {
        let entry = u64::try_from(entry).unwrap_or(0);
        return Ok(Receipted::Broken(BadReceipt::Misplaced(
            entry,
            "is about this call by its row, and not found with it",
        )));
    }
    // One that is also kept elsewhere proves most; otherwise the latest.
    let sql = "SELECT size, note FROM checkpoints WHERE size >= $1
               ORDER BY size IN (SELECT size FROM anchors WHERE size IS NOT NULL) DESC, size DESC, number DESC LIMIT 1";
    let covering: Option<(i64, String)> = sqlx::query_as(sql).bind(last).fetch_optional(&mut *connection).await?;
    let Some((size, checkpoint)) = covering else { return Ok(Receipted::Unsigned) };
    let mut entries = Vec::new();
    for row in &rows {
        let (seq, size) = (u64::try_from(row.seq).unwrap_or(0), u64::try_from(size).unwrap_or(0));
        let Some(proof) = tree::inclusion(connection, seq, size).await? else {
            return Ok(Receipted::Broken(BadReceipt::NotInLog(seq)));
        };
        entries.push(Proved { seq, text: Text::of(&row.body), path: proof.path });
    }
    let known = std::fs::read_to_string(folder.join("audit.pub")).unwrap_or_default();
    let known = VerifyingKey::parse_all(&known).unwrap_or_default();
    let by = note::open(&checkpoint, &known).map(|opened| opened.by).unwrap_or_default();
    let receipt = Receipt {
        format: FORMAT.to_owned(),
        call: call.to_string(),
        checkpoint,
        keys: by.iter().map(ToString::to_string).collect(),
        entries,
    };
    // What is handed on must hold: the proofs were made of what the database says now.
    Ok(match receipt.check(&by) {
        Ok(_) => Receipted::Ready(Box::new(receipt)),
        Err(broken) => Receipted::Broken(broken),
    })
}
