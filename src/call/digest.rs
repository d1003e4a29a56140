//! The call digest: one SHA-256 over everything that is approved. Reviewers' forms carry it, votes sign it, and the
//! release computes it again from the bytes that it is about to send.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{AgentId, CallId, ToolName, UpstreamName};

/// Separates this record from every other that is ever hashed with SHA-256.
const DOMAIN: &[u8] = b"placet/call-digest/v1";

/// 32 bytes that stand for some content; compared in constant time by [`Digest::matches`], written as 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// SHA-256 of these bytes alone.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Compares in constant time.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }

    /// The first eight digits, for places where a person compares at a glance.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string()[..8].to_owned()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        // `{:02x}` for each byte costs a hold as much as its hashes do.
        let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or_default();
        self.0.iter().flat_map(|byte| [byte >> 4, byte & 15]).try_for_each(|nibble| f.write_char(digit(nibble)))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// A text that is not 64 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a digest has 64 hex digits")]
pub struct BadDigest;

impl FromStr for Digest {
    type Err = BadDigest;

    fn from_str(text: &str) -> Result<Self, BadDigest> {
        if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(BadDigest);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| BadDigest)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| BadDigest)?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What the call digest is made of. Every part is length-prefixed (8 bytes, big endian), so that no two different
/// records give the same bytes.
#[derive(Clone, Copy, Debug)]
pub struct DigestParts<'a> {
    /// Random, so that the digest in the log reveals nothing once the arguments are erased.
    pub nonce: &'a [u8; 32],
    /// The call.
    pub id: CallId,
    /// Who asks.
    pub agent: AgentId,
    /// Where it goes.
    pub upstream: &'a UpstreamName,
    /// Hash of how that upstream is configured.
    pub upstream_config: &'a Digest,
    /// The tool.
    pub tool: &'a ToolName,
    /// Hash of the tool's schema as its server lists it; `None` if it was never listed.
    pub tool_schema: Option<&'a Digest>,
    /// The complete `params` that will be forwarded, byte for byte.
    pub params: &'a str,
    /// Forwarded `Mcp-Param-*` headers, in the order in which they will be sent.
    pub headers: &'a [(String, String)],
    /// The policy version that ruled.
    pub policy: &'a Digest,
}

impl DigestParts<'_> {
    /// The call digest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        part(DOMAIN);
        part(self.nonce);
        part(self.id.0.as_bytes());
        part(self.agent.0.as_bytes());
        part(self.upstream.as_str().as_bytes());
        part(&self.upstream_config.0);
        part(self.tool.as_str().as_bytes());
        part(self.tool_schema.map_or(&[][..], |schema| &schema.0));
        part(self.params.as_bytes());
        part(&(self.headers.len() as u64).to_be_bytes());
        for (name, value) in self.headers {
            part(name.as_bytes());
            part(value.as_bytes());
        }
        part(&self.policy.0);
        Digest(hash.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn hex_both_ways_and_nothing_else() {
        let digest = Digest::of(b"abc");
        assert_eq!(digest.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        for bad in ["", "ba78", &"g".repeat(64), &"é".repeat(32), &format!("+{}", "0".repeat(63))] {
            assert_eq!(bad.parse::<Digest>(), Err(BadDigest), "{bad}");
        }
    }

    #[test]
    fn every_part_counts_and_none_can_slide_into_the_next() {
        let (upstream, tool) = (UpstreamName::new("iam").unwrap(), ToolName::new("put_user_policy").unwrap());
        let other_tool = ToolName::new("put_user_polic").unwrap();
        let zero = Digest([0; 32]);
        let header = [("mcp-param-a".to_owned(), "b".to_owned())];
        let moved = [("mcp-param-ab".to_owned(), String::new())];
        let base = DigestParts {
            nonce: &[7; 32],
            id: CallId(Uuid::nil()),
            agent: AgentId(Uuid::nil()),
            upstream: &upstream,
            upstream_config: &zero,
            tool: &tool,
            tool_schema: None,
            params: "{}",
            headers: &header,
            policy: &zero,
        };
        let variants = [
            base,
            DigestParts { nonce: &[8; 32], ..base },
            DigestParts { id: CallId(Uuid::max()), ..base },
            DigestParts { agent: AgentId(Uuid::max()), ..base },
            DigestParts { tool: &other_tool, params: "y{}", ..base },
            DigestParts { tool_schema: Some(&zero), ..base },
            DigestParts { params: "{ }", ..base },
            DigestParts { headers: &moved, ..base },
            DigestParts { headers: &[], ..base },
            DigestParts { policy: &Digest([1; 32]), ..base },
            DigestParts { upstream_config: &Digest([1; 32]), ..base },
        ];
        let mut all: Vec<_> = variants.iter().map(DigestParts::digest).collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), variants.len());
    }
}
