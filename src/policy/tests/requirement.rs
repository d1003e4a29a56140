//! What is asked of reviewers, from one entry and from several.

use super::*;
use crate::call::{InputAfterApproval, OnTimeout, Quorum, ReleaseWhen, Requirement, Risk};

fn requirement(tools: &str, tool: &str) -> Requirement {
    let policy = policy(&format!(r#"{{"version": "1", "readers": ["get_*"], "tools": {{{tools}}}}}"#));
    match rule(&policy, "iam", tool) {
        Ruling::RequireApproval { requirement, .. } => *requirement,
        other => panic!("{other:?}"),
    }
}

fn names(groups: &[crate::call::GroupName]) -> Vec<&str> {
    groups.iter().map(|group| group.as_str()).collect()
}

#[test]
fn an_entry_that_says_nothing_asks_one_reviewer_within_the_configured_time() {
    let found = requirement(r#""x": {"action": "require_approval"}"#, "x");
    assert_eq!(found, Requirement::plain(Duration::from_secs(900)));
}

#[test]
fn everything_that_an_entry_says_is_asked() {
    let found = requirement(
        r#""x": {"action": "require_approval", "reason": "unused beside a message", "approval": {
            "timeout": "90s", "on_timeout": "escalate", "escalate_to": ["lead"], "execute_within": "2h", "approvals": 2,
            "reviewers": ["iam", "sec"], "risk": "destructive", "message": "asked", "self_approval": true,
            "require_reason": true, "release": "on_return", "input_after_approval": "allow",
            "context": [{"tool": "get_x"}], "ask_reason": false}}"#,
        "x",
    );
    assert_eq!((found.timeout, found.execute_within), (Duration::from_secs(90), Duration::from_secs(7200)));
    assert!(matches!(&found.on_timeout, OnTimeout::Escalate(to) if names(to) == ["lead"]));
    assert_eq!((found.quorum.approvals(), found.risk), (2, Some(Risk::Destructive)));
    assert_eq!((names(&found.reviewers), found.message.as_deref()), (vec!["iam", "sec"], Some("asked")));
    assert!(found.self_approval && found.require_reason);
    assert_eq!((found.release, found.input_after_approval), (ReleaseWhen::OnReturn, InputAfterApproval::Allow));
    assert_eq!(found.context[0].arguments.as_deref(), Ok("{}"));
}

#[test]
fn what_tightens_holds_as_soon_as_one_entry_says_it() {
    let found = requirement(
        r#""x": {"action": "require_approval", "approval": {"timeout": "1h", "approvals": 1, "risk": "write"}},
           "x*": {"action": "require_approval", "approval": {"timeout": "5m", "execute_within": "1m", "approvals": 3}},
           "*": {"action": "require_approval",
                 "approval": {"require_reason": true, "release": "on_return", "risk": "access", "message": "wait"}}"#,
        "x",
    );
    assert_eq!((found.timeout, found.execute_within), (Duration::from_secs(300), Duration::from_secs(60)));
    assert_eq!((found.quorum, found.risk), (Quorum::new(3).unwrap(), Some(Risk::Access)));
    assert!(found.require_reason && found.is_critical());
    assert_eq!((found.release, found.message.as_deref()), (ReleaseWhen::OnReturn, Some("wait")));
}

#[test]
fn what_loosens_holds_only_if_every_entry_says_it() {
    let loose = r#"{"action": "require_approval", "approval": {
        "self_approval": true, "input_after_approval": "allow", "on_timeout": "approve", "risk": "read"}}"#;
    let both = requirement(&format!(r#""x": {loose}, "*": {loose}"#), "x");
    assert!(both.self_approval);
    assert_eq!((both.input_after_approval, both.on_timeout), (InputAfterApproval::Allow, OnTimeout::Approve));
    let one = requirement(&format!(r#""x": {loose}, "*": {{"action": "require_approval"}}"#), "x");
    assert!(!one.self_approval);
    assert_eq!((one.input_after_approval, one.on_timeout), (InputAfterApproval::Review, OnTimeout::Reject));
    let grave = requirement(&format!(r#""x": {loose}, "*": {{"risk": "access"}}"#), "x");
    assert_eq!(grave.on_timeout, OnTimeout::Reject, "a graver risk that any entry declares counts");
}

#[test]
fn escalation_is_taken_unless_an_entry_says_reject() {
    let escalate = |to: &str| {
        format!(
            r#"{{"action": "require_approval", "approval": {{"on_timeout": "escalate", "escalate_to": ["{to}"]}}}}"#
        )
    };
    let (lead, boss) = (escalate("lead"), escalate("boss"));
    let found = requirement(&format!(r#""*": {boss}, "x": {lead}, "x*": {{"action": "require_approval"}}"#), "x");
    assert!(matches!(&found.on_timeout, OnTimeout::Escalate(to) if names(to) == ["lead"]));
    let reject = r#"{"action": "require_approval", "approval": {"on_timeout": "reject"}}"#;
    assert_eq!(requirement(&format!(r#""x": {lead}, "*": {reject}"#), "x").on_timeout, OnTimeout::Reject);
}

#[test]
fn reviewers_are_those_of_the_most_specific_entry_that_names_any() {
    let by = |group: &str| format!(r#"{{"action": "require_approval", "approval": {{"reviewers": ["{group}"]}}}}"#);
    let plain = r#"{"action": "require_approval"}"#;
    let (a, b, c) = (by("a"), by("b"), by("c"));
    for (tools, expected) in [
        (format!(r#""*": {a}, "x*": {b}, "xy": {c}"#), ["c"]),
        (format!(r#""*": {a}, "x*": {b}, "xy": {plain}"#), ["b"]),
        (format!(r#""iam/xy": {a}, "xy": {b}"#), ["a"]),
    ] {
        assert_eq!(names(&requirement(&tools, "xy").reviewers), expected, "{tools}");
    }
}

#[test]
fn an_override_asks_only_what_it_says_itself() {
    let found = requirement(
        r#""x": {"action": "require_approval", "override": true},
           "*": {"action": "require_approval", "approval": {"approvals": 3, "risk": "access"}}"#,
        "x",
    );
    assert_eq!((found.quorum, found.risk), (Quorum::ONE, None));
}

#[test]
fn the_reads_of_all_entries_are_shown_once_each() {
    let read = r#"{"action": "require_approval", "approval": {"context": [{"tool": "get_a"}, {"tool": "get_b"}]}}"#;
    let other = r#"{"action": "require_approval", "approval": {"context": [{"tool": "get_b", "arguments": {}}, {"tool": "get_c"}]}}"#;
    let found = requirement(&format!(r#""x": {read}, "*": {other}"#), "x");
    assert_eq!(found.context.iter().map(|read| read.tool.as_str()).collect::<Vec<_>>(), ["get_a", "get_b", "get_c"]);
}

#[test]
fn a_reader_of_one_upstream_is_none_of_another() {
    let policy = policy(
        r#"{"version": "1", "readers": ["s3/get_x"], "tools": {
            "x": {"action": "require_approval", "approval": {"context": [{"tool": "get_x"}]}}}}"#,
    );
    let read = |name| match rule(&policy, name, "x") {
        Ruling::RequireApproval { requirement, .. } => requirement.context[0].arguments.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(read("s3").as_deref(), Ok("{}"));
    let refused = "could not read: the policy names no reader get_x for this upstream".to_owned();
    assert_eq!(read("iam"), Err(refused));
}

type Pairs = Vec<(String, String)>;

fn offered(tools: &str, tool: &str) -> Option<(u32, u64, Pairs)> {
    let offer = requirement(tools, tool).standing?;
    Some((offer.uses, offer.lasts.as_secs(), offer.open.into_iter().collect()))
}

fn pairs(open: &[(&str, &str)]) -> Pairs {
    open.iter().map(|(name, glob)| ((*name).to_owned(), (*glob).to_owned())).collect()
}

#[test]
fn a_standing_approval_is_offered_as_far_as_every_entry_does() {
    let entry = |more: &str| format!(r#"{{"action": "require_approval", "approval": {{{more}}}}}"#);
    let wide = entry(
        r#""standing": {"uses": 10, "for": "1h", "arguments": {"a": "*", "b": "x*", "c": "y*", "d": "*", "e": "*"}}"#,
    );
    let narrow = entry(
        r#""standing": {"uses": 20, "for": "5m", "arguments": {"a": "z*", "b": "*", "c": "w*", "d": "*", "f": "*"}}"#,
    );
    let all = pairs(&[("a", "*"), ("b", "x*"), ("c", "y*"), ("d", "*"), ("e", "*")]);
    assert_eq!(offered(&format!(r#""x": {wide}"#), "x"), Some((10, 3600, all)));
    let both = pairs(&[("a", "z*"), ("b", "x*"), ("d", "*")]);
    assert_eq!(offered(&format!(r#""x": {wide}, "*": {narrow}"#), "x"), Some((10, 300, both.clone())));
    assert_eq!(offered(&format!(r#""x": {narrow}, "*": {wide}"#), "x"), Some((10, 300, both)));
    for other in [entry(""), entry(r#""approvals": 2"#)] {
        assert_eq!(offered(&format!(r#""x": {wide}, "*": {other}"#), "x"), None, "{other}");
    }
}

#[test]
fn none_is_offered_where_calls_change_who_may_do_what_unless_every_entry_says_so() {
    let entry = |more: &str| {
        format!(r#"{{"action": "require_approval", "approval": {{"standing": {{"uses": 1, "for": "5m"{more}}}}}}}"#)
    };
    let (plain, access) = (entry(""), entry(r#", "access": true"#));
    for (tools, tool, expected) in [
        (format!(r#""*": {plain}"#), "send_report", true),
        (format!(r#""*": {plain}"#), "put_user_policy", false),
        (format!(r#""*": {access}"#), "put_user_policy", true),
        (format!(r#""*": {access}, "put_*": {plain}"#), "put_user_policy", false),
        (format!(r#""*": {plain}, "send_report": {{"risk": "access"}}"#), "send_report", false),
        (format!(r#""*": {access}, "send_report": {{"risk": "access"}}"#), "send_report", true),
    ] {
        assert_eq!(offered(&tools, tool).is_some(), expected, "{tools} {tool}");
    }
}
