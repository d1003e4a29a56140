//! Conditions on what is around a call, whose values are known beforehand: what never compares is said.

use crate::policy::circumstances::{ANNOTATIONS, CLASSES, Fact};
use crate::policy::condition::{Operator, Value};
use crate::policy::problem::closest;
use crate::policy::source::{Fields, Reader};

/// Looks at what a fact is compared with.
pub(super) fn check(reader: &mut Reader<'_>, fields: &Fields<'_, '_>, fact: &Fact, operator: &Operator) {
    if let Fact::Annotation(name) = fact
        && let Some(at) = fields.get("path")
        && let Some(meant) = closest(name, &ANNOTATIONS).filter(|meant| meant != name)
    {
        let words = format!("{name} is none of the protocol's annotations, so most servers say nothing of it");
        let hint = format!("did you mean \"tool.annotations.{meant}\"?");
        reader.warn(at.node.span.start, &at.pointer, words, &hint);
    }
    let Some(at) = fields.get("value") else { return };
    let compared = compared(operator);
    if let Some(other) = compared.iter().find(|value| !fact.is_like(value)) {
        let is = if matches!(fact, Fact::Annotation(_)) { "true or false" } else { "a string" };
        let words = format!("{other} can never be compared with {}, which is {is}", fact.shown());
        return reader.error(&at, words, &format!("write {is}"));
    }
    let texts = compared.iter().filter_map(|value| match value {
        Value::Text(text) => Some(text.as_str()),
        _ => None,
    });
    let globs: &[_] = if let Operator::Glob(globs) = operator { globs } else { &[] };
    let texts = texts.chain(globs.iter().map(crate::policy::glob::Glob::text));
    for text in texts {
        if *fact == Fact::Owner && text.to_lowercase() != text {
            let words = format!("{text:?} never matches: addresses of owners are kept in lower case");
            reader.error(&at, words, &format!("write {:?}", text.to_lowercase()));
        }
    }
    if *fact == Fact::Class && !matches!(operator, Operator::Contains(_)) {
        for value in compared {
            let Value::Text(class) = value else { continue };
            if !CLASSES.contains(&class.as_str()) {
                let hint = match closest(class, &CLASSES) {
                    Some(meant) => format!("did you mean {meant:?}?"),
                    None => format!("the classes are {}", CLASSES.join(", ")),
                };
                reader.error(&at, format!("no tool is of the class {class:?}"), &hint);
            }
        }
    }
}

/// The values that a fact is compared with.
fn compared(operator: &Operator) -> Vec<&Value> {
    match operator {
        Operator::Equal(value) | Operator::NotEqual(value) | Operator::Contains(value) => vec![value],
        Operator::In(values) | Operator::NotIn(values) => values.iter().collect(),
        _ => Vec::new(),
    }
}

impl Fact {
    fn is_like(&self, value: &Value) -> bool {
        match self {
            Self::Annotation(_) => matches!(value, Value::Bool(_)),
            _ => matches!(value, Value::Text(_)),
        }
    }
}
