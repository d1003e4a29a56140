//! A call's arguments: the exact bytes that are shown, hashed, stored and forwarded.

use std::fmt;

use super::json::{self, Document, JsonError, Kind, Limits, Node};

/// The JSON object `arguments` of a call, byte for byte as it was received.
#[derive(Clone, PartialEq, Eq)]
pub struct Arguments {
    exact: String,
}

/// Why a text cannot be a call's arguments.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentsError {
    /// The text is not JSON that everybody reads alike.
    #[error("the arguments cannot be accepted: {0}")]
    Json(#[from] JsonError),
    /// It is another value than an object.
    #[error("the arguments must be a JSON object, but are {0}")]
    NotAnObject(&'static str),
}

impl Arguments {
    /// Accepts the exact text of one JSON object, read strictly within the default limits.
    pub fn parse(text: &str) -> Result<Self, ArgumentsError> {
        Self::of(json::read_strict(text.as_bytes(), &Limits::default())?.root(), text)
    }

    /// Takes the arguments out of a message that was read already.
    pub fn from_node(doc: &Document<'_>, node: &Node<'_>) -> Result<Self, ArgumentsError> {
        Self::of(node, doc.slice(node.span))
    }

    fn of(node: &Node<'_>, text: &str) -> Result<Self, ArgumentsError> {
        let found = match node.kind {
            Kind::Object(_) => {
                return Ok(Self { exact: text.to_owned() });
            }
            Kind::Null => "null",
            Kind::Bool(_) => "true or false",
            Kind::Number(_) => "a number",
            Kind::String(_) => "a string",
            Kind::Array(_) => "an array",
        };
        Err(ArgumentsError::NotAnObject(found))
    }

    /// The received text.
    pub fn exact(&self) -> &str {
        &self.exact
    }

    /// The tree of the received text.
    pub fn document(&self) -> Document<'_> {
        let limits = Limits { max_bytes: usize::MAX, max_depth: json::DEEPEST };
        #[expect(clippy::expect_used, reason = "both constructors read this text strictly")]
        json::read_strict(self.exact.as_bytes(), &limits).expect("arguments were read before")
    }

    /// A form that is equal for two texts exactly when they say the same, see [`json::canonical`]. It serves only to
    /// recognise the same call when it comes again.
    pub fn canonical(&self) -> String {
        json::canonical(self.document().root())
    }
}

/// Says only the length: arguments never reach a log.
impl fmt::Debug for Arguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Arguments({} bytes)", self.exact.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::call::json::JsonErrorKind;
    use crate::call::json::properties::{any_value, escaped};

    fn canonical(text: &str) -> String {
        Arguments::parse(text).unwrap().canonical()
    }

    #[test]
    fn keeps_the_exact_text() {
        let text = "{ \"b\" : 1.0,\n\"a\":\"\\u0041\" }";
        let arguments = Arguments::parse(text).unwrap();
        assert_eq!(arguments.exact(), text);
        assert_eq!(format!("{arguments:?}"), "Arguments(27 bytes)");
        let message = format!("{{\"params\":{{\"arguments\": {text} }}}}");
        let doc = json::read_strict(message.as_bytes(), &Limits::default()).unwrap();
        let node = doc.root().pointer("/params/arguments").unwrap();
        assert_eq!(Arguments::from_node(&doc, node).unwrap(), arguments);
    }

    #[test]
    fn only_an_object_will_do() {
        for text in ["null", "[]", "\"{}\"", "1", "true"] {
            let refusal = Arguments::parse(text).unwrap_err();
            assert!(matches!(refusal, ArgumentsError::NotAnObject(_)), "{text}");
        }
        let ArgumentsError::Json(refusal) = Arguments::parse(r#"{"a":1,"a":2}"#).unwrap_err() else {
            panic!("duplicate keys are refused by the reader");
        };
        assert_eq!(refusal.kind, JsonErrorKind::DuplicateKey("a".into()));
    }

    #[test]
    fn the_same_call_again_is_recognised() {
        let once = canonical(r#"{"b":[1,2],"a":{"y":"A","x":null},"é":true}"#);
        assert_eq!(once, r#"{"a":{"x":null,"y":"A"},"b":[1,2],"é":true}"#);
        let again = " { \"\\u00e9\" :true,\t\"a\": {\"x\":null,\r\n\"y\":\"\\u0041\"}, \"b\":[ 1 ,2]} ";
        assert_eq!(canonical(again), once);
        assert_eq!(canonical(r#"{"a":"\/\n"}"#), canonical(r#"{"a":"/\u000a"}"#));
    }

    #[test]
    fn different_calls_stay_different() {
        for (one, other) in [
            (r#"{"n":9007199254740993}"#, r#"{"n":9007199254740992}"#),
            (r#"{"n":1}"#, r#"{"n":1.0}"#),
            (r#"{"n":1e2}"#, r#"{"n":100}"#),
            (r#"{"n":1}"#, r#"{"n":"1"}"#),
            (r#"{"n":[1,2]}"#, r#"{"n":[2,1]}"#),
            (r#"{"n":"é"}"#, "{\"n\":\"e\u{301}\"}"),
            (r#"{"n":null}"#, "{}"),
            (r#"{"n":"a "}"#, r#"{"n":"a"}"#),
            (r#"{"n":"\u0000"}"#, r#"{"n":"\\u0000"}"#),
            (r#"{"n":["a","b"]}"#, r#"{"n":["a,b"]}"#),
            (r#"{"N":1}"#, r#"{"n":1}"#),
        ] {
            assert_ne!(canonical(one), canonical(other), "{one} {other}");
        }
    }

    #[test]
    fn keys_sort_by_code_points_not_utf16() {
        assert_eq!(canonical("{\"\u{1F600}\":1,\"\u{ff5e}\":2}"), "{\"\u{ff5e}\":2,\"\u{1F600}\":1}");
    }

    /// The members of every object in reverse order.
    fn reversed(value: &Value) -> String {
        match value {
            Value::Object(members) => {
                let members = members.iter().rev();
                let members: Vec<_> =
                    members.map(|(key, value)| format!("{} : {}", Value::from(&**key), reversed(value))).collect();
                format!("{{\n{}}}", members.join(",\n"))
            }
            Value::Array(items) => {
                let items: Vec<_> = items.iter().map(reversed).collect();
                format!("[{}]", items.join(" , "))
            }
            plain => plain.to_string(),
        }
    }

    proptest! {
        #[test]
        fn writing_differently_says_the_same(value in any_value()) {
            let value = serde_json::json!({ "value": value });
            let plain = canonical(&value.to_string());
            prop_assert_eq!(&canonical(&reversed(&value)), &plain);
            prop_assert_eq!(&canonical(&escaped(&value)), &plain);
            prop_assert_eq!(&canonical(&plain), &plain);
        }

        #[test]
        fn saying_something_else_differs(one in any_value(), other in any_value()) {
            let text = |value: &Value| format!("{{\"v\":{value}}}");
            prop_assert_eq!(
                canonical(&text(&one)) == canonical(&text(&other)),
                text(&one) == text(&other)
            );
        }
    }
}
