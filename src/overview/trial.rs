//! What would happen to a call that somebody wrote down on the tools page: nothing is counted, held or forwarded.

use super::{Whole, asks, limit, listed, span};
use crate::call::json::{self, JsonErrorKind, Limits};
use crate::call::{Millis, OnTimeout, ReleaseWhen, Requirement, ToolName};
use crate::policy::classify::class_name;
use crate::policy::rehearse::{Decision, Ruled, ruled};
use crate::policy::{AskReason, Call, Circumstances, Policy};
use crate::review::Hypothetical;
use crate::review::view::Text;
use crate::review::view::policy::Ruling;
use crate::review::view::tried::{Answer, Tried};
use crate::store::Agent;

/// Arguments may be nested as deep as they may be within a message.
const AROUND: usize = 2;

impl Whole {
    /// Rules the call as the gateway would.
    pub(super) fn try_call(&self, asked: &Hypothetical, agents: &[Agent], now: Millis) -> Tried {
        let refused = |why: &str| Tried::Refused(Text::new(why));
        let upstream = self.upstreams.names().into_iter().find(|name| name.as_str() == asked.upstream);
        let Some(upstream) = upstream else { return refused("No upstream is called so.") };
        let Ok(tool) = ToolName::new(asked.tool.as_str()) else { return refused("A tool's name has 1 to 512 bytes.") };
        let agent = agents.iter().find(|agent| agent.name.as_str() == asked.agent);
        if !asked.agent.is_empty() {
            match agent {
                None => return refused("No agent is called so, or it was revoked."),
                Some(agent) if !agent.may_use(&upstream) => {
                    return refused("This agent may not use that upstream: it is refused before the policy is asked.");
                }
                Some(_) => {}
            }
        }
        let loaded = self.policy.loaded();
        let listed = self.upstreams.get(&upstream).and_then(|upstream| upstream.tool(&asked.tool));
        let around = Circumstances {
            agent: agent.map(|agent| agent.name.as_str()),
            owner: agent.map(|agent| agent.owner.as_str()),
            listed: listed.as_ref().map(|tool| &*tool.facts),
            now: Some(now),
        };
        let call = Call { around, ..Call::new(&upstream, &asked.tool) };
        let text = asked.arguments.as_str();
        if text.trim().is_empty() {
            return self.answered(&loaded.policy, &tool, &call);
        }
        let limits = Limits { max_depth: Limits::default().max_depth - AROUND, ..Limits::default() };
        let document = match json::read_strict(text.as_bytes(), &limits) {
            Ok(document) => document,
            Err(error) => {
                let (line, column) = json::line_column(text, error.offset);
                return Tried::Unreadable { line, column, problem: Text::new(&problem(&error.kind)) };
            }
        };
        if document.root().as_object().is_none() {
            let problem = Text::new("the arguments of a tool are a JSON object: { … }");
            return Tried::Unreadable { line: 1, column: 1, problem };
        }
        let arguments = Some(document.root());
        self.answered(&loaded.policy, &tool, &Call { arguments, ..call })
    }

    fn answered(&self, policy: &Policy, tool: &ToolName, call: &Call<'_>) -> Tried {
        let hidden = !policy.lists(call.upstream, call.tool);
        let Ruled { decision, rule, reason, requirement, .. } =
            ruled(self.pins.rule(policy, call.upstream, tool, policy.rule(call)));
        let rule = rule.unwrap_or_default();
        let (ruling, words, told) = match decision {
            Decision::Allow => (Ruling::Allow, "It runs at once, unless a limit is reached.".to_owned(), None),
            Decision::Deny if hidden && rule.starts_with("/hide/") => {
                (Ruling::Hide, "It is refused as a tool that does not exist.".to_owned(), None)
            }
            Decision::Deny => (Ruling::Deny, "It is refused.".to_owned(), reason),
            Decision::RequireApproval => (Ruling::Ask, requirement.as_deref().map(asks).unwrap_or_default(), reason),
        };
        let limits = if decision == Decision::Deny { Vec::new() } else { policy.limits(call) };
        let takes_one_itself = self.pins.takes_reason(call.upstream, tool);
        let asks_reason = policy.asks_reason(call.upstream, call.tool).filter(|_| !takes_one_itself);
        let verdict = self.judged(call.upstream, call.tool);
        Tried::Ruled(Box::new(Answer {
            ruling,
            words: Text::new(&words),
            rule: Text::new(&rule),
            told: told.map(|told| Text::new(&told)),
            asks: requirement.as_deref().map(|it| further(it, asks_reason)).unwrap_or_default(),
            limits: limits.iter().filter_map(|one| Some((limit(one)?, Text::new(&one.rule)))).collect(),
            class: class_name(verdict.class),
            why: Text::new(&verdict.why),
        }))
    }
}

/// What is wrong with a text at the place that is told beside it.
fn problem(kind: &JsonErrorKind) -> String {
    match kind {
        JsonErrorKind::TooLarge => "the arguments are larger than 1 MiB".to_owned(),
        JsonErrorKind::NotUtf8 => "this is not UTF-8".to_owned(),
        JsonErrorKind::ByteOrderMark => "the text begins with a byte order mark".to_owned(),
        JsonErrorKind::TooDeep => "objects and lists are nested too deep".to_owned(),
        JsonErrorKind::DuplicateKey(key) => {
            let key: String = key.chars().take(80).collect();
            format!("the key {} stands in one object twice", json::quote(&key))
        }
        JsonErrorKind::LoneSurrogate => "this \\u escape is half of a surrogate pair".to_owned(),
        JsonErrorKind::ControlCharacter(byte) => {
            format!("the control character U+{byte:04X} must be escaped in a string")
        }
        JsonErrorKind::Empty => "there is nothing".to_owned(),
        JsonErrorKind::TrailingText => "something follows the end of the object".to_owned(),
        JsonErrorKind::Syntax(expected) => format!("this is not JSON: {expected}"),
    }
}

/// What is asked beside who decides and until when.
fn further(requirement: &Requirement, asks_reason: Option<AskReason>) -> Vec<String> {
    let mut said = Vec::new();
    if requirement.tool_changed.is_some() {
        said.push("The tool has changed what it says of itself, and nobody has accepted that.".to_owned());
    }
    match asks_reason {
        Some(AskReason::Required) => said.push("It is refused if the agent does not say why it makes it.".to_owned()),
        Some(AskReason::Asked) => said.push("The agent is asked why it makes it.".to_owned()),
        None => {}
    }
    if let Some(risk) = requirement.risk {
        said.push(format!("The policy declares the risk {}.", risk.as_str()));
    }
    if requirement.require_reason {
        said.push("An approval needs a reason.".to_owned());
    }
    if requirement.self_approval {
        said.push("The agent's owner may decide, where the service allows that.".to_owned());
    }
    if requirement.release == ReleaseWhen::OnReturn {
        said.push("Once approved it runs when the agent calls again.".to_owned());
    }
    said.push(format!("An approval can be used for {}.", span(requirement.execute_within)));
    if let OnTimeout::Escalate(groups) = &requirement.on_timeout {
        said.push(format!("After {} {} is asked as well.", span(requirement.timeout), listed(groups)));
    }
    for read in &requirement.context {
        said.push(match &read.arguments {
            Ok(_) => format!("Reviewers are shown what {} returns.", read.tool),
            Err(why) => format!("Reviewers would be shown what {} returns, but: {why}.", read.tool),
        });
    }
    said
}
