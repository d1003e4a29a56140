//! Every way in which headers and body of a stateless request can disagree.

use bytes::Bytes;

use super::*;
use crate::call::json::{Limits, read_strict};

const BODY: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"zahlung-ändern","_meta":{
    "io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
const HEADERS: &[(&str, &str)] = &[
    ("mcp-protocol-version", "2026-07-28"),
    ("mcp-method", "tools/call"),
    ("mcp-name", "=?base64?emFobHVuZy3DpG5kZXJu?="),
];

fn code(body: &str, headers: &[(&str, &str)]) -> Result<(), i64> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    let doc = read_strict(body.as_bytes(), &Limits::default()).unwrap();
    let message = Message::read(&doc, doc.root(), Bytes::new()).unwrap();
    check(&message, &map, &["2025-11-25"]).map_err(|error| {
        assert_eq!(error.status, 400);
        error.code
    })
}

fn with(name: &'static str, value: Option<&'static str>) -> Vec<(&'static str, &'static str)> {
    let kept = HEADERS.iter().copied().filter(|(n, _)| *n != name);
    kept.chain(value.map(|value| (name, value))).collect()
}

#[test]
fn agreeing_headers_pass() {
    assert_eq!(code(BODY, HEADERS), Ok(()));
    let list = BODY.replace("tools/call", "tools/list");
    assert_eq!(code(&list, &[HEADERS[0], ("mcp-method", "tools/list")]), Ok(()));
    assert_eq!(code(r#"{"jsonrpc":"2.0","method":"notifications/vendor"}"#, &[]), Ok(()));
}

#[test]
fn every_disagreement_is_a_header_mismatch() {
    for (name, value) in [
        ("mcp-protocol-version", None),
        ("mcp-protocol-version", Some("2025-11-25")),
        ("mcp-method", None),
        ("mcp-method", Some("Tools/Call")),
        ("mcp-method", Some("tools/list")),
        ("mcp-name", None),
        ("mcp-name", Some("zahlung")),
        ("mcp-name", Some("=?base64?%%%?=")),
        ("mcp-name", Some("=?base64?/w==?=")),
        ("mcp-name", Some("=?BASE64?emFobHVuZy3DpG5kZXJu?=")),
    ] {
        assert_eq!(code(BODY, &with(name, value)), Err(HEADER_MISMATCH), "{name} {value:?}");
    }
    let mut twice = HEADERS.to_vec();
    twice.push(("mcp-name", "other"));
    assert_eq!(code(BODY, &twice), Err(HEADER_MISMATCH));
}

#[test]
fn what_looks_encoded_must_be_encoded() {
    let body = BODY.replace("zahlung-ändern", "=?base64?literal?=");
    assert_eq!(code(&body, &with("mcp-name", Some("=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="))), Ok(()));
    assert_eq!(code(&body, &with("mcp-name", Some("=?base64?literal?="))), Err(HEADER_MISMATCH));
}

#[test]
fn required_meta() {
    let without = BODY.replace(r#","io.modelcontextprotocol/clientCapabilities":{}"#, "");
    assert_eq!(code(&without, HEADERS), Err(INVALID_PARAMS));
    let wrong = BODY.replace(r#"clientCapabilities":{}"#, r#"clientCapabilities":[]"#);
    assert_eq!(code(&wrong, HEADERS), Err(INVALID_PARAMS));
    let none = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    assert_eq!(code(none, &[HEADERS[0], ("mcp-method", "tools/list")]), Err(INVALID_PARAMS));
    let nameless = BODY.replace("\"name\":\"zahlung-ändern\",", "");
    assert_eq!(code(&nameless, HEADERS), Err(INVALID_PARAMS));
}

#[test]
fn an_unknown_revision_is_told_what_there_is() {
    let body = BODY.replace("2026-07-28", "1900-01-01");
    assert_eq!(code(&body, &with("mcp-protocol-version", Some("1900-01-01"))), Err(UNSUPPORTED_VERSION));
    let told = unsupported("1900\"", &["2025-11-25"]).data;
    assert_eq!(told.as_deref(), Some(r#"{"supported":["2026-07-28","2025-11-25"],"requested":"1900\""}"#));
}

#[test]
fn responses_are_refused() {
    assert_eq!(code(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, &[]), Err(INVALID_REQUEST));
}

#[test]
fn the_body_chooses_the_era() {
    let stateless = |body: &str, header| {
        let doc = read_strict(body.as_bytes(), &Limits::default()).unwrap();
        is_stateless(&Message::read(&doc, doc.root(), Bytes::new()).unwrap(), header)
    };
    assert!(stateless(BODY, None));
    assert!(stateless(r#"{"jsonrpc":"2.0","id":1,"method":"x"}"#, Some("2026-07-28")));
    assert!(!stateless(r#"{"jsonrpc":"2.0","id":1,"method":"x"}"#, Some("2025-11-25")));
    assert!(!stateless(r#"{"jsonrpc":"2.0","id":1,"method":"initialize"}"#, Some("2026-07-28")));
}

#[test]
fn credentials_never_go_upstream() {
    let mut headers = HeaderMap::new();
    for name in ["authorization", "cookie", "mcp-session-id", "host", "last-event-id", "mcp-param-region", "mcp-method"]
    {
        headers.insert(name.parse::<HeaderName>().unwrap(), "x".parse().unwrap());
    }
    let mut names: Vec<_> = forwarded(&headers).unwrap().into_iter().map(|(name, _)| name).collect();
    names.sort();
    assert_eq!(names, ["mcp-method", "mcp-param-region"]);
    headers.append("mcp-param-region", "y".parse().unwrap());
    assert_eq!(forwarded(&headers).map_err(|e| e.code), Err(HEADER_MISMATCH));
}
