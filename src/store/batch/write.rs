//! Writes what a batch decided: one statement, whatever the batch holds, since every statement costs a hop to SQLite's
//! thread that is dearer than its rows.
//!
//! The statement inserts one row into a temporary view of the writer's connection; a trigger takes it apart into the
//! tables. SQLite makes that one atomic statement, so that outside a transaction it needs no BEGIN and no COMMIT.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Place;
use std::sync::LazyLock;

use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteConnection;

#[cfg(feature = "failpoints")]
use super::faults;
use super::rows::Column::{self, Number, Text as Words};
use super::rows::{Rows, Text, cells};
use super::{HOUR, Unseen};
use crate::audit::{Entry, SealedEntry};
use crate::call::salted::Salt;
use crate::call::{Answer, CallId, Digest, HeldCall, Millis, StoredVote};
use crate::store::row::StateColumns;
use crate::store::schema::{PLANTED, TRIGGERS};
use crate::store::{ApprovalProof, CounterRow, StoreError};
use crate::telemetry;

const CALLS: &[Column] = &[
    Words("id"),
    Words("agent_id"),
    Words("agent_name"),
    Words("agent_owner"),
    Words("upstream"),
    Words("upstream_config"),
    Words("tool"),
    Words("tool_schema"),
    Words("headers"),
    Words("same_call"),
    Words("nonce"),
    Words("policy"),
    Words("rule"),
    Words("requirement"),
    Words("era"),
    Words("client"),
    Words("agent_reason"),
    Number("created_at"),
    Words("digest"),
    Words("state"),
    Number("expires_at"),
    Number("changed_at"),
    Words("held_mac"),
    Number("entry"),
    Words("state_mac"),
];

const PARAMS: &[Column] = &[Words("call_id"), Words("params"), Number("args_start"), Number("args_end")];

/// What a call was when it was read, and what it becomes; null keeps what is there.
const CHANGES: &[Column] = &[
    Words("id"),
    Words("was"),
    Words("digest"),
    Number("was_expires_at"),
    Number("was_changed_at"),
    Words("state"),
    Number("expires_at"),
    Number("escalated"),
    Number("approved_at"),
    Words("approved_by"),
    Number("usable_until"),
    Words("claim"),
    Words("ended_by"),
    Words("ended_why"),
    Words("approval_mac"),
    Number("changed_at"),
    Number("entry"),
    Words("state_mac"),
];

const VOTES: &[Column] = &[
    Words("call_id"),
    Words("reviewer_id"),
    Words("email"),
    Words("verdict"),
    Number("at"),
    Words("reason"),
    Words("mac"),
];

const ANSWERS: &[Column] = &[Words("call_id"), Words("kind"), Words("body"), Number("recorded_at"), Words("salt")];

const NOTICES: &[Column] = &[Words("kind"), Words("call_id"), Number("created_at")];

const ENTRIES: &[Column] = &[
    Number("seq"),
    Number("at"),
    Words("kind"),
    Words("call_id"),
    Words("agent"),
    Words("upstream"),
    Words("tool"),
    Words("reviewer_id"),
    Words("body"),
    Words("leaf"),
];

const COUNTERS: &[Column] =
    &[Words("counter"), Words("sharer"), Number("part"), Words("amount"), Number("ends_at"), Number("seq")];

/// What a batch is inserted into.
const VIEW: &str = "batch";

/// What a batch is inserted into in which something was counted: any other does not even look for that.
const COUNTED: &str = "batch_counted";

/// The parts of a batch, as the views name them.
fn parts(counted: bool) -> Vec<&'static str> {
    let mut parts = vec!["text", "calls", "params", "changes", "votes", "answers", "notices", "entries", "unseen"];
    parts.extend(counted.then_some("counters"));
    #[cfg(feature = "failpoints")]
    parts.push(faults::COLUMN);
    parts
}

fn view(name: &str, parts: &[&str]) -> String {
    let parts: Vec<_> = parts.iter().map(|part| format!("NULL AS {part}")).collect();
    format!("CREATE TEMP VIEW {name} AS SELECT {}", parts.join(", "))
}

fn insert_into(view: &str, parts: &[&str]) -> String {
    let numbers: Vec<_> = (1..=parts.len()).map(|number| format!("${number}")).collect();
    format!("INSERT INTO {view} ({}) VALUES ({})", parts.join(", "), numbers.join(", "))
}

/// Writes a batch.
static INSERT: LazyLock<String> = LazyLock::new(|| insert_into(VIEW, &parts(false)));

/// Writes a batch in which something was counted.
static INSERT_COUNTED: LazyLock<String> = LazyLock::new(|| insert_into(COUNTED, &parts(true)));

/// What a batch's changes are inserted into, if there are any: the table that SQLite makes for them would otherwise be
/// made for every batch.
const CHANGES_VIEW: &str = "CREATE TEMP VIEW batch_changes AS SELECT NULL AS text, NULL AS changes";

/// Hands the changes over to that view's trigger.
const INSERT_CHANGES: &str =
    "INSERT INTO batch_changes (text, changes) SELECT NEW.text, NEW.changes WHERE NEW.changes IS NOT NULL";

/// What a trigger's statement begins with, for each table.
fn insert(table: &str, from: &str, columns: &[Column]) -> String {
    let names: Vec<_> = columns.iter().map(|column| column.name()).collect();
    let cells = cells("NEW.text", columns);
    format!("INSERT INTO {table} ({}) SELECT {cells} FROM jsonb_each(NEW.{from})", names.join(", "))
}

/// Compare and set: a row must still be what was decided on, else nothing of the batch is written.
fn update() -> [String; 2] {
    let cells = cells("NEW.text", CHANGES);
    [
        format!(
            "UPDATE calls SET state = n.state, expires_at = coalesce(n.expires_at, calls.expires_at),
                 escalated = max(calls.escalated, n.escalated), approved_at = coalesce(n.approved_at, calls.approved_at),
                 approved_by = coalesce(n.approved_by, calls.approved_by),
                 usable_until = coalesce(n.usable_until, calls.usable_until), claim = coalesce(n.claim, calls.claim),
                 ended_by = n.ended_by, ended_why = n.ended_why,
                 approval_mac = coalesce(n.approval_mac, calls.approval_mac), changed_at = n.changed_at,
                 entry = n.entry, state_mac = n.state_mac
             FROM (SELECT {cells} FROM jsonb_each(NEW.changes)) AS n
             WHERE calls.id = n.id AND calls.state = n.was AND calls.digest = n.digest
                 AND calls.expires_at = n.was_expires_at AND calls.changed_at = n.was_changed_at"
        ),
        "SELECT RAISE(ABORT, 'a call is not as it was when it was read')
         WHERE changes() <> json_array_length(NEW.changes)"
            .to_owned(),
    ]
}

/// What was counted; of two values of one part the later one stays, in whatever order they come.
fn count() -> String {
    let insert = insert("limit_counters", "counters", COUNTERS);
    format!(
        "{insert} WHERE true ON CONFLICT (counter, sharer, part) DO UPDATE
             SET amount = excluded.amount, ends_at = excluded.ends_at, seq = excluded.seq
             WHERE excluded.seq > limit_counters.seq"
    )
}

/// What SQLite answers where a call that was written unseen is not new after all.
const NOT_UNSEEN: &str = "a call is not new";

/// Nothing of the batch is written if its call, which nothing was read for, is known, or has too many beside it.
fn unseen() -> String {
    format!(
        "SELECT RAISE(ABORT, '{NOT_UNSEEN}') WHERE NEW.unseen IS NOT NULL AND (
             EXISTS (SELECT 1 FROM calls WHERE same_call = NEW.unseen ->> 0)
             OR (SELECT count(*) FROM (SELECT 1 FROM calls WHERE agent_id = NEW.unseen ->> 1
                     AND state IN ('pending', 'approved', 'releasing') LIMIT NEW.unseen ->> 2)) >= NEW.unseen ->> 2
             OR (SELECT count(*) FROM (SELECT 1 FROM calls WHERE agent_id = NEW.unseen ->> 1
                     AND created_at > NEW.unseen ->> 3 LIMIT NEW.unseen ->> 4)) >= NEW.unseen ->> 4)"
    )
}

/// Whether a write failed because its call is not new.
pub(in crate::store) fn is_not_unseen(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.message() == NOT_UNSEEN)
}

/// What the trigger does, in order: calls before what refers to them, and before the changes of them.
fn statements(counted: bool) -> Vec<String> {
    let mut statements = vec![unseen(), insert("calls", "calls", CALLS), insert("call_params", "params", PARAMS)];
    statements.extend([
        INSERT_CHANGES.to_owned(),
        insert("votes", "votes", VOTES),
        insert("call_answers", "answers", ANSWERS),
        insert("outbox", "notices", NOTICES),
        insert("entries", "entries", ENTRIES),
    ]);
    statements.extend(counted.then(count));
    #[cfg(feature = "failpoints")]
    let statements = faults::between(statements);
    statements
}

/// Makes the views and their triggers for this connection alone; they end with it.
/// `triggers` are those of the database itself: with any other nothing is written.
pub(in crate::store) async fn prepare(connection: &mut SqliteConnection, triggers: &str) -> Result<(), sqlx::Error> {
    for view in [CHANGES_VIEW.to_owned(), view(VIEW, &parts(false)), view(COUNTED, &parts(true))] {
        sqlx::query(AssertSqlSafe(view)).execute(&mut *connection).await?;
    }
    let triggers = triggers.replace('\'', "''");
    let guard = format!("SELECT RAISE(ABORT, '{PLANTED}') WHERE coalesce({TRIGGERS}, '') <> '{triggers}'; ");
    let views = [("batch_changes", update().to_vec()), (VIEW, statements(false)), (COUNTED, statements(true))];
    for (view, statements) in views {
        let statements = format!("{guard}{}", statements.join("; "));
        let trigger = format!("CREATE TEMP TRIGGER {view}_written INSTEAD OF INSERT ON {view} BEGIN {statements}; END");
        sqlx::query(AssertSqlSafe(trigger)).execute(&mut *connection).await?;
    }
    Ok(())
}

/// What a call was when it was read, or as this batch inserts it.
#[derive(Clone, Debug)]
pub(super) struct Was {
    state: &'static str,
    expires_at: Millis,
    changed_at: Millis,
}

impl Was {
    pub(super) fn of(call: &HeldCall) -> Self {
        Self { state: call.state.name(), expires_at: call.expires_at, changed_at: call.changed_at }
    }
}

/// Everything that one batch writes.
#[derive(Debug, Default)]
pub(super) struct Writes {
    text: Text,
    calls: Rows,
    params: Rows,
    changes: Rows,
    votes: Rows,
    answers: Rows,
    notices: Rows,
    entries: Rows,
    /// By counter, sharer and part.
    counted: HashMap<(String, String, i64), CounterRow>,
    unseen: Option<String>,
    alarms: u64,
}

impl Writes {
    /// A call that was held just now.
    pub(super) fn call(&mut self, held: &HeldCall, state_mac: Digest) -> Result<(), StoreError> {
        let call = &held.submission;
        let headers = serde_json::to_string(&call.headers)?;
        let requirement = serde_json::to_string(&call.requirement)?;
        let era = serde_json::to_value(call.era)?;
        self.calls
            .row(&mut self.text)
            .display(call.id)
            .display(call.agent.id)
            .text(call.agent.name.as_str())
            .text(call.agent.owner.as_str())
            .text(call.upstream.as_str())
            .display(call.upstream_config)
            .text(call.tool.as_str())
            .display_if(call.tool_schema)
            .text(&headers)
            .display(call.same_call)
            .display(Digest(call.nonce))
            .display(call.policy)
            .text(&call.rule)
            .text(&requirement)
            .text_if(era.as_str())
            .text_if(call.client.as_deref())
            .text_if(call.agent_reason.as_deref())
            .number(call.created_at.0)
            .display(held.digest)
            .text(held.state.name())
            .number(held.expires_at.0)
            .number(held.changed_at.0)
            .display_if(held.held_mac)
            .number(held.entry)
            .display(state_mac);
        let byte = |at: usize| i64::try_from(at).unwrap_or(i64::MAX);
        self.params
            .row(&mut self.text)
            .display(call.id)
            .text(&call.params)
            .number_if(call.arguments_at.map(|(start, _)| byte(start)))
            .number_if(call.arguments_at.map(|(_, end)| byte(end)));
        Ok(())
    }

    /// What a call becomes, after everything that the batch did to it.
    pub(super) fn change(
        &mut self,
        call: &HeldCall,
        was: &Was,
        set: &StateColumns,
        approval: Option<ApprovalProof>,
        state_mac: Digest,
    ) {
        self.changes
            .row(&mut self.text)
            .display(call.submission.id)
            .text(was.state)
            .display(call.digest)
            .number(was.expires_at.0)
            .number(was.changed_at.0)
            .text(call.state.name())
            .number_if(set.expires_at)
            .number(set.escalated.into())
            .number_if(set.approved_at)
            .text_if(set.approved_by)
            .number_if(set.usable_until)
            .text_if(set.claim.as_deref())
            .text_if(set.ended_by.as_deref())
            .text_if(set.ended_why.as_deref())
            .display_if(approval.map(|proof| proof.0))
            .number(call.changed_at.0)
            .number(call.entry)
            .display(state_mac);
    }

    /// Nothing is written unless this holds.
    pub(super) fn unseen(&mut self, unseen: &Unseen, now: Millis) {
        let Unseen { same_call, agent, limits } = unseen;
        let hour_ago = now.before(HOUR).0;
        let (pending, new) = (limits.pending, limits.new_per_hour);
        self.unseen = Some(format!("[\"{same_call}\",\"{agent}\",{pending},{hour_ago},{new}]"));
    }

    pub(super) fn vote(&mut self, call: CallId, stored: &StoredVote) {
        self.votes
            .row(&mut self.text)
            .display(call)
            .display(stored.vote.by)
            .text(stored.by_email.as_str())
            .text(stored.vote.verdict.as_str())
            .number(stored.vote.at.0)
            .text(&stored.vote.reason)
            .display(stored.mac);
    }

    pub(super) fn answer(&mut self, call: CallId, answer: &Answer, salt: &Salt, at: Millis) {
        let (kind, body) = match answer {
            Answer::Result(body) => ("result", body),
            Answer::Error(body) => ("error", body),
        };
        let row = self.answers.row(&mut self.text).display(call).text(kind).text(body).number(at.0);
        row.display(Digest(*salt));
    }

    pub(super) fn notice(&mut self, kind: &str, call: CallId, at: Millis) {
        self.notices.row(&mut self.text).text(kind).display(call).number(at.0);
    }

    pub(super) fn entry(&mut self, entry: &Entry, sealed: &SealedEntry) {
        self.alarms += u64::from(entry.kind.starts_with("alarm."));
        self.entries
            .row(&mut self.text)
            .number(sealed.seq)
            .number(sealed.at.0)
            .text(entry.kind)
            .display_if(entry.call)
            .text_if(entry.agent.as_deref())
            .text_if(entry.upstream.as_deref())
            .text_if(entry.tool.as_deref())
            .display_if(entry.reviewer)
            .text(&sealed.body)
            .display(sealed.leaf);
    }

    /// What was counted; a counter that many calls of the batch took from is written once.
    pub(super) fn count(&mut self, counted: &[CounterRow]) {
        for row in counted {
            match self.counted.entry((row.counter.clone(), row.sharer.clone(), row.part)) {
                Place::Occupied(mut known) if known.get().seq < row.seq => drop(known.insert(row.clone())),
                Place::Occupied(_) => {}
                Place::Vacant(place) => drop(place.insert(row.clone())),
            }
        }
    }

    /// The rows of what was counted; `None` where nothing was.
    fn counters(&mut self) -> Option<String> {
        let mut rows = Rows::default();
        for row in self.counted.values() {
            rows.row(&mut self.text)
                .text(&row.counter)
                .text(&row.sharer)
                .number(row.part)
                .text(&row.amount)
                .number(row.ends_at.0)
                .number(row.seq);
        }
        rows.into_json()
    }

    /// Writes it all, or nothing of it.
    pub(super) async fn execute(mut self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let counters = self.counters();
        let sections = [self.calls, self.params, self.changes, self.votes, self.answers, self.notices, self.entries]
            .map(Rows::into_json);
        if counters.is_none() && sections.iter().all(Option::is_none) {
            return Ok(());
        }
        #[cfg(feature = "failpoints")]
        let fault = faults::reached(sections.iter().chain([&counters]));
        let insert = if counters.is_some() { &INSERT_COUNTED } else { &INSERT };
        let query = sqlx::query(insert.as_str()).bind(self.text.into_bytes());
        let query = sections.into_iter().fold(query, |query, rows| query.bind(rows)).bind(self.unseen);
        let query = counters.into_iter().fold(query, |query, rows| query.bind(rows));
        #[cfg(feature = "failpoints")]
        let query = query.bind(fault);
        query.execute(connection).await?;
        telemetry::alarms(self.alarms);
        Ok(())
    }
}
