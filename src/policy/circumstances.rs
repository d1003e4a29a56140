//! What a condition can look at besides the arguments: who calls, what the tool is said to be, and what time it is.

use std::collections::BTreeMap;

use super::classify::{Tool, classify};
use super::pattern::without_upstream;
use super::schedule::Schedule;
use crate::call::json::{Kind, Limits, Node, Span, read_strict};
use crate::call::{Millis, Risk, UpstreamName};

/// What is known around a call. What is not known decides nothing: it is as a missing argument.
#[derive(Clone, Copy, Debug, Default)]
pub struct Circumstances<'a> {
    /// The agent's name.
    pub agent: Option<&'a str>,
    /// Who answers for the agent.
    pub owner: Option<&'a str>,
    /// The tool as its server lists it.
    pub listed: Option<&'a ToolFacts>,
    /// When the call is ruled.
    pub now: Option<Millis>,
}

/// What a server says of a tool, as far as conditions look at it: its claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolFacts {
    /// What kind of tool it is taken for: `read`, `write`, `destructive`, `execute`, `financial`, `access`, `unknown`.
    pub class: &'static str,
    /// Its `annotations` that are true or false.
    pub annotations: BTreeMap<String, bool>,
}

impl ToolFacts {
    /// Of a tool of which nothing is known but its name.
    #[must_use]
    pub fn named(upstream: &UpstreamName, name: &str) -> Self {
        let class = word(classify(upstream.as_str(), &Tool::named(name)).class);
        Self { class, annotations: BTreeMap::new() }
    }

    /// Reads the element of a server's list of tools. Of one that not everybody reads alike only its name counts.
    #[must_use]
    pub fn read(upstream: &UpstreamName, name: &str, tool: &str) -> Self {
        let limits = Limits { max_bytes: usize::MAX, ..Limits::default() };
        let Ok(document) = read_strict(tool.as_bytes(), &limits) else {
            return Self::named(upstream, name);
        };
        let class = word(classify(upstream.as_str(), &Tool::read(name, tool)).class);
        let members = document.root().get("annotations").and_then(Node::as_object).unwrap_or_default();
        let flag = |member: &crate::call::json::Member<'_>| {
            member.value.as_bool().map(|value| (member.key.clone().into_owned(), value))
        };
        Self { class, annotations: members.iter().filter_map(flag).collect() }
    }
}

fn word(class: Option<Risk>) -> &'static str {
    class.map_or("unknown", Risk::as_str)
}

/// One thing around a call, as a condition's path names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fact {
    Agent,
    Owner,
    Upstream,
    Tool,
    Class,
    Annotation(String),
}

const ANNOTATION: &str = "tool.annotations.";

/// The annotations of the protocol that are true or false.
pub(super) const ANNOTATIONS: [&str; 4] = ["readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"];

/// What kinds of tools there are.
pub(super) const CLASSES: [&str; 7] = ["read", "write", "destructive", "execute", "financial", "access", "unknown"];

/// The names that a path may have beside `args.…`, for errors.
pub(super) const NAMES: [&str; 6] =
    ["agent.name", "agent.owner", "upstream", "tool.name", "tool.class", "tool.annotations.readOnlyHint"];

impl Fact {
    /// Reads a path that does not lead into the arguments.
    pub(super) fn parse(path: &str) -> Option<Self> {
        Some(match path {
            "agent.name" => Self::Agent,
            "agent.owner" => Self::Owner,
            "upstream" => Self::Upstream,
            "tool.name" => Self::Tool,
            "tool.class" => Self::Class,
            other => {
                let name = other.strip_prefix(ANNOTATION)?;
                let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
                Self::Annotation(plain.then(|| name.to_owned())?)
            }
        })
    }

    /// As in the policy.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Agent => "agent.name".to_owned(),
            Self::Owner => "agent.owner".to_owned(),
            Self::Upstream => "upstream".to_owned(),
            Self::Tool => "tool.name".to_owned(),
            Self::Class => "tool.class".to_owned(),
            Self::Annotation(name) => format!("{ANNOTATION}{name}"),
        }
    }

    /// Whether it is the server's word, and the server has not been heard: then it is doubt, and no silence of a server
    /// that was.
    pub(super) fn is_unheard(&self, call: &super::Call<'_>) -> bool {
        matches!(self, Self::Class | Self::Annotation(_)) && call.around.listed.is_none()
    }

    /// What it is for this call, as a value that operators compare; `None` where it is not known.
    pub(super) fn of<'a>(&self, call: &super::Call<'a>) -> Option<Node<'a>> {
        let text = |text: &'a str| Kind::String(text.into());
        let around = &call.around;
        let kind = match self {
            Self::Agent => around.agent.map(text),
            Self::Owner => around.owner.map(text),
            Self::Upstream => Some(text(call.upstream.as_str())),
            // The same policy holds whether or not names carry the upstream's.
            Self::Tool => Some(text(without_upstream(call.upstream, call.tool).unwrap_or(call.tool))),
            Self::Class => around.listed.map(|listed| text(listed.class)),
            Self::Annotation(name) => {
                around.listed.and_then(|listed| listed.annotations.get(name)).map(|value| Kind::Bool(*value))
            }
        }?;
        Some(Node { span: Span { start: 0, end: 0 }, kind })
    }
}

/// Whether the tool is taken for one that changes who may do what: as its server lists it, or where that is not known by
/// its name alone.
pub(super) fn is_access(call: &super::Call<'_>) -> bool {
    let class = call.around.listed.map(|listed| listed.class);
    class.unwrap_or_else(|| ToolFacts::named(call.upstream, call.tool).class) == Risk::Access.as_str()
}

/// As [`is_access`], of a tool of which nothing but the name is known, as a policy has it.
pub(super) fn changes_access(name: &str) -> bool {
    let (upstream, tool) = name.split_once('/').unwrap_or(("", name));
    classify(upstream, &Tool::named(tool)).class == Some(Risk::Access)
}

/// Whether the call comes at such a time; `None` where it is not known when it comes.
pub(super) fn is_within(schedule: &Schedule, call: &super::Call<'_>) -> Option<bool> {
    schedule.holds(call.around.now?)
}
