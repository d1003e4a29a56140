//! Administrators are mailed that a tool says something else of itself than was accepted, once for each change.

use std::time::Duration;

use placet::identity::Roles;
use placet::notify::Delivered;

use super::{Stage, policy, saying_all};
use crate::support::app::{POLICY, Setup};
use crate::support::smtp::SmtpSink;
use crate::support::upstream::Upstream;

const ADA: &str = "ada@example.com";

impl Stage {
    async fn administrator(&self) {
        let roles = Roles { administrator: true, ..Roles::default() };
        self.app.person(ADA, &[], roles).await;
        self.app.person("rita@example.com", &["iam"], Roles { reviewer: true, ..Roles::default() }).await;
    }

    /// The tools say this, and an agent hears it.
    async fn say(&self, said: &[(&str, &str)]) {
        self.upstream.lists(saying_all(said));
        self.list().await;
        for (tool, _) in said {
            self.pending(tool).await;
        }
    }

    fn letters(&self) -> Vec<Delivered> {
        let mails = self.app.mailbox.mails().into_iter();
        mails.filter(|mail| mail.message.subject.contains("changed what")).collect()
    }

    /// Lets time pass until so many letters have left.
    async fn until_mailed(&self, count: usize) -> Vec<Delivered> {
        self.app
            .until("the letters", async || {
                self.app.setup.clock.advance(Duration::from_secs(5));
                Some(self.letters()).filter(|letters| letters.len() >= count)
            })
            .await
    }

    /// Lets twenty minutes pass, in which the task looks again and again.
    async fn look_again(&self) {
        let mut looks = 0;
        self.app
            .until("twenty minutes", async || {
                self.app.setup.clock.advance(Duration::from_secs(5));
                looks += 1;
                (looks == 240).then_some(())
            })
            .await;
    }
}

#[tokio::test]
async fn administrators_are_mailed_once_for_what_changes_together() {
    let stage = Stage::new().await;
    stage.administrator().await;
    stage.say(&[("echo", "version 2\u{202e}"), ("list_users", "version 2")]).await;
    let first = stage.until_mailed(1).await;
    assert_eq!(first.len(), 1);
    let mail = &first[0];
    assert_eq!(mail.to.to_string(), ADA);
    assert_eq!(mail.message.subject, "Placet at localhost: 2 tools have changed what they say");
    let text = &mail.message.text;
    for part in [
        "* echo of iam",
        "* list_users of iam",
        "Its calls are held until a reviewer",
        "Different now: another description.",
        "    - \"description\": \"echo of the stub\",",
        "    + \"description\": \"version 2\\u202e\",",
        &format!("{}/tools/iam/echo", stage.app.url),
        &format!("{}/tools/iam/list_users", stage.app.url),
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    stage.look_again().await;
    assert_eq!(stage.letters().len(), 1, "once");
    // Nor is it told again after a restart; the next change is, and only that.
    let stage = stage.restart().await;
    stage.look_again().await;
    assert_eq!(stage.letters().len(), 1, "a restart is no change");
    // The agent's session has ended meanwhile.
    let stage = stage.session().await;
    stage.say(&[("echo", "version 3"), ("list_users", "version 2")]).await;
    let second = stage.until_mailed(2).await;
    let text = &second[1].message.text;
    assert_eq!(second[1].message.subject, "Placet at localhost: the tool echo of iam has changed what it says");
    assert!(text.contains("version 3") && !text.contains("list_users"), "{text}");
}

#[tokio::test]
async fn a_server_that_says_something_else_all_the_time_gets_few_mails_sent() {
    let stage = Stage::new().await;
    stage.administrator().await;
    stage.say(&[("echo", "version 1")]).await;
    let first = stage.until_mailed(1).await[0].at;
    for version in 2..20 {
        stage.app.setup.clock.advance(Duration::from_secs(20));
        stage.say(&[("echo", &format!("version {version}"))]).await;
    }
    let letters = stage.until_mailed(2).await;
    assert!(letters[1].message.text.contains("version 19"), "{}", letters[1].message.text);
    assert!(letters[1].at >= first.after(Duration::from_secs(600)));
}

#[tokio::test]
async fn what_is_accepted_at_once_what_nobody_may_call_and_what_the_policy_does_not_mind_is_not_told() {
    let minded = policy(r#""tool_changes": "deny""#).replace(r#""echo": {}"#, r#""echo": { "tool_changes": "allow" }"#);
    let stage = Stage::with(&minded).await;
    stage.administrator().await;
    stage.say(&[("echo", "version 2"), ("delete_user", "version 2"), ("get_user_policy", "version 2")]).await;
    stage.accept("get_user_policy").await;
    stage.look_again().await;
    assert_eq!(stage.letters(), []);
    // The next edit of the policy has them hear of it.
    std::fs::write(stage.app.folder.path().join("policy.json"), POLICY).unwrap();
    let letters = stage.until_mailed(1).await;
    let text = &letters[0].message.text;
    assert!(text.contains("The tool echo of iam") && text.contains("Its calls are held"), "{text}");
}

#[tokio::test]
async fn a_mail_that_was_not_taken_is_tried_again_as_it_was() {
    let (upstream, sink) = (Upstream::start().await, SmtpSink::start().await);
    let mail = format!("[mail]\nsmtp = \"smtp://127.0.0.1:{}\"\nfrom = \"placet@example.com\"\n", sink.port());
    let toml = format!("[[upstreams]]\nname = \"iam\"\nurl = \"{}\"\n{mail}", upstream.url);
    let stage = Stage::over(upstream, Setup::toml(toml)).await;
    stage.administrator().await;
    sink.behave(|server| server.later = 1);
    stage.say(&[("echo", "version 2")]).await;
    let changed = &stage.logged("tool.changed").await[0];
    stage
        .app
        .until("the first attempt", async || {
            stage.app.setup.clock.advance(Duration::from_secs(5));
            (sink.connections() > 0).then_some(())
        })
        .await;
    stage.say(&[("echo", "version 2"), ("list_users", "version 2")]).await;
    let advance = async |count: usize| {
        stage
            .app
            .until("a mail", async || {
                stage.app.setup.clock.advance(Duration::from_secs(5));
                Some(sink.mails()).filter(|mails| mails.len() >= count)
            })
            .await
    };
    let mails = advance(2).await;
    let id = |number: usize| mails[number].header("Message-ID").unwrap();
    let at: placet::call::Millis = changed["at"].as_str().unwrap().parse().unwrap();
    assert!(
        id(0).starts_with(&format!("<tools-{}-{}-", changed["seq"], at.0)) && id(0).ends_with("@localhost>"),
        "{}",
        id(0)
    );
    assert_ne!(id(0), id(1));
    assert!(mails[0].header("Subject").unwrap().contains("the tool echo"), "{mails:?}");
    assert!(mails[1].header("Subject").unwrap().contains("the tool list"), "{mails:?}");
}
