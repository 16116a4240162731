//! How a relay is, for programs that watch over it: `/health` and, for Prometheus,
//! `/metrics`. On a loopback port of its own, without a token: it says nothing that names
//! anybody.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use axum::Router;
use axum::extract::State as Shared;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use baraza_core::command::{Diagnostics, Identity};
use baraza_core::relay::{Relay, RelayStats};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::server::{ApiServeError, accept};

/// A server that runs until it is stopped.
#[derive(Debug)]
pub struct MonitorServer {
    address: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
}

#[derive(Debug, Clone)]
struct Watched {
    relay: Relay,
    started: Instant,
}

impl MonitorServer {
    /// Serves how `relay` is on a loopback address. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If the address is not of loopback, or cannot be used.
    pub async fn start(relay: Relay, address: SocketAddr) -> Result<Self, ApiServeError> {
        if !address.ip().is_loopback() {
            return Err(ApiServeError::MonitorNotLoopback(address));
        }
        let listen = |source: io::Error| ApiServeError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let router = Router::new()
            .route("/health", get(health))
            .route("/metrics", get(metrics))
            .with_state(Watched {
                relay,
                started: Instant::now(),
            });
        tasks.spawn(accept(listener, None, router, stop.clone(), tasks.clone()));
        tracing::info!(%address, "health and metrics are served");
        Ok(Self {
            address,
            stop,
            tasks,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops.
    pub async fn shutdown(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// 200 if others can find the relay and it takes what they write, else 503.
async fn health(Shared(watched): Shared<Watched>) -> Response {
    let state = watched.relay.state().await;
    let full = watched.relay.stats().full.len();
    let status = match &state {
        Err(_) => "stopped",
        Ok((identity, _)) if !identity.announced => "connecting",
        Ok(_) if full > 0 => "full",
        Ok(_) => "ok",
    };
    let code = match status {
        "ok" => StatusCode::OK,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    let body = json!({ "status": status, "full_conversations": full });
    (code, axum::Json(body)).into_response()
}

async fn metrics(Shared(watched): Shared<Watched>) -> Response {
    let state = watched.relay.state().await.ok();
    let text = text(
        &watched.relay,
        &watched.relay.stats(),
        state.as_ref(),
        watched.started.elapsed().as_secs(),
    );
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    (kind, text).into_response()
}

fn text(
    relay: &Relay,
    stats: &RelayStats,
    state: Option<&(Identity, Diagnostics)>,
    uptime: u64,
) -> String {
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let config = relay.config();
    let announced = state.is_some_and(|(identity, _)| identity.announced);
    let doing = state.map(|(_, doing)| doing.clone()).unwrap_or_default();
    let gauges = [
        (
            "up",
            "Whether the account runs.",
            u64::from(state.is_some()),
        ),
        (
            "announced",
            "Whether others can find it.",
            u64::from(announced),
        ),
        ("uptime_seconds", "Seconds since it started.", uptime),
        (
            "conversations",
            "Conversations it keeps.",
            count(stats.sizes.len()),
        ),
        (
            "conversations_limit",
            "Most it may keep.",
            count(config.conversations),
        ),
        (
            "full_conversations",
            "Those that get no longer.",
            count(stats.full.len()),
        ),
        ("bytes", "Bytes of all conversations.", stats.bytes()),
        ("bytes_limit", "Most bytes.", config.total_bytes),
        ("links", "Devices connected.", count(doing.links.len())),
        (
            "owed_devices",
            "Devices that lack messages.",
            count(doing.owed),
        ),
    ];
    let counters = [
        (
            "invitations_accepted",
            "Invitations accepted.",
            stats.accepted,
        ),
        (
            "invitations_declined",
            "Invitations declined.",
            stats.declined,
        ),
        ("messages_received", "Messages that came.", stats.received),
        (
            "messages_delivered",
            "Deliveries to devices.",
            stats.delivered,
        ),
    ];
    let mut text = String::new();
    for (kind, end, lines) in [
        ("gauge", "", &gauges[..]),
        ("counter", "_total", &counters[..]),
    ] {
        for (name, help, value) in lines {
            let name = format!("baraza_relay_{name}{end}");
            let _infallible = write!(
                text,
                "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n"
            );
        }
    }
    text
}
