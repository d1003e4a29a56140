//! What becomes of a `tools/list` answer: hidden and denied tools are cut out, `placet_wait` is added, agents are asked
//! for reasons where the policy wants that, every other byte stays.

use super::envelope::lookalike;
use super::reason;
use crate::call::ToolName;
use crate::call::json::{self, Document, JsonError, Kind, Limits, Node, Span};
use crate::call::tool::Said;
use crate::policy::AskReason;

/// The tool that Placet itself offers where one of an upstream's tools can need approval.
pub const WAIT: &str = "placet_wait";

const WAIT_ENTRY: &str = concat!(
    r#"{"name":"placet_wait","title":"Wait for an approval","description":"#,
    r#""Waits for the decision on a tool call that was answered as waiting for approval, and returns its result, "#,
    r#"the rejection, or that it is still waiting. It only waits: it runs nothing that was not approved.","#,
    r#""inputSchema":{"type":"object","properties":{"call_id":{"type":"string","description":"#,
    r#""The call id from the answer that said the call is waiting for approval."}},"required":["call_id"]},"#,
    r#""annotations":{"readOnlyHint":true,"openWorldHint":false}}"#
);

/// A list may be larger than a call: servers publish whole manuals as schemas.
pub const LIMITS: Limits = Limits { max_bytes: 32 << 20, max_depth: 128 };

/// What an agent may see of an upstream's tools.
pub struct View<'v> {
    /// Whether a tool of this name stays in the list.
    pub lists: &'v dyn Fn(&str) -> bool,
    /// Whether, and how, agents are asked why they call a tool of this name.
    pub asks: &'v dyn Fn(&str) -> Option<AskReason>,
    /// Whether `placet_wait` is offered.
    pub offers_wait: bool,
    /// Whether an altered list must say that it is this principal's alone (2026-07-28).
    pub marks_private: bool,
}

/// Why a list cannot be shown. It is never shown unfiltered.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// Not JSON that everybody reads alike.
    #[error("{0}")]
    Json(#[from] JsonError),
    /// Not a list of tools.
    #[error("{0}")]
    Shape(&'static str),
}

/// The answer as the agent gets it: `None` where nothing is to change.
///
/// # Errors
/// An answer that cannot be filtered with certainty.
pub fn edit(answer: &[u8], view: &View<'_>) -> Result<Option<String>, ListError> {
    let doc = json::read_strict(answer, &LIMITS)?;
    let Some(members) = doc.root().as_object() else {
        return Err(ListError::Shape("it is not a JSON-RPC message"));
    };
    if lookalike(members.iter().map(|m| &*m.key), &["result", "error", "id", "jsonrpc"]).is_some() {
        return Err(ListError::Shape("a member of it could be taken for another one"));
    }
    match doc.root().get("result") {
        None if doc.root().get("error").is_some() => Ok(None),
        None => Err(ListError::Shape("it has neither a result nor an error")),
        Some(result) => edit_result(&doc, result, view),
    }
}

/// What a `tools/list` result says of each tool that it names for certain.
pub fn said(doc: &Document<'_>, result: &Node<'_>) -> Vec<(ToolName, Said)> {
    let tools = result.get("tools").and_then(Node::as_array).unwrap_or_default().iter();
    tools.filter_map(|tool| Some((ToolName::new(name_of(tool)?).ok()?, Said::read(doc, tool)))).collect()
}

/// A tool's name, where no reader could take another one for it.
fn name_of<'n>(tool: &'n Node<'_>) -> Option<&'n str> {
    let keys = tool.as_object()?.iter().map(|member| &*member.key);
    tool.get("name").and_then(Node::as_str).filter(|_| lookalike(keys, &["name"]).is_none())
}

fn edit_result(doc: &Document<'_>, result: &Node<'_>, view: &View<'_>) -> Result<Option<String>, ListError> {
    let Some(members) = result.as_object() else {
        return Err(ListError::Shape("its result is not an object"));
    };
    if lookalike(members.iter().map(|m| &*m.key), &["tools", "cacheScope", "nextCursor"]).is_some() {
        return Err(ListError::Shape("a member of its result could be taken for another one"));
    }
    let Some((tools, items)) = result.get("tools").and_then(|tools| Some((tools, tools.as_array()?))) else {
        return Err(ListError::Shape("its result has no list of tools"));
    };
    // A tool without one certain name cannot be ruled, so it is not shown.
    let stays =
        |tool: &Node<'_>| name_of(tool).is_some_and(|name| (view.lists)(name) && !(view.offers_wait && name == WAIT));
    let cuts = json::element_cuts(tools, |_, tool| !stays(tool));
    let mut edits: Vec<(Span, String)> = cuts.into_iter().map(|span| (span, String::new())).collect();
    for tool in items.iter().filter(|tool| stays(tool)) {
        if let Some(asks) = name_of(tool).and_then(|name| (view.asks)(name)) {
            edits.extend(reason::asked_for(tool, asks));
        }
    }
    // Once, at the end of the last page.
    let is_last = result.get("nextCursor").is_none_or(Node::is_null);
    if view.offers_wait && is_last {
        let comma = if items.iter().any(stays) { "," } else { "" };
        let at = Span { start: tools.span.end - 1, end: tools.span.end - 1 };
        edits.push((at, format!("{comma}{WAIT_ENTRY}")));
    }
    if edits.is_empty() {
        return Ok(None);
    }
    if view.marks_private {
        edits.push(match result.get("cacheScope") {
            Some(scope) => (scope.span, r#""private""#.to_owned()),
            None => (after_opening(result), r#""cacheScope":"private","#.to_owned()),
        });
    }
    Ok(Some(json::splice(doc.text(), &mut edits)))
}

/// The place behind the opening brace of an object that is not empty.
fn after_opening(object: &Node<'_>) -> Span {
    debug_assert!(matches!(&object.kind, Kind::Object(members) if !members.is_empty()), "comma follows");
    Span { start: object.span.start + 1, end: object.span.start + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(answer: &str, offers_wait: bool, marks_private: bool) -> Result<Option<String>, ListError> {
        let (lists, asks) =
            (|name: &str| !name.starts_with("hidden"), |name: &str| (name == "asks").then_some(AskReason::Asked));
        edit(answer.as_bytes(), &View { lists: &lists, asks: &asks, offers_wait, marks_private })
    }

    #[test]
    fn nothing_to_do_changes_nothing() {
        let list = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a","x":1.00}],"ttlMs":5}}"#;
        assert_eq!(edited(list, false, true), Ok(None));
        let error = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"x"}}"#;
        assert_eq!(edited(error, true, true), Ok(None));
    }

    #[test]
    fn hidden_tools_leave_and_all_other_bytes_stay() {
        let list = "{ \"result\" : {\"tools\" :[ {\"name\":\"hidden_1\"},\n{\"name\":\"a\",\"n\":12345678901234567890123} , \
                    {\"name\":\"hidden\\u005f2\"}, {\"name\":\"b\"}], \"vendor\":1.0},\"id\":7}";
        let kept = "{ \"result\" : {\"tools\" :[ {\"name\":\"a\",\"n\":12345678901234567890123}, {\"name\":\"b\"}], \
                    \"vendor\":1.0},\"id\":7}";
        assert_eq!(edited(list, false, false), Ok(Some(kept.to_owned())));
    }

    #[test]
    fn a_reason_is_asked_for_between_what_leaves_and_the_list_is_private_then() {
        let list = r#"{"id":1,"result":{"tools":[{"name":"hidden"},{"name":"asks","inputSchema":{ }},{"name":"hidden2"},{"name":"b","inputSchema":{}}]}}"#;
        let found = edited(list, true, true).unwrap().unwrap();
        let value: serde_json::Value = serde_json::from_str(&found).unwrap();
        let tools = &value["result"]["tools"];
        assert_eq!(
            (&tools[0]["name"], &tools[1]),
            (&"asks".into(), &serde_json::json!({"name": "b", "inputSchema": {}}))
        );
        assert!(tools[0]["inputSchema"]["properties"]["placet_reason"].is_object() && tools[2]["name"] == WAIT);
        assert_eq!(value["result"]["cacheScope"], "private");
    }

    #[test]
    fn placet_wait_comes_last_and_once() {
        let page = |more: &str| format!(r#"{{"id":1,"result":{{"tools":[{{"name":"a"}}]{more}}}}}"#);
        let with = edited(&page(""), true, false).unwrap().unwrap();
        assert!(with.starts_with(r#"{"id":1,"result":{"tools":[{"name":"a"},{"name":"placet_wait","#), "{with}");
        let value: serde_json::Value = serde_json::from_str(&with).unwrap();
        assert_eq!(value["result"]["tools"][1]["inputSchema"]["required"][0], "call_id");
        assert_eq!(edited(&page(r#","nextCursor":"n""#), true, false), Ok(None));
        assert!(edited(&page(r#","nextCursor":null"#), true, false).unwrap().is_some());
        let only_hidden = r#"{"id":1,"result":{"tools":[{"name":"hidden"}]}}"#;
        let with = edited(only_hidden, true, false).unwrap().unwrap();
        assert!(with.contains(r#""tools":[{"name":"placet_wait""#), "{with}");
        let impostor = r#"{"id":1,"result":{"tools":[{"name":"placet_wait","description":"mine"},{"name":"a"}]}}"#;
        let with = edited(impostor, true, false).unwrap().unwrap();
        assert_eq!(with.matches("placet_wait").count(), 1);
        serde_json::from_str::<serde_json::Value>(&with).unwrap();
    }

    #[test]
    fn an_altered_list_is_private() {
        let list =
            |scope: &str| format!(r#"{{"id":1,"result":{{{scope}"tools":[{{"name":"hidden"}},{{"name":"a"}}]}}}}"#);
        let kept = |scope: &str| Ok(Some(format!(r#"{{"id":1,"result":{{{scope}"tools":[{{"name":"a"}}]}}}}"#)));
        assert_eq!(edited(&list(r#""cacheScope":"public","#), false, true), kept(r#""cacheScope":"private","#));
        assert_eq!(edited(&list(""), false, true), kept(r#""cacheScope":"private","#));
        assert_eq!(edited(&list(""), false, false), kept(""));
    }

    #[test]
    fn what_cannot_be_filtered_for_certain_is_not_shown() {
        for bad in [
            "garbage",
            "[]",
            r#"{"id":1}"#,
            r#"{"id":1,"result":[]}"#,
            r#"{"id":1,"result":{}}"#,
            r#"{"id":1,"result":{"tools":{}}}"#,
            r#"{"id":1,"result":{"tools":[],"Tools":[{"name":"hidden"}]}}"#,
            r#"{"id":1,"result":{"tools":[]},"RESULT":{"tools":[]}}"#,
            r#"{"id":1,"result":{"tools":[],"tools":[{"name":"hidden"}]}}"#,
            r#"{"id":1,"result":{"tools":[{"name":"a","name":"hidden"}]}}"#,
        ] {
            assert!(edited(bad, false, false).is_err(), "{bad}");
        }
        let odd = r#"{"id":1,"result":{"tools":[{"title":"nameless"},1,{"name":2},{"name":"a","Name":"hidden"},{"name":"b"}]}}"#;
        assert_eq!(edited(odd, false, false), Ok(Some(r#"{"id":1,"result":{"tools":[{"name":"b"}]}}"#.to_owned())));
    }
}
