//! The proof with real components: the AWS IAM server, the official clients, a browser, a mail server, real processes.

mod agentack;
mod demo;
mod desk;
mod eras;
mod everything;
mod iam;
mod journey;
mod mail;
mod pages;
mod process;
mod restart;
mod restored;
mod schema;

use serde_json::{Value, json};

use crate::support::app::{PASSWORD, Setup, TestApp};
use crate::support::components::Env;
use crate::support::components::agent::{Agent, Answer, Client, Era};
use crate::support::components::servers::{Moto, iam_server_command};
use desk::Desk;

/// The reviewer of these tests.
const MIRA: &str = "mira@example.com";

/// As a person would write it for the IAM server; `timeout` is how long a change of a user's rights waits.
fn iam_policy(timeout: &str) -> String {
    let policy = json!({
        "version": "1",
        "default": "deny",
        "hide": ["delete_user", "delete_*_policy"],
        "readers": ["get_user_policy"],
        "tools": {
            "list_*": {},
            "get_*": {},
            "create_user": {},
            "attach_user_policy": {"action": "deny", "reason": "managed policies are attached by the platform team"},
            "put_user_policy": {
                "action": "require_approval",
                "approval": {
                    "timeout": timeout,
                    "reviewers": ["iam"],
                    "context": [{
                        "tool": "get_user_policy",
                        "arguments": {"user_name": "$args.user_name", "policy_name": "$args.policy_name"}
                    }]
                }
            }
        }
    });
    policy.to_string()
}

/// A policy document that the IAM server's own guard lets pass.
fn document() -> Value {
    json!({"Version": "2012-10-17", "Statement": [
        {"Sid": "Read", "Effect": "Allow", "Action": ["s3:GetObject"], "Resource": "arn:aws:s3:::bucket/*"}]})
}

/// The arguments of `put_user_policy`, with the document as it is given.
fn put(policy: &str, document: &Value) -> Value {
    json!({"user_name": "ci-bot", "policy_name": policy, "policy_document": document, "confirmed": true})
}

/// An `[[upstreams]]` table over stdio.
fn stdio_upstream(name: &str, command: &[String], env: &Env) -> String {
    // What JSON writes, TOML reads: strings, and lists of them.
    let command = serde_json::to_string(command).unwrap();
    let env: Vec<_> = env.iter().map(|(name, value)| format!("{name} = {}", json!(value))).collect();
    format!("[[upstreams]]\nname = \"{name}\"\ncommand = {command}\nenv = {{ {} }}\n", env.join(", "))
}

/// Placet before the AWS IAM server, with an agent's token and a reviewer who is signed in.
struct Iam {
    moto: Moto,
    app: TestApp,
    token: String,
    desk: Desk,
}

impl Iam {
    async fn start() -> Self {
        let moto = Moto::start().await;
        let (command, env) = iam_server_command(&moto);
        let toml = stdio_upstream("iam", &command, &env);
        let app = Setup::toml(toml).policy(&iam_policy("15m")).real_time().start().await;
        let token = app.agent("ci").await;
        app.reviewer(MIRA, &["iam"]).await;
        let desk = Desk::signed_in(&app.url, MIRA, PASSWORD).await;
        Self { moto, app, token, desk }
    }

    async fn agent(&self, client: Client, era: Era) -> Agent {
        let agent = Agent::connect(client, era, &self.app.mcp(), Some(&self.token)).await;
        let user = json!({"user_name": "ci-bot", "ctx": {"content": []}, "confirmed": true});
        succeeded(&agent.call("create_user", user).await);
        agent
    }
}

/// The result of a call that must have worked.
fn succeeded(answer: &Answer) -> &Value {
    let result = answer.as_ref().unwrap_or_else(|error| panic!("the call failed: {error}"));
    assert_ne!(result["isError"], true, "{result}");
    result
}

/// The text of a call that must not have worked.
fn refused(answer: &Answer) -> &str {
    let result = answer.as_ref().unwrap_or_else(|error| panic!("the call failed: {error}"));
    assert_eq!(result["isError"], true, "{result}");
    result["content"][0]["text"].as_str().unwrap()
}

/// What the agent reads as the user's policy; `None` where there is none.
async fn landed(agent: &Agent, policy: &str) -> Option<Value> {
    let got = agent.call("get_user_policy", json!({"user_name": "ci-bot", "policy_name": policy})).await.unwrap();
    if got["isError"] == true {
        return None;
    }
    let text = got["structuredContent"]["policy_document"].as_str().unwrap();
    Some(serde_json::from_str(text).unwrap())
}
