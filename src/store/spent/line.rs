//! One line of the list: what may never count again, or still counts, and a checksum under the key of the seals.
//!
//! `KIND ID HOW ENTRY KEPT GROUP/NUMBER/OF CHECK`, in ASCII with single spaces: ID and KEPT have `%xx` for each byte that
//! would make it two words or none, KEPT is an id or `-`, GROUP counts the appends to the file, NUMBER says which line it
//! is OF how many of one append, CHECK is the first eight bytes of an HMAC-SHA-256 over what stands before it, in
//! hexadecimal.

use std::fmt;

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
    Tool,
    Standing,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum How {
    /// It gave a right at the time of that entry; an older row does not.
    Live,
    /// A call was sent, or may have been.
    Claimed,
    /// A call was rejected.
    Rejected,
    /// A call was taken back.
    Cancelled,
    /// A call's approval was withdrawn.
    Revoked,
    /// A call's deadline passed.
    Expired,
    /// An approval was not used in time.
    Lapsed,
    /// A right ended.
    Ended,
    /// All that this person had of the kind up to that entry ended, or that bore this name, but what is kept.
    AllEnded,
}

/// A line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct Line {
    pub kind: Kind,
    /// Of the thing; for [`How::AllEnded`] the person's, of agents and accounts their name.
    pub id: String,
    pub how: How,
    /// The number of the log's entry that says so.
    pub entry: i64,
    /// For [`How::AllEnded`]: the one that did not end.
    pub kept: Option<String>,
}

/// Where in the file a line stands: what was written at once, which line of it, of how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub group: u64,
    pub number: usize,
    pub of: usize,
}

const KINDS: [(Kind, &str); 8] = [
    (Kind::Call, "call"),
    (Kind::Agent, "agent"),
    (Kind::Reviewer, "reviewer"),
    (Kind::Session, "session"),
    (Kind::Token, "token"),
    (Kind::Link, "link"),
    (Kind::Tool, "tool"),
    (Kind::Standing, "standing"),
];

const HOWS: [(How, &str); 9] = [
    (How::Live, "live"),
    (How::Claimed, "claimed"),
    (How::Rejected, "rejected"),
    (How::Cancelled, "cancelled"),
    (How::Revoked, "revoked"),
    (How::Expired, "expired"),
    (How::Lapsed, "lapsed"),
    (How::Ended, "ended"),
    (How::AllEnded, "all_ended"),
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

/// An id as one word of its own: whoever writes the database can give a row any id, and a line must stay one that can be
/// read. `%` stands before the two digits of a byte, and alone for nothing at all.
fn escaped(id: &str) -> String {
    match id {
        "" => "%".to_owned(),
        "-" => "%2d".to_owned(),
        _ => id.bytes().fold(String::with_capacity(id.len()), |mut word, byte| {
            if byte.is_ascii_graphic() && byte != b'%' {
                word.push(char::from(byte));
            } else {
                word.push_str(&format!("%{byte:02x}"));
            }
            word
        }),
    }
}

/// What [`escaped`] made a word of.
fn unescaped(word: &str) -> Option<String> {
    if word == "%" {
        return Some(String::new());
    }
    let mut parts = word.split('%');
    let mut bytes = parts.next().filter(|_| !word.is_empty())?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, id, how, entry, kept } = self;
        let (id, kept) = (escaped(id), kept.as_deref().map_or_else(|| "-".to_owned(), escaped));
        write!(f, "{} {id} {} {entry} {kept}", word(&KINDS, kind), how.as_str())
    }
}

impl Line {
    /// Lines that are written at once.
    pub(super) fn write_all(lines: &[Self], group: u64, seal: &Seal) -> String {
        let of = lines.len();
        let place = |at: usize| Place { group, number: at + 1, of };
        lines.iter().enumerate().map(|(at, line)| line.write(place(at), seal)).collect()
    }

    /// With its place, its checksum and the end of the line.
    pub(super) fn write(&self, place: Place, seal: &Seal) -> String {
        let Place { group, number, of } = place;
        let text = format!("{self} {group}/{number}/{of}");
        let check = check(seal, &text);
        format!("{text} {check}\n")
    }

    /// Reads what [`Line::write`] wrote, without the end of the line; `None` if that is not it.
    pub(super) fn read(text: &str, seal: &Seal) -> Option<(Self, Place)> {
        let (text, found) = text.rsplit_once(' ')?;
        if found != check(seal, text) {
            return None;
        }
        let mut words = text.split(' ');
        let line = Self {
            kind: meant(&KINDS, words.next()?)?,
            id: unescaped(words.next()?)?,
            how: meant(&HOWS, words.next()?)?,
            entry: words.next()?.parse().ok()?,
            kept: match words.next()? {
                "-" => None,
                kept => Some(unescaped(kept)?),
            },
        };
        let mut place = words.next()?.split('/');
        let (group, number, of) = (place.next()?, place.next()?, place.next()?);
        let ends = place.next().is_none() && words.next().is_none();
        let place = Place { group: group.parse().ok()?, number: number.parse().ok()?, of: of.parse().ok()? };
        ends.then_some((line, place))
    }
}

/// Of a line, or of the head of the file.
pub(super) fn check(seal: &Seal, text: &str) -> String {
    let mut mac = seal.mac([b"placet/spent/v1".as_slice(), text.as_bytes()]).to_string();
    mac.truncate(16);
    mac
}
