//! What an agent notices of a standing approval.

use std::time::Duration;

use placet::approvals::{Channel, Grant};
use placet::call::Verdict;
use serde_json::json;

use crate::support::agent::Stream;
use crate::support::gate::Gate;

const POLICY: &str = r#"{ "version": "1", "tools": { "send_report": { "action": "require_approval", "approval": {
    "standing": { "uses": 5, "for": "10m", "arguments": { "body": "*" } } } } } }"#;

#[tokio::test]
async fn a_call_that_passes_is_answered_at_once_with_its_result() {
    let gate = Gate::with(POLICY).await;
    gate.upstream.on_result("tools/call send_report", r#"{"content":[{"type":"text","text":"sent"}]}"#);
    let agent = gate.session("ci-bot").await;
    let mut first = Stream::of(agent.call("send_report", json!({"to": "team", "body": "one"})).await);
    let held = gate.held("pending").await;
    gate.decide(&held, Verdict::Approve, "").await;
    assert!(first.message().await.to_string().contains("sent"));
    let grant = Grant {
        call: held.submission.id,
        open: ["body".to_owned()].into(),
        uses: 2,
        lasts: Duration::from_secs(300),
        reason: String::new(),
        by: gate.mira,
        channel: Channel::Page,
        confirmed: false,
    };
    gate.approvals.grant(grant).await.unwrap();
    for body in ["two", "three"] {
        let answer = agent.result("send_report", json!({"to": "team", "body": body})).await;
        assert!(answer.to_string().contains("sent"), "{answer}");
    }
    assert_eq!(gate.upstream.calls("send_report").len(), 3);
    let _fourth = Stream::of(agent.call("send_report", json!({"to": "team", "body": "four"})).await);
    assert!(gate.held("pending").await.submission.arguments().contains("four"));
}
