//! What counters hold and limits allow: exact numbers of 0 or more. Nearly all of them are counts of calls, which take
//! no memory of their own.

use std::cmp::Ordering;
use std::fmt;

use crate::policy::decimal::Decimal;

/// A number of 0 or more that can be summed. One value has one form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::policy) enum Amount {
    /// A whole number.
    Whole(u64),
    /// A fraction, or too large to be counted.
    Exact(Decimal),
}

/// Why a number is no amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::policy) enum NoAmount {
    Negative,
    TooLong,
}

impl Amount {
    pub(super) const ZERO: Self = Self::Whole(0);

    /// Reads a number as JSON spells it.
    pub(in crate::policy) fn parse(text: &str) -> Result<Self, NoAmount> {
        match Decimal::parse(text) {
            Some(number) if number.is_negative() => Err(NoAmount::Negative),
            Some(number) if number.can_be_summed() => Ok(Self::of(number)),
            Some(_) | None => Err(NoAmount::TooLong),
        }
    }

    fn of(number: Decimal) -> Self {
        number.to_string().parse().map_or(Self::Exact(number), Self::Whole)
    }

    pub(super) fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }

    /// The sum; `None` where it is too large.
    pub(super) fn plus(&self, other: &Self) -> Option<Self> {
        if let (Self::Whole(a), Self::Whole(b)) = (self, other)
            && let Some(sum) = a.checked_add(*b)
        {
            return Some(Self::Whole(sum));
        }
        self.decimal()?.plus(&other.decimal()?).map(Self::of)
    }

    /// What is left without `other`, which is nothing where that is more.
    pub(super) fn minus(&self, other: &Self) -> Self {
        if let (Self::Whole(a), Self::Whole(b)) = (self, other) {
            return Self::Whole(a.saturating_sub(*b));
        }
        let left = self.decimal().and_then(|own| own.minus(&other.decimal()?));
        left.map_or(Self::ZERO, Self::of)
    }

    fn decimal(&self) -> Option<Decimal> {
        match self {
            Self::Whole(number) => Decimal::parse(&number.to_string()),
            Self::Exact(number) => Some(number.clone()),
        }
    }
}

impl Ord for Amount {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => a.cmp(b),
            _ => self.decimal().cmp(&other.decimal()),
        }
    }
}

impl PartialOrd for Amount {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(number) => number.fmt(f),
            Self::Exact(number) => number.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(text: &str) -> Amount {
        Amount::parse(text).unwrap()
    }

    #[test]
    fn one_value_has_one_form() {
        for (text, whole) in [("5", true), ("5.0", true), ("50e-1", true), ("0", true), ("-0", true), ("0.5", false)] {
            assert_eq!(matches!(amount(text), Amount::Whole(_)), whole, "{text}");
        }
        assert_eq!(amount("18446744073709551615"), Amount::Whole(u64::MAX));
        let more = amount("18446744073709551615").plus(&amount("1")).unwrap();
        assert!(matches!(more, Amount::Exact(_)) && more > Amount::Whole(u64::MAX));
        assert_eq!(more.minus(&amount("1")), Amount::Whole(u64::MAX));
        assert_eq!(amount("0.1").plus(&amount("0.2")), Some(amount("0.3")));
        assert_eq!(amount("0.9").plus(&amount("0.1")), Some(Amount::Whole(1)));
        assert_eq!((amount("1").minus(&amount("2")), amount("0.1").minus(&amount("2"))), (Amount::ZERO, Amount::ZERO));
        assert!(amount("0.9") < amount("1") && amount("1") < amount("1.1") && amount("2") > amount("1.1"));
    }

    #[test]
    fn what_is_no_amount_says_why() {
        for (text, why) in [
            ("-0.01", NoAmount::Negative),
            ("-1e999", NoAmount::Negative),
            ("1e400", NoAmount::TooLong),
            ("1e-401", NoAmount::TooLong),
            ("1e99999999999999999999", NoAmount::TooLong),
        ] {
            assert_eq!(Amount::parse(text), Err(why), "{text}");
        }
    }
}
