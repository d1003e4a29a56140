//! What else a policy tells of a tool beside the ruling of one call: whether that can depend on arguments at all, and
//! what its author noted.

use super::model::{Action, Entry, Policy};
use crate::call::UpstreamName;

impl Policy {
    /// Whether two calls of this tool can be ruled differently because of their arguments. `false` is certain; `true`
    /// may be said of conditions that no call can meet.
    #[must_use]
    pub fn depends_on_arguments(&self, upstream: &UpstreamName, tool: &str) -> bool {
        // What is hidden or denied by its name is so whatever the arguments.
        if !self.lists(upstream, tool) {
            return false;
        }
        let found = self.tools.matcher.find(upstream, tool, &self.defaults.upstreams);
        let entries = || found.iter().map(|found| &self.tools.list[found.rule]);
        let clauses = entries().map(|entry| &entry.clauses).chain([&self.all_tools]);
        if clauses.into_iter().any(|clauses| !clauses.require.is_empty() || !clauses.deny_if.is_empty()) {
            return true;
        }
        let holds = |entry: &&Entry| entry.action == Action::RequireApproval;
        let always =
            entries().any(|entry| holds(&entry) && entry.approval.when.is_none() && !self.is_overridden(&found));
        !always && entries().any(|entry| holds(&entry) && entry.approval.when.is_some())
    }

    /// What the author noted about this tool: the words of the most specific entry that has any.
    #[must_use]
    pub fn note(&self, upstream: &UpstreamName, tool: &str) -> Option<&str> {
        let found = self.tools.matcher.find(upstream, tool, &self.defaults.upstreams);
        found.iter().find_map(|found| self.tools.list[found.rule].note.as_deref())
    }

    /// Whether an exact name among these overrides what globs say: then one glob's word is not the last.
    fn is_overridden(&self, found: &[super::pattern::Found]) -> bool {
        found.iter().any(|found| self.tools.list[found.rule].overrides)
    }
}
