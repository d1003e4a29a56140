//! The forms of a policy: each is read as what it says, and the same policy rules alike in all of them.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::call::{AgentId, Millis};
use crate::policy::{Counters, LimitScope, LimitUse, NotReserved, Syntax, parse_as};

fn yaml(text: &str) -> Policy {
    parse_as(Syntax::Yaml, text, &defaults(&["iam", "s3"]))
        .unwrap_or_else(|problems| panic!("{text}\n{problems:#?}"))
        .policy
}

#[test]
fn rules_as_intercept_has_them() {
    let policy = yaml(include_str!("../../../tests/policies/intercept.yaml"));
    for (tool, arguments, expected) in [
        ("list_charges", "{}", "allow /tools/list_charges"),
        ("list_charges", r#"{"mood": "bad"}"#, "deny /tools/*/rules/0/conditions/0"),
        ("create_charge", r#"{"amount": 100, "currency": "eur"}"#, "allow /tools/create_charge/rules/0"),
        ("create_charge", r#"{"amount": 100.5, "currency": "eur"}"#, "hold /tools/create_charge/rules/1"),
        ("create_charge", r#"{"amount": 501, "currency": "eur"}"#, "deny /tools/create_charge/rules/0/conditions/0"),
        ("create_charge", r#"{"amount": "5", "currency": "eur"}"#, "deny /tools/create_charge/rules/0/conditions/0"),
        ("create_charge", r#"{"amount": 5, "currency": "EUR"}"#, "deny /tools/create_charge/rules/0/conditions/1"),
        ("create_charge", r#"{"currency": "eur"}"#, "deny /tools/create_charge/rules/0/conditions/0"),
        ("refund", "{}", "deny /tools/refund/rules/0"),
        ("wire", "{}", "hold /tools/wire/rules/0"),
        ("unlisted", "{}", "deny /default"),
        ("admin_x", "{}", "hide /hide/0"),
    ] {
        assert_eq!(brief(&rule_with(&policy, tool, arguments)), expected, "{tool} {arguments}");
    }
    let reason = |tool, arguments| match rule_with(&policy, tool, arguments) {
        Ruling::Deny { reason, .. } => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(reason("create_charge", "{}").as_deref(), Some("only up to 500 in eur or usd"));
    assert_eq!(reason("list_charges", r#"{"mood": 1}"#).as_deref(), Some("calm down first"));
    assert_eq!(reason("refund", "{}").as_deref(), Some("ask finance"));
}

#[test]
fn counters_as_intercept_has_them_are_bounded_with_the_calls_own_part() {
    let policy = yaml(include_str!("../../../tests/policies/intercept.yaml"));
    let iam = upstream("iam");
    let mut counters = Counters::new();
    let mut pay = |agent: u128, arguments: &str, at: i64| {
        let document = read_strict(arguments.as_bytes(), &Limits::default()).unwrap();
        let call = Call { arguments: Some(document.root()), ..Call::new(&iam, "transfer") };
        let limits: Vec<LimitUse> = policy.limits(&call).into_iter().cloned().collect();
        let agent = AgentId(uuid::Uuid::from_u128(agent));
        let who = LimitScope { agent, upstream: &iam, tool: "transfer", arguments: call.arguments };
        counters.reserve(&limits, &who, Millis(at)).map(drop)
    };
    assert_eq!(pay(1, r#"{"amount": 1000.25}"#, 0), Ok(()));
    // Everybody's, whoever calls; up to the bound itself.
    let refused = pay(2, r#"{"amount": 0.26}"#, 1).unwrap_err();
    let NotReserved::Exceeded(exceeded) = refused else { panic!("{refused:?}") };
    assert_eq!(exceeded.rule, "/tools/transfer/rules/0/conditions/0");
    assert_eq!(exceeded.on_deny.as_deref(), Some("that is all for today"));
    assert_eq!(exceeded.retry_at, Some(Millis(86_400_000)));
    assert_eq!(pay(2, r#"{"amount": 0.25}"#, 2), Ok(()));
    assert_eq!(pay(2, r#"{"amount": 0}"#, 3), Ok(()));
    // What cannot be added up is denied by the rule that adds it up.
    for arguments in ["{}", r#"{"amount": -1}"#, r#"{"amount": "1"}"#, r#"{"amount": 1e999}"#] {
        let refused = pay(1, arguments, 4).unwrap_err();
        assert!(
            matches!(&refused, NotReserved::Uncountable(it) if it.rule == "/tools/transfer/rules/0/state/increment_from"),
            "{arguments}: {refused:?}"
        );
    }
    // The next day begins anew: 999 calls in all, since the bound is below 1000.
    for call in 0..999 {
        assert_eq!(pay(1, r#"{"amount": 0}"#, 86_400_000 + call), Ok(()));
    }
    let refused = pay(1, r#"{"amount": 0}"#, 86_500_000).unwrap_err();
    assert!(matches!(&refused, NotReserved::Exceeded(it) if it.rule.ends_with("/conditions/1")), "{refused:?}");
}

#[test]
fn what_rules_say_has_a_canonical_form() {
    let rules = yaml(include_str!("../../../tests/policies/intercept.yaml"));
    let printed = rules.print();
    let parsed = parse(&printed, &defaults(&["iam", "s3"])).unwrap_or_else(|problems| panic!("{printed}{problems:#?}"));
    assert_eq!(parsed.warnings, []);
    assert_eq!(parsed.policy.print(), printed);
    insta::assert_snapshot!(printed);
}

#[test]
fn the_canonical_form_says_the_same_and_is_canonical() {
    let text = include_str!("../../../tests/policies/everything.json");
    let printed = policy(text).print();
    insta::assert_snapshot!(printed);
    assert_eq!(policy(&printed).print(), printed);
    assert_eq!(yaml(&printed).print(), printed);
}

/// What one tool's entry says, in any form.
#[derive(Clone, Debug)]
enum Says {
    Nothing,
    Allow,
    Deny,
    Ask,
    /// Allowed where `args.n` is at most this.
    AtMost(u8),
    /// Asks where `args.n` is more than this.
    AskAbove(u8),
}

fn says() -> impl Strategy<Value = Says> {
    prop_oneof![
        Just(Says::Nothing),
        Just(Says::Allow),
        Just(Says::Deny),
        Just(Says::Ask),
        (0..4_u8).prop_map(Says::AtMost),
        (0..4_u8).prop_map(Says::AskAbove)
    ]
}

const TOOLS: [&str; 3] = ["a", "b", "ab"];

/// JSON version 1.
fn as_json(default: &str, hidden: bool, says: &[Says]) -> String {
    let entry = |says: &Says| match says {
        Says::Nothing => None,
        Says::Allow => Some("{}".to_owned()),
        Says::Deny => Some(r#"{"action": "deny"}"#.to_owned()),
        Says::Ask => Some(r#"{"action": "require_approval"}"#.to_owned()),
        Says::AtMost(n) => Some(format!(r#"{{"require": [{{"path": "args.n", "op": "lte", "value": {n}}}]}}"#)),
        Says::AskAbove(n) => Some(format!(
            r#"{{"action": "require_approval", "approval": {{"when": [{{"path": "args.n", "op": "gt", "value": {n}}}]}}}}"#
        )),
    };
    let entries = TOOLS.iter().zip(says).filter_map(|(tool, says)| Some(format!("\"{tool}\": {}", entry(says)?)));
    let (entries, hide) = (entries.collect::<Vec<_>>().join(", "), if hidden { r#""ab""# } else { "" });
    format!(r#"{{"version": "1", "default": "{default}", "hide": [{hide}], "tools": {{{entries}}}}}"#)
}

/// The catalogue's shorthand, as YAML: it knows no conditions.
fn as_shorthand(default: &str, hidden: bool, says: &[Says]) -> Option<String> {
    let mut text = format!("version: '1'\ndefault: {default}\n");
    text += if hidden { "hide:\n- ab\n" } else { "" };
    text += "tools:\n  z: {action: deny}\n";
    for (tool, says) in TOOLS.iter().zip(says) {
        let action = match says {
            Says::Nothing => continue,
            Says::Allow => "allow",
            Says::Deny => "deny",
            Says::Ask => "require_approval",
            Says::AtMost(_) | Says::AskAbove(_) => return None,
        };
        write!(text, "  {tool}:\n    action: {action}\n").unwrap();
    }
    Some(text)
}

/// Intercept's rules, as YAML.
fn as_rules(default: &str, hidden: bool, says: &[Says]) -> String {
    let mut text = format!("version: \"1\"\ndefault: {default}\n");
    text += if hidden { "hide: [ab]\n" } else { "" };
    text += "tools:\n  z: {rules: [{action: deny}]}\n";
    for (tool, says) in TOOLS.iter().zip(says) {
        let condition = |op: &str, n: &u8| {
            format!("        conditions:\n          - path: args.n\n            op: {op}\n            value: {n}\n")
        };
        let rules = match says {
            Says::Nothing => continue,
            Says::Allow => " []\n".to_owned(),
            Says::Deny => "\n      - action: deny\n".to_owned(),
            Says::Ask => "\n      - action: require_approval\n".to_owned(),
            Says::AtMost(n) => format!("\n      - action: evaluate\n{}", condition("lte", n)),
            Says::AskAbove(n) => format!("\n      - action: require_approval\n{}", condition("gt", n)),
        };
        write!(text, "  {tool}:\n    rules:{rules}").unwrap();
    }
    text
}

/// What is ruled, without the rule's name.
fn kind(policy: &Policy, tool: &str, arguments: &str) -> String {
    brief(&rule_with(policy, tool, arguments)).split(' ').next().unwrap_or_default().to_owned()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn every_form_of_a_policy_rules_alike(
        default in prop::sample::select(vec!["allow", "deny"]),
        hidden: bool,
        says in prop::collection::vec(says(), 3),
        calls in prop::collection::vec(
            (prop::sample::select(vec!["a", "b", "ab", "iam/a", "c"]), prop_oneof![Just(String::new()), "\"n\": ([0-5]|1\\.5|\"1\"|null)"]),
            1..8,
        ),
    ) {
        let first = policy(&as_json(default, hidden, &says));
        let mut others = vec![yaml(&as_rules(default, hidden, &says))];
        others.extend(as_shorthand(default, hidden, &says).map(|text| yaml(&text)));
        others.push(policy(&first.print()));
        others.push(policy(&others[0].print()));
        for (tool, arguments) in calls {
            let arguments = format!("{{{arguments}}}");
            let expected = kind(&first, tool, &arguments);
            for other in &others {
                prop_assert_eq!(kind(other, tool, &arguments), expected.clone(), "{} {}", tool, arguments);
            }
        }
    }
}
