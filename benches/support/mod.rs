//! What the benches share: a stub upstream, a real `placet serve`, the share of a sorted row of figures.

#![expect(clippy::disallowed_methods, reason = "a bench measures with the machine's clock")]

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::serve::ListenerExt as _;
use placet::lifecycle::Tasks;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The figure below which this share of them lies.
pub(crate) fn at(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * share) as usize]
}

/// A real `placet serve`.
pub(crate) struct Server(Child);

impl Server {
    /// Starts it, and returns when it takes calls, with how long that took.
    pub(crate) async fn start(folder: &Path, address: SocketAddr) -> (Self, Duration) {
        let begun = Instant::now();
        let child = Command::new(env!("CARGO_BIN_EXE_placet"))
            .args(["serve", "--config"])
            .arg(folder.join("placet.toml"))
            .env("PLACET_LOG", "error")
            .stdin(Stdio::null())
            .spawn()
            .expect("placet serve");
        let server = Self(child);
        for _ in 0..6000 {
            if reqwest::get(format!("http://{address}/readyz")).await.is_ok_and(|answer| answer.status().is_success()) {
                return (server, begun.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("placet serve did not become ready");
    }

    /// Resident memory in bytes.
    pub(crate) fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).expect("a status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An upstream that answers at once.
pub(crate) async fn stub() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).expect("TCP_NODELAY"));
    let tasks = Tasks::default();
    tasks.spawn("stub", async move {
        axum::serve(listener, Router::new().route("/mcp", post(answer))).await.expect("a server");
    });
    address
}

async fn answer(body: Bytes) -> Response {
    let message: Value = serde_json::from_slice(&body).expect("JSON");
    if message.get("id").is_none() {
        return StatusCode::ACCEPTED.into_response();
    }
    let result = match message["method"].as_str() {
        Some("initialize") => {
            json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "s", "version": "1"}})
        }
        _ => json!({"content": [{"type": "text", "text": "done"}]}),
    };
    let text = json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string();
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}
