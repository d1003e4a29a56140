//! Calls that try to slip past what a policy's author meant, and files that mean more than their authors would say.

use super::*;
use crate::call::Millis;
use crate::policy::{Circumstances, Severity, Syntax, ToolFacts, parse_as};

/// What stands in an entry of `x` that allows; arguments; what is ruled.
const CALLS: &[(&str, &str, &str)] = &[
    // What is hidden in a text that some servers read as JSON, or stands one level higher or lower than the path says.
    (
        r#""deny_if": [{"path": "args.user.role", "op": "eq", "value": "admin"}]"#,
        r#"{"user": "{\"role\":\"admin\"}"}"#,
        "deny /tools/x/deny_if/0",
    ),
    (
        r#""deny_if": [{"path": "args.user.role", "op": "eq", "value": "admin"}]"#,
        r#"{"user": [{"role": "admin"}]}"#,
        "deny /tools/x/deny_if/0",
    ),
    (
        r#""deny_if": [{"path": "args.lines[*].amount", "op": "gt", "value": 100}]"#,
        r#"{"lines": "[{\"amount\":500}]"}"#,
        "deny /tools/x/deny_if/0",
    ),
    (
        r#""deny_if": [{"path": "args.lines[*].amount", "op": "gt", "value": 100}]"#,
        r#"{"lines": {"0": {"amount": 500}}}"#,
        "deny /tools/x/deny_if/0",
    ),
    (
        r#""deny_if": [{"path": "args.lines[0]", "op": "eq", "value": "rm"}]"#,
        r#"{"lines": "[\"rm\"]"}"#,
        "deny /tools/x/deny_if/0",
    ),
    (
        r#""deny_if": [{"path": "args.user.admin", "op": "exists"}]"#,
        r#"{"user": "{\"admin\":true}"}"#,
        "deny /tools/x/deny_if/0",
    ),
    (
        r#""require": [{"path": "args.user.admin", "op": "exists", "value": false}]"#,
        r#"{"user": "{\"admin\":true}"}"#,
        "deny /tools/x/require/0",
    ),
    (
        r#""action": "require_approval", "approval": {"when": {"path": "args.to.amount", "op": "gt", "value": 9}}"#,
        r#"{"to": "{\"amount\":99}"}"#,
        "hold /tools/x",
    ),
    // Nothing can hide in these.
    (r#""deny_if": [{"path": "args.user.role", "op": "eq", "value": "admin"}]"#, r#"{"user": null}"#, "allow /tools/x"),
    (r#""deny_if": [{"path": "args.user.role", "op": "eq", "value": "admin"}]"#, r#"{"user": 7}"#, "allow /tools/x"),
    (
        r#""deny_if": [{"path": "args.user.role", "op": "eq", "value": "admin"}]"#,
        r#"{"user": {"rank": "admin"}}"#,
        "allow /tools/x",
    ),
    (
        r#""deny_if": [{"path": "args.lines[*].amount", "op": "gt", "value": 100}]"#,
        r#"{"lines": []}"#,
        "allow /tools/x",
    ),
    (r#""deny_if": [{"path": "args.lines[1]", "op": "eq", "value": "rm"}]"#, r#"{"lines": ["rm"]}"#, "allow /tools/x"),
    // A name that a reader without regard to case takes for the one that is looked at, alone or beside it.
    (
        r#""deny_if": [{"path": "args.amount", "op": "gt", "value": 100}]"#,
        r#"{"Amount": 500}"#,
        "deny /tools/x/deny_if/0",
    ),
    (
        r#""require": [{"path": "args.amount", "op": "lte", "value": 100}]"#,
        r#"{"amount": 5, "AMOUNT": 500}"#,
        "deny /tools/x/require/0",
    ),
    (
        r#""deny_if": [{"path": "args.user.is_root", "op": "exists"}]"#,
        r#"{"user": {"i\u017f_root": true}}"#,
        "deny /tools/x/deny_if/0",
    ),
    (
        r#""require": [{"path": "args.dry_run", "op": "eq", "value": true}]"#,
        r#"{"dry_run": true, "dry_Run": false}"#,
        "deny /tools/x/require/0",
    ),
    (
        r#""require": [{"path": "args.amount", "op": "lte", "value": 100}]"#,
        r#"{"amount": 5, "amounts": 500}"#,
        "allow /tools/x",
    ),
    // Braces with nothing in one of them, and letters beyond ASCII, in globs.
    (
        r#""deny_if": [{"path": "args.db", "op": "glob", "value": "prod{,-eu}"}]"#,
        r#"{"db": "prod"}"#,
        "deny /tools/x/deny_if/0",
    ),
    (
        r#""deny_if": [{"path": "args.db", "op": "glob", "value": "prod?"}]"#,
        r#"{"db": "prodé"}"#,
        "deny /tools/x/deny_if/0",
    ),
    (
        r#""deny_if": [{"path": "args.db", "op": "glob", "value": "[äö]*"}]"#,
        r#"{"db": "ölbild"}"#,
        "deny /tools/x/deny_if/0",
    ),
    (
        r#""deny_if": [{"path": "args.db", "op": "glob", "value": "x[!a]"}]"#,
        r#"{"db": "xö"}"#,
        "deny /tools/x/deny_if/0",
    ),
    (r#""require": [{"path": "args.db", "op": "glob", "value": "x??"}]"#, r#"{"db": "xö"}"#, "deny /tools/x/require/0"),
    (r#""require": [{"path": "args.db", "op": "glob", "value": "[à-ü]"}]"#, r#"{"db": "é"}"#, "allow /tools/x"),
    (
        r#""deny_if": [{"path": "args.p", "op": "glob", "value": "**/.ssh/**"}]"#,
        r#"{"p": "/home/é/.ssh/id"}"#,
        "deny /tools/x/deny_if/0",
    ),
    (r#""deny_if": [{"path": "args.p", "op": "glob", "value": "rm *"}]"#, r#"{"p": "rm\n-rf"}"#, "allow /tools/x"),
    (
        r#""deny_if": [{"path": "args.p", "op": "glob", "value": "*rm*"}]"#,
        r#"{"p": "a\nrm\nb"}"#,
        "deny /tools/x/deny_if/0",
    ),
    // Regular expressions as RE2 reads them: digits and letters of words are those of ASCII.
    (
        r#""require": [{"path": "args.id", "op": "regex", "value": "^\\d+$"}]"#,
        r#"{"id": "١٢٣"}"#,
        "deny /tools/x/require/0",
    ),
    (
        r#""require": [{"path": "args.id", "op": "regex", "value": "^[\\w.]+$"}]"#,
        r#"{"id": "раypal"}"#,
        "deny /tools/x/require/0",
    ),
    (r#""require": [{"path": "args.id", "op": "regex", "value": "^[^\\W_]+$"}]"#, r#"{"id": "ab1"}"#, "allow /tools/x"),
    (
        r#""require": [{"path": "args.id", "op": "regex", "value": "^a\\sb$"}]"#,
        r#"{"id": "a\u2003b"}"#,
        "deny /tools/x/require/0",
    ),
    (
        r#""deny_if": [{"path": "args.id", "op": "regex", "value": "\\bdrop\\b"}]"#,
        r#"{"id": "édrop"}"#,
        "deny /tools/x/deny_if/0",
    ),
    (
        r#""deny_if": [{"path": "args.id", "op": "regex", "value": "\\Bop\\B"}]"#,
        r#"{"id": "drops"}"#,
        "deny /tools/x/deny_if/0",
    ),
    (
        r#""require": [{"path": "args.id", "op": "regex", "value": "^ok$"}]"#,
        r#"{"id": "ok\n"}"#,
        "deny /tools/x/require/0",
    ),
    (r#""require": [{"path": "args.id", "op": "regex", "value": "^.é$"}]"#, r#"{"id": "öé"}"#, "allow /tools/x"),
    // A network that reaches beyond what is named, and a version 4 address in a coat that somebody translates.
    (
        r#""deny_if": [{"path": "args.net", "op": "cidr", "value": "10.0.0.0/8"}]"#,
        r#"{"net": "0.0.0.0/0"}"#,
        "deny /tools/x/deny_if/0",
    ),
    (
        r#""require": [{"not": {"path": "args.net", "op": "cidr", "value": "10.0.0.0/8"}}]"#,
        r#"{"net": "10.0.0.0/7"}"#,
        "deny /tools/x/require/0",
    ),
    (
        r#""require": [{"path": "args.net", "op": "cidr", "value": "10.0.0.0/8"}]"#,
        r#"{"net": "10.0.0.0/7"}"#,
        "deny /tools/x/require/0",
    ),
    (
        r#""deny_if": [{"path": "args.net", "op": "cidr", "value": "169.254.169.254"}]"#,
        r#"{"net": "::ffff:a9fe:a9fe"}"#,
        "deny /tools/x/deny_if/0",
    ),
    (
        r#""deny_if": [{"path": "args.net", "op": "cidr", "value": "169.254.169.254"}]"#,
        r#"{"net": "64:ff9b::a9fe:a9fe"}"#,
        "deny /tools/x/deny_if/0",
    ),
    (
        r#""deny_if": [{"path": "args.net", "op": "cidr", "value": "169.254.169.254"}]"#,
        r#"{"net": "::a9fe:a9fe"}"#,
        "deny /tools/x/deny_if/0",
    ),
    (
        r#""deny_if": [{"path": "args.net", "op": "cidr", "value": "169.254.169.254"}]"#,
        r#"{"net": "2002:a9fe:a9fe::1"}"#,
        "deny /tools/x/deny_if/0",
    ),
    (
        r#""deny_if": [{"path": "args.net", "op": "cidr", "value": "169.254.169.254"}]"#,
        r#"{"net": "2852039166"}"#,
        "deny /tools/x/deny_if/0",
    ),
    (
        r#""deny_if": [{"path": "args.net", "op": "cidr", "value": "169.254.169.254"}]"#,
        r#"{"net": "2001:db8::1"}"#,
        "allow /tools/x",
    ),
    (
        r#""deny_if": [{"path": "args.net", "op": "cidr", "value": ["fd00::/8", "10.0.0.0/8"]}]"#,
        r#"{"net": "::1"}"#,
        "allow /tools/x",
    ),
    (
        r#""deny_if": [{"path": "args.net", "op": "cidr", "value": "10.0.0.0/8"}]"#,
        r#"{"net": "11.0.0.0/8"}"#,
        "allow /tools/x",
    ),
];

#[test]
fn what_may_be_meant_is_not_let_through() {
    for (entry, arguments, expected) in CALLS {
        let text = format!(r#"{{"version": "1", "tools": {{"x": {{{entry}}}}}}}"#);
        let found = policy(&text);
        assert_eq!(brief(&rule_with(&found, "x", arguments)), *expected, "{arguments} under {text}");
        let canonical = policy(&found.print());
        assert_eq!(brief(&rule_with(&canonical, "x", arguments)), *expected, "{arguments} under {}", found.print());
    }
}

/// Entries under a default; a tool of upstream `iam`; what is ruled.
const TOOLS: &[(&str, &str, &str, &str)] = &[
    // A wildcard must not reach over the upstream's name, which a tool's name may carry or not.
    ("deny", r#""i*": {}"#, "iam/delete_user", "deny /default"),
    ("deny", r#""i*": {}"#, "iam/info", "allow /tools/i*"),
    ("deny", r#""iam/i*": {}"#, "iam/delete_user", "deny /default"),
    ("deny", r#""[h-j]*": {"override": false}, "iam/get": {}"#, "iam/put", "deny /default"),
    ("deny", r#""*_user": {}"#, "iam/delete_user", "allow /tools/*_user"),
    ("allow", r#""i*": {"action": "deny"}"#, "iam/delete_user", "deny /tools/i*"),
    ("deny", r#""iam/iam/x*": {}"#, "iam/xy", "allow /tools/iam~1iam~1x*"),
    // Braces with nothing in one of them.
    ("allow", r#""delete_user{,s}": {"action": "deny"}"#, "delete_user", "deny /tools/delete_user{,s}"),
    ("allow", r#""delete_user{,s}": {"action": "deny"}"#, "delete_users", "deny /tools/delete_user{,s}"),
    ("allow", r#""delete_user{,s}": {"action": "deny"}"#, "delete_usersx", "allow /default"),
    // Letters beyond ASCII.
    ("allow", r#""x?": {"action": "deny"}"#, "xé", "deny /tools/x?"),
    ("allow", r#""[é]*": {"action": "deny"}"#, "élan", "deny /tools/[é]*"),
    ("allow", r#""[!a-z]*": {"action": "deny"}"#, "é", "deny /tools/[!a-z]*"),
    ("deny", r#""x??": {}"#, "xé", "deny /default"),
    ("deny", r#""取*": {}"#, "取得", "allow /tools/取*"),
];

#[test]
fn a_tools_name_is_matched_as_its_author_reads_it() {
    for (default, tools, tool, expected) in TOOLS {
        let text = format!(r#"{{"version": "1", "default": "{default}", "tools": {{{tools}}}}}"#);
        let policy = parse(&text, &defaults(&["iam", "s3"])).unwrap_or_else(|p| panic!("{text}: {p:#?}")).policy;
        assert_eq!(brief(&rule(&policy, "iam", tool)), *expected, "{tool:?} under {text}");
    }
}

/// A part of a file that never does what it says, or more; the pointer, the severity and some words of what is said.
const FILES: &[(&str, &str, Severity, &str)] = &[
    (
        r#""x": {"deny_if": [{"path": "args.items.*.amount", "op": "gt", "value": 1}]}"#,
        "/tools/x/deny_if/0/path",
        Severity::Error,
        "names nothing",
    ),
    (
        r#""x": {"deny_if": [{"path": "args.items[].amount", "op": "gt", "value": 1}]}"#,
        "/tools/x/deny_if/0/path",
        Severity::Error,
        "names nothing",
    ),
    (
        r#""x": {"deny_if": [{"path": "args.amount ", "op": "gt", "value": 1}]}"#,
        "/tools/x/deny_if/0/path",
        Severity::Error,
        "names nothing",
    ),
    (
        r#""x": {"deny_if": [{"path": "args. amount", "op": "gt", "value": 1}]}"#,
        "/tools/x/deny_if/0/path",
        Severity::Error,
        "names nothing",
    ),
    (
        r#""x": {"deny_if": [{"path": "args.cmd", "op": "regex", "value": "[;&&|]"}]}"#,
        "/tools/x/deny_if/0/value",
        Severity::Error,
        "&&",
    ),
    (
        r#""x": {"deny_if": [{"path": "args.cmd", "op": "regex", "value": "[a[bc]]"}]}"#,
        "/tools/x/deny_if/0/value",
        Severity::Error,
        "within",
    ),
    (
        r#""x": {"deny_if": [{"path": "args.groups", "op": "contains", "value": ["admin", "root"]}]}"#,
        "/tools/x/deny_if/0/value",
        Severity::Warning,
        "one element",
    ),
    (
        r#""x": {"deny_if": [{"path": "agent.owner", "op": "eq", "value": "Mira@Example.com"}]}"#,
        "/tools/x/deny_if/0/value",
        Severity::Error,
        "lower case",
    ),
    (
        r#""x": {"deny_if": [{"path": "agent.owner", "op": "glob", "value": ["*@Example.com"]}]}"#,
        "/tools/x/deny_if/0/value",
        Severity::Error,
        "lower case",
    ),
    (
        r#""x": {"deny_if": [{"path": "tool.class", "op": "in", "value": ["write", "destructve"]}]}"#,
        "/tools/x/deny_if/0/value",
        Severity::Error,
        "destructve",
    ),
    (
        r#""x": {"deny_if": [{"path": "tool.annotations.destructivehint", "op": "eq", "value": true}]}"#,
        "/tools/x/deny_if/0/path",
        Severity::Warning,
        "none of the protocol's",
    ),
    (
        r#""x": {"deny_if": [{"time": {"zone": "UTC", "from": "09:00", "to": "09:00"}}]}"#,
        "/tools/x/deny_if/0/time",
        Severity::Error,
        "every time",
    ),
    (
        r#""*": {"limits": [{"counter": "c", "window": "day", "max": 9}]}"#,
        "/tools/*",
        Severity::Warning,
        "lists every tool",
    ),
    (
        r#""*": {"deny_if": [{"path": "args.env", "op": "eq", "value": "prod"}]}"#,
        "/tools/*",
        Severity::Warning,
        "lists every tool",
    ),
    (r#""iam/*": [{"rate_limit": {"max": 1, "window": 1}}]"#, "/tools/iam~1*/0", Severity::Warning, "lists every tool"),
];

#[test]
fn what_never_does_what_it_says_is_said() {
    for (tools, pointer, severity, words) in FILES {
        let text = format!(r#"{{"version": "1", "default": "deny", "tools": {{{tools}}}}}"#);
        let found = parse(&text, &defaults(&["iam"])).map_or_else(|problems| problems, |parsed| parsed.warnings);
        let said =
            found.iter().any(|it| it.pointer == *pointer && it.severity == *severity && it.message.contains(words));
        assert!(said, "{text}\n{found:#?}");
    }
}

#[test]
fn an_entry_for_every_tool_that_says_what_it_means_is_not_warned_of() {
    for (default, tools) in [
        ("deny", r#""*": {"action": "allow", "limits": [{"counter": "c", "window": "day", "max": 9}]}"#),
        ("deny", r#""*": {"lists": false, "limits": [{"counter": "c", "window": "day", "max": 9}]}"#),
        ("allow", r#""*": {"limits": [{"counter": "c", "window": "day", "max": 9}]}"#),
        ("deny", r#""*": {}"#),
        ("deny", r#""get_*": {"limits": [{"counter": "c", "window": "day", "max": 9}]}"#),
    ] {
        let text = format!(r#"{{"version": "1", "default": "{default}", "tools": {{{tools}}}}}"#);
        assert_eq!(parse(&text, &defaults(&["iam"])).unwrap().warnings, [], "{text}");
    }
}

#[test]
fn a_file_of_yaml_is_read_to_its_end_or_not_at_all() {
    let rest = "tools:\n  x: {action: deny}\n";
    for (text, at) in [
        (format!("version: \"1\"\ndefault: allow\n\0\n{rest}"), Some((3, 1))),
        (format!("version: \"1\"\ndefault: allow # \0\n{rest}"), Some((2, 18))),
        (format!("version: \"1\"\ndefault: allow\n{rest}\u{1}"), Some((5, 2))),
        (format!("version: \"1\"\ndefault: allow\n...\n{rest}"), Some((4, 1))),
        (format!("version: \"1\"\ndefault: allow\n---\n{rest}"), Some((3, 1))),
        (format!("\u{feff}version: \"1\"\ndefault: allow\n{rest}"), None),
        (format!("---\nversion: \"1\"\ndefault: allow\n{rest}...\n"), None),
        (format!("version: \"1\"\ndefault: allow\n{rest}").replace('\n', "\r\n"), None),
        (format!("version: \"1\"\ndefault: allow\n{rest}").replace('\n', "\r"), None),
    ] {
        match (parse_as(Syntax::Yaml, &text, &defaults(&[])), at) {
            (Ok(parsed), None) => assert_eq!(brief(&rule(&parsed.policy, "iam", "x")), "deny /tools/x", "{text:?}"),
            (Err(problems), Some(at)) => {
                assert_eq!((problems[0].line, problems[0].column), at, "{text:?}: {problems:?}");
            }
            (found, _) => panic!("{text:?}: {found:#?}"),
        }
    }
}

#[test]
fn places_in_yaml_are_those_of_the_text_whatever_ends_its_lines() {
    for (before, end) in [("", "\n"), ("", "\r\n"), ("\u{feff}", "\n"), ("# é\u{2028}☃", "\n")] {
        let text = format!("{before}{end}version: \"1\"{end}tools:{end}  é:{end}    acton: deny{end}");
        let found = parse_as(Syntax::Yaml, &text, &defaults(&[])).unwrap_err();
        assert_eq!((found[0].line, found[0].column), (5, 5), "{text:?}: {found:?}");
    }
}

#[test]
fn a_span_that_is_one_day_long_stays_where_it_begins() {
    let text = r#"{"version": "1", "tools": {"x": {"require": [
        {"time": {"zone": "UTC", "from": "12:00", "to": "12:00", "days": ["sun"]}}]}}}"#;
    let canonical = policy(text).print();
    for (moment, expected) in [
        ("2026-11-22T11:59:59Z", "deny /tools/x/require/0"),
        ("2026-11-22T12:00:00Z", "allow /tools/x"),
        ("2026-11-23T11:59:59Z", "allow /tools/x"),
        ("2026-11-23T12:00:00Z", "deny /tools/x/require/0"),
    ] {
        let now = Some(Millis(moment.parse::<jiff::Timestamp>().unwrap().as_millisecond()));
        let around = Circumstances { now, ..Circumstances::default() };
        let (iam, text, canonical) = (upstream("iam"), policy(text), policy(&canonical));
        let call = Call { around, ..Call::new(&iam, "x") };
        assert_eq!(brief(&text.rule(&call)), expected, "{moment}");
        assert_eq!(brief(&canonical.rule(&call)), expected, "{moment} canonical");
    }
    let said = policy(text).outline(&upstream("iam"), "x").conditions.refused_unless;
    assert_eq!(said, ["it comes between 12:00 and 12:00 of the next day on sun (UTC)"]);
}

#[test]
fn what_a_server_has_not_said_yet_is_doubt_and_not_silence() {
    let iam = upstream("iam");
    let ruled = |entry: &str, listed: Option<&ToolFacts>| {
        let policy = policy(&format!(r#"{{"version": "1", "tools": {{"*": {{"action": "allow", {entry}}}}}}}"#));
        let around = Circumstances { listed, ..Circumstances::default() };
        brief(&policy.rule(&Call { around, ..Call::new(&iam, "get_x") }))
    };
    let destructive = ToolFacts::read(&iam, "get_x", r#"{"name": "get_x", "annotations": {"destructiveHint": true}}"#);
    let silent = ToolFacts::read(&iam, "get_x", r#"{"name": "get_x"}"#);
    for (entry, unlisted, by_silent, by_destructive) in [
        (
            r#""deny_if": [{"path": "tool.annotations.destructiveHint", "op": "eq", "value": true}]"#,
            "deny",
            "allow",
            "deny",
        ),
        (r#""deny_if": [{"path": "tool.annotations.destructiveHint", "op": "exists"}]"#, "deny", "allow", "deny"),
        (r#""deny_if": [{"path": "tool.class", "op": "neq", "value": "read"}]"#, "deny", "allow", "deny"),
        (r#""require": [{"path": "tool.class", "op": "eq", "value": "read"}]"#, "deny", "allow", "deny"),
    ] {
        for (listed, expected) in [(None, unlisted), (Some(&silent), by_silent), (Some(&destructive), by_destructive)] {
            assert!(ruled(entry, listed).starts_with(expected), "{entry} {listed:?}: {}", ruled(entry, listed));
        }
    }
}
