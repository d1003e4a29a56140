//! What a database that was put back must know of itself before anybody is served from it.

use serde::{Deserialize, Serialize};
use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;

use super::backup::{CopyMark, consume_mark};
use super::identity::{Ended, disable_again, end_everything, revoke_again};
use super::pins::unpin_older;
use super::row::{self, select_calls};
use super::sealed::{AGENTS, API_TOKENS, LINKS, LiveRow, PINS, REVIEWERS, SESSIONS, STANDING};
use super::spent::{self, Kind};
use super::{Store, StoreError, Tx, standing};
use crate::audit::Entry;
use crate::call::Millis;
use crate::clock::Entropy;
use crate::seal::Era;

/// Under this key `meta` has the last time that this database was put back.
const RESTORED: &str = "restored";

/// How it is known that a database was put back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutBack {
    /// The mark of a copy.
    pub copy: Option<CopyMark>,
    /// What knows of a log that this is not.
    pub witness: Option<Witness>,
    /// The last moment of which everything is known.
    pub as_of: Millis,
    /// How many entries the log had when this was found.
    pub log: u64,
}

/// A signed checkpoint that the log does not fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witness {
    /// Where it was found.
    pub source: String,
    /// How many entries it was signed over; 0 where that cannot be read.
    pub checkpoint: u64,
}

/// What was done about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aftermath {
    /// Calls that were approved, or being released, then, or were sent since.
    pub unknown: u64,
    /// Calls that were pending then and are known to have ended since without being sent.
    #[serde(default)]
    pub ended: u64,
    /// Calls that still wait for a decision.
    pub pending: u64,
    /// Sessions that were ended.
    pub sessions: u64,
    /// Sign-in links that were ended.
    pub links: u64,
    /// API tokens that were ended.
    pub tokens: u64,
    /// Agents that are known to have been revoked since, and are again.
    #[serde(default)]
    pub agents: u64,
    /// Accounts that are known to have been disabled since, and are again.
    #[serde(default)]
    pub reviewers: u64,
    /// Standing approvals that were ended.
    #[serde(default)]
    pub standing: u64,
    /// Tools that are known to have changed, or to have been accepted anew, since: they wait for a reviewer.
    #[serde(default)]
    pub tools: u64,
}

/// That this database was put back: how that is known, when it was found, what was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restoration {
    /// How it is known.
    pub found: PutBack,
    /// When it was found.
    pub at: Millis,
    /// What was done about it.
    pub done: Aftermath,
}

impl Store {
    /// How many entries the log has, and the time of the last one.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn log_end(&self) -> Result<(u64, Millis), StoreError> {
        let sql = "SELECT seq, at FROM entries ORDER BY seq DESC LIMIT 1";
        let Some(row) = sqlx::query(sql).fetch_optional(self.readers()).await? else { return Ok((0, self.now())) };
        Ok((u64::try_from(row.try_get::<i64, _>("seq")?).unwrap_or(0), Millis(row.try_get("at")?)))
    }

    /// Settles what a database that was put back cannot know: pending calls say of when they are, nobody is signed in
    /// and no link or token works any more. The log says so, and a copy's mark is gone, all in one. `calls` counts what
    /// was done to other calls before.
    ///
    /// Agents, accounts and passwords stay as they were then: ended too, they would leave nobody who could do anything.
    ///
    /// # Errors
    /// Nothing of it was done.
    pub async fn put_back(&self, found: PutBack, calls: Aftermath) -> Result<Restoration, StoreError> {
        let settled = self.write("put_back", move |tx| {
            Box::pin(async move {
                let pending = mark_pending(tx, found.as_of).await?;
                let Ended { sessions, links, tokens } = end_everything(tx).await?;
                let agents = revoke_again(tx).await?;
                let reviewers = disable_again(tx).await?;
                let tools = unpin_older(tx).await?;
                let standing = standing::end_all(tx).await?;
                let done = Aftermath { pending, sessions, links, tokens, agents, reviewers, standing, tools, ..calls };
                consume_mark(tx.connection()).await?;
                let restoration = Restoration { found, at: tx.now(), done };
                let sql = "INSERT INTO meta (key, value) VALUES ($1, $2)
                           ON CONFLICT (key) DO UPDATE SET value = excluded.value";
                let text = serde_json::to_string(&restoration)?;
                sqlx::query(sql).bind(RESTORED).bind(text).execute(tx.connection()).await?;
                let last = tx.append_numbered(entry(&restoration))?;
                // As they stand here: what appears later was not looked at.
                Ok((restoration, live_rows(tx.connection()).await?, last))
            })
        });
        let (restoration, live, last) = settled.await?;
        // Nobody is signed in. The list may know of later rows of the others; these are all there are.
        let stay = |kind| matches!(kind, Kind::Call | Kind::Agent | Kind::Reviewer | Kind::Tool);
        let live = live.into_iter().filter(|row| stay(row.kind));
        let renewed = self.spent.renew(live.map(LiveRow::line).collect(), last).await;
        renewed.map_err(|error| self.unlisted(error))?;
        Ok(restoration)
    }

    /// Before anything is written over an older database: binds what is sealed from now on to an era of its own, so that
    /// no row of what was lost fits.
    ///
    /// # Errors
    /// It was not written down.
    pub async fn begin_era(&self) -> Result<(), StoreError> {
        // By the writer's count, which is what the next entry gets its number from.
        let log = self.write("count_log", |tx| Box::pin(async move { Ok(tx.last_entry()) })).await?;
        let id = u64::from_be_bytes(Entropy::System.bytes());
        let begun = self.spent.begin_era(Era { log, id }).await;
        begun.map_err(|error| self.unlisted(error))?;
        let eras = spent::sealed_eras(&self.seal.eras(), &self.seal);
        self.write("begin_era", move |tx| {
            Box::pin(async move {
                sqlx::query(spent::KEEP).bind(eras).execute(tx.connection()).await?;
                Ok(())
            })
        })
        .await
    }

    /// The last time that this database was put back, if it ever was.
    ///
    /// # Errors
    /// The database does not answer, or the row is damaged.
    pub async fn restoration(&self) -> Result<Option<Restoration>, StoreError> {
        let query = sqlx::query_scalar("SELECT value FROM meta WHERE key = $1").bind(RESTORED);
        let value: Option<String> = query.fetch_optional(self.readers()).await?;
        value.map(|value| serde_json::from_str(&value)).transpose().map_err(|error| StoreError::BadRow {
            table: "meta",
            row: RESTORED.into(),
            column: "value",
            problem: error.to_string(),
        })
    }
}

/// Calls that may still run.
pub(super) const LIVE_CALLS: &str = "
    SELECT id, entry FROM calls INDEXED BY calls_deadline WHERE state = 'pending' AND entry IS NOT NULL
    UNION ALL
    SELECT id, entry FROM calls INDEXED BY calls_usable WHERE state = 'approved' AND entry IS NOT NULL";

/// Every row that gives a right.
pub(super) async fn live_rows(connection: &mut SqliteConnection) -> Result<Vec<LiveRow>, StoreError> {
    let calls: Vec<(String, i64)> = sqlx::query_as(LIVE_CALLS).fetch_all(&mut *connection).await?;
    let mut live: Vec<_> =
        calls.into_iter().map(|(id, entry)| LiveRow { kind: Kind::Call, id, of: None, entry }).collect();
    for table in [&AGENTS, &REVIEWERS, &SESSIONS, &API_TOKENS, &LINKS, &PINS, &STANDING] {
        live.extend(table.live(&mut *connection).await?);
    }
    Ok(live)
}

/// Pending calls may have been decided, and run, since the copy was made. One that was put back before keeps the older
/// moment.
async fn mark_pending(tx: &mut Tx<'_>, as_of: Millis) -> Result<u64, StoreError> {
    const PENDING: &str = select_calls!("WHERE c.state = 'pending'");
    const MARK: &str = "UPDATE calls SET as_of = $2, entry = $3, state_mac = coalesce($4, state_mac) WHERE id = $1";
    let rows = sqlx::query(PENDING).fetch_all(tx.connection()).await?;
    for row in &rows {
        let mut trust = tx.trust();
        trust.spent = trust.spent.of_one_put_back();
        let mut call = row::held_call(row, &trust)?;
        let as_of = *call.as_of.get_or_insert(as_of);
        let (id, submission) = (call.submission.id, &call.submission);
        let entry = Entry::new("call.restored")
            .call(id)
            .agent(&submission.agent.name)
            .upstream(&submission.upstream)
            .tool(&submission.tool)
            .with("digest", call.digest.to_string())
            .with("as_of", as_of.to_string());
        call.entry = tx.append_numbered(entry)?;
        // A row that was forged is not made genuine by this.
        let mac = call.genuine.then(|| row::state_mac(&trust.seal, &call).to_string());
        let mark = sqlx::query(MARK).bind(id.to_string()).bind(as_of.0).bind(call.entry).bind(mac);
        mark.execute(tx.connection()).await?;
    }
    Ok(rows.len() as u64)
}

fn entry(restoration: &Restoration) -> Entry {
    let Restoration { found, done, .. } = restoration;
    let mut entry = Entry::new("store.restored").with("as_of", found.as_of.to_string()).with("log", found.log);
    if let Some(copy) = &found.copy {
        entry = entry.with("copy", copy.id.as_str()).with("copy_log", copy.log);
    }
    if let Some(witness) = &found.witness {
        entry = entry.with("source", witness.source.as_str()).with("checkpoint", witness.checkpoint);
    }
    entry
        .with("outcome_unknown", done.unknown)
        .with("pending", done.pending)
        .with("sessions", done.sessions)
        .with("links", done.links)
        .with("tokens", done.tokens)
        .with("ended", done.ended)
        .with("agents", done.agents)
        .with("reviewers", done.reviewers)
        .with("standing", done.standing)
        .with("tools", done.tools)
        .with("as_then", ["agents", "reviewers", "roles", "groups", "passwords", "limits"])
}

impl std::fmt::Display for Restoration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { found, done, .. } = self;
        match &found.copy {
            Some(copy) => {
                write!(f, "this database is a backup of {}, when the log had {} entries", copy.at, copy.log)?;
            }
            None => write!(
                f,
                "this database is not the one that was signed last: its log of {} entries ends at {}",
                found.log, found.as_of
            )?,
        }
        if let Some(witness) = &found.witness {
            let Witness { source, checkpoint } = witness;
            match (source.as_str(), checkpoint) {
                (spent::FILE, 0) => write!(f, "; {source}, the list of what was sent and what ended, is missing")?,
                (spent::FILE, entry) => write!(f, "; {source}, the list of what was sent, knows of entry {entry}")?,
                _ => write!(f, "; {source} was signed over {checkpoint} entries")?,
            }
        }
        write!(
            f,
            ". What happened since is not known. Calls that were approved then, so that their outcome is unknown: {}; calls \
             that wait for a decision, and may have been decided and run since: {}. Ended: {} sessions, {} sign-in \
             links, {} API tokens, {} standing approvals. Agents, reviewers, groups and passwords are as they were then: revoke again what was \
             revoked since (`placet agent list`, `placet reviewer list`). Limits know nothing of what was counted since",
            done.unknown, done.pending, done.sessions, done.links, done.tokens, done.standing
        )?;
        if done.ended + done.agents + done.reviewers > 0 {
            write!(
                f,
                ". Known from {}, and so ended again: {} calls, {} agents, {} reviewers",
                spent::FILE,
                done.ended,
                done.agents,
                done.reviewers
            )?;
        }
        if done.tools > 0 {
            write!(
                f,
                ". Tools that are known from {} to have changed, or to have been accepted anew, since, and that a reviewer \
                 must accept again: {}",
                spent::FILE,
                done.tools
            )?;
        }
        Ok(())
    }
}
