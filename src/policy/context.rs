//! Reads that a reviewer is shown: their arguments as the policy writes them, with the held call's own values put in.
//!
//! A string that is `$args` followed by a path (`.name` into an object, `[0]` into an array) stands for the value at
//! that path, as JSON; every other string stands for itself.

use super::path::Path;
use crate::call::json::{self, Kind, Node};

/// One read, ready to be filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    pub tool: String,
    /// Byte offset of the tool's name in the policy file.
    pub offset: usize,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// JSON text as it is.
    Text(String),
    /// The call's value at this path.
    Argument(Path),
}

impl Template {
    /// Reads the arguments of a read.
    ///
    /// # Errors
    /// Every string that begins with `$args` and is no path, as the node and a message.
    pub fn new<'n, 'a>(
        tool: &str,
        offset: usize,
        arguments: Option<&'n Node<'a>>,
    ) -> Result<Self, Vec<(&'n Node<'a>, String)>> {
        let (mut pieces, mut bad) = (vec![Piece::Text(String::new())], Vec::new());
        match arguments {
            Some(arguments) => read(arguments, &mut pieces, &mut bad),
            None => push(&mut pieces, "{}"),
        }
        if bad.is_empty() { Ok(Self { tool: tool.to_owned(), offset, pieces }) } else { Err(bad) }
    }

    /// The arguments for one call.
    ///
    /// # Errors
    /// What the call lacks, for the reviewer to read.
    pub fn fill(&self, arguments: Option<&Node<'_>>) -> Result<String, String> {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Argument(path) => match path.of(arguments) {
                    Some(value) => write(value, &mut text),
                    None => return Err(format!("could not read: the call has no {}", path.shown())),
                },
            }
        }
        Ok(text)
    }
}

impl Template {
    /// The arguments as the policy has them.
    pub(super) fn in_policy(&self) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Argument(path) => json::quote(&format!("${}", path.in_full())),
        };
        self.pieces.iter().map(piece).collect()
    }
}

fn push(pieces: &mut Vec<Piece>, text: &str) {
    match pieces.last_mut() {
        Some(Piece::Text(last)) => last.push_str(text),
        _ => pieces.push(Piece::Text(text.to_owned())),
    }
}

fn read<'n, 'a>(node: &'n Node<'a>, pieces: &mut Vec<Piece>, bad: &mut Vec<(&'n Node<'a>, String)>) {
    match &node.kind {
        Kind::String(text) if text.starts_with("$args") => match Path::parse(&text["$args".len()..]) {
            Some(path) if !path.is_many() => pieces.push(Piece::Argument(path)),
            _ => bad.push((node, format!("{} is not a path into the call's arguments", json::quote(text)))),
        },
        Kind::Array(elements) => {
            push(pieces, "[");
            for (at, element) in elements.iter().enumerate() {
                push(pieces, if at == 0 { "" } else { "," });
                read(element, pieces, bad);
            }
            push(pieces, "]");
        }
        Kind::Object(members) => {
            push(pieces, "{");
            for (at, member) in members.iter().enumerate() {
                push(pieces, if at == 0 { "" } else { "," });
                push(pieces, &json::quote(&member.key));
                push(pieces, ":");
                read(&member.value, pieces, bad);
            }
            push(pieces, "}");
        }
        _ => {
            let mut text = String::new();
            write(node, &mut text);
            push(pieces, &text);
        }
    }
}

/// Writes a value as JSON: the same value, numbers by their own digits, in compact form.
fn write(node: &Node<'_>, out: &mut String) {
    match &node.kind {
        Kind::Null => out.push_str("null"),
        Kind::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Kind::Number(text) => out.push_str(text),
        Kind::String(text) => json::quote_into(out, text),
        Kind::Array(elements) => {
            out.push('[');
            for (at, element) in elements.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { "," });
                write(element, out);
            }
            out.push(']');
        }
        Kind::Object(members) => {
            out.push('{');
            for (at, member) in members.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { "," });
                json::quote_into(out, &member.key);
                out.push(':');
                write(&member.value, out);
            }
            out.push('}');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::json::{Limits, read_strict};

    fn fill(template: &str, arguments: &str) -> Result<String, String> {
        let template = read_strict(template.as_bytes(), &Limits::default()).unwrap();
        let arguments = read_strict(arguments.as_bytes(), &Limits::default()).unwrap();
        Template::new("t", 0, Some(template.root())).unwrap().fill(Some(arguments.root()))
    }

    #[test]
    fn puts_the_calls_own_values_in() {
        let call = r#"{"n": 12345678901234567890.10, "s": "a\"é\u202e", "l": [{"x": null}, true], "o": {"k": 1e400}}"#;
        for (template, filled) in [
            (r#"{"a": "$args.n"}"#, r#"{"a":12345678901234567890.10}"#),
            (r#"{"a": ["$args.s", 1]}"#, r#"{"a":["a\"é\u202e",1]}"#),
            (r#"{"a": "$args.l[0].x", "b": "$args.l[1]"}"#, r#"{"a":null,"b":true}"#),
            (r#"{"a": "args.n", "b": " $args.n"}"#, r#"{"a":"args.n","b":" $args.n"}"#),
            (r#"{"a": "$args.o"}"#, r#"{"a":{"k":1e400}}"#),
        ] {
            assert_eq!(fill(template, call).as_deref(), Ok(filled));
        }
    }

    #[test]
    fn says_what_the_call_lacks() {
        for (path, lacks) in
            [("$args.b", "b"), ("$args.a.x", "a.x"), ("$args.l[2].y", "l[2].y"), ("$args.a[0]", "a[0]")]
        {
            let expected = Err(format!("could not read: the call has no {lacks}"));
            assert_eq!(fill(&format!(r#"{{"v": "{path}"}}"#), r#"{"a": 1, "l": [1, 2]}"#), expected);
        }
        let template = read_strict(br#"{"v": "$args.a"}"#, &Limits::default()).unwrap();
        let filled = Template::new("t", 0, Some(template.root())).unwrap().fill(None);
        assert_eq!(filled, Err("could not read: the call has no a".to_owned()));
        assert_eq!(Template::new("t", 0, None).unwrap().fill(None).as_deref(), Ok("{}"));
    }

    #[test]
    fn refuses_what_only_looks_like_a_path() {
        for bad in
            ["$args", "$args.", "$argsx", "$args..a", "$args[", "$args[-1]", "$args[*]", "$args.a[+1]", "$args.a]"]
        {
            let text = json::quote(bad);
            let document = read_strict(text.as_bytes(), &Limits::default()).unwrap();
            assert_eq!(Template::new("t", 0, Some(document.root())).unwrap_err().len(), 1, "{bad}");
        }
    }
}
