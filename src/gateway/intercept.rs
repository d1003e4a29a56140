//! What becomes of each message: passed through, filtered, denied, or held for people to decide.
//!
//! Only `tools/call` is ever held. Every other method is allowed or denied by name; `tools/list` is shown without
//! what the agent may not use. What is ruled is what the strictly read body says, never a header.

use std::sync::Arc;

use axum::http::StatusCode;
use tokio::sync::oneshot;

use super::context::Context;
use super::envelope::{Id, Kind, Message};
use super::error::{DENIED, INTERNAL, INVALID_PARAMS, INVALID_REQUEST, RpcError};
use super::hold::{self, Asked};
use super::list::{self, View};
use super::relay::{self, Edit};
use super::reply::To;
use super::respond::Reply;
use super::{changed, meta, quota, reads, reason, stateless, wait};
use crate::approvals::{How, NewCall};
use crate::call::arguments::Arguments;
use crate::call::json::{self, Limits, Node, read_strict};
use crate::call::{Requirement, Risk, ToolName};
use crate::in_force::Loaded;
use crate::policy::{self, AskReason, Circumstances, Exceeded, MethodRuling, NotReserved, Policy, Reservation, Ruling};
use crate::telemetry::{self, Ruled};

/// Decides what becomes of a message.
pub async fn message(context: &Arc<Context>, message: &Message<'_>) -> Reply {
    match &message.kind {
        // An answer to what nobody asked could be one to what Placet keeps from the agent: a question about a call that
        // was approved as it stands.
        Kind::Response { id } if context.session().is_some_and(|session| session.may_answer(id)) => {
            relay::pass(context, message).await
        }
        Kind::Response { .. } => {
            let error = "This answers nothing that the server asked here, or answers it again. It was not passed on.";
            Reply::error("null", &RpcError::bad(INVALID_REQUEST, error))
        }
        Kind::Notification { method } => notification(context, message, method).await,
        Kind::Request { id, method } if method == "tools/call" => call(context, message, id).await,
        Kind::Request { id, method } => {
            let loaded = context.gateway.policy();
            if let MethodRuling::Deny { rule, reason } = loaded.policy.rule_method(method) {
                log_denied(context, &rule, Some(method), None).await;
                let error = RpcError::answer(DENIED, denied_method(method, reason.as_deref()));
                return Reply::error(&id.text, &error);
            }
            if let Err(refused) = quota::take_for_method(context, &loaded.policy, id, method).await {
                return refused;
            }
            let edit = (method == "tools/list").then(|| filter_list(context, id, loaded));
            relay::request(context, message, id, edit, None, None).await
        }
    }
}

/// What is said of a method that the policy denies.
pub fn denied_method(method: &str, reason: Option<&str>) -> String {
    let why = reason.map_or(String::new(), |reason| format!(": {reason}"));
    format!("The policy here does not allow {method}{why}. Nothing was run; do not send it again.")
}

async fn notification(context: &Arc<Context>, message: &Message<'_>, method: &str) -> Reply {
    if method == "tools/call" {
        let error = RpcError::bad(INVALID_REQUEST, "tools/call needs an id. Nothing was run; send it as a request.");
        return Reply::error("null", &error);
    }
    if method == "notifications/cancelled"
        && let Some(session) = context.session()
        && let Some(id) = message.param("requestId").and_then(|id| Id::read(message.doc, id))
        && session.cancel(&id)
    {
        return Reply::Accepted;
    }
    if let MethodRuling::Deny { rule, .. } = context.gateway.policy().policy.rule_method(method) {
        log_denied(context, &rule, Some(method), None).await;
        return Reply::Accepted;
    }
    relay::pass(context, message).await
}

/// Cuts out of a list what the agent may not use, and remembers the tools as the upstream lists them.
fn filter_list(context: &Arc<Context>, id: &Id, loaded: Arc<Loaded>) -> Edit {
    let (context, id) = (Arc::clone(context), id.text.clone());
    Box::new(move |answer| {
        if let Ok(doc) = read_strict(&answer, &list::LIMITS)
            && let Some(result) = doc.root().get("result")
        {
            context.upstream.note_tools(doc.slice(result.span));
            context.gateway.parts().pins.listed(context.upstream.name(), list::said(&doc, result));
        }
        let (policy, name) = (&loaded.policy, context.upstream.name());
        let view = View {
            lists: &|tool| policy.lists(name, tool) && !changed::keeps_out(&context, policy, tool),
            asks: &|tool| policy.asks_reason(name, tool),
            offers_wait: changed::may_hold(&context, policy),
            marks_private: context.is_stateless(),
        };
        match list::edit(&answer, &view) {
            Ok(None) => answer,
            Ok(Some(edited)) => edited.into(),
            Err(why) => {
                tracing::warn!(upstream = %name, %why, "a list of tools cannot be filtered, so it was not shown");
                relay::unusable(&id, "The list of tools", &why)
            }
        }
    })
}

/// A `tools/call`, read.
struct Call<'m> {
    id: &'m Id,
    tool: ToolName,
    params: &'m Node<'m>,
    arguments: Option<&'m Node<'m>>,
    /// Why the agent makes it.
    reason: Option<String>,
    to: To,
}

impl<'m> Call<'m> {
    fn read(context: &Context, message: &Message<'m>, id: &'m Id) -> Result<Self, Reply> {
        let to = To { id: id.text.clone(), era: context.era() };
        let invalid = |why: &str| {
            let error = RpcError::answer(INVALID_PARAMS, format!("{why} Nothing was run."));
            Err(Reply::error(&id.text, &error))
        };
        let Some((params, name)) = message.params.and_then(|p| Some((p, p.get("name")?.as_str()?))) else {
            return invalid("tools/call needs the tool's name as the string parameter \"name\".");
        };
        let Ok(tool) = ToolName::new(name) else {
            return Err(Reply::message(to.unknown_tool(&name.chars().take(100).collect::<String>())));
        };
        let arguments = params.get("arguments");
        if let Some(arguments) = arguments {
            if arguments.as_object().is_none() {
                return invalid("The arguments of a tool are a JSON object, or left out.");
            }
            let (size, most) = (arguments.span.end - arguments.span.start, Limits::default().max_bytes);
            if size > most {
                let message = format!("The arguments are larger than the limit of {most} bytes. Nothing was run.");
                let error = RpcError::bad(INVALID_REQUEST, message).status(StatusCode::PAYLOAD_TOO_LARGE);
                return Err(Reply::error(&id.text, &error));
            }
        }
        Ok(Self { id, tool, params, arguments, reason: None, to })
    }

    /// The call as it is handed over to people.
    fn as_held(
        &self,
        context: &Context,
        message: &Message<'_>,
        policy: &Policy,
        rule: String,
        requirement: Requirement,
    ) -> Result<NewCall, Reply> {
        let start = self.params.span.start;
        let arguments = self.arguments.map(|node| Arguments::from_node(message.doc, node)).transpose();
        let Ok(arguments) = arguments else {
            let error = RpcError::answer(INVALID_PARAMS, "The arguments must be an object.");
            return Err(Reply::error(&self.id.text, &error));
        };
        Ok(NewCall {
            agent: context.caller(),
            upstream: context.upstream.name().clone(),
            upstream_config: context.upstream.config_hash(),
            tool_schema: context.upstream.tool(self.tool.as_str()).map(|tool| tool.digest),
            tool: self.tool.clone(),
            params: message.doc.slice(self.params.span).to_owned(),
            arguments_at: self.arguments.map(|node| (node.span.start - start, node.span.end - start)),
            canonical_arguments: arguments.map_or("{}".to_owned(), |arguments| arguments.canonical()),
            headers: stateless::call_parameters(&context.headers),
            policy: policy.version(),
            rule,
            requirement,
            era: context.era(),
            client: context.client(),
            agent_reason: self.reason.clone(),
        })
    }
}

/// Takes a tool call as it goes on: without the reason, where the tool asks for one.
async fn call(context: &Arc<Context>, message: &Message<'_>, id: &Id) -> Reply {
    let call = match Call::read(context, message, id) {
        Ok(call) => call,
        Err(refused) => return refused,
    };
    let loaded = context.gateway.policy();
    let (policy, upstream) = (&loaded.policy, context.upstream.name());
    let takes_one_itself = context.gateway.parts().pins.takes_reason(upstream, &call.tool);
    let asks = policy.asks_reason(upstream, call.tool.as_str()).filter(|_| !takes_one_itself);
    if asks.is_none() {
        return ruled(context, message, call, policy, None).await;
    }
    let reason::Cut { message: left, reason } = match reason::cut(message) {
        Ok(Some(cut)) => cut,
        Ok(None) => return ruled(context, message, call, policy, asks).await,
        Err(why) => return Reply::message(call.to.refused(why)),
    };
    let limits = Limits { max_bytes: usize::MAX, max_depth: json::DEEPEST };
    let again = || {
        let error =
            RpcError::answer(INTERNAL, "The call could not be read without its placet_reason. Nothing was run.");
        Reply::error(&id.text, &error)
    };
    let Ok(doc) = read_strict(&left, &limits) else { return again() };
    let Ok(message) = Message::read(&doc, doc.root(), left.clone()) else { return again() };
    match Call::read(context, &message, id) {
        Ok(call) => ruled(context, &message, Call { reason: Some(reason), ..call }, policy, asks).await,
        Err(refused) => refused,
    }
}

/// Rules a tool call and does what the ruling says.
async fn ruled(
    context: &Arc<Context>,
    message: &Message<'_>,
    call: Call<'_>,
    policy: &Policy,
    asks: Option<AskReason>,
) -> Reply {
    let (id, upstream) = (call.id, context.upstream.name());
    if call.tool.as_str() == list::WAIT && changed::may_hold(context, policy) {
        return wait::wait(context, Asked::new(context, message, id), call.to, call.arguments).await;
    }
    let listed = context.upstream.tool(call.tool.as_str());
    let around = Circumstances {
        agent: Some(context.agent.name.as_str()),
        owner: Some(context.agent.owner.as_str()),
        listed: listed.as_ref().map(|tool| &*tool.facts),
        now: Some(context.gateway.clock().now()),
    };
    let asked = policy::Call { upstream, tool: call.tool.as_str(), arguments: call.arguments, around };
    match context.gateway.parts().pins.rule(policy, upstream, &call.tool, policy.rule(&asked)) {
        Ruling::Deny { rule, hidden: true, .. } => {
            telemetry::ruled(Ruled::Denied);
            log_denied(context, &rule, None, Some(&call.tool)).await;
            Reply::message(call.to.unknown_tool(call.tool.as_str()))
        }
        Ruling::Deny { rule, reason, hidden: false } => {
            telemetry::ruled(Ruled::Denied);
            log_denied(context, &rule, None, Some(&call.tool)).await;
            Reply::message(call.to.denied(reason.as_deref()))
        }
        Ruling::Allow { rule, risk } => {
            if let Some(reply) = rejoined(context, message, &call, policy, &rule).await {
                return reply;
            }
            match quota::take(context, policy, &asked) {
                Ok(reserved) => allowed(context, message, &call, Allowed { policy, rule, risk, reserved }).await,
                Err(NotReserved::Exceeded(limit)) => quota::limited(context, &call.to, &call.tool, limit).await,
                Err(NotReserved::Uncountable(why)) => quota::uncountable(context, &call.to, &call.tool, why).await,
            }
        }
        Ruling::RequireApproval { rule, .. } if reason::is_missing(asks, call.reason.as_deref()) => {
            unexplained(context, message, &call, policy, &rule).await
        }
        Ruling::RequireApproval { rule, requirement } => {
            let reserved = match quota::take(context, policy, &asked) {
                Ok(reserved) => Ok(reserved),
                Err(NotReserved::Exceeded(limit)) => Err(limit),
                Err(NotReserved::Uncountable(why)) => {
                    return quota::uncountable(context, &call.to, &call.tool, why).await;
                }
            };
            held(context, message, call, policy, rule, *requirement, reserved).await
        }
    }
}

struct Allowed<'a> {
    policy: &'a Policy,
    rule: String,
    risk: Option<Risk>,
    reserved: Reservation,
}

/// Forwards a call that needs nobody. The log has it before the upstream does; for a tool that only reads and counts
/// towards no limit, before the agent has the answer.
async fn allowed(context: &Arc<Context>, message: &Message<'_>, call: &Call<'_>, ruled: Allowed<'_>) -> Reply {
    let entry = context
        .entry("call.allowed")
        .tool(&call.tool)
        .with("rule", ruled.rule)
        .with("policy", ruled.policy.version().to_string());
    let store = context.gateway.parts().store.clone();
    let gate = if ruled.risk == Some(Risk::Read) && ruled.reserved.is_empty() {
        let (logged, gate) = oneshot::channel();
        context.gateway.tasks().spawn("log_allowed", async move {
            // Who no longer waits for the answer need not hear of the log.
            let _ =
                logged.send(store.append(entry).await.map_err(|error| not_logged(&error, "The result is withheld")));
        });
        Some(gate)
    } else {
        if let Err(error) = store.append_counted(entry, quota::rows(&ruled.reserved)).await {
            quota::give_back(&context.gateway, ruled.reserved, false);
            return Reply::error(&call.id.text, &not_logged(&error, "Nothing was run"));
        }
        None
    };
    let id = call.id.text.clone();
    let edit: Edit = Box::new(move |answer| match meta::strip(&answer) {
        Ok(None) => answer,
        Ok(Some(stripped)) => stripped.into(),
        Err(why) => relay::unusable(&id, "The tool ran, but its result", &why),
    });
    telemetry::ruled(Ruled::Allowed);
    let gateway = context.gateway.clone();
    let unsent = Box::new(move || quota::give_back(&gateway, ruled.reserved, true));
    relay::request(context, message, call.id, Some(edit), gate, Some(unsent)).await
}

/// While the tool had changed its calls were held. Whoever comes back for one of them gets what became of it, and it
/// does not run a second time, although the policy would let it run by now.
async fn rejoined(
    context: &Arc<Context>,
    message: &Message<'_>,
    call: &Call<'_>,
    policy: &Policy,
    rule: &str,
) -> Option<Reply> {
    if !context.gateway.parts().pins.was_accepted(context.upstream.name(), &call.tool) {
        return None;
    }
    joined(context, message, call, policy, rule).await
}

/// A call that must say why it is made, and does not: nobody is asked, unless it is held already.
async fn unexplained(
    context: &Arc<Context>,
    message: &Message<'_>,
    call: &Call<'_>,
    policy: &Policy,
    rule: &str,
) -> Reply {
    let reply = joined(context, message, call, policy, rule).await;
    reply.unwrap_or_else(|| Reply::message(call.to.refused(reason::NEEDED)))
}

/// The same call, if it is in the hands of people already, or they have answered it.
async fn joined(
    context: &Arc<Context>,
    message: &Message<'_>,
    call: &Call<'_>,
    policy: &Policy,
    rule: &str,
) -> Option<Reply> {
    let new = call.as_held(context, message, policy, rule.to_owned(), policy.plain_requirement()).ok()?;
    match context.gateway.approvals().rejoin(new).await {
        Ok(submitted) => {
            let (asked, to) = (Asked::new(context, message, call.id), call.to.clone());
            Some(hold::hold(context, asked, to, submitted?).await)
        }
        Err(error) => Some(Reply::message(call.to.not_submitted(&error.into()))),
    }
}

/// Hands a call over to people, or joins the same call that they have already.
async fn held(
    context: &Arc<Context>,
    message: &Message<'_>,
    call: Call<'_>,
    policy: &Policy,
    rule: String,
    requirement: Requirement,
    reserved: Result<Reservation, Exceeded>,
) -> Reply {
    let new = match call.as_held(context, message, policy, rule, requirement) {
        Ok(new) => new,
        Err(refused) => return refused,
    };
    let (context, to, asked) = (Arc::clone(context), call.to, Asked::new(context, message, call.id));
    let (done, reply) = oneshot::channel();
    // In a task of its own: a caller that leaves in this very moment must not leave half of it undone.
    context.gateway.clone().tasks().spawn("submit", async move {
        let _ = done.send(submit(&context, new, asked, to, reserved).await);
    });
    reply.await.unwrap_or_else(|_| Reply::error("null", &RpcError::answer(INTERNAL, "Placet is stopping.")))
}

async fn submit(
    context: &Arc<Context>,
    new: NewCall,
    asked: Asked,
    to: To,
    reserved: Result<Reservation, Exceeded>,
) -> Reply {
    let approvals = context.gateway.approvals();
    let reserved = match reserved {
        Ok(reserved) => reserved,
        // Coming back for a call is not calling once more, so it needs no quota.
        Err(limit) => {
            let tool = new.tool.clone();
            return match approvals.rejoin(new).await {
                Ok(Some(submitted)) => hold::hold(context, asked, to, submitted).await,
                Ok(None) => quota::limited(context, &to, &tool, limit).await,
                Err(error) => Reply::message(to.not_submitted(&error.into())),
            };
        }
    };
    match approvals.submit_counted(new, quota::rows(&reserved)).await {
        Ok(submitted) => {
            match submitted.how {
                How::New => {
                    telemetry::ruled(Ruled::Held);
                    // What passed by a standing approval is looked at by nobody.
                    if submitted.call.state.is_pending() {
                        reads::start(context, &submitted.call);
                    }
                }
                How::Joined => quota::give_back(&context.gateway, reserved, false),
            }
            hold::hold(context, asked, to, submitted).await
        }
        Err(error) => {
            quota::give_back(&context.gateway, reserved, false);
            tracing::warn!(%error, "a call was not held");
            Reply::message(to.not_submitted(&error))
        }
    }
}

async fn log_denied(context: &Context, rule: &str, method: Option<&str>, tool: Option<&ToolName>) {
    let mut entry = context.entry(if tool.is_some() { "call.denied" } else { "method.denied" }).with("rule", rule);
    if let Some(tool) = tool {
        entry = entry.tool(tool);
    }
    if let Some(method) = method {
        entry = entry.with("method", method.chars().take(100).collect::<String>());
    }
    append(context, entry).await;
}

/// Logs what was refused. If the log takes nothing, the refusal stands all the same.
pub(super) async fn append(context: &Context, entry: crate::audit::Entry) {
    if let Err(error) = context.gateway.parts().store.append(entry).await {
        tracing::error!(%error, "a refused call was not logged");
    }
}

fn not_logged(error: &dyn std::fmt::Display, consequence: &str) -> RpcError {
    tracing::error!(%error, "an allowed call was not logged");
    let message = format!("Placet could not record this call. {consequence}; the operator finds the cause in the log.");
    RpcError::answer(INTERNAL, message)
}
