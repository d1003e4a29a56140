//! Numbers as JSON writes them, compared by their exact decimal value: 1, 1.0 and 1e0 are equal, and
//! 9007199254740993 is not 9007199254740992. Sums of them are exact too.

use std::cmp::Ordering;
use std::fmt;

/// What is summed has no digit so far from its point, on either side, so that a sum's size is bounded.
const FARTHEST: i64 = 400;

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
            return Some(Self::zero());
        }
        Some(Self { negative, scale: exponent.checked_add(before)?, digits: kept.to_owned() })
    }

    fn zero() -> Self {
        Self { negative: false, scale: 0, digits: String::new() }
    }

    /// Whether every digit of it is near enough to its point to be summed.
    pub(super) fn can_be_summed(&self) -> bool {
        self.scale <= FARTHEST && self.last() >= -FARTHEST
    }

    /// The sum of two numbers of 0 or more; `None` where one of them, or the sum, cannot be summed.
    pub(super) fn plus(&self, other: &Self) -> Option<Self> {
        self.column_by_column(other, |a, b, carry| a + b + carry)
    }

    /// What is left of a number of 0 or more without another one; `None` where less than nothing is left.
    pub(super) fn minus(&self, other: &Self) -> Option<Self> {
        self.column_by_column(other, |a, b, carry| a - b + carry)
    }

    /// Works as on paper, from the last digit to the first.
    fn column_by_column(&self, other: &Self, work: impl Fn(i8, i8, i8) -> i8) -> Option<Self> {
        if [self, other].iter().any(|number| number.negative || !number.can_be_summed()) {
            return None;
        }
        let (first, last) = (self.scale.max(other.scale), self.last().min(other.last()));
        let mut digits = String::new();
        let mut carry = 0;
        for power in last..first {
            let column = work(self.digit(power), other.digit(power), carry);
            carry = column.div_euclid(10);
            digits.insert(0, char::from(b'0' + column.rem_euclid(10).unsigned_abs()));
        }
        if carry < 0 {
            return None;
        }
        digits.insert(0, char::from(b'0' + carry.unsigned_abs()));
        let kept = digits.trim_start_matches('0');
        let scale = first + 1 - i64::try_from(digits.len() - kept.len()).ok()?;
        let kept = kept.trim_end_matches('0');
        if kept.is_empty() {
            return Some(Self::zero());
        }
        let sum = Self { negative: false, scale, digits: kept.to_owned() };
        sum.can_be_summed().then_some(sum)
    }

    /// The digit that counts so many powers of ten.
    fn digit(&self, power: i64) -> i8 {
        let at = usize::try_from(self.scale - 1 - power).ok();
        at.and_then(|at| self.digits.as_bytes().get(at)).map_or(0, |digit| (digit - b'0').cast_signed())
    }

    /// The power of ten of the last digit.
    fn last(&self) -> i64 {
        self.scale.saturating_sub(i64::try_from(self.digits.len()).unwrap_or(i64::MAX))
    }

    /// Whether it is below zero.
    pub(super) fn is_negative(&self) -> bool {
        self.negative
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

/// In plain digits; with an exponent only where they would be too many.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.negative { "-" } else { "" };
        let digits = &self.digits;
        if !self.can_be_summed() {
            return write!(f, "{sign}0.{digits}e{}", self.scale);
        }
        let (scale, length) = (self.scale, i64::try_from(digits.len()).unwrap_or(i64::MAX));
        let zeros = |count: i64| "0".repeat(usize::try_from(count).unwrap_or(0));
        match usize::try_from(scale) {
            _ if digits.is_empty() => f.write_str("0"),
            Ok(whole) if 0 < scale && scale < length => write!(f, "{sign}{}.{}", &digits[..whole], &digits[whole..]),
            Ok(_) if scale > 0 => write!(f, "{sign}{digits}{}", zeros(scale - length)),
            _ => write!(f, "{sign}0.{}{digits}", zeros(-scale)),
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

    #[test]
    fn sums_are_exact() {
        for (a, b, sum) in [
            ("0.1", "0.2", "0.3"),
            ("0", "0", "0"),
            ("0", "1.50", "1.5"),
            ("99.99", "0.01", "100"),
            ("999", "1", "1000"),
            ("1e3", "1e-3", "1000.001"),
            ("9007199254740993", "0.1", "9007199254740993.1"),
            ("18446744073709551615", "1", "18446744073709551616"),
            ("1e399", "1e-400", &format!("1{}.{}1", "0".repeat(399), "0".repeat(399))),
        ] {
            let found = number(a).plus(&number(b)).unwrap();
            assert_eq!((found.to_string(), &found), (sum.to_owned(), &number(sum)), "{a} + {b}");
            assert_eq!(number(b).plus(&number(a)), Some(found.clone()), "{b} + {a}");
            assert_eq!(found.minus(&number(b)), Some(number(a)), "{a} + {b} - {b}");
        }
        assert_eq!(number("0.1").minus(&number("0.2")), None);
        assert_eq!(number("1").minus(&number("1.0")), Some(number("0")));
    }

    #[test]
    fn what_is_too_long_is_not_summed() {
        let long = format!("0.{}1", "0".repeat(400));
        for far in ["1e400", "1e9223372036854775000", "1e-401", "1e-9223372036854775000", &long, "-1"] {
            assert!(number(far).plus(&number("1")).is_none() && number("0").plus(&number(far)).is_none(), "{far}");
        }
        let most = "9".repeat(400);
        assert!(number(&most).can_be_summed() && number(&most).plus(&number("1")).is_none(), "it would overflow");
        assert_eq!(number("1e9223372036854775000").to_string(), "0.1e9223372036854775001");
        assert_eq!(number("-0.05").to_string(), "-0.05");
    }

    proptest! {
        #[test]
        fn sums_and_differences_are_those_of_whole_numbers(a in 0..u128::MAX / 2, b in 0..u128::MAX / 2, point in 0..30_i32) {
            let scaled = |n: u128| number(&format!("{n}e-{point}"));
            prop_assert_eq!(scaled(a).plus(&scaled(b)), Some(scaled(a + b)));
            prop_assert_eq!(scaled(a).minus(&scaled(b)), a.checked_sub(b).map(scaled));
        }

        #[test]
        fn what_is_printed_is_read_back(text in "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?(e-?[0-9]{1,3})?") {
            prop_assert_eq!(number(&number(&text).to_string()), number(&text));
        }

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
