//! A reviewer in a real Chromium decides what a real agent asks of the real AWS IAM server.

use super::{Iam, MIRA, document, landed, put, refused, succeeded};
use crate::support::app::PASSWORD;
use crate::support::components::Env;
use crate::support::components::agent::{Client, Era};
use crate::support::components::browser::Browser;

#[tokio::test]
async fn a_call_arrives_live_is_approved_with_a_click_and_shows_its_outcome() {
    let iam = Iam::start().await;
    let agent = iam.agent(Client::Python, Era::Auto).await;
    let mut journey = Browser::start("journey.mjs", &[&iam.app.url, "approve"], &as_mira());
    journey.event("waiting").await;
    let call = agent.start_call("put_user_policy", put("clicked", &document())).await;
    let arrived = journey.event("arrived").await;
    let id = iam.app.pending().await.submission.id.to_string();
    assert_eq!((&arrived["id"], &arrived["live"]), (&id.as_str().into(), &true.into()), "{arrived}");
    let done = journey.finish().await;
    assert_eq!((&done["id"], &done["state"]), (&id.as_str().into(), &"executed".into()), "{done}");
    assert_eq!(done["outcome_live"], true, "{done}");
    let answer = call.answer().await;
    assert_eq!(succeeded(&answer)["_meta"]["placet/call"]["id"], id);
    assert_eq!(landed(&agent, "clicked").await, Some(document()));

    // The same without JavaScript, the other way.
    let call = agent.start_call("put_user_policy", put("plain", &document())).await;
    let id = iam.app.pending().await.submission.id.to_string();
    let reason = "not before the freeze is over";
    let plain = Browser::start("plain.mjs", &[&iam.app.url, &id, "reject", reason], &as_mira());
    assert_eq!(plain.finish().await["state"], "rejected");
    assert!(refused(&call.answer().await).contains(reason));
    assert_eq!(landed(&agent, "plain").await, None);

    let call = agent.start_call("put_user_policy", put("plain-too", &document())).await;
    let id = iam.app.pending().await.submission.id.to_string();
    let plain = Browser::start("plain.mjs", &[&iam.app.url, &id], &as_mira());
    assert_eq!(plain.finish().await["state"], "executed");
    succeeded(&call.answer().await);
    agent.close().await;
}

/// The reviewer's sign-in. Screenshots stay where `tests/run` installs, for a person to look at.
pub(super) fn as_mira() -> Env {
    [("PLACET_EMAIL", MIRA), ("PLACET_PASSWORD", PASSWORD)]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}
