//! What can go wrong on the way to an upstream, and whether the message may have arrived all the same.

use crate::call::UpstreamName;

/// Why an upstream could not take a message. The text is fit for an agent: it holds no output of the upstream's.
#[derive(Clone, Debug, thiserror::Error)]
pub enum UpstreamError {
    /// placet.toml asks for something that cannot be.
    #[error("upstream {upstream} is configured wrongly: {problem}")]
    Config {
        /// Which one.
        upstream: UpstreamName,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// It could not be started or reached.
    #[error("upstream {upstream} is not available: {why}. The operator finds more in Placet's log")]
    Unavailable {
        /// Which one.
        upstream: UpstreamName,
        /// What happened.
        why: String,
    },
    /// The agent holds as many connections as it may, all of them busy.
    #[error("upstream {upstream} takes no more than {max} connections of one agent, and all are busy. Close a session")]
    TooManyLinks {
        /// Which one.
        upstream: UpstreamName,
        /// How many are allowed.
        max: usize,
    },
    /// A request of the same id, or with the same progress token, is still open on this link.
    #[error("a request with this id or progress token is still open. Use another id")]
    IdInUse,
    /// Not a JSON-RPC 2.0 request, notification or response.
    #[error("not a JSON-RPC message")]
    Malformed,
    /// The upstream offers no stream for messages of its own (it answers GET with 405).
    #[error("upstream {upstream} offers no stream for messages of its own")]
    NoStream {
        /// Which one.
        upstream: UpstreamName,
    },
    /// The link has ended before the message was sent.
    #[error("the connection to upstream {upstream} has ended: {why}. Initialize again")]
    Closed {
        /// Which one.
        upstream: UpstreamName,
        /// Why it ended.
        why: String,
    },
    /// The connection broke after the message began to leave: it may have been taken.
    #[error("the connection to upstream {upstream} broke: {why}. The message may have been taken")]
    Lost {
        /// Which one.
        upstream: UpstreamName,
        /// What happened.
        why: String,
    },
}

impl UpstreamError {
    /// Whether surely no byte of the message was delivered.
    #[must_use]
    pub fn surely_not_sent(&self) -> bool {
        !matches!(self, Self::Lost { .. })
    }
}

/// Why a request of Placet's own has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Surely not delivered: it did not run.
    #[error("{0}")]
    NotSent(String),
    /// It may have run.
    #[error("{0}")]
    Unknown(String),
}

impl From<UpstreamError> for SendError {
    fn from(error: UpstreamError) -> Self {
        if error.surely_not_sent() { Self::NotSent(error.to_string()) } else { Self::Unknown(error.to_string()) }
    }
}
