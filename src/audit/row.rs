//! An entry as a row holds it, nothing taken for granted: what exports, verification and receipts read.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::call::json::{self, Limits, quote, splice};
use crate::call::secrets;
use crate::call::{Digest, Millis};

/// A row of the log, every column as it stands there. Only `body` is what was hashed; the rest is checked against it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its number.
    pub seq: i64,
    /// Its time.
    pub at: Millis,
    /// What happened.
    pub kind: String,
    /// The call it is about.
    pub call: Option<String>,
    /// The agent's name.
    pub agent: Option<String>,
    /// The upstream's name.
    pub upstream: Option<String>,
    /// The tool's name.
    pub tool: Option<String>,
    /// The reviewer's id.
    pub reviewer: Option<String>,
    /// The stored bytes.
    pub body: String,
    /// Their leaf hash, in hex.
    pub leaf: String,
}

impl Row {
    /// Whether the body is about the call that the column beside it names. Only the body was signed. `false` where it
    /// cannot be read.
    #[must_use]
    pub fn names_its_call(&self) -> bool {
        #[derive(Deserialize)]
        struct About<'b> {
            #[serde(borrow, default)]
            call: Option<Cow<'b, str>>,
        }
        serde_json::from_str::<About<'_>>(&self.body)
            .is_ok_and(|about| about.call == self.call.as_deref().map(Cow::from))
    }
}

/// What a body says, read from its bytes.
#[derive(Clone, Debug, Deserialize)]
pub struct Said<'b> {
    /// Its number.
    pub seq: i64,
    /// Its time, ISO 8601.
    #[serde(borrow)]
    pub at: Cow<'b, str>,
    /// What happened.
    #[serde(borrow)]
    pub kind: Cow<'b, str>,
    /// The leaf hash of the entry before it, in hex.
    #[serde(borrow)]
    pub prev: Cow<'b, str>,
    /// The call it is about.
    #[serde(borrow, default)]
    pub call: Option<Cow<'b, str>>,
    /// The agent's name.
    #[serde(borrow, default)]
    pub agent: Option<Cow<'b, str>>,
    /// The upstream's name.
    #[serde(borrow, default)]
    pub upstream: Option<Cow<'b, str>>,
    /// The tool's name.
    #[serde(borrow, default)]
    pub tool: Option<Cow<'b, str>>,
    /// The reviewer's id.
    #[serde(borrow, default)]
    pub reviewer: Option<Cow<'b, str>>,
    /// Further facts.
    #[serde(default)]
    pub detail: Map<String, Value>,
}

impl<'b> Said<'b> {
    /// Reads a body.
    ///
    /// # Errors
    /// It is no JSON object with the members that every entry has, or one of them stands there twice.
    pub fn read(body: &'b str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(body)
    }

    /// A further fact that is text.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.detail.get(key).and_then(Value::as_str)
    }
}

/// A body as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Nothing in it looks like a secret: the stored bytes themselves, a JSON object on one line.
    AsStored,
    /// The same JSON object with what looks like a secret covered.
    Covered(String),
    /// No JSON object on one line, as no body is that this program wrote; secrets are covered.
    Unreadable(String),
}

/// How a body may be shown.
#[must_use]
pub fn shown(body: &str) -> Shown {
    let limits = Limits { max_bytes: usize::MAX, max_depth: json::DEEPEST };
    let document = json::read_strict(body.as_bytes(), &limits).ok();
    let Some(document) = document.filter(|d| d.root().as_object().is_some() && !body.contains(['\n', '\r'])) else {
        return Shown::Unreadable(secrets::mask_text(body));
    };
    let mut edits: Vec<_> = secrets::masks(&document)
        .into_iter()
        .filter(|mask| !is_identifier(document.slice(mask.span)))
        .map(|mask| (mask.span, quote(&mask.text)))
        .collect();
    if edits.is_empty() { Shown::AsStored } else { Shown::Covered(splice(body, &mut edits)) }
}

/// Whether a JSON string is an id or a digest: such stand under names as `token`, and open nothing.
fn is_identifier(text: &str) -> bool {
    let inner = text.trim_matches('"');
    Uuid::try_parse(inner).is_ok() || Digest::from_str(inner).is_ok()
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "entry {} ({})", self.seq, self.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Entry, Head};

    fn seal(entry: &Entry) -> String {
        let mut head = Head::EMPTY;
        head.seal(entry, Millis(5)).unwrap().body
    }

    #[test]
    fn a_body_reads_back_as_it_was_written() {
        let entry = Entry::new("call.denied").with("reason", "a\u{0}\"b").with("n", 3);
        let body = seal(&entry);
        let said = Said::read(&body).unwrap();
        assert_eq!((said.seq, said.kind.as_ref(), said.text("reason")), (1, "call.denied", Some("a\u{0}\"b")));
        assert_eq!(said.prev, "0".repeat(64));
        assert!(said.call.is_none() && said.text("n").is_none());
        assert!(Said::read(r#"{"seq":1,"seq":2,"at":"","kind":"","prev":""}"#).is_err());
    }

    #[test]
    fn secrets_are_covered_and_ids_are_not() {
        let id = "0199a3c2-0000-7000-8000-000000000001";
        let plain = Entry::new("token.made").with("token", id).with("digest", Digest::of(b"x").to_string());
        assert_eq!(shown(&seal(&plain)), Shown::AsStored);
        let token = "ghp_abcdefghijklmnopqrstuvwxyz0123456789";
        let told = Entry::new("call.rejected").with("reason", format!("never paste {token} here"));
        let Shown::Covered(shown) = shown(&seal(&told)) else { panic!() };
        assert!(!shown.contains(token) && shown.contains("never paste"), "{shown}");
        assert!(Said::read(&shown).is_ok());
    }
}
