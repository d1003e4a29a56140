//! An MCP server that writes down every message byte for byte and answers as it is told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use placet::lifecycle::Tasks;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// One request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Arrived {
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

type Scripted = Box<dyn Fn(&Value) -> Response + Send + Sync>;

#[derive(Default)]
struct Shared {
    arrived: Mutex<Vec<Arrived>>,
    // By method, or by `tools/call NAME`.
    scripted: Mutex<HashMap<String, Scripted>>,
}

/// A running stub.
pub(crate) struct Upstream {
    pub(crate) url: String,
    shared: Arc<Shared>,
    tasks: Tasks,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.tasks.begin_stop();
    }
}

impl Upstream {
    /// A server of the sessions era with the tools of [`tools`].
    pub(crate) async fn start() -> Self {
        let (shared, tasks) = (Arc::new(Shared::default()), Tasks::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let router = Router::new().route("/mcp", post(receive).get(listen)).with_state(Arc::clone(&shared));
        let stopping = tasks.clone();
        tasks.spawn("stub", async move {
            let stopped = async move { stopping.stopped().await };
            axum::serve(listener, router).with_graceful_shutdown(stopped).await.unwrap();
        });
        Self { url, shared, tasks }
    }

    /// Everything that arrived.
    pub(crate) fn arrived(&self) -> Vec<Arrived> {
        self.shared.arrived.lock().unwrap().clone()
    }

    /// The bodies that arrived for `tools/call` of this tool.
    pub(crate) fn calls(&self, tool: &str) -> Vec<String> {
        let is_call = |body: &String| {
            let message: Value = message(body);
            message["method"] == "tools/call" && message["params"]["name"] == tool
        };
        self.arrived().into_iter().map(|arrived| arrived.body).filter(is_call).collect()
    }

    /// Answers `what` (a method, or `tools/call NAME`) in this way from now on.
    pub(crate) fn on(&self, what: &str, answer: impl Fn(&Value) -> Response + Send + Sync + 'static) {
        self.shared.scripted.lock().unwrap().insert(what.to_owned(), Box::new(answer));
    }

    /// Answers with exactly this JSON text as `result`.
    pub(crate) fn on_result(&self, what: &str, result: &'static str) {
        self.on(what, move |message| {
            json_answer(format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, message["id"]))
        });
    }

    /// Lists exactly these tools from now on.
    pub(crate) fn lists(&self, tools: String) {
        self.on("tools/list", move |message| {
            json_answer(format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{"tools":{tools}}}}}"#, message["id"]))
        });
    }

    /// Waits until `count` calls of this tool have arrived.
    pub(crate) async fn until_called(&self, tool: &str, count: usize) {
        for _ in 0..1000 {
            if self.calls(tool).len() >= count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{tool} was called {} times instead of {count}", self.calls(tool).len());
    }
}

/// A JSON answer, byte for byte.
pub(crate) fn json_answer(body: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// The message, whole where it fits a `Value`. Otherwise, as with numbers of the range of `1E+400`, what a server needs
/// of it to answer.
fn message(body: &str) -> Value {
    #[derive(Default, Deserialize, Serialize)]
    #[serde(default)]
    struct Head {
        id: Value,
        method: String,
        params: Params,
    }
    #[derive(Default, Deserialize, Serialize)]
    #[serde(default)]
    struct Params {
        name: String,
    }
    serde_json::from_str(body).unwrap_or_else(|_| json!(serde_json::from_str::<Head>(body).unwrap_or_default()))
}

/// The stub's tools.
pub(crate) fn tools() -> Value {
    let tool = |name: &str| json!({"name": name, "description": format!("{name} of the stub"), "inputSchema": {"type": "object"}});
    json!(
        ["list_users", "get_user_policy", "put_user_policy", "create_user", "delete_user", "echo", "unlisted"]
            .map(tool)
    )
}

/// GET is scripted as the method `GET`; without that the stub has no stream of its own.
async fn listen(State(shared): State<Arc<Shared>>) -> Response {
    let scripted = shared.scripted.lock().unwrap();
    scripted.get("GET").map_or_else(|| StatusCode::METHOD_NOT_ALLOWED.into_response(), |answer| answer(&Value::Null))
}

async fn receive(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let body = String::from_utf8(body.to_vec()).unwrap();
    shared.arrived.lock().unwrap().push(Arrived { headers, body: body.clone() });
    let message: Value = message(&body);
    let method = message["method"].as_str().unwrap_or_default();
    let call = format!("{method} {}", message["params"]["name"].as_str().unwrap_or_default());
    let scripted = shared.scripted.lock().unwrap();
    if let Some(answer) = scripted.get(&call).or_else(|| scripted.get(method)) {
        return answer(&message);
    }
    drop(scripted);
    if message.get("id").is_none() {
        return StatusCode::ACCEPTED.into_response();
    }
    let result = match method {
        "initialize" => json!({
            "protocolVersion": message["params"]["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "stub", "version": "1"}
        }),
        "tools/list" => json!({"tools": tools()}),
        "tools/call" => json!({"content": [{"type": "text", "text": "done"}]}),
        "ping" => json!({}),
        _ => {
            let error = json!({"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32601, "message": "no"}});
            return json_answer(error.to_string());
        }
    };
    json_answer(json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string())
}
