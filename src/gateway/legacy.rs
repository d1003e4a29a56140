//! The era up to 2025-11-25: `initialize` opens a session, GET listens to the server, DELETE ends it.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;

use super::context::{Context, Route};
use super::endpoint::{Endpoint, not_allowed};
use super::envelope::Message;
use super::error::{DENIED, INTERNAL, INVALID_REQUEST, RpcError};
use super::relay::COMMENT_EVERY;
use super::sessions::{Opening, Session};
use super::sse::Frame;
use super::upstream::{Exchange, Link, UpstreamError};
use super::{checks, intercept, list, relay, respond, sse, stateless};
use crate::call::json::{Node, read_strict};
use crate::policy::MethodRuling;

/// The revisions of this era that Placet speaks, newest first.
pub const VERSIONS: &[&str] = &["2025-11-25", "2025-06-18", "2025-03-26"];
/// What a request without the header is taken for.
const UNNAMED: &str = "2025-03-26";
/// Names the session.
pub const SESSION_HEADER: HeaderName = HeaderName::from_static("mcp-session-id");

/// Answers a message of this era.
///
/// # Errors
/// No such session, or a revision that nobody here speaks.
pub async fn post(
    endpoint: Endpoint,
    headers: &HeaderMap,
    message: &Message<'_>,
    version: Option<&str>,
) -> Result<Response, RpcError> {
    if message.method() == Some("initialize") && message.id().is_some() {
        return initialize(endpoint, headers, message).await;
    }
    let session = session(&endpoint, headers)?;
    check_version(&session, version)?;
    let context = context(endpoint, headers, session)?;
    Ok(intercept::message(&context, message).await.into_response())
}

/// What a message of a session is surrounded by.
///
/// # Errors
/// A header that cannot be forwarded.
pub fn context(endpoint: Endpoint, headers: &HeaderMap, session: Arc<Session>) -> Result<Arc<Context>, RpcError> {
    let Endpoint { gateway, agent, upstream } = endpoint;
    let headers = forwarded(headers)?;
    Ok(Arc::new(Context { gateway, agent, upstream, headers, route: Route::Session(session) }))
}

/// The headers that go along. This era has none that repeat the body, so nobody checked that they do.
fn forwarded(headers: &HeaderMap) -> Result<Vec<(String, String)>, RpcError> {
    let mut headers = stateless::forwarded(headers)?;
    headers.retain(|(name, _)| !matches!(name.as_str(), "mcp-method" | "mcp-name"));
    Ok(headers)
}

/// The session that the headers name.
///
/// # Errors
/// 400 where none is named, 404 where there is none of that name for this agent and upstream.
pub fn session(endpoint: &Endpoint, headers: &HeaderMap) -> Result<Arc<Session>, RpcError> {
    let Some(id) = checks::single(headers, &SESSION_HEADER)? else {
        let message = "This needs a session: send initialize first, then its Mcp-Session-Id with every request.";
        return Err(RpcError::bad(INVALID_REQUEST, message));
    };
    let now = endpoint.gateway.clock().now();
    let session = endpoint.gateway.sessions().get(id, endpoint.agent.id, endpoint.upstream.name(), now);
    session.ok_or_else(|| {
        let message = "There is no such session; it may have ended. Nothing was run: send initialize again.";
        RpcError::bad(INVALID_REQUEST, message).status(StatusCode::NOT_FOUND)
    })
}

/// Checks the revision that the header names.
///
/// # Errors
/// 400 for one that is neither known nor this session's own.
pub fn check_version(session: &Session, header: Option<&str>) -> Result<(), RpcError> {
    let version = header.unwrap_or(UNNAMED);
    if VERSIONS.contains(&version) || version == session.version {
        return Ok(());
    }
    let known = VERSIONS.join(", ");
    let message = format!("Unsupported protocol version in MCP-Protocol-Version. In a session use one of {known}.");
    Err(RpcError::bad(INVALID_REQUEST, message))
}

/// What a client calls itself: the name and version of its `clientInfo`, shown as its own claim.
pub fn client_name(info: &Node<'_>) -> Option<String> {
    let part = |key| info.get(key).and_then(Node::as_str);
    let text = match (part("name")?, part("version")) {
        (name, Some(version)) => format!("{name} {version}"),
        (name, None) => name.to_owned(),
    };
    Some(text.chars().take(200).collect())
}

async fn initialize(endpoint: Endpoint, headers: &HeaderMap, message: &Message<'_>) -> Result<Response, RpcError> {
    if let MethodRuling::Deny { reason, .. } = endpoint.gateway.policy().policy.rule_method("initialize") {
        return Err(RpcError::answer(DENIED, intercept::denied_method("initialize", reason.as_deref())));
    }
    let link = match endpoint.upstream.open(endpoint.agent.id).await {
        Ok(link) => link,
        Err(error) => return Err(could_not_open(&endpoint, &error).await),
    };
    let forwarded = forwarded(headers)?;
    let mut from = match link.send(message.bytes.clone(), &forwarded).await {
        Ok(Exchange::Messages(from)) => from,
        Ok(Exchange::Refused { status, content_type, body }) => {
            return Ok(relay::refused(message.id_text(), status, content_type, body).into_response());
        }
        Ok(Exchange::Accepted) => return Err(relay::lost("The upstream took initialize without answering it")),
        Err(error) => return Err(relay::not_sent(endpoint.upstream.name(), &error)),
    };
    let mut before = Vec::new();
    loop {
        match from.recv().await {
            Some(said) if said.is_response => {
                let session = open_session(&endpoint, message, link, &said.bytes).await;
                for frame in &before {
                    if let (Some(session), Frame::Message(message)) = (&session, frame) {
                        session.hears(message);
                    }
                }
                let id = session.map(|session| session.id.clone());
                let mut response = if before.is_empty() {
                    respond::json(StatusCode::OK, said.bytes)
                } else {
                    before.push(Frame::Message(said.bytes));
                    sse::response(stream::iter(before))
                };
                if let Some(id) = id.and_then(|id| HeaderValue::from_str(&id).ok()) {
                    response.headers_mut().insert(SESSION_HEADER, id);
                }
                return Ok(response);
            }
            Some(said) => before.push(Frame::Message(said.bytes)),
            None => {
                let why = link.ended_because().unwrap_or_else(|| "it ended the connection".to_owned());
                let message = format!("The upstream did not answer initialize: {why}. Nothing was run; try again.");
                return Err(RpcError::answer(INTERNAL, message));
            }
        }
    }
}

/// An upstream of the newer era alone is not reached by `initialize`; the client is told what it speaks.
async fn could_not_open(endpoint: &Endpoint, error: &UpstreamError) -> RpcError {
    match endpoint.upstream.eras().await {
        Ok(eras) if eras.stateless && !eras.sessions => stateless::unsupported("initialize", &[]),
        _ => relay::not_sent(endpoint.upstream.name(), error),
    }
}

/// Opens a session if the upstream agreed.
async fn open_session(
    endpoint: &Endpoint,
    message: &Message<'_>,
    link: Arc<Link>,
    answer: &Bytes,
) -> Option<Arc<Session>> {
    let version = read_strict(answer, &list::LIMITS).ok().and_then(|doc| {
        let result = doc.root().get("result")?;
        Some(result.get("protocolVersion").and_then(Node::as_str).unwrap_or(UNNAMED).to_owned())
    });
    let Some(version) = version else {
        link.close().await;
        return None;
    };
    let gateway = &endpoint.gateway;
    let opening = Opening {
        id: gateway.parts().entropy.token::<32>(),
        agent: endpoint.agent.id,
        upstream: endpoint.upstream.name().clone(),
        link,
        version,
        client: message.param("clientInfo").and_then(client_name),
    };
    let (session, displaced) = gateway.sessions().open(opening, gateway.clock().now());
    if let Some(displaced) = displaced {
        displaced.link.close().await;
    }
    Some(session)
}

/// GET: the messages of the server that belong to no request.
///
/// # Errors
/// 405 where the era or the upstream has no such stream, 404 for an unknown session.
pub async fn listen(endpoint: &Endpoint, headers: &HeaderMap) -> Result<Response, RpcError> {
    let version = era_of_bare_request(endpoint, headers).await?;
    checks::accepts(headers, &["text/event-stream"])?;
    let session = session(endpoint, headers)?;
    check_version(&session, version)?;
    let from = session.link.listen().await.map_err(|error| match error {
        UpstreamError::NoStream { .. } => not_allowed(),
        error => relay::not_sent(endpoint.upstream.name(), &error).status(StatusCode::BAD_GATEWAY),
    })?;
    let (gateway, busy) = (endpoint.gateway.clone(), session.busy());
    let frames = stream::unfold((from, gateway, session, busy), |(mut from, gateway, session, busy)| async move {
        let frame = tokio::select! {
            biased;
            () = gateway.tasks().stopped() => return None,
            said = from.recv() => {
                let said = said?.bytes;
                session.hears(&said);
                Frame::Message(said)
            }
            () = gateway.clock().sleep(COMMENT_EVERY) => Frame::Comment,
        };
        Some((frame, (from, gateway, session, busy)))
    });
    Ok(sse::response(frames))
}

/// DELETE: ends a session.
///
/// # Errors
/// 405 in the stateless era, 404 for an unknown session.
pub async fn end(endpoint: &Endpoint, headers: &HeaderMap) -> Result<Response, RpcError> {
    let version = era_of_bare_request(endpoint, headers).await?;
    let session = session(endpoint, headers)?;
    check_version(&session, version)?;
    endpoint.gateway.sessions().remove(&session.id);
    session.link.close().await;
    Ok(respond::empty(StatusCode::NO_CONTENT))
}

/// The revision of a request without a body; 405 where it is of the era that has none.
async fn era_of_bare_request<'h>(endpoint: &Endpoint, headers: &'h HeaderMap) -> Result<Option<&'h str>, RpcError> {
    let version = checks::single(headers, &stateless::VERSION_HEADER)?;
    if version.is_some_and(|version| stateless::VERSIONS.contains(&version)) {
        return Err(not_allowed());
    }
    let no_sessions = async { endpoint.upstream.eras().await.is_ok_and(|eras| !eras.sessions) };
    if checks::single(headers, &SESSION_HEADER)?.is_none() && no_sessions.await {
        return Err(not_allowed());
    }
    Ok(version)
}
