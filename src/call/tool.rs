//! What a server says of one of its tools, and what of it somebody has accepted.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::json::{self, Document, Node};
use super::{Digest, Millis, ReviewerId, ToolName, UpstreamName};

/// The argument in which agents are asked to say why they make a call.
pub const REASON: &str = "placet_reason";

/// A tool as its server lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Equal for two texts exactly when they say the same: blanks and the order of members do not matter, every name,
    /// title, description, schema and annotation does.
    pub digest: Digest,
    /// The element of `tools`, byte for byte.
    pub json: Arc<str>,
    /// The tool has an argument of its own that is called as Placet's is.
    pub takes_reason: bool,
}

impl Said {
    /// Reads an element of `tools`.
    #[must_use]
    pub fn read(doc: &Document<'_>, tool: &Node<'_>) -> Self {
        let digest = Digest::of(json::canonical(tool).as_bytes());
        Self { digest, json: doc.slice(tool.span).into(), takes_reason: takes_reason(tool) }
    }

    /// As [`Said::read`], from its text alone; `None` if that is no JSON.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let limits = json::Limits { max_bytes: usize::MAX, max_depth: json::DEEPEST };
        let doc = json::read_strict(text.as_bytes(), &limits).ok()?;
        Some(Self::read(&doc, doc.root()))
    }
}

/// Whether a tool's own schema names Placet's argument.
#[must_use]
pub fn takes_reason(tool: &Node<'_>) -> bool {
    tool.get("inputSchema").and_then(|schema| schema.get("properties")?.get(REASON)).is_some()
}

/// Names a tool's row: a hash of its upstream and itself.
#[must_use]
pub fn row_id(upstream: &str, tool: &str) -> String {
    let hash = Sha256::new().chain_update(b"placet/tool/v1\0").chain_update(upstream);
    Digest(hash.chain_update([0]).chain_update(tool).finalize().into()).to_string()
}

/// One tool's pin: what counts as what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Whose tool.
    pub upstream: UpstreamName,
    /// The tool.
    pub tool: ToolName,
    /// When it was first seen.
    pub seen_at: Millis,
    /// What was accepted last; `None` where that is not known any more.
    pub accepted: Option<Accepted>,
    /// It has changed since, and nobody has accepted that.
    pub pending: Option<Pending>,
    /// The row is as Placet wrote it last. Otherwise nothing else of this counts.
    pub genuine: bool,
}

/// What a tool says by everybody's leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The tool.
    pub said: Said,
    /// Since when.
    pub at: Millis,
    /// Who accepted it; `None`: it was seen like that at first.
    pub by: Option<ReviewerId>,
    /// Why, in their words.
    pub reason: String,
}

/// What waits for somebody to accept it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// What the tool says now; `None` until it is listed again, where the pin itself was lost.
    pub said: Option<Said>,
    /// Since when.
    pub at: Millis,
}

/// Whether a listing says what nobody knows of yet. What is pending stays so when a later listing says again what was
/// accepted: somebody may have acted on the other text.
#[must_use]
pub fn is_news(accepted: Option<&Digest>, pending: Option<&Digest>, said: &Digest) -> bool {
    accepted != Some(said) && pending != Some(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_and_order_do_not_matter_and_every_word_does() {
        let digest = |text: &str| Said::parse(text).unwrap().digest;
        let base = r#"{"name":"a","description":"b","inputSchema":{"type":"object","required":["x","y"]}}"#;
        let same = "{ \"inputSchema\" : {\"required\":[ \"x\",\n\"y\"],\"type\":\"obj\\u0065ct\"},\t\"name\":\"a\", \
                    \"description\":\"b\"}";
        assert_eq!(digest(base), digest(same));
        for other in [
            base.replace("\"b\"", "\"b \""),
            base.replace("\"b\"", "\"b\u{200b}\""),
            base.replace("[\"x\",\"y\"]", "[\"y\",\"x\"]"),
            base.replace("\"object\"", "\"object\",\"properties\":{}"),
            base.replace("\"description\"", "\"Description\""),
            base.replace("\"name\":\"a\"", "\"name\":\"a\",\"title\":\"A\""),
            base.replace("\"name\":\"a\"", "\"name\":\"a\",\"annotations\":{\"readOnlyHint\":true}"),
        ] {
            assert_ne!(digest(base), digest(&other), "{other}");
        }
        assert_eq!(&*Said::parse(same).unwrap().json, same, "kept as it was listed");
    }

    #[test]
    fn what_is_pending_stays_so_and_a_third_text_is_news_again() {
        let [one, two, three] = [Digest([1; 32]), Digest([2; 32]), Digest([3; 32])];
        assert!(!is_news(Some(&one), None, &one) && is_news(Some(&one), None, &two));
        assert!(!is_news(Some(&one), Some(&two), &two) && !is_news(Some(&one), Some(&two), &one));
        assert!(is_news(Some(&one), Some(&two), &three) && is_news(None, None, &one));
    }

    #[test]
    fn a_tool_with_an_argument_of_that_name_is_known() {
        let takes =
            |schema: &str| Said::parse(&format!(r#"{{"name":"a","inputSchema":{schema}}}"#)).unwrap().takes_reason;
        assert!(
            takes(r#"{"properties":{"placet_reason":{}}}"#) && takes(r#"{"properties":{"placet\u005freason":true}}"#)
        );
        assert!(!takes(r#"{"properties":{"reason":{}}}"#) && !takes("true") && !takes(r#"{"properties":[]}"#));
    }
}
