//! Writes a policy in its canonical form: JSON version 1, with everything that Placet adds to it. What is written is
//! read into the same rules.

use std::time::Duration;

use crate::call::json;
use crate::call::{GroupName, InputAfterApproval, OnTimeout, ReleaseWhen};

use super::condition::{Condition, Operator};
use super::context::Template;
use super::limits::{Add, Bound, LimitUse, Owner, Scope};
use super::model::{Action, Approval, AskReason, Clause, Clauses, Entries, Entry, Policy, Standing, ToolChanges};
use super::parse::WINDOWS;
use super::schedule::{DAYS, Schedule};

/// Objects and lists that fit into so many characters stand on one line.
const LINE: usize = 100;

/// What the counter of a rule's rate is called, which has no name of its own.
const RATE: &str = "rate";

/// A piece of JSON, to be laid out.
#[derive(Clone, Debug)]
enum Json {
    /// Text as it is.
    Text(String),
    List(Vec<Self>),
    Object(Vec<(&'static str, Self)>),
    /// With keys of the author's.
    Map(Vec<(String, Self)>),
}

impl Json {
    fn string(text: &str) -> Self {
        Self::Text(json::quote(text))
    }

    fn strings<'t>(texts: impl IntoIterator<Item = &'t str>) -> Self {
        Self::List(texts.into_iter().map(Self::string).collect())
    }

    /// On one line.
    fn short(&self) -> String {
        let object = |members: Vec<String>| match members.is_empty() {
            true => "{}".to_owned(),
            false => format!("{{ {} }}", members.join(", ")),
        };
        match self {
            Self::Text(text) => text.clone(),
            Self::List(elements) => {
                format!("[{}]", elements.iter().map(Self::short).collect::<Vec<_>>().join(", "))
            }
            Self::Object(members) => {
                object(members.iter().map(|(key, value)| format!("\"{key}\": {}", value.short())).collect())
            }
            Self::Map(members) => {
                object(members.iter().map(|(key, value)| format!("{}: {}", json::quote(key), value.short())).collect())
            }
        }
    }

    fn lay_out(&self, out: &mut String, indent: usize, before: usize) {
        let short = self.short();
        let fits = indent + before + short.chars().count() <= LINE;
        let members: Vec<(Option<String>, &Self)> = match self {
            Self::Text(_) => Vec::new(),
            Self::List(elements) => elements.iter().map(|value| (None, value)).collect(),
            Self::Object(members) => members.iter().map(|(key, value)| (Some(format!("\"{key}\": ")), value)).collect(),
            Self::Map(members) => {
                members.iter().map(|(key, value)| (Some(format!("{}: ", json::quote(key))), value)).collect()
            }
        };
        if fits && indent > 0 || members.is_empty() {
            return out.push_str(&short);
        }
        let (open, close) = if matches!(self, Self::List(_)) { ('[', ']') } else { ('{', '}') };
        out.push(open);
        for (at, (key, value)) in members.iter().enumerate() {
            out.push_str(if at == 0 { "\n" } else { ",\n" });
            out.push_str(&" ".repeat(indent + 2));
            let key = key.as_deref().unwrap_or_default();
            out.push_str(key);
            value.lay_out(out, indent + 2, key.chars().count());
        }
        out.push('\n');
        out.push_str(&" ".repeat(indent));
        out.push(close);
    }
}

impl Policy {
    /// The canonical form, with a line end behind it.
    #[must_use]
    pub fn print(&self) -> String {
        let mut top = vec![("version", Json::string("1")), ("default", Json::string(self.default.as_str()))];
        if let Some(description) = &self.description {
            top.insert(1, ("description", Json::string(description)));
        }
        for (key, names) in [("hide", &self.hide), ("readers", &self.readers)] {
            if !names.texts.is_empty() {
                top.push((key, Json::strings(names.texts.iter().map(String::as_str))));
            }
        }
        let mut everywhere = clauses(&self.all_tools);
        push_limits(&mut everywhere, &self.everywhere);
        if !everywhere.is_empty() {
            top.push(("all_tools", Json::Object(everywhere)));
        }
        for (key, list) in [("tools", &self.tools), ("methods", &self.methods)] {
            if !list.list.is_empty() {
                top.push((key, entries(list)));
            }
        }
        if self.tool_changes != ToolChanges::Hold {
            top.push(changes(self.tool_changes));
        }
        let mut text = String::new();
        Json::Object(top).lay_out(&mut text, 0, 0);
        text.push('\n');
        text
    }
}

/// By name, in the order of the file.
fn entries(entries: &Entries) -> Json {
    let mut sorted: Vec<&Entry> = entries.list.iter().collect();
    sorted.sort_by_key(|entry| entry.offset);
    let mut named: Vec<(String, Vec<Json>)> = Vec::new();
    for own in sorted {
        let name = own.pattern.text();
        match named.iter_mut().find(|(known, _)| known == name) {
            Some((_, list)) => list.push(entry(own)),
            None => named.push((name.to_owned(), vec![entry(own)])),
        }
    }
    let one = |(name, mut list): (String, Vec<Json>)| match list.len() {
        1 => (name, list.remove(0)),
        _ => (name, Json::List(list)),
    };
    Json::Map(named.into_iter().map(one).collect())
}

fn entry(entry: &Entry) -> Json {
    let mut fields = Vec::new();
    if entry.action != Action::Allow {
        fields.push(("action", Json::string(entry.action.as_str())));
    }
    if let Some(reason) = &entry.reason {
        fields.push(("reason", Json::string(reason)));
    }
    if let Some(note) = &entry.note {
        fields.push(("note", Json::string(note)));
    }
    if entry.overrides {
        fields.push(("override", truth(true)));
    }
    if !entry.lists {
        fields.push(("lists", truth(false)));
    }
    if let Some(risk) = entry.risk {
        fields.push(("risk", Json::string(risk.as_str())));
    }
    fields.extend(entry.tool_changes.map(changes));
    fields.extend(clauses(&entry.clauses));
    let approval = approval(&entry.approval);
    if !approval.is_empty() {
        fields.push(("approval", Json::Object(approval)));
    }
    push_limits(&mut fields, &entry.limits);
    Json::Object(fields)
}

fn changes(changes: ToolChanges) -> (&'static str, Json) {
    ("tool_changes", Json::string(changes.as_str()))
}

fn truth(value: bool) -> Json {
    Json::Text(value.to_string())
}

fn clauses(clauses: &Clauses) -> Vec<(&'static str, Json)> {
    let list = |list: &[Clause]| Json::List(list.iter().map(clause).collect());
    let both = [("require", &clauses.require), ("deny_if", &clauses.deny_if)];
    both.into_iter().filter(|(_, own)| !own.is_empty()).map(|(key, own)| (key, list(own))).collect()
}

fn clause(clause: &Clause) -> Json {
    let mut fields = condition(&clause.condition);
    if let Some(words) = &clause.on_deny {
        fields.push(("on_deny", Json::string(words)));
    }
    Json::Object(fields)
}

fn condition(own: &Condition) -> Vec<(&'static str, Json)> {
    let list = |several: &[Condition]| Json::List(several.iter().map(|one| Json::Object(condition(one))).collect());
    match own {
        Condition::Test(path, operator) => test(&path.in_full(), operator),
        Condition::Fact(fact, operator) => test(&fact.shown(), operator),
        Condition::Time(schedule) => vec![("time", time(schedule))],
        Condition::Not(inner) => vec![("not", Json::Object(condition(inner)))],
        Condition::Any(several) => vec![("any", list(several))],
        Condition::All(several) => vec![("all", list(several))],
    }
}

fn test(path: &str, operator: &Operator) -> Vec<(&'static str, Json)> {
    let mut fields = vec![("path", Json::string(path)), ("op", Json::string(operator.name()))];
    let one_or_list = |texts: Vec<String>| match texts.as_slice() {
        [one] => Json::string(one),
        several => Json::strings(several.iter().map(String::as_str)),
    };
    let value = match operator {
        Operator::Equal(value) | Operator::NotEqual(value) | Operator::Contains(value) => Json::Text(value.to_string()),
        Operator::In(values) | Operator::NotIn(values) => {
            Json::List(values.iter().map(|value| Json::Text(value.to_string())).collect())
        }
        Operator::Compare(_, bound) => Json::Text(bound.to_string()),
        Operator::Regex(regex) => Json::string(regex.text()),
        Operator::Exists(true) => return fields,
        Operator::Exists(false) => truth(false),
        Operator::Glob(globs) => one_or_list(globs.iter().map(|glob| glob.text().to_owned()).collect()),
        Operator::Cidr(networks) => one_or_list(networks.shown()),
    };
    fields.push(("value", value));
    fields
}

fn time(schedule: &Schedule) -> Json {
    let clock = |time: jiff::civil::Time| Json::string(&time.strftime("%H:%M").to_string());
    let mut fields = vec![("zone", Json::string(&schedule.zone_name))];
    if !schedule.is_of_whole_days() {
        fields.extend([("from", clock(schedule.from)), ("to", clock(schedule.to))]);
    }
    let days = DAYS.iter().filter(|(_, day)| schedule.days.contains(day)).map(|(name, _)| *name);
    if schedule.days.len() < DAYS.len() {
        fields.push(("days", Json::strings(days)));
    }
    Json::Object(fields)
}

fn approval(approval: &Approval) -> Vec<(&'static str, Json)> {
    let groups = |groups: &[GroupName]| Json::strings(groups.iter().map(GroupName::as_str));
    let mut fields = Vec::new();
    if let Some(when) = &approval.when {
        fields.push(("when", Json::Object(condition(when))));
    }
    fields.extend(approval.timeout.map(|span| ("timeout", duration(span))));
    match &approval.on_timeout {
        None => {}
        Some(OnTimeout::Reject) => fields.push(("on_timeout", Json::string("reject"))),
        Some(OnTimeout::Approve) => fields.push(("on_timeout", Json::string("approve"))),
        Some(OnTimeout::Escalate(to)) => {
            fields.extend([("on_timeout", Json::string("escalate")), ("escalate_to", groups(to))]);
        }
    }
    fields.extend(approval.execute_within.map(|span| ("execute_within", duration(span))));
    fields.extend(approval.quorum.map(|quorum| ("approvals", Json::Text(quorum.approvals().to_string()))));
    fields.extend(approval.reviewers.as_ref().map(|names| ("reviewers", groups(names))));
    fields.extend(approval.self_approval.map(|value| ("self_approval", truth(value))));
    fields.extend(approval.require_reason.map(|value| ("require_reason", truth(value))));
    fields.extend(approval.release.map(|when| {
        let word = match when {
            ReleaseWhen::OnApproval => "on_approval",
            ReleaseWhen::OnReturn => "on_return",
        };
        ("release", Json::string(word))
    }));
    fields.extend(approval.input_after_approval.map(|who| {
        let word = match who {
            InputAfterApproval::Review => "review",
            InputAfterApproval::Allow => "allow",
        };
        ("input_after_approval", Json::string(word))
    }));
    fields.extend(approval.message.as_ref().map(|words| ("message", Json::string(words))));
    fields.extend(approval.ask_reason.map(|asks| {
        let value = match asks {
            AskReason::Asked => truth(true),
            AskReason::Required => Json::string("required"),
        };
        ("ask_reason", value)
    }));
    fields.extend(approval.standing.as_ref().map(|own| ("standing", standing(own))));
    if !approval.context.is_empty() {
        fields.push(("context", Json::List(approval.context.iter().map(read).collect())));
    }
    fields
}

fn standing(own: &Standing) -> Json {
    let Standing { offer, access } = own;
    let mut fields = vec![("uses", Json::Text(offer.uses.to_string())), ("for", duration(offer.lasts))];
    if !offer.open.is_empty() {
        let open = offer.open.iter().map(|(name, glob)| (name.clone(), Json::string(glob)));
        fields.push(("arguments", Json::Map(open.collect())));
    }
    if *access {
        fields.push(("access", truth(true)));
    }
    Json::Object(fields)
}

fn read(template: &Template) -> Json {
    Json::Object(vec![("tool", Json::string(&template.tool)), ("arguments", Json::Text(template.in_policy()))])
}

fn duration(span: Duration) -> Json {
    let seconds = span.as_secs();
    let (number, unit) = match seconds {
        s if s % 86_400 == 0 => (s / 86_400, 'd'),
        s if s % 3600 == 0 => (s / 3600, 'h'),
        s if s % 60 == 0 => (s / 60, 'm'),
        s => (s, 's'),
    };
    Json::string(&format!("{number}{unit}"))
}

/// `limits`, and `rate_limit` where it is one.
fn push_limits(fields: &mut Vec<(&'static str, Json)>, limits: &[LimitUse]) {
    let mut list = Vec::new();
    for own in limits {
        match (&own.name.counter, &own.bound) {
            (None, Some(Bound::AtMost(most))) if own.scope() == Scope::Grant => {
                let window = Json::Text(own.window().as_secs().to_string());
                let value = Json::Object(vec![("max", Json::Text(most.to_string())), ("window", window)]);
                fields.push(("rate_limit", value));
            }
            _ => list.push(limit(own)),
        }
    }
    if !list.is_empty() {
        fields.push(("limits", Json::List(list)));
    }
}

fn limit(limit: &LimitUse) -> Json {
    let window = WINDOWS.iter().find(|(_, seconds)| *seconds == limit.window().as_secs()).map_or("", |(name, _)| *name);
    let mut fields = vec![("counter", Json::string(limit.counter().unwrap_or(RATE)))];
    if let Owner::Shared(owner) = &limit.name.owner {
        fields.push(("of", Json::string(owner)));
    }
    fields.push(("window", Json::string(window)));
    if limit.is_sliding() {
        fields.push(("sliding", truth(true)));
    }
    fields.push(("scope", Json::string(limit.scope().name())));
    match &limit.add {
        Add::Count(1) => {}
        Add::Count(number) => fields.push(("add", Json::Text(number.to_string()))),
        Add::Sum { path, .. } => fields.push(("add", Json::string(&path.in_full()))),
    }
    fields.push(match &limit.bound {
        Some(Bound::AtMost(most)) => ("max", Json::Text(most.to_string())),
        Some(Bound::Below(end)) => ("below", Json::Text(end.to_string())),
        None => ("only_counts", truth(true)),
    });
    if let Some(words) = &limit.on_deny {
        fields.push(("on_deny", Json::string(words)));
    }
    Json::Object(fields)
}
