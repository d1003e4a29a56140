//! What is masked, what is left, and that masking changes nothing else.

mod benign;
mod linear;
mod secret;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::call::json::properties::any_json;

// Secrets in the documented shapes, none of them real; cut in two, so that scanners of
// repositories leave this file alone.
fn samples() -> Vec<String> {
    let body = "Ab1".repeat(20);
    vec![
        format!("AKIA{}", "IOSFODNN7EXAMPLE"),
        format!("ASIA{}", "Y34FZKBOKMUTVV7A"),
        format!("ghp_{}", &body[..36]),
        format!("github_pat_{}", &body[..40]),
        format!("xoxb-{}-{}", "123456789012", "AbCdEfGhIj"),
        format!("sk-{}", &body[..48]),
        format!("sk-ant-{}", &body[..40]),
        format!("sk_live_{}", &body[..24]),
        format!("AIza{}", &body[..35]),
        format!("npm_{}", &body[..36]),
        format!("glpat-{}", &body[..20]),
        format!("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.{body}"),
        format!("-----BEGIN RSA {0}-----\nMIIE\n-----END RSA {0}-----", "PRIVATE KEY"),
        format!("-----BEGIN OPENSSH {}-----\nb3BlbnNz", "PRIVATE KEY"),
    ]
}

#[test]
fn shapes_are_masked_wherever_they_stand() {
    for secret in samples() {
        let unended = !secret.contains("END") && secret.contains("BEGIN");
        for (before, after) in [("", ""), ("key is ", "."), ("(", ")"), ("é", " \u{202e}"), ("a\n", "\nb")] {
            let text = format!("{before}{secret}{after}");
            let masked = mask_text(&text);
            assert!(masked.starts_with(&format!("{before}{MASK}")), "{text} → {masked}");
            assert!(unended || masked.ends_with(after.trim_start_matches('.')), "{text} → {masked}");
            assert!(contains_secret(&text));
        }
        let json = format!("{{\"note\" : [{}]  }}", quote(&format!("see {secret} ")));
        let masked = mask_json(&json);
        assert!(masked.starts_with("{\"note\" : [\"see ••• masked"), "{masked}");
        assert!(masked.ends_with("\"]  }"), "{masked}");
    }
}

#[test]
fn assignments_in_text_are_masked_by_name() {
    for (text, masked) in [
        ("password=hunter2", "password=••• masked"),
        ("export DB_PASSWORD='a b' && run", "export DB_PASSWORD='••• masked' && run"),
        ("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/b x", "AWS_SECRET_ACCESS_KEY=••• masked x"),
        ("create --master-user-password Hunter2! --name x", "create --master-user-password ••• masked --name x"),
        ("login -password x", "login -password ••• masked"),
        ("--token --verbose", "--token --verbose"),
        ("api_key: abc, user: bob", "api_key: ••• masked, user: bob"),
        ("{\"password\": \"a\\\"b\", \"x\": 1", "{\"password\": \"••• masked\", \"x\": 1"),
        ("{\\\"password\\\":\\\"ab\\\",\\\"x\\\":1", "{\\\"password\\\":\\\"••• masked\\\",\\\"x\\\":1"),
        ("password=\"\" user=\"bob\"", "password=\"\" user=\"bob\""),
        ("curl -H 'Authorization: Bearer abc.def'", "curl -H 'Authorization: ••• masked'"),
        ("Cookie: a=b; c=d\nHost: x", "Cookie: ••• masked\nHost: x"),
        ("Bearer abcdef0123456789", "Bearer ••• masked"),
        ("basic dXNlcjpwYXNz", "basic ••• masked"),
        ("Basic dXNlcjpwYXNzd29yZA==", "Basic ••• masked"),
        ("postgres://bob:hunter2@db/x", "postgres://bob:••• masked@db/x"),
        ("redis://:p@ss@h:1", "redis://:••• masked@h:1"),
        ("https://h/?token=abc&page=2", "https://h/?token=••• masked&page=2"),
        ("if password == \"x\"", "if password == \"••• masked\""),
        ("-Dspring.password=x", "-Dspring.password=••• masked"),
    ] {
        assert_eq!(mask_text(text), masked, "{text}");
        assert_eq!(mask_text(masked), masked, "masking again changes nothing");
    }
}

/// A text of the corpus, and what is to be shown of it.
fn read_marked(marked: &str) -> (String, String) {
    let marked = marked.replace('¦', "");
    let mut shown = String::new();
    for (at, part) in marked.split('‹').enumerate() {
        let kept = if at == 0 { part } else { part.split_once('›').expect("a sign that closes").1 };
        shown.push_str(if at == 0 { "" } else { MASK });
        shown.push_str(kept);
    }
    (marked.replace(['‹', '›'], ""), shown)
}

#[test]
fn every_secret_of_the_corpus_is_masked_and_nothing_else() {
    assert!(secret::TEXTS.len() + secret::DOCUMENTS.len() >= 60);
    let mut wrong = Vec::new();
    let mut expect = |what: &str, masked: String, shown: &str| {
        if masked != shown {
            wrong.push(format!("{what}\n    {masked:?} instead of\n    {shown:?}"));
        }
    };
    for marked in secret::TEXTS {
        let (text, shown) = read_marked(marked);
        assert_ne!(text, shown);
        expect("a text", mask_text(&text), &shown);
        expect("masked again", mask_text(&shown), &shown);
        let json = |text: &str| format!("{{\"note\":[{}]}}", quote(text));
        expect("in JSON", mask_json(&json(&text)), &json(&shown));
        expect("found", contains_secret(&text).to_string(), "true");
    }
    for marked in secret::DOCUMENTS {
        let (text, shown) = read_marked(marked);
        assert_ne!(text, shown);
        expect("a document", mask_json(&text), &shown);
        let inside = |text: &str| format!("{{\"note\":{}}}", quote(text));
        expect("in a string", mask_json(&inside(&text)), &inside(&shown));
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_is_no_secret_stays() {
    assert!(benign::TEXTS.len() + benign::DOCUMENTS.len() >= 60);
    let mut wrong = Vec::new();
    for text in benign::TEXTS {
        let json = format!("{{\"note\":[{}]}}", quote(text));
        for (text, masked) in [(*text, mask_text(text)), (json.as_str(), mask_json(&json))] {
            if masked != text || contains_secret(text) {
                wrong.push(masked);
            }
        }
    }
    wrong.extend(benign::DOCUMENTS.iter().map(|json| (json, mask_json(json))).filter(|(a, b)| *a != b).map(|(_, b)| b));
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn members_are_masked_by_name() {
    for (json, masked) in [
        (r#"{ "password" : "x" ,"n":1.0}"#, r#"{ "password" : "••• masked" ,"n":1.0}"#),
        (r#"{"Pin":1,"passcode":123456}"#, r#"{"Pin":1,"passcode":"••• masked"}"#),
        (r#"{"p\u0061ssword":"x"}"#, r#"{"p\u0061ssword":"••• masked"}"#),
        (r#"{"tokens":["a",{"b":"c"}]}"#, r#"{"tokens":["••• masked",{"b":"••• masked"}]}"#),
        (
            r#"[{"name":"DB_PASSWORD","value":"x"},{"name":"A","value":"y"}]"#,
            r#"[{"name":"DB_PASSWORD","value":"••• masked"},{"name":"A","value":"y"}]"#,
        ),
        (r#"["aws","--password","x","y"]"#, r#"["aws","--password","••• masked","y"]"#),
        (r#"{"doc":" {\"a\": 1, \"secret\":\"x\"} "}"#, r#"{"doc":" {\"a\": 1, \"secret\":\"••• masked\"} "}"#),
        (
            r#"{"doc":"{\"secret\":\"x\",\"secret\":\"y\"}"}"#,
            r#"{"doc":"{\"secret\":\"••• masked\",\"secret\":\"••• masked\"}"}"#,
        ),
        (
            r#"{"cli_command":"aws rds x --master-user-password Hunter2 --y z"}"#,
            r#"{"cli_command":"aws rds x --master-user-password ••• masked --y z"}"#,
        ),
    ] {
        assert_eq!(mask_json(json), masked);
        assert!(contains_secret(json), "{json}");
    }
}

#[test]
fn an_aws_secret_key_is_known_by_its_neighbour() {
    // Too much like words to be taken for a key by itself.
    let secret = "abcdefGhijklmnopqrstUvwxyz0123456789Abcd";
    let id = samples().remove(0);
    let json = |id: &str| format!("{{\"a\":\"{id}\",\"b\":\"x {secret}\",\"c\":\"+{}\"}}", &secret[1..]);
    assert!(!mask_json(&json(&id)).contains(&secret[1..]));
    assert!(mask_json(&json("none")).contains(secret));
}

#[test]
fn an_issued_key_in_a_result_is_masked() {
    let result =
        r#"{"content":[{"type":"text","text":"{\"AccessKey\":{\"UserName\":\"bob\",\"SecretAccessKey\":\"zzz\"}}"}]}"#;
    let masked = mask_json(result);
    assert!(!masked.contains("zzz"), "{masked}");
}

#[test]
fn deep_nesting_of_json_in_strings_ends_in_masking_by_shape() {
    let mut text = r#"{"password":"hunter2"}"#.to_owned();
    for _ in 0..8 {
        text = format!("{{\"x\":{}}}", quote(&text));
    }
    assert!(!mask_json(&text).contains("hunter2"));
}

fn text_with_secrets() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("password=".to_owned()),
        Just("--token ".to_owned()),
        Just("Authorization: Bearer ".to_owned()),
        Just("a://u:".to_owned()),
        prop::sample::select(samples()),
        "[a-zA-Z0-9 \"'\\\\:=@/{}\n•-]{0,8}",
        prop::sample::select(secret::TEXTS).prop_map(|marked| read_marked(marked).0),
        prop::sample::select(linear::PARTS).prop_map(str::to_owned),
        prop::sample::select(linear::PARTS).prop_map(|part| part[..part.floor_char_boundary(3)].to_owned()),
        any::<String>(),
    ];
    prop::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn masking_never_panics_and_keeps_json_json((value, text) in any_json(), hostile in text_with_secrets()) {
        let text = format!("[{text},{}]", quote(&hostile));
        let masked: Value = serde_json::from_str(&mask_json(&text)).unwrap();
        prop_assert_eq!(masked[0].is_object(), value.is_object());
        if !contains_secret(&text) {
            prop_assert_eq!(mask_json(&text), text);
        }
    }

    #[test]
    fn text_outside_the_masks_stays(text in text_with_secrets()) {
        let masked = mask_text(&text);
        let mut rest = text.as_str();
        if !text.contains(MASK) {
            for kept in masked.split(MASK) {
                let at = rest.find(kept);
                prop_assert!(at.is_some(), "{} is not in {}", kept, text);
                rest = &rest[at.unwrap() + kept.len()..];
            }
        }
        prop_assert_eq!(contains_secret(&text), mask_json(&text) != text);
    }
}
