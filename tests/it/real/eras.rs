//! The time server, which speaks both eras, behind Placet, with a client of each.

use serde_json::{Value, json};

use super::desk::Desk;
use super::{MIRA, refused, stdio_upstream, succeeded};
use crate::support::app::{PASSWORD, Setup};
use crate::support::components::Env;
use crate::support::components::agent::{Agent, Client, Era};
use crate::support::components::servers::time_server_command;

const POLICY: &str = r#"{"version": "1", "default": "deny", "tools": {
    "get_current_time": {}, "convert_time": {"action": "require_approval"}}}"#;

#[tokio::test]
async fn both_eras_pass_through_and_are_held() {
    let upstream = stdio_upstream("time", &time_server_command(), &Env::new());
    let app = Setup::toml(upstream).policy(POLICY).real_time().start().await;
    app.reviewer(MIRA, &[]).await;
    let token = app.agent("clock").await;
    // A client gives its first question ten seconds, which a server's start on a loaded machine can exceed.
    app.app.upstreams.only().unwrap().eras().await.unwrap();
    let mut desk = Desk::signed_in(&app.url, MIRA, PASSWORD).await;
    for (client, era, version) in [
        (Client::Python, Era::Auto, "2026-07-28"),
        (Client::Python, Era::Legacy, "2025-11-25"),
        (Client::TypeScript, Era::Modern, "2026-07-28"),
    ] {
        let what = format!("{client:?} {era:?}");
        let agent = Agent::connect(client, era, &app.mcp(), Some(&token)).await;
        assert_eq!(agent.connected["version"], version, "{what}");
        let tools = agent.list_tools().await;
        let mut names: Vec<_> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
        names.sort_unstable();
        assert_eq!(names, ["convert_time", "get_current_time", "placet_wait"], "{what}");

        let now = agent.call("get_current_time", json!({"timezone": "Europe/Rome"})).await;
        assert_eq!(succeeded(&now)["structuredContent"]["timezone"], "Europe/Rome", "{what}");

        // Approved; arguments differ from client to client, or the kept result of the one before would answer.
        let call = agent.start_call("convert_time", conversion(&what, "12:00")).await;
        let id = app.pending().await.submission.id.to_string();
        desk.decide(&id, "approve", "").await;
        let answer = call.answer().await;
        let result = succeeded(&answer);
        assert_eq!(result["structuredContent"]["target"]["timezone"], "Asia/Tokyo", "{what}: {result}");
        assert_eq!(result["_meta"]["placet/call"]["state"], "executed", "{what}: {result}");

        // Rejected.
        let call = agent.start_call("convert_time", conversion(&what, "13:00")).await;
        let id = app.pending().await.submission.id.to_string();
        desk.decide(&id, "reject", "not on a Sunday").await;
        assert!(refused(&call.answer().await).contains("not on a Sunday"), "{what}");

        // Taken back by the client in its own way: closing the stream takes the call back only in the stateless era.
        let call = agent.start_call("convert_time", conversion(&what, "14:00")).await;
        let id = app.pending().await.submission.id;
        agent.cancel(&call).await;
        assert_eq!(call.answer().await.unwrap_err()["type"], "Cancelled", "{what}");
        let cancelled = async || {
            let held = app.app.store.call(id).await.unwrap().unwrap();
            (held.state.name() == "cancelled").then_some(())
        };
        app.until("the cancellation", cancelled).await;
        agent.close().await;
    }
}

fn conversion(who: &str, time: &str) -> Value {
    let source = match who {
        "Python Auto" => "Europe/Rome",
        "Python Legacy" => "Europe/Paris",
        _ => "Europe/Berlin",
    };
    json!({"source_timezone": source, "time": time, "target_timezone": "Asia/Tokyo"})
}
