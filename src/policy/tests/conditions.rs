//! What conditions make of calls, as a table; and what a page says of them.

use super::*;
use crate::call::Millis;
use crate::policy::{Circumstances, ToolFacts};

/// What stands in an entry of `x` that allows; arguments; what is ruled.
const TABLE: &[(&str, &str, &str)] = &[
    // Required: it must surely be so.
    (r#""require": [{"path": "args.a", "op": "eq", "value": 1}]"#, r#"{"a": 1.0}"#, "allow /tools/x"),
    (r#""require": [{"path": "args.a", "op": "eq", "value": 1}]"#, r#"{"a": 2}"#, "deny /tools/x/require/0"),
    (r#""require": [{"path": "args.a", "op": "eq", "value": 1}]"#, r#"{"a": "1"}"#, "deny /tools/x/require/0"),
    (r#""require": [{"path": "args.a", "op": "eq", "value": 1}]"#, r"{}", "deny /tools/x/require/0"),
    (r#""require": [{"path": "args.a", "op": "neq", "value": 1}]"#, r"{}", "deny /tools/x/require/0"),
    (r#""require": [{"path": "args.a", "op": "not_in", "value": [1]}]"#, r#"{"a": "1"}"#, "deny /tools/x/require/0"),
    (r#""require": [{"not": {"path": "args.a", "op": "eq", "value": 1}}]"#, r"{}", "deny /tools/x/require/0"),
    (r#""require": [{"path": "args.a", "op": "exists", "value": false}]"#, r"{}", "allow /tools/x"),
    (r#""require": [{"path": "args.l[*]", "op": "lt", "value": 3}]"#, r#"{"l": [1, 2]}"#, "allow /tools/x"),
    (r#""require": [{"path": "args.l[*]", "op": "lt", "value": 3}]"#, r#"{"l": [1, 3]}"#, "deny /tools/x/require/0"),
    (r#""require": [{"path": "args.l[*]", "op": "lt", "value": 3}]"#, r#"{"l": []}"#, "deny /tools/x/require/0"),
    (r#""require": [{"path": "args.l[*]", "op": "lt", "value": 3}]"#, r#"{"l": 1}"#, "deny /tools/x/require/0"),
    // Denied: where it may be so.
    (r#""deny_if": [{"path": "args.a", "op": "gt", "value": 5}]"#, r#"{"a": 6}"#, "deny /tools/x/deny_if/0"),
    (r#""deny_if": [{"path": "args.a", "op": "gt", "value": 5}]"#, r#"{"a": 5}"#, "allow /tools/x"),
    (r#""deny_if": [{"path": "args.a", "op": "gt", "value": 5}]"#, r#"{"a": "6"}"#, "deny /tools/x/deny_if/0"),
    (
        r#""deny_if": [{"path": "args.a", "op": "gt", "value": 5}]"#,
        r#"{"a": 1e99999999999999999999}"#,
        "deny /tools/x/deny_if/0",
    ),
    (r#""deny_if": [{"path": "args.a", "op": "gt", "value": 5}]"#, r"{}", "allow /tools/x"),
    (r#""deny_if": [{"path": "args.a", "op": "neq", "value": 5}]"#, r"{}", "deny /tools/x/deny_if/0"),
    (r#""deny_if": [{"not": {"path": "args.a", "op": "eq", "value": 5}}]"#, r"{}", "deny /tools/x/deny_if/0"),
    (
        r#""deny_if": [{"path": "args.l[*].n", "op": "eq", "value": 1}]"#,
        r#"{"l": [{"n": 2}, {"n": 1}]}"#,
        "deny /tools/x/deny_if/0",
    ),
    (r#""deny_if": [{"path": "args.l[*].n", "op": "eq", "value": 1}]"#, r#"{"l": [{"n": 2}, {}]}"#, "allow /tools/x"),
    // Of several the first, what is required before what is denied.
    (
        r#""deny_if": [{"path": "args.a", "op": "exists"}], "require": [{"path": "args.b", "op": "exists"}, {"path": "args.c", "op": "exists"}]"#,
        r#"{"a": 1, "b": 1}"#,
        "deny /tools/x/require/1",
    ),
    (
        r#""require": [[{"path": "args.a", "op": "exists"}, {"path": "args.b", "op": "exists"}]]"#,
        r#"{"a": 1}"#,
        "deny /tools/x/require/0",
    ),
    (
        r#""require": [{"any": [{"path": "args.a", "op": "exists"}, {"path": "args.b", "op": "exists"}]}]"#,
        r#"{"b": 1}"#,
        "allow /tools/x",
    ),
    // What stands twice in the file and is stricter wins, whatever the conditions.
    (r#""action": "deny", "require": [{"path": "args.a", "op": "exists"}]"#, r"{}", "deny /tools/x"),
    (
        r#""action": "require_approval", "require": [{"path": "args.a", "op": "exists"}]"#,
        r"{}",
        "deny /tools/x/require/0",
    ),
    (
        r#""action": "require_approval", "require": [{"path": "args.a", "op": "exists"}]"#,
        r#"{"a": 1}"#,
        "hold /tools/x",
    ),
    // Approval of some calls.
    (
        r#""action": "require_approval", "approval": {"when": [{"path": "args.a", "op": "gt", "value": 5}]}"#,
        r#"{"a": 5}"#,
        "allow /tools/x",
    ),
    (
        r#""action": "require_approval", "approval": {"when": [{"path": "args.a", "op": "gt", "value": 5}]}"#,
        r#"{"a": 6}"#,
        "hold /tools/x",
    ),
    (
        r#""action": "require_approval", "approval": {"when": {"path": "args.a", "op": "gt", "value": 5}}"#,
        r#"{"a": "5"}"#,
        "hold /tools/x",
    ),
    (
        r#""action": "require_approval", "approval": {"when": {"path": "args.a", "op": "neq", "value": 5}}"#,
        r"{}",
        "hold /tools/x",
    ),
    // Who calls, and what.
    (r#""require": [{"path": "agent.name", "op": "in", "value": ["bot", "bob"]}]"#, r"{}", "allow /tools/x"),
    (r#""require": [{"path": "agent.name", "op": "eq", "value": "other"}]"#, r"{}", "deny /tools/x/require/0"),
    (r#""require": [{"path": "agent.owner", "op": "glob", "value": "*@example.com"}]"#, r"{}", "allow /tools/x"),
    (r#""deny_if": [{"path": "upstream", "op": "eq", "value": "iam"}]"#, r"{}", "deny /tools/x/deny_if/0"),
    (r#""require": [{"path": "tool.name", "op": "eq", "value": "x"}]"#, r"{}", "allow /tools/x"),
    (
        r#""deny_if": [{"path": "tool.annotations.destructiveHint", "op": "eq", "value": true}]"#,
        r"{}",
        "deny /tools/x/deny_if/0",
    ),
    (
        r#""require": [{"path": "tool.annotations.readOnlyHint", "op": "eq", "value": true}]"#,
        r"{}",
        "deny /tools/x/require/0",
    ),
    (
        r#""deny_if": [{"path": "tool.annotations.readOnlyHint", "op": "neq", "value": true}]"#,
        r"{}",
        "deny /tools/x/deny_if/0",
    ),
    // When: the calls of this table come on a Monday at 10:00 in Berlin.
    (
        r#""require": [{"time": {"zone": "Europe/Berlin", "from": "09:00", "to": "17:00", "days": ["mon"]}}]"#,
        r"{}",
        "allow /tools/x",
    ),
    (r#""require": [{"time": {"zone": "UTC", "from": "09:30", "to": "17:00"}}]"#, r"{}", "deny /tools/x/require/0"),
    (r#""deny_if": [{"not": {"time": {"zone": "UTC", "days": ["sat", "sun"]}}}]"#, r"{}", "deny /tools/x/deny_if/0"),
    (r#""deny_if": [{"not": {"time": {"zone": "UTC", "days": ["mon"]}}}]"#, r"{}", "allow /tools/x"),
];

fn ruled(policy: &Policy, tool: &str, arguments: &str) -> String {
    let document = read_strict(arguments.as_bytes(), &Limits::default()).unwrap();
    let listed = r#"{"name": "x", "annotations": {"destructiveHint": true, "title": "x"}}"#;
    let facts = ToolFacts::read(&upstream("iam"), "x", listed);
    let around = Circumstances {
        agent: Some("bot"),
        owner: Some("mira@example.com"),
        listed: Some(&facts),
        now: Some(Millis("2026-11-23T09:00:00Z".parse::<jiff::Timestamp>().unwrap().as_millisecond())),
    };
    let upstream = upstream("iam");
    brief(&policy.rule(&Call { arguments: Some(document.root()), around, ..Call::new(&upstream, tool) }))
}

#[test]
fn conditions_decide_as_the_table_says() {
    for (entry, arguments, expected) in TABLE {
        let text = format!(r#"{{"version": "1", "tools": {{"x": {{{entry}}}}}}}"#);
        assert_eq!(ruled(&policy(&text), "x", arguments), *expected, "{arguments} under {text}");
        // The same for the tool's name with its upstream's before it, and with the entry for that upstream.
        assert_eq!(ruled(&policy(&text), "iam/x", arguments), *expected, "{arguments} under {text}");
    }
}

#[test]
fn what_is_not_known_allows_nothing() {
    for entry in [
        r#""require": [{"path": "agent.name", "op": "neq", "value": "x"}]"#,
        r#""require": [{"path": "tool.class", "op": "eq", "value": "read"}]"#,
        r#""require": [{"time": {"zone": "UTC", "days": ["mon"]}}]"#,
        r#""deny_if": [{"path": "agent.owner", "op": "neq", "value": "x"}]"#,
        r#""deny_if": [{"time": {"zone": "UTC", "days": ["mon"]}}]"#,
        r#""deny_if": [{"not": {"time": {"zone": "UTC", "days": ["mon"]}}}]"#,
    ] {
        let policy = policy(&format!(r#"{{"version": "1", "tools": {{"x": {{{entry}}}}}}}"#));
        assert!(brief(&rule(&policy, "iam", "x")).starts_with("deny /tools/x/"), "{entry}");
    }
}

#[test]
fn conditions_for_every_tool_hold_whatever_an_entry_says() {
    let policy = policy(
        r#"{"version": "1", "default": "allow",
            "all_tools": {"require": [{"path": "args.env", "op": "eq", "value": "test", "on_deny": "only in test"}]},
            "tools": {"x": {"override": true}, "y": {"action": "deny"}, "z": {"action": "require_approval"}}}"#,
    );
    for tool in ["x", "z", "unlisted"] {
        assert_eq!(brief(&rule_with(&policy, tool, r#"{"env": "live"}"#)), "deny /all_tools/require/0", "{tool}");
    }
    assert_eq!(brief(&rule_with(&policy, "y", r#"{"env": "live"}"#)), "deny /tools/y");
    assert_eq!(brief(&rule_with(&policy, "x", r#"{"env": "test"}"#)), "allow /tools/x");
    assert!(matches!(rule_with(&policy, "x", "{}"), Ruling::Deny { reason: Some(why), .. } if why == "only in test"));
}

#[test]
fn an_override_frees_from_a_globs_conditions_and_a_stranger_never_does() {
    let policy = policy(
        r#"{"version": "1", "tools": {
            "*": {"deny_if": [{"path": "args.a", "op": "exists"}]},
            "x": {"override": true}, "s3/y": {"override": true}, "z": {}}}"#,
    );
    let a = r#"{"a": 1}"#;
    assert_eq!(brief(&rule_with(&policy, "x", a)), "allow /tools/x");
    assert_eq!(brief(&rule_with(&policy, "y", a)), "deny /tools/*/deny_if/0");
    assert_eq!(brief(&rule_with(&policy, "s3/y", a)), "deny /tools/*/deny_if/0");
    assert_eq!(brief(&rule_with(&policy, "z", a)), "deny /tools/*/deny_if/0");
}

#[test]
fn an_entry_that_lists_nothing_only_restricts() {
    let policy = policy(
        r#"{"version": "1", "tools": {"*": {"lists": false, "action": "require_approval"}, "x": {}, "y": [
            {"require": [{"path": "args.a", "op": "exists"}]}, {"action": "require_approval", "approval": {"approvals": 2}}]}}"#,
    );
    assert_eq!(brief(&rule(&policy, "iam", "w")), "deny /default");
    assert_eq!(brief(&rule(&policy, "iam", "x")), "hold /tools/*");
    assert_eq!(brief(&rule(&policy, "iam", "y")), "deny /tools/y/0/require/0");
    assert_eq!(brief(&rule_with(&policy, "y", r#"{"a": 1}"#)), "hold /tools/y/1");
}

#[test]
fn pages_are_told_what_a_ruling_depends_on() {
    let policy = policy(
        r#"{"version": "1", "all_tools": {"deny_if": [{"path": "agent.name", "op": "glob", "value": ["tmp-*", "x"]}]},
            "tools": {"pay": {"action": "require_approval", "approval": {"when": [{"path": "args.amount", "op": "gt", "value": 500}]},
                "require": [{"any": [{"path": "args.to[*].iban", "op": "regex", "value": "^DE"},
                                     {"all": [{"path": "args.test", "op": "eq", "value": true}, {"not": {"path": "args.net", "op": "cidr", "value": "10.0.0.0/8"}}]}]},
                            {"time": {"zone": "Europe/Berlin", "from": "09:00", "to": "17:00", "days": ["mon", "fri"]}}]}}}"#,
    );
    let outline = policy.outline(&upstream("iam"), "pay");
    assert_eq!(brief(&outline.ruling), "hold /tools/pay");
    let said = outline.conditions;
    assert_eq!(said.asks_if.as_deref(), Some("amount is more than 500"));
    assert_eq!(
        said.refused_unless,
        [
            "to[*].iban matches /^DE/ or (test is true and not (net lies in 10.0.0.0/8))",
            "it comes between 09:00 and 17:00 on mon, fri (Europe/Berlin)"
        ]
    );
    assert_eq!(said.refused_if, ["the agent looks like tmp-* or x"]);
    assert_eq!(policy.outline(&upstream("iam"), "other").conditions, Default::default());
}
