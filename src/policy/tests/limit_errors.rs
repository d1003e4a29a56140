//! What an author is told of limits that cannot be meant.

use super::*;
use crate::policy::Severity::{self, Error, Warning};

/// What is said of this file.
fn said(text: &str) -> Vec<(Severity, String, String)> {
    let problems = parse(text, &defaults(&[])).map_or_else(|problems| problems, |parsed| parsed.warnings);
    problems
        .into_iter()
        .map(|p| (p.severity, p.pointer, format!("{} ({})", p.message, p.hint.unwrap_or_default())))
        .collect()
}

#[test]
fn what_cannot_be_meant_is_explained() {
    let counter = r#""counter": "c", "window": "day", "#;
    for (limit, severity, place, words) in [
        (r#""max": 1.5"#, Error, "/max", "1.5 cannot stand here (write a whole number"),
        (r#""add": -1, "max": 5"#, Error, "/add", "-1 cannot stand here (write a whole number from 0"),
        (r#""add": 0.5, "max": 5"#, Error, "/add", "0.5 cannot stand here"),
        (r#""add": "amount", "max": 5"#, Error, "/add", "\"amount\" is not a path into the call's arguments"),
        (r#""add": "args", "max": 5"#, Error, "/add", "\"args\" is not a path"),
        (
            r#""add": "args.items[*].price", "max": 5"#,
            Error,
            "/add",
            "may be several numbers (write a whole number, or",
        ),
        (r#""add": true, "max": 5"#, Error, "/add", "this is a truth value (write a whole number, or where"),
        (r#""add": "args.n", "max": -0.01"#, Error, "/max", "-0.01 cannot stand here (write a number of 0 or more, as"),
        (r#""add": "args.n", "max": "5""#, Error, "/max", "this is not a number"),
        (r#""add": "args.n", "max": 1e400"#, Error, "/max", "1e400 is too large or too fine for exact sums"),
        (r#""add": "args.n", "max": 1e99999999999999999999"#, Error, "/max", "too large or too fine"),
        (r#""add": "args.n""#, Error, "", "\"max\" is missing (write how much one window allows)"),
        (r#""sliding": "yes", "max": 5"#, Error, "/sliding", "this is a string (write true or false)"),
        (r#""slidng": true, "max": 5"#, Error, "/slidng", "unknown key \"slidng\" (did you mean \"sliding\"?)"),
        (r#""of": "", "max": 5"#, Error, "/of", "this text is empty"),
        (r#""of": 1, "max": 5"#, Error, "/of", "this is a number (write a string)"),
        (r#""on_deny": "", "max": 5"#, Error, "/on_deny", "this text is empty"),
        (r#""max": 0"#, Warning, "/max", "a limit of 0 denies every call"),
        (r#""add": 5, "max": 4"#, Warning, "/max", "every call adds 5, which is more than 4: this denies every call"),
        (
            r#""add": 0, "max": 4"#,
            Warning,
            "",
            "nothing adds to this counter, so it is always 0 (where calls are to be",
        ),
        (r#""of": "_global", "add": 0, "max": 4"#, Warning, "", "nothing adds to this counter"),
    ] {
        let file = format!(r#"{{"version": "1", "tools": {{"x": {{"limits": [{{{counter}{limit}}}]}}}}}}"#);
        let found = said(&file);
        assert_eq!(found.len(), 1, "{limit}: {found:?}");
        let (found_severity, pointer, message) = &found[0];
        let expected = format!("/tools/x/limits/0{place}");
        assert_eq!((*found_severity, pointer.as_str()), (severity, expected.as_str()), "{limit}: {message}");
        assert!(message.contains(words), "{limit}: {message}");
    }
    for fine in [
        r#""max": 5, "sliding": true, "scope": "tool", "of": "x", "on_deny": "later""#,
        r#""add": "args.a[0].b", "max": 0.5"#,
        r#""add": "args.n", "max": 0"#,
        r#""add": 7, "max": 7"#,
    ] {
        let found = said(&format!(r#"{{"version": "1", "tools": {{"x": {{"limits": [{{{counter}{fine}}}]}}}}}}"#));
        assert!(found.is_empty(), "{fine}: {found:?}");
    }
}

#[test]
fn arguments_are_added_up_of_tools_alone() {
    let method = |add: &str| {
        let limit = format!(r#"{{"counter": "c", "window": "day", "add": {add}, "max": 9}}"#);
        said(&format!(r#"{{"version": "1", "methods": {{"vendor/*": {{"limits": [{limit}]}}}}}}"#))
    };
    assert!(method("3").is_empty());
    let found = method(r#""args.n""#);
    assert!(found.len() == 1 && found[0].2.contains("only calls of tools have arguments"), "{found:?}");
}

#[test]
fn one_counter_may_stand_in_several_entries_and_once_in_each() {
    let limit = |of: &str, add: &str| format!(r#"{{"counter": "c", {of} "window": "day", "add": {add}, "max": 9}}"#);
    let file = |x: &[&str], y: &[&str]| {
        let (x, y) = (x.join(","), y.join(","));
        said(&format!(r#"{{"version": "1", "tools": {{"x": {{"limits": [{x}]}}, "y": {{"limits": [{y}]}}}}}}"#))
    };
    let (own, shared, looks) = (limit("", "1"), limit(r#""of": "_global","#, "1"), limit(r#""of": "_global","#, "0"));
    assert!(file(&[&own, &shared], &[&own, &shared]).is_empty());
    assert!(file(&[&shared], &[&looks]).is_empty(), "one counts, the other looks");
    assert!(file(&[&own], &[&limit("", "0")])[0].2.contains("nothing adds"), "an entry's own is another counter");
    let twice = file(&[&shared, &looks], &[]);
    assert!(twice.len() == 1 && twice[0].2.contains("the same counter, window and scope as in /tools/x/limits/0"));
}
