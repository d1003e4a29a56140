//! One request of the stateless era.

use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::context::{Context, Route};
use super::endpoint::Endpoint;
use super::envelope::Message;
use super::error::RpcError;
use super::legacy::{VERSIONS as LEGACY, client_name};
use super::stateless::{self, META_CLIENT};
use super::{intercept, relay, respond};

/// Answers a message of the stateless era.
///
/// # Errors
/// Headers and body disagree, or something that the revision requires is missing.
pub async fn post(endpoint: Endpoint, headers: &HeaderMap, message: &Message<'_>) -> Result<Response, RpcError> {
    let eras = endpoint.upstream.eras().await.map_err(|error| relay::not_sent(endpoint.upstream.name(), &error))?;
    if !eras.stateless {
        let words = "The server behind this endpoint speaks revisions up to 2025-11-25 only. Begin with initialize.";
        return Ok(respond::plain(StatusCode::BAD_REQUEST, words));
    }
    stateless::check(message, headers, if eras.sessions { LEGACY } else { &[] })?;
    let client = message.meta(META_CLIENT).and_then(client_name);
    let Endpoint { gateway, agent, upstream } = endpoint;
    let headers = stateless::forwarded(headers)?;
    let context = Arc::new(Context { gateway, agent, upstream, headers, route: Route::Stateless { client } });
    Ok(intercept::message(&context, message).await.into_response())
}
