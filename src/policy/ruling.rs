//! What the policy says of one call.

use crate::call::json::Node;
use crate::call::{Digest, GroupName, Quorum, Requirement, Risk, UpstreamName};

use super::circumstances::Circumstances;
use super::combine::combine;
use super::limits::LimitUse;
use super::methods;
use super::model::{Action, Clause, Clauses, Entries, Entry, Policy};
use super::pattern::Found;

/// A `tools/call`, as far as the policy looks at it.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Where it goes.
    pub upstream: &'a UpstreamName,
    /// The tool as the agent names it.
    pub tool: &'a str,
    /// Its `arguments`, strictly read; they fill in the context that reviewers are shown.
    pub arguments: Option<&'a Node<'a>>,
    /// Who sends it, and when.
    pub around: Circumstances<'a>,
}

impl<'a> Call<'a> {
    /// A call without arguments, of which nothing else is known.
    #[must_use]
    pub fn new(upstream: &'a UpstreamName, tool: &'a str) -> Self {
        Self { upstream, tool, arguments: None, around: Circumstances::default() }
    }
}

/// The policy's answer to a call. `rule` is the JSON Pointer of what decided, `/default` where nothing else did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// Goes to its upstream.
    Allow {
        /// What allowed it.
        rule: String,
        /// The gravest risk that matching entries declare.
        risk: Option<Risk>,
    },
    /// Does not run.
    Deny {
        /// What denied it.
        rule: String,
        /// For the agent, in the policy's words.
        reason: Option<String>,
        /// The tool must look as if it did not exist.
        hidden: bool,
    },
    /// Runs once a reviewer approves.
    RequireApproval {
        /// What asked for it.
        rule: String,
        /// What exactly is asked.
        requirement: Box<Requirement>,
    },
}

/// The policy's answer to anything but a `tools/call`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MethodRuling {
    /// Passes.
    Allow {
        /// What allowed it.
        rule: String,
    },
    /// Does not pass.
    Deny {
        /// What denied it.
        rule: String,
        /// For the agent, in the policy's words.
        reason: Option<String>,
    },
}

/// Who the policy asks to review, for whoever knows which groups and reviewers there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// JSON Pointer of the entry's `approval`.
    pub pointer: String,
    /// The groups that may decide; empty: every reviewer.
    pub reviewers: Vec<GroupName>,
    /// The groups that are asked after the first timeout.
    pub escalate_to: Vec<GroupName>,
    /// How many must approve.
    pub quorum: Quorum,
}

/// The rule of what no entry speaks of.
const DEFAULT: &str = "/default";

/// What decides about a tool whatever its arguments.
pub(super) enum Decision<'p> {
    Hidden {
        rule: String,
    },
    Default(Action),
    /// What its arguments must be, or must not be.
    Clause(&'p Clause),
    /// The strictest action and the entries that ask for it, the most specific first; never empty.
    Entries {
        action: Action,
        first: &'p Entry,
        entries: Vec<&'p Entry>,
        risk: Option<Risk>,
    },
}

impl Policy {
    /// SHA-256 of the file's bytes.
    #[must_use]
    pub fn version(&self) -> Digest {
        self.version
    }

    /// Whether a tool that no entry lists is allowed.
    #[must_use]
    pub fn default_allows(&self) -> bool {
        self.default == Action::Allow
    }

    /// Rules one call. Total: every tool and every argument has an answer.
    #[must_use]
    pub fn rule(&self, call: &Call<'_>) -> Ruling {
        self.ruling(self.decide(call.upstream, call.tool, Seen::Call(call)), call)
    }

    /// The answer that a decision comes to.
    pub(super) fn ruling(&self, decision: Decision<'_>, call: &Call<'_>) -> Ruling {
        let hidden = false;
        match decision {
            Decision::Hidden { rule } => Ruling::Deny { rule, reason: None, hidden: true },
            Decision::Clause(clause) => {
                Ruling::Deny { rule: clause.pointer.clone(), reason: clause.on_deny.clone(), hidden }
            }
            Decision::Default(Action::Allow) => Ruling::Allow { rule: DEFAULT.to_owned(), risk: None },
            Decision::Default(_) => Ruling::Deny { rule: DEFAULT.to_owned(), reason: None, hidden },
            Decision::Entries { action, first, entries, risk } => {
                let rule = first.pointer.clone();
                match action {
                    Action::Allow => Ruling::Allow { rule, risk },
                    Action::Deny => Ruling::Deny { rule, reason: first.reason.clone(), hidden },
                    Action::RequireApproval => {
                        let requirement = combine(self, &entries, risk, call);
                        Ruling::RequireApproval { rule, requirement: Box::new(requirement) }
                    }
                }
            }
        }
    }

    /// Rules everything but `tools/call`, which is denied here: [`Policy::rule`] is the only way to allow one.
    #[must_use]
    pub fn rule_method(&self, method: &str) -> MethodRuling {
        let default = || DEFAULT.to_owned();
        if method == "tools/call" {
            return MethodRuling::Deny { rule: default(), reason: None };
        }
        let matching = self.methods.matcher.find_method(method);
        let matching = of_entries(&self.methods, &matching);
        let default_action = if methods::is_safe(method) { Action::Allow } else { self.default };
        match strictest(matching, default_action, Seen::Name) {
            Decision::Entries { action: Action::Allow, first, .. } => {
                MethodRuling::Allow { rule: first.pointer.clone() }
            }
            Decision::Entries { first, .. } => {
                MethodRuling::Deny { rule: first.pointer.clone(), reason: first.reason.clone() }
            }
            Decision::Default(Action::Allow) => MethodRuling::Allow { rule: default() },
            Decision::Default(_) | Decision::Hidden { .. } | Decision::Clause(_) => {
                MethodRuling::Deny { rule: default(), reason: None }
            }
        }
    }

    /// Whether a tool stays in `tools/list`: not if it is hidden or denied whatever its arguments.
    #[must_use]
    pub fn lists(&self, upstream: &UpstreamName, tool: &str) -> bool {
        match self.decide(upstream, tool, Seen::Name) {
            Decision::Hidden { .. } | Decision::Clause(_) => false,
            Decision::Default(action) | Decision::Entries { action, .. } => action != Action::Deny,
        }
    }

    /// Whether some tool of this upstream can require approval.
    #[must_use]
    pub fn may_hold(&self, upstream: &UpstreamName) -> bool {
        let mut holding = self.tools.list.iter().filter(|entry| entry.action == Action::RequireApproval);
        holding.any(|entry| entry.pattern.may_match(upstream))
    }

    /// Whether the file declares this tool as one that only reads.
    #[must_use]
    pub fn is_reader(&self, upstream: &UpstreamName, tool: &str) -> bool {
        self.readers.matcher.find(upstream, tool, &self.defaults.upstreams).iter().any(|found| found.permits)
    }

    /// The limits that this call counts towards if it is not denied: those of every matching entry, whether or not
    /// another entry overrides its action, and those of `all_tools`.
    #[must_use]
    pub fn limits(&self, call: &Call<'_>) -> Vec<&LimitUse> {
        let matching = self.tools.matcher.find(call.upstream, call.tool, &self.defaults.upstreams);
        let of_entries = matching.iter().flat_map(|found| &self.tools.list[found.rule].limits);
        self.everywhere.iter().chain(of_entries).collect()
    }

    /// The limits that a method counts towards if [`Policy::rule_method`] allows it.
    #[must_use]
    pub fn method_limits(&self, method: &str) -> Vec<&LimitUse> {
        let matching = self.methods.matcher.find_method(method);
        matching.iter().flat_map(|found| &self.methods.list[found.rule].limits).collect()
    }

    /// Every entry that requires approval, in the order of the file.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        let mut asked: Vec<_> = self.tools.list.iter().filter(|e| e.action == Action::RequireApproval).collect();
        asked.sort_by_key(|entry| entry.offset);
        asked.into_iter().map(Entry::asked).collect()
    }

    /// The entries that apply to a tool, as far as its name goes.
    pub(super) fn applying(&self, upstream: &UpstreamName, tool: &str) -> Vec<&Entry> {
        let found = self.tools.matcher.find(upstream, tool, &self.defaults.upstreams);
        applying(of_entries(&self.tools, &found), |entry| {
            entry.action > Action::Allow || !entry.clauses.require.is_empty() || !entry.clauses.deny_if.is_empty()
        })
    }

    pub(super) fn decide(&self, upstream: &UpstreamName, tool: &str, seen: Seen<'_>) -> Decision<'_> {
        let known = &self.defaults.upstreams;
        if let Some(hidden) = self.hide.matcher.find(upstream, tool, known).first() {
            return Decision::Hidden { rule: format!("/hide/{}", hidden.rule) };
        }
        let found = self.tools.matcher.find(upstream, tool, known);
        let decision = strictest(of_entries(&self.tools, &found), self.default, seen);
        // A call that is denied anyhow is denied for the reason that holds for every call of the tool.
        match decision {
            Decision::Default(Action::Deny) | Decision::Entries { action: Action::Deny, .. } => decision,
            decision => seen.denied_by(&self.all_tools).map_or(decision, Decision::Clause),
        }
    }
}

/// What is known of a call.
#[derive(Clone, Copy)]
pub(super) enum Seen<'a> {
    /// The tool's name alone: what holds whatever the arguments.
    Name,
    /// The call as it came.
    Call(&'a Call<'a>),
}

impl Seen<'_> {
    /// The clause that denies the call, if one does; of several the first, what is required before what is denied.
    fn denied_by<'p>(&self, clauses: &'p Clauses) -> Option<&'p Clause> {
        let Self::Call(call) = self else { return None };
        let unmet = clauses.require.iter().find(|clause| !clause.condition.holds(call));
        unmet.or_else(|| clauses.deny_if.iter().find(|clause| clause.condition.takes_hold(call)))
    }

    /// What the entry does with the call.
    fn action(&self, entry: &Entry) -> Action {
        match (self, &entry.approval.when) {
            (Self::Call(call), Some(when)) if entry.action == Action::RequireApproval && !when.takes_hold(call) => {
                Action::Allow
            }
            _ => entry.action,
        }
    }
}

/// The entries that were found, each with whether it may permit something.
pub(super) fn of_entries<'p>(entries: &'p Entries, found: &[Found]) -> Vec<(&'p Entry, bool)> {
    let entry = |found: &Found| (&entries.list[found.rule], found.permits && entries.list[found.rule].lists);
    found.iter().map(entry).collect()
}

/// Those that count: what permits, and what restricts; exact names alone where one of them overrides.
fn applying(mut matching: Vec<(&Entry, bool)>, restricts: impl Fn(&Entry) -> bool) -> Vec<&Entry> {
    matching.retain(|(entry, permits)| *permits || restricts(entry));
    if matching.iter().any(|(entry, permits)| *permits && entry.overrides) {
        matching.retain(|(entry, _)| entry.pattern.is_exact());
    }
    matching.into_iter().map(|(entry, _)| entry).collect()
}

/// What these entries make of a call, each with whether its match may permit something.
fn strictest<'p>(matching: Vec<(&'p Entry, bool)>, default: Action, seen: Seen<'_>) -> Decision<'p> {
    let listed = matching.iter().any(|(_, permits)| *permits);
    if !listed && default == Action::Deny {
        return Decision::Default(default);
    }
    let restricts = |entry: &Entry| seen.action(entry) > Action::Allow || seen.denied_by(&entry.clauses).is_some();
    let matching = applying(matching, restricts);
    let risk = matching.iter().filter_map(|entry| entry.risk).max();
    let Some(action) = matching.iter().map(|entry| seen.action(entry)).max() else {
        return Decision::Default(default);
    };
    if action != Action::Deny
        && let Some(clause) = matching.iter().find_map(|entry| seen.denied_by(&entry.clauses))
    {
        return Decision::Clause(clause);
    }
    let entries: Vec<_> = matching.into_iter().filter(|e| seen.action(e) == action).collect();
    let Some(first) = entries.first().copied() else { return Decision::Default(default) };
    Decision::Entries { action, first, entries, risk }
}

impl Entry {
    fn asked(&self) -> Asked {
        use crate::call::OnTimeout;
        let escalate_to = match &self.approval.on_timeout {
            Some(OnTimeout::Escalate(groups)) => groups.clone(),
            _ => Vec::new(),
        };
        Asked {
            pointer: format!("{}/approval", self.pointer),
            reviewers: self.approval.reviewers.clone().unwrap_or_default(),
            escalate_to,
            quorum: self.approval.quorum.unwrap_or(Quorum::ONE),
        }
    }
}
