//! Conditions in words, for people who read what a policy does.

use jiff::civil::Time;

use super::circumstances::Fact;
use super::condition::{Comparison, Condition, Operator};
use super::glob::Glob;
use super::schedule::{DAYS, Schedule};

impl Condition {
    /// What it says, as the end of a sentence that begins with "if".
    pub(super) fn words(&self) -> String {
        match self {
            Self::Test(path, operator) => format!("{} {}", path.shown(), operator.words()),
            Self::Fact(fact, operator) => format!("{} {}", fact.words(), operator.words()),
            Self::Time(schedule) => schedule.words(),
            Self::Not(inner) => format!("not ({})", inner.words()),
            Self::Any(several) => joined(several, " or "),
            Self::All(several) => joined(several, " and "),
        }
    }
}

/// Those that are made of several themselves stand in parentheses.
fn joined(several: &[Condition], with: &str) -> String {
    let one = |condition: &Condition| match condition {
        Condition::Any(inner) | Condition::All(inner) if inner.len() > 1 && several.len() > 1 => {
            format!("({})", condition.words())
        }
        plain => plain.words(),
    };
    several.iter().map(one).collect::<Vec<_>>().join(with)
}

impl Operator {
    fn words(&self) -> String {
        let list = |texts: Vec<String>| texts.join(", ");
        match self {
            Self::Equal(value) => format!("is {value}"),
            Self::NotEqual(value) => format!("is not {value}"),
            Self::In(values) => format!("is one of {}", list(values.iter().map(ToString::to_string).collect())),
            Self::NotIn(values) => format!("is none of {}", list(values.iter().map(ToString::to_string).collect())),
            Self::Compare(Comparison::Less, bound) => format!("is less than {bound}"),
            Self::Compare(Comparison::LessOrEqual, bound) => format!("is at most {bound}"),
            Self::Compare(Comparison::Greater, bound) => format!("is more than {bound}"),
            Self::Compare(Comparison::GreaterOrEqual, bound) => format!("is at least {bound}"),
            Self::Regex(regex) => format!("matches /{}/", regex.text()),
            Self::Contains(value) => format!("contains {value}"),
            Self::Exists(true) => "is given".to_owned(),
            Self::Exists(false) => "is not given".to_owned(),
            Self::Glob(globs) => {
                format!("looks like {}", globs.iter().map(Glob::text).collect::<Vec<_>>().join(" or "))
            }
            Self::Cidr(networks) => format!("lies in {}", networks.shown().join(" or ")),
        }
    }
}

impl Fact {
    fn words(&self) -> String {
        match self {
            Self::Agent => "the agent".to_owned(),
            Self::Owner => "the agent's owner".to_owned(),
            Self::Upstream => "the upstream".to_owned(),
            Self::Tool => "the tool".to_owned(),
            Self::Class => "the tool's class".to_owned(),
            Self::Annotation(name) => format!("the server's annotation {name}"),
        }
    }
}

impl Schedule {
    fn words(&self) -> String {
        let days = DAYS.iter().filter(|(_, day)| self.days.contains(day)).map(|(name, _)| *name);
        let days = if self.days.len() < DAYS.len() {
            format!(" on {}", days.collect::<Vec<_>>().join(", "))
        } else {
            String::new()
        };
        let over_night = if self.from >= self.to && self.to > Time::midnight() { " of the next day" } else { "" };
        let hours = if self.is_of_whole_days() {
            "comes".to_owned()
        } else {
            format!("comes between {} and {}{over_night}", self.from.strftime("%H:%M"), self.to.strftime("%H:%M"))
        };
        format!("it {hours}{days} ({})", self.zone_name)
    }
}
