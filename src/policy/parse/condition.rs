//! Conditions: `require` and `deny_if` of an entry, `when` of an approval.

use crate::policy::circumstances::{self, Fact};
use crate::policy::condition::{Comparison, Condition, Networks, Operator, Value};
use crate::policy::decimal::Decimal;
use crate::policy::glob::Glob;
use crate::policy::model::Clause;
use crate::policy::path::Path;
use crate::policy::problem::closest;
use crate::policy::re2::Re2;
use crate::policy::schedule::{self, Schedule};
use crate::policy::source::{At, Fields, Reader};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Op {
    Eq,
    Neq,
    In,
    NotIn,
    Compare(Comparison),
    Regex,
    Contains,
    Exists,
    Glob,
    Cidr,
}

const OPS: [(&str, Op); 13] = [
    ("eq", Op::Eq),
    ("neq", Op::Neq),
    ("in", Op::In),
    ("not_in", Op::NotIn),
    ("lt", Op::Compare(Comparison::Less)),
    ("lte", Op::Compare(Comparison::LessOrEqual)),
    ("gt", Op::Compare(Comparison::Greater)),
    ("gte", Op::Compare(Comparison::GreaterOrEqual)),
    ("regex", Op::Regex),
    ("contains", Op::Contains),
    ("exists", Op::Exists),
    ("glob", Op::Glob),
    ("cidr", Op::Cidr),
];

/// A list of conditions, each of them a rule of its own.
pub(super) fn clauses(reader: &mut Reader<'_>, fields: &Fields<'_, '_>, key: &str) -> Vec<Clause> {
    let elements = fields.get(key).map(|at| reader.list(&at)).unwrap_or_default();
    elements.iter().filter_map(|at| clause(reader, at)).collect()
}

pub(super) fn clause(reader: &mut Reader<'_>, at: &At<'_, '_>) -> Option<Clause> {
    let on_deny = at.get("on_deny").and_then(|at| reader.text(&at));
    let condition = condition(reader, at, true)?;
    Some(Clause { pointer: at.pointer.clone(), condition, on_deny })
}

/// `when`: one condition, or a list of which all must be met.
pub(super) fn when(reader: &mut Reader<'_>, at: &At<'_, '_>) -> Option<Condition> {
    condition(reader, at, false)
}

/// One condition, whatever its form; only the outermost of a clause may say what the agent is told.
fn condition(reader: &mut Reader<'_>, at: &At<'_, '_>, is_clause: bool) -> Option<Condition> {
    if at.node.as_array().is_some() {
        return several(reader, at).map(Condition::All);
    }
    let told: &[&str] = if is_clause { &["on_deny"] } else { &[] };
    let forms = ["not", "any", "all", "time"].into_iter().filter(|form| at.get(form).is_some()).collect::<Vec<_>>();
    let Some(form) = forms.first() else { return test(reader, at, told) };
    let fields = reader.object(at, &[&[*form], told].concat())?;
    let inner = fields.get(form)?;
    match *form {
        "not" => condition(reader, &inner, false).map(|inner| Condition::Not(Box::new(inner))),
        "any" => several(reader, &inner).map(Condition::Any),
        "time" => schedule(reader, &inner).map(Condition::Time),
        _ => several(reader, &inner).map(Condition::All),
    }
}

fn several(reader: &mut Reader<'_>, at: &At<'_, '_>) -> Option<Vec<Condition>> {
    let elements = reader.list(at);
    at.node.as_array()?;
    if elements.is_empty() {
        reader.error(at, "this list of conditions is empty", "write a condition, or leave the list out");
        return None;
    }
    elements.iter().map(|at| condition(reader, at, false)).collect::<Vec<_>>().into_iter().collect()
}

fn test(reader: &mut Reader<'_>, at: &At<'_, '_>, told: &[&str]) -> Option<Condition> {
    let fields = reader.object(at, &[&["path", "op", "value"], told].concat())?;
    let path = reader.required(&fields, "path", "name the argument, as \"args.user_name\"");
    let subject = path.and_then(|at| subject(reader, &at));
    let op = reader.required(&fields, "op", "write what is compared, as \"op\": \"eq\"");
    let op = op.and_then(|at| op_of(reader, &at));
    let operator = operator(reader, &fields, op?)?;
    Some(match subject? {
        Subject::Argument(path) => Condition::Test(path, operator),
        Subject::Fact(fact) => {
            super::fact::check(reader, &fields, &fact, &operator);
            Condition::Fact(fact, operator)
        }
    })
}

/// Other names of operators, in other policies and in programs.
const ELSEWHERE: [(&str, &str); 18] = [
    ("=", "eq"),
    ("==", "eq"),
    ("equals", "eq"),
    ("is", "eq"),
    ("!=", "neq"),
    ("ne", "neq"),
    ("not_equals", "neq"),
    ("<", "lt"),
    ("<=", "lte"),
    ("le", "lte"),
    (">", "gt"),
    (">=", "gte"),
    ("ge", "gte"),
    ("matches", "regex"),
    ("like", "glob"),
    ("one_of", "in"),
    ("any_of", "in"),
    ("present", "exists"),
];

fn op_of(reader: &mut Reader<'_>, at: &At<'_, '_>) -> Option<Op> {
    let word = at.node.as_str().unwrap_or_default();
    if let Some((_, meant)) = ELSEWHERE.iter().find(|(other, _)| *other == word) {
        reader.error(at, format!("{word:?} is not known here"), &format!("did you mean \"{meant}\"?"));
        // So that what is wrong with the value is said as well.
        return OPS.iter().find(|(name, _)| name == meant).map(|(_, op)| *op);
    }
    reader.choice(at, &OPS)
}

/// What a path names.
enum Subject {
    Argument(Path),
    Fact(Fact),
}

fn subject(reader: &mut Reader<'_>, at: &At<'_, '_>) -> Option<Subject> {
    let text = at.node.as_str().unwrap_or_default();
    let meant = ["arguments", "params", "$args", "arg", "$"].iter().find_map(|other| text.strip_prefix(other));
    let every = text.replace(".*", "[*]").replace("[]", "[*]").replace(' ', "");
    let every = Some(every).filter(|every| every != text && every.strip_prefix("args").and_then(Path::parse).is_some());
    let meant = meant.filter(|rest| rest.starts_with(['.', '['])).map(|rest| format!("args{rest}")).or(every);
    let hint = match (meant, closest(text, &circumstances::NAMES)) {
        (Some(path), _) => format!("did you mean {path:?}?"),
        (None, Some(name)) => format!("did you mean \"{name}\"?"),
        (None, None) => format!(
            "write args.user.name, args.list[0] or args.list[*].id for an argument, or one of {}",
            circumstances::NAMES.join(", ")
        ),
    };
    let read = |text: &str| {
        let fact = || Fact::parse(text).map(Subject::Fact);
        let path = text.strip_prefix("args").and_then(Path::parse).map(Subject::Argument);
        path.or_else(fact).ok_or_else(|| format!("{text:?} names nothing that a condition can look at"))
    };
    reader.parsed(at, &hint, read)
}

/// `{"time": {"zone": "Europe/Berlin", "from": "09:00", "to": "17:30", "days": ["mon", "tue"]}}`
fn schedule(reader: &mut Reader<'_>, at: &At<'_, '_>) -> Option<Schedule> {
    let fields = reader.object(at, &["zone", "from", "to", "days"])?;
    let zone_at = reader.required(&fields, "zone", "name a time zone, as \"Europe/Berlin\" or \"UTC\"");
    let zone_name = zone_at.as_ref().and_then(|at| at.node.as_str()).unwrap_or_default().to_owned();
    let hint = "write an IANA name, as \"Europe/Berlin\", \"America/New_York\" or \"UTC\"";
    let zone = zone_at.and_then(|at| reader.parsed(&at, hint, schedule::zone));
    let mut time = |key| {
        let at = fields.get(key);
        at.map_or(Some(None), |at| {
            reader.parsed(&at, "write hours and minutes, as \"09:00\"", schedule::time).map(Some)
        })
    };
    let (from, to) = (time("from"), time("to"));
    let days: Vec<_> = match fields.get("days") {
        Some(at) => {
            let elements = reader.list(&at);
            if elements.is_empty() && at.node.as_array().is_some() {
                reader.error(&at, "this names no day", "write [\"mon\", \"tue\"] or the like, or leave it out");
            }
            elements.iter().filter_map(|at| reader.choice(at, &schedule::DAYS)).collect()
        }
        None => schedule::DAYS.map(|(_, day)| day).to_vec(),
    };
    let (from, to) = (from?.unwrap_or_default(), to?.unwrap_or_default());
    if from == to && schedule::DAYS.iter().all(|(_, day)| days.contains(day)) {
        let hint = "add \"from\" and \"to\", which are not the same, or \"days\"";
        reader.error(at, "this is every time of every day", hint);
        return None;
    }
    (!days.is_empty()).then_some(Schedule { zone_name, zone: zone?, from, to, days })
}

fn operator(reader: &mut Reader<'_>, fields: &Fields<'_, '_>, op: Op) -> Option<Operator> {
    if op == Op::Exists {
        let wanted = fields.get("value").map_or(Some(true), |at| reader.flag(&at))?;
        return Some(Operator::Exists(wanted));
    }
    let at = reader.required(fields, "value", "write what it is compared with, as \"value\": \"alice\"")?;
    Some(match op {
        Op::Eq => Operator::Equal(value(reader, &at)?),
        Op::Neq => Operator::NotEqual(value(reader, &at)?),
        Op::In => Operator::In(values(reader, &at)?),
        Op::NotIn => Operator::NotIn(values(reader, &at)?),
        Op::Contains => Operator::Contains(part(reader, &at)?),
        Op::Compare(comparison) => Operator::Compare(comparison, number(reader, &at)?),
        Op::Regex => Operator::Regex(reader.parsed(&at, "write a regular expression (RE2 syntax)", Re2::new)?),
        Op::Glob => Operator::Glob(texts(reader, &at, "write a glob, or a list of globs", glob)?),
        Op::Cidr => {
            let hint = "write a network such as \"10.0.0.0/8\", or a list of them";
            let own = |text: &str| {
                let bad = |text: &str| format!("{text:?} is neither a network nor an address");
                Networks::parse([text]).map_err(bad)?;
                Ok(text.to_owned())
            };
            let networks = texts(reader, &at, hint, own)?;
            Operator::Cidr(Networks::parse(networks.iter().map(String::as_str)).ok()?)
        }
        Op::Exists => return None,
    })
}

/// What a string or list may contain.
fn part(reader: &mut Reader<'_>, at: &At<'_, '_>) -> Option<Value> {
    let part = value(reader, at)?;
    if matches!(part, Value::List(_)) {
        let words = "\"contains\" looks for this whole list as one element of a list, not for what is in it";
        let hint = "for any of several values write {\"any\": [...]} with a \"contains\" for each";
        reader.warn(at.node.span.start, &at.pointer, words, hint);
    }
    Some(part)
}

fn value(reader: &mut Reader<'_>, at: &At<'_, '_>) -> Option<Value> {
    let value = Value::of(at.node);
    if value.is_none() {
        reader.error(at, "a number here has an exponent beyond what Placet represents", "write it with fewer digits");
    }
    value
}

fn values(reader: &mut Reader<'_>, at: &At<'_, '_>) -> Option<Vec<Value>> {
    let elements = reader.list(at);
    at.node.as_array()?;
    if elements.is_empty() {
        reader.error(at, "nothing is in an empty list", "write the values, or leave the condition out");
        return None;
    }
    elements.iter().map(|at| value(reader, at)).collect::<Vec<_>>().into_iter().collect()
}

fn number(reader: &mut Reader<'_>, at: &At<'_, '_>) -> Option<Decimal> {
    let Some(text) = at.node.as_number() else {
        reader.error(at, "only numbers are more or less than others", "write a number, without quotes");
        return None;
    };
    let number = Decimal::parse(text);
    if number.is_none() {
        reader.error(at, format!("the exponent of {text} is beyond what Placet represents"), "write a smaller one");
    }
    number
}

/// A string or a list of strings, each of which `read` understands.
fn texts<T>(
    reader: &mut Reader<'_>,
    at: &At<'_, '_>,
    hint: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Option<Vec<T>> {
    if at.node.as_array().is_none() {
        return reader.parsed(at, hint, &read).map(|one| vec![one]);
    }
    let elements = reader.list(at);
    if elements.is_empty() {
        reader.error(at, "nothing is in an empty list", hint);
        return None;
    }
    elements.iter().map(|at| reader.parsed(at, hint, &read)).collect::<Vec<_>>().into_iter().collect()
}

fn glob(text: &str) -> Result<Glob, String> {
    Glob::new(text).map_err(|why| format!("{text:?} is not a glob: {why}"))
}
