//! The policy, tested as its readers use it: a file in, rulings out.

mod about;
mod attacks;
mod broken;
mod conditions;
mod counters;
mod forms;
mod limit_errors;
mod limits;
mod precedence;
mod properties;
mod readme;
mod requirement;
mod seed;
mod tool;

use std::time::Duration;

use super::{Call, Defaults, Policy, Ruling, parse};
use crate::call::UpstreamName;
use crate::call::json::{Limits, read_strict};

fn defaults(upstreams: &[&str]) -> Defaults {
    Defaults { timeout: Duration::from_secs(900), upstreams: upstreams.iter().map(|name| upstream(name)).collect() }
}

fn upstream(name: &str) -> UpstreamName {
    UpstreamName::new(name).unwrap()
}

/// A file that must be valid.
fn policy(text: &str) -> Policy {
    match parse(text, &defaults(&[])) {
        Ok(parsed) => parsed.policy,
        Err(problems) => panic!("{problems:#?}"),
    }
}

fn rule(policy: &Policy, name: &str, tool: &str) -> Ruling {
    policy.rule(&Call::new(&upstream(name), tool))
}

fn rule_with(policy: &Policy, tool: &str, arguments: &str) -> Ruling {
    rule_on(policy, "iam", tool, arguments)
}

fn rule_on(policy: &Policy, name: &str, tool: &str, arguments: &str) -> Ruling {
    let document = read_strict(arguments.as_bytes(), &Limits::default()).unwrap();
    policy.rule(&Call { arguments: Some(document.root()), ..Call::new(&upstream(name), tool) })
}

/// The ruling in few words: `allow /tools/x`, `hide /hide/0`, …
fn brief(ruling: &Ruling) -> String {
    match ruling {
        Ruling::Allow { rule, .. } => format!("allow {rule}"),
        Ruling::Deny { rule, hidden: true, .. } => format!("hide {rule}"),
        Ruling::Deny { rule, .. } => format!("deny {rule}"),
        Ruling::RequireApproval { rule, .. } => format!("hold {rule}"),
    }
}
