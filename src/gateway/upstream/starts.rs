//! Waiting between attempts to start or reach an upstream that has failed.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::call::Millis;

/// The longest wait.
const LONGEST: Duration = Duration::from_secs(60);

/// Counts failures in a row: 1 s after the first, doubling up to a minute.
#[derive(Debug, Default)]
pub(super) struct Starts(Mutex<Failures>);

#[derive(Debug, Default)]
struct Failures {
    count: u32,
    next: Millis,
    why: String,
}

impl Starts {
    /// Whether an attempt may be made now; otherwise what failed and how long to wait.
    pub(super) fn check(&self, now: Millis) -> Result<(), String> {
        let failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back must not stretch the wait.
        let wait = failures.next.since(now).min(LONGEST);
        if failures.count == 0 || wait.is_zero() {
            return Ok(());
        }
        let seconds = wait.as_millis().div_ceil(1000);
        Err(format!("{}; it is tried again in {seconds} s", failures.why))
    }

    /// An attempt failed.
    pub(super) fn failed(&self, now: Millis, why: &str) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = Duration::from_secs(1 << failures.count.min(6)).min(LONGEST);
        *failures = Failures { count: failures.count.saturating_add(1), next: now.after(wait), why: why.to_owned() };
    }

    /// An attempt worked.
    pub(super) fn worked(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Failures::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_minute_and_end_with_success() {
        let (starts, mut now) = (Starts::default(), Millis(0));
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(starts.check(now), Ok(()));
            starts.failed(now, "gone");
            assert_eq!(starts.check(now), Err(format!("gone; it is tried again in {seconds} s")));
            now = now.after(Duration::from_secs(seconds));
        }
        starts.failed(now, "gone");
        assert!(starts.check(Millis(0)).unwrap_err().ends_with("60 s"), "the clock went back");
        starts.worked();
        assert_eq!(starts.check(now), Ok(()));
    }
}
