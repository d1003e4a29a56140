//! Rows that give somebody a right: each bears a seal over what counts in it and the number of the log's entry that
//! made it so. A row without its seal gives no right at all, and neither does one about which the log has a later
//! entry: an older row, put back.
//!
//! An older row that is put back together with every trace of what came after it in the log is known by the list beside
//! the database (`spent`).

use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::spent::{How, Kind, Line, Right, Spent, View};
use super::{StoreError, Tx};
use crate::audit::{Entry, Head, SealedEntry};
use crate::call::Digest;
use crate::seal::Seal;

/// A sealed table.
#[derive(Debug)]
pub(super) struct Sealed {
    pub table: &'static str,
    /// What the list of what is spent calls it.
    kind: Kind,
    /// The column that says when its right ended.
    ended: &'static str,
    /// The column that says whose it is, where it is somebody's; of an agent or an account, its name.
    of: &'static str,
    /// The column that names a row.
    pub key: &'static str,
    /// What is sealed: columns and whether they hold numbers.
    pub columns: &'static [(&'static str, Holds)],
    /// SQL: whether the log has the entry that the row `t` names.
    logged: &'static str,
    /// SQL: whether the log has a later one that the row `t` should have followed.
    overtaken: &'static str,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    Text,
    Number,
}

use Holds::{Number, Text};

/// What a row's seal is judged with.
#[derive(Clone, Debug)]
pub(super) struct Trust {
    pub seal: Seal,
    /// The list of what is spent, as it was before any row was read that this judges.
    pub spent: View,
    /// Entries from this number on are not in their table yet: they are written at the end of the transaction.
    pub unwritten: i64,
}

impl Trust {
    /// For what is read from now on outside the writer: whatever is committed is in the log.
    pub(super) fn committed(seal: &Seal, spent: &Spent) -> Self {
        Self { seal: seal.clone(), spent: spent.view(), unwritten: i64::MAX }
    }

    /// Within a batch: its entries reach their table when its last operation is done.
    pub(super) fn within(seal: &Seal, spent: &Spent, head: Head, entries: &[(Entry, SealedEntry)]) -> Self {
        let unwritten = entries.first().map_or(head.seq + 1, |(_, first)| first.seq);
        Self { seal: seal.clone(), spent: spent.view(), unwritten }
    }
}

macro_rules! about_reviewer {
    ($which:literal) => {
        concat!(
            "SELECT 1 FROM entries e WHERE e.kind IN ('reviewer.added', 'reviewer.disabled', 'password.changed', ",
            "'session.signed_in', 'session.signed_out', 'token.made', 'token.revoked', 'link.made') AND ",
            $which
        )
    };
}

pub(super) const AGENTS: Sealed = Sealed {
    table: "agents",
    kind: Kind::Agent,
    ended: "revoked_at",
    of: "name",
    key: "id",
    columns: &[
        ("id", Text),
        ("name", Text),
        ("owner", Text),
        ("upstreams", Text),
        ("token_hash", Text),
        ("created_at", Number),
        ("revoked_at", Number),
    ],
    logged: "SELECT 1 FROM entries e WHERE e.seq = t.entry AND e.agent = t.name",
    overtaken: "SELECT 1 FROM entries e WHERE e.kind IN ('agent.added', 'agent.revoked') AND e.agent = t.name
                AND e.seq > t.entry AND e.body ->> '$.detail.agent_id' = t.id",
};

pub(super) const REVIEWERS: Sealed = Sealed {
    table: "reviewers",
    kind: Kind::Reviewer,
    ended: "disabled_at",
    of: "email",
    key: "id",
    columns: &[
        ("id", Text),
        ("email", Text),
        ("name", Text),
        ("is_reviewer", Number),
        ("is_auditor", Number),
        ("is_administrator", Number),
        ("groups", Text),
        ("password", Text),
        ("created_at", Number),
        ("disabled_at", Number),
    ],
    logged: "SELECT 1 FROM entries e WHERE e.seq = t.entry AND e.reviewer_id = t.id",
    overtaken: about_reviewer!(
        "e.reviewer_id = t.id AND e.seq > t.entry
         AND e.kind IN ('reviewer.added', 'reviewer.disabled', 'password.changed')"
    ),
};

pub(super) const SESSIONS: Sealed = Sealed {
    table: "sessions",
    kind: Kind::Session,
    ended: "ended_at",
    of: "reviewer_id",
    key: "id",
    columns: &[
        ("id", Text),
        ("reviewer_id", Text),
        ("token_hash", Text),
        ("created_at", Number),
        ("seen_at", Number),
        ("expires_at", Number),
        ("ended_at", Number),
    ],
    logged: "SELECT 1 FROM entries e WHERE e.seq = t.entry AND e.reviewer_id = t.reviewer_id",
    // A sign-out names its session, or the only one that it keeps.
    overtaken: about_reviewer!(
        "e.seq > t.entry AND t.ended_at IS NULL AND (e.reviewer_id = t.reviewer_id AND (e.kind = 'reviewer.disabled'
             OR e.kind = 'session.signed_out' AND coalesce(e.body ->> '$.detail.session', t.id) = t.id
                AND e.body ->> '$.detail.kept' IS NOT t.id
             OR e.kind = 'password.changed' AND e.body ->> '$.detail.kept' IS NOT t.id))"
    ),
};

pub(super) const API_TOKENS: Sealed = Sealed {
    table: "api_tokens",
    kind: Kind::Token,
    ended: "ended_at",
    of: "reviewer_id",
    key: "id",
    columns: &[
        ("id", Text),
        ("reviewer_id", Text),
        ("token_hash", Text),
        ("may_decide", Number),
        ("created_at", Number),
        ("expires_at", Number),
        ("ended_at", Number),
    ],
    logged: "SELECT 1 FROM entries e WHERE e.seq = t.entry AND e.reviewer_id = t.reviewer_id",
    overtaken: about_reviewer!(
        "e.seq > t.entry AND t.ended_at IS NULL AND e.reviewer_id = t.reviewer_id AND (e.kind = 'reviewer.disabled'
             OR e.kind = 'token.revoked' AND coalesce(e.body ->> '$.detail.token', t.id) = t.id)"
    ),
};

pub(super) const LINKS: Sealed = Sealed {
    table: "sign_in_links",
    kind: Kind::Link,
    ended: "ended_at",
    of: "reviewer_id",
    key: "token_hash",
    columns: &[
        ("token_hash", Text),
        ("code_hash", Text),
        ("reviewer_id", Text),
        ("created_at", Number),
        ("expires_at", Number),
        ("ended_at", Number),
    ],
    logged: "SELECT 1 FROM entries e WHERE e.seq = t.entry AND e.reviewer_id = t.reviewer_id",
    // A person has one open link at a time, and any sign-in by a link spends it.
    overtaken: about_reviewer!(
        "e.seq > t.entry AND t.ended_at IS NULL AND e.reviewer_id = t.reviewer_id
         AND (e.kind IN ('reviewer.disabled', 'password.changed', 'link.made')
             OR e.kind = 'session.signed_in' AND e.body ->> '$.detail.by' = 'link')"
    ),
};

/// What a tool says by everybody's leave is a right of the tool's: its calls run as the policy says.
pub(super) const PINS: Sealed = Sealed {
    table: "tool_pins",
    kind: Kind::Tool,
    ended: "pending_at",
    // Nothing ends all of an upstream's tools, or all of one name.
    of: "id",
    key: "id",
    columns: &[
        ("id", Text),
        ("upstream", Text),
        ("tool", Text),
        ("seen_at", Number),
        ("digest", Text),
        ("json", Text),
        ("accepted_at", Number),
        ("accepted_by", Text),
        ("reason", Text),
        ("pending_digest", Text),
        ("pending_json", Text),
        ("pending_at", Number),
    ],
    logged: "SELECT 1 FROM entries e WHERE e.seq = t.entry AND e.upstream = t.upstream
             AND e.kind IN ('tools.pinned', 'tool.changed', 'tool.accepted')",
    overtaken: "SELECT 1 FROM entries e WHERE e.kind IN ('tool.changed', 'tool.accepted') AND e.upstream = t.upstream
                AND e.tool = t.tool AND e.seq > t.entry",
};

/// What a reviewer lets pass besides one call. Each use names another entry, so that no use is taken back.
pub(super) const STANDING: Sealed = Sealed {
    table: "standing",
    kind: Kind::Standing,
    ended: "ended_at",
    // Nothing ends all of somebody's.
    of: "id",
    key: "id",
    columns: &[
        ("id", Text),
        ("call_id", Text),
        ("agent_id", Text),
        ("agent_name", Text),
        ("upstream", Text),
        ("upstream_config", Text),
        ("tool", Text),
        ("tool_schema", Text),
        ("open", Text),
        ("fixed", Text),
        ("uses", Number),
        ("used", Number),
        ("granted_at", Number),
        ("until", Number),
        ("granted_by", Text),
        ("reason", Text),
        ("ended_at", Number),
        ("ended_by", Text),
        ("ended_why", Text),
    ],
    logged: "SELECT 1 FROM entries e WHERE e.seq = t.entry AND e.body ->> '$.detail.standing' = t.id
             AND e.kind IN ('standing.granted', 'standing.used', 'standing.ended')",
    overtaken: "SELECT 1 FROM entries e WHERE e.kind IN ('standing.used', 'standing.ended') AND e.seq > t.entry
                AND e.body ->> '$.detail.standing' = t.id",
};

impl Sealed {
    /// `SELECT` of whole rows with what their seals are judged by; what follows `which` chooses them.
    pub(super) fn select(&self, which: &str) -> sqlx::AssertSqlSafe<String> {
        let Self { table, logged, overtaken, .. } = self;
        sqlx::AssertSqlSafe(format!(
            "SELECT t.*, EXISTS ({logged}) AS logged, EXISTS ({overtaken}) AS overtaken FROM {table} t {which}"
        ))
    }

    /// Whether a row of [`Sealed::select`] is as Placet wrote it last.
    pub(super) fn is_genuine(&self, row: &SqliteRow, trust: &Trust) -> Result<bool, StoreError> {
        self.is_genuine_as("", row, trust)
    }

    /// As [`Sealed::is_genuine`], for a row whose columns stand beside others, under names that begin with `prefix`.
    pub(super) fn is_genuine_as(&self, prefix: &str, row: &SqliteRow, trust: &Trust) -> Result<bool, StoreError> {
        let name = |column: &str| format!("{prefix}{column}");
        let entry: Option<i64> = row.try_get(name("entry").as_str())?;
        let stored: Option<String> = row.try_get(name("seal").as_str())?;
        let (Some(entry), Some(stored)) = (entry, stored) else { return Ok(false) };
        let in_log = row.try_get::<bool, _>(name("logged").as_str())? || entry >= trust.unwritten;
        let last = in_log && !row.try_get::<bool, _>(name("overtaken").as_str())?;
        let gives_a_right = row.try_get::<Option<i64>, _>(name(self.ended).as_str())?.is_none();
        let key: String = row.try_get(name(self.key).as_str())?;
        let of: String = row.try_get(name(self.of).as_str())?;
        let right = Right { kind: self.kind, id: &key, of: Some(&of), entry };
        if gives_a_right && trust.spent.is_older(&right) {
            return Ok(false);
        }
        let stored: Option<Digest> = stored.parse().ok();
        Ok(last
            && stored.is_some_and(|stored| {
                self.seal(&trust.seal, prefix, row, entry).is_ok_and(|seal| seal.matches(&stored))
            }))
    }

    /// Whether the row bears its seal, whatever the log says of it: for who judges that from the log itself.
    pub(super) fn bears_seal(&self, row: &SqliteRow, seal: &Seal) -> Result<bool, StoreError> {
        let (entry, stored): (Option<i64>, Option<String>) = (row.try_get("entry")?, row.try_get("seal")?);
        let stored = stored.and_then(|stored| stored.parse::<Digest>().ok());
        let Some((entry, stored)) = entry.zip(stored) else { return Ok(false) };
        Ok(self.seal(seal, "", row, entry)?.matches(&stored))
    }

    fn seal(&self, seal: &Seal, prefix: &str, row: &SqliteRow, entry: i64) -> Result<Digest, sqlx::Error> {
        let mut parts = vec![b"placet/row/v1".to_vec(), self.table.as_bytes().to_vec(), entry.to_be_bytes().to_vec()];
        for (column, holds) in self.columns {
            let name = format!("{prefix}{column}");
            let value = match holds {
                Text => row.try_get::<Option<String>, _>(name.as_str())?.map(|text| [b"t", text.as_bytes()].concat()),
                Number => row.try_get::<Option<i64>, _>(name.as_str())?.map(|number| number.to_be_bytes().to_vec()),
            };
            parts.extend([column.as_bytes().to_vec(), value.unwrap_or_default()]);
        }
        parts.extend(seal.era_part(entry));
        Ok(seal.mac(parts.iter().map(Vec::as_slice)))
    }

    /// As [`Sealed::seal_row`] where that ended the row's right, or made it another one: no older row gives it again.
    pub(super) async fn spend_row(
        &self,
        tx: &mut Tx<'_>,
        key: &str,
        entry: Option<i64>,
        how: How,
    ) -> Result<(), StoreError> {
        self.seal_row(tx, key, entry).await?;
        let entry = entry.unwrap_or_else(|| tx.last_entry());
        tx.spend(Line { kind: self.kind, id: key.to_owned(), how, entry, kept: None });
        Ok(())
    }

    /// Ends all rows that a person has now, or that bear this name, but `kept`: those as well that were hidden from the
    /// statement that ended them.
    pub(super) fn spend_all(&self, tx: &mut Tx<'_>, of: &str, kept: Option<&str>) {
        let (entry, kept) = (tx.last_entry(), kept.map(str::to_owned));
        tx.spend(Line { kind: self.kind, id: of.to_owned(), how: How::AllEnded, entry, kept });
    }

    /// Seals a row as it stands now: the log's entry `entry` made it so; `None`: the one that it named before.
    pub(super) async fn seal_row(&self, tx: &mut Tx<'_>, key: &str, entry: Option<i64>) -> Result<(), StoreError> {
        let seal = tx.trust().seal;
        self.seal_with(tx.connection(), &seal, key, entry).await
    }

    /// As [`Sealed::seal_row`], outside the writer.
    pub(super) async fn seal_with(
        &self,
        connection: &mut SqliteConnection,
        seal: &Seal,
        key: &str,
        entry: Option<i64>,
    ) -> Result<(), StoreError> {
        let Self { table, key: column, .. } = self;
        let select = sqlx::AssertSqlSafe(format!("SELECT * FROM {table} WHERE {column} = $1"));
        let row = sqlx::query(select).bind(key).fetch_one(&mut *connection).await?;
        let entry = entry.or(row.try_get("entry")?).unwrap_or_default();
        let sealed = self.seal(seal, "", &row, entry)?;
        let update = sqlx::AssertSqlSafe(format!("UPDATE {table} SET entry = $2, seal = $3 WHERE {column} = $1"));
        sqlx::query(update).bind(key).bind(entry).bind(sealed.to_string()).execute(connection).await?;
        Ok(())
    }

    /// Every row that gives a right, as the list of what is spent names it.
    pub(super) async fn live(&self, connection: &mut SqliteConnection) -> Result<Vec<LiveRow>, StoreError> {
        let Self { table, key, of, ended, .. } = self;
        let sql = format!("SELECT {key}, {of}, entry FROM {table} WHERE {ended} IS NULL AND entry IS NOT NULL");
        let rows = sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_all(connection).await?;
        Ok(rows.into_iter().map(|(id, of, entry)| LiveRow { kind: self.kind, id, of, entry }).collect())
    }
}

/// A row that gives a right.
#[derive(Debug)]
pub(super) struct LiveRow {
    pub kind: Kind,
    pub id: String,
    pub of: Option<String>,
    pub entry: i64,
}

impl LiveRow {
    /// Whether it is older than what `view` knows.
    pub(super) fn is_older(&self, view: &View) -> bool {
        let Self { kind, id, of, entry } = self;
        view.is_older(&Right { kind: *kind, id, of: of.as_deref(), entry: *entry })
    }

    /// As the list names it.
    pub(super) fn line(self) -> Line {
        let Self { kind, id, entry, .. } = self;
        Line { kind, id, how: How::Live, entry, kept: None }
    }
}
