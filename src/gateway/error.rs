//! JSON-RPC errors that Placet itself answers with: their codes, their text, the HTTP status that goes with them.

use axum::http::StatusCode;

use crate::call::json::{self, JsonError, JsonErrorKind, quote};

/// The body is not JSON.
pub const PARSE: i64 = -32700;
/// JSON, but not a message that may be sent here.
pub const INVALID_REQUEST: i64 = -32600;
/// There is no such method.
pub const METHOD_NOT_FOUND: i64 = -32601;
/// The parameters are not what the method takes.
pub const INVALID_PARAMS: i64 = -32602;
/// Something failed behind Placet, or in it.
pub const INTERNAL: i64 = -32603;
/// 2026-07-28: headers and body do not say the same.
pub const HEADER_MISMATCH: i64 = -32020;
/// 2026-07-28: the server does not speak the requested revision.
pub const UNSUPPORTED_VERSION: i64 = -32022;
/// The policy denies a method. Outside the ranges that JSON-RPC and MCP keep for themselves.
pub const DENIED: i64 = 4030;

/// One error answer, before it has an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcError {
    /// The HTTP status where the answer is one of its own, not a message in a stream.
    pub status: StatusCode,
    /// One of the codes above.
    pub code: i64,
    /// What happened, why, and what to do next.
    pub message: String,
    /// The `data` member as JSON text.
    pub data: Option<String>,
}

impl RpcError {
    /// An error with status 400: the sender must change the message.
    pub fn bad(code: i64, message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code, message: message.into(), data: None }
    }

    /// An error that is the answer to a well-formed request (status 200, as an answer has in both eras).
    pub fn answer(code: i64, message: impl Into<String>) -> Self {
        Self { status: StatusCode::OK, code, message: message.into(), data: None }
    }

    /// The same error under another status.
    pub fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The same error with a `data` member, given as JSON text.
    pub fn data(mut self, data: String) -> Self {
        self.data = Some(data);
        self
    }

    /// What was wrong with a body, where, and why.
    pub fn unreadable(error: &JsonError) -> Self {
        let (code, status) = match error.kind {
            JsonErrorKind::TooLarge => (INVALID_REQUEST, StatusCode::PAYLOAD_TOO_LARGE),
            JsonErrorKind::DuplicateKey(_) | JsonErrorKind::TooDeep | JsonErrorKind::LoneSurrogate => {
                (INVALID_REQUEST, StatusCode::BAD_REQUEST)
            }
            _ => (PARSE, StatusCode::BAD_REQUEST),
        };
        let reason = error.to_string();
        let data = format!(r#"{{"offset":{},"reason":{}}}"#, error.offset, quote(&reason));
        Self { status, code, message: format!("The message was refused, nothing was run: {reason}."), data: Some(data) }
    }

    /// The answer as a JSON-RPC message; `id` is the request's own text, `null` where it could not be read.
    pub fn message(&self, id: &str) -> String {
        let mut text = format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{},"message":"#, self.code);
        json::quote_into(&mut text, &self.message);
        if let Some(data) = &self.data {
            text.push_str(r#","data":"#);
            text.push_str(data);
        }
        text.push_str("}}");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::json::{Limits, read_strict};

    #[test]
    fn says_where_and_why_a_body_was_refused() {
        let refused = |text: &str| {
            let error = read_strict(text.as_bytes(), &Limits::default()).unwrap_err();
            let error = RpcError::unreadable(&error);
            (error.code, error.message("null"))
        };
        let (code, text) = refused(r#"{"a":1,"a":2}"#);
        assert_eq!(code, INVALID_REQUEST);
        assert!(text.contains(r#""offset":7"#) && text.contains("occurs twice"), "{text}");
        assert_eq!(refused("{").0, PARSE);
        assert_eq!(refused("").0, PARSE);
        assert_eq!(refused(r#"{"a":"\ud800"}"#).0, INVALID_REQUEST);
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
    }
}
