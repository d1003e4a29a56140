//! Passwords: the rules for choosing one, and argon2id, slow on purpose and therefore kept off the threads that serve.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;

use crate::clock::Entropy;

/// Twelve characters: with throttled sign-in and argon2id, out of reach of guessing, while NIST SP 800-63B's minimum
/// of eight is not once a hash has leaked. No rules on kinds of characters: they make passwords worse.
pub const SHORTEST: usize = 12;
/// In bytes. Long enough for every pass phrase, short enough that hashing one costs what hashing another does.
pub const LONGEST: usize = 1024;

/// The memory (KiB) and passes that OWASP names as the minimum for argon2id with one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
/// Hashes at once; each takes the memory above and one core for some 20 ms.
const AT_ONCE: usize = 2;
/// Sign-ins that may wait for their turn; beyond that they are told to come back.
const CROWD: usize = 64;
/// What is verified where there is no account or no password: same parameters, same time, never a match.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGlzIGhlcmUuLg$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Why a password cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPassword {
    /// Fewer than [`SHORTEST`] characters.
    #[error("the password is shorter than {SHORTEST} characters; several words make a good one")]
    TooShort,
    /// More than [`LONGEST`] bytes.
    #[error("the password is longer than {LONGEST} bytes")]
    TooLong,
}

/// Hashing could not be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// More sign-ins at once than are served.
    #[error("too many people sign in at this moment; try again in a few seconds")]
    Busy,
    /// The stored hash cannot be read, or there is no memory for hashing.
    #[error("the password could not be checked")]
    Failed,
}

/// Whether this may become somebody's password.
///
/// # Errors
/// The rule that it breaks.
pub fn check(password: &str) -> Result<(), BadPassword> {
    if password.len() > LONGEST {
        return Err(BadPassword::TooLong);
    }
    if password.chars().count() < SHORTEST {
        return Err(BadPassword::TooShort);
    }
    Ok(())
}

/// Makes and verifies hashes, a few at a time. Clones share the same turns.
#[derive(Clone, Debug)]
pub struct Hasher {
    turns: Arc<Semaphore>,
    crowd: Arc<Semaphore>,
    entropy: Entropy,
}

impl Hasher {
    /// One for the whole process.
    #[must_use]
    pub fn new(entropy: Entropy) -> Self {
        Self { turns: Arc::new(Semaphore::new(AT_ONCE)), crowd: Arc::new(Semaphore::new(CROWD)), entropy }
    }

    /// The PHC string to store.
    ///
    /// # Errors
    /// Too many at once, or no memory.
    pub async fn hash(&self, password: SecretString) -> Result<String, HashError> {
        let salt = self.entropy.bytes::<16>();
        self.take_turn(move || {
            let hash = argon2()?.hash_password_with_salt(password.expose_secret().as_bytes(), &salt);
            hash.map(|hash| hash.to_string()).map_err(|_| HashError::Failed)
        })
        .await
    }

    /// Whether the password belongs to the stored hash. Without a hash it takes the same time and says no.
    ///
    /// # Errors
    /// Too many at once, or a stored hash that cannot be read.
    pub async fn verify(&self, password: SecretString, stored: Option<String>) -> Result<bool, HashError> {
        if password.expose_secret().len() > LONGEST {
            return Ok(false);
        }
        self.take_turn(move || {
            let exists = stored.is_some();
            let phc = stored.unwrap_or_else(|| NOBODY.to_owned());
            let parsed = PasswordHash::new(&phc).map_err(|_| HashError::Failed)?;
            let matches = argon2()?.verify_password(password.expose_secret().as_bytes(), &parsed).is_ok();
            Ok(matches && exists)
        })
        .await
    }

    async fn take_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, HashError> {
        let _place = self.crowd.try_acquire().map_err(|_| HashError::Busy)?;
        // The permit goes with the work: a caller who gives up does not free a turn that is still being used.
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| HashError::Busy)?;
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        done.await.map_err(|_| HashError::Failed)?
    }
}

fn argon2() -> Result<Argon2<'static>, HashError> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).map_err(|_| HashError::Failed)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> SecretString {
        SecretString::from(text)
    }

    #[tokio::test]
    async fn a_password_verifies_and_another_does_not() {
        let hasher = Hasher::new(Entropy::seeded(1));
        let stored = hasher.hash(secret("correct horse battery")).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert_eq!(hasher.verify(secret("correct horse battery"), Some(stored.clone())).await, Ok(true));
        assert_eq!(hasher.verify(secret("correct horse batterY"), Some(stored.clone())).await, Ok(false));
        assert_eq!(hasher.verify(secret(&"x".repeat(LONGEST + 1)), Some(stored)).await, Ok(false));
        assert_eq!(hasher.verify(secret("x"), Some("no hash".into())).await, Err(HashError::Failed));
    }

    #[tokio::test]
    async fn nobody_has_no_password_but_is_verified_all_the_same() {
        let parsed = PasswordHash::new(NOBODY).unwrap();
        assert_eq!(parsed.hash.map(|h| h.as_bytes().len()), Some(32), "the same work as for a real one");
        let hasher = Hasher::new(Entropy::System);
        assert_eq!(hasher.verify(secret(""), None).await, Ok(false));
    }

    #[test]
    fn rules() {
        assert_eq!(check("elevenchars"), Err(BadPassword::TooShort));
        assert_eq!(check("zwölf Zeichn"), Ok(()), "characters count, not bytes");
        assert_eq!(check(&"é".repeat(6)), Err(BadPassword::TooShort));
        assert_eq!(check(&"ab".repeat(513)), Err(BadPassword::TooLong));
    }
}
