//! The one model that every form of the file is read into.

use std::time::Duration;

use crate::call::{
    Digest, GroupName, InputAfterApproval, OnTimeout, Quorum, ReleaseWhen, Risk, StandingOffer, UpstreamName,
};

use super::condition::Condition;
use super::context::Template;
use super::limits::LimitUse;
use super::pattern::{Matcher, Pattern};

/// What the service's configuration says where the policy is silent, and what the policy cannot know.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// The pending deadline where neither entry names one.
    pub timeout: Duration,
    /// The configured upstreams, so that `a/b` is known to be the tool `a/b` where no upstream is called `a`. Empty:
    /// not known; then what stands before a `/` may be an upstream, and such an entry permits nothing elsewhere.
    pub upstreams: Vec<UpstreamName>,
}

/// What one entry does with the calls it matches; ordered, the strictest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Action {
    Allow,
    RequireApproval,
    Deny,
}

impl Action {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::RequireApproval => "require_approval",
            Self::Deny => "deny",
        }
    }
}

/// What becomes of calls of a tool that has changed what it says, until somebody accepts that; ordered, the strictest
/// last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ToolChanges {
    /// Nothing: the change is logged.
    Allow,
    /// They are held for approval.
    Hold,
    /// They are denied.
    Deny,
}

impl ToolChanges {
    /// As files name it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Hold => "hold",
            Self::Deny => "deny",
        }
    }
}

/// Whether an agent is asked why it makes a call; ordered, the strictest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AskReason {
    /// It may say so.
    Asked,
    /// Without a reason the call is not held.
    Required,
}

/// One element of `require` or `deny_if`.
#[derive(Clone, Debug)]
pub(super) struct Clause {
    /// Its JSON Pointer: its name in rulings.
    pub pointer: String,
    pub condition: Condition,
    /// What the agent is told where this denies.
    pub on_deny: Option<String>,
}

/// What a call's arguments must be, and must not be.
#[derive(Clone, Debug, Default)]
pub(super) struct Clauses {
    pub require: Vec<Clause>,
    pub deny_if: Vec<Clause>,
}

/// One entry of `tools` or `methods`.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub pattern: Pattern,
    /// Its JSON Pointer: its name in rulings.
    pub pointer: String,
    /// Byte offset of its key, for problems found after it was read.
    pub offset: usize,
    pub action: Action,
    pub reason: Option<String>,
    /// For who reads the file: agents are never told.
    pub note: Option<String>,
    pub overrides: bool,
    /// Whether being matched by it is being listed; otherwise it only restricts what others list.
    pub lists: bool,
    pub risk: Option<Risk>,
    pub approval: Approval,
    pub clauses: Clauses,
    pub limits: Vec<LimitUse>,
    pub tool_changes: Option<ToolChanges>,
}

/// The `approval` block as written; what is `None` was left out.
#[derive(Clone, Debug, Default)]
pub(super) struct Approval {
    /// Which calls need it; `None`: all of them.
    pub when: Option<Condition>,
    pub timeout: Option<Duration>,
    pub on_timeout: Option<OnTimeout>,
    pub execute_within: Option<Duration>,
    pub quorum: Option<Quorum>,
    pub reviewers: Option<Vec<GroupName>>,
    pub self_approval: Option<bool>,
    pub require_reason: Option<bool>,
    pub release: Option<ReleaseWhen>,
    pub input_after_approval: Option<InputAfterApproval>,
    pub message: Option<String>,
    pub context: Vec<Template>,
    pub ask_reason: Option<AskReason>,
    pub standing: Option<Standing>,
}

/// How far reviewers may let further calls pass, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub offer: StandingOffer,
    /// Also where calls change who may do what.
    pub access: bool,
}

/// Entries, the more specific first (exact names, then longer patterns, then by the alphabet), and what finds them.
#[derive(Clone, Debug)]
pub(super) struct Entries {
    pub list: Vec<Entry>,
    pub matcher: Matcher,
}

/// Names and globs without more to them.
#[derive(Clone, Debug)]
pub(super) struct Names {
    /// As written.
    pub texts: Vec<String>,
    pub matcher: Matcher,
}

/// A policy file that was read without an error. Immutable; cheap to share.
#[derive(Clone, Debug)]
pub struct Policy {
    pub(super) version: Digest,
    /// `Allow` or `Deny`.
    pub(super) default: Action,
    pub(super) description: Option<String>,
    pub(super) hide: Names,
    pub(super) readers: Names,
    /// What `all_tools` says.
    pub(super) everywhere: Vec<LimitUse>,
    pub(super) all_tools: Clauses,
    pub(super) tools: Entries,
    pub(super) methods: Entries,
    pub(super) tool_changes: ToolChanges,
    pub(super) defaults: Defaults,
}
