//! `placet_wait`: an agent that was told "pending" waits here for the decision.

use std::sync::Arc;

use super::context::Context;
use super::hold::{self, Asked, Purpose};
use super::reply::To;
use super::respond::Reply;
use crate::approvals::How;
use crate::call::CallId;
use crate::call::json::Node;

/// Answers with what became of the call, or, once the budget is spent, that it is still open. Only for a call of this
/// agent on this upstream: an id alone proves nothing.
pub async fn wait(context: &Arc<Context>, asked: Asked, to: To, arguments: Option<&Node<'_>>) -> Reply {
    let id = arguments.and_then(|a| a.get("call_id")).and_then(Node::as_str).and_then(|id| id.parse::<CallId>().ok());
    let Some(id) = id else {
        return Reply::message(to.no_such_call());
    };
    let call = match context.gateway.approvals().call(id).await {
        Ok(call) => call,
        Err(crate::store::StoreError::NoSuchCall(_)) => return Reply::message(to.no_such_call()),
        Err(error) => {
            tracing::error!(call = %id, %error, "a call could not be read");
            return Reply::message(to.unreadable());
        }
    };
    if call.submission.agent.id != context.agent.id || call.submission.upstream != *context.upstream.name() {
        return Reply::message(to.no_such_call());
    }
    hold::begin(context, asked, to, call, How::Joined, Purpose::Wait).await
}
