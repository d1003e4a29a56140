//! Broken files and what their authors are told.

use std::fmt::Write as _;

use super::*;
use crate::policy::{Problem, Severity, Syntax, parse_as};

fn problems(text: &str) -> Vec<Problem> {
    problems_of(Syntax::Json, text)
}

fn problems_of(syntax: Syntax, text: &str) -> Vec<Problem> {
    parse_as(syntax, text, &defaults(&["iam", "s3"])).map_or_else(|problems| problems, |parsed| parsed.warnings)
}

/// Each of these under `"tools": {"x": …}`.
const ENTRIES: &[&str] = &[
    r#"[]"#,
    r#"{"action": "alow"}"#,
    r#"{"action": "approve"}"#,
    r#"{"action": true}"#,
    r#"{"actoin": "deny"}"#,
    r#"{"reason": " "}"#,
    r#"{"override": "yes"}"#,
    r#"{"tool_changes": "ask"}"#,
    r#"{"tool_changes": true}"#,
    r#"{"require": {"path": "args.a", "op": "eq", "value": 1}}"#,
    r#"{"deny_if": {}}"#,
    r#"{"when": []}"#,
    r#"{"lists": 0}"#,
    r#"[{"action": "allow"}, {"action": "dney"}, 7]"#,
    r#"{"action": "allow", "rules": []}"#,
    r#"{"rules": {}}"#,
    r#"{"rules": [{"action": "allow"}]}"#,
    r#"{"rules": [{"action": "deny", "conditions": []}]}"#,
    r#"{"rules": [{"conditions": [{"path": "arguments.a", "op": "eq", "value": 1}], "on_deny": ""}]}"#,
    r#"{"rules": [{"rate_limit": "5 per hour"}, {"rate_limit": {"max": 5, "window": 60}}]}"#,
    r#"{"rules": [{"rate_limit": "-5/hour"}, {"rate_limit": "5/week"}, {"rate_limit": "99999999999999999999/day"}]}"#,
    r#"{"rules": [{"name": 3, "approval": {"timeout": "5m"}}]}"#,
    r#"{"rules": [{"condition": [], "ondeny": "no"}]}"#,
    r#"{"rules": [{"state": {"counter": "a.b", "window": "week"}}, {"state": {"window": "day", "increment": -1}}]}"#,
    r#"{"rules": [{"state": {"counter": "c", "window": "day", "increment": 1, "increment_from": "args.n"}}]}"#,
    r#"{"rules": [{"state": {"counter": "c", "window": "day", "increment_from": "args.l[*].n"}}]}"#,
    r#"{"rules": [{"state": {"counter": "c", "window": "day"}}, {"state": {"counter": "c", "window": "hour"}}]}"#,
    r#"{"rules": [{"state": {"counter": "spend", "window": "day"}, "conditions": [{"path": "state.x.spent", "op": "lte", "value": 5}]}]}"#,
    r#"{"rules": [{"conditions": [{"path": "state.x.c", "op": "lte", "value": 5}]}]}"#,
    r#"{"rules": [{"state": {"counter": "c", "window": "day"}, "conditions": [{"path": "state.x.c", "op": "gt", "value": "5"}, {"path": "state.x.c", "op": "lt", "value": -5}]}]}"#,
    r#"{"rules": [{"action": "require_approval", "state": {"counter": "c", "window": "day"}, "conditions": [{"path": "state.x.c", "op": "gt", "value": 5}]}]}"#,
    r#"{"limits": [{"counter": "c", "window": "day", "max": 5, "below": 6}, {"counter": "d", "window": "day", "below": -1}, {"counter": "e", "window": "day", "below": 1, "only_counts": true}]}"#,
    r#"{"approval": {}}"#,
    r#"{"approval": {"timeout": "15m"}}"#,
    r#"{"action": "deny", "approval": {"approvals": 2}}"#,
    r#"{"action": "deny", "rate_limit": {"max": 1, "window": 1}}"#,
    r#"{"action": "allow", "reason": "because"}"#,
    r#"{"risk": "read", "approval": {"risk": "access"}}"#,
    r#"{"risk": "high"}"#,
    r#"{"limits": {"counter": "c"}}"#,
    r#"{"limits": [{}]}"#,
    r#"{"limits": [{"counter": "", "window": "week", "max": -1, "scope": "user"}]}"#,
    r#"{"limits": [{"counter": "c", "window": "minute", "max": 1.0}]}"#,
    r#"{"limits": [{"counter": "c", "window": "minute", "max": 99999999999999999999}]}"#,
    r#"{"limits": [{"counter": "c", "window": "minute", "max": "5"}]}"#,
    r#"{"limits": [{"counter": "c", "window": "minute", "max": 0}]}"#,
    r#"{"limits": [{"counter": "c", "window": "minute", "max": 1}, {"counter": "c", "window": "minute", "max": 2}]}"#,
    r#"{"rate_limit": "5/hour"}"#,
    r#"{"rate_limit": {"max": 5}}"#,
    r#"{"rate_limit": {"max": 5, "window": 0}}"#,
    r#"{"rate_limit": {"max": 5, "window": "minute"}}"#,
    r#"{"when": {"path": "args.a", "op": "exists"}, "reviewers": ["iam"], "conditions": []}"#,
    r#"{"rules": [{"state": {"counter": "spend", "window": "daily"}, "conditions": [{"path": "state.x.spend", "op": "lte", "value": 5}, {"path": "state.x.spent", "op": "lte", "value": 5}]}]}"#,
];

/// Each of these under `"tools": {"x": {"action": "require_approval", "approval": …}}`.
const APPROVALS: &[&str] = &[
    r#"[]"#,
    r#"{"timeout": "15"}"#,
    r#"{"timeout": "0s"}"#,
    r#"{"timeout": 900}"#,
    r#"{"execute_within": "9999d"}"#,
    r#"{"on_timeout": "accept"}"#,
    r#"{"on_timeout": "approve"}"#,
    r#"{"on_timeout": "approve", "risk": "destructive"}"#,
    r#"{"on_timeout": "escalate"}"#,
    r#"{"on_timeout": "reject", "escalate_to": ["a"]}"#,
    r#"{"escalate_to": ["a"]}"#,
    r#"{"on_timeout": "escalate", "escalate_to": []}"#,
    r#"{"approvals": 0}"#,
    r#"{"approvals": 256}"#,
    r#"{"approvals": "two"}"#,
    r#"{"reviewers": []}"#,
    r#"{"reviewers": ["a b", 1, ""]}"#,
    r#"{"reviewers": "iam"}"#,
    r#"{"self_approval": 1, "require_reason": "yes"}"#,
    r#"{"release": "now", "input_after_approval": "deny"}"#,
    r#"{"message": ""}"#,
    r#"{"when": []}"#,
    r#"{"when": [{"path": "args.a", "op": "eq", "value": 1, "on_deny": "no"}]}"#,
    r#"{"ask_reason": "yes"}"#,
    r#"{"ask_reason": 1}"#,
    r#"{"standing": true}"#,
    r#"{"standing": {}}"#,
    r#"{"standing": {"uses": 0, "for": "2d", "argument": {}}}"#,
    r#"{"standing": {"uses": 1.5, "for": 30, "arguments": {}}}"#,
    r#"{"standing": {"uses": 5, "for": "30m", "arguments": {"args.a": "*", "b": 1, "c": "[", "": "*"}, "access": "yes"}}"#,
    r#"{"approvals": 2, "standing": {"uses": 5, "for": "30m"}}"#,
    r#"{"risk": "access", "standing": {"uses": 5, "for": "30m", "arguments": {"a": "*"}}}"#,
    r#"{"time_out": "1m", "aprovals": 1}"#,
    r#"{"context": {}}"#,
    r#"{"context": [{}]}"#,
    r#"{"context": [{"tool": "get_x", "arguments": [1]}]}"#,
    r#"{"context": [{"tool": "get_x", "args": {}}]}"#,
    r#"{"context": [{"tool": "get_x", "arguments": {"a": "$args", "b": ["$args.l[*]"]}}]}"#,
    r#"{"context": [{"tool": "delete_x"}]}"#,
    r#"{"approvers": ["a"], "quorum": 2, "timeout": 30}"#,
];

/// Each of these under `"tools": {"x": {"deny_if": [ … ]}}`.
const CONDITIONS: &[&str] = &[
    r#"7"#,
    r#"{}"#,
    r#"[]"#,
    r#"{"path": "args.a"}"#,
    r#"{"path": "args.a", "op": "eq"}"#,
    r#"{"path": "args", "op": "eq", "value": 1}"#,
    r#"{"path": "args.", "op": "eq", "value": 1}"#,
    r#"{"path": "args.a[-1]", "op": "eq", "value": 1}"#,
    r#"{"path": "args.a[1", "op": "eq", "value": 1}"#,
    r#"{"path": "$args.a", "op": "eq", "value": 1}"#,
    r#"{"path": "state.x.count", "op": "lte", "value": 1}"#,
    r#"{"path": "agent", "op": "eq", "value": "a"}"#,
    r#"{"path": "tool.annotations.", "op": "eq", "value": true}"#,
    r#"{"path": 3, "op": 4, "value": 5}"#,
    r#"{"path": "args.a", "op": "equals", "value": 1}"#,
    r#"{"path": "args.a", "op": "==", "value": 1}"#,
    r#"{"path": "args.a", "op": "exists", "value": "yes"}"#,
    r#"{"path": "args.a", "op": "in", "value": "b"}"#,
    r#"{"path": "args.a", "op": "not_in", "value": []}"#,
    r#"{"path": "args.a", "op": "lt", "value": "5"}"#,
    r#"{"path": "args.a", "op": "gte", "value": 1e99999999999999999999}"#,
    r#"{"path": "args.a", "op": "eq", "value": [{"b": 1e99999999999999999999}]}"#,
    r#"{"path": "args.a", "op": "regex", "value": "(a"}"#,
    r#"{"path": "args.a", "op": "regex", "value": "(?=a)"}"#,
    r#"{"path": "args.a", "op": "regex", "value": "\\w{1000}{1000}"}"#,
    r#"{"path": "args.a", "op": "regex", "value": 5}"#,
    r#"{"path": "args.a", "op": "glob", "value": "a{b"}"#,
    r#"{"path": "args.a", "op": "glob", "value": []}"#,
    r#"{"path": "args.a", "op": "cidr", "value": "10.0.0.0/33"}"#,
    r#"{"path": "args.a", "op": "cidr", "value": ["10.0.0.0/8", "home"]}"#,
    r#"{"path": "args.a", "op": "eq", "value": 1, "values": [1]}"#,
    r#"{"not": {}}"#,
    r#"{"not": [], "on_deny": "x"}"#,
    r#"{"any": []}"#,
    r#"{"all": {"path": "args.a", "op": "exists"}}"#,
    r#"{"any": [{"path": "args.a", "op": "exists", "on_deny": "x"}]}"#,
    r#"{"any": [{"path": "args.a", "op": "exists"}], "not": {"path": "args.b", "op": "exists"}}"#,
    r#"{"time": {}}"#,
    r#"{"time": {"zone": "Berlin", "from": "9:00", "to": "25:00", "days": ["monday"]}}"#,
    r#"{"time": {"zone": "UTC"}}"#,
    r#"{"time": {"zone": "UTC", "days": []}}"#,
    r#"{"time": {"timezone": "UTC", "from": 9}}"#,
    r#"{"path": "args.a", "op": "<=", "value": "5"}"#,
    r#"{"path": "args.items.*.n", "op": "eq", "value": 1}"#,
    r#"{"path": "$.a", "op": "eq", "value": 1}"#,
    r#"{"path": "args.a ", "op": "eq", "value": 1}"#,
    r#"{"path": "args.a", "op": "regex", "value": "[;&&|]"}"#,
    r#"{"path": "args.a", "op": "contains", "value": ["b", "c"]}"#,
    r#"{"path": "agent.owner", "op": "in", "value": ["Mira@Example.com"]}"#,
    r#"{"path": "agent.name", "op": "eq", "value": 5}"#,
    r#"{"path": "tool.class", "op": "eq", "value": "destructve"}"#,
    r#"{"path": "tool.class", "op": "in", "value": ["read", "harmless"]}"#,
    r#"{"path": "tool.annotations.readonlyhint", "op": "eq", "value": "true"}"#,
    r#"{"time": {"zone": "UTC", "from": "09:00", "to": "09:00"}}"#,
];

/// Whole files of YAML.
const YAML: &[&str] = &[
    "",
    "version: 1\ntools: {}\n",
    "version: \"1\"\ntools:\n  x:\n",
    "version: \"1\"\ntools:\n  x: {override: yes}\n",
    "version: \"1\"\ntools:\n\tx: {}\n",
    "version: \"1\"\ntools:\n  x: {}\n  x: {action: deny}\n",
    "version: \"1\"\nbase: &base {action: deny}\ntools:\n  x: *base\n",
    "version: \"1\"\ntools:\n  x:\n    rules:\n      - action: evalute\n        conditions:\n          - path: args.amount\n            op: lte\n            value: 1_000\n",
    "version: \"1\"\ntools:\n  x:\n    rules:\n      - rate_limit: 5/hours\n      - conditions: {path: args.a, op: exists}\n",
    "version: \"1\"\nhide: [a{b]\n",
];

/// Whole files.
const FILES: &[&str] = &[
    "",
    "{",
    "[]",
    "null",
    "{}",
    "version: 1\ntools: {}\n",
    "{\"version\": \"1\",}",
    "{\"version\": \"1\" // comment\n}",
    "\u{feff}{\"version\": \"1\"}",
    r#"{"version": 1}"#,
    r#"{"version": "2"}"#,
    r#"{"version": "1", "default": "require_approval"}"#,
    r#"{"version": "1", "default": null}"#,
    r#"{"version": "1", "hide": "x"}"#,
    r#"{"version": "1", "tool_changes": "hide", "methods": {"x": {"tool_changes": "deny"}}}"#,
    r#"{"version": "1", "hide": ["", "a{b", "a[b", "s3/", "/x", "{iam/a,s3/b}", 3]}"#,
    r#"{"version": "1", "readers": ["[z-a]"]}"#,
    r#"{"version": "1", "all_tools": {"action": "deny", "rate_limit": {"max": 1, "window": 1}}}"#,
    r#"{"version": "1", "all_tools": {"require": [1]}}"#,
    r#"{"version": "1", "tools": ["x"]}"#,
    r#"{"version": "1", "tools": {"": {}, "a}": {}}}"#,
    r#"{"version": "1", "tools": {"x": {}, "y": {}, "x": {}}, "tools": {}}"#,
    r#"{"version": "1", "tools": {"x": {"reason": "a", "r\u0065ason": "b"}}}"#,
    r#"{"version": "1", "tools": {"x\ud800": {}}}"#,
    r#"{"version": "1", "tools": {"x*": {"override": true}}}"#,
    r#"{"version": "1", "tools": {"x": {"override": true}}}"#,
    r#"{"version": "1", "tools": {"x": {}, "*": {"action": "deny"}}}"#,
    r#"{"version": "1", "tools": {"x": {"override": true}, "*": {"action": "deny"}}}"#,
    r#"{"version": "1", "hide": ["x*"], "tools": {"xy": {"override": true}}}"#,
    r#"{"version": "1", "tools": {"ima/x": {}, "fs/*": {}}}"#,
    r#"{"version": "1", "methods": {"tools/call": {}, "resources/*": {"action": "require_approval", "risk": "read"}}}"#,
    r#"{"version": "1", "methods": {"prompts/get": {}, "prompts/*": {"action": "deny"}}}"#,
    r#"{"version": "1", "hidden": [], "alltools": {}, "tool": {}, "zzz": 1}"#,
    r#"{"version": "1", "tools": {"x": {"action": "deny", "require": [{"path": "args.a", "op": "exists"}]}}}"#,
    r#"{"version": "1", "tools": {"x": {"require": [{"path": "args.a", "op": "lt", "value": 5}, {"path": "args.a", "op": "gte", "value": 5.0}]}}}"#,
    r#"{"version": "1", "tools": {"x": {"require": [{"path": "args.a", "op": "eq", "value": "b"}, {"path": "args.a", "op": "in", "value": ["c", "d"]}]}}}"#,
    r#"{"version": "1", "tools": {"x": {"action": "require_approval", "approval": {"when": [{"path": "args.a", "op": "exists"}, {"path": "args.a", "op": "exists", "value": false}]}}}}"#,
    r#"{"version": "1", "hide": ["delete_*"], "tools": {"*": {"action": "deny"}, "get_*": {}, "delete_user*": {"action": "require_approval"}}}"#,
    r#"{"version": "1", "tools": {"x": {"rules": []}}}"#,
    r#"{"version": "1", "tools": {"*": {"deny_if": [{"path": "args.a", "op": "exists"}]}, "s3/*": [{"rate_limit": {"max": 5, "window": 60}}]}}"#,
    r#"{"version": "1", "readers": ["s3/get_x"], "tools": {"iam/x": {"action": "require_approval", "approval": {"context": [{"tool": "s3/get_x"}]}}}}"#,
    "{\n  \"version\": \"3\",\n  \"default\": \"maybe\",\n  \"tools\": {\n    \"é\": { \"action\": \"ask\",\n           \"limits\": 3 },\n    \"b\": 7\n  }\n}\n",
];

#[test]
fn each_broken_file_is_explained() {
    let mut said = String::new();
    let entries = ENTRIES.iter().map(|entry| (*entry, format!(r#"{{"version": "1", "tools": {{"x": {entry}}}}}"#)));
    let approvals = APPROVALS.iter().map(|block| {
        let entry = format!(r#"{{"action": "require_approval", "approval": {block}}}"#);
        (*block, format!(r#"{{"version": "1", "readers": ["get_*"], "tools": {{"x": {entry}}}}}"#))
    });
    let conditions =
        CONDITIONS.iter().map(|one| (*one, format!(r#"{{"version": "1", "tools": {{"x": {{"deny_if": [{one}]}}}}}}"#)));
    let files = FILES.iter().map(|file| (*file, (*file).to_owned()));
    let json = entries.chain(approvals).chain(conditions).chain(files).map(|(shown, text)| (Syntax::Json, shown, text));
    let yaml = YAML.iter().map(|file| (Syntax::Yaml, *file, (*file).to_owned()));
    for (syntax, shown, text) in json.chain(yaml) {
        let found = problems_of(syntax, &text);
        writeln!(said, "{}", shown.trim_end()).unwrap();
        found.iter().for_each(|problem| writeln!(said, "    {problem}").unwrap());
        assert!(!found.is_empty() || shown == r#"{"approval": {}}"#, "{text}");
    }
    insta::assert_snapshot!(said);
}

#[test]
fn only_errors_keep_a_file_from_being_used() {
    let text = r#"{"version": "1", "tools": {"x": {"override": true}, "*": {"action": "deny"}}}"#;
    assert!(parse(text, &defaults(&[])).unwrap().warnings.iter().all(|p| p.severity == Severity::Warning));
    let both = r#"{"version": "1", "defualt": "deny", "tools": {"x": {"override": true}, "*": {"action": "deny"}}}"#;
    let found = parse(both, &defaults(&[])).unwrap_err();
    assert_eq!(found.iter().map(|p| p.severity).collect::<Vec<_>>(), [Severity::Error, Severity::Warning]);
}

#[test]
fn what_this_version_does_not_do_yet_is_said() {
    let text = r#"{"version": "1", "tools": {"x": {"action": "require_approval",
        "approval": {"input_after_approval": "allow"}}}}"#;
    let warnings = parse(text, &defaults(&[])).unwrap().warnings;
    assert_eq!(warnings[0].pointer, "/tools/x/approval/input_after_approval");
    assert!(warnings[0].message.contains("does nothing"), "{}", warnings[0]);
}

#[test]
fn pointers_resolve_in_the_file() {
    use crate::call::json::{Limits, read_reporting};
    for text in FILES {
        let Ok((document, _)) = read_reporting(text.as_bytes(), &Limits::default()) else { continue };
        for problem in problems(text) {
            assert!(document.root().pointer(&problem.pointer).is_some(), "{problem} in {text}");
        }
    }
}

#[test]
fn a_flood_of_problems_is_counted() {
    let tools: Vec<_> = (0..1000).map(|number| format!(r#""t{number}": {{"bad": 1}}"#)).collect();
    let found = problems(&format!(r#"{{"version": "1", "tools": {{{}}}}}"#, tools.join(",")));
    assert_eq!(found.len(), 201);
    assert_eq!(found[200].message, "800 further problems are not listed");
}

#[test]
fn deep_and_large_files_end_in_words() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(problems(&deep)[0].message.contains("nested deeper"));
    let large = format!(r#"{{"version": "1", "description": "{}"}}"#, "x".repeat(9 << 20));
    assert!(problems(&large)[0].message.contains("larger than the limit"));
}
