//! JSON-RPC batches, which only revision 2025-03-26 has: split, every member ruled for itself, answered together.

use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::{self, select_all};

use super::endpoint::Endpoint;
use super::envelope::Message;
use super::error::{INVALID_REQUEST, RpcError};
use super::respond::{self, Reply};
use super::sse;
use super::{intercept, legacy, stateless};
use crate::call::json::Document;

/// The one revision with batches.
const REVISION: &str = "2025-03-26";
/// As many messages one batch may have.
const MOST: usize = 100;

/// Answers a batch; `body` are the bytes of `doc`.
///
/// # Errors
/// Another revision, no session, an empty or too large batch: nothing of it is run.
pub async fn post(
    endpoint: &Endpoint,
    headers: &HeaderMap,
    doc: &Document<'_>,
    body: &Bytes,
    version: Option<&str>,
) -> Result<Response, RpcError> {
    let refuse =
        |why: &str| Err(RpcError::bad(INVALID_REQUEST, format!("The batch was refused, nothing was run: {why}")));
    if version.is_some_and(|version| stateless::VERSIONS.contains(&version)) {
        return refuse("this revision has no batches. Send each message by itself.");
    }
    let session = legacy::session(endpoint, headers)?;
    legacy::check_version(&session, version)?;
    if session.version != REVISION {
        return refuse("only sessions of revision 2025-03-26 have batches. Send each message by itself.");
    }
    let members = doc.root().as_array().unwrap_or_default();
    if members.is_empty() || members.len() > MOST {
        return refuse("a batch has 1 to 100 messages.");
    }
    let context = legacy::context(endpoint.clone(), headers, session)?;
    let members = members.iter().map(|node| {
        let bytes = body.slice(node.span.start..node.span.end);
        let (context, message) = (&context, Message::read(doc, node, bytes));
        async move {
            match message {
                Ok(message) if message.method() == Some("initialize") => {
                    let error = RpcError::bad(INVALID_REQUEST, "initialize must not be part of a batch.");
                    Reply::error(message.id_text(), &error).into_frames(None)
                }
                Ok(message) => {
                    let id = message.id().map(|id| id.text.as_str());
                    intercept::message(context, &message).await.into_frames(id)
                }
                Err((id, error)) => Reply::error(&id, &error).into_frames(None),
            }
        }
    });
    let mut frames = select_all(join_all(members).await);
    // Notifications and responses alone are taken without an answer.
    match frames.next().await {
        None => Ok(respond::empty(StatusCode::ACCEPTED)),
        Some(first) => Ok(sse::response(stream::iter([first]).chain(frames).boxed())),
    }
}
