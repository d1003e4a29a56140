//! What the policy says of a tool, whatever the arguments of its calls.

use crate::call::{GroupName, Requirement, UpstreamName};

use super::model::{Action, AskReason, Entry, Policy, ToolChanges};
use super::ruling::{Decision, Seen, of_entries};

/// The rule where no entry speaks of changed tools.
const TOP: &str = "/tool_changes";

impl Policy {
    /// What becomes of calls of a tool that has changed, and the JSON Pointer of what says so. Of the matching entries
    /// that say something the strictest wins; where none does, the top of the file.
    #[must_use]
    pub fn tool_changes(&self, upstream: &UpstreamName, tool: &str) -> (ToolChanges, String) {
        let found = self.tools.matcher.find(upstream, tool, &self.defaults.upstreams);
        let matching = of_entries(&self.tools, &found);
        let overridden = matching.iter().any(|(entry, permits)| *permits && entry.overrides);
        let speaks = matching.into_iter().filter(|(entry, _)| !overridden || entry.pattern.is_exact());
        let said: Vec<_> = speaks.filter_map(|(entry, permits)| Some((entry.tool_changes?, entry, permits))).collect();
        let top = (self.tool_changes, TOP.to_owned());
        let named = |(changes, entry): (ToolChanges, &Entry)| (changes, format!("{}{TOP}", entry.pointer));
        // What may be meant for another upstream's tool, or lists nothing, only restricts.
        let permitting = said.iter().filter(|(.., permits)| *permits).map(|(changes, entry, _)| (*changes, *entry));
        let base = strictest(permitting).map_or(top, named);
        let others = said.iter().filter(|(.., permits)| !permits).map(|(changes, entry, _)| (*changes, *entry));
        strictest(others).filter(|(changes, _)| *changes > base.0).map_or(base, named)
    }

    /// What is asked where a call is held for no other reason than that its tool has changed: any one reviewer.
    #[must_use]
    pub fn plain_requirement(&self) -> Requirement {
        Requirement::plain(self.defaults.timeout)
    }

    /// The groups that review calls of this tool, and so may accept what it says; none: every reviewer.
    #[must_use]
    pub fn reviewers_of(&self, upstream: &UpstreamName, tool: &str) -> Vec<GroupName> {
        self.asking(upstream, tool).into_iter().find_map(|entry| entry.approval.reviewers.clone()).unwrap_or_default()
    }

    /// Whether agents are asked why they call this tool.
    #[must_use]
    pub fn asks_reason(&self, upstream: &UpstreamName, tool: &str) -> Option<AskReason> {
        self.asking(upstream, tool).into_iter().filter_map(|entry| entry.approval.ask_reason).max()
    }

    /// The entries that hold calls of this tool, some of them at least, the most specific first.
    fn asking(&self, upstream: &UpstreamName, tool: &str) -> Vec<&Entry> {
        match self.decide(upstream, tool, Seen::Name) {
            Decision::Entries { action: Action::RequireApproval, entries, .. } => entries,
            _ => Vec::new(),
        }
    }
}

/// The strictest; of equals the first, which is the most specific.
fn strictest<'p>(said: impl Iterator<Item = (ToolChanges, &'p Entry)>) -> Option<(ToolChanges, &'p Entry)> {
    said.reduce(|best, next| if next.0 > best.0 { next } else { best })
}
