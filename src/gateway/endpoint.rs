//! The HTTP endpoint: the checks that come before the protocol, in their order, and the choice of the era.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use axum::routing::any;
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::envelope::Message;
use super::error::{INTERNAL, INVALID_REQUEST, RpcError};
use super::upstream::Upstream;
use super::{Gateway, batch, checks, legacy, modern, respond, stateless};
use crate::call::UpstreamName;
use crate::call::json::{Limits, read_strict};
use crate::identity::Agent;
use crate::store::StoreError;

/// Arguments may be 1 MiB; this much more may stand around them.
const ENVELOPE_BYTES: usize = 64 * 1024;
/// How long a body may take to arrive.
const BODY: Duration = Duration::from_secs(60);

/// Where a request goes and who sent it, once that is certain.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The gateway.
    pub gateway: Gateway,
    /// Who asks.
    pub agent: Agent,
    /// The upstream that it may use.
    pub upstream: Arc<Upstream>,
}

/// The agents' routes: `/mcp/{upstream}`, and `/mcp` where there is exactly one upstream.
pub fn router(gateway: Gateway) -> Router {
    Router::new().route("/mcp", any(only)).route("/mcp/{upstream}", any(named)).with_state(gateway)
}

async fn only(State(gateway): State<Gateway>, request: Request) -> Response {
    serve(gateway, None, request).await
}

async fn named(State(gateway): State<Gateway>, Path(name): Path<String>, request: Request) -> Response {
    serve(gateway, Some(name), request).await
}

async fn serve(gateway: Gateway, name: Option<String>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let endpoint = match admit(gateway, name, &head.headers).await {
        Ok(endpoint) => endpoint,
        Err(error) => return respond::error(&error, "null"),
    };
    let answer = match head.method {
        Method::POST => post(endpoint, &head.headers, body).await,
        Method::GET => legacy::listen(&endpoint, &head.headers).await,
        Method::DELETE => legacy::end(&endpoint, &head.headers).await,
        _ => Err(not_allowed()),
    };
    answer.unwrap_or_else(|error| {
        let mut response = respond::error(&error, "null");
        if error.status == StatusCode::METHOD_NOT_ALLOWED {
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST, GET, DELETE"));
        }
        response
    })
}

/// The error for a method that this endpoint, or this era, does not have.
pub fn not_allowed() -> RpcError {
    let message = "This endpoint takes POST; GET and DELETE only with the Mcp-Session-Id of an open session.";
    RpcError::bad(INVALID_REQUEST, message).status(StatusCode::METHOD_NOT_ALLOWED)
}

/// Host, origin, token, upstream: who asks for what.
async fn admit(gateway: Gateway, name: Option<String>, headers: &HeaderMap) -> Result<Endpoint, RpcError> {
    gateway.parts().hosts.check_host(headers)?;
    gateway.parts().hosts.check_origin(headers)?;
    let token = checks::bearer(headers)?;
    let agent = gateway.parts().identity.agent_by_token(token).await.map_err(|error| {
        if let StoreError::Changed(_) = error {
            let message = format!("Nothing was run: {error}.");
            return RpcError::bad(INVALID_REQUEST, message).status(StatusCode::FORBIDDEN);
        }
        tracing::error!(%error, "an agent's token could not be looked up");
        RpcError::bad(INTERNAL, "Placet cannot check tokens at the moment. Nothing was run; try again soon.")
            .status(StatusCode::SERVICE_UNAVAILABLE)
    })?;
    let Some(agent) = agent else {
        let message = "This token is not valid: it was mistyped or revoked. An operator makes a new one with \
                       `placet agent add NAME --owner EMAIL`.";
        return Err(RpcError::bad(INVALID_REQUEST, message).status(StatusCode::UNAUTHORIZED));
    };
    let upstreams = &gateway.parts().upstreams;
    let upstream = match name {
        None => upstreams.only().ok_or("There is more than one upstream here, or none: use /mcp/NAME."),
        Some(name) => {
            let found = UpstreamName::new(name).ok().and_then(|name| upstreams.get(&name));
            found.ok_or("There is no upstream of that name here.")
        }
    };
    let upstream = upstream.map_err(|message| {
        let message = format!("{message} The operator of Placet knows which names there are.");
        RpcError::bad(INVALID_REQUEST, message).status(StatusCode::NOT_FOUND)
    })?;
    if !agent.may_use(upstream.name()) {
        let message =
            "This agent may not use that upstream. Its operator grants it with --upstream at `placet agent add`.";
        return Err(RpcError::bad(INVALID_REQUEST, message).status(StatusCode::FORBIDDEN));
    }
    Ok(Endpoint { gateway, agent, upstream })
}

async fn post(endpoint: Endpoint, headers: &HeaderMap, body: Body) -> Result<Response, RpcError> {
    checks::content_type(headers)?;
    checks::accepts(headers, &["application/json", "text/event-stream"])?;
    let limits = Limits { max_bytes: Limits::default().max_bytes + ENVELOPE_BYTES, ..Limits::default() };
    let body = tokio::select! {
        biased;
        body = read(body, limits.max_bytes) => body?,
        () = endpoint.gateway.clock().sleep(BODY) => {
            let message = "The message did not arrive within a minute. Nothing was run; send it again.";
            return Err(RpcError::bad(INVALID_REQUEST, message).status(StatusCode::REQUEST_TIMEOUT));
        }
    };
    let doc = read_strict(&body, &limits).map_err(|error| RpcError::unreadable(&error))?;
    let version = checks::single(headers, &stateless::VERSION_HEADER)?;
    if doc.root().as_array().is_some() {
        return batch::post(&endpoint, headers, &doc, &body, version).await;
    }
    let message = match Message::read(&doc, doc.root(), body.clone()) {
        Ok(message) => message,
        Err((id, error)) => return Ok(respond::error(&error, &id)),
    };
    let answer = if stateless::is_stateless(&message, version) {
        modern::post(endpoint, headers, &message).await
    } else {
        legacy::post(endpoint, headers, &message, version).await
    };
    // From here on errors answer a message whose id is known.
    Ok(answer.unwrap_or_else(|error| respond::error(&error, message.id_text())))
}

async fn read(body: Body, most: usize) -> Result<Bytes, RpcError> {
    match Limited::new(body, most).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let message = format!("The message is larger than the limit of {most} bytes. Nothing was run.");
            Err(RpcError::bad(INVALID_REQUEST, message).status(StatusCode::PAYLOAD_TOO_LARGE))
        }
        Err(_) => Err(RpcError::bad(INVALID_REQUEST, "The message did not arrive completely. Nothing was run.")),
    }
}
