//! Time and randomness, passed in: the system's in service, a test's own under test.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use uuid::Uuid;

use crate::call::Millis;

/// What time it is, and how to wait for another.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// Stands still until it is set.
    Manual(Arc<watch::Sender<Millis>>),
    /// The machine's clock, running faster since a moment of the machine's; never outside tests.
    #[cfg(feature = "failpoints")]
    Hurried {
        /// Before this moment it shows the machine's time.
        since: Millis,
        /// How many times as fast.
        times: u32,
    },
}

impl Clock {
    /// A clock that stands at `now` until [`Clock::set`].
    #[must_use]
    pub fn manual(now: Millis) -> Self {
        Self::Manual(Arc::new(watch::Sender::new(now)))
    }

    /// The clock of a process in service: the machine's. Crash tests, which start such processes, hurry it by
    /// `PLACET_CLOCK=SINCE*TIMES`, so that they need not wait for deadlines.
    #[must_use]
    pub fn of_process() -> Self {
        #[cfg(feature = "failpoints")]
        if let Ok(text) = std::env::var("PLACET_CLOCK") {
            let read = text.split_once('*').and_then(|(since, times)| {
                Some(Self::Hurried { since: Millis(since.parse().ok()?), times: times.parse().ok()? })
            });
            return read.unwrap_or_else(|| panic!("PLACET_CLOCK={text} is not SINCE*TIMES"));
        }
        Self::System
    }

    /// Now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the system for the time")]
    pub fn now(&self) -> Millis {
        match self {
            Self::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
            }
            Self::Manual(now) => *now.borrow(),
            #[cfg(feature = "failpoints")]
            Self::Hurried { since, times } => since.after(Self::System.now().since(*since) * *times),
        }
    }

    /// Moves a manual clock, forwards or backwards, and wakes who sleeps. The system's clock is not moved.
    pub fn set(&self, now: Millis) {
        if let Self::Manual(clock) = self {
            clock.send_replace(now);
        }
    }

    /// Moves a manual clock forwards.
    pub fn advance(&self, span: Duration) {
        self.set(self.now().after(span));
    }

    /// Returns at `moment`, or at once if it is past. On the system's clock it looks again every minute at the
    /// latest, so that a clock that is set while we sleep does not hold a deadline back.
    pub async fn sleep_until(&self, moment: Millis) {
        match self {
            Self::System => loop {
                let left = moment.since(self.now());
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left.min(Duration::from_secs(60))).await;
            },
            Self::Manual(now) => {
                // The sender lives in `self`, so the wait can only end by the moment's coming.
                let _ = now.subscribe().wait_for(|now| *now >= moment).await;
            }
            #[cfg(feature = "failpoints")]
            Self::Hurried { times, .. } => loop {
                let left = moment.since(self.now());
                if left.is_zero() {
                    return;
                }
                // Rounded up: whoever wakes a moment early would only look again.
                tokio::time::sleep((left / *times + Duration::from_millis(1)).min(Duration::from_secs(60))).await;
            },
        }
    }

    /// Returns after `span`.
    pub async fn sleep(&self, span: Duration) {
        self.sleep_until(self.now().after(span)).await;
    }
}

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

    #[tokio::test]
    async fn a_manual_clock_wakes_at_the_moment_and_not_before() {
        let clock = Clock::manual(Millis(0));
        let sleeper = clock.clone();
        let sleep = sleeper.sleep_until(Millis(10));
        tokio::pin!(sleep);
        clock.set(Millis(9));
        assert!(futures_util::poll!(&mut sleep).is_pending());
        clock.set(Millis(10));
        sleep.await;
    }

    #[test]
    fn seeded_randomness_repeats_and_uuids_sort_by_time() {
        assert_eq!(Entropy::seeded(1).bytes::<40>(), Entropy::seeded(1).bytes::<40>());
        assert_ne!(Entropy::seeded(1).bytes::<40>(), Entropy::seeded(2).bytes::<40>());
        let entropy = Entropy::System;
        assert!(entropy.uuid(Millis(1)) < entropy.uuid(Millis(2)));
        assert_eq!(entropy.token::<16>().len(), 22);
    }
}
