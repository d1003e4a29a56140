//! A read-only look at the database of a data folder, beside a running service or without one: what the log is
//! exported, verified and proved from. It takes no lock, brings no schema up to date and writes nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{ConnectOptions as _, Row as _};

use super::{StoreError, open};
use crate::audit::note::VerifyingKey;
use crate::audit::trace::{ENDS, STEPS};
use crate::audit::{Row, Said};
use crate::call::{CallId, Millis};

/// A connection that only reads.
#[derive(Debug)]
pub struct Snapshot {
    pub(super) connection: SqliteConnection,
    pub(super) folder: PathBuf,
}

/// Which entries are exported; a field that is `None` does not filter.
#[derive(Clone, Debug, Default)]
pub struct ExportFilter {
    /// From this moment on.
    pub from: Option<Millis>,
    /// Before this moment.
    pub until: Option<Millis>,
    /// This kind, or with a trailing `.` every kind that begins so.
    pub kind: Option<String>,
    /// This agent's name.
    pub agent: Option<String>,
    /// This upstream's name.
    pub upstream: Option<String>,
    /// This tool.
    pub tool: Option<String>,
    /// This reviewer's id.
    pub reviewer: Option<String>,
    /// About held calls that stand in one of these states.
    pub states: Option<Vec<String>>,
}

/// What entries are found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// Kinds of entries.
    Kind,
    /// Agents' names.
    Agent,
    /// Upstreams' names.
    Upstream,
    /// Tools' names.
    Tool,
}

impl Sort {
    fn column(self) -> &'static str {
        match self {
            Self::Kind => "kind",
            Self::Agent => "agent",
            Self::Upstream => "upstream",
            Self::Tool => "tool",
        }
    }
}

/// Columns of an entry, as [`entry`] reads them.
pub(super) const ENTRY: &str =
    "e.seq, e.at, e.kind, e.call_id, e.agent, e.upstream, e.tool, e.reviewer_id, e.body, e.leaf";

impl Snapshot {
    /// Opens the database in `folder`.
    ///
    /// # Errors
    /// There is none, it cannot be read, or it has another version's schema.
    pub async fn open(folder: &Path) -> Result<Self, StoreError> {
        let mut snapshot = Self::open_as_it_is(folder).await?;
        if !snapshot.has_table("_sqlx_migrations").await? {
            return Err(StoreError::Folder {
                path: folder.to_owned(),
                problem: "holds a placet.db without the table _sqlx_migrations, so somebody changed it by hand; \
                          `placet audit verify` says what else is wrong with it"
                    .into(),
            });
        }
        Ok(snapshot)
    }

    /// As [`Snapshot::open`], but a database from which tables were dropped opens too: for who says so.
    ///
    /// # Errors
    /// There is none, it cannot be read, it never was Placet's, or it has another version's schema.
    pub async fn open_as_it_is(folder: &Path) -> Result<Self, StoreError> {
        let file = folder.join("placet.db");
        let refuse = |problem: String| StoreError::Folder { path: folder.to_owned(), problem };
        match std::fs::File::open(&file) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(refuse("holds no placet.db; name the folder that `data_dir` in placet.toml names".into()));
            }
            Err(error) => {
                return Err(refuse(format!(
                    "holds a placet.db that cannot be read ({error}); check its owner and mode"
                )));
            }
        }
        let options = SqliteConnectOptions::new()
            .filename(&file)
            .read_only(true)
            .create_if_missing(false)
            .busy_timeout(Duration::from_secs(5))
            .pragma("trusted_schema", "OFF")
            .pragma("query_only", "ON");
        let mut snapshot = match Self::connect(folder, &options).await {
            Ok(snapshot) => snapshot,
            // A copy on a medium that takes no writes: SQLite cannot put its side files there, and needs none if
            // nothing of the database stands in them.
            Err(_) if !has_content(&folder.join("placet.db-wal")) => {
                Self::connect(folder, &options.immutable(true)).await.map_err(|error| unreadable(folder, error))?
            }
            Err(error) => return Err(unreadable(folder, error)),
        };
        if !snapshot.has_table("entries").await? && !snapshot.has_table("_sqlx_migrations").await? {
            return Err(refuse("holds a placet.db that has none of Placet's tables; restore a backup of it".into()));
        }
        if !snapshot.has_table("_sqlx_migrations").await? {
            return Ok(snapshot);
        }
        let version: Option<i64> = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations WHERE success")
            .fetch_one(&mut snapshot.connection)
            .await
            .map_err(|error| unreadable(folder, error))?;
        match version.unwrap_or(0).cmp(&open::newest()) {
            std::cmp::Ordering::Equal => Ok(snapshot),
            std::cmp::Ordering::Greater => Err(StoreError::Newer(file)),
            std::cmp::Ordering::Less => Err(refuse(
                "has the form of an older version of Placet; start `placet serve` once, which renews it".into(),
            )),
        }
    }

    async fn has_table(&mut self, name: &str) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = $1)";
        let found = sqlx::query_scalar(sql).bind(name).fetch_one(&mut self.connection).await;
        found.map_err(|error| unreadable(&self.folder, error))
    }

    async fn connect(folder: &Path, options: &SqliteConnectOptions) -> Result<Self, sqlx::Error> {
        let mut connection = options.connect().await?;
        // Opening reads nothing; the first query shows whether it can be read.
        sqlx::query("SELECT count(*) FROM sqlite_schema").fetch_one(&mut connection).await?;
        Ok(Self { connection, folder: folder.to_owned() })
    }

    /// The log's name, by the public keys beside the database; `None` where there are none yet.
    #[must_use]
    pub fn origin(&self) -> Option<String> {
        let keys = std::fs::read_to_string(self.folder.join("audit.pub")).ok()?;
        Some(VerifyingKey::parse_all(&keys).ok()?.first()?.name().to_owned())
    }

    /// From here on every read sees the database as it stands now.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn freeze(&mut self) -> Result<(), StoreError> {
        sqlx::query("BEGIN").execute(&mut self.connection).await?;
        // A look is taken by the first read, and this one needs none of Placet's tables.
        sqlx::query("SELECT count(*) FROM sqlite_schema").fetch_one(&mut self.connection).await?;
        Ok(())
    }

    /// The number of the last entry; 0 for an empty log.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn last(&mut self) -> Result<i64, StoreError> {
        let last: Option<i64> =
            sqlx::query_scalar("SELECT max(seq) FROM entries").fetch_one(&mut self.connection).await?;
        Ok(last.unwrap_or(0))
    }

    /// Entries after number `after` and up to `last` that fit, in order, at most `limit`.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn entries(
        &mut self,
        filter: &ExportFilter,
        after: i64,
        last: i64,
        limit: u32,
    ) -> Result<Vec<Row>, StoreError> {
        let sql = format!(
            "SELECT {ENTRY} FROM entries e
             WHERE e.seq > $1 AND e.seq <= $2 AND ($3 IS NULL OR e.at >= $3) AND ($4 IS NULL OR e.at < $4)
               AND ($5 IS NULL OR e.kind = $5 OR (substr($5, -1) = '.' AND substr(e.kind, 1, length($5)) = $5))
               AND ($6 IS NULL OR e.agent = $6) AND ($7 IS NULL OR e.upstream = $7) AND ($8 IS NULL OR e.tool = $8)
               AND ($9 IS NULL OR e.reviewer_id = $9) AND ($10 IS NULL OR EXISTS
                   (SELECT 1 FROM calls c JOIN json_each($10) s ON s.value = c.state WHERE c.id = e.call_id))
             ORDER BY e.seq LIMIT $11"
        );
        self.filtered(&sql, filter, after, last, limit).await
    }

    /// As [`Snapshot::entries`], but what a trace is made of: the steps of held calls that had ended at `last`. Time
    /// is that at which the call was held; a reviewer's calls are those that the reviewer decided.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn steps(
        &mut self,
        filter: &ExportFilter,
        after: i64,
        last: i64,
        limit: u32,
    ) -> Result<Vec<Row>, StoreError> {
        let (ends, steps) = (listed(ENDS), listed(&[STEPS, ENDS].concat()));
        let sql = format!(
            "SELECT {ENTRY} FROM entries e
             WHERE e.seq > $1 AND e.seq <= $2 AND e.call_id IS NOT NULL AND e.kind IN ({steps})
               AND EXISTS (SELECT 1 FROM entries t WHERE t.call_id = e.call_id AND t.seq <= $2 AND t.kind IN ({ends}))
               AND ($3 IS NULL OR {HELD_AT} >= $3) AND ($4 IS NULL OR {HELD_AT} < $4) AND $5 IS NULL
               AND ($6 IS NULL OR e.agent = $6) AND ($7 IS NULL OR e.upstream = $7) AND ($8 IS NULL OR e.tool = $8)
               AND ($9 IS NULL OR EXISTS (SELECT 1 FROM entries v WHERE v.call_id = e.call_id AND v.reviewer_id = $9
                    AND v.kind IN ('call.voted', 'call.approved', 'call.rejected')))
               AND ($10 IS NULL OR EXISTS
                   (SELECT 1 FROM calls c JOIN json_each($10) s ON s.value = c.state WHERE c.id = e.call_id))
             ORDER BY e.seq LIMIT $11"
        );
        self.filtered(&sql, filter, after, last, limit).await
    }

    /// How many calls were held up to `last` and had not ended then.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn open_calls(&mut self, last: i64) -> Result<i64, StoreError> {
        let sql = format!(
            "SELECT count(*) FROM entries h WHERE h.seq <= $1 AND h.kind = 'call.held' AND NOT EXISTS
                (SELECT 1 FROM entries t WHERE t.call_id = h.call_id AND t.seq <= $1 AND t.kind IN ({}))",
            listed(ENDS)
        );
        Ok(sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(last).fetch_one(&mut self.connection).await?)
    }

    async fn filtered(
        &mut self,
        sql: &str,
        filter: &ExportFilter,
        after: i64,
        last: i64,
        limit: u32,
    ) -> Result<Vec<Row>, StoreError> {
        let states = filter.states.as_ref().map(serde_json::to_string).transpose()?;
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(after)
            .bind(last)
            .bind(filter.from.map(|at| at.0))
            .bind(filter.until.map(|at| at.0))
            .bind(filter.kind.as_deref())
            .bind(filter.agent.as_deref())
            .bind(filter.upstream.as_deref())
            .bind(filter.tool.as_deref())
            .bind(filter.reviewer.as_deref())
            .bind(states)
            .bind(i64::from(limit))
            .fetch_all(&mut self.connection)
            .await?;
        rows.iter().map(entry).collect()
    }

    /// Everybody who ever had an account: id and address.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn addresses(&mut self) -> Result<Vec<(String, String)>, StoreError> {
        Ok(sqlx::query_as("SELECT id, email FROM reviewers").fetch_all(&mut self.connection).await?)
    }

    /// The names that the log has of this sort, in order; none where `name` is one of them.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn others_than(&mut self, sort: Sort, name: &str) -> Result<Option<Vec<String>>, StoreError> {
        let column = sort.column();
        let sql = format!("SELECT 1 FROM entries WHERE {column} = $1 LIMIT 1");
        let query = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(name);
        let found: Option<i64> = query.fetch_optional(&mut self.connection).await?;
        if found.is_some() {
            return Ok(None);
        }
        let sql = format!("SELECT DISTINCT {column} FROM entries WHERE {column} IS NOT NULL ORDER BY 1");
        Ok(Some(sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(&mut self.connection).await?))
    }
}

/// When the call of entry `e` was held; where the log has lost that, the entry's own time.
const HELD_AT: &str =
    "coalesce((SELECT h.at FROM entries h WHERE h.call_id = e.call_id AND h.kind = 'call.held' LIMIT 1), e.at)";

/// Fixed words as a list in SQL.
fn listed(words: &[&str]) -> String {
    words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(", ")
}

/// How far the entries of a call are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Search {
    /// Through the whole log, however long that takes: for who checks it offline.
    WholeLog,
    /// From the first that its column finds to the one that its row names, which is its whole life: for who waits for
    /// the answer of a server. What was told after its end is found by the column.
    Life,
}

/// Every entry about one call, in order: by what their bodies say. The column beside them is no part of what was
/// signed, so the log is searched for the id, and each entry that has it is read.
pub(super) async fn entries_of(
    connection: &mut SqliteConnection,
    call: CallId,
    search: Search,
) -> Result<Vec<Row>, StoreError> {
    const FROM: &str = "(SELECT min(h.seq) FROM entries h WHERE h.call_id = $1)";
    const TO: &str = "(SELECT c.entry FROM calls c WHERE c.id = $1)";
    let id = call.to_string();
    let which = match search {
        Search::WholeLog => "instr(e.body, $1)".to_owned(),
        Search::Life => format!(
            "e.seq IN (SELECT seq FROM entries WHERE call_id = $1
                       UNION SELECT seq FROM entries WHERE seq BETWEEN {FROM} AND {TO} AND instr(body, $1))"
        ),
    };
    let sql = format!("SELECT {ENTRY} FROM entries e WHERE {which} ORDER BY e.seq");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(&id).fetch_all(connection).await?;
    let rows: Vec<Row> = rows.iter().map(entry).collect::<Result<_, _>>()?;
    let about = |row: &Row| Said::read(&row.body).is_ok_and(|said| said.call.as_deref() == Some(&id));
    Ok(rows.into_iter().filter(about).collect())
}

pub(super) fn entry(row: &SqliteRow) -> Result<Row, StoreError> {
    Ok(Row {
        seq: row.try_get(0)?,
        at: Millis(row.try_get(1)?),
        kind: row.try_get(2)?,
        call: row.try_get(3)?,
        agent: row.try_get(4)?,
        upstream: row.try_get(5)?,
        tool: row.try_get(6)?,
        reviewer: row.try_get(7)?,
        body: row.try_get(8)?,
        leaf: row.try_get(9)?,
    })
}

fn has_content(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|about| about.len() > 0)
}

/// Why the database cannot be read, and what to do about that.
pub(super) fn unreadable(folder: &Path, error: sqlx::Error) -> StoreError {
    let error = StoreError::Database(error);
    let problem = match error.trouble() {
        Some(trouble @ "the database file is damaged") => format!(
            "holds a placet.db that cannot be read: {trouble}, or is no database; restore a backup, and keep this file: \
             what is left of it may tell what happened"
        ),
        Some("the database file cannot be opened" | "the database file is read-only") => {
            format!(
                "holds a placet.db that cannot be read ({error}); check its owner and mode, and those of the folder"
            )
        }
        Some(trouble) => format!("holds a placet.db that cannot be read: {trouble}"),
        None => format!("holds a placet.db that cannot be read ({error})"),
    };
    StoreError::Folder { path: folder.to_owned(), problem }
}
