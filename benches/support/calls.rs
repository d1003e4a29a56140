//! What the benches share that work on the approvals themselves: people, calls of one size, an upstream and a policy that
//! let everything pass.

use std::sync::Arc;
use std::time::Duration;

use placet::approvals::{
    Approvals, BoxFuture, Channel, Decision, Forward, ForwardError, NewCall, Rules, Seal, Settings,
};
use placet::call::{
    AgentName, Answer, Caller, Digest, Email, Era, GroupName, HeldCall, Millis, Requirement, ReviewerId, StandingOffer,
    Submission, ToolName, UpstreamName, Verdict,
};
use placet::clock::Entropy;
use placet::identity::{AddReviewer, Identity, Roles};
use placet::lifecycle::Tasks;
use placet::store::{HoldLimits, Store};
use secrecy::SecretString;

pub(crate) const DAY: Duration = Duration::from_secs(86_400);

/// An upstream that runs whatever it is sent, and a policy that allows it.
struct Allows;

impl Forward for Allows {
    fn forward<'a>(&'a self, _: &'a Submission) -> BoxFuture<'a, Result<Answer, ForwardError>> {
        Box::pin(async { Ok(Answer::Result(r#"{"content":[{"type":"text","text":"done"}]}"#.into())) })
    }
}

impl Rules for Allows {
    fn still_allow(&self, _: &Submission, _: Millis) -> Result<(), String> {
        Ok(())
    }

    fn standing(&self, _: &Submission, _: Millis) -> Option<StandingOffer> {
        None
    }
}

/// The approvals over a store; an agent may have so many calls open, and make as many in an hour.
pub(crate) fn approvals(store: &Store, entropy: Entropy, tasks: Tasks, seal: Seal, calls: u32) -> Approvals {
    let limits =
        HoldLimits { pending: calls, new_per_hour: calls, result_ttl: DAY, rejection_ttl: Duration::from_secs(600) };
    let settings = Settings { limits, self_approval: false };
    Approvals::new(store.clone(), entropy, tasks, seal, Arc::new(Allows), Arc::new(Allows), settings)
}

/// Adds an agent.
pub(crate) async fn agent(identity: &Identity, name: String) -> Caller {
    let owner = Email::parse("owner@example.com").expect("an address");
    let name = AgentName::new(name).expect("a name");
    let id = identity.agent_add(name.clone(), owner.clone(), vec![]).await.expect("an agent").agent.id;
    Caller { id, name, owner }
}

/// Adds somebody of the group `iam` who reviews, or only reads.
pub(crate) async fn person(
    identity: &Identity,
    email: &str,
    auditor: bool,
    password: Option<SecretString>,
) -> ReviewerId {
    let add = AddReviewer {
        email: Email::parse(email).expect("an address"),
        name: None,
        roles: Roles { reviewer: !auditor, auditor, administrator: false },
        groups: [GroupName::new("iam").expect("a name")].into(),
        password,
    };
    identity.reviewer_add(add).await.expect("a reviewer").id
}

/// A call with some 600 bytes of arguments, about this user.
pub(crate) fn call(agent: Caller, user: &str, requirement: Requirement) -> NewCall {
    let document = "x".repeat(600);
    let arguments = format!(r#"{{"user_name":"{user}","policy_document":"{document}"}}"#);
    let head = r#"{"name":"put_user_policy","arguments":"#;
    NewCall {
        agent,
        upstream: UpstreamName::new("iam").expect("a name"),
        upstream_config: Digest::of(b"config"),
        tool: ToolName::new("put_user_policy").expect("a name"),
        tool_schema: None,
        params: format!("{head}{arguments}}}"),
        arguments_at: Some((head.len(), head.len() + arguments.len())),
        canonical_arguments: arguments,
        headers: vec![],
        policy: Digest::of(b"policy"),
        rule: "/tools/put_user_policy".into(),
        requirement,
        era: Era::Sessions,
        client: None,
        agent_reason: None,
    }
}

/// This person's verdict.
pub(crate) fn decision(call: &HeldCall, by: ReviewerId, verdict: Verdict) -> Decision {
    Decision {
        call: call.submission.id,
        digest: call.digest,
        verdict,
        reason: "as agreed with the owner".into(),
        by,
        channel: Channel::Page,
        confirmed: false,
    }
}
