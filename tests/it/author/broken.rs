//! A broken edit of the policy: a metric for whoever watches, and a mail for administrators.

use std::process::Stdio;
use std::time::Duration;

use placet::identity::Roles;
use placet::notify::Delivered;
use tokio::process::Command;

use crate::support::app::{POLICY, Setup, TestApp};
use crate::support::upstream::Upstream;

fn write(app: &TestApp, text: &str) {
    std::fs::write(app.folder.path().join("policy.json"), text).unwrap();
}

/// The mails about the policy, to whom.
fn mails(app: &TestApp) -> Vec<Delivered> {
    app.mailbox.mails().into_iter().filter(|mail| mail.message.subject.contains("the policy file is broken")).collect()
}

/// Lets time pass until so many mails have left.
async fn until_mailed(app: &TestApp, count: usize) -> Vec<Delivered> {
    app.until("the mails", async || {
        app.setup.clock.advance(Duration::from_secs(2));
        Some(mails(app)).filter(|mails| mails.len() >= count)
    })
    .await
}

/// Lets two minutes pass, in which the tasks look again and again.
async fn look_again(app: &TestApp) {
    let mut looks = 0;
    app.until("two minutes", async || {
        app.setup.clock.advance(Duration::from_secs(2));
        looks += 1;
        (looks == 60).then_some(())
    })
    .await;
}

#[tokio::test]
async fn administrators_are_mailed_once_for_each_problem() {
    let upstream = Upstream::start().await;
    let app = Setup::http(&upstream.url).start().await;
    let role = |reviewer, administrator| Roles { reviewer, auditor: false, administrator };
    app.person("rita@example.com", &["iam"], role(true, false)).await;
    app.person("ada@example.com", &[], role(false, true)).await;
    write(&app, "{ \"version\": \"1\", \"tols\": {} }");
    let first = until_mailed(&app, 1).await;
    let to: Vec<_> = first.iter().map(|mail| mail.to.to_string()).collect();
    assert_eq!(to, ["ada@example.com"]);
    let text = &first[0].message.text;
    assert!(
        text.contains(":1:19 /tols: unknown key \"tols\"") && text.contains(&format!("{}/policy", app.url)),
        "{text}"
    );
    let raw = String::from_utf8(first[0].raw.clone()).unwrap();
    assert!(!raw.contains("text/html"), "{raw}");
    look_again(&app).await;
    write(&app, "{ \"version\": \"1\", \"defalt\": \"deny\" }");
    let second = until_mailed(&app, 2).await;
    assert!(second.len() == 2 && second[1].message.text.contains("/defalt"), "{second:#?}");
    write(&app, POLICY);
    look_again(&app).await;
    assert_eq!(mails(&app).len(), 2, "a good file is no news");
    assert!(app.app.policy.trouble().is_none());
}

#[tokio::test]
async fn without_an_administrator_reviewers_are_mailed() {
    let upstream = Upstream::start().await;
    let app = Setup::http(&upstream.url).start().await;
    let role = |reviewer, auditor| Roles { reviewer, auditor, administrator: false };
    app.person("rita@example.com", &["iam"], role(true, false)).await;
    app.person("otto@example.com", &[], role(false, true)).await;
    write(&app, "nonsense");
    let to: Vec<_> = until_mailed(&app, 1).await.iter().map(|mail| mail.to.to_string()).collect();
    assert_eq!(to, ["rita@example.com"]);
}

#[tokio::test]
async fn a_metric_says_that_the_file_is_broken() {
    let folder = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = format!(
        "listen = \"127.0.0.1:{port}\"\npublic_url = \"http://localhost:{port}\"\ndata_dir = \"data\"\n\
         [[upstreams]]\nname = \"iam\"\nurl = \"http://127.0.0.1:1/mcp\"\n"
    );
    let policy = folder.path().join("policy.json");
    std::fs::write(folder.path().join("placet.toml"), config).unwrap();
    std::fs::write(&policy, POLICY).unwrap();
    let _serving = Command::new(env!("CARGO_BIN_EXE_placet"))
        .args(["serve", "--config", folder.path().join("placet.toml").to_str().unwrap()])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let says = async |wanted: &str| {
        for _ in 0..3000 {
            let page = match client.get(format!("http://127.0.0.1:{port}/metrics")).send().await {
                Ok(page) => page.text().await.unwrap(),
                Err(_) => String::new(),
            };
            if page.lines().any(|line| line == wanted) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the metric never says {wanted}");
    };
    says("placet_policy_reload_failed 0").await;
    std::fs::write(&policy, "{").unwrap();
    says("placet_policy_reload_failed 1").await;
    std::fs::write(&policy, POLICY).unwrap();
    says("placet_policy_reload_failed 0").await;
}
