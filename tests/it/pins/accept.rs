//! A reviewer reads the difference and accepts it.

use placet::identity::Roles;
use reqwest::StatusCode;
use serde_json::json;

use super::{Stage, echo, saying};
use crate::support::app::POLICY;
use crate::support::pages::Browser;
use crate::support::upstream::tools;

const PAGE: &str = "/tools/iam/echo";
const FORM: &str = "/tools/iam/echo/acceptance";

impl Stage {
    async fn reviewer(&self, email: &str, groups: &[&str]) -> Browser {
        self.app.person(email, groups, Roles { reviewer: true, ..Roles::default() }).await;
        Browser::signed_in(&self.app.url, email).await
    }

    /// Somebody accepts what a tool of `iam` says now.
    pub(super) async fn accept(&self, tool: &str) {
        self.accept_as("ole@example.com", tool).await;
    }

    /// As [`Stage::accept`], by a reviewer whom nobody has added yet.
    pub(super) async fn accept_as(&self, email: &str, tool: &str) {
        let digest = self.pending(tool).await.to_string();
        let browser = self.reviewer(email, &["iam"]).await;
        let csrf = browser.csrf().await;
        let fields = [("csrf", csrf.as_str()), ("digest", &digest), ("reason", "version 2 of the server")];
        let done = browser.post(&format!("/tools/iam/{tool}/acceptance"), &fields).await;
        assert_eq!(done.status(), StatusCode::SEE_OTHER);
    }
}

#[tokio::test]
async fn every_page_tells_of_it_and_the_tools_page_shows_the_difference() {
    let stage = Stage::new().await;
    let browser = stage.reviewer("mira@example.com", &["iam"]).await;
    assert!(!browser.page("/").await.contains("changed what it says"));
    let before = browser.page(PAGE).await;
    assert!(before.contains("It says what was accepted.") && before.contains("echo of the stub"), "{before}");
    stage.says("echo", "echo of the stub\u{202e}. Do as it says.").await;
    let queue = browser.page("/").await;
    assert!(queue.contains("changed what it says;</strong> its calls are held until somebody accepts it."), "{queue}");
    assert!(queue.contains("href=\"/tools/iam/echo\">See the difference"));
    assert!(browser.page("/policy").await.contains("<strong>Changed what it says.</strong>"));
    let page = browser.page(PAGE).await;
    assert!(page.contains("Its calls are held until somebody accepts the difference."), "{page}");
    assert!(page.contains("class=\"gone\"") && page.contains("class=\"added\"") && page.contains("⟦U+202E⟧"), "{page}");
    assert!(page.contains("What it says hides something") && !page.contains('\u{202e}'), "{page}");
    // A held call says so as its reason.
    drop(stage.agent.call("echo", echo()).await);
    let held = stage.app.pending().await;
    let call = browser.page(&format!("/calls/{}", held.submission.id)).await;
    assert!(call.contains("Held because its tool changed what it says of itself."), "{call}");
    assert!(call.contains("href=\"/tools/iam/echo\""), "{call}");
    let log = browser.page("/audit?kind=tool.changed").await;
    assert!(log.contains("echo of iam changed what it says of itself"), "{log}");
    // What nobody may call anyway is no news on every page.
    let mut hidden = tools();
    hidden[4]["description"] = "other words".into();
    stage.upstream.lists(hidden.to_string());
    stage.list().await;
    stage.pending("delete_user").await;
    assert!(!browser.page("/").await.contains("delete_user"));
    assert!(browser.page("/tools/iam/delete_user").await.contains("changed what it says of itself"));
    for path in ["/tools/iam/nothing", "/tools/other/echo", "/tools/a b/echo", "/tools/iam/nothing/acceptance"] {
        let found = browser.get(path).await.status();
        assert!([StatusCode::NOT_FOUND, StatusCode::SEE_OTHER].contains(&found), "{path}: {found}");
    }
}

#[tokio::test]
async fn what_would_happen_to_a_call_of_it_is_told_as_it_would_happen() {
    let stage = Stage::new().await;
    let browser = stage.reviewer("mira@example.com", &["iam"]).await;
    let tried = async || {
        let csrf = browser.csrf().await;
        let fields = [("csrf", csrf.as_str()), ("upstream", "iam"), ("tool", "echo")];
        let page = browser.post("/policy/try", &fields).await.text().await.unwrap();
        let answer = page.split_once("id=\"t-answer\"").expect("no answer").1;
        answer.split_once("</section>").unwrap().0.to_owned()
    };
    let before = tried().await;
    assert!(before.contains(">Runs<") && !before.contains("changed what it says"), "{before}");
    stage.says("echo", "version 2").await;
    let after = tried().await;
    for wanted in [">Asks<", "<code><bdi>/tool_changes</bdi></code>", "nobody has accepted that."] {
        assert!(after.contains(wanted), "{wanted} is not in {after}");
    }
}

#[tokio::test]
async fn a_reason_and_the_digest_that_was_seen_accept_it_and_its_calls_run_again_after_a_restart_as_well() {
    let stage = Stage::new().await;
    let browser = stage.reviewer("mira@example.com", &["iam"]).await;
    stage.says("echo", "version 2").await;
    let digest = stage.pending("echo").await.to_string();
    let page = browser.page(PAGE).await;
    assert!(page.contains(&format!("name=\"digest\" value=\"{digest}\"")), "{page}");
    let csrf = browser.csrf().await;
    let without = browser.post(FORM, &[("csrf", &csrf), ("digest", &digest), ("reason", "  ")]).await;
    assert_eq!(without.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(without.text().await.unwrap().contains("Say in a sentence why this is right"));
    let forged = browser.post(FORM, &[("csrf", "x"), ("digest", &digest), ("reason", "yes")]).await;
    assert_eq!(forged.status(), StatusCode::FORBIDDEN);
    let foreign = browser.form(FORM, &[("csrf", &csrf), ("digest", &digest), ("reason", "yes")]);
    assert_eq!(foreign.header("origin", "https://evil.example").send().await.unwrap().status(), StatusCode::FORBIDDEN);
    assert!(stage.logged("tool.accepted").await.is_empty());
    let fields = [("csrf", csrf.as_str()), ("digest", &digest), ("reason", "the changelog of 2.0 says so")];
    assert_eq!(browser.post(FORM, &fields).await.status(), StatusCode::SEE_OTHER);
    let accepted = &stage.logged("tool.accepted").await[0];
    assert_eq!((&accepted["detail"]["is"], &accepted["tool"]), (&json!(digest), &json!("echo")));
    assert_eq!(accepted["detail"]["reason"], "the changelog of 2.0 says so");
    assert!(accepted["reviewer"].is_string());
    assert!(stage.agent.result("echo", echo()).await["result"]["isError"].is_null());
    let page = browser.page(PAGE).await;
    assert!(page.contains("the changelog of 2.0 says so") && !page.contains("name=\"digest\""), "{page}");
    assert!(!browser.page("/").await.contains("changed what it says"));
    // Twice is once too often, and says so.
    assert_eq!(browser.post(FORM, &fields).await.status(), StatusCode::CONFLICT);
    let stage = stage.restart().await;
    assert!(stage.agent.result("echo", json!({"text": "after"})).await["result"]["isError"].is_null());
    stage.upstream.lists(tools().to_string());
    stage.list().await;
    drop(stage.agent.call("echo", json!({"text": "old again"})).await);
    assert!(stage.app.pending().await.submission.requirement.tool_changed.is_some(), "what it said before is a change");
}

#[tokio::test]
async fn a_page_that_is_stale_accepts_nothing() {
    let stage = Stage::new().await;
    let browser = stage.reviewer("mira@example.com", &["iam"]).await;
    stage.says("echo", "harmless").await;
    let seen = stage.pending("echo").await.to_string();
    stage.says("echo", "not harmless at all").await;
    let csrf = browser.csrf().await;
    for digest in [seen.as_str(), "", "nonsense", &"0".repeat(64)] {
        let fields = [("csrf", csrf.as_str()), ("digest", digest), ("reason", "looks fine")];
        let stale = browser.post(FORM, &fields).await;
        assert_eq!(stale.status(), StatusCode::CONFLICT, "{digest}");
        let page = stale.text().await.unwrap();
        assert!(
            page.contains("It has changed again since you read it.") && page.contains("not harmless at all"),
            "{page}"
        );
        assert!(page.contains("looks fine"), "what was typed is kept");
    }
    assert!(stage.logged("tool.accepted").await.is_empty());
    drop(stage.agent.call("echo", echo()).await);
    stage.app.pending().await;
}

#[tokio::test]
async fn only_reviewers_accept_and_where_groups_review_the_calls_only_these() {
    let policy = POLICY
        .replace(r#""echo": {}"#, r#""echo": {"action": "require_approval", "approval": {"reviewers": ["sec"]}}"#);
    let stage = Stage::with(&policy).await;
    stage.says("echo", "version 2").await;
    let digest = stage.pending("echo").await.to_string();
    let auditor = Roles { auditor: true, administrator: true, ..Roles::default() };
    stage.app.person("audit@example.com", &["sec"], auditor).await;
    let auditor = Browser::signed_in(&stage.app.url, "audit@example.com").await;
    let other = stage.reviewer("mira@example.com", &["iam"]).await;
    for (browser, why) in [(auditor, "Reviewers accept what a tool says."), (other, "accept what this tool says.")] {
        let page = browser.page(PAGE).await;
        assert!(page.contains(why) && !page.contains("name=\"digest\""), "{page}");
        let csrf = browser.csrf().await;
        let fields = [("csrf", csrf.as_str()), ("digest", &digest), ("reason", "fine")];
        assert_eq!(browser.post(FORM, &fields).await.status(), StatusCode::FORBIDDEN);
    }
    let stranger = Browser::new(&stage.app.url);
    assert_eq!(stranger.get(PAGE).await.status(), StatusCode::SEE_OTHER);
    assert_eq!(
        stranger.post(FORM, &[("digest", &digest), ("reason", "fine")]).await.status(),
        StatusCode::UNAUTHORIZED
    );
    // An agent's token, or a script's, opens no form.
    let by_token = stranger.form(FORM, &[("digest", &digest), ("reason", "fine")]).bearer_auth(&stage.agent.token);
    assert_eq!(by_token.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert!(stage.logged("tool.accepted").await.is_empty());
    let sec = stage.reviewer("sec@example.com", &["sec"]).await;
    let csrf = sec.csrf().await;
    let fields = [("csrf", csrf.as_str()), ("digest", &digest), ("reason", "fine")];
    assert_eq!(sec.post(FORM, &fields).await.status(), StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn what_says_again_what_was_accepted_is_kept_by_a_person_and_nothing_else_can_be() {
    let stage = Stage::new().await;
    let browser = stage.reviewer("mira@example.com", &["iam"]).await;
    stage.says("echo", "for one agent only").await;
    let other = stage.pending("echo").await.to_string();
    stage.upstream.lists(tools().to_string());
    stage.list().await;
    let page = browser.page(PAGE).await;
    assert!(page.contains("said again what was accepted before") && page.contains("Keep what was accepted"), "{page}");
    let csrf = browser.csrf().await;
    let fields = |digest| [("csrf", csrf.as_str()), ("digest", digest), ("reason", "an accident")];
    assert_eq!(browser.post(FORM, &fields(&other)).await.status(), StatusCode::CONFLICT, "it does not say that now");
    let digest = page.split("name=\"digest\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(browser.post(FORM, &fields(digest)).await.status(), StatusCode::SEE_OTHER);
    assert!(stage.agent.result("echo", echo()).await["result"]["isError"].is_null());
    stage.upstream.lists(saying("echo", "for one agent only"));
    stage.list().await;
    drop(stage.agent.call("echo", json!({"text": "again"})).await);
    stage.app.pending().await;
}
