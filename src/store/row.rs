//! A call's row, both ways. A row that this program cannot have written is an error that names table, column and row.

use serde::de::DeserializeOwned;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::StoreError;
use crate::call::{
    Answer, Approver, CallState, Caller, Digest, HeldCall, Millis, Requirement, StoredVote, Submission, Verdict, Vote,
};

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
            "(SELECT json_group_array(json_array(v.reviewer_id, v.email, v.verdict, v.at, v.reason, v.mac) ",
            "ORDER BY v.at, v.rowid) FROM votes v WHERE v.call_id = c.id) AS votes ",
            "FROM calls c JOIN call_params p ON p.call_id = c.id LEFT JOIN call_answers a ON a.call_id = c.id ",
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
        serde_json::from_str(&self.text(column)?).map_err(|e| self.bad(column, &e))
    }

    fn votes(&self) -> Result<Vec<StoredVote>, StoreError> {
        let rows: Vec<(crate::call::ReviewerId, crate::call::Email, Verdict, Millis, String, Digest)> =
            self.json("votes")?;
        let vote = |(by, by_email, verdict, at, reason, mac)| StoredVote {
            vote: Vote { verdict, by, at, reason },
            by_email,
            mac,
        };
        Ok(rows.into_iter().map(vote).collect())
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

    fn nonce(&self) -> Result<[u8; 32], StoreError> {
        Ok(self.parsed::<Digest>("nonce")?.0)
    }
}

pub(super) fn held_call(row: &SqliteRow) -> Result<HeldCall, StoreError> {
    let id: String = row.try_get("id")?;
    let reader = Reader { row, id };
    let votes = reader.votes()?;
    let state = reader.state(&votes)?;
    let params = reader.text("params")?;
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
        arguments_at: reader.arguments_at(&params)?,
        params,
        headers: reader.json("headers")?,
        same_call: reader.parsed("same_call")?,
        nonce: reader.nonce()?,
        policy: reader.parsed("policy")?,
        rule: reader.text("rule")?,
        requirement: reader.json::<Requirement>("requirement")?,
        era: serde_json::from_value(era.into()).map_err(|e| reader.bad("era", &e))?,
        client: reader.optional("client")?,
        created_at: Millis(reader.number("created_at")?),
    };
    let context = reader.optional("context")?.map(|text| serde_json::from_str(&text)).transpose();
    Ok(HeldCall {
        submission,
        digest: reader.parsed("digest")?,
        state,
        votes,
        expires_at: Millis(reader.number("expires_at")?),
        told_to_return: reader.number("told_to_return")? != 0,
        caller_gone: reader.number("caller_gone")? != 0,
        context: context.map_err(|e| reader.bad("context", &e))?,
        answer: match (reader.optional("answer_kind")?.as_deref(), reader.optional("answer")?) {
            (Some("result"), Some(body)) => Some(Answer::Result(body)),
            (Some(_), Some(body)) => Some(Answer::Error(body)),
            _ => None,
        },
        changed_at: Millis(reader.number("changed_at")?),
        held_mac: reader.parsed_if("held_mac")?,
        approval_mac: reader.parsed_if("approval_mac")?,
    })
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
