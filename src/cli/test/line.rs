//! One line of the calls that `placet test` rules: what it asks, from whom, when, and what its author expects. A line
//! is read as strictly as the gateway reads a message, so what the gateway would refuse is refused here.

use crate::call::json::{self, Document, Limits, Node, quote};
use crate::call::{AgentName, Millis, ToolName, UpstreamName};
use crate::policy::closest;
use crate::policy::rehearse::Decision;

/// Who calls where no line says so.
const SOMEBODY: &str = "agent";

/// Where calls go that name no upstream while no configuration is known.
pub(super) const SOMEWHERE: &str = "upstream";

const KEYS: [&str; 9] = ["tool", "arguments", "method", "params", "agent", "upstream", "at", "expect", "note"];

/// As much as a message may have around its arguments.
const ENVELOPE: usize = 64 << 10;

/// What a line asks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asked<'d> {
    /// A call of a tool.
    Tool { tool: &'d str, arguments: Option<&'d Node<'d>> },
    /// Another method.
    Method(&'d str),
}

/// A line that can be ruled.
#[derive(Clone, Debug)]
pub(super) struct Line<'d> {
    pub asked: Asked<'d>,
    pub agent: &'d str,
    pub upstream: UpstreamName,
    /// When, where it says so.
    pub at: Option<Millis>,
}

/// What the author of a line expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// Nothing.
    Nothing,
    /// This.
    Decision(Decision),
    /// Something that cannot be read, so that nothing meets it.
    Unreadable(String),
}

/// Reads the JSON of a line.
///
/// # Errors
/// Why the gateway would not read it either.
pub(super) fn document(line: &[u8]) -> Result<Document<'_>, String> {
    let limits = Limits { max_bytes: Limits::default().max_bytes + ENVELOPE, ..Limits::default() };
    json::read_strict(line, &limits).map_err(|error| error.to_string())
}

/// Reads a line. `upstreams`: the configured ones; empty where no configuration is known.
///
/// # Errors
/// Why it cannot be ruled.
pub(super) fn line<'d>(document: &'d Document<'d>, upstreams: &[UpstreamName]) -> Result<Line<'d>, String> {
    let root = document.root();
    let Some(members) = root.as_object() else {
        return Err("a line is a JSON object such as {\"tool\": \"get_user\", \"arguments\": {}}".to_owned());
    };
    if let Some(unknown) = members.iter().find(|member| !KEYS.contains(&&*member.key)) {
        let hint = closest(&unknown.key, &KEYS).map_or_else(
            || format!("known here: {}", KEYS.join(", ")),
            |meant| format!("did you mean {}?", quote(meant)),
        );
        return Err(format!("unknown key {} ({hint})", shortened(&unknown.key)));
    }
    let agent = text(root, "agent")?.unwrap_or(SOMEBODY);
    AgentName::new(agent).map_err(|error| error.to_string())?;
    let at = text(root, "at")?.map(moment).transpose()?;
    Ok(Line { asked: asked(document, root)?, agent, upstream: upstream(text(root, "upstream")?, upstreams)?, at })
}

fn asked<'d>(document: &'d Document<'d>, root: &'d Node<'d>) -> Result<Asked<'d>, String> {
    match (root.get("tool"), root.get("method")) {
        (Some(_), None) if root.get("params").is_none() => {
            // Its arguments stand one level less deep than in a message.
            let limits = Limits { max_bytes: usize::MAX, max_depth: Limits::default().max_depth - 1 };
            json::read_strict(document.text().as_bytes(), &limits).map_err(|error| error.to_string())?;
            tool(root, "tool")
        }
        (None, Some(_)) if root.get("arguments").is_none() => {
            let method = text(root, "method")?.unwrap_or_default();
            let params = root.get("params");
            if params.is_some_and(|params| params.as_object().is_none()) {
                return Err("\"params\" must be an object".to_owned());
            }
            match params {
                Some(params) if method == "tools/call" => tool(params, "name"),
                None if method == "tools/call" => Err("tools/call needs \"params\" with the tool's name".to_owned()),
                _ => Ok(Asked::Method(method)),
            }
        }
        (None, None) => Err("it has neither \"tool\" nor \"method\"".to_owned()),
        _ => Err("write \"tool\" and \"arguments\", or \"method\" and \"params\", not both".to_owned()),
    }
}

fn tool<'d>(node: &'d Node<'d>, key: &str) -> Result<Asked<'d>, String> {
    let Some(tool) = text(node, key)? else { return Err(format!("{} is missing", quote(key))) };
    ToolName::new(tool).map_err(|error| error.to_string())?;
    let arguments = node.get("arguments");
    if let Some(arguments) = arguments {
        if arguments.as_object().is_none() {
            return Err("\"arguments\" must be an object".to_owned());
        }
        let (size, most) = (arguments.span.end - arguments.span.start, Limits::default().max_bytes);
        if size > most {
            return Err(format!("the arguments are larger than the limit of {most} bytes"));
        }
    }
    Ok(Asked::Tool { tool, arguments })
}

fn text<'d>(node: &'d Node<'d>, key: &str) -> Result<Option<&'d str>, String> {
    match node.get(key) {
        None => Ok(None),
        Some(value) => value.as_str().map(Some).ok_or_else(|| format!("{} must be a string", quote(key))),
    }
}

/// A moment with its offset.
fn moment(text: &str) -> Result<Millis, String> {
    let moment: Result<jiff::Timestamp, _> = text.parse();
    moment
        .map(|at| Millis(at.as_millisecond()))
        .map_err(|_| format!("\"at\" is {}, no time with an offset such as 2026-11-22T14:02:11+01:00", shortened(text)))
}

fn upstream(named: Option<&str>, known: &[UpstreamName]) -> Result<UpstreamName, String> {
    let names = || known.iter().map(UpstreamName::as_str).collect::<Vec<_>>().join(", ");
    let named = named.map(|name| UpstreamName::new(name).map_err(|error| error.to_string())).transpose()?;
    match (named, known) {
        (Some(named), []) => Ok(named),
        (Some(named), _) if known.contains(&named) => Ok(named),
        (Some(named), _) => Err(format!("no upstream is called {named}; placet.toml has {}", names())),
        (None, [only]) => Ok(only.clone()),
        (None, []) => UpstreamName::new(SOMEWHERE).map_err(|error| error.to_string()),
        (None, _) => Err(format!("\"upstream\" is missing; placet.toml has {}", names())),
    }
}

/// What the line's author expects, read from lines too that cannot be ruled.
pub(super) fn expected(line: &[u8]) -> Expected {
    let read = json::read_reporting(line, &Limits { max_bytes: usize::MAX, max_depth: json::DEEPEST });
    let Ok((document, _)) = read else {
        // Nobody knows what a broken line expects; that it expects nothing may not be assumed.
        return match line.windows(8).any(|window| window == b"\"expect\"") {
            true => Expected::Unreadable("what it expects cannot be read".to_owned()),
            false => Expected::Nothing,
        };
    };
    let Some(expected) = document.root().get("expect") else { return Expected::Nothing };
    let known = Decision::ALL.into_iter().find(|decision| Some(decision.as_str()) == expected.as_str());
    known.map_or_else(
        || {
            let words = Decision::ALL.map(Decision::as_str).join(", ");
            let text = expected.as_str().unwrap_or_else(|| document.slice(expected.span));
            Expected::Unreadable(format!("\"expect\" is {}, not one of {words}", shortened(text)))
        },
        Expected::Decision,
    )
}

/// A text of the file's, quoted, as long as a message may be.
fn shortened(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => quote(&format!("{}…", &text[..end])),
        None => quote(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, upstreams: &[&str]) -> Result<String, String> {
        let upstreams: Vec<_> = upstreams.iter().map(|name| UpstreamName::new(*name).unwrap()).collect();
        let document = document(text.as_bytes())?;
        let line = line(&document, &upstreams)?;
        let asked = match line.asked {
            Asked::Tool { tool, arguments } => {
                format!("tool {tool} {}", arguments.map_or("-", |node| document.slice(node.span)))
            }
            Asked::Method(method) => format!("method {method}"),
        };
        Ok(format!("{asked} {} {} {:?}", line.agent, line.upstream, line.at.map(|at| at.0)))
    }

    #[test]
    fn reads_calls_and_methods() {
        for (text, upstreams, read_as) in [
            (r#"{"tool":"a","arguments":{"x":1}}"#, &["iam"][..], r#"tool a {"x":1} agent iam None"#),
            (r#"{"tool":"a","upstream":"b","agent":"ci"}"#, &["a", "b"], "tool a - ci b None"),
            (r#"{"tool":"a","upstream":"any"}"#, &[], "tool a - agent any None"),
            (r#"{"tool":"a","at":"1970-01-01T01:00:01+01:00"}"#, &[], "tool a - agent upstream Some(1000)"),
            (r#"{"method":"resources/read","params":{"uri":"x"}}"#, &[], "method resources/read agent upstream None"),
            (r#"{"method":"tools/call","params":{"name":"a","arguments":{}}}"#, &[], "tool a {} agent upstream None"),
        ] {
            assert_eq!(read(text, upstreams).as_deref(), Ok(read_as), "{text}");
        }
    }

    #[test]
    fn says_why_a_line_cannot_be_ruled() {
        let deep = |levels: usize| {
            let (opening, closing) = (r#"{"x":"#.repeat(levels), "}".repeat(levels));
            format!(r#"{{"tool":"a","arguments":{opening}1{closing}}}"#)
        };
        assert!(read(&deep(62), &[]).is_ok());
        for (text, why) in [
            (deep(63).as_str(), "nested deeper"),
            ("nonsense", "this is not JSON"),
            ("[]", "a line is a JSON object"),
            ("{}", "neither \"tool\" nor \"method\""),
            (r#"{"tool":"a","tool":"b"}"#, "occurs twice"),
            (r#"{"tool":"a","arguments":{"x":1,"x":2}}"#, "occurs twice"),
            (r#"{"tool":"a","argument":{}}"#, "unknown key \"argument\" (did you mean \"arguments\"?)"),
            (r#"{"tool":7}"#, "\"tool\" must be a string"),
            (r#"{"tool":""}"#, "1 to 512 bytes"),
            (r#"{"tool":"a","arguments":[]}"#, "\"arguments\" must be an object"),
            (r#"{"tool":"a","arguments":null}"#, "\"arguments\" must be an object"),
            (r#"{"tool":"a","method":"ping"}"#, "not both"),
            (r#"{"tool":"a","params":{}}"#, "not both"),
            (r#"{"method":"ping","params":[]}"#, "\"params\" must be an object"),
            (r#"{"method":"tools/call"}"#, "needs \"params\""),
            (r#"{"tool":"a","at":"2026-11-22T14:02:11"}"#, "no time with an offset"),
            (r#"{"tool":"a","at":1}"#, "\"at\" must be a string"),
            (r#"{"tool":"a","agent":"a b"}"#, "letters, digits"),
            (r#"{"tool":"a","upstream":"c"}"#, "no upstream is called c; placet.toml has a, b"),
            (r#"{"tool":"a"}"#, "\"upstream\" is missing; placet.toml has a, b"),
        ] {
            let refused = read(text, &["a", "b"]).unwrap_err();
            assert!(refused.contains(why), "{text}: {refused}");
        }
        let large = format!(r#"{{"tool":"a","arguments":{{"x":"{}"}}}}"#, "y".repeat(1 << 20));
        assert!(read(&large, &[]).unwrap_err().contains("larger than the limit"));
    }

    #[test]
    fn what_is_expected_is_known_of_broken_lines_too() {
        let decision = Expected::Decision;
        for (text, wanted) in [
            (r#"{"tool":"a"}"#, Expected::Nothing),
            (r#"{"tool":"a","expect":"require_approval"}"#, decision(Decision::RequireApproval)),
            (r#"{"tool":"a","tool":"b","expect":"deny"}"#, decision(Decision::Deny)),
            ("garbage", Expected::Nothing),
        ] {
            assert_eq!(expected(text.as_bytes()), wanted, "{text}");
        }
        for text in [r#"{"tool":"a","expect":"allow""#, r#"{"expect":"alow"}"#, r#"{"expect":null}"#] {
            assert!(matches!(expected(text.as_bytes()), Expected::Unreadable(_)), "{text}");
        }
    }
}
