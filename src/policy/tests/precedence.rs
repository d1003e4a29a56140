//! Which entry decides, as a table.

use super::*;
use crate::policy::MethodRuling;

/// `tools` under a default, with what else stands at the top; a tool of upstream `iam`; what is ruled.
const TABLE: &[(&str, &str, &str, &str, &str)] = &[
    // The default.
    ("deny", "", "", "x", "deny /default"),
    ("allow", "", "", "x", "allow /default"),
    ("deny", "", r#""x": {}"#, "x", "allow /tools/x"),
    ("deny", "", r#""x": {}"#, "X", "deny /default"),
    ("deny", "", r#""x": {}"#, "xx", "deny /default"),
    ("deny", "", r#""*": {}"#, "x", "allow /tools/*"),
    ("deny", "", r#""*": {}"#, "", "allow /tools/*"),
    ("deny", "", r#""*": {}"#, "a\nb/c\u{202e}", "allow /tools/*"),
    ("deny", "", r#""get_*": {}"#, "get_/../delete", "allow /tools/get_*"),
    ("deny", "", r#""get_?": {}"#, "get_ab", "deny /default"),
    ("deny", "", r#""{get,list}_[a-z]*": {}"#, "list_users", "allow /tools/{get,list}_[a-z]*"),
    ("deny", "", r#""a\\*b": {}"#, "axb", "deny /default"),
    ("deny", "", r#""a\\*b": {}"#, "a*b", r"allow /tools/a\*b"),
    ("deny", "", r#""a\\**": {}"#, "a*b", r"allow /tools/a\**"),
    ("deny", "", r#""a\\**": {}"#, "ab", "deny /default"),
    ("deny", "", r#""**": {}"#, "a/b", "allow /tools/**"),
    ("deny", "", r#""**/x": {}"#, "x", "allow /tools/**~1x"),
    // The strictest action wins, whatever the order and whatever is more exact.
    ("allow", "", r#""x": {"action": "deny"}"#, "x", "deny /tools/x"),
    ("allow", "", r#""x": {"action": "require_approval"}"#, "x", "hold /tools/x"),
    ("deny", "", r#""x": {}, "*": {"action": "deny"}"#, "x", "deny /tools/*"),
    ("deny", "", r#""x": {"action": "allow"}, "*": {"action": "require_approval"}"#, "x", "hold /tools/*"),
    ("deny", "", r#""x": {"action": "deny"}, "*": {}"#, "x", "deny /tools/x"),
    ("deny", "", r#""x": {"action": "require_approval"}, "*": {"action": "deny"}"#, "x", "deny /tools/*"),
    ("deny", "", r#""x*": {"action": "require_approval"}, "*": {}"#, "x", "hold /tools/x*"),
    ("deny", "", r#""x": {"action": "deny"}, "*": {"action": "deny"}"#, "x", "deny /tools/x"),
    ("deny", "", r#""x*": {"action": "deny"}, "xy*": {"action": "deny"}"#, "xyz", "deny /tools/xy*"),
    // Overrides.
    ("deny", "", r#""x": {"override": true}, "*": {"action": "deny"}"#, "x", "allow /tools/x"),
    ("deny", "", r#""x": {"override": false}, "*": {"action": "deny"}"#, "x", "deny /tools/*"),
    ("deny", "", r#""x": {"override": true}, "*": {"action": "deny"}"#, "y", "deny /tools/*"),
    (
        "deny",
        "",
        r#""x": {"action": "require_approval", "override": true}, "*": {"action": "deny"}"#,
        "x",
        "hold /tools/x",
    ),
    ("deny", "", r#""x": {"override": true}, "*": {"action": "require_approval"}"#, "x", "allow /tools/x"),
    ("deny", "", r#""x": {"override": true}, "iam/x": {"action": "deny"}"#, "x", "deny /tools/iam~1x"),
    ("deny", "", r#""iam/x": {"override": true}, "*": {"action": "deny"}"#, "x", "allow /tools/iam~1x"),
    ("deny", "", r#""s3/x": {"override": true}, "*": {"action": "deny"}"#, "x", "deny /tools/*"),
    // Hiding is above everything.
    ("allow", r#""hide": ["x"],"#, "", "x", "hide /hide/0"),
    ("allow", r#""hide": ["y", "x*"],"#, r#""xa": {"action": "allow", "override": true}"#, "xa", "hide /hide/1"),
    ("deny", r#""hide": ["*"],"#, r#""x": {"action": "deny"}"#, "x", "hide /hide/0"),
    ("allow", r#""hide": ["iam/x"],"#, "", "x", "hide /hide/0"),
    ("allow", r#""hide": ["s3/x"],"#, "", "x", "allow /default"),
    // The same with and without the upstream's name.
    ("deny", "", r#""x": {}"#, "iam/x", "allow /tools/x"),
    ("deny", "", r#""iam/x": {}"#, "x", "allow /tools/iam~1x"),
    ("deny", "", r#""iam/x": {}"#, "iam/x", "allow /tools/iam~1x"),
    ("deny", "", r#""iam/*": {}"#, "x", "allow /tools/iam~1*"),
    ("deny", "", r#""*/x": {}"#, "x", "allow /tools/*~1x"),
    ("deny", "", r#""i?m/x": {}"#, "iam/x", "allow /tools/i?m~1x"),
    ("deny", "", r#""s3/*": {}"#, "x", "deny /default"),
    ("allow", "", r#""get_*": {"action": "deny"}"#, "iam/get_x", "deny /tools/get_*"),
    // A server cannot name its tool into what another server may do; what restricts holds in either reading.
    ("deny", "", r#""s3/x": {}"#, "s3/x", "deny /default"),
    ("deny", "", r#""s3/*": {}"#, "s3/x", "deny /default"),
    ("deny", "", r#""s3/x": {"action": "require_approval"}"#, "s3/x", "deny /default"),
    ("deny", "", r#""s3/x": {"override": true}, "*": {"action": "deny"}"#, "s3/x", "deny /tools/*"),
    ("allow", "", r#""s3/x": {"action": "deny"}"#, "s3/x", "deny /tools/s3~1x"),
    ("allow", r#""hide": ["s3/*"],"#, "", "s3/x", "hide /hide/0"),
    ("allow", "", r#""s3/x": {"action": "require_approval"}"#, "s3/x", "hold /tools/s3~1x"),
    // Where `fs` is known to be no upstream it is part of the tool's name.
    ("deny", "", r#""fs/read": {}"#, "fs/read", "allow /tools/fs~1read"),
];

#[test]
fn the_strictest_entry_decides() {
    for (default, top, tools, tool, expected) in TABLE {
        let text = format!(r#"{{"version": "1", "default": "{default}", {top} "tools": {{{tools}}}}}"#);
        let policy = parse(&text, &defaults(&["iam", "s3"])).unwrap_or_else(|p| panic!("{text}: {p:#?}")).policy;
        let ruling = rule(&policy, "iam", tool);
        assert_eq!(brief(&ruling), *expected, "{tool:?} under {text}");
        let denied = matches!(ruling, Ruling::Deny { .. });
        assert_eq!(policy.lists(&upstream("iam"), tool), !denied, "what is denied leaves tools/list: {text}");
        if matches!(ruling, Ruling::RequireApproval { .. }) {
            assert!(policy.may_hold(&upstream("iam")) || tool.starts_with("s3/"), "{text}");
        }
    }
}

#[test]
fn without_knowing_the_upstreams_a_slash_permits_nothing_elsewhere() {
    let policy = policy(r#"{"version": "1", "tools": {"fs/read": {}}}"#);
    assert_eq!(brief(&rule(&policy, "iam", "fs/read")), "deny /default");
    assert_eq!(brief(&rule(&policy, "fs", "read")), "allow /tools/fs~1read");
}

#[test]
fn the_default_is_deny_where_none_is_named() {
    assert_eq!(brief(&rule(&policy(r#"{"version": "1"}"#), "iam", "x")), "deny /default");
}

#[test]
fn denials_tell_the_reason_of_the_entry_that_denies() {
    let policy = policy(
        r#"{"version": "1", "tools": {
            "x": {"action": "deny", "reason": "ask the platform team"},
            "x*": {"action": "deny", "reason": "other"}, "y": {"action": "deny"}}}"#,
    );
    let reason = |tool| match rule(&policy, "iam", tool) {
        Ruling::Deny { reason, hidden: false, .. } => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(reason("x").as_deref(), Some("ask the platform team"));
    assert_eq!(reason("xy").as_deref(), Some("other"));
    assert_eq!((reason("y"), reason("z")), (None, None));
}

#[test]
fn an_allowed_call_has_the_gravest_declared_risk() {
    use crate::call::Risk;
    let policy = policy(
        r#"{"version": "1", "tools": {
            "get_*": {"risk": "read"}, "*_secret": {"approval": {"risk": "access"}}, "list": {}}}"#,
    );
    for (tool, expected) in [("get_x", Some(Risk::Read)), ("get_secret", Some(Risk::Access)), ("list", None)] {
        let Ruling::Allow { risk, .. } = rule(&policy, "iam", tool) else { panic!("{tool}") };
        assert_eq!(risk, expected, "{tool}");
    }
}

#[test]
fn methods_are_ruled_as_tools_are() {
    let policy = policy(
        r#"{"version": "1", "methods": {
            "resources/*": {}, "resources/subscribe": {"action": "deny", "reason": "no"},
            "prompts/list": {"action": "deny"}, "completion/complete": {"override": true},
            "completion/*": {"action": "deny"}}}"#,
    );
    for (method, expected) in [
        ("resources/read", "allow /methods/resources~1*"),
        ("resources/subscribe", "deny /methods/resources~1subscribe"),
        ("prompts/list", "deny /methods/prompts~1list"),
        ("prompts/get", "deny /default"),
        ("completion/complete", "allow /methods/completion~1complete"),
        ("ping", "allow /default"),
        ("tools/call", "deny /default"),
    ] {
        let ruling = match policy.rule_method(method) {
            MethodRuling::Allow { rule } => format!("allow {rule}"),
            MethodRuling::Deny { rule, .. } => format!("deny {rule}"),
        };
        assert_eq!(ruling, expected, "{method}");
    }
    assert!(policy.method_limits("resources/read").is_empty());
}

#[test]
fn no_entry_for_every_method_allows_a_call() {
    let policy = policy(r#"{"version": "1", "default": "allow", "methods": {"*": {"action": "allow"}}}"#);
    assert!(matches!(policy.rule_method("tools/call"), MethodRuling::Deny { .. }));
    assert!(matches!(policy.rule_method("anything"), MethodRuling::Allow { .. }));
}
