//! `limits` and `rate_limit`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use crate::policy::limits::{Add, Amount, Bound, CounterName, LimitUse, NoAmount, Owner, Scope, Window};
use crate::policy::model::Policy;
use crate::policy::path::Path;
use crate::policy::source::{At, Fields, Reader};

use super::entry::Kind;

pub(in crate::policy) const WINDOWS: [(&str, u64); 4] = [("second", 1), ("minute", 60), ("hour", 3600), ("day", 86400)];

const KEYS: [&str; 10] =
    ["counter", "of", "window", "sliding", "scope", "add", "max", "below", "only_counts", "on_deny"];

/// No count gets so far; beyond it numbers are no longer exact everywhere.
pub(super) const MOST: u64 = (1 << 53) - 1;

/// The list of an entry or of `all_tools`.
pub(super) fn limits(reader: &mut Reader<'_>, fields: &Fields<'_, '_>, kind: Kind) -> Vec<LimitUse> {
    let elements = fields.get("limits").map(|at| reader.list(&at)).unwrap_or_default();
    let mut seen: HashMap<Arc<CounterName>, String> = HashMap::new();
    let mut limits = Vec::new();
    for at in elements {
        let Some(limit) = limit(reader, &fields.at, &at, kind) else { continue };
        // What only counts may stand beside a bound that only looks.
        if limit.bound.is_some()
            && let Some(first) = seen.insert(Arc::clone(&limit.name), at.pointer.clone())
        {
            let message = format!("this is the same counter, window and scope as in {first}");
            reader.error(&at, message, "keep one of them, or give the counter another name");
        }
        limits.push(limit);
    }
    limits
}

fn limit(reader: &mut Reader<'_>, entry: &At<'_, '_>, at: &At<'_, '_>, kind: Kind) -> Option<LimitUse> {
    let fields = reader.object(at, &KEYS)?;
    let counter = reader.required(&fields, "counter", "give the counter a name");
    let counter = counter.and_then(|at| reader.text(&at));
    let owner = match fields.get("of") {
        Some(at) => reader.text(&at).map(Owner::Shared),
        None => Some(Owner::Entry(entry.pointer.clone())),
    };
    let window = reader.required(&fields, "window", "write second, minute, hour or day");
    let window = window.and_then(|at| reader.choice(&at, &WINDOWS));
    let sliding = fields.get("sliding").map_or(Some(false), |at| reader.flag(&at));
    let scope = match fields.get("scope") {
        Some(at) => reader.choice(&at, &Scope::NAMES),
        None => Some(Scope::Grant),
    };
    let add = fields.get("add").map_or(Some(Add::Count(1)), |at| add(reader, &at, kind));
    let on_deny = fields.get("on_deny").and_then(|at| reader.text(&at));
    let bound = bound(reader, &fields, add.as_ref());
    let name = CounterName {
        owner: owner?,
        counter: Some(counter?),
        window: Window { length: Duration::from_secs(window?), sliding: sliding? },
        scope: scope?,
    };
    Some(LimitUse { on_deny, ..LimitUse::new(&at.pointer, name, add?, bound?) })
}

/// How much the counter may hold: `max`, or in its place `below`, or that this only counts; `Some(None)`: no bound.
fn bound(reader: &mut Reader<'_>, fields: &Fields<'_, '_>, add: Option<&Add>) -> Option<Option<Bound>> {
    let only_counts = fields.get("only_counts").is_some_and(|at| reader.flag(&at) == Some(true));
    let below = fields.get("below");
    for at in [below.clone(), fields.get("only_counts").filter(|_| only_counts)].into_iter().flatten() {
        if fields.get("max").is_some() || (only_counts && at.pointer.ends_with("/below")) {
            reader.error(&at, "a counter has one bound, or none", "keep one of \"max\", \"below\", \"only_counts\"");
            return None;
        }
    }
    if only_counts {
        return Some(None);
    }
    if let Some(at) = below {
        return amount(reader, &at).map(|end| Some(Bound::Below(end)));
    }
    let max = match add? {
        // What only looks may look at a sum.
        Add::Count(0) => sum(reader, fields),
        Add::Count(number) => count(reader, fields, *number),
        Add::Sum { .. } => sum(reader, fields),
    };
    max.map(|max| Some(Bound::AtMost(max)))
}

/// The shorthand: so many calls of one grant in so many seconds.
pub(super) fn rate_limit(reader: &mut Reader<'_>, fields: &Fields<'_, '_>) -> Option<LimitUse> {
    let at = fields.get("rate_limit")?;
    if at.node.as_str().is_some() {
        let hint = "write {\"max\": 5, \"window\": 60}, the window in seconds; \"5/hour\" is for \"rules\"";
        reader.error(&at, "this is a string", hint);
        return None;
    }
    let own = reader.object(&at, &["max", "window"])?;
    let max = count(reader, &own, 1);
    let window = reader.required(&own, "window", "write the window's length in seconds");
    let window = window.and_then(|at| reader.whole(&at, 1, 366 * 86400));
    let name = CounterName {
        owner: Owner::Entry(fields.at.pointer.clone()),
        counter: None,
        window: Window::fixed(Duration::from_secs(window?)),
        scope: Scope::Grant,
    };
    Some(LimitUse::new(at.pointer, name, Add::Count(1), Some(Bound::AtMost(max?))))
}

/// What a call adds: a whole number, or what stands somewhere in its arguments.
fn add(reader: &mut Reader<'_>, at: &At<'_, '_>, kind: Kind) -> Option<Add> {
    if at.node.as_number().is_some() {
        return reader.whole(at, 0, MOST).map(Add::Count);
    }
    let hint = "write a whole number, or where in the call one number stands, as \"args.amount\"";
    let path = reader.parsed(at, hint, one_number)?;
    if kind == Kind::Method {
        let hint = "leave it out, or write a whole number";
        reader.error(at, "only calls of tools have arguments that can be added up", hint);
        return None;
    }
    Some(Add::Sum { rule: at.pointer.clone(), path })
}

/// Reads a path to what is added up.
pub(super) fn one_number(text: &str) -> Result<Path, String> {
    let path = text.strip_prefix("args").and_then(Path::parse);
    let path = path.ok_or_else(|| format!("{text:?} is not a path into the call's arguments"))?;
    if path.is_many() { Err(format!("{text:?} may be several numbers")) } else { Ok(path) }
}

/// How many may be counted, where each call counts as so many.
fn count(reader: &mut Reader<'_>, fields: &Fields<'_, '_>, each: u64) -> Option<Amount> {
    let at = reader.required(fields, "max", "write how many calls one window allows")?;
    let max = reader.whole(&at, 0, MOST)?;
    let hint = "if that is meant, \"action\": \"deny\" says so to the reader";
    if max == 0 && each > 0 {
        reader.warn(at.node.span.start, &at.pointer, "a limit of 0 denies every call", hint);
    } else if max < each {
        let message = format!("every call adds {each}, which is more than {max}: this denies every call");
        reader.warn(at.node.span.start, &at.pointer, message, hint);
    }
    Some(Amount::Whole(max))
}

/// How large a sum may be.
fn sum(reader: &mut Reader<'_>, fields: &Fields<'_, '_>) -> Option<Amount> {
    let at = reader.required(fields, "max", "write how much one window allows")?;
    amount(reader, &at)
}

fn amount(reader: &mut Reader<'_>, at: &At<'_, '_>) -> Option<Amount> {
    let hint = "write a number of 0 or more, as 100 or 99.50";
    let Some(text) = at.node.as_number() else {
        reader.error(at, "this is not a number", hint);
        return None;
    };
    let amount = Amount::parse(&text.replace('_', ""));
    let message = amount.as_ref().err().map(|why| match why {
        NoAmount::Negative => format!("{text} cannot stand here"),
        NoAmount::TooLong => format!("{text} is too large or too fine for exact sums"),
    });
    if let Some(message) = message {
        reader.error(at, message, hint);
    }
    amount.ok()
}

/// Warns of limits on a counter that nothing is ever added to.
pub(super) fn idle(reader: &mut Reader<'_>, root: &At<'_, '_>, policy: &Policy) {
    let entries = policy.tools.list.iter().chain(&policy.methods.list);
    let all: Vec<_> = policy.everywhere.iter().chain(entries.flat_map(|entry| &entry.limits)).collect();
    let counted: HashSet<_> = all.iter().filter(|limit| limit.adds() != Some(0)).map(|limit| &limit.name).collect();
    for limit in all.iter().filter(|limit| !counted.contains(&limit.name)) {
        let offset = root.node.pointer(&limit.rule).map_or(0, |node| node.span.start);
        let hint = "where calls are to be counted, write the same counter, \"of\", window, sliding and scope with an \
                    \"add\" above 0";
        reader.warn(offset, &limit.rule, "nothing adds to this counter, so it is always 0", hint);
    }
}
