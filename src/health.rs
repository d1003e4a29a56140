//! For operators: alive, ready, and what was counted.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use crate::lifecycle::Tasks;
use crate::store::Store;
use crate::telemetry::Metrics;

/// How long the database may take to answer a readiness check.
const PATIENCE: Duration = Duration::from_secs(5);

/// Placet's time is told to differ from the machine's clock beyond this.
const ASKEW: Duration = Duration::from_secs(60);

#[derive(Clone)]
struct Health {
    store: Store,
    tasks: Tasks,
    metrics: Metrics,
}

/// `/healthz`, `/readyz`, `/metrics`.
pub fn router(store: Store, tasks: Tasks, metrics: Metrics) -> Router {
    Router::new()
        .route("/healthz", get(|| async { text(StatusCode::OK, "alive\n") }))
        .route("/readyz", get(ready))
        .route("/metrics", get(counted))
        .with_state(Health { store, tasks, metrics })
}

/// Ready means: a call could be held and logged at this moment.
async fn ready(State(health): State<Health>) -> Response {
    if health.tasks.is_stopping() {
        return text(StatusCode::SERVICE_UNAVAILABLE, "not ready: stopping\n");
    }
    match tokio::time::timeout(PATIENCE, health.store.check_writable()).await {
        Ok(Ok(())) if health.store.clock_ahead() > ASKEW => {
            text(StatusCode::OK, "ready\nwarning: the machine's clock was set back behind Placet's time; see the log\n")
        }
        Ok(Ok(())) => text(StatusCode::OK, "ready\n"),
        Ok(Err(error)) => {
            tracing::error!(%error, "not ready");
            let why = error.trouble().unwrap_or("the database does not take writes");
            text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}; see the log\n"))
        }
        Err(_) => text(StatusCode::SERVICE_UNAVAILABLE, "not ready: the database does not answer\n"),
    }
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
