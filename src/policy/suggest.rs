//! A policy to start from, for the tools of one server: what reads is allowed, everything else asks for approval. Each
//! entry says in its `note` why. The same tools give the same text, in the order of their names.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::classify::{Tool, class_name, classify};
use crate::call::json::quote;
use crate::call::{Risk, UpstreamName};

/// Writes the policy. `alone`: no other upstream is configured, so that tools need not be told apart by it.
#[must_use]
pub fn suggest(upstream: &UpstreamName, alone: bool, tools: &[Tool]) -> String {
    let mut entries = BTreeMap::new();
    for tool in tools {
        // A tool without a name cannot be called, and no entry can name it.
        if !tool.name.is_empty() {
            entries.insert(pattern(upstream, alone, &tool.name), classify(upstream.as_str(), tool));
        }
    }
    let readers: Vec<_> =
        entries.iter().filter(|(_, verdict)| verdict.class == Some(Risk::Read)).map(|(name, _)| quote(name)).collect();
    let mut lines = Vec::new();
    for (name, verdict) in &entries {
        let note = quote(&format!("{}: {}", class_name(verdict.class), verdict.why));
        let says = match verdict.class {
            Some(Risk::Read) => r#""action": "allow", "risk": "read""#.to_owned(),
            Some(class) => format!(r#""action": "require_approval", "risk": "{}""#, class.as_str()),
            None => r#""action": "require_approval""#.to_owned(),
        };
        lines.push(format!("    {}: {{ {says}, \"note\": {note} }}", quote(name)));
    }
    let mut text = String::from("{\n  \"version\": \"1\",\n");
    let about = format!(
        "Suggested for the tools of {upstream} by their names, parameters and hints, which prove nothing: read it \
         through. What is not listed is denied."
    );
    let written = write!(
        text,
        "  \"description\": {},\n  \"default\": \"deny\",\n  \"readers\": {},\n  \"tools\": {}\n}}",
        quote(&about),
        block('[', ']', &readers.into_iter().map(|name| format!("    {name}")).collect::<Vec<_>>()),
        block('{', '}', &lines),
    );
    debug_assert!(written.is_ok(), "a string takes everything");
    text
}

fn block(opening: char, closing: char, lines: &[String]) -> String {
    match lines {
        [] => format!("{opening}{closing}"),
        lines => format!("{opening}\n{}\n  {closing}", lines.join(",\n")),
    }
}

/// The pattern that means this tool of this upstream and no other.
#[must_use]
pub fn pattern(upstream: &UpstreamName, alone: bool, tool: &str) -> String {
    let mut escaped = String::with_capacity(tool.len());
    for c in tool.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '{' | '}' | '\\') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    // What stands before a '/' could be taken for an upstream.
    if alone && !tool.contains('/') { escaped } else { format!("{upstream}/{escaped}") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::{Call, Defaults, Policy, Ruling, parse};

    fn upstream(name: &str) -> UpstreamName {
        UpstreamName::new(name).unwrap()
    }

    fn parsed(text: &str, upstreams: &[&str]) -> Policy {
        let upstreams = upstreams.iter().map(|name| upstream(name)).collect();
        let defaults = Defaults { timeout: std::time::Duration::from_secs(1), upstreams };
        match parse(text, &defaults) {
            Ok(parsed) if parsed.warnings.is_empty() => parsed.policy,
            Ok(parsed) => panic!("{text}\n{:#?}", parsed.warnings),
            Err(problems) => panic!("{text}\n{problems:#?}"),
        }
    }

    fn decided(policy: &Policy, name: &str, tool: &str) -> &'static str {
        match policy.rule(&Call::new(&upstream(name), tool)) {
            Ruling::Allow { .. } => "allow",
            Ruling::RequireApproval { .. } => "hold",
            Ruling::Deny { .. } => "deny",
        }
    }

    #[test]
    fn a_line_for_each_tool_with_a_reason() {
        let query: Tool = Tool::read("query", r#"{"inputSchema":{"properties":{"sql":{}}}}"#);
        let tools = [Tool::named("put_user_policy"), Tool::named("get_user"), query, Tool::named("frobnicate")];
        let text = suggest(&upstream("iam"), true, &tools);
        let wanted = r#"  "readers": [
    "get_user"
  ],
  "tools": {
    "frobnicate": { "action": "require_approval", "note": "Unknown: nothing in its name says what it does" },
    "get_user": { "action": "allow", "risk": "read", "note": "Read: its name begins with \"get\"" },
    "put_user_policy": { "action": "require_approval", "risk": "access", "note": "Access: it says \"put\", and \"policy\" is about who may do what" },
    "query": { "action": "require_approval", "risk": "execute", "note": "Execute: it takes \"sql\", which may do anything" }
  }
}"#;
        assert!(text.ends_with(wanted), "{text}");
        let mut reversed = tools.to_vec();
        reversed.reverse();
        assert_eq!(suggest(&upstream("iam"), true, &reversed), text);
        let policy = parsed(&text, &["iam"]);
        assert!(policy.is_reader(&upstream("iam"), "get_user") && !policy.is_reader(&upstream("iam"), "query"));
        for (tool, wanted) in [("get_user", "allow"), ("query", "hold"), ("frobnicate", "hold"), ("other", "deny")] {
            assert_eq!(decided(&policy, "iam", tool), wanted, "{tool}");
        }
        parsed(&suggest(&upstream("iam"), true, &[]), &["iam"]);
    }

    #[test]
    fn several_upstreams_are_told_apart() {
        let policy = parsed(&suggest(&upstream("a"), false, &[Tool::named("get_user")]), &["a", "b"]);
        assert_eq!(decided(&policy, "a", "get_user"), "allow");
        assert_eq!(decided(&policy, "b", "get_user"), "deny");
    }

    /// Every tool of these names gets what it is suggested, and no name near it gets anything.
    fn is_exact(names: &[String]) {
        for alone in [true, false] {
            let known: &[&str] = if alone { &["iam"] } else { &["iam", "other"] };
            for name in names {
                let policy = parsed(&suggest(&upstream("iam"), alone, &[Tool::named(name)]), known);
                assert_ne!(decided(&policy, "iam", name), "deny", "{name:?} {alone}");
                let near = [
                    format!("{name}x"),
                    format!("x{name}"),
                    name.replace(['*', '?'], "x"),
                    name.replace(['[', ']', '{', '}', '\\'], ""),
                    name.replace(',', ""),
                    name.chars().skip(1).collect(),
                    name.to_uppercase(),
                ];
                for near in near.iter().filter(|near| *near != name && *near != &format!("iam/{name}")) {
                    assert_eq!(decided(&policy, "iam", near), "deny", "{name:?} gives {near:?} {alone}");
                }
                if !alone || name.contains('/') {
                    assert_eq!(decided(&policy, "other", name), "deny", "{name:?}");
                }
            }
        }
    }

    #[test]
    fn hostile_names_mean_themselves_alone() {
        let names = [
            "get_*",
            "*",
            "**",
            "a**b",
            "?",
            "[a-z]",
            "[",
            "]",
            "{a,b}",
            "}",
            "\\",
            "\\\\",
            "\\*",
            "a\\",
            "other/x",
            "/x",
            "x/",
            "//",
            "iam/x",
            "iam/",
            "..",
            "a..",
            ".",
            "a/..",
            "get\u{0}x",
            "get\nx",
            "\u{1b}[2J",
            "get\u{202e}x",
            "\"",
            "\"}}",
            " ",
            "#",
            "!",
            "^",
            "-",
            "~0",
            "/*/",
            "x/*",
            "*/x",
            "{a/b}",
            "取得",
            "é",
            "\u{feff}get",
        ];
        is_exact(&names.map(str::to_owned));
        let long = ["get_", "*"].map(|part| part.repeat(5000 / part.len() * 2));
        is_exact(&long);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_name_means_itself_alone(name in r"[a*?/{}\[\]\\.,!\-\n\u{0}é]{1,12}") {
            is_exact(&[name]);
        }
    }
}
