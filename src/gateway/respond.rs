//! What comes of one message, before it is known whether it goes out alone, in a stream, or as a member of a batch.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};

use super::error::{INTERNAL, RpcError};
use super::sse::{self, Frame};

/// What comes of one message.
pub enum Reply {
    /// A notification or response was taken.
    Accepted,
    /// One message is the whole answer.
    One {
        /// The status, where it goes out alone.
        status: StatusCode,
        /// The message.
        message: Bytes,
    },
    /// Messages as they come, the answer last.
    Stream(BoxStream<'static, Frame>),
    /// The upstream's own HTTP error.
    Refused {
        /// Its status.
        status: StatusCode,
        /// The body's media type.
        content_type: Option<HeaderValue>,
        /// The body.
        body: Bytes,
    },
}

impl Reply {
    /// An answer that is an error of Placet's own.
    pub fn error(id: &str, error: &RpcError) -> Self {
        Self::One { status: error.status, message: error.message(id).into() }
    }

    /// An answer that is a message.
    pub fn message(message: impl Into<Bytes>) -> Self {
        Self::One { status: StatusCode::OK, message: message.into() }
    }

    /// The HTTP response where the message came alone.
    pub fn into_response(self) -> Response {
        match self {
            Self::Accepted => empty(StatusCode::ACCEPTED),
            Self::One { status, message } => json(status, message),
            Self::Stream(frames) => sse::response(frames),
            Self::Refused { status, content_type, body } => {
                let mut response = Response::new(Body::from(body));
                *response.status_mut() = status;
                if let Some(kind) = content_type {
                    response.headers_mut().insert(header::CONTENT_TYPE, kind);
                }
                response
            }
        }
    }

    /// The frames where the message was one of a batch; `id` is the request's, if it was one.
    pub fn into_frames(self, id: Option<&str>) -> BoxStream<'static, Frame> {
        match self {
            Self::Accepted => stream::empty().boxed(),
            Self::One { message, .. } => stream::iter([Frame::Message(message)]).boxed(),
            Self::Stream(frames) => frames,
            Self::Refused { status, .. } => match id {
                None => stream::empty().boxed(),
                Some(id) => {
                    let message = format!("The upstream refused the message with HTTP status {status}.");
                    let message = RpcError::answer(INTERNAL, message).message(id);
                    stream::iter([Frame::Message(message.into())]).boxed()
                }
            },
        }
    }
}

/// A response without a body.
pub fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// A response whose body is this JSON text.
pub fn json(status: StatusCode, message: impl Into<Bytes>) -> Response {
    let mut response = Response::new(Body::from(message.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// An error as a response of its own; a 401 says which scheme to use.
pub fn error(error: &RpcError, id: &str) -> Response {
    let mut response = json(error.status, error.message(id));
    if error.status == StatusCode::UNAUTHORIZED {
        let scheme = HeaderValue::from_static(r#"Bearer realm="placet""#);
        response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
    }
    response
}

/// A refusal in plain words. Not a JSON-RPC error: a client that probes for the newer era takes one for a sign of
/// that era, and then does not fall back.
pub fn plain(status: StatusCode, words: &'static str) -> Response {
    let mut response = Response::new(Body::from(words));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
