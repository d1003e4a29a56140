//! What a call carries, as its page shows it: the bytes that came in, what was read for the reviewers, what came back.

use super::tree::CodeLine;
use super::{Text, Time};

/// The exact bytes of `arguments` as received.
#[derive(Debug, Clone)]
pub struct Exact {
    /// The text, secrets masked unless revealed.
    pub text: Text,
    /// Something in it is masked: these are not the bytes that the digest covers.
    pub masked: bool,
    /// How many bytes were received.
    pub bytes: u64,
    /// SHA-256 of the bytes, in hex; `None` where something is masked, as a short secret can be guessed from it.
    pub sha256: Option<String>,
}

/// That the contents of a call are gone.
#[derive(Debug, Clone)]
pub struct Erased {
    /// Since when.
    pub at: Time,
    /// The log says so too; otherwise somebody else took them away, which is an alarm.
    pub logged: bool,
}

/// A read-only call made for the reviewer.
#[derive(Debug, Clone)]
pub struct Read {
    /// The tool: `get_user_policy`.
    pub tool: Text,
    /// Its arguments, short: `user_name: ci-bot, policy_name: deploy`.
    pub arguments: Text,
    /// When it was made.
    pub at: Time,
    /// What came back.
    pub answer: ReadAnswer,
}

impl Read {
    /// Whether the answer is not back yet.
    #[must_use]
    pub fn is_loading(&self) -> bool {
        matches!(self.answer, ReadAnswer::Loading)
    }
}

/// What a context read brought.
#[derive(Debug, Clone)]
pub enum ReadAnswer {
    /// Not back yet.
    Loading,
    /// A text that is no JSON.
    Text(Text),
    /// JSON, pretty-printed.
    Document(Vec<CodeLine>),
    /// The tool answered with an error, for example that there is no such policy.
    ToolError(Text),
    /// Could not be read; never shown as "none".
    Failed(Text),
}

/// Masked secrets in the arguments, the reads and the outcome.
#[derive(Debug, Clone)]
pub struct Masked {
    /// How many.
    pub count: usize,
    /// Whether this person may reveal them: `POST /calls/{id}/reveal` with `csrf`, audited.
    pub may_reveal: bool,
}

/// What the tool answered.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// When.
    pub at: Time,
    /// Whether the tool called it an error.
    pub is_error: bool,
    /// How long the upstream took: "340 ms".
    pub took: Option<String>,
    /// What came back.
    pub body: OutcomeBody,
}

/// The forms of an answer.
#[derive(Debug, Clone)]
pub enum OutcomeBody {
    /// JSON, pretty-printed.
    Document(Vec<CodeLine>),
    /// Anything else.
    Text(Text),
    /// Erased, or not kept.
    Gone,
    /// What is kept is not what was recorded: it is not shown, which is an alarm.
    Untrue,
}

impl OutcomeBody {
    /// Whether the upstream's words are shown.
    #[must_use]
    pub fn is_shown(&self) -> bool {
        matches!(self, Self::Document(_) | Self::Text(_))
    }
}
