//! What a server says of one of its tools, as far as it tells what the tool does. A claim, not a fact.

use crate::call::json::{self, Limits, Node};

/// More of a schema is not looked at: what a server writes is as long as it likes.
const MOST: usize = 1000;

/// A tool as its server lists it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// `readOnlyHint`, where it is there.
    pub read_only: Option<bool>,
    /// `destructiveHint`, where it is there.
    pub destructive: Option<bool>,
    /// The parameters of its input schema, by their names.
    pub parameters: Vec<Parameter>,
}

/// A parameter of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// The words that it may be, where the schema lists them.
    pub values: Vec<String>,
}

impl Tool {
    /// A tool of which nothing but its name is known.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// Reads the element of `tools` that a server listed. What cannot be read counts as not said.
    #[must_use]
    pub fn read(name: &str, json: &str) -> Self {
        let limits = Limits { max_bytes: usize::MAX, max_depth: json::DEEPEST };
        let Ok(document) = json::read_strict(json.as_bytes(), &limits) else { return Self::named(name) };
        let root = document.root();
        let hint = |key: &str| root.get("annotations")?.get(key)?.as_bool();
        let properties = root.pointer("/inputSchema/properties").and_then(Node::as_object).unwrap_or_default();
        Self {
            name: name.to_owned(),
            read_only: hint("readOnlyHint"),
            destructive: hint("destructiveHint"),
            parameters: properties.iter().take(MOST).map(|member| parameter(&member.key, &member.value)).collect(),
        }
    }
}

fn parameter(name: &str, schema: &Node<'_>) -> Parameter {
    let listed = schema.get("enum").and_then(Node::as_array).unwrap_or_default().iter().chain(schema.get("const"));
    let values = listed.filter_map(Node::as_str).take(MOST).map(str::to_owned).collect();
    Parameter { name: name.to_owned(), values }
}
