//! Where in a call's arguments a value stands: `.name` goes into an object, `[0]` into an array, `[*]` means every
//! element of one.

use std::fmt::Write as _;

use crate::call::json::Node;

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
                if end == 0 {
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

    /// Hands every value that the path means to `look`; `None` for each place where it leads nowhere, an array without
    /// elements under `[*]` included.
    pub(super) fn each<'n, 'a>(&self, arguments: Option<&'n Node<'a>>, look: &mut impl FnMut(Option<&'n Node<'a>>)) {
        match arguments {
            Some(node) => each(&self.0, node, look),
            None => look(None),
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

fn each<'n, 'a>(steps: &[Step], node: &'n Node<'a>, look: &mut impl FnMut(Option<&'n Node<'a>>)) {
    let Some((step, rest)) = steps.split_first() else { return look(Some(node)) };
    let next = match step {
        Step::Member(name) => node.get(name),
        Step::Element(at) => node.as_array().and_then(|elements| elements.get(*at)),
        Step::Every => match node.as_array() {
            Some(elements) if !elements.is_empty() => return elements.iter().for_each(|node| each(rest, node, look)),
            _ => None,
        },
    };
    match next {
        Some(next) => each(rest, next, look),
        None => look(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::json::{Limits, read_strict};

    fn meant(path: &str, arguments: &str) -> Vec<Option<String>> {
        let document = read_strict(arguments.as_bytes(), &Limits::default()).unwrap();
        let mut meant = Vec::new();
        let path = Path::parse(path).unwrap();
        path.each(Some(document.root()), &mut |node| meant.push(node.map(|node| document.slice(node.span).to_owned())));
        meant
    }

    #[test]
    fn leads_to_every_value_it_means() {
        let call = r#"{"a":{"b":1},"l":[{"x":1},{"y":2},{"x":null}],"none":[],"m":[[1,2],[3]]}"#;
        for (path, expected) in [
            (".a.b", &[Some("1")][..]),
            (".a.c", &[None]),
            (".a[0]", &[None]),
            (".l[0].x", &[Some("1")]),
            (".l[3]", &[None]),
            (".l[*].x", &[Some("1"), None, Some("null")]),
            (".none[*]", &[None]),
            (".a[*]", &[None]),
            (".m[*][*]", &[Some("1"), Some("2"), Some("3")]),
        ] {
            let expected: Vec<_> = expected.iter().map(|text| text.map(str::to_owned)).collect();
            assert_eq!(meant(path, call), expected, "{path}");
        }
        assert!(Path::parse(".l[*].x").unwrap().is_many() && !Path::parse(".l[0].x").unwrap().is_many());
    }

    #[test]
    fn what_only_looks_like_a_path_is_none() {
        for bad in ["", ".", "x", "..a", "[", "[]", "[-1]", "[+1]", ".a]", ".a[1", ".a[**]", ".a[1].", ".a[ 1]"] {
            assert_eq!(Path::parse(bad), None, "{bad}");
        }
    }
}
