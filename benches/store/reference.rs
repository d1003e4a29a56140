//! The same operations by rusqlite: prepared statements, row by row, one transaction for each batch, on a thread of its
//! own that takes whatever waits.

use std::path::Path;
use std::time::Duration;

use placet::audit::{Entry, Head, SealedEntry};
use placet::call::{CallId, Digest, Millis};
use placet::clock::Clock;
use rusqlite::types::Value;
use rusqlite::{Connection, Row, Statement, TransactionBehavior, params};
use tokio::sync::{mpsc, oneshot};

use crate::Operation;
use crate::work::{Draft, Work};

/// As many in one batch as Placet's writer takes.
const BATCH: usize = 128;

const CALL: &str = "SELECT c.*, p.params, p.args_start, p.args_end, a.kind AS answer_kind, a.body AS answer,
    (SELECT json_group_array(json_array(v.reviewer_id, v.email, v.verdict, v.at, v.reason, v.mac) ORDER BY v.at, v.rowid)
     FROM votes v WHERE v.call_id = c.id) AS votes,
    EXISTS (SELECT 1 FROM agents g WHERE g.id = c.agent_id AND g.revoked_at IS NULL) AS agent_is_active
    FROM calls c JOIN call_params p ON p.call_id = c.id LEFT JOIN call_answers a ON a.call_id = c.id WHERE c.id = ?1";
const PERSON: &str = "SELECT id, email, groups, is_reviewer, disabled_at FROM reviewers WHERE id = ?1";
const SAME: &str = "SELECT id FROM calls WHERE same_call = ?1 ORDER BY changed_at DESC, id DESC LIMIT 1";
const COUNTS: &str =
    "SELECT (SELECT count(*) FROM calls WHERE agent_id = ?1 AND state IN ('pending', 'approved', 'releasing')),
            (SELECT count(*) FROM calls WHERE agent_id = ?1 AND created_at > ?2),
            (SELECT min(created_at) FROM calls WHERE agent_id = ?1 AND created_at > ?2)";
const INSERT_CALL: &str = "INSERT INTO calls (id, agent_id, agent_name, agent_owner, upstream, upstream_config, tool,
        tool_schema, headers, same_call, nonce, policy, rule, requirement, era, client, created_at, digest, state,
        expires_at, changed_at, held_mac)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, 'pending', ?19, ?17, ?20)";
const INSERT_PARAMS: &str = "INSERT INTO call_params (call_id, params, args_start, args_end) VALUES (?1, ?2, ?3, ?4)";
const INSERT_NOTICE: &str = "INSERT INTO outbox (kind, call_id, created_at) VALUES (?1, ?2, ?3)";
const INSERT_VOTE: &str = "INSERT INTO votes (call_id, reviewer_id, email, verdict, at, reason, mac)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
const INSERT_ENTRY: &str =
    "INSERT INTO entries (seq, at, kind, call_id, agent, upstream, tool, reviewer_id, body, leaf)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
const UPDATE: &str = "UPDATE calls SET state = ?1, ended_by = ?2, ended_why = ?3, changed_at = ?4
    WHERE id = ?5 AND state = ?6 AND digest = ?7 AND expires_at = ?8 AND changed_at = ?9";

/// A connection with Placet's pragmas.
pub(crate) fn connect(file: &Path) -> Connection {
    let connection = Connection::open(file).expect("a database");
    let pragmas = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
                   PRAGMA trusted_schema = OFF";
    connection.execute_batch(pragmas).expect("pragmas");
    connection
}

enum Item {
    Append(Entry),
    Hold(Draft),
    Decide(CallId),
}

type Waiting = (Item, oneshot::Sender<Option<CallId>>);

/// The way to the reference's thread.
#[derive(Clone)]
pub(crate) struct Reference {
    items: mpsc::Sender<Waiting>,
    work: Work,
}

impl Reference {
    pub(crate) fn start(file: &Path, work: Work) -> Self {
        let (items, waiting) = mpsc::channel(1024);
        let (connection, own) = (connect(file), work.clone());
        std::thread::spawn(move || write(connection, waiting, &own));
        Self { items, work }
    }

    pub(crate) async fn once(&self, operation: Operation, call: Option<CallId>) -> Option<CallId> {
        let item = match (operation, call) {
            (Operation::Append, _) => Item::Append(self.work.entry()),
            (Operation::Hold, _) => Item::Hold(self.work.draft()),
            (Operation::Decide, Some(call)) => Item::Decide(call),
            (Operation::Decide, None) => unreachable!("a decision is about a call"),
        };
        let (reply, answered) = oneshot::channel();
        self.items.send((item, reply)).await.expect("a thread");
        answered.await.expect("an answer")
    }
}

fn write(mut connection: Connection, mut waiting: mpsc::Receiver<Waiting>, work: &Work) {
    connection.set_transaction_behavior(TransactionBehavior::Immediate);
    let connection = &connection;
    let statement = |sql| connection.prepare(sql).expect("a statement");
    let mut writer = Writer {
        head: head(connection),
        work,
        begin: statement("BEGIN IMMEDIATE"),
        commit: statement("COMMIT"),
        call: statement(CALL),
        person: statement(PERSON),
        same: statement(SAME),
        counts: statement(COUNTS),
        insert_call: statement(INSERT_CALL),
        insert_params: statement(INSERT_PARAMS),
        insert_notice: statement(INSERT_NOTICE),
        insert_vote: statement(INSERT_VOTE),
        insert_entry: statement(INSERT_ENTRY),
        update: statement(UPDATE),
    };
    let (mut batch, mut answers) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
    while waiting.blocking_recv_many(&mut batch, BATCH) > 0 {
        writer.begin.execute([]).expect("a transaction");
        for (item, reply) in batch.drain(..) {
            let now = Clock::System.now().max(writer.head.at);
            let call = match item {
                Item::Append(entry) => writer.append(&entry, now),
                Item::Hold(draft) => Some(writer.hold(draft, now)),
                Item::Decide(call) => writer.decide(call, now),
            };
            answers.push((reply, call));
        }
        writer.commit.execute([]).expect("a commit");
        answers.drain(..).for_each(|(reply, call)| {
            let _ = reply.send(call);
        });
    }
}

fn head(connection: &Connection) -> Head {
    let last = connection.query_row("SELECT seq, at, leaf FROM entries ORDER BY seq DESC LIMIT 1", [], |row| {
        let leaf: String = row.get(2)?;
        Ok(Head { seq: row.get(0)?, at: Millis(row.get(1)?), leaf: leaf.parse().expect("a hash") })
    });
    last.expect("an entry")
}

struct Writer<'c> {
    head: Head,
    work: &'c Work,
    begin: Statement<'c>,
    commit: Statement<'c>,
    call: Statement<'c>,
    person: Statement<'c>,
    same: Statement<'c>,
    counts: Statement<'c>,
    insert_call: Statement<'c>,
    insert_params: Statement<'c>,
    insert_notice: Statement<'c>,
    insert_vote: Statement<'c>,
    insert_entry: Statement<'c>,
    update: Statement<'c>,
}

/// Every column, as values of its own.
fn columns(row: &Row<'_>) -> rusqlite::Result<Vec<Value>> {
    (0..row.as_ref().column_count()).map(|at| row.get(at)).collect()
}

impl Writer<'_> {
    fn append(&mut self, entry: &Entry, now: Millis) -> Option<CallId> {
        let SealedEntry { seq, at, body, leaf } = self.head.seal(entry, now).expect("an entry");
        let call = entry.call.map(|call| call.to_string());
        let reviewer = entry.reviewer.map(|reviewer| reviewer.to_string());
        let row = params![
            seq,
            at.0,
            entry.kind,
            call,
            entry.agent,
            entry.upstream,
            entry.tool,
            reviewer,
            body,
            leaf.to_string()
        ];
        self.insert_entry.execute(row).expect("an entry");
        None
    }

    fn hold(&mut self, draft: Draft, now: Millis) -> CallId {
        let same = self.same.query_map([draft.same_call.to_string()], columns).expect("rows").count();
        assert_eq!(same, 0, "every call is another");
        let hour_ago = now.before(Duration::from_secs(3600)).0;
        let count = |row: &Row<'_>| Ok((row.get::<_, u32>(0)?, row.get::<_, u32>(1)?, row.get::<_, Option<i64>>(2)?));
        let (open, new, _) = self.counts.query_row(params![draft.agent.to_string(), hour_ago], count).expect("counts");
        let limits = &self.work.limits;
        assert!(open < limits.pending && new < limits.new_per_hour, "no bound is reached");
        let (call, proof) = draft.made(now);
        let (id, digest) = (call.id.to_string(), call.digest());
        let row = params![
            id,
            call.agent.id.to_string(),
            call.agent.name.as_str(),
            call.agent.owner.as_str(),
            call.upstream.as_str(),
            call.upstream_config.to_string(),
            call.tool.as_str(),
            call.tool_schema.map(|schema| schema.to_string()),
            serde_json::to_string(&call.headers).expect("JSON"),
            call.same_call.to_string(),
            Digest(call.nonce).to_string(),
            call.policy.to_string(),
            call.rule,
            serde_json::to_string(&call.requirement).expect("JSON"),
            "sessions",
            call.client,
            call.created_at.0,
            digest.to_string(),
            now.after(call.requirement.timeout).0,
            proof.0.to_string(),
        ];
        self.insert_call.execute(row).expect("a call");
        let (start, end) = call.arguments_at.expect("arguments");
        self.insert_params.execute(params![id, call.params, start as i64, end as i64]).expect("parameters");
        self.insert_notice.execute(params!["call.held", id, now.0]).expect("a notice");
        let entry = Entry::new("call.held")
            .call(call.id)
            .agent(&call.agent.name)
            .upstream(&call.upstream)
            .tool(&call.tool)
            .with("digest", digest.to_string())
            .with("rule", call.rule.clone())
            .with("policy", call.policy.to_string())
            .with("expires_at", now.after(call.requirement.timeout).to_string());
        self.append(&entry, now);
        call.id
    }

    fn decide(&mut self, id: CallId, now: Millis) -> Option<CallId> {
        let key = id.to_string();
        let fields =
            ["digest", "state", "expires_at", "changed_at"].map(|name| self.call.column_index(name).expect(name));
        let row = self.call.query_row([&key], columns).expect("a call");
        let [digest, state, expires_at, changed_at] = fields.map(|at| row[at].clone());
        let person = self.person.query_row([self.work.reviewer.to_string()], columns).expect("a person");
        assert!(person.len() == 5 && state == Value::Text("pending".into()), "a pending call");
        let Value::Text(shown) = &digest else { unreachable!("a digest is text") };
        let change = self.work.verdict(now, &shown.parse().expect("a hash"));
        let stored = change.vote.expect("a vote");
        let by = stored.vote.by.to_string();
        let row = params!["rejected", by, stored.vote.reason, now.0, key, state, digest, expires_at, changed_at];
        assert_eq!(self.update.execute(row).expect("a change"), 1, "one call is changed");
        let (email, mac) = (stored.by_email.as_str(), stored.mac.to_string());
        let row = params![key, by, email, stored.vote.verdict.as_str(), now.0, stored.vote.reason, mac];
        self.insert_vote.execute(row).expect("a vote");
        self.insert_notice.execute(params!["call.decided", key, now.0]).expect("a notice");
        self.append(&change.entry.call(id), now)
    }
}
