//! The key of the seals and the database that it belongs to; and the one time that rows of before get their seals.

use std::io;
use std::path::Path;

use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;

use super::open::Opened;
use super::sealed::{AGENTS, API_TOKENS, REVIEWERS, SESSIONS, Sealed};
use super::{StoreError, row};
use crate::audit::Entry;
use crate::call::Digest;
use crate::clock::Entropy;
use crate::seal::{Kept, Seal};

/// The key, and what the log must say before the key's file is marked.
pub(super) struct Keys {
    pub seal: Seal,
    /// Rows of before were sealed, and the log does not say so yet.
    pub sealed: Option<Entry>,
    /// The key's file says so.
    pub marked: bool,
}

/// Takes the key out of its file, or makes it with a new database; seals once what was written before there were
/// seals.
///
/// # Errors
/// The key is missing or another one: then nobody in this database could be known, and nothing in it be released.
pub(super) async fn open(opened: &mut Opened, folder: &Path) -> Result<Keys, StoreError> {
    let refuse = |problem: String| StoreError::Folder { path: folder.to_owned(), problem };
    let unusable = |error: io::Error| refuse(format!("has a seal.key that cannot be used: {error}"));
    let known: Option<String> = sqlx::query_scalar("SELECT value FROM meta WHERE key = 'seal_key'")
        .fetch_optional(&mut opened.connection)
        .await?;
    let Kept { seal, marked } = match Seal::load(folder).map_err(unusable)? {
        Some(kept) => kept,
        None if known.is_some() => {
            return Err(refuse(
                "has lost seal.key, with which its accounts, agents and calls are sealed; restore it from where you \
                 keep it, or begin with an empty data folder"
                    .into(),
            ));
        }
        None => Seal::create(folder, &Entropy::System).map_err(unusable)?,
    };
    let id = seal.id().to_string();
    let sealed = match known {
        Some(known) if known != id => {
            return Err(refuse(
                "has another seal.key than the one that its database was sealed with; restore both of the same folder"
                    .into(),
            ));
        }
        // Sealed, but stopped before the key's file could say so.
        Some(_) if !marked => {
            // An upgrade that stopped between its steps: the entry is the last of those that may be missing.
            let told = sqlx::query("SELECT 1 FROM entries WHERE kind = 'accounts.sealed'");
            let told = told.fetch_optional(&mut opened.connection).await?.is_some();
            (!told).then(|| Entry::new("accounts.sealed"))
        }
        Some(_) => None,
        None => {
            let mut tx = opened.connection.begin_with("BEGIN IMMEDIATE").await?;
            let sealed = if marked { None } else { Some(seal_all(&mut tx, &seal).await?) };
            let sql = "INSERT INTO meta (key, value) VALUES ('seal_key', $1)";
            sqlx::query(sql).bind(&id).execute(&mut *tx).await?;
            tx.commit().await?;
            sealed
        }
    };
    Ok(Keys { seal, sealed, marked })
}

/// Seals every row that has none, as it stands: for a database of before there were seals, once.
async fn seal_all(connection: &mut SqliteConnection, seal: &Seal) -> Result<Entry, StoreError> {
    // Nobody is told where a link of ten minutes went during an upgrade; another one is made.
    sqlx::query("DELETE FROM sign_in_links").execute(&mut *connection).await?;
    for (table, column) in [("agents", "token_hash"), ("sessions", "token_hash"), ("api_tokens", "token_hash")] {
        let select = sqlx::AssertSqlSafe(format!("SELECT {column} FROM {table}"));
        let hashes: Vec<String> = sqlx::query_scalar(select).fetch_all(&mut *connection).await?;
        for hash in hashes {
            let Ok(digest) = hash.parse::<Digest>() else { continue };
            let update = sqlx::AssertSqlSafe(format!("UPDATE {table} SET {column} = $2 WHERE {column} = $1"));
            let query = sqlx::query(update).bind(&hash).bind(seal.keyed(&digest).to_string());
            query.execute(&mut *connection).await?;
        }
    }
    let named = [
        (
            &AGENTS,
            "e.kind IN ('agent.added', 'agent.revoked') AND e.agent = t.name AND e.body ->> '$.detail.agent_id' = t.id",
        ),
        (&REVIEWERS, "e.kind IN ('reviewer.added', 'reviewer.disabled', 'password.changed') AND e.reviewer_id = t.id"),
        (
            &SESSIONS,
            "e.kind = 'session.signed_in' AND e.reviewer_id = t.reviewer_id AND e.body ->> '$.detail.session' = t.id",
        ),
        (&API_TOKENS, "e.kind = 'token.made' AND e.reviewer_id = t.reviewer_id AND e.body ->> '$.detail.token' = t.id"),
    ];
    let mut count = 0;
    for (table, entry) in named {
        count += seal_table(connection, seal, table, entry).await?;
    }
    let calls = row::seal_all(connection, seal).await?;
    tracing::info!(rows = count, calls, "what was written before there were seals is sealed now, once");
    Ok(Entry::new("accounts.sealed").with("rows", count).with("calls", calls))
}

async fn seal_table(
    connection: &mut SqliteConnection,
    seal: &Seal,
    table: &Sealed,
    entry: &str,
) -> Result<u64, StoreError> {
    let Sealed { table: name, key, .. } = table;
    let update = format!("UPDATE {name} AS t SET entry = (SELECT max(e.seq) FROM entries e WHERE {entry})");
    sqlx::query(sqlx::AssertSqlSafe(update)).execute(&mut *connection).await?;
    let keys = sqlx::AssertSqlSafe(format!("SELECT {key} FROM {name} WHERE entry IS NOT NULL"));
    let keys: Vec<String> = sqlx::query_scalar(keys).fetch_all(&mut *connection).await?;
    for key in &keys {
        table.seal_with(connection, seal, key, None).await?;
    }
    Ok(keys.len() as u64)
}
