//! How arguments are laid out, and that nothing is lost or added on the way.

use proptest::prelude::*;

use super::*;
use crate::call::json::properties::any_json;
use crate::call::json::{self, Limits, quote};
use crate::call::secrets::MASK;

fn read(text: &str) -> Document<'_> {
    let limits = Limits { max_bytes: usize::MAX, ..Limits::default() };
    json::read_strict(text.as_bytes(), &limits).unwrap()
}

fn tree(text: &str, reveal: Reveal) -> Tree {
    Tree::of(&read(text), reveal)
}

/// One line a row, for reading in a test.
fn drawn(tree: &Tree) -> Vec<String> {
    let mut depth = 0;
    let remark = |note: &Option<String>| note.as_ref().map(|note| format!(" ({note})")).unwrap_or_default();
    let mut drawn = Vec::new();
    for row in &tree.rows {
        let line = match row {
            Row::Open { key, brackets, len } => format!("{key}: {brackets:?} of {len}"),
            Row::Leaf { key, kind, text, note } => format!("{key}: {kind:?} {text}{}", remark(note)),
            Row::Document { key, lines, note } => format!("{key}: {} lines{}", lines.len(), remark(note)),
            Row::Close => {
                depth -= 1;
                continue;
            }
        };
        drawn.push(format!("{}{line}", "  ".repeat(depth)));
        depth += usize::from(matches!(row, Row::Open { .. }));
    }
    drawn
}

#[test]
fn arguments_become_rows() {
    let text = r#"{"user":"a\n\u0062","n":[1.0,{"x":null}],"e":{},"f":[],"t":true}"#;
    assert_eq!(
        drawn(&tree(text, Reveal::Revealed)),
        [
            "user: String a\nb",
            "n: Array of 2",
            "  0: Number 1.0",
            "  1: Object of 1",
            "    x: Word null",
            "e: Empty {}",
            "f: Empty []",
            "t: Word true",
        ]
    );
    assert_eq!(drawn(&tree("{}", Reveal::Revealed)), [""; 0]);
    assert_eq!(drawn(&tree("[7]", Reveal::Revealed)), [": Array of 1", "  0: Number 7"]);
    assert_eq!(drawn(&tree("\"x\"", Reveal::Revealed)), [": String x"]);
}

#[test]
fn documents_are_laid_out_whether_string_or_object() {
    let policy = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["s3:\u002a"],"Resource":"*"}}"#;
    let text = format!(r#"{{"a":{policy},"b":{},"c":"[1]","d":"{{x}}"}}"#, quote(policy));
    let tree = tree(&text, Reveal::Revealed);
    assert_eq!(
        drawn(&tree),
        [
            "a: 10 lines (a policy document)",
            "b: 10 lines (a policy document, as JSON text inside a string)",
            "c: 3 lines (a JSON text inside a string)",
            "d: String {x}",
        ]
    );
    let lines = |row: &Row| match row {
        Row::Document { lines, .. } => lines.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(lines(&tree.rows[0]), lines(&tree.rows[1]));
    let statements = r#"{"permissions":[{"Effect":"Allow","Action":"*"}],"list":[{"a":1}]}"#;
    assert!(drawn(&self::tree(statements, Reveal::Revealed))[0].ends_with("(a policy document)"));
}

#[test]
fn what_looks_like_json_and_is_not_says_why() {
    let text = format!("{{\"doc\":{}}}", quote(r#"{"Effect":"Deny","Effect":"Allow"}"#));
    let drawn = drawn(&tree(&text, Reveal::Revealed));
    assert!(drawn[0].starts_with(r#"doc: String {"Effect":"Deny","Effect":"Allow"} (looks like JSON"#), "{drawn:?}");
    assert!(drawn[0].contains("\"Effect\" occurs twice"), "{drawn:?}");
}

#[test]
fn pretty_printing_keeps_what_was_written() {
    let text = "{ \"\\u0061\":[1.0,-0e1 , \"\\u202e\\/\",[],{ }],\"b\" :{\"c\":null}}";
    let doc = read(text);
    let expected = r#"{
  "\u0061": [
    1.0,
    -0e1,
    "\u202e\/",
    [],
    {}
  ],
  "b": {
    "c": null
  }
}"#;
    assert_eq!(pretty(&doc, doc.root()), expected);
    assert_eq!(pretty(&doc, doc.root().get("b").unwrap()), "{\n  \"c\": null\n}");
}

#[test]
fn secrets_are_masked_until_they_are_revealed() {
    let inner = r#"{"user":"bob","password":"hunter2"}"#;
    let text = format!(
        r#"{{"password":"hunter2","url":"a://u:hunter2@h","doc":{},"p":{{"Statement":[],"secret":"hunter2"}},"pin":{{"passcode":7}}}}"#,
        quote(inner)
    );
    let masked = tree(&text, Reveal::Masked);
    assert_eq!(
        drawn(&masked),
        [
            "password: Secret ••• masked",
            "url: Secret a://u:••• masked@h",
            "doc: 4 lines (a JSON text inside a string; secrets are masked)",
            "p: 4 lines (a policy document)",
            "pin: Object of 1",
            "  passcode: Secret ••• masked",
        ]
    );
    assert_eq!(masked.masked, 5);
    assert!(!format!("{masked:?}").contains("hunter2"));
    let revealed = tree(&text, Reveal::Revealed);
    assert_eq!(revealed.masked, 0);
    assert_eq!(format!("{revealed:?}").matches("hunter2").count(), 4);
    assert!(!format!("{revealed:?}").contains(MASK));
}

#[test]
fn very_many_values_are_shown_as_received() {
    let many = format!("[{}\"password=x\"]", "0 ,".repeat(MOST_VALUES));
    let [Row::Leaf { text, kind, note, .. }] = &tree(&many, Reveal::Masked).rows[..] else {
        panic!("one row is expected");
    };
    assert_eq!(*text, many.replace("password=x", "password=••• masked"));
    assert_eq!(*kind, Kind::Secret);
    assert!(note.as_ref().unwrap().contains("10000 values"));
    let inside = format!("{{\"a\":{}}}", quote(&many));
    let rows = tree(&inside, Reveal::Revealed).rows;
    assert!(matches!(&rows[..], [Row::Leaf { text, .. }] if *text == many));
}

#[test]
fn deep_values_are_laid_out() {
    let deep = format!("{}1{}", "[".repeat(64), "]".repeat(64));
    let rows = tree(&deep, Reveal::Masked).rows;
    assert_eq!(rows.len(), 129);
}

/// Every leaf's text, documents included, in order.
fn leaves(tree: &Tree) -> usize {
    tree.rows
        .iter()
        .map(|row| match row {
            Row::Leaf { .. } => 1,
            Row::Document { lines, .. } => lines.iter().filter(|line| line.kind.is_some()).count(),
            Row::Open { .. } | Row::Close => 0,
        })
        .sum()
}

fn leaves_of(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::Array(items) if !items.is_empty() => items.iter().map(leaves_of).sum(),
        serde_json::Value::Object(members) if !members.is_empty() => members.values().map(leaves_of).sum(),
        _ => 1,
    }
}

proptest! {
    #[test]
    fn pretty_printing_says_the_same((value, text) in any_json()) {
        let doc = read(&text);
        let printed = pretty(&doc, doc.root());
        let again = read(&printed);
        prop_assert_eq!(pretty(&again, again.root()), &*printed);
        json::properties::assert_same(again.root(), &value);
        let bare = |text: &str| text.chars().filter(|c| !c.is_ascii_whitespace()).collect::<String>();
        prop_assert_eq!(bare(&printed), bare(&text));
    }

    #[test]
    fn no_value_is_left_out((value, text) in any_json()) {
        let shown = tree(&text, Reveal::Revealed);
        let empty_whole = value.as_object().is_some_and(serde_json::Map::is_empty);
        prop_assert_eq!(leaves(&shown), if empty_whole { 0 } else { leaves_of(&value) });
        let opened = shown.rows.iter().filter(|row| matches!(row, Row::Open { .. })).count();
        let closed = shown.rows.iter().filter(|row| matches!(row, Row::Close)).count();
        prop_assert_eq!(opened, closed);
    }
}

#[test]
fn an_answer_that_holds_json_in_a_string_is_laid_out_and_says_so() {
    let text = r#"{"user":"ci-bot","policy":"{\"Version\":\"2012\",\"Statement\":[]}","empty":"{}","twice":"{\"a\":1,\"a\":2}","end":1}"#;
    let doc = read(text);
    let shown: Vec<_> = lines(&doc, Reveal::Masked)
        .into_iter()
        .map(|line| {
            let key = line.key.map(|key| format!("{key}=")).unwrap_or_default();
            let comma = if line.comma { "," } else { "" };
            format!("{}{key}{}{comma}{}", " ".repeat(line.indent), line.value, line.note.map_or("", |_| "!"))
        })
        .collect();
    assert_eq!(
        shown,
        [
            "{",
            " user=\"ci-bot\",",
            " policy={!",
            "  Version=\"2012\",",
            "  Statement=[]",
            " },",
            " empty=\"{}\",",
            r#" twice="{\"a\":1,\"a\":2}","#,
            " end=1",
            "}"
        ]
    );
}

#[test]
fn a_secret_in_json_in_a_string_stays_masked() {
    let text = r#"{"outer":"{\"password\":\"hunter2hunter2\",\"name\":\"db\"}"}"#;
    let doc = read(text);
    assert!(!format!("{:?}", lines(&doc, Reveal::Masked)).contains("hunter2"));
    assert!(format!("{:?}", lines(&doc, Reveal::Revealed)).contains("hunter2"));
}
