//! `limits` and `rate_limit`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::policy::limits::{CounterName, LimitUse, Scope};
use crate::policy::source::{At, Fields, Reader};

pub(in crate::policy) const WINDOWS: [(&str, u64); 4] = [("second", 1), ("minute", 60), ("hour", 3600), ("day", 86400)];

const SCOPES: [(&str, Scope); 5] = [
    ("grant", Scope::Grant),
    ("agent", Scope::Agent),
    ("upstream", Scope::Upstream),
    ("tool", Scope::Tool),
    ("global", Scope::Global),
];

/// No counter gets so far; beyond it numbers are no longer exact everywhere.
pub(super) const MOST: u64 = (1 << 53) - 1;

/// The list of an entry or of `all_tools`.
pub(super) fn limits(reader: &mut Reader<'_>, fields: &Fields<'_, '_>) -> Vec<LimitUse> {
    let elements = fields.get("limits").map(|at| reader.list(&at)).unwrap_or_default();
    let mut seen: HashMap<Arc<CounterName>, String> = HashMap::new();
    let mut limits = Vec::new();
    for at in elements {
        let Some(limit) = limit(reader, &fields.at, &at) else { continue };
        if let Some(first) = seen.insert(Arc::clone(&limit.name), at.pointer.clone()) {
            let message = format!("this is the same counter, window and scope as in {first}");
            reader.error(&at, message, "keep one of them, or give the counter another name");
        }
        limits.push(limit);
    }
    limits
}

fn limit(reader: &mut Reader<'_>, entry: &At<'_, '_>, at: &At<'_, '_>) -> Option<LimitUse> {
    let fields = reader.object(at, &["counter", "window", "max", "scope"])?;
    let counter = reader.required(&fields, "counter", "give the counter a name");
    let counter = counter.and_then(|at| reader.text(&at));
    let window = reader.required(&fields, "window", "write second, minute, hour or day");
    let window = window.and_then(|at| reader.choice(&at, &WINDOWS));
    let max = max(reader, &fields);
    let scope = match fields.get("scope") {
        Some(at) => reader.choice(&at, &SCOPES),
        None => Some(Scope::Grant),
    };
    let name = CounterName {
        entry: entry.pointer.clone(),
        counter: Some(counter?),
        window: Duration::from_secs(window?),
        scope: scope?,
    };
    Some(LimitUse { rule: at.pointer.clone(), max: max?, name: Arc::new(name) })
}

/// The shorthand: so many calls of one grant in so many seconds.
pub(super) fn rate_limit(reader: &mut Reader<'_>, fields: &Fields<'_, '_>) -> Option<LimitUse> {
    let at = fields.get("rate_limit")?;
    let own = reader.object(&at, &["max", "window"])?;
    let max = max(reader, &own);
    let window = reader.required(&own, "window", "write the window's length in seconds");
    let window = window.and_then(|at| reader.whole(&at, 1, 366 * 86400));
    let name = CounterName {
        entry: fields.at.pointer.clone(),
        counter: None,
        window: Duration::from_secs(window?),
        scope: Scope::Grant,
    };
    Some(LimitUse { rule: at.pointer, max: max?, name: Arc::new(name) })
}

fn max(reader: &mut Reader<'_>, fields: &Fields<'_, '_>) -> Option<u64> {
    let at = reader.required(fields, "max", "write how many calls one window allows")?;
    let max = reader.whole(&at, 0, MOST)?;
    if max == 0 {
        let hint = "if that is meant, \"action\": \"deny\" says so to the reader";
        reader.warn(at.node.span.start, &at.pointer, "a limit of 0 denies every call", hint);
    }
    Some(max)
}
