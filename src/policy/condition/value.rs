//! Values that a policy compares with a call's: numbers by their exact value, strings by their code points.

use std::collections::BTreeMap;
use std::fmt;

use crate::call::json::{self, Kind, Node};
use crate::policy::decimal::Decimal;

/// A value of the policy file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::policy) enum Value {
    Null,
    Bool(bool),
    Number(Decimal),
    Text(String),
    List(Vec<Self>),
    Object(BTreeMap<String, Self>),
}

/// JSON that holds this value.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => value.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(&json::quote(text)),
            Self::List(values) => {
                let values: Vec<_> = values.iter().map(ToString::to_string).collect();
                write!(f, "[{}]", values.join(", "))
            }
            Self::Object(members) => {
                let member = |(key, value): (&String, &Self)| format!("{}: {value}", json::quote(key));
                let members: Vec<_> = members.iter().map(member).collect();
                write!(f, "{{{}}}", members.join(", "))
            }
        }
    }
}

impl Value {
    /// The value of a node; `None` where a number in it has an exponent beyond what can be represented.
    pub(in crate::policy) fn of(node: &Node<'_>) -> Option<Self> {
        Some(match &node.kind {
            Kind::Null => Self::Null,
            Kind::Bool(value) => Self::Bool(*value),
            Kind::Number(text) => Self::Number(Decimal::parse(text)?),
            Kind::String(text) => Self::Text(text.clone().into_owned()),
            Kind::Array(elements) => Self::List(elements.iter().map(Self::of).collect::<Option<_>>()?),
            Kind::Object(members) => {
                let member =
                    |member: &json::Member<'_>| Some((member.key.clone().into_owned(), Self::of(&member.value)?));
                Self::Object(members.iter().map(member).collect::<Option<_>>()?)
            }
        })
    }

    /// Whether the call's value is this one; `None` where they are of different types, or it cannot be represented.
    pub(super) fn is(&self, node: &Node<'_>) -> Option<bool> {
        Some(match (self, &node.kind) {
            (Self::Null, Kind::Null) => true,
            (Self::Bool(own), Kind::Bool(value)) => own == value,
            (Self::Number(own), Kind::Number(text)) => *own == Decimal::parse(text)?,
            (Self::Text(own), Kind::String(text)) => own == text,
            (Self::List(own), Kind::Array(elements)) => {
                let same = own.iter().zip(elements).map(|(own, element)| own.is_within(element));
                own.len() == elements.len() && same.collect::<Option<Vec<_>>>()?.into_iter().all(|same| same)
            }
            (Self::Object(own), Kind::Object(members)) => {
                let same = members.iter().map(|member| match own.get(&*member.key) {
                    Some(own) => own.is_within(&member.value),
                    None => Some(false),
                });
                own.len() == members.len() && same.collect::<Option<Vec<_>>>()?.into_iter().all(|same| same)
            }
            _ => return None,
        })
    }

    /// As [`Value::is`], inside a list or object: another type is another value there.
    fn is_within(&self, node: &Node<'_>) -> Option<bool> {
        match (self.is(node), self, &node.kind) {
            (None, Self::Number(_), Kind::Number(_))
            | (None, Self::List(_), Kind::Array(_))
            | (None, Self::Object(_), Kind::Object(_)) => None,
            (is, ..) => Some(is.unwrap_or(false)),
        }
    }
}
