//! What the reviewer is shown of the state of things: reads that the policy names, made when a call is held. They are
//! bounded, logged, and never in the way of the hold.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::context::Context;
use crate::call::json::quote;
use crate::call::{Answer, CallId, ContextRead, ContextResult, HeldCall, ToolName};

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
        let results = join_all(reads.into_iter().take(MOST).map(|read| one(&context, id, read))).await;
        failpoint!("submit.was_read");
        if let Err(error) = context.gateway.parts().store.set_context(id, results).await {
            tracing::warn!(call = %id, %error, "what was read for the reviewer was not stored");
        }
        failpoint!("submit.noted");
    });
}

async fn one(context: &Arc<Context>, call: CallId, read: ContextRead) -> ContextResult {
    let ContextRead { tool, arguments } = read;
    let result = match &arguments {
        Err(why) => Err(why.clone()),
        Ok(arguments) => match tokio::time::timeout(PATIENCE, answer(context, call, &tool, arguments)).await {
            Ok(result) => result,
            Err(_) => Err(format!("it took longer than {} seconds", PATIENCE.as_secs())),
        },
    };
    let at = context.gateway.clock().now();
    ContextResult { tool, arguments: arguments.unwrap_or_default(), at, result }
}

async fn answer(context: &Arc<Context>, call: CallId, tool: &str, arguments: &str) -> Result<String, String> {
    // Asked again here: what the requirement names was checked when the file was read, this is about this policy.
    if !context.gateway.policy().policy.is_reader(context.upstream.name(), tool) {
        return Err("the policy no longer names this tool as a reader".to_owned());
    }
    let name = ToolName::new(tool).map_err(|error| error.to_string())?;
    let entry = context.entry("context.read").call(call).tool(&name);
    context.gateway.parts().store.append(entry).await.map_err(|error| format!("it could not be logged: {error}"))?;
    let link = match context.session() {
        Some(session) => Arc::clone(&session.link),
        None => context.upstream.own(context.agent.id).await.map_err(|error| error.to_string())?,
    };
    let params = format!(r#"{{"name":{},"arguments":{}}}"#, quote(tool), arguments);
    let answer = link.request("tools/call", &params, &[], PATIENCE).await.map_err(|error| error.to_string())?;
    match answer {
        Answer::Result(result) if result.len() > LONGEST => Err(format!("it answered {} bytes", result.len())),
        Answer::Result(result) => Ok(result),
        Answer::Error(_) => Err("it answered with an error".to_owned()),
    }
}
