//! Limits over time.

use super::*;
use crate::call::{AgentId, Millis};
use crate::policy::{Counters, Exceeded, LimitScope, LimitUse, NotReserved, Reservation};

fn uses(policy: &Policy, tool: &str) -> Vec<LimitUse> {
    policy.limits(&Call::new(&upstream("iam"), tool)).into_iter().cloned().collect()
}

/// The limit that is reached.
fn reached(reserved: Result<Reservation, NotReserved>) -> Exceeded {
    match reserved {
        Err(NotReserved::Exceeded(exceeded)) => exceeded,
        other => panic!("{other:?}"),
    }
}

fn limited(limit: &str) -> Vec<LimitUse> {
    uses(&policy(&format!(r#"{{"version": "1", "tools": {{"x": {{{limit}}}, "y": {{}}}}}}"#)), "x")
}

fn agent(number: u128) -> AgentId {
    AgentId(uuid::Uuid::from_u128(number))
}

/// How many calls pass at this moment, of ten at most.
fn passing(counters: &mut Counters, uses: &[LimitUse], who: (u128, &str, &str), at: i64) -> usize {
    let upstream = upstream(who.1);
    let scope = LimitScope { agent: agent(who.0), upstream: &upstream, tool: who.2, arguments: None };
    (0..10).take_while(|_| counters.reserve(uses, &scope, Millis(at)).is_ok()).count()
}

#[test]
fn windows_are_aligned_to_utc() {
    const DAY: i64 = 86_400_000;
    for (window, length) in [("second", 1000), ("minute", 60_000), ("hour", 3_600_000), ("day", DAY)] {
        let uses = limited(&format!(r#""limits": [{{"counter": "c", "window": "{window}", "max": 3}}]"#));
        let mut counters = Counters::new();
        let start = 20_000 * DAY;
        let who = (1, "iam", "x");
        assert_eq!(passing(&mut counters, &uses, who, start + length - 1), 3, "{window}");
        assert_eq!(passing(&mut counters, &uses, who, start + length), 3, "{window}");
        assert_eq!(passing(&mut counters, &uses, who, start + 2 * length - 1), 0, "{window}");
        let scope = LimitScope { agent: agent(1), upstream: &upstream("iam"), tool: "x", arguments: None };
        let exceeded = reached(counters.reserve(&uses, &scope, Millis(start + 2 * length - 1)));
        assert_eq!(
            (exceeded.rule.as_str(), exceeded.retry_at),
            ("/tools/x/limits/0", Some(Millis(start + 2 * length)))
        );
        assert_eq!(counters.len(), 1, "what has ended is forgotten");
    }
    let uses = limited(r#""rate_limit": {"max": 2, "window": 7}"#);
    let mut counters = Counters::new();
    assert_eq!(passing(&mut counters, &uses, (1, "iam", "x"), 6999), 2);
    assert_eq!(passing(&mut counters, &uses, (1, "iam", "x"), 7000), 2);
    let scope = LimitScope { agent: agent(1), upstream: &upstream("iam"), tool: "x", arguments: None };
    let exceeded = reached(counters.reserve(&uses, &scope, Millis(13_999)));
    assert_eq!((exceeded.rule.as_str(), exceeded.retry_at), ("/tools/x/rate_limit", Some(Millis(14_000))));
}

#[test]
fn a_scope_says_who_shares() {
    // The same caller; then another agent, another upstream, another tool.
    for (scope, shares) in [
        ("grant", [false, false, true]),
        ("agent", [false, true, true]),
        ("upstream", [true, false, true]),
        ("tool", [true, false, false]),
        ("global", [true, true, true]),
    ] {
        let uses =
            limited(&format!(r#""limits": [{{"counter": "c", "window": "day", "max": 2, "scope": "{scope}"}}]"#));
        for (other, shares) in [(2, "iam", "x"), (1, "s3", "x"), (1, "iam", "y")].into_iter().zip(shares) {
            let mut counters = Counters::new();
            assert_eq!(passing(&mut counters, &uses, (1, "iam", "x"), 0), 2);
            assert_eq!(passing(&mut counters, &uses, other, 0), if shares { 0 } else { 2 }, "{scope} {other:?}");
        }
    }
}

#[test]
fn all_counters_are_taken_together_or_none() {
    let uses = limited(
        r#""limits": [{"counter": "a", "window": "day", "max": 5}, {"counter": "b", "window": "minute", "max": 2}],
           "rate_limit": {"max": 1, "window": 3600}"#,
    );
    let mut counters = Counters::new();
    let scope = LimitScope { agent: agent(1), upstream: &upstream("iam"), tool: "x", arguments: None };
    let first = counters.reserve(&uses, &scope, Millis(0)).unwrap();
    for _ in 0..10 {
        let exceeded = reached(counters.reserve(&uses, &scope, Millis(1)));
        assert_eq!((exceeded.rule.as_str(), exceeded.retry_at), ("/tools/x/rate_limit", Some(Millis(3_600_000))));
    }
    assert!(counters.give_back(first, false).is_empty(), "nothing was written, so nothing is to be");
    assert!(counters.is_empty());
    assert_eq!(passing(&mut counters, &uses[..2], (1, "iam", "x"), 2), 2, "refused calls took nothing");
    assert_eq!(passing(&mut counters, &uses[..2], (1, "iam", "x"), 60_000), 2);
    assert_eq!(passing(&mut counters, &uses[..2], (1, "iam", "x"), 120_000), 1, "the day's counter is at five");
}

#[test]
fn what_is_given_back_late_changes_no_later_window() {
    let uses = limited(r#""limits": [{"counter": "c", "window": "second", "max": 1}]"#);
    let mut counters = Counters::new();
    let scope = LimitScope { agent: agent(1), upstream: &upstream("iam"), tool: "x", arguments: None };
    let early = counters.reserve(&uses, &scope, Millis(0)).unwrap();
    let _later = counters.reserve(&uses, &scope, Millis(1000)).unwrap();
    assert!(counters.give_back(early, true).is_empty(), "its window is over");
    assert!(counters.reserve(&uses, &scope, Millis(1001)).is_err());
}

#[test]
fn a_clock_set_back_gives_no_second_quota_and_holds_nobody_for_long() {
    let uses = limited(r#""limits": [{"counter": "c", "window": "minute", "max": 3}]"#);
    let mut counters = Counters::new();
    assert_eq!(passing(&mut counters, &uses, (1, "iam", "x"), 600_000), 3);
    assert_eq!(passing(&mut counters, &uses, (1, "iam", "x"), 599_000), 0);
    assert_eq!(passing(&mut counters, &uses, (1, "iam", "x"), 0), 3);
    assert_eq!(passing(&mut counters, &uses, (1, "iam", "x"), i64::MAX), 3);
    assert_eq!(passing(&mut counters, &uses, (1, "iam", "x"), i64::MIN), 3);
}

#[test]
fn counters_belong_to_the_entry_that_names_them_and_outlive_an_edit() {
    let tools = |max: u64, more: &str| {
        format!(
            r#"{{"version": "1", "tools": {{{more}
                "x*": {{"limits": [{{"counter": "c", "window": "day", "max": {max}}}]}},
                "y": {{"limits": [{{"counter": "c", "window": "day", "max": 1}}]}}}}}}"#
        )
    };
    let before = policy(&tools(3, ""));
    let mut counters = Counters::new();
    assert_eq!(passing(&mut counters, &uses(&before, "xa"), (1, "iam", "xa"), 0), 3, "shared by all it matches");
    assert_eq!(passing(&mut counters, &uses(&before, "xb"), (1, "iam", "xb"), 0), 0);
    assert_eq!(passing(&mut counters, &uses(&before, "y"), (1, "iam", "y"), 0), 1, "another entry's is another");
    let after = policy(&tools(5, r#""a": {},"#));
    assert_eq!(passing(&mut counters, &uses(&after, "xa"), (1, "iam", "xa"), 0), 2);
}

#[test]
fn limits_of_every_matching_entry_count_even_of_those_that_are_overridden() {
    let policy = policy(
        r#"{"version": "1", "all_tools": {"limits": [{"counter": "all", "window": "day", "max": 9, "scope": "global"}]},
            "tools": {"x": {"override": true, "rate_limit": {"max": 5, "window": 60}},
                      "*": {"action": "require_approval", "limits": [{"counter": "c", "window": "hour", "max": 7}]}}}"#,
    );
    let rules: Vec<_> = uses(&policy, "iam/x").into_iter().map(|limit| limit.rule).collect();
    assert_eq!(rules, ["/all_tools/limits/0", "/tools/x/rate_limit", "/tools/*/limits/0"]);
}

#[test]
fn an_agent_that_invents_tools_does_not_fill_the_memory() {
    let policy = policy(
        r#"{"version": "1", "tools": {"*": {"limits": [
            {"counter": "c", "window": "day", "max": 5, "scope": "tool"}]}}}"#,
    );
    let mut counters = Counters::new();
    let iam = upstream("iam");
    let mut refused = 0;
    let uses_of_any = uses(&policy, "x");
    for number in 0..100_010 {
        let tool = format!("x{number}");
        let scope = LimitScope { agent: agent(1), upstream: &iam, tool: &tool, arguments: None };
        refused += usize::from(counters.reserve(&uses_of_any, &scope, Millis(0)).is_err());
    }
    assert_eq!((counters.len(), refused), (100_000, 10));
    assert_eq!(passing(&mut counters, &uses(&policy, "x0"), (1, "iam", "x0"), 0), 4, "who is counted stays counted");
    assert_eq!(passing(&mut counters, &uses(&policy, "x"), (1, "iam", "x"), 86_400_000), 5);
    assert_eq!(counters.len(), 1);
}
