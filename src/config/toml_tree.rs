//! Reads TOML into the tree that policy files are read into, so that both report their problems in one way.

use std::borrow::Cow;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::call::json::{self, Kind, Member, Node, Span};
use crate::policy::source::Reader;

/// Reads the text. `None` where its syntax is wrong, which is then reported; a repeated key is reported, and counts
/// once.
pub(super) fn read<'t>(reader: &mut Reader<'_>, text: &'t str) -> Option<Node<'t>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut broken = false;
    for error in errors {
        let span = error.span().unwrap_or_default();
        let repeated = error.message().contains("duplicate key");
        broken |= !repeated;
        if repeated {
            let (pointer, key) = repeated_key(text, span.start, span.end);
            let message = format!("the key {} stands here twice", json::quote(&key));
            reader.error_at(span.start, &pointer, message, "keep one of them".to_owned());
        } else {
            let message = format!("this is not TOML: {}", error.message().replace('\n', ", "));
            reader.error_at(span.start, "", message, "strings stand in double quotes, tables in brackets".to_owned());
        }
    }
    (!broken).then(|| {
        let span = table.span();
        Node { span: Span { start: 0, end: span.end }, kind: object(text, table.into_inner()) }
    })
}

fn object<'t>(text: &'t str, table: DeTable<'t>) -> Kind<'t> {
    let member = |(key, value): (Spanned<Cow<'t, str>>, Spanned<DeValue<'t>>)| {
        let key_span = Span { start: key.span().start, end: key.span().end };
        Member { key: key.into_inner(), key_span, value: node(text, value) }
    };
    let mut members: Vec<_> = table.into_iter().map(member).collect();
    members.sort_by_key(|member| member.key_span.start);
    Kind::Object(members)
}

fn node<'t>(text: &'t str, value: Spanned<DeValue<'t>>) -> Node<'t> {
    let span = Span { start: value.span().start, end: value.span().end };
    let kind = match value.into_inner() {
        DeValue::String(string) => Kind::String(string),
        DeValue::Boolean(flag) => Kind::Bool(flag),
        // As written, underscores included; what asks for a number judges the text.
        DeValue::Integer(_) | DeValue::Float(_) => Kind::Number(text.get(span.start..span.end).unwrap_or("NaN")),
        // Nothing here is a date: as a string it is refused wherever it stands, in the words of that place.
        DeValue::Datetime(date) => Kind::String(date.to_string().into()),
        DeValue::Array(elements) => Kind::Array(elements.iter().cloned().map(|value| node(text, value)).collect()),
        DeValue::Table(table) => object(text, table),
    };
    Node { span, kind }
}

/// Pointer and name of a key that stands twice: the parser names its place alone, so the table is the one whose header
/// stands last before it.
fn repeated_key(text: &str, start: usize, end: usize) -> (String, String) {
    let key = text.get(start..end).unwrap_or_default().trim_matches(['"', '\'']).to_owned();
    let line_start = text[..text.floor_char_boundary(start)].rfind('\n').map_or(0, |at| at + 1);
    let mut pointer = String::new();
    let is_header = text[line_start..].trim_start().starts_with('[');
    if !is_header {
        let headers = || text[..line_start].lines().map(str::trim_start).filter(|line| line.starts_with('['));
        if let Some(last) = headers().next_back() {
            let name =
                |line: &str| line.trim_start_matches('[').split(']').next().unwrap_or_default().trim().to_owned();
            name(last).split('.').for_each(|token| json::push_pointer(&mut pointer, token.trim()));
            if last.starts_with("[[") {
                let before = headers().filter(|line| line.starts_with("[[") && name(line) == name(last)).count();
                json::push_pointer(&mut pointer, &before.saturating_sub(1).to_string());
            }
        }
    }
    json::push_pointer(&mut pointer, &key);
    (pointer, key)
}
