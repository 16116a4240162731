//! How the server is, and the end of the log.

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use baraza_wire::hex;
use serde_json::json;

use super::answers::{failed, json, refusal};
use crate::server::State;
use crate::server::metrics::Directory;

/// The latest signed end of the log. Keep it: any later copy of the log can be checked
/// against it.
#[utoipa::path(get, path = "/audit/checkpoint", tag = "log",
    responses((status = 200, body = super::CheckpointAnswer),
        (status = 404, description = "There is none yet", body = super::Refused),
        (status = 429, body = super::Refused)))]
pub(crate) async fn checkpoint(Shared(state): Shared<Arc<State>>) -> Response {
    match state.store.last_checkpoint().await {
        Err(error) => failed(&state, &error),
        Ok(None) => refusal(StatusCode::NOT_FOUND, "nothing was signed yet"),
        Ok(Some(last)) => {
            let body = json!({
                "seq": last.seq,
                "hash": hex::encode(&last.hash),
                "time": last.time.secs(),
                "key": last.key.to_hex(),
                "signature": hex::encode(&last.signature),
            });
            json(StatusCode::OK, body.to_string())
        }
    }
}

/// Whether the program runs.
#[utoipa::path(get, path = "/health", tag = "state", responses((status = 200)))]
pub(crate) async fn health() -> Response {
    json(StatusCode::OK, r#"{"status":"ok"}"#.into())
}

/// Whether it can answer questions: the directory does.
#[utoipa::path(get, path = "/ready", tag = "state",
    responses((status = 200), (status = 503, body = super::Refused)))]
pub(crate) async fn ready(Shared(state): Shared<Arc<State>>) -> Response {
    match state.store.head().await {
        Ok(_) => json(StatusCode::OK, r#"{"status":"ok"}"#.into()),
        Err(error) => {
            tracing::error!(%error, "the directory does not answer");
            refusal(
                StatusCode::SERVICE_UNAVAILABLE,
                "the directory does not answer",
            )
        }
    }
}

/// Counts for Prometheus.
pub(super) async fn metrics(Shared(state): Shared<Arc<State>>) -> Response {
    let head = state.store.head().await;
    let last = state.store.last_checkpoint().await;
    let directory = match (head, last) {
        (Ok(head), Ok(last)) => Some(Directory {
            names: head.names,
            entries: head.seq,
            signed: last.map_or(0, |last| last.seq),
        }),
        _ => None,
    };
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    (kind, state.metrics.text(directory)).into_response()
}
