//! One entry of the log: stored bytes, hashed as stored.
//!
//! The body is a JSON object on one line. Its leaf hash is that of RFC 6962, section 2.1: `SHA-256(0x00 ‖ body)`;
//! `prev` in the body is the leaf hash of the entry before it, a cheap local check for gaps and order.

use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::call::{AgentName, CallId, Digest, Millis, ReviewerId, ToolName, UpstreamName};

/// Something that happened, before it has its place in the log.
///
/// Never carries arguments, results, tokens or addresses: those live elsewhere and can be erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What happened, as `call.held`.
    pub kind: &'static str,
    /// The call it is about.
    pub call: Option<CallId>,
    /// The agent's name.
    pub agent: Option<String>,
    /// The upstream's name.
    pub upstream: Option<String>,
    /// The tool's name.
    pub tool: Option<String>,
    /// The reviewer who did it.
    pub reviewer: Option<ReviewerId>,
    /// Further facts.
    pub detail: Map<String, Value>,
}

impl Entry {
    /// An entry of this kind with nothing else said yet.
    #[must_use]
    pub fn new(kind: &'static str) -> Self {
        Self { kind, call: None, agent: None, upstream: None, tool: None, reviewer: None, detail: Map::new() }
    }

    /// About this call.
    #[must_use]
    pub fn call(mut self, id: CallId) -> Self {
        self.call = Some(id);
        self
    }

    /// By, or about, this agent.
    #[must_use]
    pub fn agent(mut self, name: &AgentName) -> Self {
        self.agent = Some(name.to_string());
        self
    }

    /// On this upstream.
    #[must_use]
    pub fn upstream(mut self, name: &UpstreamName) -> Self {
        self.upstream = Some(name.to_string());
        self
    }

    /// Of this tool.
    #[must_use]
    pub fn tool(mut self, name: &ToolName) -> Self {
        self.tool = Some(name.to_string());
        self
    }

    /// By, or about, this reviewer.
    #[must_use]
    pub fn reviewer(mut self, id: ReviewerId) -> Self {
        self.reviewer = Some(id);
        self
    }

    /// One more fact.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.detail.insert(key.to_owned(), value.into());
        self
    }
}

#[derive(Serialize)]
struct Body<'a> {
    seq: i64,
    at: String,
    kind: &'a str,
    prev: Digest,
    #[serde(skip_serializing_if = "Option::is_none")]
    call: Option<CallId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reviewer: Option<ReviewerId>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    detail: &'a Map<String, Value>,
}

/// The end of the log: where the next entry goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Sequence number of the last entry; 0 for an empty log.
    pub seq: i64,
    /// Leaf hash of the last entry; zeros for an empty log.
    pub leaf: Digest,
    /// The latest time that any entry bears. Time in the log never runs backwards.
    pub at: Millis,
}

impl Head {
    /// Before the first entry.
    pub const EMPTY: Self = Self { seq: 0, leaf: Digest([0; 32]), at: Millis(0) };

    /// Gives `entry` its place after this head, and moves the head on.
    ///
    /// # Errors
    /// Never in practice: only if the entry cannot be written as JSON.
    pub fn seal(&mut self, entry: &Entry, at: Millis) -> Result<SealedEntry, serde_json::Error> {
        let (seq, at) = (self.seq + 1, at.max(self.at));
        let body = serde_json::to_string(&Body {
            seq,
            at: at.to_string(),
            kind: entry.kind,
            prev: self.leaf,
            call: entry.call,
            agent: entry.agent.as_deref(),
            upstream: entry.upstream.as_deref(),
            tool: entry.tool.as_deref(),
            reviewer: entry.reviewer,
            detail: &entry.detail,
        })?;
        let leaf = SealedEntry::leaf_of(body.as_bytes());
        *self = Self { seq, leaf, at };
        Ok(SealedEntry { seq, at, body, leaf })
    }
}

/// An entry in its place: what is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedEntry {
    /// Its number, from 1, without gaps.
    pub seq: i64,
    /// Its time.
    pub at: Millis,
    /// The bytes that are stored and hashed.
    pub body: String,
    /// Their leaf hash.
    pub leaf: Digest,
}

impl SealedEntry {
    /// The leaf hash of a body, RFC 6962 section 2.1.
    #[must_use]
    pub fn leaf_of(body: &[u8]) -> Digest {
        Digest(Sha256::new().chain_update([0]).chain_update(body).finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_form_a_chain_and_time_never_runs_backwards() {
        let mut head = Head::EMPTY;
        let first = head.seal(&Entry::new("policy.loaded").with("version", "x\u{0}\u{202e}"), Millis(5_000)).unwrap();
        let second = head.seal(&Entry::new("call.denied"), Millis(1_000)).unwrap();
        assert_eq!((first.seq, second.seq), (1, 2));
        assert_eq!(second.at, Millis(5_000));
        assert!(second.body.contains(&format!(r#""prev":"{}""#, first.leaf)));
        assert_eq!(first.leaf, SealedEntry::leaf_of(first.body.as_bytes()));
        assert!(!first.body.contains('\n') && first.body.contains("\\u0000"));
    }

    #[test]
    fn the_leaf_hash_is_that_of_rfc_6962() {
        let empty_leaf = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";
        assert_eq!(SealedEntry::leaf_of(b"").to_string(), empty_leaf);
    }
}
