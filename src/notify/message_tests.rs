//! Mails as people read them: snapshots of both parts for ordinary, critical, hostile and several.

use std::fmt::Write as _;

use uuid::Uuid;

use super::*;
use crate::notify::arguments;

fn links() -> Links {
    Links::new("https://placet.example.com/")
}

fn held() -> CallMail {
    CallMail {
        id: CallId(Uuid::from_u128(7)),
        as_of: None,
        about: About::Held { deadline: Millis(1_795_357_031_999), then: Then::Rejected },
        headline: None,
        critical: false,
        agent: "ci-bot".into(),
        upstream: "iam".into(),
        tool: "put_user_policy".into(),
        arguments: arguments::lines(
            r#"{"user_name":"ci-bot","policy_name":"Deploy","policy_document":{"Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]},"password":"correct-horse"}"#,
        ),
        agent_reason: None,
    }
}

fn about(about: About) -> CallMail {
    CallMail { about, ..held() }
}

/// Everything of a mail in one text.
fn shown(calls: &[CallMail]) -> String {
    let mail = write(calls, &links()).unwrap();
    let mut out = String::new();
    write!(out, "Subject: {}\n\n{}\n{}\n{}", mail.subject, mail.text, "=".repeat(72), mail.html).unwrap();
    out
}

#[test]
fn an_ordinary_call() {
    insta::assert_snapshot!(shown(&[held()]));
}

#[test]
fn what_the_policy_declares_critical_is_called_so() {
    let mail = shown(&[CallMail { critical: true, ..held() }]);
    assert!(
        mail.contains("Critical: Needs approval: ") && mail.contains("CRITICAL\n") && mail.contains(">Critical</span>")
    );
    let over = shown(&[CallMail { critical: true, ..about(About::Expired { at: Millis(0) }) }]);
    assert!(!over.to_lowercase().contains("critical"), "what is over is not urgent");
}

#[test]
fn a_critical_call() {
    let headline = Headline { line: "Lets user ci-bot make itself administrator".into(), critical: true };
    insta::assert_snapshot!(shown(&[CallMail { headline: Some(headline), ..held() }]));
}

#[test]
fn hostile_words() {
    let mail = CallMail {
        headline: Some(Headline { line: "Runs rm\r\nBcc: all@example.com".into(), critical: false }),
        agent: "bot".repeat(60),
        tool: "put\r\nBcc: evil@example.com\r\n\r\n<script>alert(1)</script>\u{202e}txt.exe".into(),
        upstream: "a\0b".into(),
        arguments: arguments::lines(
            "{\"<img src=x onerror=y>\":\"https://evil.example/\\u202e\\u200b\",\"a\\nb\":\"one\\r\\ntwo\\u001b[2J\"}",
        ),
        ..held()
    };
    let shown = shown(std::slice::from_ref(&mail));
    assert!(!shown.contains("<script>") || !shown.split("====").last().unwrap().contains("<script>"));
    insta::assert_snapshot!(shown);
}

#[test]
fn what_the_agent_says_is_its_claim_while_somebody_must_decide() {
    let why = "to deploy\r\nBcc: all@example.com \u{202e}<b>now</b>";
    let mail = CallMail { agent_reason: Some(why.into()), ..held() };
    let written = write(std::slice::from_ref(&mail), &links()).unwrap();
    let quoted = "The agent says why: \"to deploy Bcc: all@example.com ⟦U+202E⟧<b>now</b>\"\n";
    assert!(written.text.contains(quoted), "{}", written.text);
    assert!(written.html.contains("&#60;b&#62;now") && !written.html.contains("<b>now"), "{}", written.html);
    let over = write(&[CallMail { about: About::Expired { at: Millis(0) }, ..mail }], &links()).unwrap();
    assert!(!over.text.contains("says why"), "{}", over.text);
}

#[test]
fn names_of_500_characters() {
    let mail = CallMail { tool: "n".repeat(500), agent: "a".repeat(100), upstream: "u".repeat(64), ..held() };
    let mail = write(&[mail], &links()).unwrap();
    assert!(mail.subject.chars().count() <= SUBJECT);
    assert!(mail.subject.contains("by aaaa") && mail.subject.contains("on uuuu"), "{}", mail.subject);
    assert!(mail.text.contains(&format!("{}…", "n".repeat(79))));
}

#[test]
fn several_calls() {
    let headline = Some(Headline { line: "Gives everyone read access".into(), critical: true });
    let calls = [
        held(),
        CallMail { id: CallId(Uuid::from_u128(8)), tool: "delete_user".into(), headline, ..held() },
        about(About::Decided {
            verdict: Verdict::Reject,
            by: Some("mira@example.com".into()),
            at: Millis(1_795_356_200_000),
            reason: "scope Resource\r\nto one bucket".into(),
            outcome: "It has not run and will not.".into(),
        }),
    ];
    insta::assert_snapshot!(shown(&calls));
}

#[test]
fn what_else_happens() {
    let at = Millis(1_795_356_200_000);
    let approved = About::Decided {
        verdict: Verdict::Approve,
        by: None,
        at,
        reason: String::new(),
        outcome: "It has run.".into(),
    };
    let all = [
        About::Held { deadline: at, then: Then::Approved },
        About::Escalated { deadline: at },
        approved,
        About::Expired { at },
        About::Lapsed { at },
        About::Cancelled { at },
        About::OutcomeUnknown { why: "the connection broke.".into() },
    ];
    let mut out = String::new();
    for what in all {
        let mail = write(&[CallMail { arguments: vec![], ..about(what) }], &links()).unwrap();
        writeln!(out, "Subject: {}\n{}", mail.subject, mail.text.split("----").next().unwrap()).unwrap();
    }
    let restored = CallMail { as_of: Some(at), arguments: vec![], ..held() };
    let mail = write(&[restored], &links()).unwrap();
    write!(out, "From a copy\n{}", mail.text.split("----").next().unwrap()).unwrap();
    insta::assert_snapshot!(out);
}

#[test]
fn links_come_from_the_configured_url_alone() {
    let mail = write(&[held()], &links()).unwrap();
    let id = CallId(Uuid::from_u128(7));
    for link in [format!("calls/{id}?prepare=approve"), format!("calls/{id}?prepare=reject")] {
        assert!(mail.text.contains(&format!("https://placet.example.com/{link}")));
        assert!(mail.html.contains(&format!("href=\"https://placet.example.com/{link}\"")));
    }
    assert!(!mail.html.contains("<img") && !mail.html.contains("src="), "nothing is loaded");
    assert_eq!(Links::new("https://placet.example.com:8443/x").host(), "placet.example.com");
    assert_eq!(Links::new("http://[::1]:8080").host(), "::1");
}

#[test]
fn a_flood_stays_readable() {
    let calls: Vec<_> = (0..300).map(|n| CallMail { id: CallId(Uuid::from_u128(n)), ..held() }).collect();
    let mail = write(&calls, &links()).unwrap();
    assert!(mail.subject.starts_with("300 calls need approval"), "{}", mail.subject);
    assert!(mail.text.contains("280 more: https://placet.example.com/"));
    assert!(mail.html.len() < 100_000, "{}", mail.html.len());
    let long = CallMail { arguments: arguments::lines(&format!("{{\"a\":[{}1]}}", "1,".repeat(400_000))), ..held() };
    let mail = write(&[long], &links()).unwrap();
    assert!(mail.text.len() < 10_000 && mail.text.contains("more lines: see the page"));
}
