//! One text for everything that says the same.

use super::{Kind, Member, Node, quote_into};

/// A form that is equal for two values exactly when they say the same, number texts included: keys sorted by code
/// points, no whitespace, every string escaped in one way. Made to compare, never to forward.
///
/// Not RFC 8785, which takes 9007199254740993 for 9007199254740992.
pub fn canonical(node: &Node<'_>) -> String {
    let mut out = String::with_capacity(node.span.end - node.span.start);
    write(&mut out, node);
    out
}

/// As [`canonical`], of an object that has these members alone.
pub fn canonical_members<'n, 't: 'n>(members: impl IntoIterator<Item = &'n Member<'t>>) -> String {
    let mut out = String::new();
    write_members(&mut out, members.into_iter().collect());
    out
}

/// Recursion is bounded by the reader's depth.
fn write(out: &mut String, node: &Node<'_>) {
    match &node.kind {
        Kind::Null => out.push_str("null"),
        Kind::Bool(true) => out.push_str("true"),
        Kind::Bool(false) => out.push_str("false"),
        Kind::Number(text) => out.push_str(text),
        Kind::String(text) => quote_into(out, text),
        Kind::Array(elements) => {
            out.push('[');
            for (at, element) in elements.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write(out, element);
            }
            out.push(']');
        }
        Kind::Object(members) => write_members(out, members.iter().collect()),
    }
}

fn write_members(out: &mut String, mut members: Vec<&Member<'_>>) {
    // UTF-8 sorts bytewise in the order of code points.
    members.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    out.push('{');
    for (at, member) in members.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        quote_into(out, &member.key);
        out.push(':');
        write(out, &member.value);
    }
    out.push('}');
}
