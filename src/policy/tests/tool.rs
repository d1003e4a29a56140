//! What the policy says of tools that have changed, and who may accept that.

use super::*;
use crate::policy::AskReason;

/// What stands at the top beside `tools`; `tools`; a tool of upstream `iam`; what becomes of its calls, and what says so.
const TABLE: &[(&str, &str, &str, &str)] = &[
    ("", "", "x", "hold /tool_changes"),
    (r#""tool_changes": "deny","#, "", "x", "deny /tool_changes"),
    (r#""tool_changes": "allow","#, r#""x": {}"#, "x", "allow /tool_changes"),
    // An entry speaks for its tools, whatever the top says.
    ("", r#""x": {"tool_changes": "allow"}"#, "x", "allow /tools/x/tool_changes"),
    ("", r#""x": {"tool_changes": "allow"}"#, "y", "hold /tool_changes"),
    (r#""tool_changes": "deny","#, r#""x": {"tool_changes": "hold"}"#, "x", "hold /tools/x/tool_changes"),
    // Of several that match the strictest wins.
    ("", r#""x": {"tool_changes": "allow"}, "*": {"tool_changes": "deny"}"#, "x", "deny /tools/*/tool_changes"),
    ("", r#""x": {"tool_changes": "deny"}, "*": {"tool_changes": "allow"}"#, "x", "deny /tools/x/tool_changes"),
    ("", r#""x": {}, "*": {"tool_changes": "allow"}"#, "x", "allow /tools/*/tool_changes"),
    (
        "",
        r#""x": {"override": true, "tool_changes": "allow"}, "*": {"action": "deny", "tool_changes": "deny"}"#,
        "x",
        "allow /tools/x/tool_changes",
    ),
    // What lists nothing restricts, and permits nothing.
    ("", r#""x": {}, "*": {"lists": false, "tool_changes": "allow"}"#, "x", "hold /tool_changes"),
    ("", r#""x": {}, "*": {"lists": false, "tool_changes": "deny"}"#, "x", "deny /tools/*/tool_changes"),
    (
        "",
        r#""x": [{"lists": false, "tool_changes": "deny"}, {"tool_changes": "allow"}]"#,
        "x",
        "deny /tools/x/0/tool_changes",
    ),
    // What may be meant for another upstream's tool restricts, and permits nothing.
    ("", r#""s3/x": {"tool_changes": "allow"}"#, "s3/x", "hold /tool_changes"),
    ("", r#""s3/x": {"tool_changes": "deny"}"#, "s3/x", "deny /tools/s3~1x/tool_changes"),
    ("", r#""iam/x": {"tool_changes": "allow"}"#, "x", "allow /tools/iam~1x/tool_changes"),
];

#[test]
fn what_becomes_of_calls_of_a_changed_tool() {
    for (top, tools, tool, expected) in TABLE {
        let policy = policy(&format!(r#"{{"version": "1", {top} "tools": {{{tools}}}}}"#));
        let (changes, rule) = policy.tool_changes(&upstream("iam"), tool);
        assert_eq!(format!("{} {rule}", changes.as_str()), *expected, "{top} {tools} {tool}");
    }
}

#[test]
fn a_change_is_accepted_by_those_who_review_the_calls() {
    let policy = policy(
        r#"{"version": "1", "tools": {
            "put": {"action": "require_approval", "approval": {"reviewers": ["iam"],
                "when": [{"path": "args.a", "op": "eq", "value": 1}]}},
            "ask": {"action": "require_approval"}, "get": {}}}"#,
    );
    let names = |tool| policy.reviewers_of(&upstream("iam"), tool).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(names("put"), ["iam"], "whatever the arguments");
    assert!(names("ask").is_empty() && names("get").is_empty() && names("other").is_empty());
}

#[test]
fn a_reason_is_asked_for_where_calls_are_held_and_some_entry_says_so() {
    let policy = policy(
        r#"{"version": "1", "default": "allow", "tools": {
            "put": {"action": "require_approval", "approval": {"ask_reason": true,
                "when": [{"path": "args.a", "op": "eq", "value": 1}]}},
            "put_*": {"action": "require_approval", "approval": {"ask_reason": "required"}},
            "put_user": {"action": "require_approval", "approval": {"ask_reason": true}},
            "put_role": {"action": "require_approval", "approval": {"ask_reason": false}},
            "put_key": {"action": "deny"}, "no": {"action": "require_approval"}}}"#,
    );
    for (tool, expected) in [
        ("put", Some(AskReason::Asked)),
        ("put_user", Some(AskReason::Required)),
        ("put_role", Some(AskReason::Required)),
        ("put_key", None),
        ("no", None),
        ("other", None),
    ] {
        assert_eq!(policy.asks_reason(&upstream("iam"), tool), expected, "{tool}");
    }
}
