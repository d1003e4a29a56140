//! Durations as people write them in our files: a whole number and s, m, h or d.

use std::time::Duration;

/// Longer than any deadline that makes sense, short enough that every sum of times stays a date.
const LONGEST: u64 = 3650 * 86400;

/// What to write where a duration is asked for.
pub(crate) const HINT: &str = "write a whole number and s, m, h or d, in quotes, such as \"15m\"";

/// Reads `90s`, `15m`, `1h` or `7d`, up to ten years.
///
/// # Errors
/// Says what is wrong with the text.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => 86400,
        _ => return Err(format!("{text:?} is not a duration")),
    };
    let digits = &text[..text.len() - 1];
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("{text:?} is not a duration"));
    }
    let seconds = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).filter(|s| *s <= LONGEST);
    seconds.map(Duration::from_secs).ok_or_else(|| format!("{text:?} is longer than ten years"))
}

/// As [`duration`], and longer than nothing.
///
/// # Errors
/// Says what is wrong with the text.
pub(crate) fn positive_duration(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("this must last longer than 0".to_owned()),
        some => Ok(some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_whole_numbers_with_a_unit_and_nothing_else() {
        for (text, seconds) in [("0s", 0), ("90s", 90), ("15m", 900), ("1h", 3600), ("7d", 604_800), ("3650d", LONGEST)]
        {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for bad in ["", "15", "m", "-1m", "+1m", "1.5h", "1 h", "1H", "1ms", "1é", "3651d", "99999999999999999999s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        assert!(positive_duration("0d").is_err());
    }
}
