//! Randomness, passed in: the system's in service, a reproducible stream under test.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::call::Millis;

/// Random bytes: the system's, or a reproducible stream in tests.
#[derive(Clone, Debug)]
pub enum Entropy {
    /// The operating system's generator.
    System,
    /// SHA-256 of seed and counter; never outside tests.
    Seeded(Arc<(u64, AtomicU64)>),
}

impl Entropy {
    /// The same bytes in the same order for the same seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self::Seeded(Arc::new((seed, AtomicU64::new(0))))
    }

    /// `N` random bytes.
    ///
    /// # Panics
    /// If the operating system has no randomness to give: without it no token is safe, so nothing may go on.
    #[must_use]
    #[expect(clippy::expect_used, reason = "without randomness nothing may go on")]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut out = [0; N];
        match self {
            Self::System => getrandom::fill(&mut out).expect("the operating system gives random bytes"),
            Self::Seeded(state) => {
                for chunk in out.chunks_mut(32) {
                    let count = state.1.fetch_add(1, Ordering::Relaxed);
                    let block = Sha256::digest([state.0.to_be_bytes(), count.to_be_bytes()].concat());
                    chunk.copy_from_slice(&block[..chunk.len()]);
                }
            }
        }
        out
    }

    /// A UUIDv7 for this moment: sorts by time, 74 random bits.
    #[must_use]
    pub fn uuid(&self, now: Millis) -> Uuid {
        let millis = u64::try_from(now.0).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(millis, &self.bytes::<10>()).into_uuid()
    }

    /// A token for people to carry: `N` random bytes in URL-safe base64 without padding.
    #[must_use]
    pub fn token<const N: usize>(&self) -> String {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(self.bytes::<N>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeded_randomness_repeats_and_uuids_sort_by_time() {
        assert_eq!(Entropy::seeded(1).bytes::<40>(), Entropy::seeded(1).bytes::<40>());
        assert_ne!(Entropy::seeded(1).bytes::<40>(), Entropy::seeded(2).bytes::<40>());
        let entropy = Entropy::System;
        assert!(entropy.uuid(Millis(1)) < entropy.uuid(Millis(2)));
        assert_eq!(entropy.token::<16>().len(), 22);
    }
}
