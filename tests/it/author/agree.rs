//! The gateway, the form on the tools page and `placet test` rule one call alike, however it is written.

use serde_json::Value;

use crate::support::agent::{Agent, Piece, Stream, answer};
use crate::support::app::Setup;
use crate::support::command::placet;
use crate::support::pages::Browser;
use crate::support::upstream::Upstream;

const CONFIG: &str = "[[upstreams]]\nname = \"iam\"\ncommand = [\"iam\"]\n";

const POLICY: &str = r#"{ "version": "1", "default": "deny",
  "tools": {
    "i*": {},
    "pay": {
      "require": [ { "path": "args.amount", "op": "lte", "value": 100 } ],
      "deny_if": [ { "path": "args.to.role", "op": "eq", "value": "admin" },
                   { "path": "args.net", "op": "cidr", "value": "10.0.0.0/8" } ] },
    "ask": { "action": "require_approval", "approval": { "when": { "path": "args.lines[*].n", "op": "gt", "value": 9 } } } } }"#;

const CALLS: &[(&str, &str, &str)] = &[
    ("pay", r#"{"amount": 5}"#, "allow"),
    ("pay", r#"{"amount": 1e2}"#, "allow"),
    ("pay", r#"{"\u0061mount": 5}"#, "allow"),
    ("iam/pay", r#"{"amount": 5}"#, "allow"),
    ("iam/pay", r#"{"amount": 500}"#, "deny"),
    ("pay", r#"{"amount": "5"}"#, "deny"),
    ("pay", r#"{"amount": 1e99999999999999999999}"#, "deny"),
    ("pay", r#"{"amount": 5, "Amount": 500}"#, "deny"),
    ("pay", r#"{"amount": 5, "amount": 5}"#, "deny"),
    ("pay", r#"{"amount": 5, "to": "{\"role\": \"admin\"}"}"#, "deny"),
    ("pay", r#"{"amount": 5, "net": "0.0.0.0/0"}"#, "deny"),
    ("info", "{}", "allow"),
    ("iam/info", "{}", "allow"),
    ("iam/drop", "{}", "deny"),
    ("ask", r#"{"lines": [{"n": 1}]}"#, "allow"),
    ("ask", r#"{"lines": "[{\"n\": 99}]"}"#, "require_approval"),
];

#[tokio::test]
async fn a_call_is_ruled_alike_wherever_it_is_asked_about() {
    let upstream = Upstream::start().await;
    let app = Setup::http(&upstream.url).policy(POLICY).start().await;
    app.reviewer("mira@example.com", &[]).await;
    let browser = Browser::signed_in(&app.url, "mira@example.com").await;
    let csrf = browser.csrf().await;
    let mut agent = Agent::new(app.mcp(), &app.agent("bot").await);
    agent.initialize("2025-11-25").await;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("placet.toml"), CONFIG).unwrap();
    std::fs::write(path("policy.json"), POLICY).unwrap();
    let line = |(tool, arguments, expect): &(&str, &str, &str)| {
        format!(r#"{{"tool": "{tool}", "arguments": {arguments}, "expect": "{expect}"}}"#)
    };
    std::fs::write(path("calls.jsonl"), CALLS.iter().map(line).collect::<Vec<_>>().join("\n")).unwrap();
    let said = placet(&["test", &path("calls.jsonl"), "--config", &path("placet.toml")]).await;
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);

    for (tool, arguments, expected) in CALLS {
        let ran = || upstream.calls(tool).len();
        let before = ran();
        let params = format!(r#"{{"name":"{tool}","arguments":{arguments}}}"#);
        let response =
            agent.post(format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#)).await;
        match *expected {
            "require_approval" => assert_eq!(Stream::of(response).next().await, Some(Piece::Comment), "{params}"),
            "allow" => assert_eq!(answer(response).await["result"]["isError"], Value::Null, "{params}"),
            _ => drop(response.text().await.unwrap()),
        }
        assert_eq!(ran() - before, usize::from(*expected == "allow"), "{params}");

        let fields = [("csrf", csrf.as_str()), ("upstream", "iam"), ("tool", tool), ("arguments", arguments)];
        let page = browser.post("/policy/try", &fields).await.text().await.unwrap();
        let shown = page.split_once("id=\"t-answer\"").unwrap().1.split_once("</section>").unwrap().0;
        let words: &[&str] = match *expected {
            "require_approval" => &[">Asks<"],
            "allow" => &[">Runs<"],
            _ => &[">Refused<", "stands in one object twice"],
        };
        assert!(words.iter().any(|words| shown.contains(words)), "{params}\n{shown}");
    }
}
