//! A moment, as everything stores and compares it: whole milliseconds since the Unix epoch, UTC.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z. Arithmetic saturates: a clock gone mad never wraps into a valid time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub i64);

impl Millis {
    /// The latest moment that can be written down.
    pub const MAX: Self = Self(i64::MAX);

    /// This moment and `span` later.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This moment and `span` earlier.
    #[must_use]
    pub fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// As people read it, to the second: `2026-11-22 14:02:11 UTC`; the bare number where no calendar reaches it.
    #[must_use]
    pub fn in_words(self) -> String {
        let moment = jiff::Timestamp::from_millisecond(self.0);
        moment.map_or_else(|_| self.to_string(), |moment| moment.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
    }

    /// How long from `earlier` to this moment; zero if it lies before.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// ISO 8601 in UTC with milliseconds, as `2026-11-22T14:02:11.000Z`; the bare number where no calendar reaches it.
impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(moment) => write!(f, "{moment:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

/// Reads what [`Millis`] writes.
impl FromStr for Millis {
    type Err = BadMoment;

    fn from_str(text: &str) -> Result<Self, BadMoment> {
        match text.strip_suffix(" ms") {
            Some(number) => number.parse().map(Self).map_err(|_| BadMoment),
            None => text.parse::<jiff::Timestamp>().map(|at| Self(at.as_millisecond())).map_err(|_| BadMoment),
        }
    }
}

/// Why a text is no moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no moment as 2026-11-22T14:02:11.000Z")]
pub struct BadMoment;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_utc_with_milliseconds() {
        assert_eq!(Millis(1_795_356_131_007).to_string(), "2026-11-22T14:02:11.007Z");
        assert_eq!(Millis(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Millis(1_795_356_131_007).in_words(), "2026-11-22 14:02:11 UTC");
    }

    #[test]
    fn saturates_at_both_ends() {
        assert_eq!(Millis::MAX.after(Duration::from_secs(1)), Millis::MAX);
        assert_eq!(Millis(i64::MIN).before(Duration::MAX), Millis(i64::MIN));
        assert_eq!(Millis(0).since(Millis(5)), Duration::ZERO);
        assert!(Millis::MAX.to_string().ends_with("ms") && Millis::MAX.in_words().ends_with("ms"));
    }
}
