//! Reads a tree of values that a person wrote, and collects everything that is wrong with it instead of stopping at
//! the first problem. Policy and configuration share it; the tree is the JSON reader's, whatever the file's syntax.

use crate::call::json::{self, Kind, Node};

use super::problem::{Problem, Severity, closest};

/// Problems beyond this many are counted, not listed: nobody reads them, and a hostile file must not fill a page.
const MOST: usize = 200;

/// A value and the JSON Pointer that names it.
#[derive(Clone, Debug)]
pub(crate) struct At<'n, 't> {
    pub node: &'n Node<'t>,
    pub pointer: String,
}

/// The members of an object whose keys have been checked.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'n, 't> {
    pub at: At<'n, 't>,
}

impl<'n, 't> At<'n, 't> {
    pub fn root(node: &'n Node<'t>) -> Self {
        Self { node, pointer: String::new() }
    }

    fn below(&self, node: &'n Node<'t>, token: &str) -> Self {
        let mut pointer = self.pointer.clone();
        json::push_pointer(&mut pointer, token);
        Self { node, pointer }
    }

    /// The first value of that key, if this is an object that has it.
    pub fn get(&self, key: &str) -> Option<Self> {
        self.node.get(key).map(|node| self.below(node, key))
    }

    /// Keys and values; of a repeated key the first.
    pub fn members(&self) -> Vec<(&'n str, usize, Self)> {
        let members = self.node.as_object().unwrap_or_default();
        let repeated = json::duplicates(members);
        let first = |at: &usize| repeated.binary_search(at).is_err();
        let member = |(_, m): (usize, &'n json::Member<'t>)| (&*m.key, m.key_span.start, self.below(&m.value, &m.key));
        members.iter().enumerate().filter(|(at, _)| first(at)).map(member).collect()
    }

    /// The elements, if this is a list.
    pub fn elements(&self) -> Vec<Self> {
        let elements = self.node.as_array().unwrap_or_default();
        elements.iter().enumerate().map(|(at, node)| self.below(node, &at.to_string())).collect()
    }
}

impl<'n, 't> Fields<'n, 't> {
    pub fn get(&self, key: &str) -> Option<At<'n, 't>> {
        self.at.get(key)
    }
}

/// A value's type in words.
fn kind(node: &Node<'_>) -> &'static str {
    match node.kind {
        Kind::Null => "null",
        Kind::Bool(_) => "a truth value",
        Kind::Number(_) => "a number",
        Kind::String(_) => "a string",
        Kind::Array(_) => "a list",
        Kind::Object(_) => "an object",
    }
}

/// Other names of keys, in other policies and in plain words.
const ELSEWHERE: [(&str, &str); 6] = [
    ("approvers", "reviewers"),
    ("conditions", "require"),
    ("description", "note"),
    ("hidden", "hide"),
    ("name", "counter"),
    ("quorum", "approvals"),
];

/// What some write beside `approval` that belongs into it.
const WITHIN_APPROVAL: [&str; 8] =
    ["when", "timeout", "on_timeout", "escalate_to", "approvals", "reviewers", "context", "message"];

/// Collects problems by byte offset; [`Reader::finish`] gives them line and column.
#[derive(Debug)]
pub(crate) struct Reader<'r> {
    text: &'r str,
    found: Vec<(usize, Problem)>,
}

impl<'r> Reader<'r> {
    pub fn new(text: &'r str) -> Self {
        Self { text, found: Vec::new() }
    }

    fn report(&mut self, severity: Severity, offset: usize, pointer: &str, message: String, hint: Option<String>) {
        let pointer = pointer.to_owned();
        self.found.push((offset, Problem { severity, line: 0, column: 0, pointer, message, hint }));
    }

    /// An error at a place that no value stands for.
    pub fn error_at(
        &mut self,
        offset: usize,
        pointer: &str,
        message: impl Into<String>,
        hint: impl Into<Option<String>>,
    ) {
        self.report(Severity::Error, offset, pointer, message.into(), hint.into());
    }

    pub fn error(&mut self, at: &At<'_, '_>, message: impl Into<String>, hint: &str) {
        self.error_at(at.node.span.start, &at.pointer, message, Some(hint.to_owned()));
    }

    pub fn warn(&mut self, offset: usize, pointer: &str, message: impl Into<String>, hint: &str) {
        self.report(Severity::Warning, offset, pointer, message.into(), Some(hint.to_owned()));
    }

    /// Reports every key that one object has twice, at the second one.
    pub fn duplicates(&mut self, at: &At<'_, '_>) {
        if let Some(members) = at.node.as_object() {
            for repeated in json::duplicates(members) {
                let member = &members[repeated];
                let message = format!("the key {} stands here twice", json::quote(&member.key));
                let hint = "keep one of them; nobody could say which counts".to_owned();
                let pointer = at.below(&member.value, &member.key).pointer;
                self.error_at(member.key_span.start, &pointer, message, hint);
            }
            members.iter().for_each(|member| self.duplicates(&at.below(&member.value, &member.key)));
        }
        at.elements().iter().for_each(|element| self.duplicates(element));
    }

    /// An object; keys other than `known` are errors.
    pub fn object<'n, 't>(&mut self, at: &At<'n, 't>, known: &[&str]) -> Option<Fields<'n, 't>> {
        self.map(at)?;
        for (key, offset, value) in at.members() {
            if !known.contains(&key) {
                let elsewhere = ELSEWHERE.iter().find(|(other, meant)| *other == key && known.contains(meant));
                let hint = match (elsewhere.map(|(_, meant)| *meant).or_else(|| closest(key, known)), known) {
                    _ if WITHIN_APPROVAL.contains(&key) && known.contains(&"approval") => {
                        format!("write it within \"approval\": {{{}: …}}", json::quote(key))
                    }
                    (Some(meant), _) => format!("did you mean {}?", json::quote(meant)),
                    (None, known) => format!("known here: {}", known.join(", ")),
                };
                self.error_at(offset, &value.pointer, format!("unknown key {}", json::quote(key)), hint);
            }
        }
        Some(Fields { at: at.clone() })
    }

    /// An object with keys of the writer's own.
    pub fn map<'n, 't>(&mut self, at: &At<'n, 't>) -> Option<Vec<(&'n str, usize, At<'n, 't>)>> {
        if at.node.as_object().is_none() {
            self.wrong_type(at, "an object");
            return None;
        }
        Some(at.members())
    }

    /// A member that must be there.
    pub fn required<'n, 't>(&mut self, fields: &Fields<'n, 't>, key: &str, hint: &str) -> Option<At<'n, 't>> {
        let found = fields.get(key);
        if found.is_none() {
            self.error(&fields.at, format!("{} is missing", json::quote(key)), hint);
        }
        found
    }

    pub fn list<'n, 't>(&mut self, at: &At<'n, 't>) -> Vec<At<'n, 't>> {
        if at.node.as_array().is_none() {
            self.wrong_type(at, "a list");
        }
        at.elements()
    }

    pub fn string<'n, 't>(&mut self, at: &At<'n, 't>) -> Option<&'n str> {
        if at.node.as_str().is_none() {
            self.wrong_type(at, "a string");
        }
        at.node.as_str()
    }

    /// A string that is not empty.
    pub fn text(&mut self, at: &At<'_, '_>) -> Option<String> {
        let text = self.string(at)?;
        if text.trim().is_empty() {
            self.error(at, "this text is empty", "write something or leave the key out");
            return None;
        }
        Some(text.to_owned())
    }

    pub fn flag(&mut self, at: &At<'_, '_>) -> Option<bool> {
        if at.node.as_bool().is_none() {
            self.wrong_type(at, "true or false");
        }
        at.node.as_bool()
    }

    /// A whole number within `least..=most`, in digits; 1.0 and 1e3 are refused.
    pub fn whole(&mut self, at: &At<'_, '_>, least: u64, most: u64) -> Option<u64> {
        let Some(number) = at.node.as_number() else {
            self.wrong_type(at, "a whole number");
            return None;
        };
        let value = number.replace('_', "").parse::<u64>().ok().filter(|value| (least..=most).contains(value));
        if value.is_none() {
            let hint = format!("write a whole number from {least} to {most}");
            self.error(at, format!("{number} cannot stand here"), &hint);
        }
        value
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&mut self, at: &At<'_, '_>, choices: &[(&str, T)]) -> Option<T> {
        let word = self.string(at)?;
        let found = choices.iter().find(|(name, _)| *name == word).map(|(_, value)| *value);
        if found.is_none() {
            let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
            let hint = match closest(word, &names) {
                Some(meant) => format!("did you mean {}?", json::quote(meant)),
                None => format!("write one of {}", names.join(", ")),
            };
            self.error(at, format!("{} is not known here", json::quote(word)), &hint);
        }
        found
    }

    /// A string that `read` understands; its refusal is the message.
    pub fn parsed<T>(&mut self, at: &At<'_, '_>, hint: &str, read: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        if at.node.as_str().is_none() {
            self.error(at, format!("this is {}", kind(at.node)), hint);
        }
        match read(at.node.as_str()?) {
            Ok(value) => Some(value),
            Err(message) => {
                self.error(at, message, hint);
                None
            }
        }
    }

    fn wrong_type(&mut self, at: &At<'_, '_>, wanted: &str) {
        self.error(at, format!("this is {}", kind(at.node)), &format!("write {wanted}"));
    }

    /// Every problem in the order of the file, the first two hundred in full.
    pub fn finish(mut self) -> Vec<Problem> {
        self.found.sort_by(|(a, p), (b, q)| (p.severity, a, &p.message).cmp(&(q.severity, b, &q.message)));
        let left_out = self.found.get(MOST).map(|(_, problem)| (self.found.len() - MOST, problem.severity));
        self.found.truncate(MOST);
        self.found.sort_by_key(|(offset, _)| *offset);
        let (mut line, mut column, mut reached) = (1, 1, 0);
        let mut problems = Vec::with_capacity(self.found.len());
        for (offset, mut problem) in self.found {
            let offset = self.text.floor_char_boundary(offset);
            for c in self.text[reached..offset].chars() {
                (line, column) = if c == '\n' { (line + 1, 1) } else { (line, column + 1) };
            }
            reached = offset;
            (problem.line, problem.column) = (line, column);
            problems.push(problem);
        }
        if let Some((left_out, severity)) = left_out {
            let message = format!("{left_out} further problems are not listed");
            let hint = Some("solve these first".to_owned());
            problems.push(Problem { severity, line, column, pointer: String::new(), message, hint });
        }
        problems
    }
}
