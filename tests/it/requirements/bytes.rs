//! What is shown, what is approved and what is sent are the same bytes, whatever they are; and a stored bit that was
//! flipped is not sent.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use placet::approvals::Settings;
use placet::call::{Digest, Requirement, Verdict};
use placet::store::HoldLimits;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use sqlx::Connection as _;

use crate::support::agent::{Agent, answer};
use crate::support::app::{PASSWORD, Setup};
use crate::support::bench::Bench;
use crate::support::dice::Dice;
use crate::support::upstream::Upstream;

/// How many documents the agent sends.
const DOCUMENTS: usize = 25;

const POLICY: &str = r#"{ "version": "1", "default": "deny",
  "tools": { "put_user_policy": { "action": "require_approval", "approval": { "timeout": "15m" } } } }"#;

/// A JSON object in one of the countless ways to write it.
fn document(dice: &mut Dice) -> String {
    let mut text = String::new();
    object(dice, 0, &mut text);
    text
}

/// So many documents, no two of them alike: the same again would be the same call.
fn documents(dice: &mut Dice, count: usize) -> BTreeSet<String> {
    let mut drawn = BTreeSet::new();
    while drawn.len() < count {
        drawn.insert(document(dice));
    }
    drawn
}

fn blank(dice: &mut Dice, text: &mut String) {
    let blanks = ["", "", "", " ", "\t", "\r\n", "  \n "];
    text.push_str(dice.one_of::<&str>(&blanks));
}

fn object(dice: &mut Dice, depth: u32, text: &mut String) {
    text.push('{');
    let count = dice.throw(5);
    for n in 0..count {
        if n > 0 {
            text.push(',');
        }
        blank(dice, text);
        // A number of its own keeps each key from being another one's twin.
        text.push_str(&format!("\"{n}{}\"", escaped(dice)));
        blank(dice, text);
        text.push(':');
        blank(dice, text);
        value(dice, depth + 1, text);
        blank(dice, text);
    }
    text.push('}');
}

fn value(dice: &mut Dice, depth: u32, text: &mut String) {
    let numbers = [
        "0",
        "-0",
        "1e5",
        "1E+400",
        "-0.1000",
        "9007199254740993",
        "1e-999",
        "123456789012345678901234567890.5",
        "1.0",
    ];
    match dice.throw(if depth < 6 { 7 } else { 5 }) {
        0 => text.push_str(dice.one_of::<&str>(&["null", "true", "false"])),
        1 => text.push_str(dice.one_of::<&str>(&numbers)),
        2..=4 => text.push_str(&format!("\"{}\"", escaped(dice))),
        5 => {
            text.push('[');
            for n in 0..dice.throw(4) {
                if n > 0 {
                    text.push(',');
                }
                blank(dice, text);
                value(dice, depth + 1, text);
            }
            text.push(']');
        }
        _ => object(dice, depth, text),
    }
}

/// The inside of a string, with everything that a program might be tempted to tidy up.
fn escaped(dice: &mut Dice) -> String {
    let pieces = [
        "a",
        "A",
        "é",
        "e\u{301}",
        "\\u0041",
        "\\u00e9",
        "\\/",
        "/",
        "\\\\",
        "\\\"",
        "\\n",
        "\\u000a",
        "\\u0000",
        "\u{7f}",
        "\u{202e}",
        "\\u202e",
        "\u{200b}",
        "\u{feff}",
        "\\ud83d\\ude00",
        "\u{1f600}",
        "\u{e9}\u{fffd}",
        "<b>",
        "&amp;",
        "'; --",
        "$args.x",
        "{{7*7}}",
        "\\u2028",
        "\u{2028}",
    ];
    (0..dice.throw(6)).map(|_| *dice.one_of::<&str>(&pieces)).collect()
}

#[tokio::test]
async fn reviewers_are_shown_and_the_upstream_gets_the_very_bytes_of_the_agent() {
    let upstream = Upstream::start().await;
    let mut setup = Setup::http(&upstream.url).policy(POLICY);
    setup.toml.push_str("\n[hold]\nmax_pending_per_agent = 1000\nmax_new_per_agent_per_hour = 1000\n");
    let app = setup.start().await;
    let mira = app.reviewer("mira@example.com", &[]).await;
    let token = app.app.identity.api_token_make(mira.email, true, Duration::from_secs(86_400)).await.unwrap().token;
    let source = placet::identity::throttle::Source::new(None);
    let signed_in =
        app.app.identity.sign_in("mira@example.com", PASSWORD.to_owned().into(), source, String::new(), None);
    let cookie = format!("placet={}", signed_in.await.unwrap().cookie.reveal());
    let mut agent = Agent::new(app.mcp(), &app.agent("ci-bot").await);
    agent.initialize("2025-11-25").await;
    let http = Client::new();
    for (n, arguments) in documents(&mut Dice::new(7), DOCUMENTS).into_iter().enumerate() {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{n},"method":"tools/call","params":{{"name":"put_user_policy","arguments":{arguments}}}}}"#
        );
        let waits = agent.post(body).await;
        assert_eq!(waits.status(), StatusCode::OK, "{arguments}");
        let held = app.pending().await;
        let path = format!("{}/api/v1/calls/{}", app.url, held.submission.id);
        let shown = http.get(&path).bearer_auth(token.reveal()).send().await.unwrap().text().await.unwrap();
        let shown: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(shown["arguments"].as_str().unwrap(), arguments);
        let page = http.get(format!("{}/calls/{}", app.url, held.submission.id)).header("cookie", &cookie);
        let page = page.send().await.unwrap().text().await.unwrap();
        assert!(page.contains(&Digest::of(arguments.as_bytes()).to_string()), "{arguments}");
        let verdict = json!({"verdict": "approve", "digest": shown["digest"], "reason": ""}).to_string();
        let decide = http.post(format!("{path}/decision")).bearer_auth(token.reveal());
        let decided = decide.header("content-type", "application/json").body(verdict).send().await.unwrap();
        assert_eq!(decided.status(), StatusCode::OK, "{arguments}");
        let told = answer(waits).await;
        let sent = upstream.calls("put_user_policy");
        assert_eq!(sent.len(), n + 1, "{arguments}: {told:?}");
        assert!(sent[n].contains(&format!("\"arguments\":{arguments}}}")), "{arguments}\nbecame\n{}", sent[n]);
    }
}

#[tokio::test]
async fn of_a_hundred_flipped_bits_none_is_sent() {
    const FLIPS: usize = 100;
    let limits = HoldLimits { pending: 1000, new_per_hour: 1000, ..Settings::default().limits };
    let bench = Arc::new(Bench::with(Settings { limits, ..Settings::default() }).await);
    let mut dice = Dice::new(11);
    let url = format!("sqlite://{}", bench.folder.path().join("placet.db").display());
    let mut database = sqlx::SqliteConnection::connect(&url).await.unwrap();
    let mut calls = Vec::new();
    for n in 0..=FLIPS {
        let arguments = format!(r#"{{"user":"ci-bot","n":{n}}}"#);
        let call = bench.submit(&arguments, Requirement::plain(Duration::from_secs(900))).await.call;
        bench.approvals.decide(bench.decision(&call, bench.mira, Verdict::Approve)).await.unwrap();
        if n < FLIPS {
            let mut bytes = call.submission.params.clone().into_bytes();
            let (at, bit) = (dice.throw(bytes.len() as u64), dice.throw(8));
            bytes[usize::try_from(at).unwrap()] ^= 1 << bit;
            let sql = "UPDATE call_params SET params = CAST($1 AS TEXT) WHERE call_id = $2";
            let flip = sqlx::query(sql).bind(bytes).bind(call.submission.id.to_string());
            assert_eq!(flip.execute(&mut database).await.unwrap().rows_affected(), 1);
        }
        calls.push(call);
    }
    for call in &calls {
        bench.approvals.returned(call.submission.id).await;
    }
    // The last one is whole, which shows that the others had every chance.
    bench.until(calls.last().unwrap(), "executed").await;
    bench.approvals.releases_ended().await;
    bench.store.check_writable().await.unwrap();
    bench.approvals.releases_ended().await;
    assert_eq!(*bench.upstream.received.lock().unwrap(), [calls[FLIPS].submission.params.clone()]);
}
