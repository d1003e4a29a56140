//! `/calls/{id}`: one call, everything a reviewer must know, and the decision.

use askama::Template;

pub use super::contents::{Erased, Exact, Masked, Outcome, OutcomeBody, Read, ReadAnswer};
use super::queue::Queue;
use super::standing::GrantForm;
use super::tree::{Row, Tree};
use super::unknown::Unknown;
use super::{Chrome, Severity, State, Text, Time, Verdict};
use crate::review::ToolNews;

/// The page of one call, with the queue beside it on wide screens.
#[derive(Debug, Clone, Template)]
#[template(path = "call.html")]
pub struct CallPage {
    /// Top bar and banners; `nav` is Queue while the call is pending, else History.
    pub chrome: Chrome,
    /// The list beside the call; `selected` is this call. `None` where the call is not pending and
    /// the person came from the history: the call then has the page for itself.
    pub queue: Option<Queue>,
    /// The call.
    pub call: Call,
}

/// One call.
#[derive(Debug, Clone)]
pub struct Call {
    /// Its id, as in the address.
    pub id: String,
    /// What is stored of it is not what Placet wrote: nothing on the page is to be believed.
    pub changed: bool,
    /// Where it stands, with the facts of that state.
    pub standing: Standing,
    /// How bad it would be.
    pub severity: Severity,
    /// What it would do, in one sentence made from the call, never from the agent's words:
    /// "Lets user ci-bot make itself administrator", at least "put_user_policy on user ci-bot".
    pub line: Text,
    /// The agent's name.
    pub agent: Text,
    /// The address of the agent's owner.
    pub owner: Text,
    /// The upstream's name.
    pub upstream: Text,
    /// The tool's name.
    pub tool: Text,
    /// When it was held.
    pub created: Time,
    /// It waits for a decision and comes from a copy of the database of this moment: it may have been decided, and have
    /// run, since.
    pub as_of: Option<Time>,
    /// What its tool's change has to do with it.
    pub tool_news: Option<ToolNews>,
    /// Where all that its tool says is.
    pub tool_page: String,
    /// Which policy rule held it, as a JSON Pointer, and the policy's version.
    pub rule: Option<Text>,
    /// What the agent says of itself and of its reasons.
    pub claims: Vec<Claim>,
    /// The arguments as a readable tree.
    pub arguments: Tree,
    /// Hidden characters and other tricks in the arguments, each named; mostly empty.
    pub tricks: Vec<Trick>,
    /// What was found dangerous; mostly empty until a call is explained.
    pub findings: Vec<Finding>,
    /// What the upstream says now: the policy's `context` reads.
    pub reads: Vec<Read>,
    /// The reads that are stored are not those that were recorded: none is shown, which is an alarm.
    pub reads_untrue: bool,
    /// Masked secrets that can be revealed; `None` where nothing is masked, or all is revealed.
    pub masked: Option<Masked>,
    /// Whether this rendering shows secrets in clear (the answer to the reveal form).
    pub revealed: bool,
    /// The arguments as received; `None` once they are erased.
    pub exact: Option<Exact>,
    /// Retention erased what was sent and what came back.
    pub erased: Option<Erased>,
    /// The call's digest, in hex: what the decision form carries.
    pub digest: String,
    /// What happened, oldest first.
    pub timeline: Vec<Event>,
    /// A signed checkpoint covers all that happened, so that `/calls/{id}/receipt` has something to give.
    pub receipted: bool,
    /// What came back, where the call was sent.
    pub outcome: Option<Outcome>,
    /// The form; `Some` exactly while the call is pending. It posts to `/calls/{id}/decision` with
    /// `csrf`, `digest`, `reason`, `verdict` and, where asked for, `confirm_critical=yes`.
    pub decision: Option<Decision>,
    /// For who has just approved it: that the next ones like it may pass.
    pub grant: Option<GrantForm>,
}

impl Call {
    /// The name of its state, for `data-state`.
    #[must_use]
    pub fn state(&self) -> State {
        self.standing.state()
    }

    /// Whether nobody has found out yet what became of it.
    #[must_use]
    pub fn is_unfound(&self) -> bool {
        matches!(&self.standing, Standing::OutcomeUnknown(unknown) if unknown.found.is_none())
    }

    /// Whether the reads of then stand beside those of now.
    #[must_use]
    pub fn is_compared(&self) -> bool {
        matches!(&self.standing, Standing::OutcomeUnknown(unknown) if !unknown.compared.is_empty())
    }
}

/// Where a call stands.
#[derive(Debug, Clone)]
pub enum Standing {
    /// Waits for a decision.
    Pending {
        /// When it expires.
        expires: Time,
        /// What happens then.
        then: OnTimeout,
        /// Approvals given.
        have: u32,
        /// Approvals needed.
        need: u32,
        /// Nobody may decide it: an alarm.
        without_reviewer: bool,
    },
    /// Approved; runs when its caller is there.
    Approved {
        /// Who approved, in order; "the policy" where no person did.
        by: Vec<Text>,
        /// When the last approval was given.
        at: Time,
        /// The caller is gone: it runs only if the same call comes back.
        parked: bool,
        /// Until when it may run.
        until: Option<Time>,
    },
    /// Rejected by a person.
    Rejected {
        /// Who.
        by: Text,
        /// When.
        at: Time,
        /// Why, as told to the agent.
        reason: Option<Text>,
    },
    /// Nobody decided in time.
    Expired {
        /// When.
        at: Time,
    },
    /// The agent took it back or left.
    Cancelled {
        /// When.
        at: Time,
    },
    /// Sent to the upstream, no answer yet.
    Releasing {
        /// Since when.
        since: Time,
    },
    /// Ran; the tool answered.
    Executed {
        /// When the answer came.
        at: Time,
        /// Who approved.
        by: Vec<Text>,
    },
    /// Ran; the tool answered with an error.
    ToolError {
        /// When the answer came.
        at: Time,
        /// Who approved.
        by: Vec<Text>,
    },
    /// Sent, and nobody knows whether it ran.
    OutcomeUnknown(Box<Unknown>),
    /// Approved, but not run in time.
    Lapsed {
        /// When.
        at: Time,
    },
    /// Approved, then withdrawn.
    Revoked {
        /// When.
        at: Time,
        /// Why: "the policy now denies put_user_policy".
        why: Text,
    },
}

impl Standing {
    /// Its name.
    #[must_use]
    pub fn state(&self) -> State {
        match self {
            Self::Pending { .. } => State::Pending,
            Self::Approved { .. } => State::Approved,
            Self::Rejected { .. } => State::Rejected,
            Self::Expired { .. } => State::Expired,
            Self::Cancelled { .. } => State::Cancelled,
            Self::Releasing { .. } => State::Releasing,
            Self::Executed { .. } => State::Executed,
            Self::ToolError { .. } => State::ToolError,
            Self::OutcomeUnknown(_) => State::OutcomeUnknown,
            Self::Lapsed { .. } => State::Lapsed,
            Self::Revoked { .. } => State::Revoked,
        }
    }
}

/// What the policy does with a call that nobody decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnTimeout {
    /// Not run.
    Reject,
    /// Shown to further groups, then not run.
    Escalate,
    /// Run, in the policy's name.
    Approve,
}

impl OnTimeout {
    /// As it ends the sentence "Expires in 12 min, then …".
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Reject => "it does not run",
            Self::Escalate => "further reviewers are asked",
            Self::Approve => "it runs in the policy’s name",
        }
    }
}

/// Something the agent says of itself; always quoted and marked as its claim.
#[derive(Debug, Clone)]
pub struct Claim {
    /// What it is about, in Placet's words: "Client", "Reason", "confirmed: true".
    pub label: String,
    /// The agent's words; `None` where the label says it all ("confirmed: true was set by the agent").
    pub words: Option<Text>,
}

/// Something in the arguments that hides or misleads.
#[derive(Debug, Clone)]
pub struct Trick {
    /// What, in Placet's words: "Text direction is changed", "Key given twice".
    pub what: String,
    /// Where, as a path: `policy_document.Statement[0].Resource`.
    pub place: Text,
    /// How it looks with the hidden made visible.
    pub shown: Text,
}

/// Something dangerous about the call.
#[derive(Debug, Clone)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// Its id: `iam-007`.
    pub id: String,
    /// What it is.
    pub title: Text,
    /// Why it is dangerous, in one sentence.
    pub reason: Text,
    /// The words of the call that it is about.
    pub statement: Option<Text>,
}

/// Something that happened to the call.
#[derive(Debug, Clone)]
pub struct Event {
    /// When.
    pub at: Time,
    /// Which icon and colour.
    pub kind: EventKind,
    /// Who did it, where somebody did; begins the sentence.
    pub who: Option<Text>,
    /// What happened, following `who`: "approved this call", or a whole sentence without.
    pub what: String,
    /// Words that a person or an upstream gave with it.
    pub quote: Option<Text>,
}

/// The looks of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// Held, joined, mail sent, sent upstream.
    Plain,
    /// A vote for it.
    Approve,
    /// A vote against it.
    Reject,
    /// Ran.
    Done,
    /// Expired, cancelled, lapsed, revoked.
    Stopped,
    /// Something that needs attention.
    Alarm,
}

impl EventKind {
    /// Its class.
    #[must_use]
    pub fn slug(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Approve => "approve",
            Self::Reject => "reject",
            Self::Done => "good",
            Self::Stopped => "stop",
            Self::Alarm => "alarm",
        }
    }

    /// Its icon in the sprite.
    #[must_use]
    pub fn icon(self) -> &'static str {
        match self {
            Self::Plain => "clock",
            Self::Approve => "check",
            Self::Reject => "cross",
            Self::Done => "done",
            Self::Stopped => "stopped",
            Self::Alarm => "high",
        }
    }
}

/// The decision form of a pending call.
#[derive(Debug, Clone)]
pub struct Decision {
    /// Whether approving asks for `confirm_critical` and a reason.
    pub critical: bool,
    /// Whether approving asks for a reason.
    pub require_reason: bool,
    /// The choice that a mail's link prepared (`?prepare=approve`); it is only marked, never made.
    pub prepared: Option<Verdict>,
    /// Why this person may not decide; the form is then shown but disabled.
    pub barred: Option<Barred>,
    /// Why nobody can approve (document does not parse, key given twice); rejecting works.
    pub blocked: Option<String>,
    /// What was wrong with the last try: "Say why you approve: this call is critical."
    pub error: Option<String>,
    /// The reason typed at the last try.
    pub reason: String,
}

impl Decision {
    /// Whether approving needs a reason.
    #[must_use]
    pub fn needs_reason(&self) -> bool {
        self.critical || self.require_reason
    }

    /// Whether the mail's link prepared a yes.
    #[must_use]
    pub fn prepares_approve(&self) -> bool {
        self.prepared == Some(Verdict::Approve)
    }

    /// Whether the mail's link prepared a no.
    #[must_use]
    pub fn prepares_reject(&self) -> bool {
        self.prepared == Some(Verdict::Reject)
    }
}

/// Why a person may not decide.
#[derive(Debug, Clone)]
pub enum Barred {
    /// Owns the agent.
    Owner,
    /// Has voted already.
    Voted {
        /// How.
        verdict: Verdict,
        /// When.
        at: Time,
    },
    /// Is in none of the groups that review this call.
    NotReviewer {
        /// The groups.
        groups: Vec<Text>,
    },
    /// Reads everything, decides nothing.
    Auditor,
}
