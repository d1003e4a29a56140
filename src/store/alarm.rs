//! Alarms: something was changed behind Placet's back.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{Store, StoreError};
use crate::audit::Entry;
use crate::call::{AgentId, AgentName, CallId, Millis, ReviewerId, ToolName, UpstreamName};

/// The same thing is told again after so long.
const AGAIN: Duration = Duration::from_secs(3600);

/// Most that is remembered of what was told.
const MOST: usize = 10_000;

/// What was found to be changed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Changed {
    /// An agent's row.
    Agent(AgentId, AgentName),
    /// A person's account.
    Reviewer(ReviewerId),
    /// A session; whose its row says that it is.
    Session(String, ReviewerId),
    /// An API token; whose its row says that it is.
    Token(String, ReviewerId),
    /// A sign-in link; whose its row says that it is.
    Link(ReviewerId),
    /// A call's row.
    Call(CallId),
    /// An upstream's answer to a call.
    Answer(CallId),
    /// What a tool was pinned to.
    Tool(UpstreamName, ToolName),
    /// A standing approval; its id as its row has it.
    Standing(String),
}

/// When what was told last.
#[derive(Debug, Default)]
pub(super) struct Raised(Mutex<HashMap<Changed, Millis>>);

/// What the log has of alarms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alarms {
    /// How many.
    pub count: u64,
    /// How many of them say that the log is not what was signed.
    pub of_log: u64,
    /// When the last one was.
    pub latest: Millis,
}

impl Changed {
    fn what(&self) -> &'static str {
        match self {
            Self::Agent(..) => "agent",
            Self::Reviewer(_) => "reviewer",
            Self::Session(..) => "session",
            Self::Token(..) => "token",
            Self::Link(_) => "link",
            Self::Call(_) => "call",
            Self::Answer(_) => "answer",
            Self::Tool(..) => "tool",
            Self::Standing(_) => "standing approval",
        }
    }

    pub(super) fn entry(&self) -> Entry {
        let entry = Entry::new("alarm.row_changed").with("what", self.what());
        match self {
            Self::Agent(id, name) => entry.agent(name).with("agent_id", id.to_string()),
            Self::Reviewer(id) | Self::Link(id) => entry.reviewer(*id),
            Self::Session(id, of) => entry.reviewer(*of).with("session", id.as_str()),
            Self::Token(id, of) => entry.reviewer(*of).with("token", id.as_str()),
            Self::Call(id) | Self::Answer(id) => entry.call(*id),
            Self::Standing(id) => entry.with("standing", id.as_str()),
            Self::Tool(upstream, tool) => entry.upstream(upstream).tool(tool),
        }
    }
}

impl Store {
    /// Raises an alarm: an entry in the log, a line for the operator, a number. The same one is raised once an hour, so
    /// that a row that is asked for again and again does not fill the log.
    pub async fn alarm(&self, changed: Changed) {
        let now = self.now();
        {
            let mut raised = self.raised.0.lock().unwrap_or_else(PoisonError::into_inner);
            if raised.get(&changed).is_some_and(|at| now < at.after(AGAIN)) {
                return;
            }
            if raised.len() >= MOST {
                raised.clear();
            }
            raised.insert(changed.clone(), now);
        }
        tracing::error!(what = changed.what(), "ALARM: a row was changed behind Placet's back; the log says which");
        if let Err(error) = self.append(changed.entry()).await {
            tracing::error!(%error, "an alarm could not be written into the log");
            self.raised.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&changed);
        }
    }

    /// The alarms in the log since `from`, if there are any.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn alarms_since(&self, from: Millis) -> Result<Option<Alarms>, StoreError> {
        let sql = "SELECT count(*), count(*) FILTER (WHERE substr(kind, 1, 10) = 'alarm.log_'), max(at) FROM entries
                   WHERE substr(kind, 1, 6) = 'alarm.' AND at >= $1";
        let query = sqlx::query_as(sql).bind(from.0).fetch_one(self.readers());
        let (count, of_log, latest): (i64, i64, Option<i64>) = query.await?;
        let number = |count| u64::try_from(count).unwrap_or(0);
        Ok(latest.map(|latest| Alarms { count: number(count), of_log: number(of_log), latest: Millis(latest) }))
    }
}
