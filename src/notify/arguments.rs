//! A call's arguments as readable lines: secrets masked, hidden characters shown, JSON inside strings opened once.
//!
//! For reading only. The exact bytes stand on the call's page.

use super::text::{bounded, visible};
use crate::call::json::{Kind, Limits, Node, read_strict};
use crate::call::secrets;

/// The longest text of one line, in characters.
const LONGEST: usize = 300;

/// What stands before a value: its key, or a dash in a list.
struct Label<'a> {
    text: String,
    /// The name in a sentence of its own, where there is one.
    key: Option<&'a str>,
}

/// The lines, outermost members first and unindented.
#[must_use]
pub fn lines(arguments: &str) -> Vec<String> {
    let masked = secrets::mask_json(arguments);
    let mut out = Vec::new();
    match read_strict(masked.as_bytes(), &Limits { max_bytes: usize::MAX, max_depth: 64 }) {
        Ok(document) => match &document.root().kind {
            Kind::Object(members) if members.is_empty() => out.push("(no arguments)".to_owned()),
            _ => inner(&mut out, document.root(), 0, true),
        },
        // Arguments were read strictly when the call came in; what cannot be read now was damaged since.
        Err(_) => out.push("(the arguments cannot be read; see the call's page)".to_owned()),
    }
    out
}

/// A container's parts, one or more lines each.
fn inner(out: &mut Vec<String>, node: &Node<'_>, depth: usize, open_json: bool) {
    match &node.kind {
        Kind::Object(members) => {
            for member in members {
                let label = Label { text: format!("{}: ", name(&member.key)), key: Some(&member.key) };
                value(out, &label, &member.value, depth, open_json);
            }
        }
        Kind::Array(elements) => {
            for element in elements {
                value(out, &Label { text: "- ".to_owned(), key: None }, element, depth, open_json);
            }
        }
        _ => value(out, &Label { text: String::new(), key: None }, node, depth, open_json),
    }
}

fn value(out: &mut Vec<String>, label: &Label<'_>, node: &Node<'_>, depth: usize, open_json: bool) {
    let line = |out: &mut Vec<String>, text: &str| out.push(format!("{}{}{text}", "  ".repeat(depth), label.text));
    match &node.kind {
        Kind::Null => line(out, "null"),
        Kind::Bool(true) => line(out, "true"),
        Kind::Bool(false) => line(out, "false"),
        Kind::Number(text) => line(out, &shortened(text)),
        Kind::Object(members) if members.is_empty() => line(out, "{}"),
        Kind::Array(elements) if elements.is_empty() => line(out, "[]"),
        Kind::Object(_) | Kind::Array(_) => match label.key {
            Some(_) => {
                out.push(format!("{}{}", "  ".repeat(depth), label.text.trim_end()));
                inner(out, node, depth + 1, open_json);
            }
            // An element begins on the line of its dash.
            None => {
                let first = out.len();
                inner(out, node, depth + 1, open_json);
                if let Some(line) = out.get_mut(first) {
                    line.replace_range(depth * 2..depth * 2 + 2, "- ");
                }
            }
        },
        Kind::String(text) => string(out, label, text, depth, open_json),
    }
}

fn string(out: &mut Vec<String>, label: &Label<'_>, text: &str, depth: usize, open_json: bool) {
    let indent = "  ".repeat(depth);
    let holds_json = open_json && text.trim_start().starts_with(['{', '[']);
    if holds_json
        && let Ok(document) = read_strict(text.as_bytes(), &Limits { max_bytes: usize::MAX, max_depth: 64 })
        && !matches!(&document.root().kind, Kind::Object(m) if m.is_empty())
        && !matches!(&document.root().kind, Kind::Array(e) if e.is_empty())
    {
        out.push(format!("{indent}{}(a text holding JSON)", label.text));
        return inner(out, document.root(), depth + 1, false);
    }
    if text.contains('\n') {
        out.push(format!("{indent}{}(a text of {} lines)", label.text, text.split('\n').count()));
        out.extend(text.split('\n').map(|line| format!("{indent}  | {}", shortened(line))));
        return;
    }
    out.push(format!("{indent}{}\"{}\"", label.text, shortened(text)));
}

fn name(key: &str) -> String {
    visible(&bounded(key, 80))
}

fn shortened(text: &str) -> String {
    let length = text.chars().count();
    if length <= LONGEST {
        return visible(text);
    }
    format!("{} ({length} characters)", visible(&bounded(text, LONGEST)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_document_in_a_string_is_opened() {
        let arguments = r#"{"user_name":"ci-bot","policy_document":"{\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"*\"}]}","n":9007199254740993,"x":{},"on":[true,null]}"#;
        assert_eq!(
            lines(arguments),
            [
                "user_name: \"ci-bot\"",
                "policy_document: (a text holding JSON)",
                "  Statement:",
                "    - Effect: \"Allow\"",
                "      Action: \"*\"",
                "n: 9007199254740993",
                "x: {}",
                "on:",
                "  - true",
                "  - null",
            ]
        );
        assert_eq!(lines("[[1,[2]],{\"a\":[{}]}]"), ["- - 1", "  - - 2", "- a:", "    - {}"]);
    }

    #[test]
    fn secrets_are_masked_and_hidden_characters_shown() {
        let lines =
            lines("{\"password\":\"hunter2hunter2\",\"na\\u202eme\":\"a\\r\\u0000b\",\"s\":\"one\\ntwo\\u200b\"}")
                .join("\n");
        assert!(!lines.contains("hunter2"), "{lines}");
        assert!(lines.contains("na⟦U+202E⟧me: \"a⟦U+000D⟧⟦U+0000⟧b\""), "{lines}");
        assert!(lines.contains("  | two⟦U+200B⟧"), "{lines}");
    }

    #[test]
    fn long_texts_are_cut_and_say_so() {
        let lines = lines(&format!("{{\"a\":\"{}\"}}", "x".repeat(5000)));
        assert!(lines[0].ends_with("… (5000 characters)\"") && lines[0].len() < 400, "{lines:?}");
        assert_eq!(super::lines("{}"), ["(no arguments)"]);
        assert_eq!(super::lines("{\"a\":").len(), 1);
    }
}
