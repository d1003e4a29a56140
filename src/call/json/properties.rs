//! Properties of the reader over random values, random bytes and damaged texts.

use proptest::prelude::*;
use serde_json::Value;

use super::{Kind, Limits, Node, Span, cut_elements, cut_member, push_pointer, quote};
use super::{read_strict, splice};

/// Fails unless both trees say the same; `serde_json` is the second opinion.
pub(crate) fn assert_same(ours: &Node<'_>, theirs: &Value) {
    match (&ours.kind, theirs) {
        (Kind::Null, Value::Null) => {}
        (Kind::Bool(a), Value::Bool(b)) => assert_eq!(a, b),
        (Kind::Number(a), Value::Number(b)) => {
            // serde_json may miss the nearest float by one place: `b` is either what was
            // written out, or what serde_json itself reads there.
            let exact = b.is_f64() && a.parse().ok() == b.as_f64();
            assert!(exact || serde_json::from_str(a).ok() == Some(b.clone()));
        }
        (Kind::String(a), Value::String(b)) => assert_eq!(a, b),
        (Kind::Array(a), Value::Array(b)) => {
            assert_eq!(a.len(), b.len());
            a.iter().zip(b).for_each(|(a, b)| assert_same(a, b));
        }
        (Kind::Object(a), Value::Object(b)) => {
            assert_eq!(a.len(), b.len());
            a.iter().for_each(|m| assert_same(&m.value, &b[&*m.key]));
        }
        _ => panic!("{ours:?} is not {theirs}"),
    }
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-c\"\\\\/\n\u{1}é]{0,6}", any::<String>(), Just("\u{202e}\u{1F600}".to_owned()),]
}

pub(crate) fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any_text().prop_map(Value::String),
    ];
    leaf.prop_recursive(5, 60, 16, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..16).prop_map(Value::Array),
            prop::collection::vec((any_text(), inner), 0..16)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// A value written in one of three ways: compact, pretty, or every character escaped.
pub(crate) fn any_json() -> impl Strategy<Value = (Value, String)> {
    (any_value(), 0..3).prop_map(|(value, style)| {
        let text = match style {
            0 => value.to_string(),
            1 => format!(" {value:#}\r\n"),
            _ => escaped(&value),
        };
        (value, text)
    })
}

pub(crate) fn escaped(value: &Value) -> String {
    let literal = |text: &str| {
        let units = text.encode_utf16().map(|unit| format!("\\u{unit:04X}"));
        format!("\"{}\"", units.collect::<String>())
    };
    match value {
        Value::String(text) => literal(text),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(escaped).collect();
            format!("[ {} ]", items.join("\t,"))
        }
        Value::Object(members) => {
            let members = members.iter();
            let members: Vec<_> =
                members.map(|(key, value)| format!("{} :\n{}", literal(key), escaped(value))).collect();
            format!("{{{}}}", members.join(" , "))
        }
        plain => plain.to_string(),
    }
}

fn assert_spans(text: &str, node: &Node<'_>, within: Span) {
    assert!(within.start <= node.span.start && node.span.end <= within.end);
    let slice = &text[node.span.start..node.span.end];
    let value: Value = serde_json::from_str(slice).unwrap();
    assert_eq!(slice, slice.trim());
    assert_same(node, &value);
    for member in node.as_object().unwrap_or_default() {
        let key = &text[member.key_span.start..member.key_span.end];
        assert_eq!(member.key, serde_json::from_str::<String>(key).unwrap());
        assert!(member.key_span.end < member.value.span.start);
        assert_spans(text, &member.value, node.span);
    }
    for element in node.as_array().unwrap_or_default() {
        assert_spans(text, element, node.span);
    }
}

fn assert_pointers(root: &Node<'_>, node: &Node<'_>, path: &str) {
    assert_eq!(root.pointer(path).map(|found| found.span), Some(node.span));
    for member in node.as_object().unwrap_or_default() {
        let mut path = path.to_owned();
        push_pointer(&mut path, &member.key);
        assert_pointers(root, &member.value, &path);
    }
    for (at, element) in node.as_array().unwrap_or_default().iter().enumerate() {
        assert_pointers(root, element, &format!("{path}/{at}"));
    }
}

proptest! {
    #[test]
    fn reads_what_another_writer_wrote((value, text) in any_json()) {
        let doc = read_strict(text.as_bytes(), &Limits::default()).unwrap();
        assert_same(doc.root(), &value);
        assert_spans(&text, doc.root(), Span { start: 0, end: text.len() });
        assert_pointers(doc.root(), doc.root(), "");
    }

    #[test]
    fn never_panics_on_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_strict(&bytes, &Limits::default());
    }

    #[test]
    fn never_accepts_damage_that_another_reader_refuses(
        (_, text) in any_json(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), 0..3, any::<u8>()), 1..4),
    ) {
        let mut bytes = text.into_bytes();
        for (place, how, byte) in damage {
            let at = place.index(bytes.len().max(1));
            match how {
                0 => bytes.insert(at, byte),
                1 if at < bytes.len() => bytes[at] = br#"{}[]",:\u0d8"#[usize::from(byte) % 12],
                _ => bytes.truncate(at),
            }
        }
        if let Ok(doc) = read_strict(&bytes, &Limits::default()) {
            // Numbers beyond f64 are the one thing that serde_json refuses and we keep.
            match serde_json::from_slice::<Value>(&bytes) {
                Ok(value) => assert_same(doc.root(), &value),
                Err(refusal) => prop_assert!(refusal.to_string().contains("number out of range")),
            }
        }
    }

    #[test]
    fn quoting_is_undone_by_reading(text in any_text()) {
        let literal = quote(&text);
        prop_assert!(!literal.contains(char::is_control));
        let doc = read_strict(literal.as_bytes(), &Limits::default()).unwrap();
        prop_assert_eq!(doc.root().as_str(), Some(&*text));
    }

    #[test]
    fn cutting_elements_keeps_the_others_exactly(
        items in prop::collection::vec((any_json(), any::<bool>()), 0..8),
        spaces in "[ \n]{0,3}",
    ) {
        let texts: Vec<&str> = items.iter().map(|((_, text), _)| text.as_str()).collect();
        let text = format!("{{\"keep\": 1.0 ,\"tools\":[{spaces}{}]}}  ", texts.join(","));
        let doc = read_strict(text.as_bytes(), &Limits::default()).unwrap();
        let array = doc.root().get("tools").unwrap();
        let left = cut_elements(&doc, array, |at, _| items[at].1);
        assert!(left.starts_with("{\"keep\": 1.0 ,\"tools\":["));
        assert!(left.ends_with("]}  "));
        let left_doc = read_strict(left.as_bytes(), &Limits::default()).unwrap();
        let left_items = left_doc.root().get("tools").unwrap().as_array().unwrap();
        let left_slices: Vec<_> = left_items.iter().map(|n| left_doc.slice(n.span)).collect();
        let kept = items.iter().filter(|(_, removed)| !removed);
        let expected: Vec<_> = kept.map(|((_, text), _)| text.trim()).collect();
        prop_assert_eq!(left_slices, expected);
        if items.iter().all(|(_, removed)| !removed) {
            prop_assert_eq!(left, text);
        }
    }

    #[test]
    fn cutting_a_member_keeps_the_others_exactly(count in 1usize..6, cut in 0usize..7) {
        let members: Vec<_> = (0..count).map(|i| format!("\"k{i}\" : {i}.0")).collect();
        let text = format!("[{{ {} }}]", members.join(" , "));
        let doc = read_strict(text.as_bytes(), &Limits::default()).unwrap();
        let left = cut_member(&doc, doc.root().pointer("/0").unwrap(), &format!("k{cut}"));
        let mut kept = members.clone();
        if cut < count {
            kept.remove(cut);
        }
        prop_assert_eq!(left, format!("[{{ {} }}]", kept.join(" , ")));
    }

    #[test]
    fn splicing_replaces_only_the_spans(text in any::<String>(), cuts in prop::collection::btree_set(0usize..60, 0..8)) {
        let bounds: Vec<usize> = cuts
            .into_iter()
            .map(|at| text.floor_char_boundary(at))
            .collect();
        let mut edits: Vec<_> = bounds
            .chunks_exact(2)
            .map(|pair| (Span { start: pair[0], end: pair[1] }, "<>".to_owned()))
            .collect();
        edits.reverse();
        let mut expected = text.clone();
        for (span, new) in &edits {
            expected.replace_range(span.start..span.end, new);
        }
        prop_assert_eq!(splice(&text, &mut edits), expected);
    }
}
