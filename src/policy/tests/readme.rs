//! The policies in the README are what it says they are.

use super::*;
use crate::policy::{Syntax, parse_as};

/// The fenced blocks of this language in the section about policies.
fn blocks(language: &str) -> Vec<String> {
    let readme = include_str!("../../../README.md");
    let section = readme.split_once("\n## The policy\n").and_then(|(_, rest)| rest.split_once("\n## ")).unwrap().0;
    let fence = format!("```{language}\n");
    section.split(&fence).skip(1).map(|rest| rest.split_once("```").unwrap().0.to_owned()).collect()
}

fn read(syntax: Syntax, text: &str) -> Policy {
    let parsed = parse_as(syntax, text, &defaults(&["iam"])).unwrap_or_else(|problems| panic!("{text}{problems:#?}"));
    assert_eq!(parsed.warnings, [], "{text}");
    parsed.policy
}

#[test]
fn every_example_is_valid_and_does_what_is_said() {
    let (json, yaml) = (blocks("json"), blocks("yaml"));
    // Lines of calls are tried below, each by itself.
    let (calls, json): (Vec<_>, Vec<_>) = json.into_iter().partition(|text| text.starts_with("{\"tool\""));
    assert_eq!(calls.len(), 1);
    let json: Vec<_> = json.iter().map(|text| read(Syntax::Json, text)).collect();
    let yaml: Vec<_> = yaml.iter().map(|text| read(Syntax::Yaml, text)).collect();
    let of = |policy: &Policy, tool, arguments| brief(&rule_with(policy, tool, arguments));
    assert_eq!(of(&json[0], "put_user_policy", "{}"), "hold /tools/put_user_policy");
    assert_eq!(of(&json[0], "get_user", "{}"), "allow /tools/get_*");
    assert_eq!(of(&json[0], "delete_user", "{}"), "hide /hide/0");
    let refund = |arguments| of(&json[1], "create_refund", arguments);
    assert_eq!(refund(r#"{"currency": "gbp"}"#), "deny /tools/create_refund/require/0");
    assert_eq!(refund(r#"{"currency": "eur", "lines": []}"#), "deny /tools/create_refund/require/1");
    let charge = |arguments| of(&yaml[0], "create_charge", arguments);
    assert_eq!(charge(r#"{"amount": 100}"#), "allow /tools/create_charge/rules/0");
    assert_eq!(charge(r#"{"amount": 101}"#), "hold /tools/create_charge/rules/2");
    assert_eq!(charge(r#"{"amount": 501}"#), "deny /tools/create_charge/rules/0/conditions/0");
    assert_eq!(charge("{}"), "deny /tools/create_charge/rules/0/conditions/0");
}
