//! When a mail leaves, pure.
//!
//! To one reviewer, what happens close together is one mail: it leaves when nothing new has come for [`QUIET`], not
//! before [`GATHER`] after the last mail to that reviewer, and always within [`GATHER`] of the first thing it tells. So
//! the first mail of a busy minute leaves after seconds, everything else of that minute together, and no notice is
//! older than a minute when it leaves.

use std::time::Duration;

use crate::call::Millis;

/// How long nothing new must come before the first mail leaves.
pub(super) const QUIET: Duration = Duration::from_secs(5);

/// How long notices are gathered at most; below a minute, so that sending still fits into it.
pub(super) const GATHER: Duration = Duration::from_secs(50);

/// When a mail that was not taken is no longer tried.
pub(super) const GIVE_UP: Duration = Duration::from_secs(24 * 3600);

/// How long a mail may be under way before another attempt is allowed: longer than an attempt can take.
pub(super) const LEASE: Duration = Duration::from_secs(120);

/// The notices that wait for one reviewer and have never been tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    /// When the oldest of them happened.
    pub first: Millis,
    /// When the newest of them happened.
    pub latest: Millis,
    /// When the last mail to this reviewer left, if that was within [`GATHER`].
    pub last_mail: Option<Millis>,
}

impl Waiting {
    /// When their mail leaves.
    pub(super) fn due(self) -> Millis {
        let spaced = self.last_mail.map_or(Millis(i64::MIN), |left| left.after(GATHER));
        self.latest.after(QUIET).max(spaced).min(self.first.after(GATHER))
    }
}

/// The longest wait between two attempts.
const LONGEST: Duration = Duration::from_secs(3600);

/// How long after the `attempts`-th attempt (from 1) the next one is made.
pub(super) fn backoff(attempts: u32) -> Duration {
    const SECONDS: [u64; 5] = [10, 30, 60, 300, 900];
    let step = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    SECONDS.get(step).map_or(LONGEST, |seconds| Duration::from_secs(*seconds))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Millis {
        Millis(seconds * 1000)
    }

    fn due(first: i64, latest: i64, last_mail: Option<i64>) -> i64 {
        Waiting { first: at(first), latest: at(latest), last_mail: last_mail.map(at) }.due().0 / 1000
    }

    #[test]
    fn the_first_leaves_after_seconds_and_the_rest_of_its_minute_together() {
        assert_eq!(due(0, 0, None), 5);
        assert_eq!(due(0, 3, None), 8, "a burst is one mail");
        assert_eq!(due(0, 49, None), 50, "however long it lasts");
        assert_eq!(due(6, 6, Some(5)), 55);
        assert_eq!(due(6, 40, Some(5)), 55);
        assert_eq!(due(100, 100, Some(5)), 105);
    }

    proptest! {
        #[test]
        fn no_notice_waits_a_minute_and_none_leaves_before_it_happened(
            first in 0_i64..1000, span in 0_i64..200, before in proptest::option::of(0_i64..100)
        ) {
            let due = due(first, first + span, before.map(|b| first - b));
            prop_assert!(due <= first + 50 && due >= first + 5.min(span));
        }
    }

    #[test]
    fn attempts_become_rarer_up_to_an_hour() {
        let waits: Vec<u64> = (0..9).map(|n| backoff(n).as_secs()).collect();
        assert_eq!(waits, [10, 10, 30, 60, 300, 900, 3600, 3600, 3600]);
        assert_eq!(backoff(u32::MAX).as_secs(), 3600);
    }
}
