//! Names and identifiers. Each is its own type, so that an agent's name cannot stand where a tool's belongs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An identifier or name that is not of the form its type asks for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} {why}")]
pub struct BadName {
    what: &'static str,
    why: &'static str,
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = BadName;

            fn from_str(text: &str) -> Result<Self, BadName> {
                let id = Uuid::try_parse(text)
                    .map_err(|_| BadName { what: $what, why: "is not an id of this kind (a UUID)" })?;
                Ok(Self(id))
            }
        }
    };
}

uuid_id!(
    /// One held call (UUIDv7: sorts by the time it was held).
    CallId, "the call id");
uuid_id!(
    /// One agent, whatever its name later becomes.
    AgentId, "the agent id");
uuid_id!(
    /// One reviewer's account.
    ReviewerId, "the reviewer id");
uuid_id!(
    /// One standing approval.
    StandingId, "the standing approval's id");
uuid_id!(
    /// One attempt to release a call; a call is claimed at most once.
    ClaimId, "the claim id");

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $most:literal, $allowed:expr, $why:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes the text as it is, or says what is wrong with it.
            ///
            /// # Errors
            /// Empty, too long, or a character that this kind of name does not allow.
            pub fn new(text: impl Into<String>) -> Result<Self, BadName> {
                let text = text.into();
                let allowed: fn(char) -> bool = $allowed;
                if text.is_empty() || text.len() > $most || !text.chars().all(allowed) {
                    return Err(BadName { what: $what, why: $why });
                }
                Ok(Self(text))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = BadName;

            fn from_str(text: &str) -> Result<Self, BadName> {
                Self::new(text)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                Self::new(String::deserialize(from)?).map_err(serde::de::Error::custom)
            }
        }
    };
}

fn word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

name!(
    /// An agent as its operator calls it; shown to reviewers and written in the log.
    AgentName, "an agent's name", 100, word,
    "must be 1 to 100 letters, digits, '-', '_' or '.'");
name!(
    /// A server behind Placet, as placet.toml names it; part of `/mcp/{upstream}`.
    UpstreamName, "an upstream's name", 64, word,
    "must be 1 to 64 letters, digits, '-', '_' or '.'");
name!(
    /// A group of reviewers.
    GroupName, "a group's name", 64, word,
    "must be 1 to 64 letters, digits, '-', '_' or '.'");
name!(
    /// A tool as its server names it. Agents choose this text: any character may stand in it.
    ToolName, "a tool's name", 512, |_| true,
    "must be 1 to 512 bytes");
name!(
    /// A mail address, compared as written in lower case. Never contains white space or control characters.
    Email, "a mail address", 254, |c| !c.is_control() && !c.is_whitespace() && !matches!(c, '<' | '>' | ',' | ';' | '"'),
    "must be an address such as mira@example.com");

impl Email {
    /// Reads an address, lower-cased, with exactly one `@` that has something on both sides.
    ///
    /// # Errors
    /// What is not an address of that form.
    pub fn parse(text: &str) -> Result<Self, BadName> {
        let bad = BadName { what: "a mail address", why: "must be an address such as mira@example.com" };
        let text = text.trim().to_lowercase();
        match text.split_once('@') {
            Some((who, host)) if !who.is_empty() && !host.is_empty() && !host.contains('@') => Self::new(text),
            _ => Err(bad),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_refuse_what_could_break_out_of_their_place() {
        for bad in ["", "a b", "a/b", "a\nb", "é", &"x".repeat(101)] {
            assert!(AgentName::new(bad).is_err(), "{bad:?}");
        }
        assert!(AgentName::new("ci-bot_2.0").is_ok());
        assert!(ToolName::new("x\u{202e}y").is_ok(), "a tool's name is the agent's text");
    }

    #[test]
    fn addresses() {
        assert_eq!(Email::parse(" Mira@Example.com ").map(|e| e.to_string()), Ok("mira@example.com".into()));
        for bad in ["", "mira", "@x", "a@", "a@b@c", "a@b\r\nBcc: x@y", "a b@c", "<a@b>"] {
            assert!(Email::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ids_say_what_they_wanted() {
        let error = "nonsense".parse::<CallId>().map_err(|e| e.to_string());
        assert_eq!(error, Err("the call id is not an id of this kind (a UUID)".into()));
    }
}
