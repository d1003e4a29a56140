//! Whether a call is like the one on which a standing approval was granted: every argument that is not open is the same,
//! and each open one matches its glob.

use super::glob::Glob;
use crate::call::json::{Kind, Limits, Member, Node, canonical_members, read_strict};
use crate::call::{ANY, Open};

/// The arguments that are not open, in the form in which what says the same is the same text; `None` where an open one
/// does not match, or the arguments are none. `{}` stands for arguments that were left out.
///
/// Doubt never matches: a glob other than [`ANY`] matches strings alone, and none that has `..` between slashes, since
/// `/srv/*` is not meant to match `/srv/../etc/passwd`.
#[must_use]
pub fn fixed_part(arguments: &str, open: &Open) -> Option<String> {
    let limits = Limits { max_bytes: usize::MAX, ..Limits::default() };
    let document = read_strict(arguments.as_bytes(), &limits).ok()?;
    let members = document.root().as_object()?;
    let (open_ones, fixed): (Vec<_>, Vec<_>) = members.iter().partition(|member| open.contains_key(&*member.key));
    let matches = |member: &&Member<'_>| open.get(&*member.key).is_some_and(|glob| is_match(glob, &member.value));
    open_ones.iter().all(matches).then(|| canonical_members(fixed))
}

fn is_match(pattern: &str, value: &Node<'_>) -> bool {
    if pattern == ANY {
        return true;
    }
    let Kind::String(text) = &value.kind else { return false };
    let climbs = text.split(['/', '\\']).any(|part| part == "..");
    !climbs && Glob::new(pattern).is_ok_and(|glob| glob.is_match(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed(arguments: &str, open: &[(&str, &str)]) -> Option<String> {
        fixed_part(arguments, &open.iter().map(|(name, glob)| ((*name).to_owned(), (*glob).to_owned())).collect())
    }

    #[test]
    fn what_is_not_open_is_the_same_however_it_is_spelt() {
        let open = [("body", "*"), ("path", "/srv/*")];
        let expected = Some(r#"{"n":1.00,"to":"a"}"#.to_owned());
        for alike in [
            r#"{"to":"a","n":1.00}"#,
            r#"{ "n" : 1.00, "body": {"x": [1, null]}, "to": "\u0061" }"#,
            r#"{"body":"", "path":"/srv/x/y", "to":"a", "n":1.00}"#,
        ] {
            assert_eq!(fixed(alike, &open), expected, "{alike}");
        }
        for other in [
            r#"{"to":"A","n":1.00}"#,
            r#"{"to":"a","n":1.0}"#,
            r#"{"to":"a"}"#,
            r#"{"to":"a","n":1.00,"more":null}"#,
            r#"{"to":["a"],"n":1.00}"#,
            r#"{"to":"a","n":1.00,"Body":""}"#,
        ] {
            assert_ne!(fixed(other, &open), expected, "{other}");
        }
    }

    #[test]
    fn an_open_argument_that_does_not_match_lets_nothing_pass() {
        let open = [("path", "/srv/*"), ("n", "1*")];
        for bad in [
            r#"{"path":"/etc/passwd"}"#,
            r#"{"path":"/srv"}"#,
            r#"{"path":"/srv/../etc/passwd"}"#,
            r#"{"path":"/srv/a/.."}"#,
            r#"{"path":"/srv/..\\windows"}"#,
            r#"{"path":"x/srv/a"}"#,
            r#"{"path":["/srv/a"]}"#,
            r#"{"path":null}"#,
            r#"{"n":10}"#,
            r#"{"path":"/srv/a","path":"/etc/passwd"}"#,
            "[]",
            "null",
            "",
        ] {
            assert_eq!(fixed(bad, &open), None, "{bad}");
        }
        assert_eq!(fixed(r#"{"path":"/srv/..a/b..","n":"10"}"#, &open).as_deref(), Some("{}"));
        assert_eq!(fixed(r#"{"path":"/srv/x"}"#, &[("path", "/srv/[")]), None, "no glob at all");
    }
}
