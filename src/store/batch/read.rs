//! Reads what a batch needs to know, in at most two hops to SQLite's thread: what answers for new calls and how many
//! calls their agents have; then every call that is to change, and everybody who decides or decided on one.

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use serde::de::DeserializeOwned;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Column as _, Row as _};

use super::HOUR;
use crate::call::{AgentId, CallId, Digest, HeldCall, Millis, ReviewerId};
use crate::store::people::{self, AgentStands};
use crate::store::row::{self, select_calls};
use crate::store::sealed::Trust;
use crate::store::{HoldLimits, StoreError};

/// For each hash of a call the latest such call; for each agent how many of its calls are open and how many are new,
/// counted no further than it matters, and when the oldest of the new ones was held.
///
/// One row, since each is handed over from SQLite's thread by itself. A bare parameter as LIMIT would be part of the
/// plan: SQLite would make it anew for every batch.
const FACTS: &str = "
    SELECT (SELECT json_group_array(json_array(value,
                (SELECT id FROM calls WHERE same_call = value ORDER BY changed_at DESC, id DESC LIMIT 1)))
            FROM json_each($1)) AS latest,
           (SELECT json_group_array(json_array(value,
                (SELECT count(*) FROM (SELECT 1 FROM calls WHERE agent_id = value
                                       AND state IN ('pending', 'approved', 'releasing') LIMIT $3 + 0)),
                (SELECT count(*) FROM (SELECT 1 FROM calls WHERE agent_id = value AND created_at > $5 LIMIT $4 + 0)),
                (SELECT min(created_at) FROM calls WHERE agent_id = value AND created_at > $5)))
            FROM json_each($2)) AS counts";

/// Where an agent's row stands in a call's.
const AGENT: &str = "g_";

const CALLS: &str = select_calls!(
    concat!(
        "g.id AS g_id, g.name AS g_name, g.owner AS g_owner, g.upstreams AS g_upstreams, g.token_hash AS g_token_hash, ",
        "g.created_at AS g_created_at, g.revoked_at AS g_revoked_at, g.entry AS g_entry, g.seal AS g_seal, ",
        "EXISTS (SELECT 1 FROM entries e WHERE e.seq = g.entry AND e.agent = g.name) AS g_logged, ",
        "EXISTS (SELECT 1 FROM entries e WHERE e.kind IN ('agent.added', 'agent.revoked') AND e.agent = g.name ",
        "AND e.seq > g.entry AND e.body ->> '$.detail.agent_id' = g.id) AS g_overtaken, "
    ),
    "LEFT JOIN agents g ON g.id = c.agent_id WHERE c.id IN (SELECT value FROM json_each($1))"
);

/// The first column of a call's row, and of no person's.
const FIRST_OF_CALL: &str = "g_id";

/// These calls, then these people and whoever voted on the calls: two statements, handed over together.
static CALLS_AND_PEOPLE: LazyLock<String> = LazyLock::new(|| {
    let people = people::select(
        "WHERE t.id IN (SELECT value FROM json_each($2))
            OR t.id IN (SELECT v.reviewer_id FROM votes v WHERE v.call_id IN (SELECT value FROM json_each($1)))",
    );
    format!("{CALLS}; {}", people.0)
});

/// What the jobs of a batch want read.
#[derive(Debug, Default)]
pub(in crate::store) struct Wanted {
    calls: BTreeSet<CallId>,
    people: BTreeSet<ReviewerId>,
    same: BTreeSet<Digest>,
    agents: BTreeSet<AgentId>,
    /// The widest bounds that any job counts to.
    open: u32,
    new: u32,
}

impl Wanted {
    /// This call, and who wants to decide on it.
    pub(super) fn call(&mut self, id: CallId, by: Option<ReviewerId>) {
        self.calls.insert(id);
        self.people.extend(by);
    }

    /// The latest same call.
    pub(super) fn same(&mut self, same_call: Digest) {
        self.same.insert(same_call);
    }

    /// How many calls this agent has, as far as it matters for these bounds.
    pub(super) fn agent(&mut self, agent: AgentId, limits: &HoldLimits) {
        self.agents.insert(agent);
        self.open = self.open.max(limits.pending);
        self.new = self.new.max(limits.new_per_hour);
    }
}

/// How many calls an agent has.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) open: i64,
    pub(super) new: i64,
    pub(super) oldest: Option<Millis>,
}

/// A call as it was read.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) call: HeldCall,
    /// What its agent is worth.
    pub(super) agent: AgentStands,
}

/// What was read. A damaged row is the error of those jobs alone that ask for it.
#[derive(Default)]
pub(super) struct Read {
    pub(super) calls: HashMap<CallId, Result<Found, SqliteRow>>,
    pub(super) people: HashMap<ReviewerId, SqliteRow>,
    pub(super) latest: HashMap<Digest, CallId>,
    pub(super) counts: HashMap<AgentId, Counts>,
}

impl Read {
    /// Reads what is wanted at `now`. `changes` is how many steps at most the batch itself takes: agents' open calls are
    /// counted that much further, so that what closes in the batch makes room rightly.
    pub(super) async fn all(
        connection: &mut SqliteConnection,
        mut wanted: Wanted,
        trust: &Trust,
        now: Millis,
        changes: usize,
    ) -> Result<Self, sqlx::Error> {
        let mut read = Self::default();
        if !wanted.same.is_empty() {
            read.facts(connection, &mut wanted, now, changes).await?;
        }
        if !wanted.calls.is_empty() {
            let query = sqlx::query(CALLS_AND_PEOPLE.as_str()).bind(list(&wanted.calls)).bind(list(&wanted.people));
            for row in query.fetch_all(connection).await? {
                let of_call = row.columns().first().is_some_and(|column| column.name() == FIRST_OF_CALL);
                if !of_call {
                    read.people.extend(key(&row, "id").map(|id| (id, row)));
                } else if let Some(id) = key(&row, "id") {
                    read.calls.insert(id, found(&row, trust).map_err(|_| row));
                }
            }
        }
        Ok(read)
    }

    async fn facts(
        &mut self,
        connection: &mut SqliteConnection,
        wanted: &mut Wanted,
        now: Millis,
        changes: usize,
    ) -> Result<(), sqlx::Error> {
        let open = i64::from(wanted.open).saturating_add(i64::try_from(changes).unwrap_or(i64::MAX));
        let row = sqlx::query(FACTS)
            .bind(list(&wanted.same))
            .bind(list(&wanted.agents))
            .bind(open)
            .bind(i64::from(wanted.new))
            .bind(now.before(HOUR).0)
            .fetch_one(connection)
            .await?;
        for (same_call, latest) in json::<Vec<(Digest, Option<String>)>>(&row, "latest")? {
            // A row under an id that is none answers for nothing.
            let Some(latest) = latest.and_then(|id| id.parse().ok()) else { continue };
            self.latest.insert(same_call, latest);
            wanted.calls.insert(latest);
        }
        for (agent, open, new, oldest) in json::<Vec<(AgentId, i64, i64, Option<i64>)>>(&row, "counts")? {
            self.counts.insert(agent, Counts { open, new, oldest: oldest.map(Millis) });
        }
        Ok(())
    }
}

pub(super) fn found(row: &SqliteRow, trust: &Trust) -> Result<Found, StoreError> {
    Ok(Found { call: row::whole_call(row, trust)?, agent: people::agent_stands(AGENT, row, trust)? })
}

fn list<T: ToString>(items: &BTreeSet<T>) -> String {
    let items: Vec<_> = items.iter().map(|item| format!("\"{}\"", item.to_string())).collect();
    format!("[{}]", items.join(","))
}

fn json<T: DeserializeOwned>(row: &SqliteRow, column: &str) -> Result<T, sqlx::Error> {
    serde_json::from_str(row.try_get(column)?).map_err(|error| sqlx::Error::Decode(error.into()))
}

fn key<T: std::str::FromStr>(row: &SqliteRow, column: &str) -> Option<T> {
    row.try_get::<Option<String>, _>(column).ok().flatten().and_then(|text| text.parse().ok())
}
