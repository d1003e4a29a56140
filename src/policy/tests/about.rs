//! Which calls can be ruled without their arguments.

use super::{policy, upstream};

#[test]
fn a_tool_depends_on_its_arguments_only_where_the_answer_can() {
    let file = |tools: &str| format!(r#"{{"version": "1", "hide": ["hidden"], "tools": {{{tools}}}}}"#);
    let when = r#"{"action": "require_approval", "approval": {"when": [{"path": "args.x", "op": "exists"}]}}"#;
    let require = r#"{"require": [{"path": "args.x", "op": "exists"}]}"#;
    let hold = r#"{"action": "require_approval"}"#;
    for (tools, depends) in [
        (r#""x": {}"#.to_owned(), false),
        (format!(r#""x": {hold}"#), false),
        (format!(r#""x": {when}"#), true),
        (format!(r#""x": {require}"#), true),
        (format!(r#""x*": {when}, "x": {{}}"#), true),
        // Another entry asks for approval anyhow, but for one that an exact name may override.
        (format!(r#""x*": {when}, "x": {hold}"#), false),
        (
            format!(
                r#""x*": {hold}, "x": {{"override": true, "action": "require_approval", "approval": {{"when": [{{"path": "args.x", "op": "exists"}}]}}}}"#
            ),
            true,
        ),
        (format!(r#""x*": {{"action": "deny"}}, "x": {require}"#), false),
        (format!(r#""y": {require}"#), false),
        (format!(r#""hidden": {require}"#), false),
    ] {
        let name = if tools.contains("hidden") { "hidden" } else { "x" };
        assert_eq!(policy(&file(&tools)).depends_on_arguments(&upstream("iam"), name), depends, "{tools}");
    }
    let everywhere = r#"{"version": "1", "tools": {"x": {}},
        "all_tools": {"deny_if": [{"path": "args.x", "op": "exists"}]}}"#;
    assert!(policy(everywhere).depends_on_arguments(&upstream("iam"), "x"));
    assert!(!policy(everywhere).depends_on_arguments(&upstream("iam"), "y"), "what is denied anyhow");
}
