//! `/standing`: what passes without anybody's looking at it, and the form that grants it on a call's page.

use askama::Template;

use super::{Chrome, Text, Time};

/// `/standing`: those in force, then the latest that are over.
#[derive(Debug, Clone, Template)]
#[template(path = "standing.html")]
pub struct StandingPage {
    /// Top bar and banners.
    pub chrome: Chrome,
    /// Each of them.
    pub items: Vec<Item>,
    /// Whether the person may end one.
    pub may_end: bool,
}

/// One standing approval.
#[derive(Debug, Clone)]
pub struct Item {
    /// Its id, as in the log.
    pub id: String,
    /// Whose calls pass.
    pub agent: Text,
    /// Where they go.
    pub upstream: Text,
    /// The tool.
    pub tool: Text,
    /// Who granted it.
    pub by: Text,
    /// When.
    pub at: Time,
    /// Until when at most.
    pub until: Time,
    /// Why, if that was said.
    pub reason: Option<Text>,
    /// How many pass at most.
    pub uses: u32,
    /// How many passed.
    pub used: u32,
    /// Arguments that may differ.
    pub open: Vec<OpenArgument>,
    /// The call on which it was granted: what does not differ is as in that one.
    pub call: String,
    /// Whether it is in force, and else how it ended.
    pub status: Status,
    /// The latest calls that passed.
    pub passed: Vec<Passed>,
}

impl Item {
    /// How many more may pass.
    #[must_use]
    pub fn left(&self) -> u32 {
        self.uses.saturating_sub(self.used)
    }
}

/// Where a standing approval stands.
#[derive(Debug, Clone)]
pub enum Status {
    /// Calls pass.
    InForce,
    /// Its time is over.
    Over,
    /// Its uses are spent, or the database was put back: why, as a sentence.
    Spent {
        /// When.
        at: Time,
        /// Why.
        why: String,
    },
    /// Somebody ended it.
    Ended {
        /// Who.
        by: Text,
        /// When.
        at: Time,
    },
    /// Its row was changed behind Placet's back: nothing passes, and nothing here is to be believed.
    Changed,
}

/// An argument that may differ.
#[derive(Debug, Clone)]
pub struct OpenArgument {
    /// Its name.
    pub name: Text,
    /// What it must be like; `None`: anything.
    pub like: Option<Text>,
}

/// A call that passed.
#[derive(Debug, Clone)]
pub struct Passed {
    /// Its id.
    pub call: String,
    /// When.
    pub at: Time,
}

/// The form on the page of a call that this person has just approved.
#[derive(Debug, Clone)]
pub struct GrantForm {
    /// Most uses that the policy offers.
    pub most_uses: u32,
    /// The uses chosen.
    pub uses: String,
    /// Most minutes that the policy offers.
    pub most_minutes: u64,
    /// The minutes chosen.
    pub minutes: String,
    /// Arguments that may be left open.
    pub open: Vec<Choice>,
    /// The calls are critical: one deliberate step more.
    pub critical: bool,
    /// A reason is needed.
    pub needs_reason: bool,
    /// What was wrong with the last try.
    pub error: Option<String>,
    /// The reason typed then.
    pub reason: String,
}

/// An argument that may be left open.
#[derive(Debug, Clone)]
pub struct Choice {
    /// Its name, as the form sends it.
    pub value: String,
    /// What is shown.
    pub argument: OpenArgument,
    /// Whether it is.
    pub chosen: bool,
}
