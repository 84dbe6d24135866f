//! `/healthz`: the process runs. `/readyz`: it can answer, that is, the store answers and the vault ledger folds. Spec 7.1.
//!
//! Both are unsigned, so they say little, and a look at the store serves everybody who asks within a second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{StatusCode, header};
use serde_json::json;
use tokio::sync::{Mutex, watch};

use super::metrics::Metrics;
use super::trace;
use crate::vault::Vault;
use crate::wire;
use crate::wire::problem::{Problem, Type};

/// How long a look at the store is good for.
const FRESH: Duration = Duration::from_secs(1);
/// How long a look may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the two answers rest on.
#[derive(Debug)]
pub struct Health {
    vault: Vault,
    stopping: watch::Receiver<bool>,
    metrics: Arc<Metrics>,
    last: Mutex<Option<(Instant, bool)>>,
}

impl Health {
    /// Health of a server for a vault; `stopping` turns true when it was told to stop.
    #[must_use]
    pub fn new(vault: Vault, stopping: watch::Receiver<bool>, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { vault, stopping, metrics, last: Mutex::new(None) })
    }

    /// Whether the vault was in order less than a second ago.
    async fn in_order(&self) -> bool {
        let mut last = self.last.lock().await;
        let before = last.map(|(_, ready)| ready);
        if let Some((looked, ready)) = *last
            && looked.elapsed() < FRESH
        {
            return ready;
        }
        let ready = match tokio::time::timeout(PATIENCE, self.vault.state()).await {
            Ok(Ok(_)) => {
                if before != Some(true) {
                    tracing::info!("ready: the store answers");
                }
                true
            }
            Ok(Err(error)) => {
                if before != Some(false) {
                    tracing::error!(%error, "not ready");
                }
                false
            }
            Err(_) => {
                if before != Some(false) {
                    tracing::error!(seconds = PATIENCE.as_secs(), "not ready: the store does not answer in time");
                }
                false
            }
        };
        self.metrics.ready(ready);
        *last = Some((Instant::now(), ready));
        ready
    }
}

/// The two resources.
pub fn router(health: Arc<Health>) -> Router {
    Router::new()
        .route("/healthz", get(async || Json(json!({ "alive": true }))))
        .route("/readyz", get(readyz))
        .with_state(health)
}

async fn readyz(State(health): State<Arc<Health>>) -> Response {
    if *health.stopping.borrow() {
        return problem(Type::Stopping, "this server is going down").into_response();
    }
    if health.in_order().await {
        Json(json!({ "ready": true })).into_response()
    } else {
        problem(Type::Storage, "the vault's store does not answer as it should; the server's log has more")
            .into_response()
    }
}

/// A problem that the process reports by itself. Spec 7.6.
pub(super) fn problem(of: Type, detail: &str) -> impl IntoResponse {
    trace::note_problem(of);
    let problem = Problem { request: trace::request_id().unwrap_or_default(), ..Problem::new(of, detail) };
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, wire::PROBLEM)], Json(problem))
}
