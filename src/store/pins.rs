//! What each tool says of itself: the pins, as rows. Each change of one is a write with its entry, under a seal.

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::people::{self, Person};
use super::sealed::{PINS, Trust};
use super::spent::{How, Kind};
use super::{Changed, Store, StoreError, Tx};
use crate::audit::Entry;
use crate::call::tool::{Accepted, Pending, Pin, Said, is_news, row_id};
use crate::call::{BadName, Digest, Millis, ReviewerId, ToolName, UpstreamName};

/// So many tools are named in one entry; a longer listing has several.
const NAMED: usize = 500;

/// What a person accepts.
#[derive(Clone, Debug)]
pub struct Acceptance {
    /// Whose tool.
    pub upstream: UpstreamName,
    /// The tool.
    pub tool: ToolName,
    /// What it says, as they saw it.
    pub digest: Digest,
    /// Who.
    pub by: ReviewerId,
    /// Why.
    pub reason: String,
}

/// Why nothing was accepted.
#[derive(Debug)]
pub enum NotAccepted<R> {
    /// There is no such tool, or it says what is accepted already.
    NotChanged,
    /// It says something else by now.
    Stale,
    /// This person may not.
    Declined(R),
}

/// Names a tool's row, and its line in the list of what is spent.
fn id(upstream: &UpstreamName, tool: &ToolName) -> String {
    row_id(upstream.as_str(), tool.as_str())
}

fn bad(row: &SqliteRow, column: &'static str, problem: &dyn ToString) -> StoreError {
    let row = row.try_get("id").unwrap_or_else(|_| "without an id".to_owned());
    StoreError::BadRow { table: "tool_pins", row, column, problem: problem.to_string() }
}

/// Reads a row of `PINS.select`.
pub(super) fn pin(row: &SqliteRow, trust: &Trust) -> Result<Pin, StoreError> {
    let name = |column: &'static str| move |error: BadName| bad(row, column, &error);
    let said = |column: &'static str| {
        let text: Option<String> = row.try_get(column)?;
        text.map(|text| Said::parse(&text).ok_or_else(|| bad(row, column, &"it is no JSON"))).transpose()
    };
    let moment = |column| Ok::<_, sqlx::Error>(row.try_get::<Option<i64>, _>(column)?.map(Millis));
    let accepted = said("json")?.zip(moment("accepted_at")?);
    let by: Option<String> = row.try_get("accepted_by")?;
    let by = by.map(|by| by.parse().map_err(name("accepted_by"))).transpose()?;
    let reason: Option<String> = row.try_get("reason")?;
    let pending = said("pending_json")?;
    Ok(Pin {
        upstream: row.try_get::<String, _>("upstream")?.parse().map_err(name("upstream"))?,
        tool: row.try_get::<String, _>("tool")?.parse().map_err(name("tool"))?,
        seen_at: Millis(row.try_get("seen_at")?),
        accepted: accepted.map(|(said, at)| Accepted { said, at, by, reason: reason.unwrap_or_default() }),
        pending: moment("pending_at")?.map(|at| Pending { said: pending, at }),
        genuine: PINS.is_genuine(row, trust)?,
    })
}

impl Store {
    /// Every tool's pin. A row that is damaged or was changed behind Placet's back is no pin, which is an alarm.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn pins(&self) -> Result<Vec<Pin>, StoreError> {
        let trust = self.trust();
        let rows = sqlx::query(PINS.select("ORDER BY t.upstream, t.tool")).fetch_all(self.readers()).await?;
        let mut pins = Vec::with_capacity(rows.len());
        for row in &rows {
            match pin(row, &trust) {
                Ok(pin) => pins.push(pin),
                Err(error) => {
                    tracing::error!(%error, "what a tool was pinned to cannot be read");
                    let (upstream, tool): (String, String) = (row.try_get("upstream")?, row.try_get("tool")?);
                    let (Ok(upstream), Ok(tool)) = (upstream.parse(), tool.parse()) else { continue };
                    let (seen_at, genuine) = (Millis(0), false);
                    pins.push(Pin { upstream, tool, seen_at, accepted: None, pending: None, genuine });
                }
            }
        }
        for forged in pins.iter().filter(|pin| !pin.genuine) {
            self.alarm(Changed::Tool(forged.upstream.clone(), forged.tool.clone())).await;
        }
        Ok(pins)
    }

    /// One tool's pin.
    ///
    /// # Errors
    /// The database does not answer, or the row is damaged.
    pub async fn pin(&self, upstream: &UpstreamName, tool: &ToolName) -> Result<Option<Pin>, StoreError> {
        let trust = self.trust();
        let query = sqlx::query(PINS.select("WHERE t.id = $1")).bind(id(upstream, tool));
        query.fetch_optional(self.readers()).await?.as_ref().map(|row| pin(row, &trust)).transpose()
    }

    /// Whether the list beside the database knows that this tool was pinned before: then its row was not always missing.
    #[must_use]
    pub fn was_pinned(&self, upstream: &UpstreamName, tool: &ToolName) -> bool {
        self.spent.what_became(Kind::Tool, &id(upstream, tool)).is_some()
    }

    /// Notes what an upstream says of these tools now: pins what is seen for the first time, and keeps what differs from
    /// its pin until somebody accepts it. What is known already changes nothing.
    ///
    /// # Errors
    /// The database did not take it: nothing of it is noted.
    pub async fn note_tools(&self, upstream: UpstreamName, said: Vec<(ToolName, Said)>) -> Result<(), StoreError> {
        self.write("note_tools", move |tx| Box::pin(async move { note(tx, &upstream, said).await })).await
    }

    /// Accepts what a tool says, if it is still what the person saw: what is pending, or again what was accepted before.
    /// `may` is asked about their account as it stands in that moment.
    ///
    /// # Errors
    /// The database did not take it: nothing changed.
    pub async fn accept_tool<R: Send + 'static>(
        &self,
        acceptance: Acceptance,
        may: impl FnOnce(Option<&Person>) -> Result<(), R> + Send + 'static,
    ) -> Result<Result<(), NotAccepted<R>>, StoreError> {
        self.write("accept_tool", move |tx| Box::pin(async move { accept(tx, acceptance, may).await })).await
    }
}

async fn load(tx: &mut Tx<'_>, upstream: &UpstreamName, tool: &ToolName) -> Result<Option<Pin>, StoreError> {
    let trust = tx.trust();
    let query = sqlx::query(PINS.select("WHERE t.id = $1")).bind(id(upstream, tool));
    let row = query.fetch_optional(tx.connection()).await?;
    let forged = || Pin {
        upstream: upstream.clone(),
        tool: tool.clone(),
        seen_at: Millis(0),
        accepted: None,
        pending: None,
        genuine: false,
    };
    // What cannot be read is as good as forged.
    Ok(row.as_ref().map(|row| pin(row, &trust).unwrap_or_else(|_| forged())))
}

async fn note(tx: &mut Tx<'_>, upstream: &UpstreamName, said: Vec<(ToolName, Said)>) -> Result<(), StoreError> {
    let mut first = Vec::new();
    for (tool, said) in said {
        let known = load(tx, upstream, &tool).await?;
        let was_pinned = || tx.trust().spent.what_became(Kind::Tool, &id(upstream, &tool)).is_some();
        match known {
            Some(pin) if pin.genuine => {
                let pending = pin.pending.as_ref().and_then(|pending| pending.said.as_ref());
                let accepted = pin.accepted.as_ref().map(|accepted| &accepted.said.digest);
                if is_news(accepted, pending.map(|said| &said.digest), &said.digest) {
                    change(tx, upstream, &tool, accepted, &said).await?;
                }
            }
            None if !was_pinned() => first.push((tool, said)),
            // Whatever stands there, if anything does, nobody here wrote it last.
            forged => {
                tracing::error!(%upstream, %tool, "ALARM: what a tool was pinned to was changed or deleted");
                tx.append(Changed::Tool(upstream.clone(), tool.clone()).entry())?;
                if forged.is_some() {
                    sqlx::query("DELETE FROM tool_pins WHERE id = $1")
                        .bind(id(upstream, &tool))
                        .execute(tx.connection())
                        .await?;
                }
                insert(tx, upstream, &tool, None).await?;
                change(tx, upstream, &tool, None, &said).await?;
            }
        }
    }
    for tools in first.chunks(NAMED) {
        let names: Vec<_> = tools.iter().map(|(tool, _)| tool.to_string()).collect();
        let digests: Vec<_> = tools.iter().map(|(_, said)| said.digest.to_string()).collect();
        let entry = Entry::new("tools.pinned").upstream(upstream).with("count", names.len()).with("tools", names);
        let entry = tx.append_numbered(entry.with("digests", digests))?;
        for (tool, said) in tools {
            insert(tx, upstream, tool, Some(said)).await?;
            PINS.spend_row(tx, &id(upstream, tool), Some(entry), How::Live).await?;
        }
    }
    Ok(())
}

/// A new row, not sealed yet. `None`: nothing is accepted of it.
async fn insert(
    tx: &mut Tx<'_>,
    upstream: &UpstreamName,
    tool: &ToolName,
    accepted: Option<&Said>,
) -> Result<(), StoreError> {
    let (now, at) = (tx.now(), accepted.map(|_| tx.now().0));
    let sql = "INSERT INTO tool_pins (id, upstream, tool, seen_at, digest, json, accepted_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    sqlx::query(sql)
        .bind(id(upstream, tool))
        .bind(upstream.as_str())
        .bind(tool.as_str())
        .bind(now.0)
        .bind(accepted.map(|said| said.digest.to_string()))
        .bind(accepted.map(|said| said.json.to_string()))
        .bind(at)
        .execute(tx.connection())
        .await?;
    Ok(())
}

async fn change(
    tx: &mut Tx<'_>,
    upstream: &UpstreamName,
    tool: &ToolName,
    was: Option<&Digest>,
    said: &Said,
) -> Result<(), StoreError> {
    tracing::warn!(%upstream, %tool, "a tool says something else of itself than what was accepted");
    let entry = Entry::new("tool.changed").upstream(upstream).tool(tool);
    let entry = entry.with("was", was.map(ToString::to_string)).with("is", said.digest.to_string());
    let entry = tx.append_numbered(entry)?;
    let sql = "UPDATE tool_pins SET pending_digest = $2, pending_json = $3, pending_at = $4 WHERE id = $1";
    let (id, now) = (id(upstream, tool), tx.now());
    sqlx::query(sql)
        .bind(&id)
        .bind(said.digest.to_string())
        .bind(said.json.to_string())
        .bind(now.0)
        .execute(tx.connection())
        .await?;
    PINS.spend_row(tx, &id, Some(entry), How::Ended).await
}

async fn accept<R: Send + 'static>(
    tx: &mut Tx<'_>,
    acceptance: Acceptance,
    may: impl FnOnce(Option<&Person>) -> Result<(), R>,
) -> Result<Result<(), NotAccepted<R>>, StoreError> {
    let Acceptance { upstream, tool, digest, by, reason } = acceptance;
    let person = people::load(tx, by).await?;
    if let Err(why) = may(person.as_ref()) {
        return Ok(Err(NotAccepted::Declined(why)));
    }
    // A row that nobody here wrote is written anew when its tool is listed; until then there is nothing to accept.
    let Some(Pin { accepted, pending: Some(pending), genuine: true, .. }) = load(tx, &upstream, &tool).await? else {
        return Ok(Err(NotAccepted::NotChanged));
    };
    let was = accepted.as_ref().map(|accepted| accepted.said.digest);
    let said = [pending.said, accepted.map(|accepted| accepted.said)].into_iter().flatten();
    let Some(said) = said.into_iter().find(|said| said.digest.matches(&digest)) else {
        return Ok(Err(NotAccepted::Stale));
    };
    let entry = Entry::new("tool.accepted").upstream(&upstream).tool(&tool).reviewer(by);
    let entry = entry.with("was", was.map(|was| was.to_string())).with("is", digest.to_string());
    let entry = tx.append_numbered(entry.with("reason", reason.clone()))?;
    let sql = "UPDATE tool_pins SET digest = $2, json = $3, accepted_at = $4, accepted_by = $5, reason = $6,
                   pending_digest = NULL, pending_json = NULL, pending_at = NULL WHERE id = $1";
    let (id, now) = (id(&upstream, &tool), tx.now());
    sqlx::query(sql)
        .bind(&id)
        .bind(said.digest.to_string())
        .bind(said.json.to_string())
        .bind(now.0)
        .bind(by.to_string())
        .bind(reason)
        .execute(tx.connection())
        .await?;
    PINS.spend_row(tx, &id, Some(entry), How::Live).await?;
    Ok(Ok(()))
}

/// After the database was put back: what was accepted since is not known, so a tool of which something is known to have
/// been changed since waits for somebody to accept it anew.
pub(super) async fn unpin_older(tx: &mut Tx<'_>) -> Result<u64, StoreError> {
    let trust = tx.trust();
    let rows = sqlx::query(PINS.select("WHERE t.pending_at IS NULL")).fetch_all(tx.connection()).await?;
    let mut count = 0;
    for row in &rows {
        // A row that somebody wrote by hand stays as it is, and counts for nothing.
        if PINS.is_genuine(row, &trust)? || !PINS.bears_seal(row, &trust.seal)? {
            continue;
        }
        let pin = pin(row, &trust)?;
        let entry = Entry::new("tool.changed").upstream(&pin.upstream).tool(&pin.tool).with("restored", true);
        let (entry, id, now) = (tx.append_numbered(entry)?, id(&pin.upstream, &pin.tool), tx.now());
        let sql = "UPDATE tool_pins SET pending_at = $2 WHERE id = $1";
        sqlx::query(sql).bind(&id).bind(now.0).execute(tx.connection()).await?;
        PINS.spend_row(tx, &id, Some(entry), How::Ended).await?;
        count += 1;
    }
    Ok(count)
}
