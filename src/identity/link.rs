//! One-time sign-in links: the address carries a token, the code is shown elsewhere, and only both together, posted by
//! a person, sign in. Mail scanners that open the address, or run its page, spend nothing.

use std::fmt;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::token::{Kind, Token};
use crate::call::Digest;
use crate::clock::Entropy;

/// How long a link can be used.
pub const LIFETIME: Duration = Duration::from_secs(600);
/// Wrong codes before a link is dead: a guess of six digits has then a chance of 1 in 200,000, and that only for who
/// holds the link's token.
pub const TRIES: u32 = 5;

/// A link to hand over: token for the address, code for another place.
#[derive(Clone, Debug)]
pub struct SignInLink {
    /// Part of `/login/link/{token}`.
    pub token: Token,
    /// For another place.
    pub code: Code,
}

/// Six digits. It never prints itself by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Code(String);

impl Code {
    /// The digits, for the one place that shows them.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(hidden)")
    }
}

impl SignInLink {
    /// A new one.
    #[must_use]
    pub fn new(entropy: &Entropy) -> Self {
        // 2^64 is so much larger than a million that the remainder's bias is below 10^-13.
        let number = u64::from_be_bytes(entropy.bytes::<8>()) % 1_000_000;
        Self { token: Token::new(Kind::Link, entropy), code: Code(format!("{number:06}")) }
    }

    /// What is stored of the code.
    #[must_use]
    pub fn code_hash(&self) -> Digest {
        code_hash(&self.token, self.code.expose())
    }
}

/// The stored form of a code as somebody typed it: blanks and hyphens do not count. Salted with the link's token,
/// which the database does not hold, so that six digits cannot be searched there.
#[must_use]
pub fn code_hash(token: &Token, typed: &str) -> Digest {
    let code: String = typed.chars().filter(|c| !c.is_whitespace() && *c != '-').take(64).collect();
    Digest(Sha256::digest(format!("placet/link-code/v1\n{}\n{code}", token.reveal())).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_six_digits_and_may_be_typed_with_blanks() {
        let link = SignInLink::new(&Entropy::seeded(7));
        let code = link.code.expose();
        assert_eq!(code.len(), 6);
        assert!(code.bytes().all(|b| b.is_ascii_digit()));
        let typed = format!(" {} {}-{} ", &code[..2], &code[2..4], &code[4..]);
        assert_eq!(code_hash(&link.token, &typed), link.code_hash());
        let other = SignInLink::new(&Entropy::seeded(8));
        assert_ne!(code_hash(&other.token, code), link.code_hash(), "bound to its own link");
    }
}
