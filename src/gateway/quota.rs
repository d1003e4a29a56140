//! What calls take from the policy's limits, and what agents are told where one is reached.
//!
//! What a call takes is written down with its log entry, or with the hold, before anything goes on: a process that dies
//! forgets nothing that was forwarded or held.

use super::Gateway;
use super::context::Context;
use super::envelope::Id;
use super::error::{DENIED, INTERNAL, RpcError};
use super::intercept::append;
use super::reply::{To, again};
use super::respond::Reply;
use crate::call::ToolName;
use crate::call::json::quote;
use crate::in_force::counted;
use crate::policy::{self, Exceeded, LimitScope, NotReserved, Policy, Reservation, Uncountable};
use crate::store::CounterRow;
use crate::telemetry::{self, Ruled};

/// Takes what the call needs of its limits, all of it or nothing.
pub(super) fn take(context: &Context, policy: &Policy, call: &policy::Call<'_>) -> Result<Reservation, NotReserved> {
    let &policy::Call { upstream, tool, arguments, .. } = call;
    let who = LimitScope { agent: context.agent.id, upstream, tool, arguments };
    let now = context.gateway.clock().now();
    context.gateway.parts().policy.counters().reserve(&policy.limits(call), &who, now)
}

/// The rows that the store keeps of a reservation.
pub(super) fn rows(reserved: &Reservation) -> Vec<CounterRow> {
    counted(reserved.kept())
}

/// Gives back what a call took that did not go on. `written`: the database has it.
pub(super) fn give_back(gateway: &Gateway, reserved: Reservation, written: bool) {
    let rows = counted(gateway.parts().policy.counters().give_back(reserved, written));
    if rows.is_empty() {
        return;
    }
    let store = gateway.parts().store.clone();
    gateway.tasks().spawn("give_back", async move {
        if let Err(error) = store.count(rows).await {
            tracing::warn!(%error, "that quota was given back is not written down; after a restart it counts as taken");
        }
    });
}

/// Takes what a method that is not a tool call needs of its limits. It is not given back: a method has no outcome of its
/// own.
///
/// # Errors
/// The answer, where it may not go on.
pub(super) async fn take_for_method(context: &Context, policy: &Policy, id: &Id, method: &str) -> Result<(), Reply> {
    let limits = policy.method_limits(method);
    if limits.is_empty() {
        return Ok(());
    }
    let upstream = context.upstream.name();
    let who = LimitScope { agent: context.agent.id, upstream, tool: method, arguments: None };
    let (parts, now) = (context.gateway.parts(), context.gateway.clock().now());
    let reserved = parts.policy.counters().reserve(&limits, &who, now);
    match reserved {
        Ok(reserved) if reserved.is_empty() => Ok(()),
        Ok(reserved) => parts.store.count(rows(&reserved)).await.map_err(|error| {
            tracing::error!(%error, "what a method takes from its limits was not written down");
            give_back(&context.gateway, reserved, false);
            let words =
                "Placet could not record this request. Nothing was run; the operator finds the cause in the log.";
            Reply::error(&id.text, &RpcError::answer(INTERNAL, words))
        }),
        Err(NotReserved::Exceeded(limit)) => Err(limited_method(context, id, method, limit).await),
        Err(NotReserved::Uncountable(why)) => {
            let entry = context.entry("method.denied").with("rule", why.rule.clone()).with("method", short(method));
            append(context, entry).await;
            Err(Reply::error(&id.text, &RpcError::answer(DENIED, format!("{method} was not passed on: {why}."))))
        }
    }
}

fn short(method: &str) -> String {
    method.chars().take(100).collect()
}

async fn limited_method(context: &Context, id: &Id, method: &str, limit: Exceeded) -> Reply {
    telemetry::ruled(Ruled::Limited);
    let Exceeded { rule, retry_at, on_deny } = limit;
    let method = short(method);
    let why = on_deny.map_or(String::new(), |words| format!(": {}", words.trim().trim_end_matches('.')));
    let words =
        format!("{method} was not passed on, because a limit on it is reached{why}. {}", again(retry_at, "sent"));
    append(context, context.entry("call.limited").with("rule", rule).with("method", method)).await;
    let mut error = RpcError::answer(DENIED, words);
    if let Some(at) = retry_at {
        error = error.data(format!(r#"{{"retry_at":{}}}"#, quote(&at.to_string())));
    }
    Reply::error(&id.text, &error)
}

/// A call for which a limit has no room.
pub(super) async fn limited(context: &Context, to: &To, tool: &ToolName, limit: Exceeded) -> Reply {
    telemetry::ruled(Ruled::Limited);
    append(context, context.entry("call.limited").tool(tool).with("rule", limit.rule)).await;
    Reply::message(to.limited(limit.retry_at, limit.on_deny.as_deref()))
}

/// A call that a limit cannot count, so that it is denied.
pub(super) async fn uncountable(context: &Context, to: &To, tool: &ToolName, why: Uncountable) -> Reply {
    telemetry::ruled(Ruled::Denied);
    let entry = context.entry("call.denied").tool(tool).with("reason", why.to_string());
    append(context, entry.with("rule", why.rule.clone())).await;
    Reply::message(to.uncountable(&why.argument, why.why))
}
