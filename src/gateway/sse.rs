//! Server-sent events towards agents: messages as events, comments that keep idle connections alive.

use std::convert::Infallible;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _};

/// One piece of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A JSON-RPC message.
    Message(Bytes),
    /// Nothing but a sign of life.
    Comment,
}

impl Frame {
    /// The bytes on the wire. A line break in a message (there only between its tokens) starts a new `data:` line,
    /// which readers join again.
    pub fn encode(&self) -> Bytes {
        let Self::Message(message) = self else {
            return Bytes::from_static(b":\n\n");
        };
        let mut out = BytesMut::with_capacity(message.len() + 32);
        out.put_slice(b"event: message\ndata: ");
        let mut rest = &message[..];
        while let Some(at) = rest.iter().position(|b| matches!(b, b'\n' | b'\r')) {
            out.put_slice(&rest[..at]);
            out.put_slice(b"\ndata: ");
            let broken = if rest[at..].starts_with(b"\r\n") { 2 } else { 1 };
            rest = &rest[at + broken..];
        }
        out.put_slice(rest);
        out.put_slice(b"\n\n");
        out.freeze()
    }
}

/// A response whose headers go out at once and whose body is these frames.
pub fn response(frames: impl Stream<Item = Frame> + Send + 'static) -> Response {
    let body = Body::from_stream(frames.map(|frame| Ok::<_, Infallible>(frame.encode())));
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    // Else a reverse proxy keeps the events until the call is over.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_comments() {
        let one = Frame::Message(Bytes::from_static(b"{\"a\":1}")).encode();
        assert_eq!(&one[..], b"event: message\ndata: {\"a\":1}\n\n");
        assert_eq!(&Frame::Comment.encode()[..], b":\n\n");
    }

    #[test]
    fn line_breaks_stay_inside_the_event() {
        let pretty = Frame::Message(Bytes::from_static(b"{\n\r\n\"a\":1\r}")).encode();
        assert_eq!(&pretty[..], b"event: message\ndata: {\ndata: \ndata: \"a\":1\ndata: }\n\n");
    }
}
