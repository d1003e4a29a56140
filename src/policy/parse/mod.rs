//! Reads a policy file and reports everything that is wrong with it at once.

mod approval;
mod condition;
mod entry;
mod fact;
mod idle;
mod limit;
mod review;
mod rules;
mod standing;
mod state;

pub(super) use limit::WINDOWS;

use std::path::Path;

use crate::call::Digest;
use crate::call::json::{self, JsonErrorKind, Limits, Node};

use super::limits::LimitUse;
use super::model::{Action, Clauses, Defaults, Entries, Entry, Names, Policy, ToolChanges};
use super::pattern::{Matcher, Pattern};
use super::problem::{Problem, Severity};
use super::source::{At, Fields, Reader};
use super::yaml;

/// A policy file is written by people: this is far above what they write, and far below what hurts.
const READABLE: Limits = Limits { max_bytes: 8 << 20, max_depth: 64 };

const KEYS: [&str; 10] = [
    "version",
    "default",
    "hide",
    "readers",
    "all_tools",
    "tools",
    "methods",
    "tool_changes",
    "description",
    "$schema",
];

/// An element of `hide` or `readers`.
#[derive(Clone, Debug)]
struct Listed {
    pattern: Pattern,
    pointer: String,
    offset: usize,
}

/// A file without an error.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// What it says.
    pub policy: Policy,
    /// What it may not have meant to say, and every override.
    pub warnings: Vec<Problem>,
}

/// How a file is written. Either syntax can hold every form of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// RFC 8259, strictly.
    Json,
    /// YAML 1.2, without anchors and tags.
    Yaml,
}

impl Syntax {
    /// YAML where the file's name ends in `.yaml` or `.yml`, JSON otherwise.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        let yaml = path.extension().is_some_and(|it| it.eq_ignore_ascii_case("yaml") || it.eq_ignore_ascii_case("yml"));
        if yaml { Self::Yaml } else { Self::Json }
    }
}

/// Reads a policy written as JSON.
///
/// # Errors
/// Every problem of the file, warnings included, in its order; at least one is an error.
pub fn parse(text: &str, defaults: &Defaults) -> Result<Parsed, Vec<Problem>> {
    parse_as(Syntax::Json, text, defaults)
}

/// Reads a policy, in whichever of its forms: JSON version 1, the shorthand, or rules as Intercept has them.
///
/// # Errors
/// Every problem of the file, warnings included, in its order; at least one is an error.
pub fn parse_as(syntax: Syntax, text: &str, defaults: &Defaults) -> Result<Parsed, Vec<Problem>> {
    let mut reader = Reader::new(text);
    let policy = read(&mut reader, syntax, text, defaults);
    let problems = reader.finish();
    match policy {
        Some(policy) if problems.iter().all(|p| p.severity == Severity::Warning) => {
            Ok(Parsed { policy, warnings: problems })
        }
        _ => Err(problems),
    }
}

/// `None` only where an error was reported.
fn read(reader: &mut Reader<'_>, syntax: Syntax, text: &str, defaults: &Defaults) -> Option<Policy> {
    let root = match syntax {
        Syntax::Json => json(reader, text)?,
        Syntax::Yaml if text.len() > READABLE.max_bytes => {
            let message = format!("the file is larger than the limit of {} bytes", READABLE.max_bytes);
            reader.error_at(0, "", message, "use globs in place of long lists".to_owned());
            return None;
        }
        Syntax::Yaml => yaml::read(reader, text)?,
    };
    policy(reader, &root, text, defaults)
}

/// Line and column of the value that a JSON Pointer names in a policy's text, both from 1; `None` where there is none.
#[must_use]
pub fn place(syntax: Syntax, text: &str, pointer: &str) -> Option<(usize, usize)> {
    let mut reader = Reader::new(text);
    let root = match syntax {
        Syntax::Json => json(&mut reader, text),
        Syntax::Yaml => yaml::read(&mut reader, text),
    }?;
    let node = root.pointer(pointer)?;
    Some(json::line_column(text, node.span.start))
}

/// The tree of a JSON text.
fn json<'t>(reader: &mut Reader<'_>, text: &'t str) -> Option<Node<'t>> {
    let (document, faults) = match json::read_reporting(text.as_bytes(), &READABLE) {
        Ok(read) => read,
        Err(error) => {
            let hint = match error.kind {
                JsonErrorKind::Syntax(_) => {
                    "JSON has no comments and no trailing commas; a file of YAML has a name that ends in .yaml"
                }
                JsonErrorKind::Empty => "start from what `placet init` writes",
                _ => "save the file as JSON in UTF-8",
            };
            reader.error_at(error.offset, "", error.to_string(), hint.to_owned());
            return None;
        }
    };
    for fault in faults {
        // Repeated keys are reported below, with their pointers.
        if !matches!(fault.kind, JsonErrorKind::DuplicateKey(_)) {
            reader.error_at(fault.offset, "", fault.to_string(), "escape it, or leave it out".to_owned());
        }
    }
    Some(document.root().clone())
}

fn policy(reader: &mut Reader<'_>, root: &Node<'_>, text: &str, defaults: &Defaults) -> Option<Policy> {
    let root = At::root(root);
    reader.duplicates(&root);
    let top = reader.object(&root, &KEYS)?;
    version(reader, &top);
    top.get("$schema").map(|at| reader.string(&at));
    let description = top.get("description").and_then(|at| reader.string(&at)).map(str::to_owned);
    if top.get("default").is_none() && has_rules(&top) {
        let words = "without \"default\" a tool that no entry lists is denied; Intercept allows it";
        reader.warn(top.at.node.span.start, "", words, "write \"default\" to say which is meant");
    }
    let default = match top.get("default") {
        Some(at) => reader.choice(&at, &[("deny", Action::Deny), ("allow", Action::Allow)]).unwrap_or(Action::Deny),
        None => Action::Deny,
    };
    let hide = patterns(reader, top.get("hide"));
    let readers = patterns(reader, top.get("readers"));
    let (everywhere, all_tools) = everywhere(reader, top.get("all_tools"));
    let tools = entries(reader, top.get("tools"), entry::Kind::Tool);
    let methods = entries(reader, top.get("methods"), entry::Kind::Method);
    let tool_changes = entry::tool_changes(reader, &top);
    review::contexts(reader, &tools, &readers);
    let policy = Policy {
        version: Digest::of(text.as_bytes()),
        default,
        description,
        hide: names(reader, "/hide", &hide)?,
        readers: names(reader, "/readers", &readers)?,
        everywhere,
        all_tools,
        tools: prepared(reader, "/tools", tools)?,
        methods: prepared(reader, "/methods", methods)?,
        // Who says nothing of it has not thought of it.
        tool_changes: tool_changes.unwrap_or(ToolChanges::Hold),
        defaults: defaults.clone(),
    };
    limit::idle(reader, &root, &policy);
    review::overrides(reader, &policy);
    review::listing(reader, &top, &policy);
    review::reads(reader, &policy);
    idle::entries(reader, &policy);
    review::upstreams(reader, &policy, &hide, &readers);
    Some(policy)
}

/// Whether some tool has rules as Intercept's files have them.
fn has_rules(top: &Fields<'_, '_>) -> bool {
    top.get("tools").is_some_and(|tools| tools.members().iter().any(|(_, _, at)| at.get("rules").is_some()))
}

fn version(reader: &mut Reader<'_>, top: &Fields<'_, '_>) {
    let hint = "write \"version\": \"1\"";
    if let Some(at) = reader.required(top, "version", hint)
        && at.node.as_str() != Some("1")
    {
        let number = at.node.as_number().is_some_and(|text| text == "1");
        let words = if number {
            "the version is a text, and this is a number"
        } else {
            "this version of the format is not known"
        };
        reader.error(&at, words, hint);
    }
}

fn patterns(reader: &mut Reader<'_>, at: Option<At<'_, '_>>) -> Vec<Listed> {
    let hint = "write a tool's name, or a glob such as \"delete_*\"";
    let mut listed = Vec::new();
    for at in at.map(|at| reader.list(&at)).unwrap_or_default() {
        if let Some(pattern) = reader.parsed(&at, hint, Pattern::tool) {
            listed.push(Listed { pattern, offset: at.node.span.start, pointer: at.pointer });
        }
    }
    listed
}

fn names(reader: &mut Reader<'_>, pointer: &str, listed: &[Listed]) -> Option<Names> {
    let texts = listed.iter().map(|listed| listed.pattern.text().to_owned()).collect();
    Some(Names { texts, matcher: matcher(reader, pointer, listed.iter().map(|listed| &listed.pattern))? })
}

fn everywhere(reader: &mut Reader<'_>, at: Option<At<'_, '_>>) -> (Vec<LimitUse>, Clauses) {
    let fields = at.and_then(|at| reader.object(&at, &["limits", "require", "deny_if"]));
    let Some(fields) = fields else { return Default::default() };
    (limit::limits(reader, &fields, entry::Kind::Tool), clauses(reader, &fields))
}

fn clauses(reader: &mut Reader<'_>, fields: &Fields<'_, '_>) -> Clauses {
    Clauses {
        require: condition::clauses(reader, fields, "require"),
        deny_if: condition::clauses(reader, fields, "deny_if"),
    }
}

fn entries(reader: &mut Reader<'_>, at: Option<At<'_, '_>>, kind: entry::Kind) -> Vec<Entry> {
    let declared = state::Declared::find(reader, at.as_ref().filter(|_| kind == entry::Kind::Tool));
    let members = at.and_then(|at| reader.map(&at)).unwrap_or_default();
    let read = |(key, offset, at): &(&str, usize, At<'_, '_>)| entry::named(reader, &declared, key, *offset, at, kind);
    let mut entries: Vec<Entry> = members.iter().flat_map(read).collect();
    entries.sort_by(|a, b| {
        let rank = |e: &Entry| (!e.pattern.is_exact(), std::cmp::Reverse(e.pattern.text().len()));
        rank(a).cmp(&rank(b)).then_with(|| a.pattern.text().cmp(b.pattern.text()))
    });
    entries
}

fn prepared(reader: &mut Reader<'_>, pointer: &str, list: Vec<Entry>) -> Option<Entries> {
    let matcher = matcher(reader, pointer, list.iter().map(|entry| &entry.pattern))?;
    Some(Entries { list, matcher })
}

fn matcher<'p>(reader: &mut Reader<'_>, pointer: &str, patterns: impl Iterator<Item = &'p Pattern>) -> Option<Matcher> {
    Matcher::new(patterns)
        .map_err(|message| reader.error_at(0, pointer, message, "use fewer or simpler globs".to_owned()))
        .ok()
}
