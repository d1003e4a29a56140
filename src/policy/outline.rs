//! What the policy does with a tool whatever the arguments, and what it makes depend on them: for pages.

use super::Policy;
use super::model::{Action, Entry};
use super::ruling::{Call, Decision, Ruling, Seen};
use crate::call::UpstreamName;

/// What becomes of a tool's calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    /// What becomes of a call that meets every condition; where only some calls need approval, of those.
    pub ruling: Ruling,
    /// What it depends on.
    pub conditions: Conditions,
}

/// What a ruling depends on, in words, each as the end of a sentence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Only these calls need approval: "args.amount is more than 500"; the others run at once. `None`: all of them.
    pub asks_if: Option<String>,
    /// A call is refused unless all of these hold.
    pub refused_unless: Vec<String>,
    /// A call is refused if one of these holds.
    pub refused_if: Vec<String>,
}

impl Policy {
    /// What becomes of the tool's calls, and what it depends on.
    #[must_use]
    pub fn outline(&self, upstream: &UpstreamName, tool: &str) -> Outline {
        let call = Call::new(upstream, tool);
        let decision = self.decide(upstream, tool, Seen::Name);
        let mut conditions = Conditions::default();
        if let Decision::Default(Action::Allow | Action::RequireApproval)
        | Decision::Entries { action: Action::Allow | Action::RequireApproval, .. } = &decision
        {
            let entries = self.applying(upstream, tool);
            let own = entries.iter().map(|entry| &entry.clauses).chain([&self.all_tools]);
            for clauses in own {
                conditions.refused_unless.extend(clauses.require.iter().map(|clause| clause.condition.words()));
                conditions.refused_if.extend(clauses.deny_if.iter().map(|clause| clause.condition.words()));
            }
        }
        if let Decision::Entries { action: Action::RequireApproval, entries, .. } = &decision {
            let when = |entry: &&Entry| Some(entry.approval.when.as_ref()?.words());
            let all: Option<Vec<String>> = entries.iter().map(when).collect();
            conditions.asks_if = all.map(|several| several.join(", or if "));
        }
        Outline { ruling: self.ruling(decision, &call), conditions }
    }
}
