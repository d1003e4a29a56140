//! The era from 2026-07-28 on: every request says in `params._meta` and in headers what it is, and both must agree.

use axum::http::{HeaderMap, HeaderName};
use base64::Engine as _;

use super::checks::single;
use super::envelope::{Kind, Message};
use super::error::{HEADER_MISMATCH, INVALID_PARAMS, INVALID_REQUEST, RpcError, UNSUPPORTED_VERSION};
use crate::call::json::{Node, quote};

/// The stateless revisions that Placet speaks.
pub const VERSIONS: &[&str] = &["2026-07-28"];
/// `_meta`: the revision of this request.
pub const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// `_meta`: what the client can do.
pub const META_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// `_meta`: what the client says it is.
pub const META_CLIENT: &str = "io.modelcontextprotocol/clientInfo";

/// The header that names the revision, in both eras.
pub const VERSION_HEADER: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD_HEADER: HeaderName = HeaderName::from_static("mcp-method");
const NAME_HEADER: HeaderName = HeaderName::from_static("mcp-name");

/// Whether a message belongs to the stateless era: its own `_meta` says so, or its header does.
pub fn is_stateless(message: &Message<'_>, version_header: Option<&str>) -> bool {
    let is_initialize = message.method() == Some("initialize");
    message.meta(META_VERSION).is_some() || (!is_initialize && version_header.is_some_and(|v| VERSIONS.contains(&v)))
}

/// Checks a message of the stateless era against its headers; `legacy` are the further revisions that the upstream
/// can be spoken to with, told to a client that asks for one which nobody speaks.
///
/// # Errors
/// As the specification of 2026-07-28 lays down: -32020 where headers and body differ, -32022 for an unknown
/// revision, -32602 where required `_meta` is missing, all with status 400.
pub fn check(message: &Message<'_>, headers: &HeaderMap, legacy: &[&str]) -> Result<(), RpcError> {
    let method = match &message.kind {
        Kind::Request { method, .. } => method,
        // The revision asks for neither `_meta` nor headers with notifications.
        Kind::Notification { method } => {
            let header = single(headers, &METHOD_HEADER)?.filter(|header| header != method);
            return header.map_or(Ok(()), |header| Err(differs(&METHOD_HEADER, header, method)));
        }
        Kind::Response { .. } => {
            return Err(RpcError::bad(
                INVALID_REQUEST,
                "A server sends no requests in this revision, so a client sends no responses.",
            ));
        }
    };
    let header = |name: &HeaderName| {
        let value = single(headers, name).map_err(|e| RpcError { code: HEADER_MISMATCH, ..e })?;
        value.ok_or_else(|| mismatch(&format!("the header {} is missing", shown(name))))
    };
    let Some(version) = message.meta(META_VERSION).and_then(Node::as_str) else {
        return Err(missing(META_VERSION));
    };
    let in_header = header(&VERSION_HEADER)?;
    if in_header != version {
        return Err(differs(&VERSION_HEADER, in_header, version));
    }
    if !VERSIONS.contains(&version) {
        return Err(unsupported(version, legacy));
    }
    let in_header = header(&METHOD_HEADER)?;
    if in_header != method {
        return Err(differs(&METHOD_HEADER, in_header, method));
    }
    if let Some(member) = named_by(method) {
        let Some(name) = message.param(member).and_then(Node::as_str) else {
            return Err(RpcError::bad(INVALID_PARAMS, format!("{method} needs the string parameter {member}.")));
        };
        let in_header = header(&NAME_HEADER)?;
        match decoded(in_header) {
            Some(told) if told == name => {}
            Some(told) => return Err(differs(&NAME_HEADER, &told, name)),
            None => return Err(mismatch("the header Mcp-Name is not valid =?base64?…?=")),
        }
    }
    match message.meta(META_CAPABILITIES).map(Node::as_object) {
        Some(Some(_)) => Ok(()),
        _ => Err(missing(META_CAPABILITIES)),
    }
}

/// The error for a revision that nobody here speaks.
pub fn unsupported(requested: &str, further: &[&str]) -> RpcError {
    let supported: Vec<_> = VERSIONS.iter().chain(further).map(|version| quote(version)).collect();
    let data = format!(r#"{{"supported":[{}],"requested":{}}}"#, supported.join(","), quote(requested));
    RpcError::bad(UNSUPPORTED_VERSION, "Unsupported protocol version: repeat the request with a supported one.")
        .data(data)
}

/// The parameter that `Mcp-Name` repeats.
fn named_by(method: &str) -> Option<&'static str> {
    match method {
        "tools/call" | "prompts/get" => Some("name"),
        "resources/read" => Some("uri"),
        "tasks/get" | "tasks/update" | "tasks/cancel" => Some("taskId"),
        _ => None,
    }
}

/// The value of a header that may be written as `=?base64?…?=`; `None` if that form is broken.
fn decoded(value: &str) -> Option<String> {
    match value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) {
        None => Some(value.to_owned()),
        Some(encoded) => {
            let bytes = base64::engine::general_purpose::STANDARD.decode(encoded).ok()?;
            String::from_utf8(bytes).ok()
        }
    }
}

fn shown(name: &HeaderName) -> &'static str {
    match name.as_str() {
        "mcp-protocol-version" => "MCP-Protocol-Version",
        "mcp-method" => "Mcp-Method",
        _ => "Mcp-Name",
    }
}

fn differs(name: &HeaderName, header: &str, body: &str) -> RpcError {
    mismatch(&format!("the header {} is {} but the body says {}", shown(name), quote(header), quote(body)))
}

fn mismatch(what: &str) -> RpcError {
    RpcError::bad(HEADER_MISMATCH, format!("Header mismatch: {what}. Nothing was run; make both say the same."))
}

fn missing(key: &str) -> RpcError {
    RpcError::bad(INVALID_PARAMS, format!("params._meta needs {} in this revision. Nothing was run.", quote(key)))
}

/// The headers that go upstream with a message: those of the protocol, never credentials or sessions.
///
/// # Errors
/// 400 for one that stands twice or has characters that a header cannot carry.
pub fn forwarded(headers: &HeaderMap) -> Result<Vec<(String, String)>, RpcError> {
    let ours = |name: &str| {
        matches!(name, "mcp-protocol-version" | "mcp-method" | "mcp-name") || name.starts_with("mcp-param-")
    };
    let names = headers.keys().filter(|name| ours(name.as_str()));
    names
        .map(|name| {
            let value = single(headers, name).map_err(|e| RpcError { code: HEADER_MISMATCH, ..e })?;
            Ok((name.to_string(), value.unwrap_or_default().to_owned()))
        })
        .collect()
}

/// Of the forwarded headers those that belong to the call itself, as its digest covers them.
pub fn call_parameters(forwarded: &[(String, String)]) -> Vec<(String, String)> {
    forwarded.iter().filter(|(name, _)| name.starts_with("mcp-param-")).cloned().collect()
}

#[cfg(test)]
#[path = "stateless_tests.rs"]
mod tests;
