//! Reads a policy file and reports everything that is wrong with it at once.

mod approval;
mod condition;
mod entry;
mod limit;
mod review;

use crate::call::Digest;
use crate::call::json::{self, JsonErrorKind, Limits};

use super::limits::LimitUse;
use super::model::{Action, Clauses, Defaults, Entries, Entry, Policy};
use super::pattern::{Matcher, Pattern};
use super::problem::{Problem, Severity};
use super::source::{At, Fields, Reader};

/// A policy file is written by people: this is far above what they write, and far below what hurts.
const READABLE: Limits = Limits { max_bytes: 8 << 20, max_depth: 64 };

const KEYS: [&str; 9] =
    ["version", "default", "hide", "readers", "all_tools", "tools", "methods", "description", "$schema"];

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

/// Reads the JSON form, version 1.
///
/// # Errors
/// Every problem of the file, warnings included, in its order; at least one is an error.
pub fn parse(text: &str, defaults: &Defaults) -> Result<Parsed, Vec<Problem>> {
    let mut reader = Reader::new(text);
    let policy = read(&mut reader, text, defaults);
    let problems = reader.finish();
    match policy {
        Some(policy) if problems.iter().all(|p| p.severity == Severity::Warning) => {
            Ok(Parsed { policy, warnings: problems })
        }
        _ => Err(problems),
    }
}

/// `None` only where an error was reported.
fn read(reader: &mut Reader<'_>, text: &str, defaults: &Defaults) -> Option<Policy> {
    let (document, faults) = match json::read_reporting(text.as_bytes(), &READABLE) {
        Ok(read) => read,
        Err(error) => {
            let hint = match error.kind {
                JsonErrorKind::Syntax(_) => "a policy is JSON; YAML, comments and trailing commas are not read",
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
    let root = At::root(document.root());
    reader.duplicates(&root);
    let top = reader.object(&root, &KEYS)?;
    version(reader, &top);
    for key in ["description", "$schema"] {
        top.get(key).map(|at| reader.string(&at));
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
    review::contexts(reader, &tools, &readers);
    let policy = Policy {
        version: Digest::of(text.as_bytes()),
        default,
        hide: matcher(reader, "/hide", hide.iter().map(|listed| &listed.pattern))?,
        readers: matcher(reader, "/readers", readers.iter().map(|listed| &listed.pattern))?,
        everywhere,
        all_tools,
        tools: prepared(reader, "/tools", tools)?,
        methods: prepared(reader, "/methods", methods)?,
        defaults: defaults.clone(),
    };
    limit::idle(reader, &root, &policy);
    review::overrides(reader, &policy);
    review::upstreams(reader, &policy, &hide, &readers);
    Some(policy)
}

fn version(reader: &mut Reader<'_>, top: &Fields<'_, '_>) {
    let hint = "write \"version\": \"1\"";
    if let Some(at) = reader.required(top, "version", hint)
        && at.node.as_str() != Some("1")
    {
        reader.error(&at, "this version of the format is not known", hint);
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
    let members = at.and_then(|at| reader.map(&at)).unwrap_or_default();
    let mut entries: Vec<Entry> =
        members.iter().filter_map(|(key, offset, at)| entry::entry(reader, key, *offset, at, kind)).collect();
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
