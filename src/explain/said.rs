//! How what a tool says of itself differs from what it said, in words.

use std::collections::BTreeSet;

use crate::call::json::{self, Document, Node, canonical};

/// Everything that differs, each as a piece of a list: "another description", "a new argument cc". Nothing where both say
/// the same. Names in it are the server's own: whoever shows them bounds them and makes them visible.
#[must_use]
pub fn differences(old: &str, new: &str) -> Vec<String> {
    let (Some(old), Some(new)) = (read(old), read(new)) else { return vec!["what cannot be read".to_owned()] };
    let mut found = Vec::new();
    for (key, was, is) in unequal(Some(old.root()), Some(new.root())) {
        match (key, was, is) {
            ("inputSchema", Some(was), Some(is)) => found.extend(schema(was, is)),
            ("annotations", was, is) => found.extend(hints(was, is)),
            (key, was, is) => found.push(piece(&noun(key), was, is)),
        }
    }
    found
}

fn read(text: &str) -> Option<Document<'_>> {
    let limits = json::Limits { max_bytes: usize::MAX, max_depth: json::DEEPEST };
    json::read_strict(text.as_bytes(), &limits).ok()
}

/// The members of two objects that are not the same in both: what a tool is called and says first, then by name.
fn unequal<'n, 'd>(
    old: Option<&'n Node<'d>>,
    new: Option<&'n Node<'d>>,
) -> Vec<(&'n str, Option<&'n Node<'d>>, Option<&'n Node<'d>>)> {
    let members = |node: Option<&'n Node<'d>>| node.and_then(Node::as_object).unwrap_or_default().iter();
    let keys: BTreeSet<&str> = members(old).chain(members(new)).map(|member| &*member.key).collect();
    let mut unequal: Vec<_> = keys
        .into_iter()
        .map(|key| (key, old.and_then(|old| old.get(key)), new.and_then(|new| new.get(key))))
        .filter(|(_, was, is)| was.map(canonical) != is.map(canonical))
        .collect();
    let rank = |key: &str| ["name", "title", "description"].iter().position(|first| *first == key).unwrap_or(3);
    unequal.sort_by_key(|(key, ..)| rank(key));
    unequal
}

fn noun(key: &str) -> String {
    match key {
        "name" | "title" | "description" => key.to_owned(),
        "inputSchema" => "input schema".to_owned(),
        "outputSchema" => "output schema".to_owned(),
        other => format!("member {other}"),
    }
}

fn piece(what: &str, was: Option<&Node<'_>>, is: Option<&Node<'_>>) -> String {
    match (was, is) {
        (None, _) => format!("a new {what}"),
        (_, None) => format!("no {what} any more"),
        _ => format!("another {what}"),
    }
}

/// Arguments one by one; everything else of a schema in one piece.
fn schema(was: &Node<'_>, is: &Node<'_>) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = false;
    for (key, was, is) in unequal(Some(was), Some(is)) {
        let pieces = match key {
            "properties" => arguments(was, is),
            "required" => required(was, is),
            _ => Vec::new(),
        };
        rest |= pieces.is_empty();
        found.extend(pieces);
    }
    if rest || found.is_empty() {
        found.push("another input schema".to_owned());
    }
    found
}

fn arguments(was: Option<&Node<'_>>, is: Option<&Node<'_>>) -> Vec<String> {
    let words =
        |(key, was, is): (&str, Option<&Node<'_>>, Option<&Node<'_>>)| piece(&format!("argument {key}"), was, is);
    unequal(was, is).into_iter().map(words).collect()
}

fn required(was: Option<&Node<'_>>, is: Option<&Node<'_>>) -> Vec<String> {
    fn names<'n>(node: Option<&'n Node<'_>>) -> BTreeSet<&'n str> {
        node.and_then(Node::as_array).unwrap_or_default().iter().filter_map(Node::as_str).collect()
    }
    let (was, is) = (names(was), names(is));
    let now = is.difference(&was).map(|name| format!("{name} is required now"));
    now.chain(was.difference(&is).map(|name| format!("{name} is not required any more"))).collect()
}

/// What a server claims of its tool, with both values: they are short, and they are what decides.
fn hints(was: Option<&Node<'_>>, is: Option<&Node<'_>>) -> Vec<String> {
    let words = |(key, was, is): (&str, Option<&Node<'_>>, Option<&Node<'_>>)| {
        let value = |node: Option<&Node<'_>>| node.map_or("not said".to_owned(), canonical);
        format!("{key} is {} and was {}", value(is), value(was))
    };
    let found: Vec<_> = unequal(was, is).into_iter().map(words).collect();
    if found.is_empty() { vec![piece("member annotations", was, is)] } else { found }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_is_named() {
        let old = r#"{"name":"put","description":"Puts.","inputSchema":{"type":"object","properties":{"to":{"type":"string"},
            "note":{"type":"string"}},"required":["to"]},"annotations":{"readOnlyHint":true,"title":"Put"}}"#;
        let new = r#"{"description":"Puts it.","title":"Put","name":"put","annotations":{"readOnlyHint":false,"title":"Put"},
            "inputSchema":{"properties":{"to":{"type":"string","default":"me"},"cc":{}},"type":"object","required":["cc"]},
            "outputSchema":{},"icons":[]}"#;
        let there = [
            "a new title",
            "another description",
            "readOnlyHint is false and was true",
            "a new member icons",
            "a new argument cc",
            "no argument note any more",
            "another argument to",
            "cc is required now",
            "to is not required any more",
            "a new output schema",
        ];
        assert_eq!(differences(old, new), there);
        let back = [
            "no title any more",
            "another description",
            "readOnlyHint is true and was false",
            "no member icons any more",
            "no argument cc any more",
            "a new argument note",
            "another argument to",
            "to is required now",
            "cc is not required any more",
            "no output schema any more",
        ];
        assert_eq!(differences(new, old), back);
    }

    #[test]
    fn what_no_argument_tells_of_is_told_all_the_same() {
        let tool = |schema: &str| format!(r#"{{"inputSchema":{schema}}}"#);
        for (old, new) in [
            ("{}", r#"{"additionalProperties":true}"#),
            (r#"{"required":["a"]}"#, r#"{"required":["a","a"]}"#),
            (r#"{"properties":{}}"#, r#"{"properties":[]}"#),
            ("{}", "true"),
            ("[]", "[1]"),
        ] {
            assert_eq!(differences(&tool(old), &tool(new)), ["another input schema"], "{old} {new}");
        }
        let both = differences(&tool("{}"), &tool(r#"{"properties":{"a":{}},"additionalProperties":true}"#));
        assert_eq!(both, ["a new argument a", "another input schema"]);
        let hints = |value: &str| format!(r#"{{"annotations":{value}}}"#);
        assert_eq!(differences(&hints("[]"), &hints("7")), ["another member annotations"]);
        assert_eq!(differences("{}", &hints("{}")), ["a new member annotations"]);
        assert_eq!(
            differences("{}", &hints(r#"{"destructiveHint":true}"#)),
            ["destructiveHint is true and was not said"]
        );
        assert_eq!(differences("no json", "{}"), ["what cannot be read"]);
    }

    #[test]
    fn order_and_blanks_are_nothing() {
        let old = r#"{"name":"a","inputSchema":{"required":["x"],"properties":{"x":{}}}}"#;
        let new = "{ \"inputSchema\" : {\"properties\":{\"x\":{}},\n\"required\":[\"\\u0078\"]},\"name\":\"a\" }";
        assert!(differences(old, new).is_empty());
    }
}
