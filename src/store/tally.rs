//! How often each tool was called. The log is counted in pieces, each entry once, behind the calls' backs: no call pays
//! for it, and a page reads the sums and the few entries that came since. What is lost can be counted again.

use std::collections::BTreeMap;

use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::{Store, StoreError};
use crate::call::Millis;

/// Entries counted in one transaction.
const PIECE: i64 = 5000;

/// Tools that are told apart. Agents choose the names: those of further ones are counted together, under no name.
const MOST: usize = 10_000;

/// How often a tool was called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ToolCalls {
    /// Ran at once.
    pub allowed: u64,
    /// Held for people.
    pub held: u64,
    /// Refused by a rule.
    pub denied: u64,
    /// Refused by a limit.
    pub limited: u64,
    /// The last time.
    pub last: Millis,
}

impl ToolCalls {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.allowed + self.held + self.denied + self.limited
    }

    fn add(&mut self, other: &Self) {
        self.allowed += other.allowed;
        self.held += other.held;
        self.denied += other.denied;
        self.limited += other.limited;
        self.last = self.last.max(other.last);
    }
}

/// By upstream and tool.
type Sums = BTreeMap<(String, String), ToolCalls>;

/// Calls among the entries after `$1` and up to `$2`.
pub(super) const COUNT: &str = "SELECT upstream, tool, sum(kind = 'call.allowed') AS allowed,
        sum(kind = 'call.held') AS held, sum(kind = 'call.denied') AS denied, sum(kind = 'call.limited') AS limited,
        max(at) AS last_at
    FROM entries WHERE seq > $1 AND seq <= $2 AND upstream IS NOT NULL AND tool IS NOT NULL
        AND kind IN ('call.allowed', 'call.held', 'call.denied', 'call.limited') GROUP BY upstream, tool";

impl Store {
    /// Counts the next piece of the log. `true` if there may be more.
    ///
    /// # Errors
    /// The database did not take it.
    pub async fn tally(&self) -> Result<bool, StoreError> {
        // Looked at first without a write, which a quiet service would make for nothing.
        let mut connection = self.readers().acquire().await?;
        let (tallied, last) = (tallied(&mut connection).await?, last(&mut connection).await?);
        drop(connection);
        if tallied >= last {
            return Ok(false);
        }
        self.write("tally", |tx| {
            Box::pin(async move {
                let from = self::tallied(tx.connection()).await?;
                let last = self::last(tx.connection()).await?;
                let upto = last.min(from + PIECE);
                let counted = count(tx.connection(), from, upto).await?;
                let known: i64 =
                    sqlx::query_scalar("SELECT count(*) FROM tool_calls").fetch_one(tx.connection()).await?;
                let mut room = MOST.saturating_sub(usize::try_from(known).unwrap_or(usize::MAX));
                for ((upstream, tool), calls) in counted {
                    let sql = "SELECT 1 FROM tool_calls WHERE upstream = $1 AND tool = $2";
                    let query = sqlx::query_scalar::<_, i64>(sql).bind(&upstream).bind(&tool);
                    let is_known = query.fetch_optional(tx.connection()).await?.is_some();
                    let name = if is_known || room > 0 { tool } else { String::new() };
                    room = room.saturating_sub(usize::from(!is_known));
                    add(tx.connection(), &upstream, &name, &calls).await?;
                }
                let sql = "INSERT INTO meta (key, value) VALUES ('tallied', $1)
                           ON CONFLICT (key) DO UPDATE SET value = excluded.value";
                sqlx::query(sql).bind(upto.to_string()).execute(tx.connection()).await?;
                Ok(upto < last)
            })
        })
        .await
    }

    /// How often each tool was called until now, by upstream and tool.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn tool_calls(&self) -> Result<BTreeMap<(String, String), ToolCalls>, StoreError> {
        let mut tx = self.readers().begin().await?;
        let sql = "SELECT upstream, tool, allowed, held, denied, limited, last_at FROM tool_calls";
        let rows = sqlx::query(sql).fetch_all(&mut *tx).await?;
        let mut sums: Sums = rows.iter().map(sum).collect::<Result<_, _>>()?;
        let from = tallied(&mut tx).await?;
        // As much as is counted at once: a page must not count a history that is still to be counted.
        for (tool, calls) in count(&mut tx, from, from + PIECE).await? {
            sums.entry(tool).or_default().add(&calls);
        }
        Ok(sums)
    }
}

async fn tallied(connection: &mut SqliteConnection) -> Result<i64, StoreError> {
    let query = sqlx::query_scalar::<_, String>("SELECT value FROM meta WHERE key = 'tallied'");
    let tallied = query.fetch_optional(connection).await?;
    Ok(tallied.and_then(|text| text.parse().ok()).unwrap_or(0))
}

async fn last(connection: &mut SqliteConnection) -> Result<i64, StoreError> {
    let last: Option<i64> = sqlx::query_scalar("SELECT max(seq) FROM entries").fetch_one(connection).await?;
    Ok(last.unwrap_or(0))
}

async fn count(connection: &mut SqliteConnection, from: i64, upto: i64) -> Result<Sums, StoreError> {
    let rows = sqlx::query(COUNT).bind(from).bind(upto).fetch_all(connection).await?;
    rows.iter().map(sum).collect()
}

fn sum(row: &SqliteRow) -> Result<((String, String), ToolCalls), StoreError> {
    let number = |column: &str| Ok::<_, sqlx::Error>(u64::try_from(row.try_get::<i64, _>(column)?).unwrap_or(0));
    let calls = ToolCalls {
        allowed: number("allowed")?,
        held: number("held")?,
        denied: number("denied")?,
        limited: number("limited")?,
        last: Millis(row.try_get("last_at")?),
    };
    Ok(((row.try_get("upstream")?, row.try_get("tool")?), calls))
}

async fn add(
    connection: &mut SqliteConnection,
    upstream: &str,
    tool: &str,
    calls: &ToolCalls,
) -> Result<(), StoreError> {
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let sql = "INSERT INTO tool_calls (upstream, tool, allowed, held, denied, limited, last_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (upstream, tool) DO UPDATE SET
                   allowed = allowed + excluded.allowed, held = held + excluded.held,
                   denied = denied + excluded.denied, limited = limited + excluded.limited,
                   last_at = max(last_at, excluded.last_at)";
    sqlx::query(sql)
        .bind(upstream)
        .bind(tool)
        .bind(number(calls.allowed))
        .bind(number(calls.held))
        .bind(number(calls.denied))
        .bind(number(calls.limited))
        .bind(calls.last.0)
        .execute(connection)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Entry;
    use crate::call::{AgentName, ToolName, UpstreamName};
    use crate::clock::Clock;
    use crate::lifecycle::Tasks;

    async fn log(store: &Store, kind: &'static str, tool: &str) {
        let (agent, upstream) = (AgentName::new("ci").unwrap(), UpstreamName::new("iam").unwrap());
        let entry = Entry::new(kind).agent(&agent).upstream(&upstream).tool(&ToolName::new(tool).unwrap());
        store.append(entry).await.unwrap();
    }

    #[tokio::test]
    async fn each_call_is_counted_once_whenever_it_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::manual(Millis(1_000_000));
        let store = Store::open(folder.path(), clock.clone(), &Tasks::default()).await.unwrap();
        let key = |tool: &str| ("iam".to_owned(), tool.to_owned());
        let counted = async |tool: &str| store.tool_calls().await.unwrap().get(&key(tool)).copied();
        assert_eq!(counted("a").await, None);
        for kind in ["call.allowed", "call.allowed", "call.held", "call.denied", "call.limited", "call.executed"] {
            log(&store, kind, "a").await;
        }
        let wanted = ToolCalls { allowed: 2, held: 1, denied: 1, limited: 1, last: Millis(1_000_000) };
        assert_eq!(counted("a").await, Some(wanted), "before anything was summed up");
        assert!(!store.tally().await.unwrap());
        assert!(!store.tally().await.unwrap());
        assert_eq!(counted("a").await, Some(wanted));
        clock.advance(std::time::Duration::from_secs(60));
        log(&store, "call.allowed", "a").await;
        log(&store, "call.denied", "b").await;
        let later = ToolCalls { allowed: 3, last: Millis(1_060_000), ..wanted };
        for _ in 0..2 {
            assert_eq!(counted("a").await, Some(later));
            assert_eq!(counted("b").await.map(|calls| calls.total()), Some(1));
            store.tally().await.unwrap();
        }
    }
}
