//! "What would happen to this call?", the form on the tools page, and its answer.

use super::Text;
use super::policy::Ruling;

/// The form, filled in as it was sent.
#[derive(Debug, Clone, Default)]
pub struct TryForm {
    /// Every configured upstream.
    pub upstreams: Vec<String>,
    /// Every live agent's name.
    pub agents: Vec<String>,
    /// Known tools to pick from; those whose names show themselves as they are.
    pub tools: Vec<String>,
    /// The upstream that was picked.
    pub upstream: String,
    /// The tool that was written.
    pub tool: String,
    /// The agent that was picked; empty: anybody.
    pub agent: String,
    /// The arguments that were pasted.
    pub arguments: String,
    /// What would happen; `None` where nothing was asked.
    pub answer: Option<Tried>,
}

/// What would happen to a call.
#[derive(Debug, Clone)]
pub enum Tried {
    /// The arguments cannot be read: the gateway would refuse the message.
    Unreadable {
        /// The line of the arguments, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
        /// What is wrong there.
        problem: Text,
    },
    /// It would be refused before the policy is asked.
    Refused(Text),
    /// The policy's answer.
    Ruled(Box<Answer>),
}

/// What the policy says of a call.
#[derive(Debug, Clone)]
pub struct Answer {
    /// In a word.
    pub ruling: Ruling,
    /// In a sentence.
    pub words: Text,
    /// The rule's JSON Pointer in the file.
    pub rule: Text,
    /// What the agent would be told, where the policy has words for it.
    pub told: Option<Text>,
    /// What else is asked of reviewers, a sentence each.
    pub asks: Vec<String>,
    /// The limits that it would count towards, each with its rule.
    pub limits: Vec<(String, Text)>,
    /// What the tool is taken for, by its name and its server's words.
    pub class: &'static str,
    /// Why.
    pub why: Text,
}
