//! The reference server over HTTP behind Placet: what is not governed passes through as it is.

use serde_json::{Value, json};

use crate::support::agent as raw;
use crate::support::app::Setup;
use crate::support::components::agent::{Agent, Client, Era};
use crate::support::components::servers::everything_http;

const POLICY: &str = r#"{"version": "1", "default": "deny", "tools": {"*": {}},
    "methods": {"resources/read": {}, "prompts/get": {}}}"#;

fn upstream(url: &str) -> String {
    format!("[[upstreams]]\nname = \"everything\"\nurl = \"{url}\"\n")
}

#[tokio::test]
async fn official_clients_see_the_server_itself() {
    let server = everything_http().await;
    let app = Setup::toml(upstream(&server.url)).policy(POLICY).real_time().start().await;
    let token = app.agent("ci").await;
    // The first one asks for the stateless era and falls back, as it does with the server itself.
    let clients = [(Client::Python, Era::Auto), (Client::TypeScript, Era::Legacy), (Client::TypeScript1, Era::Legacy)];
    for (client, era) in clients {
        let direct = Agent::connect(client, era, &server.url, None).await;
        let mut agent = Agent::connect(client, era, &app.mcp(), Some(&token)).await;
        assert_eq!(agent.connected, direct.connected, "{client:?}");
        assert_eq!(agent.list_tools().await, direct.list_tools().await, "{client:?}");

        let weather = json!({"location": "New York"});
        let (here, there) = (
            agent.call("get-structured-content", weather.clone()).await.unwrap(),
            direct.call("get-structured-content", weather).await.unwrap(),
        );
        assert!(here["structuredContent"]["temperature"].is_number(), "{client:?}: {here}");
        assert_eq!(here, there, "{client:?}");
        for (tool, arguments) in [("get-tiny-image", json!({})), ("echo", json!({"message": "häß\u{1F600}"}))] {
            let (here, there) = (agent.call(tool, arguments.clone()).await, direct.call(tool, arguments).await);
            assert_eq!(here, there, "{client:?} {tool}");
        }

        let steps = json!({"duration": 1, "steps": 4});
        let call = agent.start_call_with("trigger-long-running-operation", steps, json!({"progress": true})).await;
        for step in 1..=4 {
            let mut progress = agent.next_event().await;
            // What the server says of itself may come in between, at any moment.
            while progress["event"] == "notification" {
                progress = agent.next_event().await;
            }
            assert_eq!((&progress["event"], &progress["id"]), (&"progress".into(), &call.id.into()), "{client:?}");
            let told = (progress["progress"].as_f64(), progress["total"].as_f64());
            assert_eq!(told, (Some(f64::from(step)), Some(4.0)), "{client:?}");
        }
        assert!(call.answer().await.unwrap()["content"][0]["text"].is_string(), "{client:?}");
        agent.close().await;
        direct.close().await;
    }
}

#[tokio::test]
async fn answers_are_the_servers_byte_for_byte() {
    let server = everything_http().await;
    let app = Setup::toml(upstream(&server.url)).policy(POLICY).real_time().start().await;
    let token = app.agent("ci").await;
    let mut direct = raw::Agent::new(server.url.clone(), "none");
    let mut agent = raw::Agent::new(app.mcp(), &token);
    direct.initialize("2025-11-25").await;
    agent.initialize("2025-11-25").await;
    let uri = "demo://resource/static/document/architecture.md";
    let requests = [
        ("tools/list", json!({})),
        ("resources/list", json!({})),
        ("resources/templates/list", json!({})),
        ("prompts/list", json!({})),
        ("resources/read", json!({ "uri": uri })),
        ("prompts/get", json!({"name": "simple-prompt"})),
        ("tools/call", json!({"name": "get-structured-content", "arguments": {"location": "Chicago"}})),
        ("tools/call", json!({"name": "no-such-tool"})),
        ("ping", json!({})),
    ];
    for (number, (method, params)) in requests.into_iter().enumerate() {
        // Ids are JSON texts of their own: a number, zero among them, or a string.
        let id: Value = if number % 2 == 0 { number.into() } else { format!("nr \u{e9} {number}").into() };
        let body = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string();
        let here = text(agent.post(body.clone()).await).await;
        let there = text(direct.post(body).await).await;
        assert_eq!(here, there, "{method}");
        assert!(here.contains("\"result\""), "{method}: {here}");
    }
    // What the policy does not name is not passed on.
    let completion = json!({"jsonrpc": "2.0", "id": 99, "method": "completion/complete", "params": {
        "ref": {"type": "ref/prompt", "name": "args-prompt"}, "argument": {"name": "city", "value": "R"}}});
    let denied: Value = serde_json::from_str(&text(agent.post(completion.to_string()).await).await).unwrap();
    assert!(denied["error"]["message"].as_str().unwrap().contains("completion/complete"), "{denied}");
}

/// The answer's bytes, however they come; a stream may begin with an event that says nothing.
async fn text(response: reqwest::Response) -> String {
    let is_json = response.headers()["content-type"] == "application/json";
    let text = response.text().await.unwrap();
    if is_json {
        return text;
    }
    let said = text.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim_start);
    let said: Vec<_> = said.filter(|data| !data.is_empty()).collect();
    let [answer] = said[..] else { panic!("not one message: {text}") };
    answer.to_owned()
}
