//! The form token: proves that a form was made by a page of the same session.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use super::token::Token;

/// Separates this use of the session's secret from every other.
const DOMAIN: &[u8] = b"placet/csrf/v1";

/// The form token of the session whose cookie this is: an HMAC under the cookie's secret, so that nothing is stored
/// and neither can be found from the other.
#[must_use]
#[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
pub fn token(session: &Token) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(session.reveal().as_bytes()).expect("HMAC takes any key");
    mac.update(DOMAIN);
    URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
}

/// Whether a form's token is the session's; in constant time.
#[must_use]
pub fn matches(expected: &str, presented: &str) -> bool {
    !expected.is_empty() && expected.as_bytes().ct_eq(presented.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Entropy;
    use crate::identity::token::Kind;

    #[test]
    fn each_session_has_its_own() {
        let (a, b) = (Token::new(Kind::Session, &Entropy::System), Token::new(Kind::Session, &Entropy::System));
        assert_eq!(token(&a), token(&a));
        assert_ne!(token(&a), token(&b));
        assert!(matches(&token(&a), &token(&a)));
        assert!(!matches(&token(&a), &token(&b)));
        assert!(!matches("", ""), "no session has no token");
    }
}
