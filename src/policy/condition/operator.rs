//! What a condition asks of one value.

use std::cmp::Ordering;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv6Net};

use super::value::Value;
use crate::call::json::{Kind, Node};
use crate::policy::decimal::Decimal;
use crate::policy::glob::Glob;
use crate::policy::path::Place;
use crate::policy::re2::Re2;

/// An operator with what it compares with.
#[derive(Clone, Debug)]
pub(in crate::policy) enum Operator {
    Equal(Value),
    NotEqual(Value),
    In(Vec<Value>),
    NotIn(Vec<Value>),
    Compare(Comparison, Decimal),
    /// Somewhere in a string.
    Regex(Re2),
    /// A string's part, or a list's element.
    Contains(Value),
    /// Present and not null, or the opposite of it.
    Exists(bool),
    /// A whole string, by any of these.
    Glob(Vec<Glob>),
    /// An address or network, wholly within one of these.
    Cidr(Networks),
}

/// How numbers are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::policy) enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// What an operator says of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    Yes,
    No,
    /// There is no value.
    Missing,
    /// It is of a type that this operator does not compare, or beyond what can be represented, or nobody can say what
    /// it is.
    CannotCompare,
}

impl Judged {
    fn of(is: Option<bool>) -> Self {
        match is {
            Some(true) => Self::Yes,
            Some(false) => Self::No,
            None => Self::CannotCompare,
        }
    }
}

impl Operator {
    /// Its name in the policy.
    pub(in crate::policy) fn name(&self) -> &'static str {
        match self {
            Self::Equal(_) => "eq",
            Self::NotEqual(_) => "neq",
            Self::In(_) => "in",
            Self::NotIn(_) => "not_in",
            Self::Compare(Comparison::Less, _) => "lt",
            Self::Compare(Comparison::LessOrEqual, _) => "lte",
            Self::Compare(Comparison::Greater, _) => "gt",
            Self::Compare(Comparison::GreaterOrEqual, _) => "gte",
            Self::Regex(_) => "regex",
            Self::Contains(_) => "contains",
            Self::Exists(_) => "exists",
            Self::Glob(_) => "glob",
            Self::Cidr(_) => "cidr",
        }
    }

    /// Whether it is so, or may be: doubt counts, and a missing value where the operator says what it is not.
    pub(super) fn may_be(&self, judged: Judged) -> bool {
        match judged {
            Judged::Yes | Judged::CannotCompare => true,
            Judged::No => false,
            Judged::Missing => matches!(self, Self::NotEqual(_) | Self::NotIn(_)),
        }
    }

    pub(super) fn judge(&self, place: Place<'_, '_>) -> Judged {
        let node = match place {
            Place::Value(node) => Some(node),
            Place::Missing => None,
            Place::Doubtful => return Judged::CannotCompare,
        };
        if let Self::Exists(wanted) = self {
            let there = node.is_some_and(|node| !node.is_null());
            return Judged::of(Some(there == *wanted));
        }
        let Some(node) = node else { return Judged::Missing };
        Judged::of(match self {
            Self::Equal(value) => value.is(node),
            Self::NotEqual(value) => value.is(node).map(|is| !is),
            Self::In(values) => is_any(values, node),
            Self::NotIn(values) => is_any(values, node).map(|is| !is),
            Self::Compare(comparison, bound) => {
                node.as_number().and_then(Decimal::parse).map(|number| comparison.is_met(number.cmp(bound)))
            }
            Self::Regex(regex) => node.as_str().map(|text| regex.is_match(text)),
            Self::Contains(value) => contains(value, node),
            Self::Exists(_) => None,
            Self::Glob(globs) => node.as_str().map(|text| globs.iter().any(|glob| glob.is_match(text))),
            Self::Cidr(networks) => node.as_str().and_then(|text| networks.hold(text)),
        })
    }
}

impl Comparison {
    fn is_met(self, ordering: Ordering) -> bool {
        match self {
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
        }
    }
}

/// Whether the value is one of these; `None` where it can be compared with none of them, or it is none of those that it
/// can be compared with and cannot be represented itself.
fn is_any(values: &[Value], node: &Node<'_>) -> Option<bool> {
    let mut comparable = None;
    for value in values {
        match value.is(node) {
            Some(true) => return Some(true),
            Some(false) => comparable = Some(false),
            None => {}
        }
    }
    comparable
}

fn contains(value: &Value, node: &Node<'_>) -> Option<bool> {
    match (&node.kind, value) {
        (Kind::String(text), Value::Text(part)) => Some(text.contains(part.as_str())),
        (Kind::Array(elements), value) => {
            if elements.iter().any(|element| value.is(element) == Some(true)) {
                return Some(true);
            }
            // An element that may be it and cannot be read is no answer.
            let unread = elements.iter().any(|element| Value::of(element).is_none());
            if unread { None } else { Some(false) }
        }
        _ => None,
    }
}

/// Networks, of version 4 and 6.
#[derive(Clone, Debug)]
pub(in crate::policy) struct Networks(Vec<IpNet>);

impl Networks {
    /// Reads networks, as `10.0.0.0/8`, and addresses.
    ///
    /// # Errors
    /// The first that is neither.
    pub(in crate::policy) fn parse<'t>(texts: impl IntoIterator<Item = &'t str>) -> Result<Self, &'t str> {
        texts.into_iter().map(|text| network(text).ok_or(text)).collect::<Result<_, _>>().map(Self)
    }

    /// Each as text.
    pub(in crate::policy) fn shown(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }

    /// Whether this address or network lies wholly within one of them; `None` if it is neither, or reaches into one of
    /// them from outside, or stands for an address of version 4 that only a translator of addresses knows.
    fn hold(&self, text: &str) -> Option<bool> {
        let asked = network(text)?;
        if self.0.iter().any(|network| network.contains(&asked)) {
            return Some(true);
        }
        let reaches = self.0.iter().any(|network| asked.contains(network));
        let translated = matches!(asked, IpNet::V6(asked) if is_translated(asked))
            && self.0.iter().any(|network| matches!(network, IpNet::V4(_)));
        (!reaches && !translated).then_some(false)
    }
}

/// Whether it has an address of version 4 within it: translated (RFC 6052), compatible (RFC 4291), or of a tunnel
/// (RFC 3056).
fn is_translated(asked: Ipv6Net) -> bool {
    match asked.addr().segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, ..] | [0x2002, ..] => true,
        [0, 0, 0, 0, 0, 0, high, low] => high > 0 || low > 1,
        _ => false,
    }
}

/// An address counts as the network of itself alone, and a version 4 address in version 6 clothes as what it is.
fn network(text: &str) -> Option<IpNet> {
    match text.parse::<IpNet>() {
        Ok(IpNet::V6(net)) => match (net.addr().to_ipv4_mapped(), net.prefix_len().checked_sub(96)) {
            (Some(address), Some(prefix)) => IpNet::new(IpAddr::V4(address), prefix).ok(),
            _ => Some(IpNet::V6(net)),
        },
        Ok(net) => Some(net),
        Err(_) => text.parse::<IpAddr>().ok().map(|address| IpNet::from(address.to_canonical())),
    }
}
