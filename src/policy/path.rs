//! Where in a call's arguments a value stands: `.name` goes into an object, `[0]` into an array, `[*]` means every
//! element of one.

use std::fmt::Write as _;

use crate::call::json::{self, Kind, Node};

/// Where a path leads.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place<'n, 'a> {
    Value(&'n Node<'a>),
    /// Nowhere: nothing is there.
    Missing,
    /// Nobody can say. Where an object or list should be stands something else that may hold one, as a text that some
    /// servers read as JSON; or a name stands there that some take for the one of the path.
    Doubtful,
}

impl<'n, 'a> From<Option<&'n Node<'a>>> for Place<'n, 'a> {
    fn from(node: Option<&'n Node<'a>>) -> Self {
        node.map_or(Self::Missing, Self::Value)
    }
}

/// A path; it has at least one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Member(String),
    Element(usize),
    Every,
}

impl Path {
    /// Reads what follows `args`; `None` if it is not a path.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            if let Some(name) = rest.strip_prefix('.') {
                let end = name.find(['.', '[', ']']).unwrap_or(name.len());
                // Nothing is ever called so: `.*` of other languages is `[*]` here, and a blank is a slip.
                if end == 0 || name[..end].contains('*') || name[..end].trim() != &name[..end] {
                    return None;
                }
                steps.push(Step::Member(name[..end].to_owned()));
                rest = &name[end..];
            } else {
                let (index, behind) = rest.strip_prefix('[')?.split_once(']')?;
                let digits = !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit());
                steps.push(match index {
                    "*" => Step::Every,
                    index => Step::Element(digits.then(|| index.parse().ok()).flatten()?),
                });
                rest = behind;
            }
        }
        (!steps.is_empty()).then_some(Self(steps))
    }

    /// Whether it may mean several values.
    pub(super) fn is_many(&self) -> bool {
        self.0.contains(&Step::Every)
    }

    /// The one value that a path without `[*]` means.
    pub(super) fn of<'n, 'a>(&self, arguments: Option<&'n Node<'a>>) -> Option<&'n Node<'a>> {
        self.0.iter().try_fold(arguments?, |node, step| match step {
            Step::Member(name) => node.get(name),
            Step::Element(at) => node.as_array()?.get(*at),
            Step::Every => None,
        })
    }

    /// Where a path without `[*]` leads.
    pub(super) fn place<'n, 'a>(&self, arguments: Option<&'n Node<'a>>) -> Place<'n, 'a> {
        let mut place = Place::Missing;
        self.each(arguments, &mut |found| place = found);
        place
    }

    /// Hands every place that the path means to `look`; an array without elements under `[*]` is nowhere.
    pub(super) fn each<'n, 'a>(&self, arguments: Option<&'n Node<'a>>, look: &mut impl FnMut(Place<'n, 'a>)) {
        match arguments {
            Some(node) => each(&self.0, node, look),
            None => look(Place::Missing),
        }
    }

    /// As in the policy, without `args.`.
    pub(super) fn shown(&self) -> String {
        let mut shown = String::new();
        for step in &self.0 {
            match step {
                Step::Member(name) if shown.is_empty() => shown.push_str(name),
                Step::Member(name) => shown.extend([".", name]),
                Step::Element(at) => write!(shown, "[{at}]").unwrap_or_default(),
                Step::Every => shown.push_str("[*]"),
            }
        }
        shown
    }
}

impl Path {
    /// As in the policy, with `args`.
    pub(super) fn in_full(&self) -> String {
        let shown = self.shown();
        if shown.starts_with('[') { format!("args{shown}") } else { format!("args.{shown}") }
    }
}

fn each<'n, 'a>(steps: &[Step], node: &'n Node<'a>, look: &mut impl FnMut(Place<'n, 'a>)) {
    let Some((step, rest)) = steps.split_first() else { return look(Place::Value(node)) };
    let next = match (step, &node.kind) {
        (Step::Member(name), Kind::Object(members)) => member(name, members),
        (Step::Element(at), Kind::Array(elements)) => elements.get(*at).into(),
        (Step::Every, Kind::Array(elements)) if !elements.is_empty() => {
            return elements.iter().for_each(|node| each(rest, node, look));
        }
        (Step::Every, Kind::Array(_)) | (_, Kind::Null | Kind::Bool(_) | Kind::Number(_)) => Place::Missing,
        (_, Kind::String(_) | Kind::Array(_) | Kind::Object(_)) => Place::Doubtful,
    };
    match next {
        Place::Value(next) => each(rest, next, look),
        nothing => look(nothing),
    }
}

/// The member of this name, unless another one could be taken for it.
fn member<'n, 'a>(name: &str, members: &'n [json::Member<'a>]) -> Place<'n, 'a> {
    let mut found = Place::Missing;
    for member in members {
        if member.key == name {
            found = Place::Value(&member.value);
        } else if json::alike(&member.key, name) {
            return Place::Doubtful;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::json::{Limits, read_strict};

    fn meant(path: &str, arguments: &str) -> Vec<Option<String>> {
        let document = read_strict(arguments.as_bytes(), &Limits::default()).unwrap();
        let mut meant = Vec::new();
        let path = Path::parse(path).unwrap();
        path.each(Some(document.root()), &mut |place| {
            meant.push(match place {
                Place::Value(node) => Some(document.slice(node.span).to_owned()),
                Place::Missing => None,
                Place::Doubtful => Some("?".to_owned()),
            });
        });
        meant
    }

    #[test]
    fn leads_to_every_value_it_means() {
        let call = r#"{"a":{"b":1},"l":[{"x":1},{"y":2},{"x":null}],"none":[],"m":[[1,2],[3]],"s":"[{}]"}"#;
        for (path, expected) in [
            (".a.b", &[Some("1")][..]),
            (".a.c", &[None]),
            (".a[0]", &[Some("?")]),
            (".a.b.c", &[None]),
            (".B", &[None]),
            (".A.b", &[Some("?")]),
            (".s.x", &[Some("?")]),
            (".l.x", &[Some("?")]),
            (".l[2].x.y", &[None]),
            (".l[0].x", &[Some("1")]),
            (".l[3]", &[None]),
            (".l[*].x", &[Some("1"), None, Some("null")]),
            (".none[*]", &[None]),
            (".a[*]", &[Some("?")]),
            (".s[*]", &[Some("?")]),
            (".a.b[*]", &[None]),
            (".m[*][*]", &[Some("1"), Some("2"), Some("3")]),
        ] {
            let expected: Vec<_> = expected.iter().map(|text| text.map(str::to_owned)).collect();
            assert_eq!(meant(path, call), expected, "{path}");
        }
        assert!(Path::parse(".l[*].x").unwrap().is_many() && !Path::parse(".l[0].x").unwrap().is_many());
    }

    #[test]
    fn what_only_looks_like_a_path_is_none() {
        for bad in [
            "", ".", "x", "..a", "[", "[]", "[-1]", "[+1]", ".a]", ".a[1", ".a[**]", ".a[1].", ".a[ 1]", ".*",
            ".a.*.b", ".a[].b", ".a ", ". a",
        ] {
            assert_eq!(Path::parse(bad), None, "{bad}");
        }
    }
}
