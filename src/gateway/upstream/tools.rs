//! The tools that an upstream has listed, as it listed them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::call::{Digest, UpstreamName};
use crate::policy::ToolFacts;

/// Most tools that are remembered of one upstream.
const MAX_TOOLS: usize = 5000;
/// Most bytes of them.
const MAX_BYTES: usize = 16 << 20;

/// A tool as its upstream last listed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownTool {
    /// Its name, decoded.
    pub name: String,
    /// SHA-256 of `json`.
    pub digest: Digest,
    /// The element of `tools`, byte for byte.
    pub json: Arc<str>,
    /// What conditions of the policy look at.
    pub facts: Arc<ToolFacts>,
}

/// One upstream's tools by name.
#[derive(Debug, Default)]
pub(super) struct Catalogue(Mutex<Tools>);

#[derive(Debug, Default)]
struct Tools {
    by_name: BTreeMap<String, KnownTool>,
    bytes: usize,
}

#[derive(Deserialize)]
struct List<'a> {
    #[serde(borrow)]
    tools: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

impl Catalogue {
    fn tools(&self) -> MutexGuard<'_, Tools> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers the tools of one `tools/list` result, a page of it perhaps.
    pub(super) fn note(&self, upstream: &UpstreamName, list_result: &str) {
        let Ok(list) = serde_json::from_str::<List<'_>>(list_result) else { return };
        let mut tools = self.tools();
        for tool in list.tools {
            let json = tool.get();
            let Ok(Named { name }) = serde_json::from_str(json) else { continue };
            let before = tools.by_name.get(&*name).map(|tool| tool.json.len());
            let bytes = tools.bytes - before.unwrap_or(0) + json.len();
            if bytes > MAX_BYTES || (before.is_none() && tools.by_name.len() >= MAX_TOOLS) {
                tracing::warn!("an upstream lists more tools than are remembered");
                return;
            }
            tools.bytes = bytes;
            let name = name.into_owned();
            let facts = Arc::new(ToolFacts::read(upstream, &name, json));
            let known = KnownTool { name: name.clone(), digest: Digest::of(json.as_bytes()), json: json.into(), facts };
            tools.by_name.insert(name, known);
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<KnownTool> {
        self.tools().by_name.get(name).cloned()
    }

    pub(super) fn all(&self) -> Vec<KnownTool> {
        self.tools().by_name.values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iam() -> UpstreamName {
        UpstreamName::new("iam").unwrap()
    }

    #[test]
    fn remembers_the_exact_text_of_the_last_listing() {
        let tools = Catalogue::default();
        tools.note(&iam(), r#"{"tools":[{"name":"a\u0062", "n":1.0},{"name":"c"},{"no":"name"},7]}"#);
        assert_eq!(&*tools.get("ab").unwrap().json, r#"{"name":"a\u0062", "n":1.0}"#);
        tools.note(&iam(), r#"{"tools":[{"name":"ab"}],"nextCursor":"x"}"#);
        assert_eq!(tools.get("ab").unwrap().digest, Digest::of(br#"{"name":"ab"}"#));
        assert_eq!(tools.all().len(), 2);
        for nonsense in ["", "[]", "{}", r#"{"tools":7}"#] {
            tools.note(&iam(), nonsense);
        }
        assert_eq!(tools.all().len(), 2);
    }

    #[test]
    fn is_bounded() {
        let tools = Catalogue::default();
        let many: Vec<_> = (0..MAX_TOOLS + 10).map(|n| format!(r#"{{"name":"{n}"}}"#)).collect();
        tools.note(&iam(), &format!(r#"{{"tools":[{}]}}"#, many.join(",")));
        assert_eq!(tools.all().len(), MAX_TOOLS);
        tools.note(&iam(), &format!(r#"{{"tools":[{{"name":"1","x":"{}"}}]}}"#, "y".repeat(MAX_BYTES)));
        assert_eq!(&*tools.get("1").unwrap().json, r#"{"name":"1"}"#);
    }
}
