//! Moments and deadlines as a page says them.

use jiff::Timestamp;

/// A moment: shown as "12 min ago", exact on hover and in print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Time {
    /// ISO 8601, UTC, milliseconds: for `datetime=` and for the scripts.
    pub iso: String,
    /// "just now", "12 min ago", "in 3 h".
    pub relative: String,
    /// "2026-11-22 14:02:11 UTC".
    pub exact: String,
    /// "14:02:11 UTC": where the day is clear from the surroundings.
    pub clock: String,
}

impl Time {
    /// `at` as seen at `now`, both in milliseconds since 1970 (values beyond what a calendar
    /// represents are held at its ends).
    #[must_use]
    pub fn new(at: i64, now: i64) -> Self {
        let stamp = timestamp(at);
        Self {
            iso: stamp.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
            relative: relative(at, now),
            exact: stamp.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
            clock: stamp.strftime("%H:%M:%S UTC").to_string(),
        }
    }
}

fn timestamp(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(if ms < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

/// A length of time in its largest unit, rounded down: "40 s", "12 min", "3 h", "2 days".
#[must_use]
pub fn span(ms: i64) -> String {
    let s = ms.saturating_abs() / 1000;
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min", s / 60),
        3600..172_800 => format!("{} h", s / 3600),
        _ => format!("{} days", s / 86_400),
    }
}

fn relative(at: i64, now: i64) -> String {
    let ahead = at.saturating_sub(now);
    match ahead {
        -4999..=999 => "just now".to_owned(),
        1000.. => format!("in {}", span(ahead)),
        _ => format!("{} ago", span(ahead)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_how_far() {
        let now = 1_795_356_131_000;
        assert_eq!(Time::new(now, now).relative, "just now");
        assert_eq!(Time::new(now - 61_000, now).relative, "1 min ago");
        assert_eq!(Time::new(now + 900_000, now).relative, "in 15 min");
        assert_eq!(Time::new(now - 200_000_000, now).relative, "2 days ago");
        assert_eq!(Time::new(now, now).iso, "2026-11-22T14:02:11.000Z");
        assert_eq!(Time::new(now, now).exact, "2026-11-22 14:02:11 UTC");
    }

    #[test]
    fn survives_any_number() {
        for at in [i64::MIN, i64::MAX, 0, -1] {
            for now in [i64::MIN, i64::MAX, 0] {
                assert!(!Time::new(at, now).relative.is_empty());
            }
        }
    }
}
