//! What the pages tell of the rest of the service: banners, and what agents may do.

mod changed;
mod trial;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::approvals::Ineligible;
use crate::call::{
    ContextResult, GroupName, HeldCall, Millis, OnTimeout, Requirement, ReviewerId, Risk, ToolName, UpstreamName, json,
};
use crate::gateway::upstream::{KnownTool, Upstreams};
use crate::gateway::{self, Gateway};
use crate::in_force::{InForce, Loaded};
use crate::pins::Pins;
use crate::policy::classify::{Tool as Listed, Verdict, class_name, classify};
use crate::policy::{Call, Conditions, LimitUse, Policy, Ruling, Scope};
use crate::review::view::policy::{self as page, Broken, Status, Tool};
use crate::review::view::tool::path as tool_path;
use crate::review::view::tried::{Tried, TryForm};
use crate::review::view::{Banner, Text, Time};
use crate::review::{Hypothetical, Overview, ToolNews, ToolOverview, ToolsOverview};
use crate::store::{Acceptance, Agent, BoxFuture, NotAccepted, Store, StoreError, ToolCalls};

/// Tells it from the policy in force and the upstreams as they are.
#[derive(Debug)]
pub struct Whole {
    /// The policy in force.
    pub policy: Arc<InForce>,
    /// What the tools say of themselves.
    pub pins: Pins,
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
            banners.extend(changed::banners(&self.pins, &self.policy.loaded().policy, |upstream| {
                self.reached.iter().any(|(name, _)| name == upstream)
            }));
            banners
        })
    }

    fn read_again<'a>(&'a self, call: &'a HeldCall, by: ReviewerId) -> BoxFuture<'a, Option<Vec<ContextResult>>> {
        Box::pin(async move {
            let _reading = self.readings.try_acquire().ok()?;
            Some(gateway::read_again(&self.gateway, call, by).await)
        })
    }

    fn tool<'a>(
        &'a self,
        upstream: &'a UpstreamName,
        tool: &'a ToolName,
    ) -> BoxFuture<'a, Result<Option<ToolOverview>, StoreError>> {
        Box::pin(changed::tool(&self.pins, self.policy.loaded(), upstream, tool))
    }

    fn accept(&self, acceptance: Acceptance) -> BoxFuture<'_, Result<Result<(), NotAccepted<Ineligible>>, StoreError>> {
        Box::pin(changed::accept(&self.pins, self.policy.loaded(), acceptance))
    }

    fn tool_news(&self, call: &HeldCall) -> Option<ToolNews> {
        changed::news(&self.pins, &self.policy.loaded().policy, call)
    }

    fn form(&self) -> BoxFuture<'_, TryForm> {
        Box::pin(async move {
            let names = self.upstreams.names();
            let known = names.iter().filter_map(|name| self.upstreams.get(name));
            let tools = known.flat_map(|upstream| upstream.tools()).map(|tool| tool.name);
            // A name that hides something would be picked without being seen.
            let mut tools: Vec<_> = tools.filter(|name| !Text::new(name).has_badges()).collect();
            tools.sort();
            tools.dedup();
            TryForm {
                upstreams: names.iter().map(ToString::to_string).collect(),
                agents: self.agents().await.iter().map(|agent| agent.name.to_string()).collect(),
                tools,
                ..TryForm::default()
            }
        })
    }

    fn tried<'a>(&'a self, asked: &'a Hypothetical) -> BoxFuture<'a, Tried> {
        Box::pin(async move { self.try_call(asked, &self.agents().await, self.store.now()) })
    }

    fn tools(&self, now: Millis) -> BoxFuture<'_, ToolsOverview> {
        Box::pin(async move {
            let loaded = self.policy.loaded();
            let known = self.known(now).await;
            let upstreams = self.reached.iter().map(|(name, reached)| self.upstream(&loaded, name, reached, &known));
            let upstreams = upstreams.collect();
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

/// What the database knows of agents and calls.
struct Known {
    now: Millis,
    agents: Vec<Agent>,
    calls: BTreeMap<(String, String), ToolCalls>,
}

impl Whole {
    /// A page about tools is shown without what cannot be read.
    async fn known(&self, now: Millis) -> Known {
        let unread = |error: &dyn std::fmt::Display| tracing::error!(%error, "the tools page is not whole");
        let calls = self.store.tool_calls().await.inspect_err(|error| unread(error)).unwrap_or_default();
        Known { now, agents: self.agents().await, calls }
    }

    /// The agents that are there, by name.
    async fn agents(&self) -> Vec<Agent> {
        let agents = self.store.agents().await;
        let agents = agents.inspect_err(|error| tracing::error!(%error, "the agents could not be read"));
        agents.unwrap_or_default().into_iter().filter(|agent| agent.revoked_at.is_none()).collect()
    }

    /// What a tool is taken for.
    fn judged(&self, upstream: &UpstreamName, tool: &str) -> Verdict {
        let known = self.upstreams.get(upstream).and_then(|upstream| upstream.tool(tool));
        let listed = known.map_or_else(|| Listed::named(tool), |known| Listed::read(tool, &known.json));
        classify(upstream.as_str(), &listed)
    }

    fn upstream(&self, loaded: &Loaded, name: &UpstreamName, reached: &str, known: &Known) -> page::Upstream {
        let tools = self.upstreams.get(name).map(|upstream| upstream.tools()).unwrap_or_default();
        let tools: Vec<_> = tools.iter().map(|tool| self.described(&loaded.policy, name, tool, known)).collect();
        let users = known.agents.iter().filter(|agent| agent.may_use(name));
        page::Upstream {
            agents: users.map(|agent| Text::new(agent.name.as_str())).collect(),
            name: Text::new(name.as_str()),
            reached: Text::new(reached),
            status: if tools.is_empty() { Status::Idle } else { Status::Up },
            tools: Some(tools).filter(|tools| !tools.is_empty()),
        }
    }
}

impl Whole {
    fn described(&self, policy: &Policy, upstream: &UpstreamName, tool: &KnownTool, known: &Known) -> Tool {
        let outline = policy.outline(upstream, &tool.name);
        let depends = outline.conditions != Conditions::default();
        let (ruling, words, rule) = ruled(outline.ruling);
        let words = depending(words, &outline.conditions);
        let ruling = if depends { page::Ruling::Depends } else { ruling };
        let call = Call::new(upstream, &tool.name);
        let verdict = self.judged(upstream, &tool.name);
        let calls = known.calls.get(&(upstream.to_string(), tool.name.clone()));
        Tool {
            name: Text::new(&tool.name),
            ruling,
            words: Text::new(&words),
            limits: policy.limits(&call).into_iter().filter_map(limit).collect(),
            rule: Text::new(&rule),
            class: class_name(verdict.class),
            why: Text::new(policy.note(upstream, &tool.name).unwrap_or(&verdict.why)),
            called: calls.map(|calls| (called(calls), Time::new(calls.last.0, known.now.0))),
            description: description(&tool.json).map(|text| Text::new(&text)),
            page: tool_path(upstream.as_str(), &tool.name),
            changed: changed::effect_now(&self.pins, policy, upstream, &tool.name),
        }
    }
}

/// The sentence, with what the ruling depends on.
fn depending(words: String, conditions: &Conditions) -> String {
    let mut words = match &conditions.asks_if {
        Some(when) => format!("Where {when}: {words} Otherwise it runs at once."),
        None => words,
    };
    if !conditions.refused_unless.is_empty() {
        words += &format!(" Refused unless {}.", conditions.refused_unless.join(", and "));
    }
    if !conditions.refused_if.is_empty() {
        words += &format!(" Refused where {}.", conditions.refused_if.join(", or "));
    }
    words
}

/// A ruling that holds whatever the arguments: in a word, in a sentence, and its rule.
fn ruled(ruling: Ruling) -> (page::Ruling, String, String) {
    match ruling {
        Ruling::Allow { rule, risk } => (page::Ruling::Allow, format!("Runs at once.{}", declared(risk)), rule),
        Ruling::Deny { rule, hidden: true, .. } => {
            (page::Ruling::Hide, "Refused, and agents do not see it.".to_owned(), rule)
        }
        Ruling::Deny { rule, reason, .. } => {
            let why = reason.map(|reason| format!(" {reason}")).unwrap_or_default();
            (page::Ruling::Deny, format!("Refused.{why}"), rule)
        }
        Ruling::RequireApproval { rule, requirement } => {
            let words = format!("{}{}", asks(&requirement), declared(requirement.risk));
            (page::Ruling::Ask, words, rule)
        }
    }
}

/// The risk that the policy itself declares, as a further sentence.
fn declared(risk: Option<Risk>) -> String {
    risk.map_or_else(String::new, |risk| format!(" Declared risk: {}.", risk.as_str()))
}

/// How often a tool was called.
fn called(calls: &ToolCalls) -> String {
    let times = |count: u64| if count == 1 { "once".to_owned() } else { format!("{count} times") };
    let parts = [(calls.held, "held"), (calls.denied, "refused"), (calls.limited, "over a limit")];
    let parts: Vec<_> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    let of_them = if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) };
    format!("Called {}{of_them}", times(calls.total()))
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
