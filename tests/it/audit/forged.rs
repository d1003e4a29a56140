//! A copy of a data folder in the hands of somebody who can write to it: what the attacks on the log are made with.

use std::path::{Path, PathBuf};

use placet::audit::note::SigningKey;
use placet::audit::{Checkpoint, Frontier, SealedEntry};
use rusqlite::{Connection, params};
use serde_json::Value;
use tempfile::TempDir;

use super::audit_in;
use crate::support::bench::Bench;
use crate::support::command::Said;
use crate::support::triggers;

/// A database whose own triggers are away; they are put back, as whoever forges would.
pub(super) struct Open(Connection);

impl std::ops::Deref for Open {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.0
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let _ = self.0.execute_batch(triggers::back());
    }
}

/// A copy of a data folder.
pub(super) struct Forged {
    folder: TempDir,
}

impl Forged {
    /// Everything that the folder has: database, keys, the published checkpoint.
    pub(super) async fn copy(bench: &Bench) -> Self {
        Self::of(bench.folder.path()).await
    }

    pub(super) async fn of(from: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if ["audit.key", "audit.pub", "audit.checkpoint", "seal.key"].contains(&name.as_str()) {
                std::fs::copy(&path, folder.path().join(name)).unwrap();
            }
        }
        let forged = Self { folder };
        let source = Connection::open(from.join("placet.db")).unwrap();
        source.execute("VACUUM INTO ?1", [forged.file().to_str().unwrap()]).unwrap();
        forged
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("placet.db")
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The database, with nothing in the way of a change until this is dropped.
    pub(super) fn open(&self) -> Open {
        let connection = Connection::open(self.file()).unwrap();
        connection.execute_batch(&format!("PRAGMA foreign_keys = OFF; {}", triggers::AWAY)).unwrap();
        Open(connection)
    }

    /// Changes the database; something must change.
    pub(super) fn change(&self, sql: &str) {
        let connection = self.open();
        let before: i64 = connection.query_row("SELECT total_changes()", [], |row| row.get(0)).unwrap();
        connection.execute_batch(sql).unwrap();
        let after: i64 = connection.query_row("SELECT total_changes()", [], |row| row.get(0)).unwrap();
        assert!(after > before, "nothing changed by {sql}");
    }

    /// The number of the first entry of this kind whose body has this in it.
    pub(super) fn first_of(&self, kind: &str, has: &str) -> u64 {
        let sql = "SELECT min(seq) FROM entries WHERE body ->> '$.kind' = ?1 AND instr(body, ?2)";
        self.open().query_row(sql, [kind, has], |row| row.get::<_, i64>(0)).unwrap() as u64
    }

    /// Puts the rows of a table back as they were in another copy.
    pub(super) fn put_back(&self, table: &str, from: &Self) {
        let connection = self.open();
        let columns = format!("SELECT group_concat(name) FROM pragma_table_info('{table}')");
        let columns: String = connection.query_row(&columns, [], |row| row.get(0)).unwrap();
        connection.execute("ATTACH ?1 AS old", [from.file().to_str().unwrap()]).unwrap();
        let sql = format!(
            "DELETE FROM {table}; INSERT INTO {table} ({columns}) SELECT {columns} FROM old.{table}; DETACH old"
        );
        connection.execute_batch(&sql).unwrap();
    }

    /// Puts a copy of the pending call into the database, under another id.
    pub(super) fn twin(&self, id: &str) {
        let connection = self.open();
        for (table, key) in [("calls", "id"), ("call_params", "call_id")] {
            // Without the columns that the database makes itself.
            let sql = format!("SELECT group_concat(name) FROM pragma_table_info('{table}') WHERE name <> '{key}'");
            let columns: String = connection.query_row(&sql, [], |row| row.get(0)).unwrap();
            let sql = format!(
                "INSERT INTO {table} ({key}, {columns}) SELECT ?1, {columns} FROM {table}
                 WHERE {key} = (SELECT id FROM calls WHERE state = 'pending' AND id <> ?1)"
            );
            assert_eq!(connection.execute(&sql, [id]).unwrap(), 1);
        }
    }

    /// Changes one body and makes hashes and chain anew from there to the end: what a hash chain alone does not notice.
    pub(super) fn recompute(&self, seq: i64, change: impl Fn(&str) -> String) {
        let connection = self.open();
        let rows: Vec<(i64, String, String)> = connection
            .prepare("SELECT seq, body, leaf FROM entries WHERE seq >= ?1 ORDER BY seq")
            .unwrap()
            .query_map([seq], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        let mut prev: Option<(String, String)> = None;
        for (number, body, old) in rows {
            let body = match &prev {
                None => {
                    let changed = change(&body);
                    assert_ne!(changed, body);
                    changed
                }
                Some((before, after)) => body.replacen(before, after, 1),
            };
            let leaf = SealedEntry::leaf_of(body.as_bytes()).to_string();
            connection
                .execute("UPDATE entries SET body = ?1, leaf = ?2 WHERE seq = ?3", params![body, leaf, number])
                .unwrap();
            prev = Some((old, leaf));
        }
    }

    /// Signs every checkpoint again, over the entries as they now stand, with the key that lies in the folder.
    pub(super) fn sign_again(&self) {
        let connection = self.open();
        let key = std::fs::read_to_string(self.path().join("audit.key")).unwrap();
        let key = SigningKey::parse(key.trim()).unwrap();
        let bodies: Vec<String> = connection
            .prepare("SELECT body FROM entries ORDER BY seq")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        let mut frontier = Frontier::new();
        for body in bodies {
            frontier.push(SealedEntry::leaf_of(body.as_bytes()));
            let (size, root) = (frontier.size() as i64, frontier.root());
            let checkpoint = Checkpoint { origin: key.verifying_key().name().into(), size: size as u64, root };
            let note = checkpoint.sign(&[&key]).unwrap();
            connection
                .execute(
                    "UPDATE checkpoints SET root = ?1, note = ?2 WHERE size = ?3",
                    params![root.to_string(), note, size],
                )
                .unwrap();
        }
        connection.execute("DELETE FROM tree_hashes", []).unwrap();
    }

    /// Publishes the last checkpoint of the database: whoever owns the folder does not forget that file.
    pub(super) fn publish(&self) {
        let note: String = self
            .open()
            .query_row("SELECT note FROM checkpoints ORDER BY number DESC LIMIT 1", [], |row| row.get(0))
            .unwrap();
        std::fs::write(self.path().join("audit.checkpoint"), note).unwrap();
    }

    /// `placet audit verify --json` with these arguments: exit code and answer.
    pub(super) async fn verify(&self, arguments: &[&str]) -> (i32, Value) {
        let Said { code, out, err } = audit_in(self.path(), &[&["verify", "--json"], arguments].concat()).await;
        (code, serde_json::from_str(&out).unwrap_or_else(|_| panic!("no answer: {err}")))
    }
}
