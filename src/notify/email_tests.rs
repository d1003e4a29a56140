//! Mails as bytes: what may stand in a header, and settings that cannot be used.

use super::*;

fn mailer(from: &str) -> Result<Mailer, BadSender> {
    Mailer::new(Transport::Memory(MemoryMailbox::default()), from)
}

fn compose(subject: &str) -> String {
    let message = Message { subject: subject.into(), text: "Grüße\n.\nend".into(), html: "<p>Grüße</p>".into() };
    let to = Email::parse("mira@example.com").unwrap();
    let at = Millis(1_795_356_131_000);
    let mail = mailer("Placet <placet@example.com>").unwrap().compose(&to, "abc@placet.example.com", at, message, None);
    String::from_utf8(mail.unwrap().raw).unwrap()
}

fn headers(raw: &str) -> Vec<&str> {
    let head = raw.split("\r\n\r\n").next().unwrap();
    head.split("\r\n").filter(|line| !line.starts_with(' ')).collect()
}

#[test]
fn the_headers_are_ours_alone() {
    let names = |raw: &str| -> Vec<String> {
        headers(raw).iter().map(|line| line.split(':').next().unwrap().to_owned()).collect()
    };
    let plain = compose("Needs approval");
    assert_eq!(
        headers(&plain)[..6],
        [
            "From: Placet <placet@example.com>",
            "To: mira@example.com",
            "Subject: Needs approval",
            "Date: Sun, 22 Nov 2026 14:02:11 +0000",
            "Message-ID: <abc@placet.example.com>",
            "Auto-Submitted: auto-generated",
        ],
        "{plain}"
    );
    for nasty in [
        "x\r\nBcc: all@example.com",
        "x\nBcc: all@example.com",
        "x\r\n\r\n<html>",
        "x\0y",
        "\u{85}Bcc: a@b\u{2028}\u{2029}",
        "=?utf-8?q?=0D=0ABcc:_all@example.com?=",
        &"long ".repeat(10_000),
        &"é\r\n".repeat(1000),
    ] {
        let raw = compose(nasty);
        assert_eq!(names(&raw), names(&plain), "{nasty:?} became\n{raw}");
        assert!(raw.lines().all(|line| line.len() <= 998), "RFC 5322 2.1.1");
    }
}

#[test]
fn senders() {
    for good in [
        "placet@example.com",
        "Placet <placet@example.com>",
        "\"Placet, Inc.\" <p@example.com>",
        "Plácet <p@example.com>",
    ] {
        assert!(mailer(good).is_ok(), "{good}");
    }
    for bad in ["", "Placet", "Placet <>", "a\r\nBcc: x@y <p@example.com>", "a\0 <p@example.com>", "p@example.com\n"] {
        let error = mailer(bad).map(|_| ()).unwrap_err();
        assert!(error.to_string().starts_with("[mail] from ="), "{error}");
    }
}

#[test]
fn a_clock_gone_mad_is_no_panic() {
    let message = Message { subject: "s".into(), text: "t".into(), html: "h".into() };
    let to = Email::parse("mira@example.com").unwrap();
    for at in [Millis::MAX, Millis(i64::MIN), Millis(-1)] {
        assert!(mailer("p@example.com").unwrap().compose(&to, "x@y", at, message.clone(), None).is_ok());
    }
}

#[test]
fn an_address_that_no_server_takes_is_an_error_and_no_panic() {
    let message = Message { subject: "s".into(), text: "t".into(), html: "h".into() };
    let mailer = mailer("p@example.com").unwrap();
    for odd in ["a b@example.com", "a@b..c", "(@example.com", "a@[1"] {
        let Ok(to) = Email::parse(odd) else { continue };
        let result = mailer.compose(&to, "x@y", Millis(0), message.clone(), None);
        assert_eq!(result.map(|_| ()), Err(ComposeError::Address), "{odd}");
    }
}
