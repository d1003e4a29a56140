//! What would become of calls, one after the other, under a policy with counters of its own: nothing is forwarded,
//! held or written. As in the gateway, a call is counted if it is not denied.

use std::collections::BTreeMap;
use std::fmt;

use uuid::Uuid;

use super::limits::{Counters, Exceeded, LimitScope, LimitUse, NotReserved};
use super::model::Policy;
use super::ruling::{Call, MethodRuling, Ruling};
use crate::call::{AgentId, Millis, Requirement, UpstreamName};

/// What a policy makes of a call, without the details.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Decision {
    /// It runs at once.
    Allow,
    /// It waits for people.
    RequireApproval,
    /// It does not run.
    Deny,
}

impl Decision {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Allow, Self::RequireApproval, Self::Deny];

    /// As the policy file and `placet test` write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::RequireApproval => "require_approval",
            Self::Deny => "deny",
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What would become of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruled {
    /// What is made of it.
    pub decision: Decision,
    /// JSON Pointer of what decided; `None` where it was refused before the policy was asked.
    pub rule: Option<String>,
    /// Why, in words.
    pub reason: Option<String>,
    /// What is asked of reviewers, where approval is required.
    pub requirement: Option<Box<Requirement>>,
    /// A limit denied it, and later it may be ruled otherwise.
    pub limited: bool,
}

impl Ruled {
    fn new(decision: Decision, rule: String, reason: Option<String>) -> Self {
        Self { decision, rule: Some(rule), reason, requirement: None, limited: false }
    }

    /// What cannot be read is denied, whatever the policy says.
    #[must_use]
    pub fn unacceptable(why: impl Into<String>) -> Self {
        Self { rule: None, ..Self::new(Decision::Deny, String::new(), Some(why.into())) }
    }
}

/// What the policy says of a call by itself: limits may still keep it from running.
#[must_use]
pub fn ruled(ruling: Ruling) -> Ruled {
    match ruling {
        Ruling::Allow { rule, .. } => Ruled::new(Decision::Allow, rule, None),
        Ruling::Deny { rule, hidden: true, .. } => {
            let reason = "hidden: it is answered like a tool that does not exist".to_owned();
            Ruled::new(Decision::Deny, rule, Some(reason))
        }
        Ruling::Deny { rule, reason, hidden: false } => Ruled::new(Decision::Deny, rule, reason),
        Ruling::RequireApproval { rule, requirement } => {
            let reason = requirement.message.clone();
            Ruled { requirement: Some(requirement), ..Ruled::new(Decision::RequireApproval, rule, reason) }
        }
    }
}

/// A policy and counters that have seen nothing yet.
#[derive(Debug)]
pub struct Rehearsal<'p> {
    policy: &'p Policy,
    counters: Counters,
    agents: BTreeMap<String, AgentId>,
}

impl<'p> Rehearsal<'p> {
    /// With empty counters.
    #[must_use]
    pub fn new(policy: &'p Policy) -> Self {
        Self { policy, counters: Counters::new(), agents: BTreeMap::new() }
    }

    /// The policy.
    #[must_use]
    pub fn policy(&self) -> &'p Policy {
        self.policy
    }

    /// Rules a call that this agent makes at this moment, and counts it.
    pub fn call(&mut self, agent: &str, call: &Call<'_>, at: Millis) -> Ruled {
        let ruled = ruled(self.policy.rule(call));
        if ruled.decision == Decision::Deny {
            return ruled;
        }
        let limits = self.policy.limits(call);
        let agent = self.agent(agent);
        let who = LimitScope { agent, upstream: call.upstream, tool: call.tool, arguments: call.arguments };
        self.counted(ruled, &limits, &who, at)
    }

    /// Rules what is not a tool call, and counts it; notifications are not counted.
    pub fn method(&mut self, agent: &str, upstream: &UpstreamName, method: &str, at: Millis) -> Ruled {
        match self.policy.rule_method(method) {
            MethodRuling::Deny { rule, reason } => Ruled::new(Decision::Deny, rule, reason),
            MethodRuling::Allow { rule } => {
                let ruled = Ruled::new(Decision::Allow, rule, None);
                if method.starts_with("notifications/") {
                    return ruled;
                }
                let limits = self.policy.method_limits(method);
                let who = LimitScope { agent: self.agent(agent), upstream, tool: method, arguments: None };
                self.counted(ruled, &limits, &who, at)
            }
        }
    }

    fn counted(&mut self, ruled: Ruled, limits: &[&LimitUse], who: &LimitScope<'_>, at: Millis) -> Ruled {
        match self.counters.reserve(limits, who, at) {
            // Never given back: what is rehearsed is as good as forwarded.
            Ok(_) => ruled,
            Err(NotReserved::Exceeded(Exceeded { rule, retry_at, on_deny })) => {
                let until = match retry_at {
                    Some(moment) => format!("a limit is reached until {}", moment.in_words()),
                    None => "it alone is more than a limit allows".to_owned(),
                };
                let reason = on_deny.map_or(until.clone(), |words| format!("{words} ({until})"));
                Ruled { limited: true, ..Ruled::new(Decision::Deny, rule, Some(reason)) }
            }
            Err(NotReserved::Uncountable(it)) => {
                let reason = format!("{} {}, so it cannot be added up", it.argument, it.why);
                Ruled::new(Decision::Deny, it.rule, Some(reason))
            }
        }
    }

    /// Agents of a rehearsal have names alone; their counters are kept apart by these.
    fn agent(&mut self, name: &str) -> AgentId {
        if let Some(id) = self.agents.get(name) {
            return *id;
        }
        let id = AgentId(Uuid::from_u128(self.agents.len() as u128));
        self.agents.insert(name.to_owned(), id);
        id
    }
}
