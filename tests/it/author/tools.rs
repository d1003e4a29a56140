//! Everything that agents can call, and the history of the policy, on the tools page.

use std::time::Duration;

use serde_json::json;
use sqlx::Connection as _;

use crate::support::agent::{Agent, Stream};
use crate::support::app::{Setup, TestApp};
use crate::support::pages::Browser;
use crate::support::upstream::Upstream;

const POLICY: &str = r#"{ "version": "1",
  "tools": {
    "list_users": { "note": "Nobody minds" },
    "echo": { "require": [ { "path": "args.text", "op": "exists" } ] },
    "create_user": { "action": "deny" },
    "put_user_policy": { "action": "require_approval", "approval": { "risk": "access" } } } }"#;

/// What the page says of one tool.
fn row<'p>(page: &'p str, tool: &str) -> &'p str {
    let name = format!("<code class=\"name\"><bdi>{tool}</bdi>");
    let at = page.find(&name).unwrap_or_else(|| panic!("{tool} is not on the page"));
    let from = page[..at].rfind("<li>").unwrap();
    &page[from..from + page[from..].find("</li>").unwrap()]
}

async fn start() -> (Upstream, TestApp, Browser) {
    let upstream = Upstream::start().await;
    let toml = format!(
        "[[upstreams]]\nname = \"iam\"\nurl = \"{0}\"\n[[upstreams]]\nname = \"files\"\nurl = \"{0}\"\n",
        upstream.url
    );
    let app = Setup::toml(toml).policy(POLICY).start().await;
    app.reviewer("mira@example.com", &["iam"]).await;
    let browser = Browser::signed_in(&app.url, "mira@example.com").await;
    (upstream, app, browser)
}

#[tokio::test]
async fn each_tool_has_its_class_its_ruling_and_how_often_it_was_called() {
    let (_upstream, app, browser) = start().await;
    let bound = placet::call::AgentName::new("ci-bot").unwrap();
    let owner = placet::call::Email::parse("owner@example.com").unwrap();
    let only = vec![placet::call::UpstreamName::new("iam").unwrap()];
    let added = app.app.identity.agent_add(bound, owner, only).await.unwrap();
    let mut agent = Agent::new(format!("{}/mcp/iam", app.url), added.token.reveal());
    agent.initialize("2025-11-25").await;
    let page = app
        .until("the tools are known", async || {
            let page = browser.page("/policy").await;
            page.contains("<bdi>put_user_policy</bdi>").then_some(page)
        })
        .await;
    assert!(!page.contains("Called "), "nothing was called yet");
    let iam = page.split_once("id=\"upstream-1\"").unwrap().1.split_once("id=\"upstream-2\"").unwrap();
    assert!(iam.0.contains("<strong><bdi>ci-bot</bdi></strong>") && iam.1.contains("No agent may use it."), "{page}");

    agent.result("list_users", json!({})).await;
    agent.result("list_users", json!({})).await;
    agent.result("create_user", json!({})).await;
    let mut held = Stream::of(agent.call("put_user_policy", json!({})).await);
    held.next().await;
    for counted in [false, true] {
        if counted {
            while app.app.store.tally().await.unwrap() {}
        }
        app.setup.clock.advance(Duration::from_secs(600));
        let page = browser.page("/policy").await;
        for (tool, wanted) in [
            ("list_users", &[">Runs<", "<strong>Read</strong>", "Nobody minds", "Called 2 times, last "][..]),
            (
                "create_user",
                &[">Refused<", "<strong>Access</strong>", "about who may do what", "Called once (1 refused), last"],
            ),
            (
                "put_user_policy",
                &[
                    ">Asks<",
                    "Declared risk: access.",
                    "<strong>Access</strong>",
                    "Called once (1 held), last",
                    "min ago",
                ],
            ),
            ("echo", &[">Depends<", "<strong>Unknown</strong>"]),
        ] {
            let row = row(&page, tool);
            for wanted in wanted {
                assert!(row.contains(wanted), "{tool} lacks {wanted:?} ({counted})\n{row}");
            }
        }
        assert!(!row(&page, "echo").contains("Called"), "{page}");
    }
}

/// Writes the policy file and waits until it was looked at.
async fn edit(app: &TestApp, text: &str) {
    std::fs::write(app.folder.path().join("policy.json"), text).unwrap();
    app.app.policy.reload(&app.app.store, app.setup.clock.now()).await.unwrap();
}

#[tokio::test]
async fn each_version_can_be_read_with_what_changed() {
    let (_upstream, app, browser) = start().await;
    let first = app.app.policy.loaded().policy.version().short();
    edit(&app, "{ broken").await;
    let changed = POLICY.replace("Nobody minds", "<script>alert(1)</script>");
    edit(&app, &changed).await;
    let second = app.app.policy.loaded().policy.version().short();
    // A restart puts the same version in force again, which is no change.
    let app = app.restart().await;
    let page = browser.page("/policy").await;
    let history = page.split_once("id=\"versions-title\"").unwrap().1;
    assert_eq!(history.matches("came into force").count(), 2, "{history}");
    let (newer, older) = (history.find(&second).unwrap(), history.find(&first).unwrap());
    let refused = history.find("A broken file was refused").unwrap();
    assert!(newer < refused && refused < older, "{history}");
    let links: Vec<_> =
        history.match_indices("/policy/versions/").map(|(at, _)| history[at..].split('"').next().unwrap()).collect();
    let page = browser.page(links[0]).await;
    for wanted in ["1 line put in, 1 taken out.", "Nobody minds", "&#60;script&#62;", &second, &first] {
        assert!(page.contains(wanted), "{wanted}\n{page}");
    }
    assert!(!page.contains("<script>alert"));
    let page = browser.page(links[1]).await;
    assert!(
        page.contains("It is the first one") && page.contains("create_user") && !page.contains("taken out"),
        "{page}"
    );
    for missing in ["/policy/versions/1", "/policy/versions/999999", "/policy/versions/x"] {
        assert!([400, 404].contains(&browser.get(missing).await.status().as_u16()), "{missing}");
    }
    assert_eq!(Browser::new(&app.url).get(links[0]).await.status(), 303, "read by nobody who is signed in");

    // A text that is not what the log names is not shown as if it were.
    let url = format!("sqlite://{}", app.folder.path().join("data/placet.db").display());
    let mut database = sqlx::SqliteConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("UPDATE policies SET text = '{}'").execute(&mut database).await.unwrap();
    let page = browser.page(links[0]).await;
    assert!(page.contains("Its text is not kept") && page.contains("so what changed is not known"), "{page}");
}
