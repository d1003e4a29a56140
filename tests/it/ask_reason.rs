//! Agents are asked why they make a call, in the tool's own schema; what they say is shown to people, and is cut out of
//! the call before anything else is done with it.

use std::time::Duration;

use placet::call::{HeldCall, Verdict};
use serde_json::{Value, json};
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use crate::support::agent::{Agent, Piece, Stream, answer, refusal, text};
use crate::support::app::Setup;
use crate::support::gate::Gate;
use crate::support::pages::Browser;
use crate::support::upstream::Upstream;

/// `put_user_policy` is held where it is for root, and asks in this way.
fn policy(asks: &str) -> String {
    format!(
        r#"{{ "version": "1", "default": "allow", "tools": {{ "put_user_policy": {{ "action": "require_approval",
              "approval": {{ "ask_reason": {asks}, "when": [{{"path": "args.user", "op": "eq", "value": "root"}}] }} }} }} }}"#
    )
}

async fn gate(asks: &str) -> (Gate, Agent) {
    let gate = Gate::with(&policy(asks)).await;
    let agent = gate.session("bot").await;
    (gate, agent)
}

/// A call with these arguments, written as they are.
fn body(arguments: &str) -> String {
    format!(
        "{{\"jsonrpc\":\"2.0\", \"id\":1,\"method\":\"tools/call\",\"params\":{{ \"name\":\"put_user_policy\",\"arguments\":{arguments} }}}}"
    )
}

/// Posts a call that is held, and gives it.
async fn held(gate: &Gate, agent: &Agent, arguments: &str) -> (HeldCall, Stream) {
    let mut stream = Stream::of(agent.post(body(arguments)).await);
    assert_eq!(stream.next().await, Some(Piece::Comment));
    (gate.held("pending").await, stream)
}

async fn listed(agent: &Agent) -> Value {
    answer(agent.post(r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#).await).await
}

#[tokio::test]
async fn the_schema_of_such_a_tool_asks_and_all_else_of_the_list_stays_byte_for_byte() {
    let (gate, agent) = gate("true").await;
    let list = r#"{"tools":[{"name":"echo", "inputSchema":{"type":"object"}},{"inputSchema":{"type":"object","properties":{"user":{"type":"string","x":1.00}},"additionalProperties":false,"required":["user"]} ,"name":"put_user_policy"}],"y":1e5}"#;
    gate.upstream.on_result("tools/list", list);
    let told = text(agent.post(r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#).await).await;
    let value: Value = serde_json::from_str(&told).unwrap();
    let property = &value["result"]["tools"][1]["inputSchema"]["properties"]["placet_reason"];
    assert_eq!(property["type"], "string");
    // Taken out again, what is left is what the upstream said.
    let start = told.find(r#","placet_reason":"#).unwrap();
    let end = start + told[start..].find("the tool.\"}").unwrap() + "the tool.\"}".len();
    let wait = told.find(r#",{"name":"placet_wait""#).unwrap();
    let wait_end = wait + told[wait..].find("\"openWorldHint\":false}}").unwrap() + "\"openWorldHint\":false}}".len();
    let rest = format!("{}{}{}", &told[..start], &told[end..wait], &told[wait_end..]);
    assert!(rest.contains(list), "{rest}\n{list}");
    assert_eq!(value["result"]["tools"][1]["inputSchema"]["required"], json!(["user"]));
    let (gate, agent) = self::gate("\"required\"").await;
    gate.upstream.on_result("tools/list", list);
    assert_eq!(listed(&agent).await["result"]["tools"][1]["inputSchema"]["required"], json!(["user", "placet_reason"]));
    for silent in ["false", "true"] {
        let (gate, agent) = self::gate(silent).await;
        let own = r#"{"tools":[{"name":"put_user_policy","inputSchema":{"properties":{"placet_reason":{"type":"number"}}}}]}"#;
        gate.upstream.on_result("tools/list", own);
        let told = listed(&agent).await;
        let schema = json!({"properties": {"placet_reason": {"type": "number"}}});
        assert_eq!(told["result"]["tools"][0]["inputSchema"], schema, "a tool's own argument is its own");
    }
}

#[tokio::test]
async fn what_is_approved_and_runs_is_the_call_without_the_reason() {
    let (gate, agent) = gate("true").await;
    let why = r#"the deploy of \u00e9 needs it\u202e"#;
    let arguments = format!("{{ \"user\" : \"root\",\"placet_reason\": \"{why}\" , \"n\":1.00}}");
    let (call, mut stream) = held(&gate, &agent, &arguments).await;
    assert_eq!(call.submission.agent_reason.as_deref(), Some("the deploy of é needs it\u{202e}"));
    let left = "{ \"user\" : \"root\" , \"n\":1.00}";
    assert_eq!(call.submission.params, format!("{{ \"name\":\"put_user_policy\",\"arguments\":{left} }}"));
    assert_eq!(call.arguments(), Some(left));
    assert_eq!(call.digest, call.submission.digest());
    gate.decide(&call, Verdict::Approve, "").await;
    assert!(matches!(stream.next().await, Some(Piece::Message(message)) if message.contains("done")));
    let sent = gate.upstream.calls("put_user_policy");
    assert!(sent.len() == 1 && sent[0].contains(left) && !sent[0].contains("placet_reason"), "{sent:?}");
}

#[tokio::test]
async fn the_same_call_with_another_reason_or_none_is_the_same_call() {
    let (gate, agent) = gate("true").await;
    let (call, _stream) = held(&gate, &agent, r#"{"user":"root","placet_reason":"one"}"#).await;
    for again in [r#"{"user":"root"}"#, r#"{"placet_reason":"two","user":"root"}"#] {
        let mut other = Stream::of(agent.post(body(again)).await);
        assert_eq!(other.next().await, Some(Piece::Comment));
    }
    let filter = placet::store::CallFilter { limit: 10, ..Default::default() };
    let calls = gate.store.calls(filter).await.unwrap().calls;
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].submission.agent_reason.as_deref(), Some("one"));
    assert_eq!(calls[0].digest, call.digest);
}

#[tokio::test]
async fn a_call_that_runs_at_once_is_forwarded_without_it_and_where_no_tool_asks_nothing_is_cut() {
    let (gate, agent) = gate("true").await;
    let why = r#""placet_reason":"because""#;
    let done = answer(agent.post(body(&format!(r#"{{"user":"bob",{why},"n":1e2}}"#))).await).await;
    assert!(done["result"]["isError"].is_null(), "{done}");
    assert_eq!(gate.upstream.calls("put_user_policy"), [body(r#"{"user":"bob","n":1e2}"#)]);
    let echo =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"echo","arguments":{{{why}}}}}}}"#);
    answer(agent.post(echo.clone()).await).await;
    assert_eq!(gate.upstream.calls("echo"), [echo]);
    for asks in ["false", "true"] {
        let (gate, agent) = self::gate(asks).await;
        if asks == "true" {
            let own = r#"{"tools":[{"name":"put_user_policy","inputSchema":{"properties":{"placet_reason":{}}}}]}"#;
            gate.upstream.on_result("tools/list", own);
            listed(&agent).await;
        }
        let whole = body(&format!(r#"{{"user":"bob",{why}}}"#));
        answer(agent.post(whole.clone()).await).await;
        assert_eq!(gate.upstream.calls("put_user_policy"), [whole], "ask_reason {asks}");
    }
}

#[tokio::test]
async fn a_reason_that_is_none_is_refused_in_words() {
    let (gate, agent) = gate("true").await;
    for wrong in ["null", "7", "[\"why\"]"] {
        let refused = answer(agent.post(body(&format!(r#"{{"user":"root","placet_reason":{wrong}}}"#))).await).await;
        let expected = "This call did not run: placet_reason must be a string that says in a sentence or two why you \
                        make the call.";
        assert_eq!(refusal(&refused), expected, "{wrong}");
        assert_eq!(refused["result"]["_meta"]["placet/call"]["state"], "refused");
    }
    let twice = agent.post(body(r#"{"user":"root","placet_reason":"a","placet_reason":"b"}"#)).await;
    assert_eq!(twice.status(), 400, "a repeated key is no JSON that everybody reads alike");
    assert!(gate.upstream.calls("put_user_policy").is_empty());
}

#[tokio::test]
async fn a_reason_that_must_be_there_is_asked_for_before_anybody_is_bothered() {
    let (gate, agent) = gate("\"required\"").await;
    for without in [r#"{"user":"root"}"#, r#"{"user":"root","placet_reason":"  "}"#] {
        let refused = answer(agent.post(body(without)).await).await;
        assert!(
            refusal(&refused).contains("Call it again with the same arguments and one more, placet_reason"),
            "{refused}"
        );
    }
    let filter = placet::store::CallFilter { limit: 10, ..Default::default() };
    assert!(gate.store.calls(filter).await.unwrap().calls.is_empty());
    // What needs nobody needs no reason.
    assert!(answer(agent.post(body(r#"{"user":"bob"}"#)).await).await["result"]["isError"].is_null());
    let (call, _stream) = held(&gate, &agent, r#"{"user":"root","placet_reason":"why"}"#).await;
    // Whoever comes back for it need not say so again.
    let mut again = Stream::of(agent.post(body(r#"{"user":"root"}"#)).await);
    assert_eq!(again.next().await, Some(Piece::Comment));
    gate.decide(&call, Verdict::Reject, "no").await;
    assert!(matches!(again.next().await, Some(Piece::Message(message)) if message.contains("rejected")));
}

#[tokio::test]
async fn a_member_of_a_batch_is_cut_as_well() {
    let gate = Gate::with(&policy("true")).await;
    let mut agent = gate.agent("bot").await;
    agent.initialize("2025-03-26").await;
    let batch = format!(
        "[ {}, {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/é\"}}]",
        body(r#"{"placet_reason":"x","user":"bob"}"#)
    );
    agent.post(batch).await.text().await.unwrap();
    assert_eq!(gate.upstream.calls("put_user_policy"), [body(r#"{"user":"bob"}"#)]);
}

#[tokio::test]
async fn people_read_it_as_the_agents_claim_and_nobody_can_change_it() {
    let upstream = Upstream::start().await;
    let app = Setup::http(&upstream.url).policy(&policy("true")).start().await;
    let mut agent = Agent::new(app.mcp(), &app.agent("ci-bot").await);
    agent.initialize("2025-11-25").await;
    let mira = app.reviewer("mira@example.com", &[]).await;
    let why = "for the release\u{200b} with password=hunter2-hunter2";
    let arguments = json!({"user": "root", "placet_reason": why});
    drop(agent.call("put_user_policy", arguments).await);
    let call = app.pending().await;
    let browser = Browser::signed_in(&app.url, "mira@example.com").await;
    let page = browser.page(&format!("/calls/{}", call.submission.id)).await;
    let claims = page.split("Claimed by the agent").nth(1).unwrap().split("</dl>").next().unwrap();
    assert!(
        claims.contains("<dt>Reason</dt>") && claims.contains("for the release") && claims.contains("⟦U+200B⟧"),
        "{claims}"
    );
    assert!(!page.contains("hunter2"), "secrets are masked in it too");
    let arrived = async || {
        app.setup.clock.advance(Duration::from_secs(1));
        app.mailbox.mails().into_iter().next()
    };
    let mail = app.until("a mail", arrived).await.message;
    let quoted = "The agent says why: \"for the release⟦U+200B⟧ with password=";
    assert!(mail.text.contains(quoted) && !mail.text.contains("hunter2"), "{}", mail.text);
    let token = app.app.identity.api_token_make(mira.email, false, Duration::from_secs(60)).await.unwrap().token;
    let api = browser.request(reqwest::Method::GET, &format!("/api/v1/calls/{}", call.submission.id));
    let api = api.bearer_auth(token.reveal()).send().await.unwrap().text().await.unwrap();
    let api: Value = serde_json::from_str(&api).unwrap();
    assert!(api["agent_reason"].as_str().unwrap().starts_with("for the release\u{200b}"), "{api}");
    assert!(!api["arguments"].as_str().unwrap().contains("placet_reason"));
    // The words that people read are the ones that the agent sent.
    let file = app.folder.path().join("data/placet.db");
    let mut database = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(file)).await.unwrap();
    sqlx::query("UPDATE calls SET agent_reason = 'mira asked for it'").execute(&mut database).await.unwrap();
    let page = browser.page(&format!("/calls/{}", call.submission.id)).await;
    assert!(page.contains("was changed behind Placet’s back"), "{page}");
}
