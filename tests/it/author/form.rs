//! "What would happen to this call?" on the tools page.

use serde_json::json;

use crate::support::agent::Agent;
use crate::support::app::{Setup, TestApp};
use crate::support::pages::{Browser, header};
use crate::support::upstream::Upstream;

const POLICY: &str = r#"{ "version": "1", "hide": ["delete_user"],
  "tools": {
    "get_*": { "limits": [ { "counter": "g", "window": "day", "max": 1 } ] },
    "create_user": { "action": "deny", "reason": "users come from the directory" },
    "put_user_policy": { "action": "require_approval",
      "approval": { "timeout": "15m", "reviewers": ["iam"], "approvals": 2, "require_reason": true,
                    "when": [ { "path": "args.user_name", "op": "eq", "value": "root" } ] },
      "limits": [ { "counter": "p", "window": "minute", "max": 30, "scope": "agent" } ] } } }"#;

/// The answer's part of the page, and its status.
async fn asked(browser: &Browser, fields: &[(&str, &str)]) -> String {
    let csrf = browser.csrf().await;
    let fields = [&[("csrf", csrf.as_str()), ("upstream", "iam")], fields].concat();
    let response = browser.post("/policy/try", &fields).await;
    assert_eq!(response.status(), 200);
    let page = response.text().await.unwrap();
    let answer = page.split_once("id=\"t-answer\"").expect("no answer").1;
    answer.split_once("</section>").unwrap().0.to_owned()
}

async fn start(upstream: &Upstream) -> (TestApp, Browser) {
    let app = Setup::http(&upstream.url).policy(POLICY).start().await;
    app.reviewer("mira@example.com", &["iam"]).await;
    let browser = Browser::signed_in(&app.url, "mira@example.com").await;
    (app, browser)
}

#[tokio::test]
async fn it_says_what_the_policy_would_do_and_does_nothing() {
    let upstream = Upstream::start().await;
    let (app, browser) = start(&upstream).await;
    let mut agent = Agent::new(app.mcp(), &app.agent("ci-bot").await);
    agent.initialize("2025-11-25").await;
    app.pinned().await;
    let (before, csrf) = (app.app.store.log_size().await.unwrap(), browser.csrf().await);
    for (fields, wanted) in [
        (
            &[("tool", "get_user_policy")][..],
            &[">Runs<", "/tools/get_*", "1 in 1 d for each agent and upstream", "Read"][..],
        ),
        (&[("tool", "create_user")], &[">Refused<", "users come from the directory", "/tools/create_user"]),
        (&[("tool", "delete_user")], &[">Hidden<", "/hide/0"]),
        (&[("tool", "unheard_of")], &[">Refused<", "/default"]),
        (
            &[("tool", "put_user_policy"), ("agent", "ci-bot"), ("arguments", "{\"user_name\":\r\n \"root\"}")],
            &[
                ">Asks<",
                "2 reviewers of iam",
                "15 min",
                "An approval needs a reason.",
                "limits/0",
                "30 in 1 min for each agent",
            ],
        ),
        (&[("tool", "put_user_policy"), ("arguments", "{\"user_name\": \"x\"}")], &[">Runs<"]),
        (
            &[("tool", "get_x"), ("arguments", "{\"a\": 1,\r\n  \"a\": 2}")],
            &["line 2, column 3", "the key &#34;a&#34; stands in one object twice"],
        ),
        (&[("tool", "get_x"), ("arguments", "{\r\n\"b\": tru}")], &["line 2, column", "this is not JSON"]),
        (&[("tool", "get_x"), ("arguments", "[1]")], &["line 1, column 1", "a JSON object"]),
        (&[("tool", "get_x"), ("agent", "nobody")], &["No agent is called so"]),
        (&[("tool", "get_x"), ("upstream", "other"), ("upstream", "iam")], &["/tools/get_*"]),
        (&[("tool", "")], &["1 to 512 bytes"]),
    ] {
        let answer = asked(&browser, fields).await;
        for wanted in wanted {
            assert!(answer.contains(wanted), "{fields:?} lacks {wanted:?}\n{answer}");
        }
    }
    assert_eq!(app.app.store.log_size().await.unwrap(), before, "something was logged");
    assert!(upstream.calls("get_user_policy").is_empty());
    // Asked as often as you like, the only call of the day is still there.
    let first = agent.result("get_user_policy", json!({})).await;
    assert!(first["result"]["isError"].is_null(), "{first}");
    let large = format!("{{\"x\": \"{}\"}}", "y".repeat(900_000));
    let fields = [("csrf", csrf.as_str()), ("upstream", "iam"), ("tool", "get_x"), ("arguments", large.as_str())];
    let status = browser.post("/policy/try", &fields).await.status();
    assert_eq!(status, 200, "arguments that an agent may send are too long for the form");
}

#[tokio::test]
async fn it_takes_only_our_own_form_from_somebody_who_is_signed_in() {
    let upstream = Upstream::start().await;
    let (app, browser) = start(&upstream).await;
    let csrf = browser.csrf().await;
    let fields = [("upstream", "iam"), ("tool", "get_x")];
    assert_eq!(browser.post("/policy/try", &fields).await.status(), 403);
    let signed = [&fields[..], &[("csrf", csrf.as_str())]].concat();
    let foreign = browser.form("/policy/try", &signed).header("origin", "https://evil.example").send().await.unwrap();
    assert_eq!(foreign.status(), 403);
    let nobody = Browser::new(&app.url).post("/policy/try", &signed).await;
    assert_eq!(nobody.status(), 401);
    let loaded_again = browser.get("/policy/try").await;
    assert_eq!(loaded_again.status(), 303);
    assert_eq!(header(&loaded_again, "location"), "/policy#try");
    // What was pasted comes back into its field, and is nothing but text there.
    let hostile = "</textarea><script>alert(1)</script>";
    let all = [&signed[..], &[("arguments", hostile)]].concat();
    let page = browser.post("/policy/try", &all).await.text().await.unwrap();
    assert!(page.contains("&lt;/textarea&gt;") || page.contains("&#60;/textarea&#62;"), "{page}");
    assert!(!page.contains("<script>alert"));
}
