//! Arguments as reviewers read them, hostile ones above all.

use super::*;
use crate::review::view::tree::Row;

fn shape(read: &Read) -> Vec<String> {
    let row = |row: &Row| match row {
        Row::Open { key, len, .. } => format!("{} ({len})", key.flat()),
        Row::Leaf { key, value, kind, note } => {
            let note = note.as_deref().map(|note| format!(" <{note}>")).unwrap_or_default();
            format!("{}: {} {kind:?}{note}", key.flat(), value.flat())
        }
        Row::Document { key, lines, .. } => format!("{}: {} lines", key.flat(), lines.len()),
        Row::Close => "close".to_owned(),
    };
    read.tree.rows.iter().map(row).collect()
}

#[test]
fn a_document_reads_alike_as_text_and_as_object() {
    let object =
        r#"{"user_name":"ci-bot","policy_document":{"Version":"2012-10-17","Statement":[{"Effect":"Allow"}]}}"#;
    let text = r#"{"user_name":"ci-bot","policy_document":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\"}]}"}"#;
    let (object, text) = (read(object, false), read(text, false));
    assert_eq!(shape(&object), ["user_name: ci-bot String", "policy_document: 8 lines"]);
    assert_eq!(shape(&object), shape(&text));
    assert_eq!((object.blocked, text.blocked), (None, None));
}

#[test]
fn a_document_that_reads_two_ways_blocks_approval() {
    let twice = read(r#"{"policy_document":"{\"Action\":\"s3:*\",\"Action\":\"iam:*\"}"}"#, false);
    assert!(twice.blocked.is_some());
    assert_eq!(twice.tricks[0].kind, "duplicate_key");
    let broken = read(r#"{"policy_document":"{\"Action\":"}"#, false);
    assert_eq!(broken.tricks[0].kind, "unparsable");
    assert!(broken.blocked.is_some());
    let text = read(r#"{"body":"[sic] a remark"}"#, false);
    assert_eq!((text.blocked, text.tricks), (None, vec![]));
}

#[test]
fn what_hides_is_named_with_its_place() {
    let read =
        read(r#"{"to":"a\u202eb","policy_document":{"Statement":[{"Resource":"x\u200by"}]},"tab":"a\tb\r\n"}"#, false);
    let found: Vec<_> = read.tricks.iter().map(|t| (t.kind, t.place.as_str())).collect();
    assert_eq!(found, [("bidi", "/to"), ("zero_width", "/policy_document/Statement/0/Resource")]);
    assert_eq!(read.tricks[0].shown, "a⟦U+202E⟧b");
}

#[test]
fn secrets_are_masked_until_they_are_asked_for() {
    let text = r#"{"name":"db","password":"hunter2hunter2","policy_document":{"api_key":"abcdefgh12345678"}}"#;
    let masked = read(text, false);
    assert_eq!(masked.secrets, 2);
    assert_eq!(shape(&masked)[1], format!("password: {} Secret", secrets::MASK));
    assert!(!format!("{:?}", masked.tree).contains("abcdefgh12345678"));
    let revealed = read(text, true);
    assert_eq!(shape(&revealed)[1], "password: hunter2hunter2 String");
    assert_eq!(revealed.secrets, 2, "still told");
}

#[test]
fn the_agents_own_confirmation_is_marked() {
    let read = read(r#"{"confirmed":true,"n":1e400,"e":{},"deep":[[1]],"none":null}"#, false);
    assert!(read.claims_confirmation);
    let expected = [
        "confirmed: true Word <set by the agent; no human’s consent>",
        "n: 1e400 Number",
        "e: {} Empty",
        "deep (1)",
        "0 (1)",
        "0: 1 Number",
        "close",
        "close",
        "none: null Word",
    ];
    assert_eq!(shape(&read), expected);
}

#[test]
fn arguments_that_cannot_be_read_are_said_to_be() {
    let read = read("{", false);
    assert!(read.blocked.is_some());
    assert!(read.tree.is_empty());
}
