//! The way through a JSON document: which values, and which keys, its names and shapes make secret.

use std::collections::HashSet;

use super::assigned::{NAMES, VALUES};
use super::blocks::{DATA, REFERENCES, SCHEMA, TYPES};
use super::commands::{Line, Said};
use super::names::{Name, is_plural, secret_name, secret_place};
use super::{Look, MASK, Mask, apply, cover, read, shapes};
use crate::call::json::{Kind, Member, Node};

/// What the names above a node promise of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Under {
    name: Name,
    /// Whether it is the direct value of a plural name: its keys may be the secrets.
    many: bool,
}

/// What stands beside an array.
#[derive(Clone, Copy, Default)]
struct Beside {
    /// The command whose arguments the array may be.
    line: Line,
    /// Whether names and values alternate in it.
    headers: bool,
    /// Whether all arrays beside it are pairs as well.
    pairs: bool,
}

/// Columns of a table that are secret.
type Columns = Vec<(usize, Name)>;

/// Words for a switch: `{"tokens": {"enabled": true}}` has no token in it.
const SWITCHES: &[&str] = &[
    "enabled",
    "enable",
    "disabled",
    "required",
    "allowed",
    "active",
    "visible",
    "hidden",
    "inherit",
    "encrypted",
    "masked",
    "protected",
    "revoked",
    "expired",
    "rotate",
    "rotated",
    "rotation",
    "default",
    "read",
    "write",
    "create",
    "delete",
    "update",
    "list",
    "admin",
    "all",
    "set",
    "exists",
    "present",
    "valid",
    "sensitive",
];

pub(super) struct Walk {
    pub look: Look,
    pub found: Vec<Mask>,
}

impl Walk {
    pub fn root(&mut self, node: &Node<'_>) {
        self.node(node, None, Beside::default());
    }

    /// `under` is what the names above promise. Recursion is bounded by the reader's depth.
    fn node(&mut self, node: &Node<'_>, under: Option<Under>, beside: Beside) {
        match &node.kind {
            Kind::Null | Kind::Bool(_) => {}
            // A number of tokens is no token, but a password may be all digits.
            Kind::Number(_) => {
                if under.is_some_and(|under| under.name == Name::Secret) {
                    self.mask(node, MASK.to_owned());
                }
            }
            Kind::String(text) => self.string(node, text, under),
            Kind::Array(elements) => self.array(elements, under, beside),
            Kind::Object(members) => self.object(members, under),
        }
    }

    fn array(&mut self, elements: &[Node<'_>], under: Option<Under>, mut beside: Beside) {
        let is_pair = |node: &Node<'_>| {
            node.as_array().is_some_and(|pair| pair.len() == 2 && pair.iter().all(|part| part.as_str().is_some()))
        };
        let inner = Beside { pairs: elements.iter().all(is_pair), headers: beside.headers, ..Beside::default() };
        let texts = elements.iter().all(|element| element.as_str().is_some());
        let mut flag = None;
        for (at, element) in elements.iter().enumerate() {
            let said = element.as_str().map_or(Said::Nothing, |word| beside.line.argument(word));
            match (under.or(flag), element.as_str(), said) {
                (None, Some(text), Said::From(from)) => self.mask(element, format!("{}{MASK}", &text[..from])),
                (by_name, ..) => self.node(element, by_name, inner),
            }
            let named = element.as_str().and_then(|name| match name.strip_prefix('-') {
                // `["--password", "x"]`: a command line as a list.
                Some(flag) => secret_name(flag),
                None if texts => named_in_list(name, elements, at, beside),
                None => None,
            });
            flag = named.map(|name| Under { name, many: false });
        }
    }

    fn object(&mut self, members: &[Member<'_>], under: Option<Under>) {
        let named = under.map(|under| under.name).or_else(|| name_of_value(members));
        let is_kubernetes_secret = text_of(members, "kind").is_some_and(|kind| kind == "Secret");
        let is_web_key = text_of(members, "kty").is_some();
        let secure = text_of(members, "type").is_some_and(|kind| kind == "SecureString");
        let schema = text_of(members, "type").is_some_and(|kind| TYPES.contains(&kind));
        let line = command(members);
        let columns = if under.is_none() { columns(members) } else { Vec::new() };
        let mut taken = Taken::default();
        for member in members {
            let key = member.key.as_ref();
            self.key(member, members, under, &mut taken);
            let describes = under.is_some() && (REFERENCES.contains(&key) || describes(member, schema));
            let is_value = is_one_of(key, VALUES);
            let by_place = (is_kubernetes_secret && DATA.contains(&key))
                || (is_web_key && matches!(key, "d" | "p" | "q" | "dp" | "dq" | "qi" | "k"))
                || (secure && is_value);
            let by_names = match (under, named) {
                _ if describes => None,
                (Some(under), _) => Some(Under { many: false, ..under }),
                (None, Some(name)) if is_value => Some(Under { name, many: false }),
                _ if by_place => Some(Under { name: Name::Secret, many: false }),
                _ => secret_name(key).map(|name| Under { name, many: is_plural(key) }),
            };
            match &member.value.kind {
                Kind::Array(rows) if by_names.is_none() && !columns.is_empty() && is_one_of(key, ROWS) => {
                    self.rows(rows, &columns);
                }
                Kind::Array(_) if by_names.is_none() && is_sign_in(key) => self.sign_in(&member.value),
                Kind::String(text) if by_names.is_none() && is_sign_in(key) && text.contains(':') => {
                    let user = text.split(':').next().unwrap_or_default();
                    self.mask(&member.value, format!("{user}:{MASK}"));
                }
                _ => {
                    let beside = Beside { line, headers: key.to_ascii_lowercase().contains("header"), pairs: false };
                    self.node(&member.value, by_names, beside);
                }
            }
        }
    }

    /// `{"columns": ["user", "password"], "rows": [["bob", "x"]]}`
    fn rows(&mut self, rows: &[Node<'_>], columns: &Columns) {
        for row in rows {
            let Some(cells) = row.as_array() else {
                self.node(row, None, Beside::default());
                continue;
            };
            for (at, cell) in cells.iter().enumerate() {
                let name = columns.iter().find(|(column, _)| *column == at).map(|&(_, name)| name);
                self.node(cell, name.map(|name| Under { name, many: false }), Beside::default());
            }
        }
    }

    /// `"auth": ["bob", "x"]`
    fn sign_in(&mut self, node: &Node<'_>) {
        let parts = node.as_array().unwrap_or_default();
        let texts = parts.len() == 2 && parts.iter().all(|part| part.as_str().is_some());
        for (at, part) in parts.iter().enumerate() {
            let secret = (texts && at == 1).then_some(Under { name: Name::Secret, many: false });
            self.node(part, secret, Beside::default());
        }
    }

    /// Masks a key that is a secret itself: by its shape, or as one of many under a plural name. No two keys of an
    /// object become the same.
    fn key(&mut self, member: &Member<'_>, all: &[Member<'_>], under: Option<Under>, taken: &mut Taken) {
        let key = member.key.as_ref();
        let by_place = under.is_some_and(|under| under.many && is_secret_key(key, &member.value, under.name));
        let shown = if by_place { Some(MASK.to_owned()) } else { self.masked_inside(key) };
        let Some(shown) = shown else { return };
        let text = taken.name(shown, all);
        self.found.push(Mask { span: member.key_span, text });
    }

    fn string(&mut self, node: &Node<'_>, text: &str, under: Option<Under>) {
        if under.is_some() && !is_reference(text) {
            if !text.is_empty() {
                self.mask(node, MASK.to_owned());
            }
        } else if let Some(masked) = self.masked_inside(text) {
            self.mask(node, masked);
        }
    }

    /// The text with its secrets masked, if it has any.
    fn masked_inside(&self, text: &str) -> Option<String> {
        let looks_like_json = text.trim_start().starts_with(['{', '[', '"']);
        if looks_like_json
            && self.look.levels > 0
            && let Some(doc) = read(text)
        {
            let mut inner = Self { look: self.look.inner(), found: Vec::new() };
            inner.root(doc.root());
            return (!inner.found.is_empty()).then(|| apply(&doc, inner.found));
        }
        let places = shapes::find(text, self.look);
        (!places.is_empty()).then(|| cover(text, &places))
    }

    fn mask(&mut self, node: &Node<'_>, text: String) {
        self.found.push(Mask { span: node.span, text });
    }
}

/// The keys that masking has given in an object, and those that say the same without it.
#[derive(Default)]
struct Taken {
    keys: HashSet<String>,
    number: usize,
}

impl Taken {
    /// A key to show that no other of the object is: numbered from the second on.
    fn name(&mut self, shown: String, all: &[Member<'_>]) -> String {
        if self.number == 0 {
            self.keys.extend(all.iter().filter(|other| other.key.contains(MASK)).map(|other| other.key.to_string()));
            self.number = 2;
        }
        if self.keys.insert(shown.clone()) {
            return shown;
        }
        loop {
            let numbered = format!("{shown} {}", self.number);
            self.number += 1;
            if self.keys.insert(numbered.clone()) {
                return numbered;
            }
        }
    }
}

/// What an element of a list of texts promises of the next: as the first of a pair, or where names and values alternate.
fn named_in_list(name: &str, elements: &[Node<'_>], at: usize, beside: Beside) -> Option<Name> {
    let alternates = beside.headers && elements.len().is_multiple_of(2) && at.is_multiple_of(2);
    let is_pair = elements.len() == 2 && at == 0;
    if !(alternates || is_pair) {
        return None;
    }
    let promised = secret_name(name)?;
    // `["password", "email"]` are names of fields.
    let is_word = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    let told = alternates || beside.pairs || !elements[1].as_str().is_some_and(is_word);
    told.then_some(promised)
}

/// Whether a key under a plural name is one of the secrets.
fn is_secret_key(key: &str, value: &Node<'_>, name: Name) -> bool {
    let random = key.len() >= 8
        && key.bytes().any(|b| b.is_ascii_digit())
        && key.bytes().any(|b| b.is_ascii_alphabetic())
        && uuid::Uuid::try_parse(key).is_err();
    match &value.kind {
        Kind::Bool(_) | Kind::Null => !SWITCHES.contains(&key),
        Kind::Number(_) => random || name == Name::Secret,
        _ => random && secret_name(key).is_none(),
    }
}

/// `{"name": "DB_PASSWORD", "value": "x"}`: variables, headers, parameters and fields of a form as lists.
fn name_of_value(members: &[Member<'_>]) -> Option<Name> {
    members
        .iter()
        .filter(|member| is_one_of(&member.key, NAMES))
        .find_map(|member| secret_place(member.value.as_str()?))
}

/// Whether a member describes the value and is none: lengths and switches, and in a schema with a type also words.
fn describes(member: &Member<'_>, schema: bool) -> bool {
    let key = member.key.as_ref();
    let is_text = member.value.as_str().is_some();
    (SCHEMA.contains(&key) && (schema || !is_text))
        || (schema && matches!(key, "type" | "description" | "title" | "pattern"))
}

/// The command that stands beside its arguments: `{"command": "mysql", "args": ["-psecret"]}`.
fn command(members: &[Member<'_>]) -> Line {
    const COMMANDS: &[&str] = &["command", "cmd", "program", "executable", "binary", "entrypoint", "exe"];
    let mut line = Line::default();
    for member in members.iter().filter(|member| is_one_of(&member.key, COMMANDS)) {
        let words = match &member.value.kind {
            Kind::Array(words) => words.as_slice(),
            _ => std::slice::from_ref(&member.value),
        };
        for word in words.iter().filter_map(Node::as_str).flat_map(str::split_whitespace) {
            line.argument(word);
        }
    }
    line
}

const ROWS: &[&str] = &["rows", "data", "values", "records", "results", "tuples"];

/// Which columns of `{"columns": […], "rows": […]}` are secret.
fn columns(members: &[Member<'_>]) -> Columns {
    const MOST: usize = 64;
    const HEADS: &[&str] = &["columns", "fields", "header", "headers", "schema", "columnnames", "column_names"];
    let Some(heads) = members.iter().find(|member| is_one_of(&member.key, HEADS)).and_then(|m| m.value.as_array())
    else {
        return Vec::new();
    };
    let name = |head: &Node<'_>| secret_name(head.as_str().or_else(|| head.get("name")?.as_str())?);
    heads.iter().take(MOST).enumerate().filter_map(|(at, head)| Some((at, name(head)?))).collect()
}

/// Whether the member of that name holds user and password.
fn is_sign_in(key: &str) -> bool {
    is_one_of(key, &["auth", "basicauth", "basic_auth", "basic-auth", "httpauth", "http_auth", "userpwd", "userinfo"])
}

/// An ARN says which secret is meant and not what it is.
fn is_reference(text: &str) -> bool {
    const SERVICES: &[&str] = &["secretsmanager", "ssm", "kms", "iam", "acm"];
    let mut parts = text.split(':');
    parts.next() == Some("arn")
        && parts.next().is_some_and(|partition| partition.starts_with("aws"))
        && parts.next().is_some_and(|service| SERVICES.contains(&service))
        && text.bytes().all(|b| b.is_ascii_graphic())
}

/// The text of the first member of that name, in either case.
fn text_of<'n>(members: &'n [Member<'_>], key: &str) -> Option<&'n str> {
    members.iter().find(|member| member.key.eq_ignore_ascii_case(key)).and_then(|member| member.value.as_str())
}

fn is_one_of(key: &str, words: &[&str]) -> bool {
    words.iter().any(|word| key.eq_ignore_ascii_case(word))
}
