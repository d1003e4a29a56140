//! The real components among themselves, without Placet: what a test through Placet is compared with.

use serde_json::{Value, json};

use crate::support::components::agent::{Agent, Client, Era};
use crate::support::components::servers::{Moto, everything_http, iam_server_command, time_server_command};

const CLIENTS: [Client; 3] = [Client::Python, Client::TypeScript, Client::TypeScript1];

/// A policy that the server's own guard lets pass.
fn document() -> Value {
    json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": "arn:aws:s3:::bucket/*"}]})
}

#[tokio::test]
async fn the_iam_server_writes_and_reads_back() {
    let moto = Moto::start().await;
    let (command, env) = iam_server_command(&moto);
    let agent = Agent::over_stdio(Client::Python, Era::Legacy, &command, &env).await;
    assert_eq!(agent.list_tools().await.len(), 29);

    let user = json!({"user_name": "ci-bot", "confirmed": true, "ctx": {"content": []}});
    assert_ne!(agent.call("create_user", user).await.unwrap()["isError"], true);
    let policies = [("object", document()), ("string", document().to_string().into())];
    for (name, document) in policies {
        let put = json!({"user_name": "ci-bot", "policy_name": name, "policy_document": document, "confirmed": true});
        assert_ne!(agent.call("put_user_policy", put).await.unwrap()["isError"], true);
        let get = json!({"user_name": "ci-bot", "policy_name": name});
        let got = agent.call("get_user_policy", get).await.unwrap();
        let landed = got["structuredContent"]["policy_document"].as_str().expect("a document").to_owned();
        assert_eq!(serde_json::from_str::<Value>(&landed).unwrap(), self::document());
    }
    let missing = json!({"user_name": "ci-bot", "policy_name": "never-put"});
    assert_eq!(agent.call("get_user_policy", missing).await.unwrap()["isError"], true);
    agent.close().await;
}

#[tokio::test]
async fn every_client_overlaps_cancels_and_times_out_calls() {
    let server = everything_http().await;
    for client in CLIENTS {
        let mut agent = Agent::connect(client, Era::Legacy, &server.url, None).await;
        assert_eq!(agent.connected["server"]["name"], "mcp-servers/everything", "{client:?}");

        let slow = json!({"duration": 60, "steps": 60});
        let long =
            agent.start_call_with("trigger-long-running-operation", slow.clone(), json!({"progress": true})).await;
        assert_eq!(agent.next_event().await["id"], long.id, "{client:?}");
        let quick = agent.call("echo", json!({"message": "meanwhile"})).await.unwrap();
        assert_eq!(quick["content"][0]["text"], "Echo: meanwhile", "{client:?}");
        agent.cancel(&long).await;
        assert_eq!(long.answer().await.unwrap_err()["type"], "Cancelled", "{client:?}");

        let hasty = agent.start_call_with("trigger-long-running-operation", slow, json!({"timeout_s": 0.2})).await;
        let error = hasty.answer().await.unwrap_err();
        assert!(error["message"].as_str().expect("a message").contains("timed out"), "{client:?}: {error}");
        agent.close().await;
    }
}

#[tokio::test]
async fn clients_settle_the_era() {
    let time = time_server_command();
    let env = Default::default();
    for (client, era, version) in [
        (Client::Python, Era::Auto, "2026-07-28"),
        (Client::Python, Era::Legacy, "2025-11-25"),
        (Client::TypeScript, Era::Modern, "2026-07-28"),
        (Client::TypeScript, Era::Legacy, "2025-11-25"),
    ] {
        let agent = Agent::over_stdio(client, era, &time, &env).await;
        assert_eq!(agent.connected["version"], version, "{client:?} {era:?}");
        let now = agent.call("get_current_time", json!({"timezone": "Europe/Rome"})).await.unwrap();
        assert_eq!(now["structuredContent"]["timezone"], "Europe/Rome", "{client:?} {era:?}");
        agent.close().await;
    }
}

#[tokio::test]
async fn a_refused_connection_is_told() {
    let nowhere = "http://127.0.0.1:1/mcp";
    for client in CLIENTS {
        let refused = Agent::try_connect(client, Era::Legacy, nowhere, Some("secret")).await;
        assert!(refused.is_err(), "{client:?}");
    }
}
