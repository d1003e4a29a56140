//! The log as events of the Open Cybersecurity Schema Framework, for the systems that security people watch: one JSON
//! object a line, in the classes of OCSF 1.8.0.
//!
//! `metadata` says which entry it is: `uid` is the leaf hash of the stored bytes, `sequence` the entry's number,
//! `event_code` its kind, `correlation_uid` the call. What the schema has no place for stands in `unmapped`; an entry
//! that cannot be read, or of a kind that is not known, is a Base Event, so that every entry is one event. The version
//! of the product is that of the Placet that exports.
//!
//! Nothing is made up to please the schema. The log has no address of an agent: `src_endpoint` is the agent by its
//! name. It does not say what a tool does to its upstream: the activity of a call is 99, with Placet's word for it.

mod table;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use self::table::{By, Class, Kind, STRANGE, UNREADABLE};
use super::SealedEntry;
use super::row::{Row, Said, Shown, shown};
use crate::call::Millis;

/// The version of the schema.
pub const SCHEMA: &str = "1.8.0";

/// What this product is called there.
const PRODUCT: &str = "Placet";

/// What an event tells that is not in the entry.
#[derive(Clone, Copy, Debug)]
pub struct Beside<'a> {
    /// The log's name, where it has one yet.
    pub log: Option<&'a str>,
    /// Reviewers' addresses by their ids.
    pub addresses: &'a BTreeMap<String, String>,
}

/// The entry as an event on one line, its end included.
#[must_use]
pub fn ocsf(row: &Row, beside: &Beside<'_>) -> String {
    let (text, masked) = match shown(&row.body) {
        Shown::AsStored => (row.body.clone(), false),
        Shown::Covered(text) => (text, true),
        Shown::Unreadable(text) => return format!("{}\n", unreadable(row, &text, beside)),
    };
    let (Ok(said), Ok(members)) = (Said::read(&text), serde_json::from_str::<Map<String, Value>>(&text)) else {
        return format!("{}\n", unreadable(row, &text, beside));
    };
    let kind = table::find(&said.kind).unwrap_or(&STRANGE);
    let at = said.at.parse::<jiff::Timestamp>().map_or(row.at, |at| Millis(at.as_millisecond()));
    let mut facts =
        Facts { members, detail: said.detail.clone(), told: BTreeSet::from(["seq", "at", "kind", "detail"]) };
    let mut event = head(kind, row, at, beside);
    event["metadata"]["sequence"] = said.seq.into();
    event["metadata"]["event_code"] = said.kind.as_ref().into();
    event["metadata"]["original_time"] = said.at.as_ref().into();
    set(&mut event["metadata"], "correlation_uid", facts.tell("call"));
    fill(&mut event, kind, &mut facts, beside);
    let mut unmapped = facts.rest();
    if masked {
        unmapped.insert("masked".to_owned(), true.into());
    }
    event["unmapped"] = Value::Object(unmapped);
    format!("{event}\n")
}

fn unreadable(row: &Row, text: &str, beside: &Beside<'_>) -> Value {
    let mut event = head(&UNREADABLE, row, row.at, beside);
    event["metadata"]["sequence"] = row.seq.into();
    event["metadata"]["event_code"] = row.kind.as_str().into();
    event["raw_data"] = text.into();
    event
}

/// What every event has.
fn head(kind: &Kind, row: &Row, at: Millis, beside: &Beside<'_>) -> Value {
    let (class, caption) = (kind.class as i64, kind.class.caption());
    let (category, category_caption) = kind.class.category();
    let (activity, word) = kind.activity;
    let type_word = if activity == 99 { "Other" } else { word };
    let mut event = json!({
        "category_uid": category, "category_name": category_caption,
        "class_uid": class, "class_name": caption,
        "activity_id": activity, "activity_name": word,
        "type_uid": class * 100 + activity, "type_name": format!("{caption}: {type_word}"),
        "severity_id": kind.severity.0, "severity": kind.severity.1,
        "status_id": kind.status.0, "status": kind.status.1,
        "time": at.0,
        "message": kind.says,
        "metadata": {
            "version": SCHEMA,
            "product": product(env!("CARGO_PKG_VERSION")),
            "uid": SealedEntry::leaf_of(row.body.as_bytes()).to_string(),
            "log_provider": PRODUCT,
        },
    });
    set(&mut event["metadata"], "log_name", beside.log);
    if let Some((action, disposition)) = kind.ruled {
        event["metadata"]["profiles"] = json!(["security_control"]);
        event["action_id"] = action.0.into();
        event["action"] = action.1.into();
        event["disposition_id"] = disposition.0.into();
        event["disposition"] = disposition.1.into();
    }
    event
}

/// What events of its class have.
fn fill(event: &mut Value, kind: &Kind, facts: &mut Facts, beside: &Beside<'_>) {
    match kind.name {
        // Who was disabled is there again.
        "reviewer.added" if facts.is("again") => {
            event["activity_id"] = 2.into();
            event["activity_name"] = "Enable".into();
            event["type_uid"] = (Class::Account as i64 * 100 + 2).into();
            event["type_name"] = "Account Change: Enable".into();
        }
        "log.key_rotated" if facts.is("old_lost") => {
            event["severity_id"] = table::HIGH.0.into();
            event["severity"] = table::HIGH.1.into();
        }
        _ => {}
    }
    set(event, "actor", actor(kind, facts, beside));
    match kind.class {
        Class::Base => {}
        Class::Finding => {
            event["is_alert"] = true.into();
            event["finding_info"] = json!({
                "uid": event["metadata"]["uid"],
                "title": kind.says,
                "created_time": event["time"],
                "product": event["metadata"]["product"],
            });
            set(&mut event["finding_info"], "desc", facts.take("why"));
            if let Some(resource) = resource(event, facts, beside) {
                event["resources"] = json!([resource]);
            }
        }
        Class::Account => {
            event["user"] = if facts.has("agent") { facts.agent() } else { facts.person(beside) };
        }
        Class::Authentication => {
            event["user"] = facts.person(beside);
            event["service"] = json!({"name": PRODUCT});
            if let Some(session) = facts.take("session") {
                event["session"] = json!({"uid": session});
            }
        }
        Class::Entity => {
            event["entity"] = entity(kind, event, facts, beside);
            if let Some(new) = facts.take("new") {
                event["entity_result"] = json!({"uid": new, "name": kind.about, "type_id": 99, "type": kind.about});
            }
            set(event, "comment", facts.take("reason"));
        }
        Class::Lifecycle => {
            event["app"] = product(&facts.take("version").unwrap_or_default());
        }
        Class::Api => {
            let operation = facts.tell("tool").or_else(|| facts.take("method"));
            event["api"] = json!({"operation": operation.as_deref().unwrap_or("unknown")});
            if let Some(upstream) = facts.tell("upstream") {
                event["api"]["service"] = json!({"name": upstream});
            }
            if let Some(call) = event["metadata"].get("correlation_uid").cloned() {
                event["api"]["request"] = json!({"uid": call});
            }
            event["src_endpoint"] = if kind.by == By::Agent {
                let agent = facts.tell("agent");
                json!({"name": agent.as_deref().unwrap_or("unknown"), "type_id": 99, "type": "Agent"})
            } else {
                json!({"name": PRODUCT})
            };
        }
    }
    if kind.ruled.is_some()
        && let Some(policy) = facts.take("policy")
    {
        event["policy"] = json!({"uid": policy, "name": "policy"});
    }
    set(event, "status_detail", facts.take("why"));
}

/// Who did it, where the log says so and the class has a place for it.
fn actor(kind: &Kind, facts: &mut Facts, beside: &Beside<'_>) -> Option<Value> {
    let placet = || json!({"app_name": PRODUCT});
    match kind.by {
        // What a restored database gives up, no agent took back.
        By::Agent if kind.class == Class::Entity && facts.is("restored") => Some(placet()),
        By::Agent => Some(json!({"user": facts.agent()})),
        By::Reviewer if facts.has("reviewer") => Some(json!({"user": facts.person(beside)})),
        By::Reviewer | By::Placet => Some(placet()),
        By::Unsaid => None,
    }
}

/// What class 3004 is about.
fn entity(kind: &Kind, event: &Value, facts: &mut Facts, beside: &Beside<'_>) -> Value {
    let mut entity = json!({"name": kind.about, "type_id": 99, "type": kind.about});
    match kind.about {
        "Held call" => {
            set(&mut entity, "uid", event["metadata"].get("correlation_uid").cloned());
            set(&mut entity, "name", facts.tell("tool"));
            let data: Map<_, _> = [
                ("agent", facts.tell("agent")),
                ("upstream", facts.tell("upstream")),
                ("digest", facts.take("digest")),
            ]
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value?.into())))
            .collect();
            entity["data"] = Value::Object(data);
        }
        "Policy" => {
            entity["type_id"] = 5.into();
            let version = facts.take("policy");
            entity["policy"] = json!({"name": kind.about});
            set(&mut entity["policy"], "uid", version.clone());
            set(&mut entity, "uid", version);
        }
        _ => {
            let uid = ["anchor", "token", "vkey", "old"].into_iter().find_map(|key| facts.take(key));
            set(&mut entity, "uid", uid);
            if facts.has("reviewer") {
                entity["user"] = facts.person(beside);
            }
        }
    }
    entity
}

/// What an alarm is about.
fn resource(event: &Value, facts: &mut Facts, beside: &Beside<'_>) -> Option<Value> {
    if let Some(call) = event["metadata"].get("correlation_uid") {
        let mut resource = json!({"uid": call, "type": "Held call"});
        set(&mut resource, "name", facts.tell("tool"));
        return Some(resource);
    }
    let kind = if facts.has("agent") { "Agent" } else { "Reviewer" };
    let user = match kind {
        "Agent" => facts.agent(),
        _ if facts.has("reviewer") => facts.person(beside),
        _ => return None,
    };
    let mut resource = json!({"type": kind});
    set(&mut resource, "uid", user.get("uid").cloned());
    set(&mut resource, "name", user.get("name").cloned());
    Some(resource)
}

fn product(version: &str) -> Value {
    let mut product = json!({"name": PRODUCT, "vendor_name": PRODUCT});
    set(&mut product, "version", Some(version).filter(|version| !version.is_empty()));
    product
}

/// Sets a member if there is something to set.
fn set(object: &mut Value, key: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        object[key] = value.into();
    }
}

/// What an entry says, and what of that an event does not tell yet.
struct Facts {
    members: Map<String, Value>,
    detail: Map<String, Value>,
    /// Members that the event tells.
    told: BTreeSet<&'static str>,
}

impl Facts {
    fn has(&self, member: &str) -> bool {
        self.members.get(member).is_some_and(Value::is_string)
    }

    /// Whether a further fact is true.
    fn is(&self, key: &str) -> bool {
        self.detail.get(key) == Some(&Value::Bool(true))
    }

    /// A member that is text; the event tells it from here on.
    fn tell(&mut self, member: &'static str) -> Option<String> {
        let text = self.members.get(member)?.as_str()?.to_owned();
        self.told.insert(member);
        Some(text)
    }

    /// A further fact that is text and not empty; the event tells it from here on.
    fn take(&mut self, key: &str) -> Option<String> {
        match self.detail.remove(key)? {
            Value::String(text) if !text.is_empty() => Some(text),
            other => {
                self.detail.insert(key.to_owned(), other);
                None
            }
        }
    }

    /// The agent as a user.
    fn agent(&mut self) -> Value {
        let Some(name) = self.tell("agent") else { return nobody() };
        let mut user = json!({"name": name, "type_id": 4, "type": "Service"});
        set(&mut user, "uid", self.take("agent_id"));
        user
    }

    /// The reviewer as a user.
    fn person(&mut self, beside: &Beside<'_>) -> Value {
        let Some(id) = self.tell("reviewer") else { return nobody() };
        let address = beside.addresses.get(&id);
        let mut user = json!({"uid": id, "type_id": 1, "type": "User"});
        set(&mut user, "name", address.map(String::as_str));
        set(&mut user, "email_addr", address.filter(|address| is_address(address)).map(String::as_str));
        user
    }

    /// What no attribute tells.
    fn rest(self) -> Map<String, Value> {
        let Self { members, detail, told } = self;
        let mut rest: Map<_, _> = members.into_iter().filter(|(key, _)| !told.contains(key.as_str())).collect();
        if !detail.is_empty() {
            rest.insert("detail".to_owned(), Value::Object(detail));
        }
        rest
    }
}

/// Whom the log does not name where the schema asks for a user.
fn nobody() -> Value {
    json!({"name": "unknown", "type_id": 0, "type": "Unknown"})
}

/// Whether the schema's `email_t` takes the address: it wants a dot in the domain, and ASCII.
fn is_address(address: &str) -> bool {
    address.split_once('@').is_some_and(|(local, domain)| {
        let local = !local.is_empty()
            && local.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&b));
        let ascii = domain.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
        local && ascii && domain.split_once('.').is_some_and(|(host, rest)| !host.is_empty() && !rest.is_empty())
    })
}
