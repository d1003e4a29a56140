//! The files that users already have load as they stand and do what they say.

use std::time::Duration;

use super::*;
use crate::call::{AgentId, ContextRead, Millis, OnTimeout, Quorum};
use crate::policy::{Counters, LimitScope, MethodRuling, NotReserved, Scope};

const SEED: &str = r#"{ "version": "1", "default": "deny",
  "hide": ["delete_user"],
  "all_tools": { "limits": [ { "counter": "all", "window": "minute", "max": 300, "scope": "grant" } ] },
  "tools": {
    "put_user_policy": {
      "require": [], "deny_if": [],
      "limits": [ { "counter": "put_user_policy_rate", "window": "minute", "max": 30, "scope": "grant" } ] } } }
"#;

const INTERFACE: &str = r#"{ "version": "1", "default": "deny",
  "readers": ["get_user_policy"],
  "tools": {
    "list_*": {}, "get_*": {},
    "put_user_policy": {
      "action": "require_approval",
      "approval": { "timeout": "15m", "on_timeout": "reject", "approvals": 1, "reviewers": ["iam"],
                    "context": [ { "tool": "get_user_policy", "arguments": { "user_name": "$args.user_name", "policy_name": "$args.policy_name" } } ] },
      "limits": [ { "counter": "put_user_policy_rate", "window": "minute", "max": 30, "scope": "grant" } ] } } }
"#;

#[test]
fn the_seed_policy_allows_one_tool_thirty_times_a_minute() {
    let parsed = parse(SEED, &defaults(&[])).unwrap();
    assert_eq!(parsed.warnings, []);
    let policy = parsed.policy;
    for tool in ["put_user_policy", "iam/put_user_policy"] {
        assert_eq!(brief(&rule(&policy, "iam", tool)), "allow /tools/put_user_policy");
    }
    assert_eq!(brief(&rule(&policy, "iam", "delete_user")), "hide /hide/0");
    assert_eq!(brief(&rule(&policy, "iam", "list_users")), "deny /default");
    assert!(policy.lists(&upstream("iam"), "put_user_policy"));
    assert!(!policy.lists(&upstream("iam"), "delete_user"));
    assert!(!policy.lists(&upstream("iam"), "list_users"));
    assert!(!policy.may_hold(&upstream("iam")));

    let iam = upstream("iam");
    let limits = policy.limits(&Call::new(&iam, "put_user_policy"));
    let read: Vec<_> = limits.iter().map(|l| (l.rule.as_str(), l.window().as_secs(), l.most(), l.scope())).collect();
    let expected = [
        ("/all_tools/limits/0", 60, Some("up to 300".to_owned()), Scope::Grant),
        ("/tools/put_user_policy/limits/0", 60, Some("up to 30".to_owned()), Scope::Grant),
    ];
    assert_eq!(read, expected);
    let mut counters = Counters::new();
    let who = LimitScope {
        agent: AgentId(uuid::Uuid::from_u128(1)),
        upstream: &iam,
        tool: "put_user_policy",
        arguments: None,
    };
    for _ in 0..30 {
        let _counted = counters.reserve(&limits, &who, Millis(60_000)).unwrap();
    }
    let Err(NotReserved::Exceeded(limit)) = counters.reserve(&limits, &who, Millis(61_000)) else {
        panic!("the limit is reached")
    };
    assert_eq!((limit.rule.as_str(), limit.retry_at), ("/tools/put_user_policy/limits/0", Some(Millis(120_000))));
    assert!(counters.reserve(&limits, &who, Millis(120_000)).is_ok());
}

#[test]
fn the_policy_of_the_interface_page_holds_and_reads_for_the_reviewer() {
    let parsed = parse(INTERFACE, &defaults(&["iam"])).unwrap();
    assert_eq!(parsed.warnings, []);
    let policy = parsed.policy;
    assert_eq!(brief(&rule(&policy, "iam", "list_users")), "allow /tools/list_*");
    assert!(policy.may_hold(&upstream("iam")));
    assert!(policy.is_reader(&upstream("iam"), "get_user_policy"));
    assert!(!policy.is_reader(&upstream("iam"), "list_users"));

    let call = r#"{"user_name": "mira", "policy_name": "p", "policy_document": {"Version": "2012-10-17"}}"#;
    let Ruling::RequireApproval { rule, requirement } = rule_with(&policy, "put_user_policy", call) else { panic!() };
    assert_eq!(rule, "/tools/put_user_policy");
    assert_eq!(requirement.timeout, Duration::from_secs(900));
    assert_eq!((&requirement.on_timeout, requirement.quorum), (&OnTimeout::Reject, Quorum::ONE));
    assert_eq!(requirement.reviewers.iter().map(|group| group.as_str()).collect::<Vec<_>>(), ["iam"]);
    let read = |arguments| vec![ContextRead { tool: "get_user_policy".to_owned(), arguments }];
    assert_eq!(requirement.context, read(Ok(r#"{"user_name":"mira","policy_name":"p"}"#.to_owned())));

    let call = r#"{"user_name": "mira"}"#;
    let Ruling::RequireApproval { requirement, .. } = rule_with(&policy, "put_user_policy", call) else { panic!() };
    assert_eq!(requirement.context, read(Err("could not read: the call has no policy_name".to_owned())));
}

#[test]
fn only_the_protocols_own_methods_pass_by_themselves() {
    let policy = policy(SEED);
    for method in ["initialize", "ping", "server/discover", "tools/list", "notifications/cancelled"] {
        assert_eq!(policy.rule_method(method), MethodRuling::Allow { rule: "/default".to_owned() }, "{method}");
    }
    for method in
        ["resources/read", "prompts/get", "completion/complete", "vendor/x", "notifications/vendor", "", "tools/call"]
    {
        assert_eq!(
            policy.rule_method(method),
            MethodRuling::Deny { rule: "/default".to_owned(), reason: None },
            "{method}"
        );
    }
}

#[test]
fn the_version_is_the_hash_of_the_files_bytes() {
    assert_eq!(policy(SEED).version(), crate::call::Digest::of(SEED.as_bytes()));
}
