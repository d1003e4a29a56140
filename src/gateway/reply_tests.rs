//! What agents read, in every state.

use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use super::*;
use crate::call::{
    AgentId, AgentName, CallId, Caller, Digest, Email, Requirement, ReviewerId, StoredVote, Submission, ToolName,
    UpstreamName, Verdict, Vote,
};

const NOW: Millis = Millis(1_795_356_131_000);

fn to(era: Era) -> To {
    To { id: r#""a\u0062""#.to_owned(), era }
}

fn call(state: CallState) -> HeldCall {
    let mut requirement = Requirement::plain(Duration::from_secs(900));
    requirement.message = Some("The IAM team is asked.".into());
    let submission = Submission {
        id: CallId(Uuid::from_u128(7)),
        agent: Caller {
            id: AgentId(Uuid::nil()),
            name: AgentName::new("ci-bot").unwrap(),
            owner: Email::parse("owner@example.com").unwrap(),
        },
        upstream: UpstreamName::new("iam").unwrap(),
        upstream_config: Digest::of(b""),
        tool: ToolName::new("put_user_policy").unwrap(),
        tool_schema: None,
        params: "{}".into(),
        arguments_at: None,
        headers: vec![],
        same_call: Digest::of(b""),
        nonce: [0; 32],
        policy: Digest::of(b""),
        rule: "/tools/put_user_policy".into(),
        requirement,
        era: Era::Sessions,
        client: None,
        agent_reason: None,
        created_at: NOW,
    };
    let by = ReviewerId(Uuid::from_u128(9));
    let vote = Vote { verdict: Verdict::Approve, by, at: NOW, reason: "secret remark".into() };
    let by_email = Email::parse("mira@example.com").unwrap();
    HeldCall {
        digest: submission.digest(),
        submission,
        state,
        votes: vec![StoredVote { vote, by_email, mac: Digest::of(b"") }],
        expires_at: NOW.after(Duration::from_secs(900)),
        told_to_return: false,
        caller_gone: false,
        context: None,
        context_salt: None,
        answer: None,
        answer_salt: None,
        changed_at: NOW,
        as_of: None,
        held_mac: None,
        approval_mac: None,
        finding: None,
        redacted_at: None,
        entry: 1,
        genuine: true,
    }
}

fn told(era: Era, call: &HeldCall) -> (String, Value) {
    let text = to(era).ended(call, NOW);
    assert!(!text.contains("mira") && !text.contains("secret remark") && !text.contains("tools/put"), "{text}");
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["id"], "ab");
    assert!(text.contains(r#""id":"a\u0062""#), "the id is as it was written");
    (text, value)
}

fn words(value: &Value) -> &str {
    assert_eq!(value["result"]["isError"], true);
    value["result"]["content"][0]["text"].as_str().unwrap()
}

#[test]
fn what_did_not_run_says_so_first() {
    let at = NOW;
    let states = [
        (CallState::Rejected { by: ReviewerId(Uuid::nil()), at, reason: "scope Resource to one bucket.".into() }, true),
        (CallState::Expired { at }, true),
        (CallState::Cancelled { at }, false),
        (CallState::Lapsed { at }, true),
        (CallState::Revoked { at, why: "rule /tools/secret denies it".into() }, true),
    ];
    for (state, unavailable) in states {
        let name = state.name();
        let (text, value) = told(Era::Sessions, &call(state));
        assert!(words(&value).starts_with("This call did not run"), "{text}");
        assert!(!text.contains("secret"), "{text}");
        let meta = &value["result"]["_meta"];
        assert_eq!(meta["placet/call"]["state"], name);
        assert_eq!(meta["placet/call"]["id"], "00000000-0000-0000-0000-000000000007");
        assert_eq!(meta["placet/call"]["disposition"], "denied-not-executed");
        assert_eq!(meta["io.modelcontextprotocol/tool-approval-disposition"], "denied-not-executed");
        let remedy = &meta["io.modelcontextprotocol/authorization"]["remediation"];
        assert_eq!(remedy == "unavailable", unavailable, "{name}");
    }
}

#[test]
fn a_rejection_carries_the_reviewers_reason() {
    let reject = |reason: &str| {
        let state = CallState::Rejected { by: ReviewerId(Uuid::nil()), at: NOW, reason: reason.into() };
        words(&told(Era::Sessions, &call(state)).1).to_owned()
    };
    assert_eq!(
        reject("scope Resource to one \"bucket\"."),
        "This call did not run: it was rejected, with the reason: scope Resource to one \"bucket\". Do not retry it \
         unchanged."
    );
    assert_eq!(reject(" "), "This call did not run: it was rejected. Do not retry it unchanged.");
}

#[test]
fn an_unknown_outcome_may_have_run() {
    let state = CallState::OutcomeUnknown { at: NOW, why: "the connection broke".into() };
    let (_, value) = told(Era::Sessions, &call(state));
    assert!(words(&value).starts_with("This call may have run"));
    assert_eq!(value["result"]["_meta"]["placet/call"]["disposition"], "outcome-unknown");
}

#[test]
fn pending_says_how_to_come_back() {
    let (_, value) = told(
        Era::Stateless,
        &call(CallState::Pending { expires_at: NOW.after(Duration::from_secs(900)), escalated: false, votes: vec![] }),
    );
    assert_eq!(value["result"]["resultType"], "complete");
    let words = words(&value);
    for part in [
        "has not run yet",
        "2026-11-22T14:17:11.000Z",
        "exactly the same arguments",
        r#"placet_wait with {"call_id": "00000000-0000-0000-0000-000000000007"}"#,
        "The IAM team is asked.",
    ] {
        assert!(words.contains(part), "{part}: {words}");
    }
    assert_eq!(value["result"]["_meta"]["io.modelcontextprotocol/authorization"]["remediation"], "available");
    assert_eq!(value["result"]["_meta"]["placet/call"]["disposition"], Value::Null);
}

#[test]
fn what_ran_comes_back_byte_for_byte() {
    let result = r#"{ "content":[{"type":"text","text":"\u0041"}], "n":12345678901234567890123, "isError" : false}"#;
    let mut held = call(CallState::Executed { at: NOW });
    held.answer = Some(Answer::Result(result.into()));
    let (text, value) = told(Era::Sessions, &held);
    let same = result.trim_end_matches('}');
    assert!(text.starts_with(&format!(r#"{{"jsonrpc":"2.0","id":"a\u0062","result":{same},"_meta":{{"placet/call":"#)));
    let meta = &value["result"]["_meta"];
    assert_eq!(meta["placet/call"]["already_executed_at"], Value::Null);
    assert_eq!(meta["io.modelcontextprotocol/tool-approval-disposition"], "approved-executed");
    let later: Value = serde_json::from_str(&to(Era::Sessions).ended(&held, Millis(NOW.0 + 1))).unwrap();
    assert_eq!(later["result"]["_meta"]["placet/call"]["already_executed_at"], "2026-11-22T14:02:11.000Z");
}

#[test]
fn errors_and_lost_results_of_calls_that_ran() {
    let mut held = call(CallState::ToolError { at: NOW });
    held.answer = Some(Answer::Error(r#"{"code":-32050,"message":"no","data":[1.0]}"#.into()));
    let (text, _) = told(Era::Sessions, &held);
    assert_eq!(text, r#"{"jsonrpc":"2.0","id":"a\u0062","error":{"code":-32050,"message":"no","data":[1.0]}}"#);
    held.answer = None;
    assert!(words(&told(Era::Sessions, &held).1).contains("no longer kept"));
    held.answer = Some(Answer::Result(r#"{"a":1"#.into()));
    assert!(words(&told(Era::Sessions, &held).1).starts_with("This call ran, but its result cannot"));
}

#[test]
fn calls_that_were_never_held() {
    let read = |text: String| serde_json::from_str::<Value>(&text).unwrap();
    let denied = read(to(Era::Sessions).denied(Some("writes are frozen.")));
    assert!(
        words(&denied)
            .starts_with("This call did not run, because the policy here does not allow it: writes are frozen. ")
    );
    assert_eq!(denied["result"]["_meta"]["placet/call"]["state"], "denied");
    let limited = read(to(Era::Sessions).limited(Some(NOW), None));
    let said = "This call did not run, because a limit on such calls is reached. It may be called again at \
                2026-11-22T14:02:11.000Z.";
    assert_eq!(words(&limited), said);
    let meta = serde_json::json!({"state": "limited", "retry_at": "2026-11-22T14:02:11.000Z"});
    assert_eq!(limited["result"]["_meta"]["placet/call"], meta);
    let never = read(to(Era::Sessions).limited(None, Some("100 a day are enough. ")));
    assert!(words(&never).contains("is reached: 100 a day are enough. It alone is more than the limit allows"));
    assert_eq!(never["result"]["_meta"]["placet/call"], serde_json::json!({"state": "limited"}));
    let uncountable = read(to(Era::Stateless).uncountable("args.amount", "is missing"));
    assert!(words(&uncountable).contains("adds up args.amount, which is missing. Call it again with a number"));
    assert_eq!(uncountable["result"]["_meta"]["placet/call"]["state"], "denied");
    let unknown = read(to(Era::Sessions).unknown_tool("x\"y"));
    assert_eq!(
        (unknown["error"]["code"].as_i64(), unknown["error"]["message"].as_str()),
        (Some(-32602), Some("Unknown tool: x\"y"))
    );
    for error in [
        SubmitError::TooManyPending(20),
        SubmitError::TooManyNew { max: 30, retry_at: NOW },
        SubmitError::Stopping,
        SubmitError::Store(crate::store::StoreError::Stopping),
    ] {
        let told = read(to(Era::Sessions).not_submitted(&error));
        assert!(words(&told).starts_with("This call did not run"));
        let retry_at = told["result"]["_meta"]["placet/call"]["retry_at"].as_str();
        assert_eq!(retry_at, words(&told).contains("again at").then_some("2026-11-22T14:02:11.000Z"));
    }
}
