//! The reader's promises at single points: limits, places, worst inputs.

use std::borrow::Cow;

use super::*;

fn read(text: &str) -> Result<Document<'_>, JsonError> {
    read_strict(text.as_bytes(), &Limits::default())
}

fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

#[test]
fn depth_is_bounded() {
    assert!(read(&nested(64)).is_ok());
    let refusal = read(&nested(65)).unwrap_err();
    assert_eq!((refusal.offset, refusal.kind), (64, JsonErrorKind::TooDeep));
    let objects = format!("{}0{}", "{\"a\":".repeat(64), "}".repeat(64));
    assert!(read(&objects).is_ok());
    assert!(read(&format!("[{objects}]")).is_err());
    // Siblings do not add up.
    assert!(read(&format!("[{}]", vec!["[[]]"; 500].join(","))).is_ok());
}

#[test]
fn no_limit_lets_the_stack_overflow() {
    let limits = Limits { max_bytes: usize::MAX, max_depth: usize::MAX };
    let deep = "[".repeat(5_000_000);
    let refusal = read_strict(deep.as_bytes(), &limits).unwrap_err();
    assert_eq!(refusal.offset, DEEPEST);
    assert!(read_strict(nested(DEEPEST).as_bytes(), &limits).is_ok());
}

#[test]
fn size_is_bounded() {
    let limits = Limits { max_bytes: 4, max_depth: 64 };
    assert!(read_strict(b"1234", &limits).is_ok());
    let refusal = read_strict(b"12345", &limits).unwrap_err();
    assert_eq!(refusal.kind, JsonErrorKind::TooLarge);
    assert_eq!(refusal.to_string(), "the JSON text is larger than the limit of 4 bytes");
}

#[test]
fn worst_inputs_take_linear_time() {
    let limits = Limits { max_bytes: usize::MAX, max_depth: 64 };
    // Each of these takes minutes if any step is quadratic.
    let long_key = "k".repeat(20);
    let keys: Vec<_> = (0..100_000).map(|i| format!("\"{long_key}{i}\":0")).collect();
    let object = format!("{{{}}}", keys.join(","));
    let doc = read_strict(object.as_bytes(), &limits).unwrap();
    assert_eq!(doc.root().as_object().unwrap().len(), 100_000);
    let repeated = format!("{{{},\"{long_key}7\":1}}", keys.join(","));
    let refusal = read_strict(repeated.as_bytes(), &limits).unwrap_err();
    assert_eq!(refusal.kind, JsonErrorKind::DuplicateKey(format!("{long_key}7")));
    let escapes = format!("\"{}\"", "\\u0041".repeat(1_000_000));
    assert!(read_strict(escapes.as_bytes(), &limits).is_ok());
    let items = format!("[{}0]", "0,".repeat(1_000_000));
    let doc = read_strict(items.as_bytes(), &limits).unwrap();
    let left = cut_elements(&doc, doc.root(), |at, _| at % 2 == 0);
    assert_eq!(left.len(), 1_000_001);
}

#[test]
fn strings_without_escapes_are_borrowed() {
    let doc = read(r#"{"plain":"é","\u0061":"\n"}"#).unwrap();
    let members = doc.root().as_object().unwrap();
    assert!(matches!(members[0].key, Cow::Borrowed("plain")));
    assert!(matches!(&members[0].value.kind, Kind::String(Cow::Borrowed("é"))));
    assert!(matches!(&members[1].key, Cow::Owned(key) if key == "a"));
    assert_eq!(members[1].value.as_str(), Some("\n"));
}

#[test]
fn numbers_keep_their_text() {
    let doc = read("[9007199254740993, 1.0, 1e2, -0]").unwrap();
    let numbers: Vec<_> = doc.root().as_array().unwrap().iter().map(Node::as_number).collect();
    assert_eq!(numbers, [Some("9007199254740993"), Some("1.0"), Some("1e2"), Some("-0")]);
}

#[test]
fn pointers_follow_rfc_6901() {
    let doc = read(r#"{"foo":["bar","baz"],"":0,"a/b":1,"m~n":8," ":7,"~1":9,"0":3}"#).unwrap();
    let at = |pointer| doc.root().pointer(pointer).map(|node| doc.slice(node.span));
    assert_eq!(at(""), Some(doc.text()));
    assert_eq!(at("/foo/0"), Some("\"bar\""));
    assert_eq!(at("/"), Some("0"));
    assert_eq!(at("/a~1b"), Some("1"));
    assert_eq!(at("/m~0n"), Some("8"));
    assert_eq!(at("/ "), Some("7"));
    assert_eq!(at("/~01"), Some("9"));
    assert_eq!(at("/0"), Some("3"));
    for nowhere in ["foo", "/foo/2", "/foo/00", "/foo/-", "/foo/+1", "/foo/", "/~", "/~2", "/x", "/foo/0/0"] {
        assert_eq!(at(nowhere), None, "{nowhere}");
    }
}

#[test]
fn accessors_answer_only_for_their_kind() {
    let doc = read(r#"{"n":null,"b":true,"s":"x","d":1,"a":[]}"#).unwrap();
    let root = doc.root();
    assert!(root.get("n").unwrap().is_null());
    assert_eq!(root.get("b").unwrap().as_bool(), Some(true));
    assert_eq!(root.get("s").unwrap().as_str(), Some("x"));
    assert_eq!(root.get("d").unwrap().as_number(), Some("1"));
    assert_eq!(root.get("a").unwrap().as_array().map(<[_]>::len), Some(0));
    assert!(root.get("d").unwrap().as_str().is_none());
    assert!(root.get("s").unwrap().get("x").is_none());
    assert!(!root.is_null());
}

#[test]
fn lines_and_columns_count_characters() {
    let text = "a\né\u{1F600}x\r\n";
    assert_eq!(line_column(text, 0), (1, 1));
    assert_eq!(line_column(text, 1), (1, 2));
    assert_eq!(line_column(text, 2), (2, 1));
    assert_eq!(line_column(text, 8), (2, 3));
    assert_eq!(line_column(text, 5), (2, 2));
    assert_eq!(line_column(text, text.len()), (3, 1));
    assert_eq!(line_column(text, 999), (3, 1));
    assert_eq!(line_column("", 0), (1, 1));
}

#[test]
fn quoting_escapes_what_would_not_stay_on_the_line() {
    assert_eq!(quote("a\"\\\n\r\t\u{0}/é"), r#""a\"\\\n\r\t\u0000/é""#);
    assert_eq!(quote("\u{2028}\u{85}\u{202e}\u{200b}\u{feff}\u{7f}"), r#""\u2028\u0085\u202e\u200b\ufeff\u007f""#);
}

#[test]
fn compacting_touches_only_line_breaks() {
    assert!(matches!(compact_lines(b"{\"a\": 1}"), Cow::Borrowed(_)));
    let text = b"{\r\n  \"a\\n\":\t1\n}\n";
    let line = compact_lines(text);
    assert_eq!(&*line, b"{    \"a\\n\":\t1 } ");
    assert_eq!(line.len(), text.len());
}

#[test]
fn cuts_combine_with_other_edits() {
    let doc = read(r#"{"a": [1, 2, 3], "cursor": "x", "b": 0}"#).unwrap();
    let array = doc.root().get("a").unwrap();
    let mut edits: Vec<_> = element_cuts(array, |at, _| at != 1)
        .into_iter()
        .chain(member_cuts(doc.root(), "cursor"))
        .map(|span| (span, String::new()))
        .collect();
    edits.push((doc.root().get("b").unwrap().span, "true".into()));
    assert_eq!(splice(doc.text(), &mut edits), r#"{"a": [2], "b": true}"#);
    assert_eq!(cut_elements(&doc, array, |_, _| true), r#"{"a": [], "cursor": "x", "b": 0}"#);
    assert_eq!(cut_elements(&doc, doc.root(), |_, _| true), doc.text());
    assert_eq!(cut_member(&doc, array, "a"), doc.text());
}

#[test]
#[should_panic(expected = "begin")]
fn overlapping_edits_are_a_bug() {
    let overlap = |start, end| (Span { start, end }, String::new());
    splice("abcdef", &mut [overlap(0, 4), overlap(2, 5)]);
}

#[test]
fn refusals_read_as_sentences() {
    let say = |text: &str| read(text).unwrap_err().to_string();
    assert_eq!(
        say(r#"{"a\n":1,"a\n":2}"#),
        r#"the key "a\n" occurs twice in one object at byte 9, so its meaning is ambiguous"#
    );
    assert_eq!(say("[1,]"), "this is not JSON: a value is missing at byte 3");
    assert_eq!(say(""), "the JSON text is empty");
    let long = "x".repeat(10_000);
    assert!(say(&format!("{{\"{long}\":1,\"{long}\":2}}")).len() < 200);
}
