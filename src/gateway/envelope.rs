//! What one JSON-RPC message is: request, notification or response, with its id as it was written.
//!
//! Everything is decided on the strictly read tree. A key that some parsers would take for another one (Go's reader
//! ignores case) is refused wherever Placet itself relies on that other key: two readings of one message would let a
//! call slip past the policy.

use bytes::Bytes;

use super::error::{INVALID_REQUEST, RpcError};
use crate::call::json::{Document, Kind as Json, Node, alike};

/// The members of a message that Placet decides on.
const ENVELOPE: &[&str] = &["jsonrpc", "id", "method", "params", "result", "error"];
/// The members of `params` that Placet decides on.
const PARAMS: &[&str] = &["name", "arguments", "_meta", "uri", "taskId", "requestId"];

/// One message in a body that was read strictly.
#[derive(Clone, Debug)]
pub struct Message<'m> {
    /// Its bytes as received: the whole body, or one member of a batch.
    pub bytes: Bytes,
    /// The body.
    pub doc: &'m Document<'m>,
    /// What it is.
    pub kind: Kind,
    /// The `params` object, where there is one.
    pub params: Option<&'m Node<'m>>,
}

/// What a message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Wants an answer.
    Request {
        /// Its id.
        id: Id,
        /// Its method.
        method: String,
    },
    /// Wants none.
    Notification {
        /// Its method.
        method: String,
    },
    /// Answers a request that the server sent.
    Response {
        /// That request's id.
        id: Id,
    },
}

/// A request's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Id {
    /// As it was written; goes into the answer.
    pub text: String,
    /// Equal for two spellings of the same id.
    pub key: String,
}

impl Id {
    /// Reads an id: a string or a number.
    pub fn read(doc: &Document<'_>, node: &Node<'_>) -> Option<Self> {
        let key = match &node.kind {
            Json::String(text) => format!("s{text}"),
            Json::Number(text) => format!("n{text}"),
            _ => return None,
        };
        Some(Self { text: doc.slice(node.span).to_owned(), key })
    }
}

impl<'m> Message<'m> {
    /// Reads the message at `node`; `bytes` are its own bytes.
    ///
    /// # Errors
    /// With the text of the id to answer with (`null` where there is none) and what is wrong.
    pub fn read(doc: &'m Document<'m>, node: &'m Node<'m>, bytes: Bytes) -> Result<Self, (String, RpcError)> {
        let id = node.get("id").and_then(|id| Id::read(doc, id));
        let shown = id.as_ref().map_or("null".to_owned(), |id| id.text.clone());
        classify(node, id).map(|(kind, params)| Self { bytes, doc, kind, params }).map_err(|error| (shown, error))
    }

    /// The method, where there is one.
    pub fn method(&self) -> Option<&str> {
        match &self.kind {
            Kind::Request { method, .. } | Kind::Notification { method } => Some(method),
            Kind::Response { .. } => None,
        }
    }

    /// The id, where the message is a request.
    pub fn id(&self) -> Option<&Id> {
        match &self.kind {
            Kind::Request { id, .. } => Some(id),
            Kind::Notification { .. } | Kind::Response { .. } => None,
        }
    }

    /// The id's text for an answer: `null` where there is none.
    pub fn id_text(&self) -> &str {
        self.id().map_or("null", |id| &id.text)
    }

    /// A member of `params`.
    pub fn param(&self, key: &str) -> Option<&'m Node<'m>> {
        self.params?.get(key)
    }

    /// A member of `params._meta`.
    pub fn meta(&self, key: &str) -> Option<&'m Node<'m>> {
        self.param("_meta")?.get(key)
    }

    /// The exact text of the progress token, where the sender wants to hear of progress.
    pub fn progress_token(&self) -> Option<&'m str> {
        let token = self.meta("progressToken")?;
        matches!(token.kind, Json::String(_) | Json::Number(_)).then(|| self.doc.slice(token.span))
    }
}

fn classify<'m>(node: &'m Node<'m>, id: Option<Id>) -> Result<(Kind, Option<&'m Node<'m>>), RpcError> {
    let invalid = |message: &str| Err(RpcError::bad(INVALID_REQUEST, format!("The message was refused: {message}.")));
    let Some(members) = node.as_object() else {
        return invalid("a JSON-RPC message is an object");
    };
    if let Some(key) = lookalike(members.iter().map(|m| &*m.key), ENVELOPE) {
        return invalid(&format!("its member {key} could be taken for another one; write it exactly, in lower case"));
    }
    if node.get("jsonrpc").and_then(Node::as_str) != Some("2.0") {
        return invalid(r#"its member "jsonrpc" must be "2.0""#);
    }
    let params = node.get("params");
    if let Some(params) = params {
        let Some(members) = params.as_object() else {
            return invalid("its params must be an object");
        };
        if let Some(key) = lookalike(members.iter().map(|m| &*m.key), PARAMS) {
            return invalid(&format!("its parameter {key} could be taken for another one; write it exactly"));
        }
    }
    let is_response = node.get("result").is_some() || node.get("error").is_some();
    let kind = match (node.get("method"), node.get("id")) {
        (Some(_), _) if is_response => return invalid("it is a request and a response at once"),
        (Some(method), written) => {
            let Some(method) = method.as_str() else {
                return invalid("its method must be a string");
            };
            if is_nearly_a_call(method) {
                return invalid("its method could be taken for tools/call; write it exactly");
            }
            match (written, id) {
                (None, _) => Kind::Notification { method: method.to_owned() },
                (Some(_), Some(id)) => Kind::Request { id, method: method.to_owned() },
                (Some(_), None) => return invalid("its id must be a string or a number"),
            }
        }
        (None, None) => return invalid("it has neither a method nor an id"),
        (None, Some(_)) => match (node.get("result").is_some(), node.get("error").is_some(), id) {
            (true, true, _) => return invalid("it has a result and an error at once"),
            (false, false, _) => return invalid("it has neither a method, nor a result, nor an error"),
            (_, _, None) => return invalid("its id must be a string or a number"),
            (_, _, Some(id)) => Kind::Response { id },
        },
    };
    Ok((kind, params))
}

/// The first key that is none of `known` but that a reader without regard to case would take for one of them.
pub fn lookalike<'k>(keys: impl Iterator<Item = &'k str>, known: &[&str]) -> Option<String> {
    let mut keys = keys.filter(|key| !known.contains(key));
    keys.find(|key| known.iter().any(|k| alike(key, k))).map(crate::call::json::quote)
}

/// Whether a careless server could take this method for `tools/call`, the one method that is ever held.
fn is_nearly_a_call(method: &str) -> bool {
    let bare: String = method.chars().filter(|c| c.is_alphanumeric() || *c == '/').collect();
    method != "tools/call" && alike(&bare, "tools/call")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::json::{Limits, read_strict};

    fn kind(text: &str) -> Result<Kind, String> {
        let doc = read_strict(text.as_bytes(), &Limits::default()).unwrap();
        Message::read(&doc, doc.root(), Bytes::new()).map(|m| m.kind).map_err(|(id, e)| format!("{id} {}", e.message))
    }

    #[test]
    fn the_three_kinds() {
        let request = kind(r#"{"jsonrpc":"2.0","id":12345678901234567890123,"method":"ping"}"#).unwrap();
        let Kind::Request { id, method } = request else { panic!("{request:?}") };
        assert_eq!((id.text.as_str(), method.as_str()), ("12345678901234567890123", "ping"));
        assert_eq!(
            kind(r#"{"jsonrpc":"2.0","method":"notifications/initialized","vendor":1}"#),
            Ok(Kind::Notification { method: "notifications/initialized".into() })
        );
        let response = |text: &str, key: &str| {
            assert_eq!(kind(text), Ok(Kind::Response { id: Id { text: key[1..].into(), key: key.into() } }));
        };
        response(r#"{"jsonrpc":"2.0","id":0,"result":{}}"#, "n0");
        response(r#"{"jsonrpc":"2.0","id":7,"error":{}}"#, "n7");
    }

    #[test]
    fn ids_are_equal_however_they_are_escaped_but_not_across_types() {
        let id = |text: &str| match kind(&format!(r#"{{"jsonrpc":"2.0","id":{text},"method":"x"}}"#)) {
            Ok(Kind::Request { id, .. }) => id,
            other => panic!("{other:?}"),
        };
        assert_eq!(id(r#""a""#).key, id(r#""\u0061""#).key);
        assert_ne!(id("1").key, id(r#""1""#).key);
        assert_eq!(id(r#""\u0061""#).text, r#""\u0061""#);
    }

    #[test]
    fn what_is_no_message_is_refused_with_its_id() {
        for (bad, says) in [
            ("1", "null"),
            ("[]", "null"),
            (r#"{"id":1,"method":"x"}"#, "1 "),
            (r#"{"jsonrpc":2.0,"id":1,"method":"x"}"#, "1 "),
            (r#"{"jsonrpc":"2.0","id":null,"method":"x"}"#, "id must be"),
            (r#"{"jsonrpc":"2.0","id":{},"method":"x"}"#, "id must be"),
            (r#"{"jsonrpc":"2.0","id":1,"method":2}"#, "method must be"),
            (r#"{"jsonrpc":"2.0","id":1,"method":"x","params":[1]}"#, "params must be"),
            (r#"{"jsonrpc":"2.0","id":1,"method":"x","params":null}"#, "params must be"),
            (r#"{"jsonrpc":"2.0","id":1,"method":"x","result":1}"#, "at once"),
            (r#"{"jsonrpc":"2.0","id":1,"error":1,"result":1}"#, "at once"),
            (r#"{"jsonrpc":"2.0","id":1}"#, "neither"),
            (r#"{"jsonrpc":"2.0","id":null,"error":{}}"#, "id must be"),
            (r#"{"jsonrpc":"2.0","id":1,"method":"Tools/Call"}"#, "could be taken"),
            (r#"{"jsonrpc":"2.0","id":1,"method":" tools/call\u0000"}"#, "could be taken"),
            (r#"{"jsonrpc":"2.0","method":"tools\u200b/call"}"#, "could be taken"),
            (r#"{"jsonrpc":"2.0"}"#, "neither"),
        ] {
            let error = kind(bad).unwrap_err();
            assert!(error.contains(says), "{bad}: {error}");
        }
    }

    #[test]
    fn keys_that_another_reader_takes_for_the_method_are_refused() {
        for bad in [
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}"#,
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"param\u{17f}\":{}}",
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","NAME":"b"}}"#,
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"argument\u{17f}\":{}}}",
        ] {
            assert!(kind(bad).unwrap_err().contains("could be taken"), "{bad}");
        }
        assert!(kind(r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"names":1,"méthod":2}}"#).is_ok());
    }
}
