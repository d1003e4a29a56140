//! What people are shown of the state of things: reads that the policy names, made when a call is held, and again when
//! somebody must find out whether a call ran. They are bounded, logged, and never in the way of the hold.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::Gateway;
use super::changed;
use super::context::Context;
use super::upstream::{Link, Upstream};
use crate::audit::Entry;
use crate::call::json::quote;
use crate::call::{AgentId, Answer, ContextRead, ContextResult, HeldCall, ReviewerId, ToolName, UpstreamName};

/// As many reads one call may have.
const MOST: usize = 6;
/// How long all of them together may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// A longer result is not shown; what was read is never shown in part.
const LONGEST: usize = 256 * 1024;

/// Begins the reads of a call that was held just now.
pub fn start(context: &Arc<Context>, call: &HeldCall) {
    if call.submission.requirement.context.is_empty() {
        return;
    }
    let (context, id) = (Arc::clone(context), call.submission.id);
    let reads = call.submission.requirement.context.clone();
    context.gateway.clone().tasks().spawn("context_reads", async move {
        failpoint!("submit.read");
        let reading = Reading {
            gateway: &context.gateway,
            upstream: context.upstream.name(),
            entry: context.entry("context.read").call(id),
            over: match context.session() {
                Some(session) => Over::Session(Arc::clone(&session.link)),
                None => Over::Own(Some(Arc::clone(&context.upstream)), context.agent.id),
            },
        };
        let results = join_all(reads.into_iter().take(MOST).map(|read| reading.one(read))).await;
        failpoint!("submit.was_read");
        let (parts, salt) = (context.gateway.parts(), context.gateway.parts().entropy.bytes());
        let entry = context.entry("context.recorded").call(id).with("count", results.len());
        if let Err(error) = parts.store.set_context(id, results, salt, entry).await {
            tracing::warn!(call = %id, %error, "what was read for the reviewer was not stored");
        }
        failpoint!("submit.noted");
    });
}

/// Makes a call's reads once more, over a link of Placet's own, for a reviewer who must find out whether it ran.
pub async fn again(gateway: &Gateway, call: &HeldCall, by: ReviewerId) -> Vec<ContextResult> {
    let submission = &call.submission;
    let (id, agent, name) = (submission.id, &submission.agent, &submission.upstream);
    let entry = Entry::new("context.read").agent(&agent.name).upstream(name).call(id).reviewer(by);
    let over = Over::Own(gateway.parts().upstreams.get(name), agent.id);
    let reading = Reading { gateway, upstream: name, entry, over };
    let reads = submission.requirement.context.iter().take(MOST).cloned();
    join_all(reads.map(|read| reading.one(read))).await
}

/// What reads go over.
enum Over {
    /// The link of the agent's session.
    Session(Arc<Link>),
    /// A link of Placet's own, on this agent's behalf; `None`: the upstream is no longer configured.
    Own(Option<Arc<Upstream>>, AgentId),
}

/// How reads of one call are made.
struct Reading<'a> {
    gateway: &'a Gateway,
    upstream: &'a UpstreamName,
    /// The entry about each, but for the tool.
    entry: Entry,
    over: Over,
}

impl Reading<'_> {
    async fn one(&self, read: ContextRead) -> ContextResult {
        let ContextRead { tool, arguments } = read;
        let result = match &arguments {
            Err(why) => Err(why.clone()),
            Ok(arguments) => match tokio::time::timeout(PATIENCE, self.answer(&tool, arguments)).await {
                Ok(result) => result,
                Err(_) => Err(format!("it took longer than {} seconds", PATIENCE.as_secs())),
            },
        };
        let at = self.gateway.clock().now();
        ContextResult { tool, arguments: arguments.unwrap_or_default(), at, result }
    }

    async fn answer(&self, tool: &str, arguments: &str) -> Result<String, String> {
        // Asked again here: what the requirement names was checked when the file was read, this is about this policy.
        if !self.gateway.policy().policy.is_reader(self.upstream, tool) {
            return Err("the policy no longer names this tool as a reader".to_owned());
        }
        let name = ToolName::new(tool).map_err(|error| error.to_string())?;
        if changed::is_held_back(self.gateway, &self.gateway.policy().policy, self.upstream, &name) {
            return Err("the tool has changed what it says of itself, and nobody has accepted that".to_owned());
        }
        let entry = self.entry.clone().tool(&name);
        self.gateway.parts().store.append(entry).await.map_err(|error| format!("it could not be logged: {error}"))?;
        let link = match &self.over {
            Over::Session(link) => Arc::clone(link),
            Over::Own(Some(upstream), agent) => upstream.own(*agent).await.map_err(|error| error.to_string())?,
            Over::Own(None, _) => return Err("the upstream is no longer configured".to_owned()),
        };
        let params = format!(r#"{{"name":{},"arguments":{}}}"#, quote(tool), arguments);
        let answer = link.request("tools/call", &params, &[], PATIENCE).await.map_err(|error| error.to_string())?;
        match answer {
            Answer::Result(result) if result.len() > LONGEST => Err(format!("it answered {} bytes", result.len())),
            Answer::Result(result) => Ok(result),
            Answer::Error(_) => Err("it answered with an error".to_owned()),
        }
    }
}
