//! What shows only when the whole file is read: reads by tools that are no readers, overrides, entries without effect,
//! names before a `/` that no upstream has.

use crate::call::UpstreamName;
use crate::policy::model::{Entry, Policy};
use crate::policy::problem::closest;
use crate::policy::source::{Fields, Reader};

use super::Listed;

/// Every read for reviewers must be by a declared reader: a name such as `get_x` is no proof that it only reads.
pub(super) fn contexts(reader: &mut Reader<'_>, tools: &[Entry], readers: &[Listed]) {
    for entry in tools {
        for (at, read) in entry.approval.context.iter().enumerate() {
            if !readers.iter().any(|listed| listed.pattern.may_match_tool(&read.tool)) {
                let pointer = format!("{}/approval/context/{at}/tool", entry.pointer);
                let message = format!("{} is not declared as a tool that only reads", read.tool);
                let hint = format!("if it only reads, add \"readers\": [\"{}\"] at the top of the file", read.tool);
                reader.error_at(read.offset, &pointer, message, hint);
            }
        }
    }
}

/// A read goes to the call's own upstream: one that no reader there can be is a mistake.
pub(super) fn reads(reader: &mut Reader<'_>, policy: &Policy) {
    for entry in &policy.tools.list {
        let upstream = entry.pattern.upstream().and_then(|name| UpstreamName::new(name).ok());
        let Some(upstream) = upstream.filter(|upstream| policy.defaults.upstreams.contains(upstream)) else { continue };
        for (at, read) in entry.approval.context.iter().enumerate() {
            if !policy.is_reader(&upstream, &read.tool) {
                let pointer = format!("{}/approval/context/{at}/tool", entry.pointer);
                let message = format!("{} is not declared as a tool of {upstream} that only reads", read.tool);
                let hint = format!("reads go to the call's own upstream: name one of the readers of {upstream}");
                reader.warn(read.offset, &pointer, message, &hint);
            }
        }
    }
}

/// Lists every override, and every exact name that a glob makes stricter than it says.
pub(super) fn overrides(reader: &mut Reader<'_>, policy: &Policy) {
    let entries = &policy.tools.list;
    for entry in entries.iter().filter(|entry| entry.pattern.is_exact()) {
        let hidden = policy.hide.matcher.overlaps(&entry.pattern);
        if let Some(hidden) = hidden {
            let message = format!("/hide/{hidden} hides this tool, so the entry does nothing");
            reader.warn(entry.offset, &entry.pointer, message, "an override does not loosen it; leave one of them out");
            continue;
        }
        let globs: Vec<&Entry> =
            policy.tools.matcher.overlapping(&entry.pattern).into_iter().map(|at| &entries[at]).collect();
        let strictest = globs.into_iter().filter(|glob| !glob.pattern.is_exact()).max_by_key(|glob| glob.action);
        note(reader, entry, strictest);
    }
    for entry in policy.methods.list.iter().filter(|entry| entry.pattern.is_exact()) {
        let globs = policy.methods.matcher.find_method(entry.pattern.text());
        let globs = globs.iter().map(|found| &policy.methods.list[found.rule]);
        note(reader, entry, globs.filter(|glob| !glob.pattern.is_exact()).max_by_key(|glob| glob.action));
    }
}

fn note(reader: &mut Reader<'_>, entry: &Entry, strictest: Option<&Entry>) {
    let own = entry.action.as_str();
    match strictest.filter(|glob| glob.action > entry.action) {
        Some(glob) if entry.overrides => {
            let message = format!("this overrides {}: {own} instead of {}", glob.pointer, glob.action.as_str());
            reader.warn(entry.offset, &entry.pointer, message, "this is a reminder, not a fault");
        }
        Some(glob) => {
            let (pointer, action) = (&glob.pointer, glob.action.as_str());
            let message = format!("{pointer} is stricter and wins: the action is {action}, not {own}");
            let hint = "add \"override\": true if this entry should win, or change one of the two";
            reader.warn(entry.offset, &entry.pointer, message, hint);
        }
        None if entry.overrides => {
            let hint = "leave \"override\" out";
            reader.warn(entry.offset, &entry.pointer, "there is nothing to override: no glob is stricter", hint);
        }
        None => {}
    }
}

/// Says of an entry for every tool that only restricts, that it allows them all by listing them.
pub(super) fn listing(reader: &mut Reader<'_>, top: &Fields<'_, '_>, policy: &Policy) {
    let every =
        |key: &str| key.rsplit('/').next().is_some_and(|tool| !tool.is_empty() && tool.bytes().all(|b| b == b'*'));
    let tools = top.get("tools").map(|at| at.members()).unwrap_or_default();
    for (_, offset, at) in tools.into_iter().filter(|(key, ..)| every(key) && !policy.default_allows()) {
        let several = at.elements();
        for own in if several.is_empty() { vec![at] } else { several } {
            let says = |keys: &[&str]| keys.iter().any(|key| own.get(key).is_some());
            if says(&["require", "deny_if", "limits", "rate_limit"]) && !says(&["action", "lists", "rules"]) {
                let words =
                    "this lists every tool, and what is listed is allowed: none is left for \"default\": \"deny\"";
                let hint = "write \"lists\": false if it should only restrict what other entries list, or \"action\": \
                            \"allow\" if every tool is meant";
                reader.warn(offset, &own.pointer, words, hint);
            }
        }
    }
}

/// Where the upstreams are known: what stands before a `/` and is none of them.
pub(super) fn upstreams(reader: &mut Reader<'_>, policy: &Policy, hide: &[Listed], readers: &[Listed]) {
    let known: Vec<&str> = policy.defaults.upstreams.iter().map(UpstreamName::as_str).collect();
    if known.is_empty() {
        return;
    }
    let entries = policy.tools.list.iter().map(|e| (&e.pattern, &e.pointer, e.offset));
    let listed = hide.iter().chain(readers).map(|l| (&l.pattern, &l.pointer, l.offset));
    for (pattern, pointer, offset) in entries.chain(listed) {
        let Some(upstream) = pattern.upstream().filter(|upstream| !known.contains(upstream)) else { continue };
        let hint = match closest(upstream, &known) {
            Some(meant) => format!("did you mean \"{meant}/…\"?"),
            None => format!("the upstreams are {}", known.join(", ")),
        };
        let message =
            format!("no upstream is called {upstream}, so this means a tool whose own name is {}", pattern.text());
        reader.warn(offset, pointer, message, &hint);
    }
}
