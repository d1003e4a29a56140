//! What is masked, what is left, and that masking changes nothing else.

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
        ("basic dXNlcjpwYXNz", "basic dXNlcjpwYXNz"),
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

#[test]
fn what_is_no_secret_stays() {
    for text in [
        "",
        "The password policy requires 14 characters",
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/db-AbCdEf",
        "arn:aws:iam::123456789012:role/TokenService",
        "iam:CreateAccessKey",
        "secretsmanager:GetSecretValue",
        "task-sk-of-the-day and risk-management-for-everyone-in-town",
        "Basic authentication, bearer of news",
        "https://host:8080/@user",
        "da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "AKIAlower and AKIA",
        "next_token=abc",
        "eyJust a word",
    ] {
        assert_eq!(mask_text(text), text);
        assert!(!contains_secret(text), "{text}");
    }
    for json in [
        r#"{"secret_name":"prod/db","token_count":7,"tokens":12,"max_tokens":4096}"#,
        r#"{"password":null,"secret":true,"token":""}"#,
        r#"{"user_name":"bob","policy_document":{"Action":"iam:*"}}"#,
        r#"[{"name":"LOG_LEVEL","value":"debug"}]"#,
    ] {
        assert_eq!(mask_json(json), json);
        assert!(!contains_secret(json), "{json}");
    }
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
    let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPL3KEY";
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

#[test]
fn worst_inputs_take_linear_time() {
    // Each of these takes very long if any rule reads on and on for every word.
    for part in [
        "eyJ.",
        "eyJ-",
        "sk-",
        "password=\\\"",
        "password=' ",
        "://",
        "a://a",
        "bearer ",
        "--token ",
        "token \"",
        "-----BEGIN ",
        "-----BEGIN PRIVATE KE",
        "token:",
        "AKIA",
        "a/",
        "\\",
        "ghp_a ",
    ] {
        let text = part.repeat(200_000 / part.len());
        let _ = mask_text(&text);
        let _ = mask_json(&format!("{{\"a\":{}}}", quote(&text)));
    }
}

fn text_with_secrets() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("password=".to_owned()),
        Just("--token ".to_owned()),
        Just("Authorization: Bearer ".to_owned()),
        Just("a://u:".to_owned()),
        prop::sample::select(samples()),
        "[a-zA-Z0-9 \"'\\\\:=@/{}\n•-]{0,8}",
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
