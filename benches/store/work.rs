//! What is submitted: the same for both that are compared.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use placet::audit::Entry;
use placet::call::{
    AgentId, AgentName, CallId, Caller, Digest, Email, Era, Event, Millis, Quorum, Requirement, ReviewerId, StoredVote,
    Submission, ToolName, UpstreamName, Verdict, Vote,
};
use placet::clock::Entropy;
use placet::store::{CallChange, HoldLimits, HoldProof};
use uuid::Uuid;

/// Calls of one agent; the next have another.
const EACH_AGENT: usize = 16;

/// What every submission shares.
#[derive(Clone)]
pub(crate) struct Work {
    pub(crate) reviewer: ReviewerId,
    pub(crate) limits: HoldLimits,
    number: Arc<AtomicUsize>,
}

impl Work {
    pub(crate) fn new() -> Self {
        let limits = HoldLimits {
            pending: 20,
            new_per_hour: 30,
            result_ttl: Duration::from_secs(3600),
            rejection_ttl: Duration::from_secs(600),
        };
        Self { reviewer: ReviewerId(Entropy::System.uuid(Millis(0))), limits, number: Arc::default() }
    }

    /// The entry of a call that was let through.
    pub(crate) fn entry(&self) -> Entry {
        let name = |text: &str| AgentName::new(text).expect("a name");
        Entry::new("call.allowed")
            .agent(&name("ci-bot"))
            .upstream(&UpstreamName::new("iam").expect("a name"))
            .tool(&ToolName::new("get_user_policy").expect("a name"))
            .with("rule", "/tools/get_user_policy")
            .with("policy", Digest([7; 32]).to_string())
            .with("call", self.number.fetch_add(1, Ordering::Relaxed))
    }

    /// A call that no other is the same as.
    pub(crate) fn draft(&self) -> Draft {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let agent = AgentId(Uuid::from_u128((number / EACH_AGENT) as u128 + (self.reviewer.0.as_u128() << 64)));
        Draft { number, agent, same_call: Digest::of(number.to_string().as_bytes()) }
    }

    /// A reviewer's no, as a step of a call.
    pub(crate) fn verdict(&self, now: Millis, digest: &Digest) -> CallChange {
        let reason = "scope Resource to one bucket".to_owned();
        let vote = Vote { verdict: Verdict::Reject, by: self.reviewer, at: now, reason };
        let stored = StoredVote {
            vote: vote.clone(),
            by_email: Email::parse("mira@example.com").expect("an address"),
            mac: Digest([9; 32]),
        };
        let entry = Entry::new("call.rejected")
            .agent(&AgentName::new("ci-bot").expect("a name"))
            .upstream(&UpstreamName::new("iam").expect("a name"))
            .tool(&ToolName::new("put_user_policy").expect("a name"))
            .reviewer(self.reviewer)
            .with("digest", digest.to_string())
            .with("verdict", "reject")
            .with("reason", vote.reason.clone());
        CallChange {
            event: Event::Vote { vote, quorum: Quorum::ONE, usable_until: now.after(Duration::from_secs(3600)) },
            entry,
            vote: Some(stored),
            approval: None,
            answer: None,
            notice: Some("call.decided"),
        }
    }
}

/// A call before it is held.
#[derive(Clone, Copy)]
pub(crate) struct Draft {
    number: usize,
    pub(crate) agent: AgentId,
    pub(crate) same_call: Digest,
}

impl Draft {
    /// The call as it is held at this moment.
    pub(crate) fn made(self, now: Millis) -> (Submission, HoldProof) {
        let document = format!(
            r#"{{"number":{},"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"s3:*","Resource":"*"}}],"comment":"{}"}}"#,
            self.number,
            "x".repeat(500)
        );
        let head = r#"{"name":"put_user_policy","arguments":"#;
        let submission = Submission {
            id: CallId(Entropy::System.uuid(now)),
            agent: Caller {
                id: self.agent,
                name: AgentName::new("ci-bot").expect("a name"),
                owner: Email::parse("owner@example.com").expect("an address"),
            },
            upstream: UpstreamName::new("iam").expect("a name"),
            upstream_config: Digest([1; 32]),
            tool: ToolName::new("put_user_policy").expect("a name"),
            tool_schema: Some(Digest([2; 32])),
            params: format!("{head}{document}}}"),
            arguments_at: Some((head.len(), head.len() + document.len())),
            headers: vec![],
            same_call: self.same_call,
            nonce: Entropy::System.bytes(),
            policy: Digest([7; 32]),
            rule: "/tools/put_user_policy".into(),
            requirement: Requirement::plain(Duration::from_secs(900)),
            era: Era::Sessions,
            client: Some("bench 1".into()),
            agent_reason: None,
            created_at: now,
        };
        (submission, HoldProof(Digest([3; 32])))
    }
}
