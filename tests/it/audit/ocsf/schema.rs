//! Whether an event is what OCSF says that it is, by the extract of the schema in `schema.json`, which `extract.py`
//! makes: known attributes of the right type, those that are required, values of enumerations and their captions, and
//! what a class or object wants at least one of.

use serde_json::{Map, Value};

/// The extract.
pub(super) struct Schema(Value);

impl Schema {
    pub(super) fn read() -> Self {
        Self(serde_json::from_str(include_str!("schema.json")).unwrap())
    }

    /// The version of the schema.
    pub(super) fn version(&self) -> &str {
        self.0["version"].as_str().unwrap()
    }

    /// Everything that is wrong with an event.
    pub(super) fn faults(&self, event: &Value) -> Vec<String> {
        let mut faults = Vec::new();
        let mut say = |fault: String| faults.push(fault);
        let number = |key: &str| event[key].as_i64().unwrap_or(-1);
        let class = &self.0["classes"][number("class_uid").to_string()];
        let Some(members) = event.as_object().filter(|_| class.is_object()) else {
            return vec![format!("the class {} is not in the extract", event["class_uid"])];
        };
        for key in ["category_uid", "category_name"] {
            if event[key] != class[key] {
                say(format!("{key} is {}, not {}", event[key], class[key]));
            }
        }
        let (caption, activity) = (class["caption"].as_str().unwrap(), number("activity_id"));
        if event["class_name"] != caption {
            say(format!("class_name is {}", event["class_name"]));
        }
        if number("type_uid") != number("class_uid") * 100 + activity {
            say(format!("type_uid is {}", event["type_uid"]));
        }
        let word = class["attributes"]["activity_id"]["enum"][activity.to_string()].as_str().unwrap_or_default();
        if event["type_name"] != format!("{caption}: {word}") {
            say(format!("type_name is {}", event["type_name"]));
        }
        if event["metadata"]["version"] != self.version() {
            say(format!("metadata.version is {}", event["metadata"]["version"]));
        }
        let profiles: Vec<_> =
            event["metadata"]["profiles"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        self.object("", class, members, &profiles, &mut faults);
        faults
    }

    fn object(&self, at: &str, whole: &Value, members: &Map<String, Value>, of: &[&str], faults: &mut Vec<String>) {
        let attributes = whole["attributes"].as_object().unwrap();
        for (name, attribute) in attributes {
            let applies = attribute["profile"].as_str().is_none_or(|profile| of.contains(&profile));
            if applies && attribute["requirement"] == "required" && !members.contains_key(name) {
                faults.push(format!("{at}{name} is missing"));
            }
            if !applies && members.contains_key(name) {
                faults.push(format!("{at}{name} belongs to a profile that metadata.profiles does not name"));
            }
        }
        if let Some(some) = whole["constraints"]["at_least_one"].as_array()
            && !some.iter().any(|name| members.contains_key(name.as_str().unwrap()))
        {
            faults.push(format!("{at}: at least one of {some:?}"));
        }
        for (name, value) in members {
            let Some(attribute) = attributes.get(name) else {
                faults.push(format!("{at}{name} is no attribute"));
                continue;
            };
            let at = format!("{at}{name}");
            match (attribute["is_array"] == true, value) {
                (true, Value::Array(values)) => {
                    values.iter().for_each(|value| self.value(&at, attribute, value, of, faults));
                }
                (true, _) => faults.push(format!("{at} is no array: {value}")),
                (false, _) => self.value(&at, attribute, value, of, faults),
            }
            captioned(&at, attribute, value, members, faults);
        }
    }

    fn value(&self, at: &str, attribute: &Value, value: &Value, of: &[&str], faults: &mut Vec<String>) {
        let name = attribute["type"].as_str().unwrap();
        let base = attribute["base"].as_str().unwrap_or(name);
        let fits = match (name, base) {
            ("json_t", _) => true,
            ("email_t", _) => value.as_str().is_some_and(|text| {
                text.split_once('@').is_some_and(|(_, domain)| text.is_ascii() && domain.contains('.'))
            }),
            (_, "string_t") => value.as_str().is_some_and(|text| !text.is_empty()),
            (_, "integer_t" | "long_t") => value.is_i64(),
            (_, "boolean_t") => value.is_boolean(),
            // Whatever the source likes.
            ("object", _) => value.is_object(),
            _ => match (&self.0["objects"][name], value) {
                (Value::Null, _) => {
                    faults.push(format!("{at} is a {name}, which is not in the extract: add it to extract.py"));
                    true
                }
                (whole, Value::Object(members)) => {
                    self.object(&format!("{at}."), whole, members, of, faults);
                    true
                }
                _ => false,
            },
        };
        if !fits {
            faults.push(format!("{at} is no {name}: {value}"));
        }
    }
}

/// A number of an enumeration is one of its numbers, and beside it stands its caption; for 99, a word of the source.
fn captioned(at: &str, attribute: &Value, value: &Value, beside: &Map<String, Value>, faults: &mut Vec<String>) {
    let Some(known) = attribute["enum"].as_object() else { return };
    let Some(caption) = known.get(&value.to_string()) else {
        faults.push(format!("{at} is {value}, none of {known:?}"));
        return;
    };
    let Some(sibling) = attribute["sibling"].as_str() else { return };
    match beside.get(sibling) {
        Some(word) if *value == 99 => {
            if word == "Other" || word.as_str().is_none_or(str::is_empty) {
                faults.push(format!("{at} is 99, and {sibling} says only {word}"));
            }
        }
        Some(word) if word == caption => {}
        found => faults.push(format!("{at} is {value}, and {sibling} is {found:?}, not {caption}")),
    }
}
