//! What holds of every policy and every call.

use proptest::prelude::*;

use super::*;
use crate::policy::pattern::{Matcher, Pattern};

const ACTIONS: [&str; 3] = ["allow", "deny", "require_approval"];

/// Names and globs over a small alphabet, so that they meet.
fn pattern() -> impl Strategy<Value = String> {
    prop_oneof!["[ab]{1,3}", "[ab*?]{1,3}", "(iam|s3|i?m|\\*)/[ab*]{1,2}"]
}

fn tool() -> impl Strategy<Value = String> {
    prop_oneof!["[ab]{1,3}", "(iam|s3|x)/[ab]{1,2}", "[ab./\\n]{0,4}"]
}

/// A condition on `args.n`, in words that one of the operators understands.
fn condition() -> impl Strategy<Value = String> {
    let test =
        ("(eq|neq|lt|gte)", "[0-3]").prop_map(|(op, n)| format!(r#"{{"path": "args.n", "op": "{op}", "value": {n}}}"#));
    let list = ("(in|not_in)", "[0-3]")
        .prop_map(|(op, n)| format!(r#"{{"path": "args.n", "op": "{op}", "value": [{n}, "x"]}}"#));
    let exists = any::<bool>().prop_map(|value| format!(r#"{{"path": "args.n", "op": "exists", "value": {value}}}"#));
    prop_oneof![test, list, exists].prop_recursive(2, 6, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|one| format!(r#"{{"not": {one}}}"#)),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!(r#"{{"any": [{a}, {b}]}}"#)),
            (inner.clone(), inner).prop_map(|(a, b)| format!(r#"{{"all": [{a}, {b}]}}"#)),
        ]
    })
}

fn arguments() -> impl Strategy<Value = String> {
    prop_oneof![Just("{}".to_owned()), "\\{\"n\": ([0-4]|1\\.0|\"x\"|null|true|\\[1\\]|\\{\\}|1e99)\\}"]
}

fn entry() -> impl Strategy<Value = (String, String)> {
    let conditions = (prop::option::of(condition()), prop::option::of(condition()), prop::option::of(condition()));
    (pattern(), 0..3_usize, any::<bool>(), 1..4_u8, conditions).prop_map(|(pattern, action, overrides, approvals, conditions)| {
        let (require, deny_if, when) = conditions;
        let exact = !pattern.contains(['*', '?']);
        let overrides = overrides && exact;
        let approval = match ACTIONS[action] {
            "require_approval" => {
                let when = when.map(|when| format!(r#", "when": {when}"#)).unwrap_or_default();
                format!(r#", "approval": {{"approvals": {approvals}, "timeout": "{approvals}m", "reviewers": ["g{approvals}"]{when}}}"#)
            }
            _ => String::new(),
        };
        let list = |key, one: Option<String>| one.map(|one| format!(r#", "{key}": [{one}]"#)).unwrap_or_default();
        let approval = [approval, list("require", require), list("deny_if", deny_if)].concat();
        let entry = format!(r#""{pattern}": {{"action": "{}", "override": {overrides}{approval}}}"#, ACTIONS[action]);
        (pattern, entry)
    })
}

/// Entries with different patterns.
fn entries() -> impl Strategy<Value = Vec<String>> {
    prop::collection::btree_map(pattern(), entry(), 0..8).prop_map(|entries| {
        let entries: std::collections::BTreeMap<_, _> = entries.into_values().collect();
        entries.into_values().collect()
    })
}

fn file(default: bool, hide: &[String], entries: &[String]) -> Policy {
    let default = if default { "allow" } else { "deny" };
    let hide: Vec<_> = hide.iter().map(|pattern| format!("\"{pattern}\"")).collect();
    let (hide, entries) = (hide.join(","), entries.join(","));
    let text = format!(r#"{{"version": "1", "default": "{default}", "hide": [{hide}], "tools": {{{entries}}}}}"#);
    parse(&text, &defaults(&["iam", "s3"])).unwrap_or_else(|problems| panic!("{text}: {problems:#?}")).policy
}

/// How strict a ruling is.
fn strictness(ruling: &Ruling) -> u8 {
    match ruling {
        Ruling::Allow { .. } => 0,
        Ruling::RequireApproval { .. } => 1,
        Ruling::Deny { hidden: false, .. } => 2,
        Ruling::Deny { hidden: true, .. } => 3,
    }
}

/// The glob, one character at a time: slow and plain.
fn plain_match(glob: &[char], name: &[char]) -> bool {
    match (glob.first(), name.first()) {
        (None, None) => true,
        (Some('*'), _) => plain_match(&glob[1..], name) || (!name.is_empty() && plain_match(glob, &name[1..])),
        (Some('?'), Some(_)) => plain_match(&glob[1..], &name[1..]),
        (Some(a), Some(b)) => a == b && plain_match(&glob[1..], &name[1..]),
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(150) })]

    #[test]
    fn rulings_do_not_depend_on_the_order_of_keys(
        default: bool,
        entries in entries().prop_flat_map(|entries| (Just(entries.clone()), Just(entries).prop_shuffle())),
        tool in tool(),
        arguments in arguments(),
    ) {
        let (a, b) = (file(default, &[], &entries.0), file(default, &[], &entries.1));
        for name in ["iam", "s3"] {
            prop_assert_eq!(rule(&a, name, &tool), rule(&b, name, &tool));
            prop_assert_eq!(rule_on(&a, name, &tool, &arguments), rule_on(&b, name, &tool, &arguments));
        }
    }

    #[test]
    fn a_further_restriction_never_loosens(
        default: bool,
        entries in entries(),
        (restricted, says) in (pattern(), prop_oneof![
            Just(r#""action": "deny""#.to_owned()),
            Just(r#""action": "require_approval""#.to_owned()),
            condition().prop_map(|one| format!(r#""lists": false, "require": [{one}]"#)),
            condition().prop_map(|one| format!(r#""lists": false, "deny_if": [{one}]"#)),
            condition().prop_map(|one| format!(r#""lists": false, "action": "require_approval", "approval": {{"when": {one}}}"#)),
        ]),
        tool in tool(),
        arguments in arguments(),
    ) {
        let new = format!(r#""{restricted}": {{{says}}}"#);
        let hold = says == r#""action": "require_approval""#;
        let taken = entries.iter().any(|entry| entry.starts_with(&format!("\"{restricted}\"")));
        // Asking for approval also lists a tool, which only loosens a default of deny.
        prop_assume!(!taken && (default || !hold));
        let more: Vec<_> = entries.iter().cloned().chain([new]).collect();
        let (before, after) = (file(default, &[], &entries), file(default, &[], &more));
        for name in ["iam", "s3"] {
            let (before, after) = (rule_on(&before, name, &tool, &arguments), rule_on(&after, name, &tool, &arguments));
            prop_assert!(strictness(&after) >= strictness(&before), "{:?} became {:?}", before, after);
        }
    }

    #[test]
    fn hiding_wins_over_everything(default: bool, entries in entries(), hidden in pattern(), tool in tool()) {
        let policy = file(default, std::slice::from_ref(&hidden), &entries);
        let matcher = Matcher::new([&Pattern::tool(&hidden).unwrap()]).unwrap();
        let found = !matcher.find(&upstream("iam"), &tool, &[]).is_empty();
        let ruling = rule(&policy, "iam", &tool);
        prop_assert_eq!(matches!(ruling, Ruling::Deny { hidden: true, .. }), found);
    }

    #[test]
    fn under_deny_only_what_an_entry_permits_is_not_denied(entries in entries(), tool in tool()) {
        let policy = file(false, &[], &entries);
        let ruling = rule(&policy, "iam", &tool);
        // A condition denies a call, not the tool.
        let by_condition = matches!(&ruling, Ruling::Deny { rule, .. } if rule.contains("/require/") || rule.contains("/deny_if/"));
        prop_assert_eq!(policy.lists(&upstream("iam"), &tool), strictness(&ruling) < 2 || by_condition);
        if strictness(&ruling) < 2 {
            prop_assert!(!entries.is_empty());
            let (Ruling::Allow { rule, .. } | Ruling::RequireApproval { rule, .. }) = ruling else { unreachable!() };
            prop_assert!(rule.starts_with("/tools/"), "{}", rule);
        }
    }

    #[test]
    fn globs_match_what_they_say(glob in "[ab*?/.]{1,5}", name in "[ab/.\\n]{0,6}") {
        let pattern = Pattern::method(&glob).unwrap();
        let found = !Matcher::new([&pattern]).unwrap().find_method(&name).is_empty();
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        prop_assert_eq!(found, plain_match(&chars(&glob), &chars(&name)), "{} {:?}", glob, name);
    }

    #[test]
    fn reading_never_fails_but_in_words(text in "[\\{\\}\\[\\]\":,a-z0-9 \\n*/$.\\\\]{0,80}") {
        if let Err(problems) = parse(&text, &defaults(&[])) {
            prop_assert!(!problems.is_empty());
        }
    }
}
