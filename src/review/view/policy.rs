//! `/policy`, called "Tools": what agents may do, in plain words.

use askama::Template;

use super::tried::{Tried, TryForm};
use super::{Chrome, Text, Time};
use crate::review::Effect;

/// The tools of every upstream with what the policy says of each.
#[derive(Debug, Clone, Template)]
#[template(path = "policy.html")]
pub struct PolicyPage {
    /// Top bar and banners; `nav` is Tools.
    pub chrome: Chrome,
    /// The file's name as configured.
    pub file: Text,
    /// The version in force: the start of the file's SHA-256, or what the policy names itself.
    pub version: String,
    /// When it was loaded.
    pub loaded: Time,
    /// What happens to a tool that the policy does not list.
    pub default: Ruling,
    /// The file on disk is broken; the version in force is the last good one.
    pub broken: Option<Broken>,
    /// Every configured upstream.
    pub upstreams: Vec<Upstream>,
    /// "What would happen to this call?"
    pub form: TryForm,
    /// What became of the policy, the newest first.
    pub history: Vec<Step>,
}

/// One step of the policy's history.
#[derive(Debug, Clone)]
pub struct Step {
    /// When.
    pub at: Time,
    /// What happened.
    pub what: StepWhat,
}

/// What happened to the policy.
#[derive(Debug, Clone)]
pub enum StepWhat {
    /// This version came into force.
    Loaded {
        /// The start of the file's SHA-256.
        version: String,
        /// The number of the log's entry, by which its page is found.
        entry: i64,
    },
    /// The file was broken.
    Refused {
        /// The first of its problems.
        problem: Text,
        /// How many there are besides.
        more: usize,
    },
}

/// A policy file that could not be loaded.
#[derive(Debug, Clone)]
pub struct Broken {
    /// When it was seen.
    pub at: Time,
    /// All problems, each as `FILE:LINE:COLUMN /pointer: message`.
    pub problems: Vec<Text>,
}

/// One upstream server.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// Its name.
    pub name: Text,
    /// How it is reached, without secrets: "command awslabs.iam-mcp-server", `https://mcp.example.com/mcp`.
    pub reached: Text,
    /// Whether it answers.
    pub status: Status,
    /// The agents that may use it.
    pub agents: Vec<Text>,
    /// Its tools by name; `None` until it has listed them.
    pub tools: Option<Vec<Tool>>,
}

/// Whether an upstream answers.
#[derive(Debug, Clone)]
pub enum Status {
    /// It does.
    Up,
    /// Not started yet: it starts with the first agent.
    Idle,
    /// It does not, since when and why.
    Down {
        /// Since when.
        since: Time,
        /// Why.
        why: Text,
    },
}

/// What the policy says of a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ruling {
    /// Runs at once.
    Allow,
    /// Asks a reviewer.
    Ask,
    /// Refused.
    Deny,
    /// Refused, and the agent never sees it.
    Hide,
    /// One of these, by its arguments.
    Depends,
}

impl Ruling {
    /// Its name in classes.
    #[must_use]
    pub fn slug(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Ask => "ask",
            Self::Deny => "deny",
            Self::Hide => "hide",
            Self::Depends => "depends",
        }
    }

    /// Its icon in the sprite.
    #[must_use]
    pub fn icon(self) -> &'static str {
        match self {
            Self::Allow => "run",
            Self::Ask => "person",
            Self::Deny => "stopped",
            Self::Hide => "hidden",
            Self::Depends => "info",
        }
    }

    /// The word as shown.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Allow => "Runs",
            Self::Ask => "Asks",
            Self::Deny => "Refused",
            Self::Hide => "Hidden",
            Self::Depends => "Depends",
        }
    }
}

/// One tool.
#[derive(Debug, Clone)]
pub struct Tool {
    /// Its name.
    pub name: Text,
    /// What the policy says.
    pub ruling: Ruling,
    /// The same in a sentence: "Asks a reviewer of iam; without an answer in 15 min it does not run."
    pub words: Text,
    /// Its limits in words: "30 a minute for each agent".
    pub limits: Vec<String>,
    /// The rule's JSON Pointer in the file: `/tools/put_user_policy`.
    pub rule: Text,
    /// What it is taken for: "Write".
    pub class: &'static str,
    /// Why, in words; the author's note where the policy has one.
    pub why: Text,
    /// How often it was called: "Called 12 times, 3 of them held"; `None`: never.
    pub called: Option<(String, Time)>,
    /// The upstream's own description, its claim.
    pub description: Option<Text>,
    /// Where all that it says is.
    pub page: String,
    /// What becomes of its calls because it has changed; `None` where it says what was accepted.
    pub changed: Option<Effect>,
}
