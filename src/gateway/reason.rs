//! Why an agent makes a call, in its own words: asked for in the tool's schema, and cut out of the call before anything
//! else looks at it. What is ruled, shown, hashed and forwarded never has it.

use bytes::Bytes;

use super::envelope::Message;
use crate::call::json::{self, Limits, Node, Span, read_strict};
use crate::call::tool::{REASON, takes_reason};
use crate::policy::AskReason;

/// So many characters of a reason are kept.
const LONGEST: usize = 500;

/// What a tool's schema says of it.
const PROPERTY: &str = concat!(
    r#""placet_reason":{"type":"string","maxLength":500,"description":"Why you make this call, in a sentence or two, "#,
    r#"for the person who decides about it. They see it as your words; it is not sent to the tool."}"#
);

/// What the agent is told whose reason is no text.
pub const NO_TEXT: &str = "placet_reason must be a string that says in a sentence or two why you make the call.";

/// What the agent is told whose call must have a reason and has none.
pub const NEEDED: &str = "it needs a person's approval, and they want to know why it is made. Call it again with the same \
    arguments and one more, placet_reason: a sentence or two that say why. They see it as your words; it is not sent to \
    the tool.";

/// A call without the reason, and the reason.
#[derive(Debug, PartialEq, Eq)]
pub struct Cut {
    /// The message, every other byte as it was.
    pub message: Bytes,
    /// What the agent says, at most [`LONGEST`] characters of it.
    pub reason: String,
}

/// Cuts the reason out of a `tools/call`; `None` where there is none.
///
/// # Errors
/// The reason is no text, said to the agent.
pub fn cut(message: &Message<'_>) -> Result<Option<Cut>, &'static str> {
    let Some(said) = message.param("arguments").and_then(|arguments| arguments.get(REASON)) else { return Ok(None) };
    let text = said.as_str().ok_or(NO_TEXT)?;
    // A member of a batch stands in a longer text, so the message is read by itself. It was read strictly before.
    let limits = Limits { max_bytes: usize::MAX, max_depth: json::DEEPEST };
    let doc = read_strict(&message.bytes, &limits).map_err(|_| NO_TEXT)?;
    let arguments = doc.root().pointer("/params/arguments").ok_or(NO_TEXT)?;
    Ok(Some(Cut { message: json::cut_member(&doc, arguments, REASON).into(), reason: bounded(text) }))
}

fn bounded(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// Whether a reason that must be there says nothing.
pub fn is_missing(asks: Option<AskReason>, said: Option<&str>) -> bool {
    asks == Some(AskReason::Required) && said.is_none_or(|said| said.trim().is_empty())
}

/// What is put into a tool, an element of `tools`, so that its schema asks for the reason. Nothing where the tool has an
/// argument of that name itself, or a schema that names no arguments.
pub fn asked_for(tool: &Node<'_>, asks: AskReason) -> Vec<(Span, String)> {
    let Some(schema) = tool.get("inputSchema").filter(|_| !takes_reason(tool)) else { return Vec::new() };
    let Some(members) = schema.as_object() else { return Vec::new() };
    let (mut edits, mut added) = (Vec::new(), Vec::new());
    match schema.get("properties") {
        None => added.push(format!(r#""properties":{{{PROPERTY}}}"#)),
        Some(properties) => match properties.as_object() {
            Some(known) => edits.push(at_end(properties, known.is_empty(), PROPERTY)),
            None => return Vec::new(),
        },
    }
    if asks == AskReason::Required {
        let name = format!("\"{REASON}\"");
        match schema.get("required") {
            None => added.push(format!(r#""required":[{name}]"#)),
            Some(required) => {
                edits.extend(required.as_array().map(|known| at_end(required, known.is_empty(), &name)));
            }
        }
    }
    if !added.is_empty() {
        edits.push(at_end(schema, members.is_empty(), &added.join(",")));
    }
    edits
}

/// Puts something before the closing bracket of an object or array.
fn at_end(container: &Node<'_>, is_empty: bool, what: &str) -> (Span, String) {
    let end = container.span.end - 1;
    (Span { start: end, end }, format!("{}{what}", if is_empty { "" } else { "," }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::call::json::properties::{any_value, escaped};
    use crate::call::json::splice;

    fn message(arguments: &str) -> String {
        format!(
            "{{ \"jsonrpc\":\"2.0\" ,\"id\":1,\"method\":\"tools/call\",\"params\":{{\"name\":\"t\",\"arguments\": {arguments} }} }}"
        )
    }

    fn cut_text(text: &str) -> Result<Option<Cut>, &'static str> {
        let doc = read_strict(text.as_bytes(), &Limits::default()).unwrap();
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        cut(&Message::read(&doc, doc.root(), bytes).unwrap())
    }

    #[test]
    fn the_member_goes_with_its_comma_and_every_other_byte_stays() {
        for (arguments, left, reason) in [
            (r#"{"placet_reason":"why"}"#, "{}", "why"),
            (r#"{"placet_reason":"why","n":1.00}"#, r#"{"n":1.00}"#, "why"),
            ("{ \"n\" : 1.00 ,\n\"placet_reason\" : \"why\" }", "{ \"n\" : 1.00 }", "why"),
            (r#"{"a":1,"placet_reason":"","b":"\u00e9"}"#, r#"{"a":1,"b":"\u00e9"}"#, ""),
            (r#"{"a":1,"placet\u005freason":"w\nh\"y","b":[]}"#, r#"{"a":1,"b":[]}"#, "w\nh\"y"),
            (r#"{"a":{"placet_reason":"kept"},"placet_reason":"cut"}"#, r#"{"a":{"placet_reason":"kept"}}"#, "cut"),
        ] {
            let found = cut_text(&message(arguments)).unwrap().unwrap();
            assert_eq!((&*found.message, found.reason.as_str()), (message(left).as_bytes(), reason), "{arguments}");
        }
        for arguments in
            ["{}", r#"{"a":{"placet_reason":"kept"}}"#, r#"{"Placet_Reason":"kept"}"#, r#"{"reason":"kept"}"#]
        {
            assert_eq!(cut_text(&message(arguments)), Ok(None), "{arguments}");
        }
        for wrong in ["null", "1", "true", "[]", "{}", r#"["why"]"#] {
            assert_eq!(cut_text(&message(&format!(r#"{{"placet_reason":{wrong}}}"#))), Err(NO_TEXT), "{wrong}");
        }
    }

    #[test]
    fn a_member_of_a_batch_is_cut_in_its_own_text() {
        let one = message(r#"{"placet_reason":"why","a":1}"#);
        let batch = format!("[ {{\"x\":\"é\"}}, {one}]");
        let doc = read_strict(batch.as_bytes(), &Limits::default()).unwrap();
        let node = &doc.root().as_array().unwrap()[1];
        let bytes = Bytes::copy_from_slice(doc.slice(node.span).as_bytes());
        let found = cut(&Message::read(&doc, node, bytes).unwrap()).unwrap().unwrap();
        assert_eq!(found.message, message(r#"{"a":1}"#));
    }

    #[test]
    fn a_long_reason_is_kept_in_part() {
        let long = "é".repeat(LONGEST + 1);
        let found = cut_text(&message(&json!({ "placet_reason": long }).to_string())).unwrap().unwrap();
        assert_eq!(found.reason, format!("{}…", "é".repeat(LONGEST)));
        assert_eq!(found.message, message("{}"));
    }

    fn asked(tool: &str, asks: AskReason) -> String {
        let doc = read_strict(tool.as_bytes(), &Limits::default()).unwrap();
        splice(doc.text(), &mut asked_for(doc.root(), asks))
    }

    #[test]
    fn the_schema_asks_and_every_other_byte_stays() {
        let tool = |schema: &str| format!(r#"{{"name":"t", "inputSchema":{schema},"x":1.0}}"#);
        let property = PROPERTY;
        for (schema, asks, expected) in [
            ("{}", AskReason::Asked, format!(r#"{{"properties":{{{property}}}}}"#)),
            (r#"{"type":"object" }"#, AskReason::Asked, format!(r#"{{"type":"object" ,"properties":{{{property}}}}}"#)),
            (r#"{"properties":{}}"#, AskReason::Asked, format!(r#"{{"properties":{{{property}}}}}"#)),
            (
                r#"{"properties":{"a":{"n":1.00}},"additionalProperties":false,"required":["a"]}"#,
                AskReason::Asked,
                format!(
                    r#"{{"properties":{{"a":{{"n":1.00}},{property}}},"additionalProperties":false,"required":["a"]}}"#
                ),
            ),
            (
                r#"{"properties":{"a":true},"required":["a"]}"#,
                AskReason::Required,
                format!(r#"{{"properties":{{"a":true,{property}}},"required":["a","placet_reason"]}}"#),
            ),
            ("{}", AskReason::Required, format!(r#"{{"properties":{{{property}}},"required":["placet_reason"]}}"#)),
            (
                r#"{"required":[],"properties":{}}"#,
                AskReason::Required,
                format!(r#"{{"required":["placet_reason"],"properties":{{{property}}}}}"#),
            ),
            (r#"{"required":7}"#, AskReason::Required, format!(r#"{{"required":7,"properties":{{{property}}}}}"#)),
        ] {
            let found = asked(&tool(schema), asks);
            assert_eq!(found, tool(&expected), "{schema}");
            let value: Value = serde_json::from_str(&found).unwrap();
            assert_eq!(value["inputSchema"]["properties"]["placet_reason"]["type"], "string");
        }
        for left in
            ["true", "null", "[]", r#"{"properties":[]}"#, r#"{"properties":{"placet_reason":{"type":"number"}}}"#]
        {
            assert_eq!(asked(&tool(left), AskReason::Required), tool(left), "{left}");
        }
        assert_eq!(asked(r#"{"name":"t"}"#, AskReason::Required), r#"{"name":"t"}"#);
    }

    #[test]
    fn only_what_must_be_there_can_be_missing() {
        assert!(is_missing(Some(AskReason::Required), None) && is_missing(Some(AskReason::Required), Some(" \n")));
        assert!(!is_missing(Some(AskReason::Required), Some("why")));
        assert!(!is_missing(Some(AskReason::Asked), None) && !is_missing(None, None));
    }

    proptest! {
        #[test]
        fn what_is_left_is_the_call_without_the_reason(
            before in prop::collection::btree_map("[a-o_\"é]{0,3}", any_value(), 0..4),
            after in prop::collection::btree_map("[q-z_\"é]{4,6}", any_value(), 0..4),
            reason in any::<String>(),
            blank in "[ \\n\\t]{0,2}",
        ) {
            let member = |(key, value): (&String, &Value)| {
                format!("{blank}{}{blank}:{blank}{}{blank}", escaped(&Value::from(key.as_str())), value)
            };
            let mut members: Vec<_> = before.iter().map(member).collect();
            members.push(format!("{blank}\"placet_reason\"{blank}:{}", Value::from(reason.as_str())));
            members.extend(after.iter().map(member));
            let found = cut_text(&message(&format!("{{{}}}", members.join(",")))).unwrap().unwrap();
            prop_assert_eq!(&found.reason, &bounded(&reason));
            let left = read_strict(&found.message, &Limits::default()).unwrap();
            let arguments = left.root().pointer("/params/arguments").unwrap();
            let expected: Vec<_> = before.iter().chain(&after).map(member).collect();
            let expected = format!("{{{}}}", expected.join(","));
            let expected = read_strict(expected.as_bytes(), &Limits::default()).unwrap();
            prop_assert_eq!(json::canonical(arguments), json::canonical(expected.root()));
        }
    }
}
