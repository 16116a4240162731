use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::State as Shared;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::http::StatusCode;
use axum::response::Response;
use axum::{Extension, Json};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout, timeout_at};

use crate::access::Grant;
use crate::body::Params;
use crate::error::ApiError;
use crate::follow::{Filter, Follower};
use crate::server::State;
use crate::types::EventBatch;

/// Event streams open at once: fewer than connections, so that other requests get through.
const MAX_STREAMS: u64 = 1536;
/// Longest long poll.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// Events in the answer to a poll.
const DEFAULT_LIMIT: usize = 200;
/// Most of them.
const MAX_LIMIT: usize = 1000;
/// How often a socket is asked whether it lives.
pub(crate) const PING_EVERY: Duration = Duration::from_secs(30);
/// How long a client may take to take an event.
pub(crate) const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest message from a client; none has a meaning.
const MAX_INCOMING: usize = 4096;
/// The code that a socket is closed with when its token was revoked or has expired.
pub(crate) const TOKEN_ENDED: u16 = 4401;
/// The subprotocol a browser names beside the one with the token.
const SUBPROTOCOL: &str = "baraza";

/// Counts the streams that are open.
pub(crate) struct Open(Arc<State>);

impl Open {
    pub(crate) fn new(state: &Arc<State>) -> Result<Self, ApiError> {
        let open = Self(Arc::clone(state));
        if count(state).fetch_add(1, Ordering::Relaxed) < MAX_STREAMS {
            return Ok(open);
        }
        Err(ApiError::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_streams",
            "too many event streams are open",
        ))
    }
}

impl Open {
    pub(crate) fn state(&self) -> &Arc<State> {
        &self.0
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        count(&self.0).fetch_sub(1, Ordering::Relaxed);
    }
}

fn count(state: &State) -> &AtomicU64 {
    &state.counters.streams
}

/// What happened after a cursor; waits for something to happen if nothing did.
#[utoipa::path(get, path = "/api/v1/events", tag = "events",
    params(("since" = Option<u64>, Query, description = "Events after this cursor; from now on if left out"),
        ("wait" = Option<u64>, Query, description = "Seconds to wait if there is none yet: up to 60, or 0"),
        ("limit" = Option<usize>, Query, description = "How many at most: 1 to 1000, or 200"),
        ("types" = Option<String>, Query, description = "Only these types, separated by commas"),
        ("account" = Option<String>, Query, description = "Only of this account (local name)"),
        ("conversation" = Option<String>, Query, description = "Only of this conversation")),
    responses((status = 200, body = EventBatch)))]
pub(crate) async fn poll(
    Shared(state): Shared<Arc<State>>,
    Extension(grant): Extension<Arc<Grant>>,
    Params(filter): Params<Filter>,
) -> Result<Json<EventBatch>, ApiError> {
    let _open = Open::new(&state)?;
    let limit = filter.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
    let wait = Duration::from_secs(filter.wait.unwrap_or(0)).min(MAX_WAIT);
    let deadline = Instant::now() + wait;
    let mut follower = Follower::new(state.node.clone(), filter, Arc::clone(&grant));
    let mut events = Vec::new();
    while events.len() < limit {
        let next = if follower.has_more() {
            // Reading the log takes no waiting, but everything there may be filtered out.
            timeout(
                SEND_TIMEOUT.min(wait.max(Duration::from_millis(1))),
                follower.next(),
            )
            .await
        } else if events.is_empty() && !wait.is_zero() {
            tokio::select! {
                next = timeout_at(deadline, follower.next()) => next,
                () = state.stop.cancelled() => break,
                () = grant.ended().cancelled() => break,
            }
        } else {
            break;
        };
        match next {
            Ok(event) => events.push(event?),
            Err(_elapsed) => break,
        }
    }
    Ok(Json(EventBatch {
        events,
        next: follower.position(),
        more: follower.has_more(),
    }))
}

/// What happens, as it happens: a WebSocket with one event in each text frame, from `since`
/// on. Reconnect with the cursor of the last event seen, and nothing is missed.
#[utoipa::path(get, path = "/api/v1/ws", tag = "events",
    params(("since" = Option<u64>, Query, description = "Events after this cursor; from now on if left out"),
        ("types" = Option<String>, Query, description = "Only these types, separated by commas"),
        ("account" = Option<String>, Query, description = "Only of this account (local name)"),
        ("conversation" = Option<String>, Query, description = "Only of this conversation")),
    responses((status = 101, description = "Events follow as text frames")))]
pub(crate) async fn socket(
    Shared(state): Shared<Arc<State>>,
    Extension(grant): Extension<Arc<Grant>>,
    Params(filter): Params<Filter>,
    upgrade: WebSocketUpgrade,
) -> Result<Response, ApiError> {
    let open = Open::new(&state)?;
    let follower = Follower::new(state.node.clone(), filter, Arc::clone(&grant));
    Ok(upgrade
        .protocols([SUBPROTOCOL])
        .max_message_size(MAX_INCOMING)
        .max_frame_size(MAX_INCOMING)
        .on_upgrade(move |socket| stream(socket, follower, grant, open)))
}

async fn stream(mut socket: WebSocket, mut follower: Follower, grant: Arc<Grant>, open: Open) {
    let state = Arc::clone(&open.0);
    let mut pings = interval(PING_EVERY);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = true;
    let ended = grant.until_ended();
    tokio::pin!(ended);
    let farewell = loop {
        tokio::select! {
            () = &mut ended => break Some((TOKEN_ENDED, "the token or session does not hold any more")),
            () = state.stop.cancelled() => break Some((close_code::AWAY, "the node is shutting down")),
            event = follower.next() => {
                let Ok(event) = event else {
                    break Some((close_code::ERROR, "the log cannot be read"));
                };
                let frame = Message::Text(event.to_string().into());
                match timeout(SEND_TIMEOUT, socket.send(frame)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) | Err(_) => break None,
                }
            }
            incoming = socket.recv() => match incoming {
                Some(Ok(Message::Close(_)) | Err(_)) | None => break None,
                Some(Ok(_)) => heard = true,
            },
            _ = pings.tick() => {
                if !heard {
                    break None;
                }
                heard = false;
                match timeout(SEND_TIMEOUT, socket.send(Message::Ping(Vec::new().into()))).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) | Err(_) => break None,
                }
            }
        }
    };
    if let Some((code, reason)) = farewell {
        let reason = reason.into();
        let close = Message::Close(Some(CloseFrame { code, reason }));
        let _gone = timeout(Duration::from_secs(1), socket.send(close)).await;
    }
    drop(open);
}
