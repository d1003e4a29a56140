//! Standing approvals, as rows. Granting, each use and the end are writes with their entries, under a seal.

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::people::{self, Person};
use super::sealed::{STANDING, Trust};
use super::spent::How;
use super::{Changed, Store, StoreError, Tx};
use super::{identity, row};
use crate::audit::Entry;
use crate::call::{
    AgentId, CallId, HeldCall, Millis, ReviewerId, StandingApproval, StandingEnd, StandingId, StandingOffer, ToolName,
    UpstreamName,
};

/// What a grant is judged on, read in the transaction that records it.
#[derive(Debug)]
pub struct GrantScene<'a> {
    /// The committed call.
    pub call: &'a HeldCall,
    /// The moment of the write.
    pub now: Millis,
    /// Who grants, if they have an account.
    pub person: Option<&'a Person>,
    /// Whether the agent may still ask.
    pub agent_active: bool,
    /// Whether one was granted on this call before.
    pub granted: bool,
    /// Whether the call itself passed by one, so that nobody looked at it.
    pub passed: bool,
}

/// Why a standing approval did not let a call pass. Nothing of it was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotUsed {
    /// It is over, or spent, or today's policy does not go so far.
    Over,
    /// Who granted it may not decide such a call now.
    Declined,
    /// This call has used one already.
    Again,
}

/// Why nothing was ended.
#[derive(Debug, PartialEq, Eq)]
pub enum NotEnded<R> {
    /// There is no such standing approval.
    NoSuch,
    /// It was over already.
    Over,
    /// This person may not.
    Declined(R),
}

fn bad(row: &SqliteRow, column: &'static str, problem: &dyn ToString) -> StoreError {
    let row = row.try_get("id").unwrap_or_else(|_| "without an id".to_owned());
    StoreError::BadRow { table: "standing", row, column, problem: problem.to_string() }
}

fn standing(row: &SqliteRow, trust: &Trust) -> Result<StandingApproval, StoreError> {
    fn parsed<T: std::str::FromStr<Err: ToString>>(row: &SqliteRow, column: &'static str) -> Result<T, StoreError> {
        let text: String = row.try_get(column)?;
        text.parse().map_err(|error: T::Err| bad(row, column, &error))
    }
    fn parsed_if<T: std::str::FromStr<Err: ToString>>(
        row: &SqliteRow,
        column: &'static str,
    ) -> Result<Option<T>, StoreError> {
        let text: Option<String> = row.try_get(column)?;
        text.map(|text| text.parse().map_err(|error: T::Err| bad(row, column, &error))).transpose()
    }
    let count = |column: &'static str| {
        u32::try_from(row.try_get::<i64, _>(column)?).map_err(|_| bad(row, column, &"it is no number of calls"))
    };
    let ended_at: Option<i64> = row.try_get("ended_at")?;
    let ended = match ended_at {
        None => None,
        Some(at) => Some(StandingEnd {
            at: Millis(at),
            by: parsed_if(row, "ended_by")?,
            why: row.try_get::<Option<String>, _>("ended_why")?.unwrap_or_default(),
        }),
    };
    let open: String = row.try_get("open")?;
    Ok(StandingApproval {
        id: parsed(row, "id")?,
        call: parsed(row, "call_id")?,
        agent: parsed(row, "agent_id")?,
        agent_name: parsed(row, "agent_name")?,
        upstream: parsed(row, "upstream")?,
        upstream_config: parsed(row, "upstream_config")?,
        tool: parsed(row, "tool")?,
        tool_schema: parsed_if(row, "tool_schema")?,
        open: serde_json::from_str(&open).map_err(|_| bad(row, "open", &"it is no list of arguments"))?,
        fixed: parsed(row, "fixed")?,
        uses: count("uses")?,
        used: count("used")?,
        at: Millis(row.try_get("granted_at")?),
        until: Millis(row.try_get("until")?),
        by: parsed(row, "granted_by")?,
        reason: row.try_get("reason")?,
        ended,
        genuine: STANDING.is_genuine(row, trust)?,
    })
}

/// An entry about one.
fn entry(kind: &'static str, standing: &StandingApproval) -> Entry {
    Entry::new(kind)
        .agent(&standing.agent_name)
        .upstream(&standing.upstream)
        .tool(&standing.tool)
        .with("standing", standing.id.to_string())
}

impl Store {
    /// Those that may let a call of this tool by this agent pass, the one that ends first before the others. One that was
    /// changed behind Placet's back lets nothing pass, which is an alarm.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn standing_for(
        &self,
        agent: AgentId,
        upstream: &UpstreamName,
        tool: &ToolName,
    ) -> Result<Vec<StandingApproval>, StoreError> {
        let which = "WHERE t.agent_id = $1 AND t.ended_at IS NULL AND t.upstream = $2 AND t.tool = $3 ORDER BY t.until";
        let trust = self.trust();
        let query = sqlx::query(STANDING.select(which)).bind(agent.to_string()).bind(upstream.as_str());
        let rows = query.bind(tool.as_str()).fetch_all(self.readers()).await?;
        self.read_standing(&rows, &trust).await
    }

    /// Those that are in force now, and of the others the latest; at most `most`.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn standing_list(&self, most: u32) -> Result<Vec<StandingApproval>, StoreError> {
        let which = "ORDER BY t.ended_at IS NULL AND t.until > $1 DESC, t.granted_at DESC, t.id LIMIT $2";
        let trust = self.trust();
        let query = sqlx::query(STANDING.select(which)).bind(self.now().0).bind(i64::from(most));
        let rows = query.fetch_all(self.readers()).await?;
        self.read_standing(&rows, &trust).await
    }

    /// Those that are in force now.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn standing_in_force(&self) -> Result<Vec<StandingApproval>, StoreError> {
        let which = "WHERE t.ended_at IS NULL AND t.until > $1 ORDER BY t.until, t.id";
        let now = self.now();
        let trust = self.trust();
        let rows = sqlx::query(STANDING.select(which)).bind(now.0).fetch_all(self.readers()).await?;
        let all = self.read_standing(&rows, &trust).await?;
        Ok(all.into_iter().filter(|standing| standing.is_in_force(now)).collect())
    }

    async fn read_standing(&self, rows: &[SqliteRow], trust: &Trust) -> Result<Vec<StandingApproval>, StoreError> {
        let mut all = Vec::with_capacity(rows.len());
        for row in rows {
            match standing(row, trust) {
                Ok(standing) => all.push(standing),
                Err(error) => {
                    tracing::error!(%error, "a standing approval cannot be read");
                    self.alarm(Changed::Standing(row.try_get("id")?)).await;
                }
            }
        }
        for forged in all.iter().filter(|standing| !standing.genuine) {
            self.alarm(Changed::Standing(forged.id.to_string())).await;
        }
        Ok(all)
    }

    /// The calls that passed by one, the latest first; at most `most`.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn standing_uses(&self, id: StandingId, most: u32) -> Result<Vec<(CallId, Millis)>, StoreError> {
        let sql = "SELECT call_id, at FROM standing_uses WHERE standing_id = $1 ORDER BY at DESC, call_id LIMIT $2";
        let query = sqlx::query_as::<_, (String, i64)>(sql).bind(id.to_string()).bind(i64::from(most));
        let rows = query.fetch_all(self.readers()).await?;
        Ok(rows.into_iter().filter_map(|(id, at)| Some((id.parse().ok()?, Millis(at)))).collect())
    }

    /// How many calls of this agent passed by standing approvals since that moment: they reached nobody, so they do not
    /// count towards what reviewers are spared.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn passed_since(&self, agent: AgentId, from: Millis) -> Result<u32, StoreError> {
        let sql = "SELECT count(*) FROM standing_uses WHERE agent_id = $1 AND at > $2";
        let query = sqlx::query_scalar::<_, i64>(sql).bind(agent.to_string()).bind(from.0);
        Ok(u32::try_from(query.fetch_one(self.readers()).await?).unwrap_or(u32::MAX))
    }

    /// Calls of this tool by this agent that wait, the oldest first.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn waiting_like(
        &self,
        agent: AgentId,
        upstream: &UpstreamName,
        tool: &ToolName,
    ) -> Result<Vec<CallId>, StoreError> {
        let sql = "SELECT id FROM calls WHERE agent_id = $1 AND state = 'pending' AND upstream = $2 AND tool = $3
                   ORDER BY id";
        let query = sqlx::query_scalar::<_, String>(sql).bind(agent.to_string()).bind(upstream.as_str());
        let ids = query.bind(tool.as_str()).fetch_all(self.readers()).await?;
        Ok(ids.into_iter().filter_map(|id| id.parse().ok()).collect())
    }

    /// Records what a person grants on a call: `judge` sees what is committed and answers with it, or declines. `None`:
    /// there is no such call.
    ///
    /// # Errors
    /// The database did not take it: nothing was granted.
    pub async fn grant_standing<R: Send + 'static>(
        &self,
        call: CallId,
        by: ReviewerId,
        judge: impl FnOnce(&GrantScene<'_>) -> Result<StandingApproval, R> + Send + 'static,
    ) -> Result<Option<Result<StandingApproval, R>>, StoreError> {
        self.write("grant_standing", move |tx| Box::pin(grant(tx, call, by, judge))).await
    }

    /// Takes one use of a standing approval for this call; answers with how many were used then. `may` is asked about the
    /// account of who granted it, as it stands in that moment.
    ///
    /// # Errors
    /// The database did not take it: nothing was used.
    pub async fn use_standing(
        &self,
        id: StandingId,
        call: CallId,
        offer: StandingOffer,
        may: impl FnOnce(&Person) -> bool + Send + 'static,
    ) -> Result<Result<u32, NotUsed>, StoreError> {
        self.write("use_standing", move |tx| Box::pin(take(tx, id, call, offer, may))).await
    }

    /// Ends a standing approval. `may` is asked about the person's account as it stands in that moment.
    ///
    /// # Errors
    /// The database did not take it: it holds on.
    pub async fn end_standing<R: Send + 'static>(
        &self,
        id: StandingId,
        by: ReviewerId,
        may: impl FnOnce(Option<&Person>) -> Result<(), R> + Send + 'static,
    ) -> Result<Result<StandingApproval, NotEnded<R>>, StoreError> {
        let ended = self.write("end_standing", move |tx| Box::pin(end_one(tx, id, by, may))).await?;
        if ended.is_ok() {
            self.ends_kept().await;
        }
        Ok(ended)
    }
}

async fn load(tx: &mut Tx<'_>, id: StandingId) -> Result<Option<StandingApproval>, StoreError> {
    let trust = tx.trust();
    let query = sqlx::query(STANDING.select("WHERE t.id = $1")).bind(id.to_string());
    query.fetch_optional(tx.connection()).await?.as_ref().map(|row| standing(row, &trust)).transpose()
}

async fn grant<R: Send + 'static>(
    tx: &mut Tx<'_>,
    id: CallId,
    by: ReviewerId,
    judge: impl FnOnce(&GrantScene<'_>) -> Result<StandingApproval, R>,
) -> Result<Option<Result<StandingApproval, R>>, StoreError> {
    let trust = tx.trust();
    let query = sqlx::query(row::SELECT_ONE).bind(id.to_string());
    let row = query.fetch_optional(tx.connection()).await?;
    let Some(call) = row.as_ref().map(|row| row::whole_call(row, &trust)).transpose()? else { return Ok(None) };
    let person = people::load(tx, by).await?;
    let agent = identity::agent_by_id(tx.connection(), call.submission.agent.id, &trust).await?;
    let agent_active = agent.is_some_and(|agent| agent.genuine && agent.revoked_at.is_none());
    let sql = "SELECT EXISTS (SELECT 1 FROM standing WHERE call_id = $1)";
    let granted = sqlx::query_scalar(sql).bind(id.to_string()).fetch_one(tx.connection()).await?;
    let sql = "SELECT EXISTS (SELECT 1 FROM standing_uses WHERE call_id = $1)";
    let passed = sqlx::query_scalar(sql).bind(id.to_string()).fetch_one(tx.connection()).await?;
    let scene = GrantScene { call: &call, now: tx.now(), person: person.as_ref(), agent_active, granted, passed };
    let new = match judge(&scene) {
        Ok(new) => new,
        Err(declined) => return Ok(Some(Err(declined))),
    };
    let open = serde_json::to_string(&new.open)?;
    let entry = entry("standing.granted", &new)
        .call(new.call)
        .reviewer(new.by)
        .with("agent_id", new.agent.to_string())
        .with("upstream_config", new.upstream_config.to_string())
        .with("tool_schema", new.tool_schema.map(|digest| digest.to_string()))
        .with("open", serde_json::to_value(&new.open)?)
        .with("fixed", new.fixed.to_string())
        .with("uses", new.uses)
        .with("until", new.until.to_string())
        .with("reason", new.reason.clone());
    let entry = tx.append_numbered(entry)?;
    let sql =
        "INSERT INTO standing (id, call_id, agent_id, agent_name, upstream, upstream_config, tool, tool_schema, open,
                   fixed, uses, used, granted_at, until, granted_by, reason)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0, $12, $13, $14, $15)";
    sqlx::query(sql)
        .bind(new.id.to_string())
        .bind(new.call.to_string())
        .bind(new.agent.to_string())
        .bind(new.agent_name.as_str())
        .bind(new.upstream.as_str())
        .bind(new.upstream_config.to_string())
        .bind(new.tool.as_str())
        .bind(new.tool_schema.map(|digest| digest.to_string()))
        .bind(open)
        .bind(new.fixed.to_string())
        .bind(new.uses)
        .bind(new.at.0)
        .bind(new.until.0)
        .bind(new.by.to_string())
        .bind(&new.reason)
        .execute(tx.connection())
        .await?;
    STANDING.seal_row(tx, &new.id.to_string(), Some(entry)).await?;
    Ok(Some(Ok(new)))
}

async fn take(
    tx: &mut Tx<'_>,
    id: StandingId,
    call: CallId,
    offer: StandingOffer,
    may: impl FnOnce(&Person) -> bool,
) -> Result<Result<u32, NotUsed>, StoreError> {
    let now = tx.now();
    let Some(standing) = load(tx, id).await? else { return Ok(Err(NotUsed::Over)) };
    if !standing.is_in_force(now) || !standing.is_within(&offer, now) {
        return Ok(Err(NotUsed::Over));
    }
    if !people::load(tx, standing.by).await?.is_some_and(|person| may(&person)) {
        return Ok(Err(NotUsed::Declined));
    }
    let sql = "INSERT INTO standing_uses (call_id, standing_id, agent_id, at) VALUES ($1, $2, $3, $4)
               ON CONFLICT DO NOTHING";
    let query = sqlx::query(sql).bind(call.to_string()).bind(id.to_string()).bind(standing.agent.to_string());
    if query.bind(now.0).execute(tx.connection()).await?.rows_affected() == 0 {
        return Ok(Err(NotUsed::Again));
    }
    let used = standing.used.saturating_add(1);
    let entry = entry("standing.used", &standing).call(call).reviewer(standing.by);
    let entry = tx.append_numbered(entry.with("use", used).with("of", standing.uses))?;
    let sql = "UPDATE standing SET used = $2 WHERE id = $1";
    sqlx::query(sql).bind(id.to_string()).bind(used).execute(tx.connection()).await?;
    if used < standing.uses {
        STANDING.spend_row(tx, &id.to_string(), Some(entry), How::Live).await?;
    } else {
        end(tx, &standing, None, "its uses are spent", Some(entry)).await?;
    }
    Ok(Ok(used))
}

async fn end_one<R: Send + 'static>(
    tx: &mut Tx<'_>,
    id: StandingId,
    by: ReviewerId,
    may: impl FnOnce(Option<&Person>) -> Result<(), R>,
) -> Result<Result<StandingApproval, NotEnded<R>>, StoreError> {
    let person = people::load(tx, by).await?;
    if let Err(why) = may(person.as_ref()) {
        return Ok(Err(NotEnded::Declined(why)));
    }
    let Some(standing) = load(tx, id).await? else { return Ok(Err(NotEnded::NoSuch)) };
    if standing.ended.is_some() || tx.now() >= standing.until {
        return Ok(Err(NotEnded::Over));
    }
    end(tx, &standing, Some(by), "", None).await?;
    Ok(load(tx, id).await?.ok_or(NotEnded::NoSuch))
}

/// Ends it. `entry`: the log has one already that says so.
async fn end(
    tx: &mut Tx<'_>,
    standing: &StandingApproval,
    by: Option<ReviewerId>,
    why: &str,
    entry: Option<i64>,
) -> Result<(), StoreError> {
    let (id, now) = (standing.id.to_string(), tx.now());
    let sql = "UPDATE standing SET ended_at = $2, ended_by = $3, ended_why = $4 WHERE id = $1";
    let query = sqlx::query(sql).bind(&id).bind(now.0).bind(by.map(|by| by.to_string())).bind(why);
    query.execute(tx.connection()).await?;
    let entry = match entry {
        Some(entry) => entry,
        None => {
            let mut ended = self::entry("standing.ended", standing).with("used", standing.used);
            if let Some(by) = by {
                ended = ended.reviewer(by);
            }
            tx.append_numbered(if why.is_empty() { ended } else { ended.with("why", why) })?
        }
    };
    STANDING.spend_row(tx, &id, Some(entry), How::Ended).await
}

/// After the database was put back: nobody knows what was ended, or used, since. Returns how many were ended.
pub(super) async fn end_all(tx: &mut Tx<'_>) -> Result<u64, StoreError> {
    let trust = tx.trust();
    let rows = sqlx::query(STANDING.select("WHERE t.ended_at IS NULL")).fetch_all(tx.connection()).await?;
    let mut count = 0;
    for row in &rows {
        // What cannot be read lets nothing pass.
        let Ok(standing) = standing(row, &trust) else { continue };
        // One that somebody wrote by hand stays as it is, and counts for nothing.
        if STANDING.bears_seal(row, &trust.seal)? {
            end(tx, &standing, None, "the database was put back", None).await?;
            count += 1;
        }
    }
    Ok(count)
}
