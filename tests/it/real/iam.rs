//! An agent on an official client asks the real AWS IAM server, behind Placet, for more rights.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Iam, document, iam_policy, landed, put, refused, succeeded};
use crate::support::components::agent::{Agent, Client, Era};
use crate::support::components::servers::iam_server_command;
use placet::call::Email;

#[tokio::test]
async fn with_the_python_client() {
    the_main_job(Client::Python, Era::Auto).await;
}

#[tokio::test]
async fn with_the_typescript_client() {
    the_main_job(Client::TypeScript, Era::Legacy).await;
}

async fn the_main_job(client: Client, era: Era) {
    let mut iam = Iam::start().await;
    let agent = iam.agent(client, era).await;
    lists_what_may_be_used(&iam, client, era, &agent).await;
    approved_in_the_page(&mut iam, &agent).await;
    approved_over_the_api(&iam, &agent).await;
    rejected(&mut iam, &agent).await;
    failed_upstream(&mut iam, &agent).await;
    refused_by_the_policy(&agent).await;
    expired(&iam, &agent).await;
    agent.close().await;
    assert!(iam.app.app.stop(Duration::from_secs(20)).await, "something did not stop");
}

/// Hidden and denied tools are left out, `placet_wait` is added, everything else is as the server lists it.
async fn lists_what_may_be_used(iam: &Iam, client: Client, era: Era, agent: &Agent) {
    let (command, env) = iam_server_command(&iam.moto);
    let direct = Agent::over_stdio(client, era, &command, &env).await;
    let name = |tool: &Value| tool["name"].as_str().unwrap().to_owned();
    let usable = |tool: &Value| {
        let name = name(tool);
        ["list_", "get_"].iter().any(|start| name.starts_with(start))
            || ["create_user", "put_user_policy"].contains(&name.as_str())
    };
    let expected: Vec<_> = direct.list_tools().await.into_iter().filter(usable).collect();
    direct.close().await;
    let mut listed = agent.list_tools().await;
    let own = listed.iter().position(|tool| name(tool) == "placet_wait").expect("placet_wait is listed");
    let own = listed.remove(own);
    assert_eq!(own["inputSchema"]["required"], json!(["call_id"]), "{own}");
    assert_eq!(listed, expected);
    assert!(listed.iter().any(|tool| tool["outputSchema"].is_object()), "{listed:?}");
}

/// The document as a string.
async fn approved_in_the_page(iam: &mut Iam, agent: &Agent) {
    let given = document().to_string();
    let call = agent.start_call("put_user_policy", put("as-string", &given.clone().into())).await;
    let held = iam.app.pending().await;
    assert_eq!(landed(agent, "as-string").await, None);
    let page = iam.desk.decide(&held.submission.id.to_string(), "approve", "").await;
    assert!(page.text.contains("data-state=\""), "{}", page.text);
    let answer = call.answer().await;
    let result = succeeded(&answer);
    let text: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(text, result["structuredContent"]);
    assert_eq!(result["_meta"]["placet/call"]["id"], held.submission.id.to_string());
    assert_eq!(result["_meta"]["placet/call"]["state"], "executed");
    assert_eq!(landed(agent, "as-string").await, Some(document()));
    let shown = iam.desk.get(&format!("/calls/{}", held.submission.id)).await;
    assert!(shown.text.contains("data-state=\"executed\""), "{}", shown.text);
    let logged = iam.app.app.store.entries_of(held.submission.id).await.unwrap();
    // What was there before is read beside everything else, whenever it comes.
    let (reads, kinds): (Vec<_>, Vec<_>) =
        logged.iter().map(|entry| entry.kind.as_str()).partition(|kind| kind.starts_with("context."));
    assert_eq!(reads, ["context.read", "context.recorded"]);
    assert_eq!(kinds, ["call.held", "call.approved", "call.released", "call.executed"]);
}

/// The document as an object.
async fn approved_over_the_api(iam: &Iam, agent: &Agent) {
    let email = Email::parse(super::MIRA).unwrap();
    let token = iam.app.app.identity.api_token_make(email, true, Duration::from_secs(600)).await.unwrap().token;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let api = format!("{}/api/v1/calls", iam.app.url);
    let read = async |path: &str| -> Value {
        let response = http.get(format!("{api}{path}")).bearer_auth(token.reveal()).send().await.unwrap();
        serde_json::from_str(&response.error_for_status().unwrap().text().await.unwrap()).unwrap()
    };

    let arguments = put("as-object", &document());
    let call = agent.start_call("put_user_policy", arguments.clone()).await;
    iam.app.pending().await;
    let listed = read("?state=pending").await;
    assert_eq!(listed["calls"].as_array().map(Vec::len), Some(1), "{listed}");
    let id = listed["calls"][0]["id"].as_str().unwrap();
    let shown = read(&format!("/{id}")).await;
    let exact: Value = serde_json::from_str(shown["arguments"].as_str().unwrap()).unwrap();
    assert_eq!(exact, arguments);
    let decision = json!({"verdict": "approve", "digest": shown["digest"], "reason": "as agreed"}).to_string();
    let decided = http.post(format!("{api}/{id}/decision")).bearer_auth(token.reveal());
    let decided = decided.header("content-type", "application/json").body(decision).send().await.unwrap();
    assert_eq!(decided.status(), 200, "{}", decided.text().await.unwrap());
    succeeded(&call.answer().await);
    assert_eq!(landed(agent, "as-object").await, Some(document()));
    assert_eq!(read(&format!("/{id}")).await["state"], "executed");
}

async fn rejected(iam: &mut Iam, agent: &Agent) {
    let call = agent.start_call("put_user_policy", put("rejected", &document())).await;
    let held = iam.app.pending().await;
    let reason = "this bucket belongs to billing; ask them first";
    iam.desk.decide(&held.submission.id.to_string(), "reject", reason).await;
    let answer = call.answer().await;
    let told = refused(&answer);
    assert!(told.contains("did not run") && told.contains(reason), "{told}");
    assert!(!told.contains("mira"), "{told}");
    assert_eq!(landed(agent, "rejected").await, None);
    // The same again is answered from the rejection; nobody is asked twice.
    let again = agent.call("put_user_policy", put("rejected", &document())).await;
    assert!(refused(&again).contains(reason));
    assert_eq!(iam.app.app.store.pending_count().await.unwrap(), 0);
}

/// Approved, run, and refused by the server itself, which wants `confirmed`.
async fn failed_upstream(iam: &mut Iam, agent: &Agent) {
    let mut arguments = put("unconfirmed", &document());
    arguments["confirmed"] = false.into();
    let call = agent.start_call("put_user_policy", arguments).await;
    let held = iam.app.pending().await;
    iam.desk.decide(&held.submission.id.to_string(), "approve", "").await;
    let answer = call.answer().await;
    assert!(refused(&answer).contains("Error executing tool put_user_policy"), "{answer:?}");
    assert_eq!(answer.unwrap()["_meta"]["placet/call"]["state"], "tool_error");
    assert_eq!(landed(agent, "unconfirmed").await, None);
}

async fn refused_by_the_policy(agent: &Agent) {
    let attach = json!({"user_name": "ci-bot", "policy_arn": "arn:aws:iam::aws:policy/ReadOnlyAccess"});
    let denied = agent.call("attach_user_policy", attach).await;
    assert!(refused(&denied).contains("attached by the platform team"));
    let hidden = agent.call("delete_user", json!({"user_name": "ci-bot", "confirmed": true})).await;
    assert!(hidden.unwrap_err()["message"].as_str().unwrap().contains("Unknown tool"));
}

/// Nobody decides in time, under a policy that was changed while everything ran.
async fn expired(iam: &Iam, agent: &Agent) {
    let before = iam.app.app.policy.loaded().policy.version();
    std::fs::write(iam.app.folder.path().join("policy.json"), iam_policy("1s")).unwrap();
    let changed = async || (iam.app.app.policy.loaded().policy.version() != before).then_some(());
    iam.app.until("the policy's reload", changed).await;
    let answer = agent.call("put_user_policy", put("expired", &document())).await;
    let told = refused(&answer);
    assert!(told.contains("did not run") && told.contains("in time"), "{told}");
    assert_eq!(landed(agent, "expired").await, None);
}
