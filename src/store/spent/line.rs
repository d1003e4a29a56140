//! One line of the list: what may never count again, and a checksum under the key of the seals.
//!
//! `KIND ID HOW ENTRY UNTIL CHECK`, in ASCII with single spaces: UNTIL in milliseconds since 1970 or `-`, CHECK the
//! first eight bytes of an HMAC-SHA-256 over what stands before it, in hexadecimal.

use std::fmt;

use crate::call::Millis;
use crate::seal::Seal;

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::store) enum Kind {
    Call,
    Agent,
    Reviewer,
    Session,
    Token,
    Link,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum How {
    /// A call was sent, or may have been.
    Claimed,
    /// A call was rejected.
    Rejected,
    /// A call was taken back.
    Cancelled,
    /// A call's approval was withdrawn.
    Revoked,
    /// A right ended.
    Ended,
    /// An account was changed: its row is another one since.
    Changed,
}

/// A line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct Line {
    pub kind: Kind,
    pub id: String,
    pub how: How,
    /// The number of the log's entry that says so.
    pub entry: i64,
    /// From then on nothing of the kind would count anyhow, so the line may go; `None`: never.
    pub until: Option<Millis>,
}

const KINDS: [(Kind, &str); 6] = [
    (Kind::Call, "call"),
    (Kind::Agent, "agent"),
    (Kind::Reviewer, "reviewer"),
    (Kind::Session, "session"),
    (Kind::Token, "token"),
    (Kind::Link, "link"),
];

const HOWS: [(How, &str); 6] = [
    (How::Claimed, "claimed"),
    (How::Rejected, "rejected"),
    (How::Cancelled, "cancelled"),
    (How::Revoked, "revoked"),
    (How::Ended, "ended"),
    (How::Changed, "changed"),
];

fn word<T: PartialEq>(words: &[(T, &'static str)], wanted: &T) -> &'static str {
    words.iter().find(|(is, _)| is == wanted).map_or("", |(_, word)| word)
}

fn meant<T: Copy>(words: &[(T, &'static str)], wanted: &str) -> Option<T> {
    words.iter().find(|(_, word)| *word == wanted).map(|(is, _)| *is)
}

impl How {
    /// In words, after "it was".
    pub(in crate::store) fn as_str(self) -> &'static str {
        word(&HOWS, &self)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, id, how, entry, until } = self;
        write!(f, "{} {id} {} {entry} ", word(&KINDS, kind), how.as_str())?;
        match until {
            Some(until) => write!(f, "{}", until.0),
            None => f.write_str("-"),
        }
    }
}

impl Line {
    /// With its checksum and the end of the line.
    pub(super) fn write(&self, seal: &Seal) -> String {
        let text = self.to_string();
        let check = check(seal, &text);
        format!("{text} {check}\n")
    }

    /// Reads what [`Line::write`] wrote, without the end of the line; `None` if that is not it.
    pub(super) fn read(text: &str, seal: &Seal) -> Option<Self> {
        let (text, found) = text.rsplit_once(' ')?;
        if found != check(seal, text) {
            return None;
        }
        let mut words = text.split(' ');
        let line = Self {
            kind: meant(&KINDS, words.next()?)?,
            id: words.next().filter(|id| !id.is_empty())?.to_owned(),
            how: meant(&HOWS, words.next()?)?,
            entry: words.next()?.parse().ok()?,
            until: match words.next()? {
                "-" => None,
                until => Some(Millis(until.parse().ok()?)),
            },
        };
        words.next().is_none().then_some(line)
    }
}

fn check(seal: &Seal, text: &str) -> String {
    let mut mac = seal.mac([b"placet/spent/v1".as_slice(), text.as_bytes()]).to_string();
    mac.truncate(16);
    mac
}
