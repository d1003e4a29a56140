//! The mail of a held call, at a real mail server, and what its links do: open the page, nothing else.

use std::time::Duration;

use reqwest::StatusCode;

use super::desk::Desk;
use super::{MIRA, document, put, succeeded};
use crate::support::app::{PASSWORD, Setup};
use crate::support::components::agent::{Agent, Client, Era};
use crate::support::smtp::SmtpSink;
use crate::support::upstream::Upstream;

/// Within this a mail leaves, whatever is pending beside it.
const PROMISED: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_mailed_link_opens_the_call_and_decides_nothing() {
    let (upstream, sink) = (Upstream::start().await, SmtpSink::start().await);
    let mail = format!("[mail]\nsmtp = \"smtp://127.0.0.1:{}\"\nfrom = \"Placet <placet@example.com>\"\n", sink.port());
    let mut setup = Setup::http(&upstream.url).real_time();
    setup.toml.push_str(&mail);
    let app = setup.start().await;
    app.reviewer(MIRA, &["iam"]).await;
    app.reviewer("other@example.com", &["database"]).await;
    let token = app.agent("ci").await;
    let agent = Agent::connect(Client::TypeScript1, Era::Legacy, &app.mcp(), Some(&token)).await;
    let call = agent.start_call("put_user_policy", put("deploy", &document())).await;
    let held = app.pending().await;
    let id = held.submission.id;

    let mails = tokio::time::timeout(PROMISED, sink.has(1)).await.expect("the mail leaves within 60 s");
    assert_eq!(mails.len(), 1);
    assert_eq!((mails[0].from.as_str(), &mails[0].to[..]), ("placet@example.com", &[MIRA.to_owned()][..]));
    assert!(mails[0].header("Subject").unwrap().contains("put_user_policy"), "{mails:?}");
    let links = links(&mails[0].text(), &app.url);
    let paths: Vec<_> = links.iter().map(|link| link.split('?').next().unwrap()).collect();
    assert_eq!(paths, [format!("/calls/{id}"), format!("/calls/{id}"), String::new()], "{links:?}");
    for link in &links {
        assert!(mails[0].html().contains(&link.replace('&', "&amp;")), "{link} stands only in the text");
    }

    // Whoever looks without a session (a scanner, a preview) is led to sign in, as often as they like.
    let mut nobody = Desk::new(&app.url);
    let mut mira = Desk::signed_in(&app.url, MIRA, PASSWORD).await;
    let before = app.app.store.log_size().await.unwrap();
    for link in &links {
        for _ in 0..50 {
            for page in [nobody.get(link).await, nobody.head(link).await] {
                assert_eq!(page.status, StatusCode::SEE_OTHER);
                assert!(page.location.unwrap().starts_with("/login"));
            }
            for page in [mira.get(link).await, mira.head(link).await] {
                assert_eq!(page.status, StatusCode::OK);
            }
        }
    }
    let untouched = app.app.store.call(id).await.unwrap().unwrap();
    assert!(untouched.state.is_pending() && untouched.votes.is_empty(), "{untouched:?}");
    assert_eq!(app.app.store.log_size().await.unwrap(), before, "looking wrote something down");
    assert_eq!(upstream.calls("put_user_policy").len(), 0);

    // Sign-in returns to the call, with the choice of the mail prepared.
    for (link, chosen) in links.iter().zip(["Approve", "Reject"]) {
        let mut phone = Desk::new(&app.url);
        let login = phone.get(link).await.location.unwrap();
        let next = phone.get(&login).await.field("next").to_owned();
        let next = phone.sign_in(MIRA, PASSWORD, &next.replace("&amp;", "&")).await;
        assert_eq!(&next, link);
        let page = phone.get(&next).await;
        assert!(page.text.contains(&format!("You chose <strong>{chosen}</strong>")), "{}", page.text);
    }
    mira.decide(&id.to_string(), "approve", "").await;
    succeeded(&call.answer().await);
    assert_eq!(upstream.calls("put_user_policy").len(), 1);
    agent.close().await;
}

/// What the mail links to on this service, in order, without the service's own address.
fn links(text: &str, url: &str) -> Vec<String> {
    let words = text.split_whitespace().filter_map(|word| word.strip_prefix(url));
    words.map(str::to_owned).collect()
}
