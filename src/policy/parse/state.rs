//! Counters as Intercept's files have them: a rule's `state` counts calls or adds up an argument under a name that the
//! conditions of any rule may bound, as `state.<tool|_global>.<counter>`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::policy::limits::{Add, Amount, Bound, CounterName, LimitUse, NoAmount, Owner, Scope, Window};
use crate::policy::problem::closest;
use crate::policy::source::{At, Fields, Reader};

use super::limit::{MOST, WINDOWS, one_number};

/// Whose counters those of the rules for every tool are.
const GLOBAL: &str = "_global";

/// The window of every counter that some rule counts in, by owner and name, and where that rule stands; `None` where the
/// window is wrong.
#[derive(Debug, Default)]
pub(super) struct Declared(BTreeMap<(String, String), (Option<Duration>, String)>);

/// Whose counters a tool's rules count in.
fn owner(tool: &str) -> &str {
    if tool == "*" { GLOBAL } else { tool }
}

impl Declared {
    /// Finds every `state` of the file. What is wrong with one is reported where it is read as part of its rule.
    pub(super) fn find(reader: &mut Reader<'_>, tools: Option<&At<'_, '_>>) -> Self {
        let mut declared = Self::default();
        for (tool, _, at) in tools.map(At::members).unwrap_or_default() {
            for rule in at.get("rules").map(|rules| rules.elements()).unwrap_or_default() {
                let Some(state) = rule.get("state") else { continue };
                let counter = state.get("counter").and_then(|at| at.node.as_str().map(str::to_owned));
                let word = state.get("window").and_then(|at| at.node.as_str().map(str::to_owned));
                let window = word.and_then(|word| WINDOWS.iter().find(|(name, _)| *name == word));
                let Some(counter) = counter else { continue };
                let key = (owner(tool).to_owned(), counter);
                let window = window.map(|(_, seconds)| Duration::from_secs(*seconds));
                match declared.0.get(&key) {
                    Some((Some(other), place)) if window.is_some_and(|window| window != *other) => {
                        let message = format!("this counter has another window at {place}");
                        reader.error(&state, message, "give one of them another name, or the same window");
                    }
                    Some((Some(_), _)) => {}
                    Some((None, _)) | None => drop(declared.0.insert(key, (window, state.pointer))),
                }
            }
        }
        declared
    }

    fn name(&self, owner: &str, counter: &str) -> Option<CounterName> {
        let (window, _) = self.0.get(&(owner.to_owned(), counter.to_owned()))?;
        Some(CounterName {
            owner: Owner::Shared(owner.to_owned()),
            counter: Some(counter.to_owned()),
            window: Window::fixed((*window)?),
            scope: Scope::Global,
        })
    }

    fn knows(&self, owner: &str, counter: &str) -> bool {
        self.0.contains_key(&(owner.to_owned(), counter.to_owned()))
    }
}

/// What a rule's `state` counts.
pub(super) fn counted(
    reader: &mut Reader<'_>,
    declared: &Declared,
    tool: &str,
    fields: &Fields<'_, '_>,
) -> Option<LimitUse> {
    let at = fields.get("state")?;
    let own = reader.object(&at, &["counter", "window", "increment", "increment_from"])?;
    let counter = reader.required(&own, "counter", "give the counter a name").and_then(|at| {
        let plain = |text: &str| match text.is_empty() || text.contains('.') {
            true => Err(format!("{text:?} cannot be the name of a counter")),
            false => Ok(text.to_owned()),
        };
        reader.parsed(&at, "write a name without a dot, as \"daily_spend\"", plain)
    });
    let window = reader.required(&own, "window", "write second, minute, hour or day");
    let window = window.and_then(|at| reader.choice(&at, &WINDOWS));
    let add = match (own.get("increment"), own.get("increment_from")) {
        (None, None) => Some(Add::Count(1)),
        (Some(at), None) => reader.whole(&at, 0, MOST).map(Add::Count),
        (None, Some(at)) => sum(reader, &at),
        (Some(_), Some(at)) => {
            reader.error(&at, "a call adds either \"increment\" or \"increment_from\"", "keep one of them");
            None
        }
    };
    window?;
    Some(LimitUse::new(at.pointer, declared.name(owner(tool), &counter?)?, add?, None))
}

fn sum(reader: &mut Reader<'_>, at: &At<'_, '_>) -> Option<Add> {
    let path = reader.parsed(at, "write where in the call one number stands, as \"args.amount\"", one_number)?;
    Some(Add::Sum { rule: at.pointer.clone(), path })
}

/// Whether a condition bounds a counter, and does not look at the call.
pub(super) fn is_bound(at: &At<'_, '_>) -> bool {
    at.get("path").and_then(|at| at.node.as_str()).is_some_and(|path| path == "state" || path.starts_with("state."))
}

/// A condition that bounds a counter, with this call's own part added already.
pub(super) fn bound(reader: &mut Reader<'_>, declared: &Declared, at: &At<'_, '_>) -> Option<LimitUse> {
    let fields = reader.object(at, &["path", "op", "value", "on_deny"])?;
    let name = fields.get("path").and_then(|at| {
        let known: Vec<String> = declared.0.keys().map(|(owner, counter)| format!("state.{owner}.{counter}")).collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let text = at.node.as_str().unwrap_or_default();
        let hint = match (closest(text, &known), known.is_empty()) {
            (Some(meant), _) => format!("did you mean {meant:?}?"),
            (None, true) => "add \"state\": {\"counter\": …, \"window\": …} to the rule that counts".to_owned(),
            (None, false) => format!("the counters are {}", known.join(", ")),
        };
        reader.parsed(&at, &hint, |text| {
            let parts = text.strip_prefix("state.").and_then(|rest| rest.rsplit_once('.'));
            // Where the counter's window is wrong, that is said there.
            let known = parts.filter(|(owner, counter)| declared.knows(owner, counter));
            let name = known.map(|(owner, counter)| declared.name(owner, counter));
            name.ok_or_else(|| format!("no rule counts in {text:?}"))
        })?
    });
    let op = reader.required(&fields, "op", "write \"lte\" or \"lt\"").and_then(|at| {
        let word = reader.string(&at)?;
        let known: Option<fn(Amount) -> Bound> = match word {
            "lte" => Some(Bound::AtMost),
            "lt" => Some(Bound::Below),
            _ => None,
        };
        if known.is_none() {
            let message = format!("{word:?} does not bound a counter");
            reader.error(&at, message, "write \"lte\" or \"lt\": a counter is bounded from above");
        }
        known
    });
    let value = reader.required(&fields, "value", "write how much the counter may hold").and_then(|at| {
        let amount = at.node.as_number().map(Amount::parse);
        let why = match &amount {
            None => "this is not a number",
            Some(Err(NoAmount::Negative)) => "no counter is ever less than 0",
            Some(Err(NoAmount::TooLong)) => "this is too large or too fine for exact sums",
            Some(Ok(_)) => return amount?.ok(),
        };
        reader.error(&at, why, "write a number of 0 or more, without quotes");
        None
    });
    let on_deny = fields.get("on_deny").and_then(|at| reader.text(&at));
    // Looks only: what the call adds its rule's `state` says.
    Some(LimitUse { on_deny, ..LimitUse::new(&at.pointer, name?, Add::Count(0), Some(op?(value?))) })
}

/// Refuses conditions on counters where they cannot be: a rule that asks for approval or denies bounds nothing.
pub(super) fn no_bounds(reader: &mut Reader<'_>, conditions: &[At<'_, '_>]) {
    for at in conditions.iter().filter(|at| is_bound(at)) {
        let hint = "put it into a rule of its own with \"action\": \"evaluate\"";
        reader.error(at, "a counter can deny a call, but not decide whether it needs approval", hint);
    }
}
