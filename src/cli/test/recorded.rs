//! The calls that the log tells of, ruled by a policy as if they came now: what would change. What was allowed or
//! denied has no arguments in the log, so such a call is judged by its tool's name, where that is enough.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::done;
use crate::call::json::{Limits, read_strict};
use crate::call::{Millis, UpstreamName};
use crate::cli::identity::in_runtime;
use crate::cli::{Exit, complain, say, visible};
use crate::clock::Clock;
use crate::policy::rehearse::Rehearsal;
use crate::policy::{Call, Circumstances, Policy, ToolFacts};
use crate::store::{Made, RecordedCall, Snapshot};

/// Calls read at once.
const PAGE: u32 = 1000;

/// The longest window of a limit that begins with the calendar: counters are filled with the calls of so long before.
const WARM_UP: Duration = Duration::from_secs(86_400);

/// Calls of one tool that would be ruled otherwise in the same way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Change {
    upstream: String,
    tool: String,
    was: Made,
    now: Made,
    rule: String,
}

/// What was found.
#[derive(Debug, Default)]
struct Found {
    calls: u64,
    changes: BTreeMap<Change, u64>,
    upstreams: BTreeSet<String>,
    /// Judged by the tool's name, as the arguments are not kept.
    by_name: u64,
    /// The policy looks at arguments that are not kept.
    not_judged: u64,
}

/// Rules the calls of the last `span` and says what would change.
pub(super) fn run(folder: &Path, policy: &Policy, span: Duration, json: bool) -> Result<Exit, Exit> {
    let from = Clock::system().now().before(span);
    let found = in_runtime(async {
        let mut snapshot = Snapshot::open(folder).await.map_err(|error| error.to_string())?;
        let (mut found, mut rehearsal, mut last) = (Found::default(), Rehearsal::new(policy), 0);
        loop {
            let page = snapshot.recorded(from.before(WARM_UP), last, PAGE).await.map_err(|error| error.to_string())?;
            let Some(end) = page.last() else { return Ok(found) };
            last = end.seq;
            page.iter().for_each(|call| found.judge(&mut rehearsal, call, from));
        }
    });
    let found = found.map_err(|why| {
        complain(why);
        Exit::Failed
    })?;
    if json {
        say(found.json());
    } else {
        found.print(span);
    }
    Ok(Exit::Done)
}

impl Found {
    fn judge(&mut self, rehearsal: &mut Rehearsal<'_>, call: &RecordedCall, from: Millis) {
        let counts = call.at >= from;
        // An upstream that was renamed to something no configuration takes cannot be ruled.
        let Ok(upstream) = UpstreamName::new(call.upstream.as_str()) else { return };
        let limits = Limits { max_bytes: usize::MAX, ..Limits::default() };
        let kept = call.params.as_ref().and_then(|params| read_strict(params.as_bytes(), &limits).ok());
        self.calls += u64::from(counts);
        if kept.is_none() && rehearsal.policy().depends_on_arguments(&upstream, &call.tool) {
            self.not_judged += u64::from(counts);
            return;
        }
        let arguments = kept.as_ref().and_then(|params| params.root().get("arguments"));
        let named = ToolFacts::named(&upstream, &call.tool);
        let (agent, listed, now) = (Some(&*call.agent), Some(&named), Some(call.at));
        let around = Circumstances { agent, listed, now, owner: None };
        let asked = Call { upstream: &upstream, tool: &call.tool, arguments, around };
        let ruled = rehearsal.call(&call.agent, &asked, call.at);
        if !counts {
            return;
        }
        self.by_name += u64::from(kept.is_none());
        self.upstreams.insert(call.upstream.clone());
        let now = done(&ruled);
        if now != call.made {
            let (upstream, tool) = (call.upstream.clone(), call.tool.clone());
            let change = Change { upstream, tool, was: call.made, now, rule: ruled.rule.unwrap_or_default() };
            *self.changes.entry(change).or_insert(0) += 1;
        }
    }

    /// The most frequent first.
    fn sorted(&self) -> Vec<(&Change, u64)> {
        let mut sorted: Vec<_> = self.changes.iter().map(|(change, count)| (change, *count)).collect();
        sorted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        sorted
    }

    fn changed(&self) -> u64 {
        self.changes.values().sum()
    }

    fn json(&self) -> Value {
        let change = |(change, calls): (&Change, u64)| {
            let Change { upstream, tool, was, now, rule } = change;
            json!({"upstream": upstream, "tool": tool, "was": word(*was), "now": word(*now), "rule": rule, "calls": calls})
        };
        json!({
            "calls": self.calls, "changed": self.changed(), "by_name": self.by_name, "not_judged": self.not_judged,
            "changes": self.sorted().into_iter().map(change).collect::<Vec<_>>(),
        })
    }

    fn print(&self, span: Duration) {
        for (Change { upstream, tool, was, now, rule }, count) in self.sorted() {
            let place = if self.upstreams.len() > 1 { format!(" on {}", visible(upstream)) } else { String::new() };
            let (tool, rule) = (visible(tool), visible(rule));
            say(format!("{} of {tool}{place}: {} → {} ({rule})", calls(count), word(*was), word(*now)));
        }
        let same = self.calls - self.changed() - self.not_judged;
        let days = span.as_secs_f64() / 86_400.0;
        say(format!(
            "{} of the last {days} days: {} would be ruled otherwise, {same} as they were",
            calls(self.calls),
            self.changed()
        ));
        if self.not_judged > 0 {
            say(format!(
                "{} could not be judged: this policy looks at their arguments, which are not kept",
                calls(self.not_judged)
            ));
        }
        if self.by_name > 0 {
            say(format!(
                "{} were judged by the tool's name: only held calls' arguments are kept, and only until they are erased",
                calls(self.by_name)
            ));
        }
    }
}

fn calls(count: u64) -> String {
    format!("{count} {}", if count == 1 { "call" } else { "calls" })
}

fn word(made: Made) -> &'static str {
    match made {
        Made::Allowed => "allowed",
        Made::Held => "held",
        Made::Denied => "denied",
        Made::Limited => "limited",
    }
}
