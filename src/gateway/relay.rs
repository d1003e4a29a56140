//! Pass-through of one request: what the upstream says goes to the agent byte for byte, as JSON where the answer comes
//! alone and soon, as a stream otherwise.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::sync::{mpsc, oneshot};

use super::context::Context;
use super::envelope::Id;
use super::error::{HEADER_MISMATCH, INTERNAL, METHOD_NOT_FOUND, RpcError, UNSUPPORTED_VERSION};
use super::respond::Reply;
use super::sessions::Busy;
use super::sse::Frame;
use super::upstream::{Exchange, Link, Message, UpstreamError};
use crate::call::json::{Limits, Node, quote, read_strict};

/// How long an answer may take before the response begins without it, so that nobody in between gives up.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often an idle stream gives a sign of life.
pub const COMMENT_EVERY: Duration = Duration::from_secs(15);

/// What is done to the answer before the agent gets it.
pub type Edit = Box<dyn FnOnce(Bytes) -> Bytes + Send>;
/// Tells, before anything of the upstream reaches the agent, whether it may.
pub type Gate = oneshot::Receiver<Result<(), RpcError>>;

/// A request under way at the upstream.
struct Talk {
    context: Arc<Context>,
    id: Id,
    link: Arc<Link>,
    from: mpsc::Receiver<Message>,
    edit: Option<Edit>,
    gate: Option<Gate>,
    over: bool,
    _busy: Option<Busy>,
}

/// The answer to a message that an upstream took, or did not.
pub async fn reply(
    context: &Arc<Context>,
    id: Option<&Id>,
    sent: Result<(Arc<Link>, Exchange), UpstreamError>,
    edit: Option<Edit>,
    gate: Option<Gate>,
) -> Reply {
    let shown = id.map_or("null", |id| &id.text);
    match (sent, id) {
        (Err(error), _) => {
            tracing::warn!(upstream = %context.upstream.name(), %error, "a message did not reach the upstream");
            Reply::error(shown, &unreachable(&error))
        }
        (Ok((_, Exchange::Refused { status, content_type, body })), _) => refused(shown, status, content_type, body),
        (Ok((link, Exchange::Messages(from))), Some(id)) => {
            let busy = context.session().map(|session| session.busy());
            let (context, id) = (Arc::clone(context), id.clone());
            Talk { context, id, link, from, edit, gate, over: false, _busy: busy }.begin().await
        }
        // Nobody waits for an answer to these.
        (Ok((_, Exchange::Accepted | Exchange::Messages(_))), None) => Reply::Accepted,
        (Ok((_, Exchange::Accepted)), Some(_)) => {
            Reply::error(shown, &lost("The upstream took the request without answering it"))
        }
    }
}

/// What the agent is told where its message did not get through.
pub fn unreachable(error: &UpstreamError) -> RpcError {
    let ran = if error.surely_not_sent() { "Nothing was run" } else { "The request may have run" };
    RpcError::answer(INTERNAL, format!("{ran}: {error}."))
}

fn lost(what: &str) -> RpcError {
    RpcError::answer(INTERNAL, format!("{what}. The request may have run; look before you repeat it."))
}

/// What became of `initialize` where it did not come to an exchange of messages.
pub fn without_session(id: &str, exchange: Exchange) -> Reply {
    match exchange {
        Exchange::Refused { status, content_type, body } => refused(id, status, content_type, body),
        Exchange::Accepted | Exchange::Messages(_) => {
            Reply::error(id, &lost("The upstream took the request without answering it"))
        }
    }
}

fn refused(id: &str, status: u16, content_type: Option<String>, body: Bytes) -> Reply {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    // About Placet's own credentials: the agent must not take it for a word about its own.
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PROXY_AUTHENTICATION_REQUIRED) {
        let message = "The upstream refused Placet's credentials, nothing was run. The operator must renew them in \
                       placet.toml.";
        return Reply::error(id, &RpcError::answer(INTERNAL, message).status(StatusCode::BAD_GATEWAY));
    }
    Reply::Refused { status, content_type: content_type.and_then(|kind| HeaderValue::from_str(&kind).ok()), body }
}

impl Talk {
    async fn begin(mut self) -> Reply {
        let clock = self.context.gateway.clock().clone();
        let first = tokio::select! {
            biased;
            frame = self.next() => frame,
            () = clock.sleep(PATIENCE) => Some(Frame::Comment),
        };
        match first {
            Some(Frame::Message(message)) if self.over => {
                let status = if self.context.is_stateless() { status_of(&message) } else { StatusCode::OK };
                Reply::One { status, message }
            }
            Some(first) => {
                let rest = stream::unfold(self, |mut talk| async move { Some((talk.next().await?, talk)) });
                Reply::Stream(stream::iter([first]).chain(rest).boxed())
            }
            None => Reply::Accepted,
        }
    }

    /// The next frame for the agent; `None` once the answer is out. May be dropped and called again at any time.
    async fn next(&mut self) -> Option<Frame> {
        if self.over {
            return None;
        }
        let clock = self.context.gateway.clock().clone();
        let silence = clock.sleep(COMMENT_EVERY);
        let next = async {
            // Nothing of the upstream gets out before the log has what belongs there.
            if let Some(gate) = &mut self.gate {
                let allowed = gate.await.unwrap_or_else(|_| Err(RpcError::answer(INTERNAL, "Placet is stopping.")));
                self.gate = None;
                allowed?;
            }
            Ok(self.from.recv().await)
        };
        let next: Result<_, RpcError> = tokio::select! {
            biased;
            next = next => next,
            () = silence => return Some(Frame::Comment),
        };
        Some(Frame::Message(match next {
            Ok(Some(message)) if !message.is_response => message.bytes,
            end => {
                self.over = true;
                self.last(end)
            }
        }))
    }

    /// The answer, or what stands in its place.
    fn last(&mut self, end: Result<Option<Message>, RpcError>) -> Bytes {
        match (end, self.edit.take()) {
            (Ok(Some(message)), None) => message.bytes,
            (Ok(Some(message)), Some(edit)) => edit(message.bytes),
            (Ok(None), _) => lost("The upstream ended the connection before it answered").message(&self.id.text).into(),
            (Err(error), _) => error.message(&self.id.text).into(),
        }
    }
}

/// In the stateless era closing the stream cancels the request. Over HTTP the dropped channel closes the connection,
/// which says it; a process must be told.
impl Drop for Talk {
    fn drop(&mut self) {
        if self.over || !self.context.is_stateless() {
            return;
        }
        let params = format!(r#"{{"requestId":{},"reason":"the client closed the stream"}}"#, self.id.text);
        let message = format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{params}}}"#);
        let link = Arc::clone(&self.link);
        self.context.gateway.tasks().spawn("cancel_upstream", async move {
            if let Err(error) = link.send(message.into(), &[]).await {
                tracing::debug!(%error, "a cancel did not reach the upstream");
            }
        });
    }
}

/// The HTTP status that 2026-07-28 asks for with an answer that is an error.
fn status_of(answer: &Bytes) -> StatusCode {
    let short = answer.len() < 64 * 1024 && answer.windows(7).any(|window| window == b"\"error\"");
    let Some(Ok(doc)) = short.then(|| read_strict(answer, &Limits::default())) else { return StatusCode::OK };
    let code = doc.root().pointer("/error/code").and_then(Node::as_number).and_then(|code| code.parse::<i64>().ok());
    match code {
        Some(METHOD_NOT_FOUND) => StatusCode::NOT_FOUND,
        Some(UNSUPPORTED_VERSION..=HEADER_MISMATCH) => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    }
}

/// What the agent is told of a list or result that Placet cannot pass on with certainty.
pub fn unusable(id: &str, what: &str, why: &dyn std::fmt::Display) -> Bytes {
    let message = format!("{what} cannot be passed on, because Placet cannot read it with certainty: {why}.");
    RpcError::answer(INTERNAL, message).data(format!(r#"{{"reason":{}}}"#, quote(&why.to_string()))).message(id).into()
}
