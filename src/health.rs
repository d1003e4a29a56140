//! For operators: alive, ready, and what was counted.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::lifecycle::Tasks;
use crate::store::Store;
use crate::telemetry::Metrics;

/// How long the database may take to answer a readiness check.
const PATIENCE: Duration = Duration::from_secs(5);

/// A readiness check is a write to disk, and anybody may ask: so long its answer serves everybody.
const SERVES: Duration = Duration::from_secs(1);

/// Placet's time is told to differ from the machine's clock beyond this.
const ASKEW: Duration = Duration::from_secs(60);

#[derive(Clone)]
struct Health {
    store: Store,
    tasks: Tasks,
    metrics: Metrics,
    /// The last check that ended, and when; whoever asks during one waits for it.
    last: Arc<Mutex<Option<(Instant, Answer)>>>,
}

type Answer = (StatusCode, String);

/// `/healthz`, `/readyz`, `/metrics`.
pub fn router(store: Store, tasks: Tasks, metrics: Metrics) -> Router {
    Router::new()
        .route("/healthz", get(|| async { text(StatusCode::OK, "alive\n") }))
        .route("/readyz", get(ready))
        .route("/metrics", get(counted))
        .with_state(Health { store, tasks, metrics, last: Arc::default() })
}

/// Ready means: a call could be held and logged at this moment, or within the second before it.
async fn ready(State(health): State<Health>) -> Response {
    if health.tasks.is_stopping() {
        return text(StatusCode::SERVICE_UNAVAILABLE, "not ready: stopping\n");
    }
    let mut last = health.last.lock().await;
    let (status, why) = match &*last {
        Some((at, answer)) if at.elapsed() < SERVES => answer.clone(),
        _ => {
            let answer = check(&health.store).await;
            last.insert((Instant::now(), answer)).1.clone()
        }
    };
    text(status, why)
}

/// Whether the database takes a write at this moment.
async fn check(store: &Store) -> Answer {
    let (status, why) = match tokio::time::timeout(PATIENCE, store.check_writable()).await {
        Ok(Ok(())) if store.clock_ahead() > ASKEW => {
            (StatusCode::OK, "ready\nwarning: the machine's clock was set back behind Placet's time; see the log\n")
        }
        Ok(Ok(())) => (StatusCode::OK, "ready\n"),
        Ok(Err(error)) => {
            tracing::error!(%error, "not ready");
            let why = error.trouble().unwrap_or("the database does not take writes");
            return (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}; see the log\n"));
        }
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "not ready: the database does not answer\n"),
    };
    (status, why.to_owned())
}

async fn counted(State(health): State<Health>) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    (kind, [(header::CACHE_CONTROL, "no-store")], health.metrics.render()).into_response()
}

fn text(status: StatusCode, words: impl Into<String>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, words.into()).into_response()
}
