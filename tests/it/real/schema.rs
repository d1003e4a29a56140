//! The JSON Schema of policy files, judged by what editors use: ajv.

use std::path::{Path, PathBuf};
use std::time::Duration;

use placet::policy::{Defaults, Syntax, parse, parse_as};

use crate::support::command::run;
use crate::support::components::tools;

/// Whether the schema accepts each of these documents.
async fn judged(documents: &[String]) -> Vec<bool> {
    let folder = tempfile::tempdir().unwrap();
    let file = |(at, text): (usize, &String)| {
        let path = folder.path().join(format!("{at}.json"));
        std::fs::write(&path, text).unwrap();
        path
    };
    let files: Vec<PathBuf> = documents.iter().enumerate().map(file).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let load = tools().join("node/load.mjs");
    assert!(load.exists(), "{} is missing: run ./tests/run once", load.display());
    let mut arguments = vec![root.join("tests/components/ajv.mjs"), load, root.join("static/policy.schema.json")];
    arguments.extend(files);
    let arguments: Vec<&str> = arguments.iter().map(|path| path.to_str().unwrap()).collect();
    let said = run("node", &arguments).await;
    assert_eq!(said.code, 0, "{}", said.err);
    let lines: Vec<serde_json::Value> = said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), documents.len());
    lines.iter().map(|line| line[0].as_bool().unwrap()).collect()
}

fn defaults() -> Defaults {
    Defaults { timeout: Duration::from_secs(900), upstreams: Vec::new() }
}

#[tokio::test]
async fn it_accepts_what_placet_accepts() {
    let everything = include_str!("../../policies/everything.json").to_owned();
    let rules = parse_as(Syntax::Yaml, include_str!("../../policies/intercept.yaml"), &defaults()).unwrap().policy;
    let documents = [
        everything.clone(),
        parse(&everything, &defaults()).unwrap().policy.print(),
        rules.print(),
        include_str!("../../../src/init/policy.json").to_owned(),
        r#"{"version": "1", "tools": {"x": {"rules": [{"conditions": [{"path": "args.a", "op": "exists"}], "rate_limit": "5/hour"}, {"action": "deny"}]}}}"#.to_owned(),
        r#"{"version": "1"}"#.to_owned(),
        r#"{"version": "1", "tool_changes": "hold", "tools": {"x": {"action": "require_approval", "tool_changes": "allow", "approval": {"ask_reason": false, "standing": {"uses": 5, "for": "1h", "arguments": {"a": "*"}}}}}}"#
            .to_owned(),
        r#"{"version": "1", "tools": {"x": {"limits": [
            {"counter": "a", "of": "_global", "window": "day", "sliding": true, "add": "args.n", "max": 9.5, "on_deny": "no"},
            {"counter": "b", "window": "hour", "add": 2, "below": 9}, {"counter": "c", "window": "hour", "only_counts": true}]}}}"#
            .to_owned(),
        r#"{"version": "1", "default": "deny", "tools": {"x": {"rules": [{"state": {"counter": "c", "window": "day", "increment_from": "args.n"},
            "conditions": [{"path": "state.x.c", "op": "lte", "value": 9.5}, {"path": "args.n", "op": "gt", "value": 0}]}]}}}"#
            .to_owned(),
    ];
    let accepted = judged(&documents).await;
    for (document, accepted) in documents.iter().zip(accepted) {
        assert!(parse(document, &defaults()).is_ok(), "{document}");
        assert!(accepted, "{document}");
    }
}

#[tokio::test]
async fn it_refuses_what_is_wrong_in_shape() {
    let entry = |entry: &str| format!(r#"{{"version": "1", "tools": {{"x": {entry}}}}}"#);
    let condition = |one: &str| entry(&format!(r#"{{"deny_if": [{one}]}}"#));
    let approval = |block: &str| entry(&format!(r#"{{"action": "require_approval", "approval": {block}}}"#));
    let documents = [
        "{}".to_owned(),
        r#"{"version": 1}"#.to_owned(),
        r#"{"version": "1", "default": "ask"}"#.to_owned(),
        r#"{"version": "1", "defualt": "deny"}"#.to_owned(),
        r#"{"version": "1", "hide": "x"}"#.to_owned(),
        r#"{"version": "1", "methods": {"tools/call": {}}}"#.to_owned(),
        r#"{"version": "1", "methods": {"x": {"action": "require_approval"}}}"#.to_owned(),
        r#"{"version": "1", "all_tools": {"action": "deny"}}"#.to_owned(),
        r#"{"version": "1", "tool_changes": true}"#.to_owned(),
        r#"{"version": "1", "methods": {"x": {"tool_changes": "deny"}}}"#.to_owned(),
        entry("[]"),
        entry(r#"{"action": "alow"}"#),
        entry(r#"{"reason": " "}"#),
        entry(r#"{"tool_changes": "ask"}"#),
        entry(r#"{"rules": [], "tool_changes": "deny"}"#),
        entry(r#"{"rate_limit": "5/hour"}"#),
        entry(r#"{"limits": [{"counter": "c", "window": "week", "max": 1}]}"#),
        entry(r#"{"limits": [{"counter": "c", "window": "day", "max": 1, "below": 2}]}"#),
        entry(r#"{"limits": [{"counter": "c", "window": "day"}]}"#),
        entry(r#"{"rules": [{"state": {"counter": "a.b", "window": "day"}}]}"#),
        entry(
            r#"{"rules": [{"state": {"counter": "c", "window": "day"}, "conditions": [{"path": "state.x.c", "op": "gt", "value": 1}]}]}"#,
        ),
        entry(r#"{"rules": [{"action": "allow"}]}"#),
        entry(r#"{"rules": [{"rate_limit": "5/week"}]}"#),
        approval(r#"{"timeout": 900}"#),
        approval(r#"{"timeout": "15"}"#),
        approval(r#"{"approvals": 0}"#),
        approval(r#"{"reviewers": []}"#),
        approval(r#"{"when": []}"#),
        approval(r#"{"ask_reason": "yes"}"#),
        approval(r#"{"standing": {"uses": 0, "for": "5m"}}"#),
        approval(r#"{"standing": {"uses": 1}}"#),
        approval(r#"{"standing": {"uses": 1, "for": "5m", "arguments": {"a": 1}}}"#),
        condition(r#"{"path": "args.a"}"#),
        condition(r#"{"path": "args.a", "op": "eq"}"#),
        condition(r#"{"path": "a", "op": "eq", "value": 1}"#),
        condition(r#"{"path": "args.a", "op": "=", "value": 1}"#),
        condition(r#"{"path": "args.a", "op": "lt", "value": "5"}"#),
        condition(r#"{"path": "args.a", "op": "in", "value": 5}"#),
        condition(r#"{"any": []}"#),
        condition(r#"{"time": {"zone": "UTC"}}"#),
        condition(r#"{"time": {"zone": "UTC", "from": "9:00"}}"#),
    ];
    let accepted = judged(&documents).await;
    for (document, accepted) in documents.iter().zip(accepted) {
        assert!(parse(document, &defaults()).is_err(), "{document}");
        assert!(!accepted, "{document}");
    }
}
