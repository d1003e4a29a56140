//! A call's row, both ways. A row that this program cannot have written is an error that names table, column and row.

use serde::de::DeserializeOwned;
use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::StoreError;
use super::sealed::Trust;
use super::spent::{Kind, Right};
use crate::call::salted::Salt;
use crate::call::{
    Answer, Approver, CallState, Caller, Digest, Email, Finding, HeldCall, Millis, Requirement, ReviewerId,
    StoredFinding, StoredVote, Submission, Verdict, Vote,
};
use crate::seal::{Seal, Standing};

/// Every column of a call, its parameters, votes and answer, in one row, after further columns if there are any; what
/// follows chooses the rows.
macro_rules! select_calls {
    ($which:expr) => {
        select_calls!("", $which)
    };
    ($more:expr, $which:expr) => {
        concat!(
            "SELECT ",
            $more,
            "c.*, p.params, p.args_start, p.args_end, a.kind AS answer_kind, a.body AS answer, ",
            "a.salt AS answer_salt, a.recorded_at AS answered_at, ",
            "EXISTS (SELECT 1 FROM entries e WHERE e.seq = c.entry AND e.call_id = c.id) AS logged, ",
            "EXISTS (SELECT 1 FROM entries e WHERE e.call_id = c.id AND e.seq > c.entry AND e.kind IN (",
            "'call.held', 'call.voted', 'call.approved', 'call.rejected', 'call.escalated', 'call.expired', ",
            "'call.cancelled', 'call.lapsed', 'call.released', 'call.executed', 'call.tool_error', 'call.not_sent', ",
            "'call.outcome_unknown', 'call.revoked', 'call.restored', 'alarm.call_tampered')) AS overtaken, ",
            "(SELECT json_group_array(json_array(v.reviewer_id, v.email, v.verdict, v.at, v.reason, v.mac) ",
            "ORDER BY v.at, v.rowid) FROM votes v WHERE v.call_id = c.id) AS votes, ",
            "(SELECT json_array(f.ran, f.reviewer_id, f.email, f.at, f.reason, f.mac) FROM findings f ",
            "WHERE f.call_id = c.id) AS finding ",
            "FROM calls c LEFT JOIN call_params p ON p.call_id = c.id LEFT JOIN call_answers a ON a.call_id = c.id ",
            $which
        )
    };
}
pub(super) use select_calls;

/// One call by its id.
pub(super) const SELECT_ONE: &str = select_calls!("WHERE c.id = $1");

/// Reads the columns of one row, so that every failure names it.
struct Reader<'r> {
    row: &'r SqliteRow,
    id: String,
}

impl Reader<'_> {
    fn bad(&self, column: &'static str, problem: &dyn std::fmt::Display) -> StoreError {
        StoreError::BadRow { table: "calls", row: self.id.clone(), column, problem: problem.to_string() }
    }

    fn text(&self, column: &'static str) -> Result<String, StoreError> {
        self.row.try_get(column).map_err(|e| self.bad(column, &e))
    }

    fn optional(&self, column: &'static str) -> Result<Option<String>, StoreError> {
        self.row.try_get(column).map_err(|e| self.bad(column, &e))
    }

    fn number(&self, column: &'static str) -> Result<i64, StoreError> {
        self.row.try_get(column).map_err(|e| self.bad(column, &e))
    }

    fn needed(&self, column: &'static str) -> Result<i64, StoreError> {
        let value: Option<i64> = self.row.try_get(column).map_err(|e| self.bad(column, &e))?;
        value.ok_or_else(|| self.bad(column, &"it is missing in this state"))
    }

    fn parsed<T: std::str::FromStr<Err: ToString>>(&self, column: &'static str) -> Result<T, StoreError> {
        self.text(column)?.parse().map_err(|e: T::Err| self.bad(column, &e.to_string()))
    }

    fn parsed_if<T: std::str::FromStr<Err: ToString>>(&self, column: &'static str) -> Result<Option<T>, StoreError> {
        let text = self.optional(column)?;
        text.map(|text| text.parse().map_err(|e: T::Err| self.bad(column, &e.to_string()))).transpose()
    }

    fn json<T: DeserializeOwned>(&self, column: &'static str) -> Result<T, StoreError> {
        // Where, not what: serde_json's own words repeat what it found, and that may be an argument.
        let place = |e: serde_json::Error| format!("it is not the JSON that belongs there, from column {}", e.column());
        serde_json::from_str(&self.text(column)?).map_err(|e| self.bad(column, &place(e)))
    }

    fn votes(&self) -> Result<Vec<StoredVote>, StoreError> {
        let rows: Vec<(ReviewerId, Email, Verdict, Millis, String, Digest)> = self.json("votes")?;
        let vote = |(by, by_email, verdict, at, reason, mac)| StoredVote {
            vote: Vote { verdict, by, at, reason },
            by_email,
            mac,
        };
        Ok(rows.into_iter().map(vote).collect())
    }

    fn finding(&self) -> Result<Option<StoredFinding>, StoreError> {
        if self.optional("finding")?.is_none() {
            return Ok(None);
        }
        let (ran, by, by_email, at, reason, mac): (u8, ReviewerId, Email, Millis, String, Digest) =
            self.json("finding")?;
        Ok(Some(StoredFinding { finding: Finding { ran: ran != 0, by, at, reason }, by_email, mac }))
    }

    fn state(&self, votes: &[StoredVote]) -> Result<CallState, StoreError> {
        let at = Millis(self.number("changed_at")?);
        let why = || Ok::<_, StoreError>(self.optional("ended_why")?.unwrap_or_default());
        let votes = || votes.iter().map(|stored| stored.vote.clone()).collect();
        Ok(match self.text("state")?.as_str() {
            "pending" => CallState::Pending {
                expires_at: Millis(self.number("expires_at")?),
                escalated: self.number("escalated")? != 0,
                votes: votes(),
            },
            "approved" => CallState::Approved {
                by: match self.text("approved_by")?.as_str() {
                    "reviewers" => Approver::Reviewers(votes()),
                    "policy" => Approver::Policy,
                    other => return Err(self.bad("approved_by", &format!("{other:?} is nobody who approves"))),
                },
                at: Millis(self.needed("approved_at")?),
                usable_until: Millis(self.needed("usable_until")?),
            },
            "rejected" => CallState::Rejected { by: self.parsed("ended_by")?, at, reason: why()? },
            "expired" => CallState::Expired { at },
            "cancelled" => CallState::Cancelled { at },
            "releasing" => CallState::Releasing { claim: self.parsed("claim")?, at },
            "executed" => CallState::Executed { at },
            "tool_error" => CallState::ToolError { at },
            "outcome_unknown" => CallState::OutcomeUnknown { at, why: why()? },
            "lapsed" => CallState::Lapsed { at },
            "revoked" => CallState::Revoked { at, why: why()? },
            other => return Err(self.bad("state", &format!("{other:?} is no state"))),
        })
    }

    fn arguments_at(&self, params: &str) -> Result<Option<(usize, usize)>, StoreError> {
        let start: Option<i64> = self.row.try_get("args_start")?;
        let end: Option<i64> = self.row.try_get("args_end")?;
        let (Some(start), Some(end)) = (start, end) else { return Ok(None) };
        let span = usize::try_from(start).ok().zip(usize::try_from(end).ok());
        let inside = span.filter(|(start, end)| params.get(*start..*end).is_some());
        inside.map(Some).ok_or_else(|| self.bad("args_start", &"it points outside the parameters"))
    }

    fn redactable(&self) -> Result<Redactable, StoreError> {
        let params = self.text("params")?;
        Ok(Redactable {
            arguments_at: self.arguments_at(&params)?,
            params,
            headers: self.json("headers")?,
            same_call: self.parsed("same_call")?,
            nonce: self.parsed::<Digest>("nonce")?.0,
        })
    }

    fn salt(&self, column: &'static str) -> Result<Option<Salt>, StoreError> {
        Ok(self.parsed_if::<Digest>(column)?.map(|salt| salt.0))
    }
}

/// What a redacted call has no more; empty then, so that its digest is not the stored one.
struct Redactable {
    params: String,
    arguments_at: Option<(usize, usize)>,
    headers: Vec<(String, String)>,
    same_call: Digest,
    nonce: Salt,
}

impl Redactable {
    const ERASED: Self = Self {
        params: String::new(),
        arguments_at: None,
        headers: Vec::new(),
        same_call: Digest([0; 32]),
        nonce: [0; 32],
    };
}

/// A call as its row has it, believed or not: for who judges it by the log, without the key.
pub(super) fn unjudged_call(row: &SqliteRow) -> Result<HeldCall, StoreError> {
    let id: String = row.try_get("id")?;
    let reader = Reader { row, id };
    let votes = reader.votes()?;
    let state = reader.state(&votes)?;
    let redacted_at: Option<i64> = row.try_get("redacted_at")?;
    let Redactable { params, arguments_at, headers, same_call, nonce } =
        if redacted_at.is_some() { Redactable::ERASED } else { reader.redactable()? };
    let era = reader.text("era")?;
    let submission = Submission {
        id: reader.parsed("id")?,
        agent: Caller {
            id: reader.parsed("agent_id")?,
            name: reader.parsed("agent_name")?,
            owner: reader.parsed("agent_owner")?,
        },
        upstream: reader.parsed("upstream")?,
        upstream_config: reader.parsed("upstream_config")?,
        tool: reader.parsed("tool")?,
        tool_schema: reader.parsed_if("tool_schema")?,
        params,
        arguments_at,
        headers,
        same_call,
        nonce,
        policy: reader.parsed("policy")?,
        rule: reader.text("rule")?,
        requirement: reader.json::<Requirement>("requirement")?,
        era: serde_json::from_value(era.into()).map_err(|e| reader.bad("era", &e))?,
        client: reader.optional("client")?,
        agent_reason: reader.optional("agent_reason")?,
        created_at: Millis(reader.number("created_at")?),
    };
    let context = reader.optional("context")?.map(|text| serde_json::from_str(&text)).transpose();
    Ok(HeldCall {
        submission,
        digest: reader.parsed("digest")?,
        state,
        votes,
        expires_at: Millis(reader.number("expires_at")?),
        told_to_return: false,
        caller_gone: reader.number("caller_gone")? != 0,
        context: context.map_err(|_: serde_json::Error| reader.bad("context", &"it is no list of reads"))?,
        context_salt: reader.salt("context_salt")?,
        answer: answer(row)?,
        answer_salt: reader.salt("answer_salt")?,
        entry: row.try_get::<Option<i64>, _>("entry")?.unwrap_or_default(),
        genuine: false,
        changed_at: Millis(reader.number("changed_at")?),
        as_of: row.try_get::<Option<i64>, _>("as_of").map_err(|e| reader.bad("as_of", &e))?.map(Millis),
        held_mac: reader.parsed_if("held_mac")?,
        approval_mac: reader.parsed_if("approval_mac")?,
        finding: reader.finding()?,
        redacted_at: redacted_at.map(Millis),
    })
}

/// A call as its row has it. Whether the row is to be believed is [`HeldCall::genuine`].
pub(super) fn held_call(row: &SqliteRow, trust: &Trust) -> Result<HeldCall, StoreError> {
    let mut call = unjudged_call(row)?;
    let reader = Reader { row, id: call.submission.id.to_string() };
    let seal = &trust.seal;
    // Each of these is as it was written, or the row says something that nobody here said.
    let stands = reader.parsed_if("state_mac")?.is_some_and(|mac| state_mac(seal, &call).matches(&mac));
    let logged = reader.number("logged")? != 0 || call.entry >= trust.unwritten;
    let told = reader.number("told_to_return")? != 0;
    let told_here = reader.parsed_if("told_mac")?.is_some_and(|mac| seal.told(call.submission.id).matches(&mac));
    call.told_to_return = told && told_here;
    let may_run = matches!(call.state, CallState::Pending { .. } | CallState::Approved { .. });
    let right = Right { kind: Kind::Call, id: &reader.id, of: None, entry: call.entry };
    let spent = may_run && trust.spent.is_older(&right);
    call.genuine = stands && logged && reader.number("overtaken")? == 0 && told <= told_here && !spent;
    Ok(call)
}

/// As [`held_call`], and until it is erased it is also looked at whether what was held is what stands there: that reads
/// every byte of it.
pub(super) fn whole_call(row: &SqliteRow, trust: &Trust) -> Result<HeldCall, StoreError> {
    let mut call = held_call(row, trust)?;
    if call.redacted_at.is_none() {
        let as_held = trust.seal.is_as_held(&call) && call.submission.digest().matches(&call.digest);
        call.genuine = call.genuine && as_held;
    }
    Ok(call)
}

/// The seal of where a call stands.
pub(super) fn state_mac(seal: &Seal, call: &HeldCall) -> Digest {
    seal.state(&Standing {
        id: call.submission.id,
        digest: &call.digest,
        state: &call.state,
        expires_at: call.expires_at,
        changed_at: call.changed_at,
        votes: &call.votes,
        entry: call.entry,
        as_of: call.as_of,
    })
}

/// Seals every call as it stands, with the log's last entry about its state: for a database of before there were
/// seals, once. Who was told to come back before that is not known to have been, so those calls wait for their caller.
pub(super) async fn seal_all(connection: &mut SqliteConnection, seal: &Seal) -> Result<u64, StoreError> {
    const ENTRY: &str = "UPDATE calls AS c SET told_to_return = 0, entry = (SELECT max(e.seq) FROM entries e
        WHERE e.call_id = c.id AND e.kind IN ('call.held', 'call.voted', 'call.approved', 'call.rejected',
            'call.escalated', 'call.expired', 'call.cancelled', 'call.lapsed', 'call.released', 'call.executed',
            'call.tool_error', 'call.not_sent', 'call.outcome_unknown', 'call.revoked', 'call.restored',
            'alarm.call_tampered'))";
    const PAGE: &str = select_calls!("WHERE c.id > $1 ORDER BY c.id LIMIT 500");
    sqlx::query(ENTRY).execute(&mut *connection).await?;
    let (mut last, mut count) = (String::new(), 0);
    loop {
        let rows = sqlx::query(PAGE).bind(&last).fetch_all(&mut *connection).await?;
        let Some(end) = rows.last() else { return Ok(count) };
        last = end.try_get("id")?;
        for row in &rows {
            // One that cannot be read stays without a seal, and says so wherever it is asked for.
            let Ok(call) = unjudged_call(row) else { continue };
            let id = call.submission.id;
            let sql = "UPDATE calls SET state_mac = $2 WHERE id = $1";
            let mac = state_mac(seal, &call).to_string();
            sqlx::query(sql).bind(id.to_string()).bind(mac).execute(&mut *connection).await?;
            count += 1;
        }
    }
}

/// The upstream's answer, while it is kept.
fn answer(row: &SqliteRow) -> Result<Option<Answer>, sqlx::Error> {
    let (kind, body): (Option<String>, Option<String>) = (row.try_get("answer_kind")?, row.try_get("answer")?);
    Ok(kind.zip(body).map(|(kind, body)| if kind == "result" { Answer::Result(body) } else { Answer::Error(body) }))
}

/// The columns that a state fills, as they are written.
#[derive(Default)]
pub(super) struct StateColumns {
    pub expires_at: Option<i64>,
    pub escalated: bool,
    pub approved_at: Option<i64>,
    pub approved_by: Option<&'static str>,
    pub usable_until: Option<i64>,
    pub claim: Option<String>,
    pub ended_by: Option<String>,
    pub ended_why: Option<String>,
}

impl StateColumns {
    /// What the columns come to when `next` is written after them: null keeps what is there, but of how a call ended
    /// only the last word counts.
    pub(super) fn then(&mut self, next: Self) {
        *self = Self {
            expires_at: next.expires_at.or(self.expires_at),
            escalated: next.escalated || self.escalated,
            approved_at: next.approved_at.or(self.approved_at),
            approved_by: next.approved_by.or(self.approved_by),
            usable_until: next.usable_until.or(self.usable_until),
            claim: next.claim.or(self.claim.take()),
            ended_by: next.ended_by,
            ended_why: next.ended_why,
        };
    }

    pub(super) fn of(state: &CallState) -> Self {
        match state {
            CallState::Pending { expires_at, escalated, .. } => {
                Self { expires_at: Some(expires_at.0), escalated: *escalated, ..Self::default() }
            }
            CallState::Approved { by, at, usable_until } => Self {
                approved_at: Some(at.0),
                approved_by: Some(match by {
                    Approver::Reviewers(_) => "reviewers",
                    Approver::Policy => "policy",
                }),
                usable_until: Some(usable_until.0),
                ..Self::default()
            },
            CallState::Rejected { by, reason, .. } => {
                Self { ended_by: Some(by.to_string()), ended_why: Some(reason.clone()), ..Self::default() }
            }
            CallState::Releasing { claim, .. } => Self { claim: Some(claim.to_string()), ..Self::default() },
            CallState::OutcomeUnknown { why, .. } | CallState::Revoked { why, .. } => {
                Self { ended_why: Some(why.clone()), ..Self::default() }
            }
            CallState::Expired { .. }
            | CallState::Cancelled { .. }
            | CallState::Executed { .. }
            | CallState::ToolError { .. }
            | CallState::Lapsed { .. } => Self::default(),
        }
    }
}
