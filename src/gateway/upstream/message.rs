//! What goes over a link: messages, byte for byte, and what came of sending one.

use bytes::Bytes;
use tokio::sync::mpsc;

/// One JSON-RPC message of the upstream's, as received. Over HTTP it may span several lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The text, UTF-8.
    pub bytes: Bytes,
    /// Whether it is the response (`result` or `error`) to the request that was sent, so the last one.
    pub is_response: bool,
}

/// What came of sending a message.
#[derive(Debug)]
pub enum Exchange {
    /// The notification or response was taken.
    Accepted,
    /// What the upstream says about the request: notifications and requests of its own, then the response. A channel
    /// that ends without a response means that the upstream died: the request may have run.
    Messages(mpsc::Receiver<Message>),
    /// The upstream's own HTTP error, to be passed on. Nothing about the request is known beyond that.
    Refused {
        /// HTTP status, 400 or above.
        status: u16,
        /// The body's media type, where it names one.
        content_type: Option<String>,
        /// The body, at most 1 MiB of it.
        body: Bytes,
    },
}
