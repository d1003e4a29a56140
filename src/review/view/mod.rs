//! What the pages show: plain structs that a handler fills and a template renders.
//!
//! Nothing here knows axum, the store or the state machine. Every string from outside is a [`Text`],
//! every moment a [`Time`]; rendering is `page.render()` of [`askama::Template`] and cannot leak, as
//! the templates escape everything and never mark anything as safe.

pub mod account;
pub mod audit;
pub mod call;
pub mod contents;
pub mod error;
pub mod history;
pub mod login;
pub mod policy;
pub mod queue;
pub mod standing;
pub mod text;
pub mod time;
pub mod tool;
pub mod tree;
pub mod tried;
pub mod unknown;
pub mod versions;

#[cfg(test)]
mod fixtures;

pub use text::{Piece, Text};
pub use time::Time;

/// What surrounds every page: top bar, banners, scripts.
#[derive(Debug, Clone)]
pub struct Chrome {
    /// Title of the browser's tab, without the product's name: "put_user_policy by deploy-bot".
    pub title: String,
    /// The entry of the top bar that is marked as current.
    pub nav: Nav,
    /// Calls that wait, as counted in the top bar.
    pub pending: u64,
    /// Who is signed in; `None` hides the navigation (sign-in and some error pages).
    pub person: Option<Person>,
    /// Things that everybody must know, above the page's content.
    pub banners: Vec<Banner>,
    /// The server's time, so that countdowns do not depend on the reader's clock.
    pub now: Time,
    /// Whether the page connects to `/live`. Pages without a person never do.
    pub live: bool,
}

impl Chrome {
    /// The title with what hides in it made visible: a browser's tab has no badges.
    #[must_use]
    pub fn shown_title(&self) -> String {
        Text::new(&self.title).flat()
    }

    /// Whether this entry of the top bar is the current one.
    #[must_use]
    pub fn is(&self, nav: Nav) -> bool {
        self.nav == nav
    }

    /// The form token of the person who is signed in; empty without one.
    #[must_use]
    pub fn csrf(&self) -> &str {
        self.person.as_ref().map_or("", |person| person.csrf.as_str())
    }
}

/// The person who is signed in.
#[derive(Debug, Clone)]
pub struct Person {
    /// Display name, else the address.
    pub name: Text,
    /// Token bound to the session, sent by every form as `csrf`.
    pub csrf: String,
}

/// Entries of the top bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nav {
    /// `/` and, while a call is pending, its page.
    Queue,
    /// `/history`.
    History,
    /// `/policy`, called "Tools".
    Tools,
    /// `/audit`.
    Audit,
    /// `/account`, the person's name at the right.
    Account,
    /// None of them.
    Elsewhere,
}

/// A notice on every page until its cause is gone.
#[derive(Debug, Clone)]
pub enum Banner {
    /// `self_approval = true`: an agent's owner may decide its calls.
    SelfApproval,
    /// The policy file is broken; the last good one stays in force.
    PolicyBroken {
        /// When the broken file was seen.
        since: Time,
        /// The first problem, as `FILE:LINE:COLUMN: message`.
        problem: Text,
    },
    /// The log has alarms of the last week: something was changed behind Placet's back, or the log is not what was
    /// signed.
    Alarms {
        /// How many.
        count: u64,
        /// The last one.
        latest: Time,
        /// Some are about more than the log itself: what was changed is known, and counts for nothing.
        rows: bool,
    },
    /// The machine's clock was set back: Placet's time is ahead of it, and so are the times on pages.
    ClockSetBack {
        /// How far, in words.
        ahead: String,
    },
    /// Tools say something else of themselves than what was accepted.
    ToolsChanged {
        /// Some of them; never empty.
        tools: Vec<ChangedTool>,
        /// How many more there are.
        further: usize,
        /// Their calls are refused meanwhile, not held.
        refused: bool,
    },
    /// Calls pass without anybody's looking at them: the standing approval that ends first.
    Standing {
        /// Whose calls.
        agent: Text,
        /// Where they go.
        upstream: Text,
        /// The tool.
        tool: Text,
        /// How many more pass.
        left: u32,
        /// Until when at most.
        until: Time,
        /// How many more standing approvals are in force.
        further: usize,
    },
    /// Plain http on loopback: allowed for trying out.
    PlainHttp,
    /// Mails do not go out; they are kept and tried again.
    MailFailing {
        /// Since when.
        since: Time,
        /// How many wait.
        waiting: u64,
    },
}

/// A tool that has changed, as a banner names it.
#[derive(Debug, Clone)]
pub struct ChangedTool {
    /// Its name.
    pub tool: Text,
    /// Its upstream's name.
    pub upstream: Text,
    /// Where the difference is.
    pub page: String,
}

/// How bad a call would be, in colour, shape and word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing found, or not looked at; no badge is shown.
    None,
    /// Little to lose.
    Low,
    /// Worth a look.
    Medium,
    /// Dangerous.
    High,
    /// Fills a whole bar, asks for an extra step.
    Critical,
}

impl Severity {
    /// The word as in classes, icons and the API.
    #[must_use]
    pub fn slug(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The word as shown.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "No rating",
            Self::Low => "Low",
            Self::Medium => "Medium",
            Self::High => "High",
            Self::Critical => "Critical",
        }
    }

    /// Whether there is a rating to show.
    #[must_use]
    pub fn is_rated(self) -> bool {
        self != Self::None
    }

    /// Whether a list of decided calls mentions it.
    #[must_use]
    pub fn is_notable(self) -> bool {
        self >= Self::High
    }

    /// Whether the extra step is asked for.
    #[must_use]
    pub fn is_critical(self) -> bool {
        self == Self::Critical
    }
}

/// The state of a call in lists, and of a call page (`data-state`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Waits for a decision.
    Pending,
    /// Approved, not run yet.
    Approved,
    /// Rejected by a person.
    Rejected,
    /// Nobody decided in time.
    Expired,
    /// The agent took it back.
    Cancelled,
    /// On its way to the upstream.
    Releasing,
    /// Ran.
    Executed,
    /// Ran, and the tool answered with an error.
    ToolError,
    /// Sent, and nobody knows whether it ran.
    OutcomeUnknown,
    /// Approved, but the caller did not come back in time.
    Lapsed,
    /// Approved, then withdrawn: policy or agent changed.
    Revoked,
}

impl State {
    /// Every state, in the order of a call's life: for filters.
    pub const ALL: [Self; 11] = [
        Self::Pending,
        Self::Approved,
        Self::Releasing,
        Self::Executed,
        Self::ToolError,
        Self::OutcomeUnknown,
        Self::Rejected,
        Self::Expired,
        Self::Cancelled,
        Self::Lapsed,
        Self::Revoked,
    ];

    /// The name as in the API and in `data-state`.
    #[must_use]
    pub fn slug(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Releasing => "releasing",
            Self::Executed => "executed",
            Self::ToolError => "tool_error",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Lapsed => "lapsed",
            Self::Revoked => "revoked",
        }
    }

    /// The name as shown.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "Waiting",
            Self::Approved => "Approved",
            Self::Rejected => "Rejected",
            Self::Expired => "Expired",
            Self::Cancelled => "Cancelled",
            Self::Releasing => "Running",
            Self::Executed => "Executed",
            Self::ToolError => "Tool error",
            Self::OutcomeUnknown => "Outcome unknown",
            Self::Lapsed => "Lapsed",
            Self::Revoked => "Revoked",
        }
    }

    /// Its icon in the sprite.
    #[must_use]
    pub fn icon(self) -> &'static str {
        match self {
            Self::Pending | Self::Expired | Self::Lapsed => "clock",
            Self::Approved => "check",
            Self::Rejected => "cross",
            Self::Cancelled | Self::Revoked => "stopped",
            Self::Releasing => "run",
            Self::Executed => "done",
            Self::ToolError => "high",
            Self::OutcomeUnknown => "unknown",
        }
    }

    /// Its colour, as a class.
    #[must_use]
    pub fn tone(self) -> &'static str {
        match self {
            Self::Pending | Self::Approved | Self::Releasing => "open",
            Self::Executed => "good",
            Self::ToolError => "warn",
            Self::OutcomeUnknown => "alarm",
            Self::Rejected | Self::Expired | Self::Cancelled | Self::Lapsed | Self::Revoked => "stop",
        }
    }

    /// Reads the name as in the API; `None` for anything else.
    #[must_use]
    pub fn from_slug(slug: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.slug() == slug)
    }
}

/// A person's yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Run this exact call once.
    Approve,
    /// Do not run it.
    Reject,
}

impl Verdict {
    /// Whether it is a yes.
    #[must_use]
    pub fn is_approve(self) -> bool {
        self == Self::Approve
    }
}

/// Links to the neighbouring pages of a list; both `None` on a single page.
#[derive(Debug, Clone, Default)]
pub struct Paging {
    /// Address of the page with newer rows.
    pub newer: Option<String>,
    /// Address of the page with older rows.
    pub older: Option<String>,
}

impl Paging {
    /// Whether there is anything to turn.
    #[must_use]
    pub fn is_single(&self) -> bool {
        self.newer.is_none() && self.older.is_none()
    }
}
