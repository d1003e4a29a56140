//! The rules of the house, read off the sources: who may import whom, where libraries belong, how long a file may be.

mod rust;
mod template;

use std::fs;
use std::path::{Path, PathBuf};

/// What each module may import of ours, besides itself. The direction of the arrows is the design: pure modules
/// know nothing, `approvals` knows nothing of the web, the agents' side and the reviewers' side not each other.
const IMPORTS: &[(&str, &[&str])] = &[
    // Pure: no input or output, no clock.
    ("call", &[]),
    ("audit", &["call"]),
    ("explain", &["call"]),
    ("policy", &["call"]),
    // What is passed in everywhere.
    ("clock", &["call"]),
    ("lifecycle", &[]),
    ("durable", &[]),
    ("failpoint", &[]),
    ("telemetry", &[]),
    ("config", &["call", "policy"]),
    ("seal", &["call", "clock", "durable"]),
    // The core.
    ("store", &["audit", "call", "clock", "durable", "failpoint", "lifecycle", "seal", "telemetry"]),
    ("approvals", &["audit", "call", "clock", "explain", "lifecycle", "policy", "seal", "store", "telemetry"]),
    ("identity", &["audit", "call", "clock", "lifecycle", "store", "telemetry"]),
    ("in_force", &["approvals", "audit", "call", "clock", "policy", "store", "telemetry"]),
    ("pins", &["approvals", "call", "in_force", "lifecycle", "policy", "store"]),
    ("anchor", &["call", "notify"]),
    ("notary", &["audit", "call", "clock", "durable", "store", "telemetry"]),
    // The edges. `gateway` asks the policy in force and logs what needs nobody's approval; `review` reads what its
    // pages list and logs what is revealed.
    (
        "gateway",
        &[
            "approvals",
            "audit",
            "call",
            "clock",
            "identity",
            "in_force",
            "lifecycle",
            "pins",
            "policy",
            "store",
            "telemetry",
        ],
    ),
    ("review", &["approvals", "audit", "call", "clock", "explain", "identity", "lifecycle", "store", "telemetry"]),
    ("control", &["call", "clock", "identity", "lifecycle", "notary", "store"]),
    ("health", &["lifecycle", "store", "telemetry"]),
    ("notify", &["call", "clock", "explain", "lifecycle", "store", "telemetry"]),
    (
        "tasks",
        &[
            "anchor",
            "approvals",
            "call",
            "clock",
            "in_force",
            "lifecycle",
            "notary",
            "notify",
            "policy",
            "store",
            "telemetry",
        ],
    ),
    // What puts it all together; `overview` answers the pages out of the gateway's knowledge, so that neither side
    // knows the other.
    ("overview", &["approvals", "call", "gateway", "in_force", "pins", "policy", "review", "store"]),
    ("app", &["*"]),
    ("cli", &["*"]),
    ("demo", &["*"]),
];

/// Libraries that belong to one place: the crate, and the paths that may name it.
const LIBRARIES: &[(&str, &[&str])] = &[
    ("sqlx", &["src/store/", "src/store.rs"]),
    ("axum", &["src/gateway/", "src/review/", "src/health.rs", "src/app.rs", "src/app/", "src/demo/", "src/demo.rs"]),
    ("lettre", &["src/notify/email.rs", "src/notify/email/"]),
];

/// The longest that a file may be, in lines.
const LONGEST: usize = 500;

/// Everything against the rules in the file that stands at `path` below the project's folder.
fn findings(path: &str, source: &str) -> Vec<String> {
    if path.ends_with(".html") || path.ends_with(".txt") {
        return template::findings(path, source);
    }
    let mut found = Vec::new();
    if !source.starts_with("//!") {
        found.push(format!("{path}:1: begin the file with `//!` and its one purpose"));
    }
    let lines = source.lines().count();
    if lines > LONGEST {
        found.push(format!("{path}: {lines} lines, more than {LONGEST}: give each purpose a file of its own"));
    }
    if path.starts_with("src/") {
        found.extend(imports(path, source));
    }
    found
}

/// The imports of a file that its place forbids.
fn imports(path: &str, source: &str) -> Vec<String> {
    let module = rust::module_of(path);
    let mut found = Vec::new();
    for used in rust::paths(&module, source) {
        let at = format!("{path}:{}", used.line);
        match used.root {
            rust::Root::Ours(name) => found.extend(forbidden(module.first(), &name).map(|why| format!("{at}: {why}"))),
            rust::Root::Library(name) => {
                let places =
                    LIBRARIES.iter().find(|(library, _)| *library == name).map_or(&[][..], |(_, places)| places);
                let at_home = places.is_empty() || places.iter().any(|place| path.starts_with(place));
                if !at_home {
                    found.push(format!("{at}: `{name}` belongs only in {}", places.join(", ")));
                }
            }
        }
    }
    found
}

/// Why `module` may not import `name`, if it may not. The crate's root sees everything.
fn forbidden(module: Option<&String>, name: &str) -> Option<String> {
    let module = module?;
    if module == name {
        return None;
    }
    let row = |wanted: &str| IMPORTS.iter().find(|(module, _)| *module == wanted);
    let Some((_, allowed)) = row(module) else {
        return Some(format!("the import table in tests/it/house.rs does not know `{module}`"));
    };
    if allowed.contains(&"*") || allowed.contains(&name) {
        return None;
    }
    Some(match row(name) {
        Some(_) => format!("`{module}` may not import `{name}`, only: {}", allowed.join(", ")),
        None if name == "*" => format!("`{module}` may not import everything"),
        None => format!("the import table in tests/it/house.rs does not know `{name}`"),
    })
}

fn files(below: &Path, wanted: &[&str], found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(below) else { return };
    for entry in entries {
        let path = entry.expect("the folder is readable").path();
        if path.is_dir() && !path.ends_with("node_modules") {
            files(&path, wanted, found);
        } else if path.extension().is_some_and(|kind| wanted.iter().any(|wanted| kind == *wanted)) {
            found.push(path);
        }
    }
}

#[test]
fn the_sources_keep_the_rules_of_the_house() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut read = Vec::new();
    for (folder, kinds) in
        [("src", &["rs"][..]), ("tests", &["rs"]), ("benches", &["rs"]), ("templates", &["html", "txt"])]
    {
        files(&root.join(folder), kinds, &mut read);
    }
    assert!(read.len() > 20, "only {} files found below {}", read.len(), root.display());
    let mut found: Vec<String> = read
        .iter()
        .flat_map(|file| {
            let path = file.strip_prefix(root).unwrap().to_str().unwrap();
            findings(path, &fs::read_to_string(file).unwrap())
        })
        .collect();
    found.sort();
    assert!(found.is_empty(), "{} against the rules of the house:\n{}", found.len(), found.join("\n"));
}

#[test]
fn the_import_table_names_only_its_own_modules_and_has_no_circle() {
    for (module, allowed) in IMPORTS {
        for name in allowed.iter().filter(|name| **name != "*") {
            assert!(IMPORTS.iter().any(|(known, _)| known == name), "{module} may import {name}, which has no row");
        }
    }
    // With no circle, taking away whoever imports only what is already gone takes away everybody.
    let mut left: Vec<_> = IMPORTS.iter().filter(|(_, allowed)| !allowed.contains(&"*")).collect();
    while !left.is_empty() {
        let names: Vec<_> = left.iter().map(|(module, _)| *module).collect();
        let before = left.len();
        left.retain(|(_, allowed)| allowed.iter().any(|name| names.contains(name)));
        assert!(left.len() < before, "a circle among {names:?}");
    }
}

#[test]
fn what_is_against_the_rules_is_found() {
    let long = format!("//! Long.\n{}", "// line\n".repeat(LONGEST));
    let bad = [
        ("src/call/held.rs", "use std::fmt;", "src/call/held.rs:1: begin the file"),
        ("tests/it/some.rs", "fn f() {}", "begin the file"),
        ("src/call/held.rs", &long, "501 lines"),
        ("src/call/held.rs", "//! X.\nuse crate::store::Store;", "src/call/held.rs:2: `call` may not import `store`"),
        (
            "src/call/mod.rs",
            "//! X.\nuse crate::{\n  audit::Entry};",
            "src/call/mod.rs:3: `call` may not import `audit`",
        ),
        ("src/gateway/mod.rs", "//! X.\nuse crate::review;", "`gateway` may not import `review`"),
        ("src/review/call.rs", "//! X.\nfn f() { crate::gateway::g() }", "`review` may not import `gateway`"),
        ("src/policy/parse.rs", "//! X.\nuse super::super::clock::Clock;", "`policy` may not import `clock`"),
        ("src/policy.rs", "//! X.\nuse super::{call, store};", "`policy` may not import `store`"),
        ("src/policy.rs", "//! X.\nmod t { use super::super::store; }", "`policy` may not import `store`"),
        ("src/policy.rs", "//! X.\nuse crate::*;", "`policy` may not import everything"),
        ("src/odd.rs", "//! X.\nuse crate::call::Call;", "does not know `odd`"),
        ("src/store/mod.rs", "//! X.\nuse crate::odd::Odd;", "does not know `odd`"),
        ("src/approvals/mod.rs", "//! X.\nuse sqlx::Row;", "`sqlx` belongs only in src/store/"),
        ("src/store_like.rs", "//! X.\n#[derive(::sqlx::FromRow)] struct S;", "`sqlx` belongs only in"),
        ("src/approvals/mod.rs", "//! X.\nuse {axum::Router, std::fmt};", "`axum` belongs only in src/gateway/"),
        ("src/notify/mod.rs", "//! X.\nuse lettre as mail;", "`lettre` belongs only in src/notify/email.rs"),
        ("templates/call.html", "<p>{{ name|safe }}</p>", "templates/call.html:1: `safe`"),
    ];
    for (path, source, wanted) in bad {
        let found = findings(path, source).join("\n");
        assert!(found.contains(wanted), "{source:?} in {path} should give {wanted:?}, gives {found:?}");
    }
}

#[test]
fn what_keeps_the_rules_is_not_found() {
    let good = [
        ("src/lib.rs", "//! X.\npub mod call;\npub use crate::store::Store;"),
        ("src/main.rs", "//! X.\nfn main() { placet::cli::main() }"),
        (
            "src/call/held.rs",
            "//! X.\nuse super::json;\nuse crate::call::Time;\nmod tests { use super::super::store; }",
        ),
        ("src/policy/mod.rs", "//! X. See crate::store.\n/* crate::store /* crate::review */ crate::app */\n"),
        (
            "src/policy/mod.rs",
            r##"//! X.
const A: (&str, &str, char) = ("use crate::store;\"", r#"sqlx::"x"#, '"');
fn f<'a>(x: &'a str) { let _ = b"axum::"; }"##,
        ),
        ("src/policy/mod.rs", "//! X.\npub(crate) fn f() {}\npub(in crate::policy) fn g() {}"),
        ("src/store/mod.rs", "//! X.\nuse sqlx::Row;\nuse crate::{audit::{self, Entry}, call::{Time, store}};"),
        ("src/notify/email.rs", "//! X.\nuse lettre::Message;"),
        ("src/app.rs", "//! X.\nuse crate::{gateway, review};\nuse axum::Router;"),
        ("src/review/mod.rs", "//! X.\nlet x = path::axum; let axum = 1;"),
        ("src/policy/mod.rs", "//! X.\nlet sqlx = 1; f(other::sqlx::y);"),
        ("tests/it/any.rs", "//! X.\nuse sqlx::Row;"),
        ("templates/call.html", "<p>{{ name }}</p>"),
    ];
    for (path, source) in good {
        let found = findings(path, source);
        assert!(found.is_empty(), "{source:?} in {path} gives {found:?}");
    }
}
