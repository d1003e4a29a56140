//! What the pages tell of the rest of the service: banners, and what agents may do.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::call::{ContextResult, GroupName, HeldCall, Millis, OnTimeout, Requirement, ReviewerId, UpstreamName, json};
use crate::gateway::upstream::{KnownTool, Upstreams};
use crate::gateway::{self, Gateway};
use crate::in_force::{InForce, Loaded};
use crate::policy::{Call, LimitUse, Policy, Ruling, Scope};
use crate::review::view::policy::{self as page, Broken, Status, Tool};
use crate::review::view::{Banner, Text, Time};
use crate::review::{Overview, ToolsOverview};
use crate::store::{BoxFuture, Store};

/// Tells it from the policy in force and the upstreams as they are.
#[derive(Debug)]
pub struct Whole {
    /// The policy in force.
    pub policy: Arc<InForce>,
    /// The servers behind.
    pub upstreams: Upstreams,
    /// Who asks them.
    pub gateway: Gateway,
    /// So many calls may be read about again at once.
    pub readings: Semaphore,
    /// The database.
    pub store: Store,
    /// How each upstream is reached, without secrets.
    pub reached: Vec<(UpstreamName, String)>,
    /// Whether mails leave at all.
    pub mails: bool,
}

/// Mails that wait longer than this are told of: by then at least one attempt has failed.
const LATE: std::time::Duration = std::time::Duration::from_secs(120);

impl Overview for Whole {
    fn banners(&self, now: Millis) -> BoxFuture<'_, Vec<Banner>> {
        Box::pin(async move {
            let mut banners = Vec::new();
            if let Some(trouble) = self.policy.trouble() {
                let problem = trouble.problems.lines().next().unwrap_or_default();
                let since = Time::new(trouble.since.0, now.0);
                banners.push(Banner::PolicyBroken { since, problem: Text::new(problem) });
            }
            if self.mails {
                match self.store.oldest_waiting_mail().await {
                    Ok(Some((since, waiting))) if now.since(since) > LATE => {
                        banners.push(Banner::MailFailing { since: Time::new(since.0, now.0), waiting });
                    }
                    Ok(_) => {}
                    Err(error) => tracing::error!(%error, "the state of the mails could not be read"),
                }
            }
            banners
        })
    }

    fn read_again<'a>(&'a self, call: &'a HeldCall, by: ReviewerId) -> BoxFuture<'a, Option<Vec<ContextResult>>> {
        Box::pin(async move {
            let _reading = self.readings.try_acquire().ok()?;
            Some(gateway::read_again(&self.gateway, call, by).await)
        })
    }

    fn tools(&self, now: Millis) -> BoxFuture<'_, ToolsOverview> {
        Box::pin(async move {
            let loaded = self.policy.loaded();
            let upstreams = self.reached.iter().map(|(name, reached)| self.upstream(&loaded, name, reached)).collect();
            let broken = self.policy.trouble().map(|trouble| Broken {
                at: Time::new(trouble.since.0, now.0),
                problems: trouble.problems.lines().map(Text::new).collect(),
            });
            ToolsOverview {
                file: self.policy.path().display().to_string(),
                version: loaded.policy.version().short(),
                loaded: loaded.at,
                default: if loaded.policy.default_allows() { page::Ruling::Allow } else { page::Ruling::Deny },
                broken,
                upstreams,
            }
        })
    }
}

impl Whole {
    fn upstream(&self, loaded: &Loaded, name: &UpstreamName, reached: &str) -> page::Upstream {
        let known = self.upstreams.get(name).map(|upstream| upstream.tools()).unwrap_or_default();
        let tools: Vec<_> = known.iter().map(|tool| described(&loaded.policy, name, tool)).collect();
        page::Upstream {
            name: Text::new(name.as_str()),
            reached: Text::new(reached),
            status: if tools.is_empty() { Status::Idle } else { Status::Up },
            tools: Some(tools).filter(|tools| !tools.is_empty()),
        }
    }
}

fn described(policy: &Policy, upstream: &UpstreamName, tool: &KnownTool) -> Tool {
    let call = Call::new(upstream, &tool.name);
    let (ruling, words, rule) = match policy.rule(&call) {
        Ruling::Allow { rule, .. } => (page::Ruling::Allow, "Runs at once.".to_owned(), rule),
        Ruling::Deny { rule, hidden: true, .. } => {
            (page::Ruling::Hide, "Refused, and agents do not see it.".to_owned(), rule)
        }
        Ruling::Deny { rule, reason, .. } => {
            let why = reason.map(|reason| format!(" {reason}")).unwrap_or_default();
            (page::Ruling::Deny, format!("Refused.{why}"), rule)
        }
        Ruling::RequireApproval { rule, requirement } => (page::Ruling::Ask, asks(&requirement), rule),
    };
    Tool {
        name: Text::new(&tool.name),
        ruling,
        words: Text::new(&words),
        limits: policy.limits(&call).into_iter().filter_map(limit).collect(),
        rule: Text::new(&rule),
        description: description(&tool.json).map(|text| Text::new(&text)),
    }
}

/// The upstream's own words about its tool, shortened: a claim, not a fact.
fn description(tool: &str) -> Option<String> {
    let document = json::read_strict(tool.as_bytes(), &json::Limits::default()).ok()?;
    let text = document.root().get("description")?.as_str()?.trim();
    let short: String = text.chars().take(200).collect();
    Some(if short.len() < text.len() { format!("{short} …") } else { short })
}

fn asks(requirement: &Requirement) -> String {
    let count = requirement.quorum.approvals();
    let people = match (count, requirement.reviewers.as_slice()) {
        (1, []) => "any reviewer".to_owned(),
        (_, []) => format!("{count} reviewers"),
        (1, groups) => format!("a reviewer of {}", listed(groups)),
        (_, groups) => format!("{count} reviewers of {}", listed(groups)),
    };
    let then = match &requirement.on_timeout {
        OnTimeout::Reject => "it does not run".to_owned(),
        OnTimeout::Approve => "the policy approves it".to_owned(),
        OnTimeout::Escalate(groups) => format!("{} is asked as well", listed(groups)),
    };
    format!("Asks {people}; without an answer in {} {then}.", span(requirement.timeout))
}

fn listed(groups: &[GroupName]) -> String {
    groups.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}

/// A limit as a sentence's end; `None` where it only counts, for others to look at.
fn limit(limit: &LimitUse) -> Option<String> {
    let most = limit.most()?;
    let number = most.strip_prefix("up to ").unwrap_or(&most);
    let shared = if limit.scope() == Scope::Global {
        "for all".to_owned()
    } else {
        format!("for each {}", limit.scope().as_str())
    };
    let within = if limit.is_sliding() { "in any" } else { "in" };
    let time = format!("{within} {} {shared}", span(limit.window()));
    Some(match (limit.sums(), limit.adds()) {
        (Some(argument), _) => format!("{argument} {most}, all together, {time}"),
        (_, Some(0)) => format!("only while {} counts {most} {time}", limit.counter().unwrap_or("the counter")),
        (_, Some(1) | None) => format!("{number} {time}"),
        (_, Some(each)) => format!("{number} {time}, of which a call takes {each}"),
    })
}

fn span(span: std::time::Duration) -> String {
    match span.as_secs() {
        seconds if seconds < 60 => format!("{seconds} s"),
        seconds if seconds % 86_400 == 0 => format!("{} d", seconds / 86_400),
        seconds if seconds % 3600 == 0 => format!("{} h", seconds / 3600),
        seconds if seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Defaults, parse};

    #[test]
    fn limits_are_told_in_words() {
        let text = r#"{"version": "1", "tools": {"pay": {"limits": [
            {"counter": "a", "window": "minute", "max": 30},
            {"counter": "b", "window": "hour", "sliding": true, "max": 5, "scope": "global"},
            {"counter": "c", "window": "day", "add": "args.amount", "max": 99.50, "scope": "agent"},
            {"counter": "d", "window": "day", "add": 5, "max": 20},
            {"counter": "e", "of": "_global", "window": "day", "add": 0, "max": 2, "scope": "tool"}],
            "rate_limit": {"max": 10, "window": 90}}}}"#;
        let defaults = Defaults { timeout: std::time::Duration::from_secs(900), upstreams: vec![] };
        let policy = parse(text, &defaults).unwrap().policy;
        let upstream = UpstreamName::new("bank").unwrap();
        let limits = policy.limits(&Call::new(&upstream, "pay"));
        let words: Vec<_> = limits.into_iter().filter_map(limit).collect();
        assert_eq!(
            words,
            [
                "30 in 1 min for each agent and upstream",
                "5 in any 1 h for all",
                "args.amount up to 99.5, all together, in 1 d for each agent",
                "20 in 1 d for each agent and upstream, of which a call takes 5",
                "only while e counts up to 2 in 1 d for each tool",
                "10 in 90 s for each agent and upstream",
            ]
        );
    }
}
