//! Pass-through of one request: what the upstream says goes to the agent byte for byte, as JSON where the answer comes
//! alone and soon, as a stream otherwise.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use tokio::sync::{mpsc, oneshot};

use super::context::Context;
use super::envelope::{Id, Message};
use super::error::{HEADER_MISMATCH, INTERNAL, METHOD_NOT_FOUND, RpcError, UNSUPPORTED_VERSION};
use super::respond::Reply;
use super::sessions::Busy;
use super::sse::Frame;
use super::upstream::{self, Exchange, Link, UpstreamError};
use crate::call::UpstreamName;
use crate::call::json::{Limits, Node, quote, read_strict};

/// How long an answer may take before the response begins without it, so that nobody in between gives up.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often an idle stream gives a sign of life.
pub const COMMENT_EVERY: Duration = Duration::from_secs(15);

/// What is done to the answer before the agent gets it.
pub type Edit = Box<dyn FnOnce(Bytes) -> Bytes + Send>;
/// Tells, before anything of the upstream reaches the agent, whether it may.
pub type Gate = oneshot::Receiver<Result<(), RpcError>>;

type Sending = BoxFuture<'static, Result<(Arc<Link>, Exchange), UpstreamError>>;

/// Passes a notification or a response on.
pub async fn pass(context: &Arc<Context>, message: &Message<'_>) -> Reply {
    match context.send(message).await {
        Ok((_, Exchange::Refused { status, content_type, body })) => refused("null", status, content_type, body),
        // Nobody waits for an answer to these.
        Ok(_) => Reply::Accepted,
        Err(error) => Reply::error("null", &unreachable(context, &error).status(StatusCode::BAD_GATEWAY)),
    }
}

/// Passes a request on; the answer comes back through `edit`, and nothing before `gate` allows it. `unsent` is called
/// if the request surely did not reach the upstream.
pub async fn request(
    context: &Arc<Context>,
    message: &Message<'_>,
    id: &Id,
    edit: Option<Edit>,
    gate: Option<Gate>,
    unsent: Option<Box<dyn FnOnce() + Send>>,
) -> Reply {
    let sending: Sending = context.send(message).boxed();
    let busy = context.session().map(|session| session.busy());
    let (context, id) = (Arc::clone(context), id.clone());
    Talk { context, id, stage: Stage::Sending(sending), edit, gate, unsent, _busy: busy }.begin().await
}

/// A request under way at the upstream.
struct Talk {
    context: Arc<Context>,
    id: Id,
    stage: Stage,
    edit: Option<Edit>,
    gate: Option<Gate>,
    unsent: Option<Box<dyn FnOnce() + Send>>,
    _busy: Option<Busy>,
}

enum Stage {
    Sending(Sending),
    Hearing(Arc<Link>, mpsc::Receiver<upstream::Message>),
    Over,
}

/// What comes next of a request.
enum Next {
    /// The upstream says something before its answer.
    Said(Bytes),
    /// The answer.
    Answer(Bytes),
    /// An error of Placet's own in place of the answer.
    Failed(RpcError),
    /// The upstream's HTTP error in place of the answer.
    Refused { status: u16, content_type: Option<String>, body: Bytes },
}

/// What the agent is told where its message did not get through.
pub fn unreachable(context: &Context, error: &UpstreamError) -> RpcError {
    not_sent(context.upstream.name(), error)
}

/// As [`unreachable()`], where there is no context yet.
pub fn not_sent(upstream: &UpstreamName, error: &UpstreamError) -> RpcError {
    tracing::warn!(%upstream, %error, "a message did not reach the upstream");
    let ran = if error.surely_not_sent() { "Nothing was run" } else { "The request may have run" };
    RpcError::answer(INTERNAL, format!("{ran}: {error}."))
}

/// What the agent is told where no answer came.
pub fn lost(what: &str) -> RpcError {
    RpcError::answer(INTERNAL, format!("{what}. The request may have run; look before you repeat it."))
}

/// The upstream's HTTP error as the agent gets it.
pub fn refused(id: &str, status: u16, content_type: Option<String>, body: Bytes) -> Reply {
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
            next = self.next() => Some(next),
            () = clock.sleep(PATIENCE) => None,
        };
        let first = match first {
            None => Frame::Comment,
            Some(Next::Said(message)) => Frame::Message(message),
            Some(Next::Failed(error)) => return Reply::error(&self.id.text, &error),
            Some(Next::Refused { status, content_type, body }) => {
                return refused(&self.id.text, status, content_type, body);
            }
            Some(Next::Answer(message)) => {
                let status = if self.context.is_stateless() { status_of(&message) } else { StatusCode::OK };
                return Reply::One { status, message };
            }
        };
        let rest = stream::unfold(self, |mut talk| async move { Some((talk.frame().await?, talk)) });
        Reply::Stream(stream::iter([first]).chain(rest).boxed())
    }

    /// The next frame of a stream that has begun; `None` once the answer is out.
    async fn frame(&mut self) -> Option<Frame> {
        if matches!(self.stage, Stage::Over) {
            return None;
        }
        let clock = self.context.gateway.clock().clone();
        let next = tokio::select! {
            biased;
            next = self.next() => next,
            () = clock.sleep(COMMENT_EVERY) => return Some(Frame::Comment),
        };
        let message = match next {
            Next::Said(message) | Next::Answer(message) => message,
            Next::Failed(error) => error.message(&self.id.text).into(),
            Next::Refused { status, .. } => {
                let error = format!("The upstream refused the request with HTTP status {status}.");
                RpcError::answer(INTERNAL, error).message(&self.id.text).into()
            }
        };
        Some(Frame::Message(message))
    }

    /// What comes next. May be dropped and called again at any time.
    async fn next(&mut self) -> Next {
        loop {
            match &mut self.stage {
                Stage::Sending(sending) => match sending.await {
                    Ok((link, Exchange::Messages(from))) => self.stage = Stage::Hearing(link, from),
                    Ok((_, Exchange::Accepted)) => {
                        return self.end(Next::Failed(lost("The upstream took the request without answering it")));
                    }
                    Ok((_, Exchange::Refused { status, content_type, body })) => {
                        return self.end(Next::Refused { status, content_type, body });
                    }
                    Err(error) => {
                        if let Some(unsent) = self.unsent.take().filter(|_| error.surely_not_sent()) {
                            unsent();
                        }
                        let error = unreachable(&self.context, &error);
                        return self.end(Next::Failed(error));
                    }
                },
                Stage::Hearing(_, from) => {
                    // Nothing of the upstream gets out before the log has what belongs there.
                    if let Some(gate) = &mut self.gate {
                        let stopped = |_| Err(RpcError::answer(INTERNAL, "Placet is stopping."));
                        let allowed = gate.await.unwrap_or_else(stopped);
                        self.gate = None;
                        if let Err(error) = allowed {
                            return self.end(Next::Failed(error));
                        }
                    }
                    return match from.recv().await {
                        Some(message) if message.is_response => {
                            let edit = self.edit.take();
                            self.end(Next::Answer(edit.map_or(message.bytes.clone(), |edit| edit(message.bytes))))
                        }
                        Some(message) => {
                            if let Some(session) = self.context.session() {
                                session.hears(&message.bytes);
                            }
                            Next::Said(message.bytes)
                        }
                        None => self.end(Next::Failed(lost("The upstream ended the connection before it answered"))),
                    };
                }
                Stage::Over => return Next::Failed(lost("The request was answered already")),
            }
        }
    }

    fn end(&mut self, last: Next) -> Next {
        self.stage = Stage::Over;
        last
    }
}

/// In the stateless era closing the stream cancels the request. Over HTTP the dropped channel closes the connection,
/// which says it; a process must be told.
impl Drop for Talk {
    fn drop(&mut self) {
        let Stage::Hearing(link, _) = &self.stage else { return };
        if !self.context.is_stateless() || link.is_http() {
            return;
        }
        let params = format!(r#"{{"requestId":{},"reason":"the client closed the stream"}}"#, self.id.text);
        let message = format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{params}}}"#);
        let link = Arc::clone(link);
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
