//! The members of a JSON-RPC message that say where it belongs, read without touching the rest.
//!
//! What an upstream says is passed on and never ruled, so this need not be as strict as what agents send: results may
//! be large, deep, or hold escapes that the strict reader refuses. Repeated members of the envelope are refused.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The outermost members of one message; texts are exact JSON.
#[derive(Debug, Deserialize)]
pub(super) struct Envelope<'a> {
    #[serde(borrow)]
    jsonrpc: Cow<'a, str>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// A `result` of `null` is a result.
fn present<'de: 'a, 'a, D: Deserializer<'de>>(from: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

/// What `params` may hold that ties a message to a request.
#[derive(Debug, Default, Deserialize)]
struct Ties<'a> {
    #[serde(borrow, default, rename = "progressToken")]
    progress_token: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "_meta")]
    meta: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
struct Meta<'a> {
    #[serde(borrow, default, rename = "progressToken")]
    progress_token: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "io.modelcontextprotocol/subscriptionId")]
    subscription: Option<&'a RawValue>,
}

/// An id or token, compared by meaning where that is sure: strings decoded, numbers by their text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Text(String),
    Other(String),
}

impl Key {
    /// The key of an exact JSON text.
    pub(super) fn of(json: &str) -> Self {
        let json = json.trim();
        match serde_json::from_str::<String>(json) {
            Ok(text) => Self::Text(text),
            Err(_) => Self::Other(json.to_owned()),
        }
    }
}

impl<'a> Envelope<'a> {
    /// Reads one message; `None` where it is neither a request, a notification nor a response.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let read: Self = serde_json::from_slice(bytes).ok()?;
        let answers = usize::from(read.result.is_some()) + usize::from(read.error.is_some());
        let sound = if read.method.is_some() { answers == 0 } else { answers == 1 };
        (read.jsonrpc == "2.0" && sound).then_some(read)
    }

    /// Whether it answers a request.
    pub(super) fn is_response(&self) -> bool {
        self.method.is_none()
    }

    /// Whether it asks for an answer.
    pub(super) fn is_request(&self) -> bool {
        self.method.is_some() && self.id.is_some()
    }

    /// The id's exact text; `None` where there is none or it is `null`.
    pub(super) fn id(&self) -> Option<&'a str> {
        self.id.map(RawValue::get)
    }

    /// The method, decoded.
    pub(super) fn method(&self) -> Option<&str> {
        self.method.as_deref()
    }

    /// The exact text of `result`.
    pub(super) fn result(&self) -> Option<&'a str> {
        self.result.map(RawValue::get)
    }

    /// The exact text of `error`.
    pub(super) fn error(&self) -> Option<&'a str> {
        self.error.map(RawValue::get)
    }

    /// The token under which a request wants to hear of progress (`params._meta.progressToken`).
    pub(super) fn wanted_progress(&self) -> Option<Key> {
        progress_token(self.params?.get())
    }

    /// The token that a progress notification names.
    pub(super) fn progress(&self) -> Option<Key> {
        if self.method() != Some("notifications/progress") {
            return None;
        }
        let ties: Ties<'_> = serde_json::from_str(self.params?.get()).ok()?;
        ties.progress_token.map(|token| Key::of(token.get()))
    }

    /// The id of the `subscriptions/listen` request that a notification belongs to.
    pub(super) fn subscription(&self) -> Option<Key> {
        meta(self.params?.get())?.subscription.map(|id| Key::of(id.get()))
    }
}

/// The id of a message that asks for an answer, as [`crate::gateway`] compares ids: `s` and the decoded text, or `n`
/// and the number.
#[must_use]
pub fn question(message: &[u8]) -> Option<String> {
    let envelope = Envelope::read(message)?;
    let id = envelope.id().filter(|_| envelope.is_request())?;
    Some(match Key::of(id) {
        Key::Text(text) => format!("s{text}"),
        Key::Other(number) => format!("n{number}"),
    })
}

fn meta(params: &str) -> Option<Meta<'_>> {
    let ties: Ties<'_> = serde_json::from_str(params).ok()?;
    serde_json::from_str(ties.meta?.get()).ok()
}

/// `_meta.progressToken` of a request's `params`.
pub(super) fn progress_token(params: &str) -> Option<Key> {
    meta(params)?.progress_token.map(|token| Key::of(token.get()))
}

/// Whether `params` is an object with a member `_meta`.
pub(super) fn has_meta(params: &str) -> bool {
    serde_json::from_str::<Ties<'_>>(params).is_ok_and(|ties| ties.meta.is_some())
}

/// The messages in one line or event: itself, or the members of a batch (2025-03-26).
pub(super) fn split(bytes: Bytes) -> Vec<Bytes> {
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'[') {
        return vec![bytes];
    }
    let members: Vec<&RawValue> = serde_json::from_slice(&bytes).unwrap_or_default();
    members.iter().map(|member| bytes.slice_ref(member.get().as_bytes())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_texts_come_out_whatever_they_hold() {
        let text = r#" {"jsonrpc":"2.0","id": "a\u0062" ,"result": {"n":12345678901234567890123,"n":1,"s":"\ud800"} }"#;
        let message = Envelope::read(text.as_bytes()).unwrap();
        assert!(message.is_response() && !message.is_request());
        assert_eq!(message.id(), Some(r#""a\u0062""#));
        assert_eq!(message.result(), Some(r#"{"n":12345678901234567890123,"n":1,"s":"\ud800"}"#));
        assert_eq!(Key::of(r#""a\u0062""#), Key::of(r#""ab""#));
        assert_ne!(Key::of("1"), Key::of(r#""1""#));
        let nothing = Envelope::read(br#"{"jsonrpc":"2.0","id":0,"result":null}"#).unwrap();
        assert_eq!((nothing.id(), nothing.result()), (Some("0"), Some("null")));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for bad in [
            "",
            "ready",
            "[]",
            "null",
            r#"{"level":"info","method":"GET"}"#,
            r#"{"jsonrpc":"1.0","method":"x"}"#,
            r#"{"jsonrpc":"2.0","id":1}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":1,"error":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"x","result":1}"#,
            r#"{"jsonrpc":"2.0","id":1,"id":2,"result":1}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":1} {}"#,
        ] {
            assert!(Envelope::read(bad.as_bytes()).is_none(), "{bad}");
        }
        assert!(Envelope::read(b"{\"jsonrpc\":\"2.0\",\"method\":\"\xff\"}").is_none());
        let deep = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert!(Envelope::read(deep.as_bytes()).is_some(), "depth is no reason to lose an answer");
    }

    #[test]
    fn ties_to_requests() {
        let request =
            Envelope::read(br#"{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{"progressToken":0}}}"#);
        assert_eq!(request.unwrap().wanted_progress(), Some(Key::of("0")));
        let progress = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"t"}}"#;
        assert_eq!(Envelope::read(progress.as_bytes()).unwrap().progress(), Some(Key::of(r#""t""#)));
        let other = r#"{"jsonrpc":"2.0","method":"x","params":
            {"progressToken":1,"_meta":{"io.modelcontextprotocol/subscriptionId":7}}}"#;
        let other = Envelope::read(other.as_bytes()).unwrap();
        assert_eq!((other.progress(), other.subscription()), (None, Some(Key::of("7"))));
    }

    #[test]
    fn batches_are_split_in_place() {
        let one = Bytes::from_static(b" {\"a\":[1]}");
        assert_eq!(split(one.clone()), [one]);
        assert_eq!(split(Bytes::from_static(b" [ {\"a\":1} ,2]")), ["{\"a\":1}", "2"]);
        assert!(split(Bytes::from_static(b"[")).is_empty());
    }
}
