//! What the pages tell of the rest of the service. The reviewer's side knows neither policy file nor upstreams; who
//! puts the service together tells it.

use super::view::Banner;
use super::view::Text;
use super::view::policy::{Broken, Ruling, Upstream};
use super::view::tried::{Tried, TryForm};
use crate::approvals::Ineligible;
use crate::call::tool::Pin;
use crate::call::{ContextResult, GroupName, HeldCall, Millis, ReviewerId, ToolName, UpstreamName};
use crate::store::{Acceptance, BoxFuture, NotAccepted, StoreError};

/// The rest of the service, as the pages show it.
pub trait Overview: Send + Sync {
    /// Things that everybody must know, as of `now`. What the pages know themselves is added by them.
    fn banners(&self, now: Millis) -> BoxFuture<'_, Vec<Banner>>;

    /// What agents may do, as of `now`.
    fn tools(&self, now: Millis) -> BoxFuture<'_, ToolsOverview>;

    /// The form that asks what would happen to a call, with the names to choose from.
    fn form(&self) -> BoxFuture<'_, TryForm>;

    /// What would happen to a call. Nothing is counted, held, forwarded or logged.
    fn tried<'a>(&'a self, asked: &'a Hypothetical) -> BoxFuture<'a, Tried>;

    /// Makes the reads that the policy names for this call once more, now, for this reviewer, and writes down that it
    /// does. Bounded in number and time; `None` where as many are under way as may be at once.
    fn read_again<'a>(&'a self, call: &'a HeldCall, by: ReviewerId) -> BoxFuture<'a, Option<Vec<ContextResult>>>;

    /// What one tool says of itself, and what was accepted; `None`: no upstream here has listed such a tool.
    fn tool<'a>(
        &'a self,
        upstream: &'a UpstreamName,
        tool: &'a ToolName,
    ) -> BoxFuture<'a, Result<Option<ToolOverview>, StoreError>>;

    /// Takes down that a person accepts what a tool says.
    fn accept(&self, acceptance: Acceptance) -> BoxFuture<'_, Result<Result<(), NotAccepted<Ineligible>>, StoreError>>;

    /// What the tool of this call has to do with its being held, or keeps it from running.
    fn tool_news(&self, call: &HeldCall) -> Option<ToolNews>;
}

/// One tool.
#[derive(Clone, Debug)]
pub struct ToolOverview {
    /// What it says, and what was accepted.
    pub pin: Pin,
    /// It changed, and its last listing said again what was accepted before.
    pub is_back: bool,
    /// What becomes of its calls while a change waits.
    pub effect: Effect,
    /// Who may accept that; none: every reviewer.
    pub groups: Vec<GroupName>,
}

/// What becomes of calls of a tool that has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    None,
    /// They are held.
    Held,
    /// They are refused.
    Refused,
}

/// What a call's page tells of its tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToolNews {
    /// It had changed when the call was held, and that alone is why; whether it still waits for somebody.
    HeldForIt(bool),
    /// It had changed when the call was held, which would have been held anyway; whether it still waits.
    ChangedThen(bool),
    /// It changed since: the call does not run before somebody accepts that.
    ChangedSince,
}

/// A call that somebody asks about.
#[derive(Clone, Debug, Default)]
pub struct Hypothetical {
    /// Where it would go.
    pub upstream: String,
    /// The tool.
    pub tool: String,
    /// Who would make it; empty: anybody.
    pub agent: String,
    /// Its arguments as JSON; empty: none.
    pub arguments: String,
}

/// The policy and the tools of every upstream.
#[derive(Clone, Debug)]
pub struct ToolsOverview {
    /// The file's name as configured.
    pub file: String,
    /// The version in force.
    pub version: String,
    /// When it was loaded.
    pub loaded: Millis,
    /// What happens to a tool that the policy does not list.
    pub default: Ruling,
    /// The file on disk, where it is broken.
    pub broken: Option<Broken>,
    /// Every configured upstream.
    pub upstreams: Vec<Upstream>,
}

/// Nothing to tell: for parts of the service that run alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoOverview;

impl Overview for NoOverview {
    fn banners(&self, _: Millis) -> BoxFuture<'_, Vec<Banner>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn tools(&self, now: Millis) -> BoxFuture<'_, ToolsOverview> {
        Box::pin(std::future::ready(ToolsOverview {
            file: String::new(),
            version: String::new(),
            loaded: now,
            default: Ruling::Deny,
            broken: None,
            upstreams: Vec::new(),
        }))
    }

    fn form(&self) -> BoxFuture<'_, TryForm> {
        Box::pin(std::future::ready(TryForm::default()))
    }

    fn tried<'a>(&'a self, _: &'a Hypothetical) -> BoxFuture<'a, Tried> {
        Box::pin(std::future::ready(Tried::Refused(Text::new("No upstream is called so."))))
    }

    fn read_again<'a>(&'a self, _: &'a HeldCall, _: ReviewerId) -> BoxFuture<'a, Option<Vec<ContextResult>>> {
        Box::pin(std::future::ready(Some(Vec::new())))
    }

    fn tool<'a>(
        &'a self,
        _: &'a UpstreamName,
        _: &'a ToolName,
    ) -> BoxFuture<'a, Result<Option<ToolOverview>, StoreError>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn accept(&self, _: Acceptance) -> BoxFuture<'_, Result<Result<(), NotAccepted<Ineligible>>, StoreError>> {
        Box::pin(std::future::ready(Ok(Err(NotAccepted::NotChanged))))
    }

    fn tool_news(&self, _: &HeldCall) -> Option<ToolNews> {
        None
    }
}
