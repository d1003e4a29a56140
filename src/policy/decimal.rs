//! Numbers as JSON writes them, compared by their exact decimal value: 1, 1.0 and 1e0 are equal, and
//! 9007199254740993 is not 9007199254740992.

use std::cmp::Ordering;
use std::fmt;

/// Whole numbers of so many figures are written without an exponent.
const PLAIN: usize = 21;

/// An exact decimal number: its digits, none of them a needless zero, and the power of ten of the first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Decimal {
    negative: bool,
    /// The value is `0.DIGITS` times ten to the power of this. 0 where there are no digits, which is zero.
    scale: i64,
    digits: String,
}

impl Decimal {
    /// Reads a number as JSON spells it (RFC 8259 §6); `None` where its exponent is beyond what can be represented, so
    /// that nothing is ever rounded.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let exponent: i64 = exponent.strip_prefix('+').unwrap_or(exponent).parse().ok()?;
        let digits = [whole, fraction].concat();
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let kept = digits.trim_start_matches('0');
        let before = i64::try_from(whole.len()).ok()? - i64::try_from(digits.len() - kept.len()).ok()?;
        let kept = kept.trim_end_matches('0');
        if kept.is_empty() {
            return Some(Self { negative: false, scale: 0, digits: String::new() });
        }
        Some(Self { negative, scale: exponent.checked_add(before)?, digits: kept.to_owned() })
    }

    fn magnitude(&self, other: &Self) -> Ordering {
        match (self.digits.is_empty(), other.digits.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            // Without zeros at their ends, digits of one scale compare as text does.
            (false, false) => self.scale.cmp(&other.scale).then_with(|| self.digits.cmp(&other.digits)),
        }
    }
}

/// As JSON writes it: in plain figures where they are few, with an exponent otherwise.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figures = self.digits.as_str();
        if figures.is_empty() {
            return f.write_str("0");
        }
        if self.negative {
            f.write_str("-")?;
        }
        let scale = usize::try_from(self.scale).ok().filter(|scale| *scale <= PLAIN);
        match scale {
            Some(0) => write!(f, "0.{figures}"),
            Some(scale) if scale >= figures.len() => write!(f, "{figures}{}", "0".repeat(scale - figures.len())),
            Some(scale) => write!(f, "{}.{}", &figures[..scale], &figures[scale..]),
            None if (-6..0).contains(&self.scale) => {
                write!(f, "0.{}{figures}", "0".repeat(usize::try_from(-self.scale).unwrap_or(0)))
            }
            None => write!(f, "0.{figures}e{}", self.scale),
        }
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => self.magnitude(other),
            (true, true) => other.magnitude(self),
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    #[test]
    fn spellings_of_one_value_are_equal() {
        for same in [
            &["1", "1.0", "1e0", "10e-1", "0.1E+1", "1.000000000000000000000000", "100e-2"][..],
            &["0", "-0", "0.0", "-0e5", "0e99999999", "0.000"],
            &["-12.5", "-125e-1", "-0.125e2", "-12500E-3"],
            &["1e400", "10e399", "0.1e401"],
        ] {
            for (a, b) in same.iter().flat_map(|a| same.iter().map(move |b| (a, b))) {
                assert_eq!(number(a), number(b), "{a} {b}");
                assert_eq!(number(a).cmp(&number(b)), Ordering::Equal, "{a} {b}");
            }
        }
    }

    #[test]
    fn what_is_less_is_less_whatever_a_float_makes_of_it() {
        let ascending = [
            "-1e400",
            "-9007199254740993",
            "-9007199254740992",
            "-2",
            "-1.5",
            "-0.1",
            "0",
            "1e-400",
            "0.1",
            "0.10000000000000000001",
            "5",
            "10",
            "9007199254740992",
            "9007199254740993",
            "18446744073709551616",
            "1e400",
            "1e9223372036854775000",
        ];
        for pair in ascending.windows(2) {
            assert!(number(pair[0]) < number(pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn what_cannot_be_represented_is_refused() {
        for text in
            ["1e9223372036854775808", "1e99999999999999999999", "1e-99999999999999999999", "10e9223372036854775807"]
        {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn whole_numbers_compare_as_they_do(a: i128, b: i128) {
            prop_assert_eq!(number(&a.to_string()).cmp(&number(&b.to_string())), a.cmp(&b));
        }

        #[test]
        fn what_is_written_is_read_as_the_same(text in "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,30})?(e[+-]?[0-9]{1,3})?") {
            let value = number(&text);
            prop_assert_eq!(number(&value.to_string()), value);
        }

        #[test]
        fn no_text_makes_it_panic(text in "-?[0-9eE.+-]{0,40}") {
            let _ = Decimal::parse(&text);
        }
    }
}
