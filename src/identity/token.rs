//! Secrets that people and programs carry: bearer tokens, session cookies, sign-in links. Each is random, names its
//! kind in a prefix (so that a leaked one is recognised by scanners), is shown once, and is stored as its SHA-256.

use std::fmt;

use crate::call::Digest;
use crate::clock::Entropy;

/// 192 bits: no search finds one, so a plain SHA-256 is enough to store it.
const BYTES: usize = 24;
/// What [`BYTES`] come to in base64 without padding.
const CHARS: usize = 32;

/// What a token is for. One of another kind is never accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An agent's, in `Authorization: Bearer` towards `/mcp`.
    Agent,
    /// A reviewer's for scripts, in `Authorization: Bearer` towards `/api`.
    Api,
    /// A session's, in the cookie.
    Session,
    /// A sign-in link's, in its address; worth nothing without the code.
    Link,
}

impl Kind {
    fn prefix(self) -> &'static str {
        match self {
            Self::Agent => "plt_agent_",
            Self::Api => "plt_api_",
            Self::Session => "plt_session_",
            Self::Link => "plt_link_",
        }
    }
}

/// A fresh token, before it is handed over. It never prints itself by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A new one.
    #[must_use]
    pub fn new(kind: Kind, entropy: &Entropy) -> Self {
        Self(format!("{}{}", kind.prefix(), entropy.token::<BYTES>()))
    }

    /// Takes what somebody presents; `None` if it is not of this kind and form.
    #[must_use]
    pub fn parse(kind: Kind, presented: &str) -> Option<Self> {
        let rest = presented.strip_prefix(kind.prefix())?;
        let well_formed = rest.len() == CHARS && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        well_formed.then(|| Self(presented.to_owned()))
    }

    /// The text, for the one place that shows it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is stored. Look-ups are by this hash, so comparing leaks nothing about the token.
    #[must_use]
    pub fn hash(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_as_its_own_kind_only() {
        let token = Token::new(Kind::Agent, &Entropy::seeded(1));
        assert!(token.reveal().starts_with("plt_agent_"));
        assert_eq!(Token::parse(Kind::Agent, token.reveal()), Some(token.clone()));
        for other in [Kind::Api, Kind::Session, Kind::Link] {
            assert_eq!(Token::parse(other, token.reveal()), None);
        }
        assert!(!format!("{token:?}").contains(token.reveal()));
    }

    #[test]
    fn what_is_no_token_is_refused_before_any_look_up() {
        let long = format!("plt_agent_{}", "a".repeat(33));
        let odd = format!("plt_agent_{}é", "a".repeat(30));
        for bad in ["", "plt_agent_", "plt_agent_short", &long, &odd, "Bearer plt_agent_x"] {
            assert_eq!(Token::parse(Kind::Agent, bad), None, "{bad}");
        }
    }

    #[test]
    fn no_two_are_alike() {
        let entropy = Entropy::System;
        assert_ne!(Token::new(Kind::Api, &entropy), Token::new(Kind::Api, &entropy));
    }
}
