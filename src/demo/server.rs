//! The demo's MCP server: the small IAM over Streamable HTTP, sessions era, one JSON answer a request.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use serde_json::{Map, Value, json};

use super::iam::Iam;

/// The server's routes: `POST /mcp`.
pub fn router() -> Router {
    Router::new().route("/mcp", post(receive)).with_state(Arc::new(Mutex::new(Iam::default())))
}

async fn receive(State(iam): State<Arc<Mutex<Iam>>>, body: Bytes) -> Response {
    let Ok(message) = serde_json::from_slice::<Value>(&body) else {
        return answer(&json!({"jsonrpc": "2.0", "id": null, "error": {"code": -32700, "message": "Not JSON"}}));
    };
    let Some(id) = message.get("id") else { return StatusCode::ACCEPTED.into_response() };
    let params = message.get("params").and_then(Value::as_object).cloned().unwrap_or_default();
    let outcome = match message.get("method").and_then(Value::as_str) {
        Some("initialize") => Ok(json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {"tools": {"listChanged": false}},
            "serverInfo": {"name": "placet-demo-iam", "version": env!("CARGO_PKG_VERSION")}
        })),
        Some("ping") => Ok(json!({})),
        Some("tools/list") => Ok(json!({"tools": Iam::tools()})),
        Some("tools/call") => call(&mut iam.lock().unwrap_or_else(PoisonError::into_inner), &params),
        _ => Err((-32601, "Method not found".to_owned())),
    };
    answer(&match outcome {
        Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
        Err((code, message)) => json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}}),
    })
}

fn call(iam: &mut Iam, params: &Map<String, Value>) -> Result<Value, (i32, String)> {
    let name = params.get("name").and_then(Value::as_str).unwrap_or_default();
    let arguments = params.get("arguments").and_then(Value::as_object).cloned().unwrap_or_default();
    match iam.call(name, &arguments) {
        None => Err((-32602, format!("Unknown tool: {name}"))),
        Some(Ok(result)) => Ok(json!({
            "content": [{"type": "text", "text": result.to_string()}],
            "structuredContent": result,
            "isError": false
        })),
        Some(Err(refusal)) => Ok(json!({"content": [{"type": "text", "text": refusal}], "isError": true})),
    }
}

fn answer(message: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], message.to_string()).into_response()
}
