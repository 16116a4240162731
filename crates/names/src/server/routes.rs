//! The routes (docs/protocol/03-nameserver.md section 8).

mod answers;
mod lookup;
mod register;
mod watch;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State as Shared};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

pub(super) use self::answers::failed;
use self::answers::refusal;
use super::metrics::Route;
use super::source::{self, Source, TooMuch};
use super::{State, instant, openapi, page};

pub(super) use self::answers::{
    Addressed, CheckpointAnswer, Found, Named, Refused, RegisterRequest, Registered,
};
pub(super) use self::lookup::{
    __path_by_addr, __path_by_name, __path_owner, __path_public_key, __path_signature,
};
pub(super) use self::lookup::{by_addr, by_name, owner, public_key, signature};
pub(super) use self::register::__path_register;
pub(super) use self::register::register;
pub(super) use self::watch::{__path_checkpoint, __path_health, __path_ready};
pub(super) use self::watch::{checkpoint, health, ready};

/// Who is at the other end of the connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) IpAddr);

/// What everybody may ask.
pub(super) fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/name/{name}", get(by_name).post(register))
        .route("/name/{name}/publickey", get(public_key))
        .route("/name/{name}/signature", get(signature))
        .route("/name/{name}/owner", get(owner))
        .route("/addr/{addr}", get(by_addr))
        .route("/audit/checkpoint", get(checkpoint))
        .route("/openapi.json", get(openapi::serve))
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/", get(page::page))
        .route("/style.css", get(page::style))
        .fallback(nothing_here)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(Arc::clone(&state), admit))
        .with_state(state)
}

/// What whoever runs the server may ask.
pub(super) fn monitor(state: Arc<State>) -> Router {
    Router::new()
        .route("/metrics", get(watch::metrics))
        .route("/health", get(health))
        .route("/ready", get(ready))
        .fallback(nothing_here)
        .with_state(state)
}

async fn nothing_here() -> Response {
    refusal(StatusCode::NOT_FOUND, "there is nothing here")
}

async fn wrong_method() -> Response {
    refusal(StatusCode::METHOD_NOT_ALLOWED, "this is not done here")
}

fn route(request: &Request) -> Route {
    let path = request.uri().path();
    if path.starts_with("/name/") {
        match request.method().as_str() {
            "POST" => Route::Register,
            _ => Route::Name,
        }
    } else if path.starts_with("/addr/") {
        Route::Addr
    } else {
        Route::Other
    }
}

/// Counts, and refuses who asks too much.
async fn admit(Shared(state): Shared<Arc<State>>, request: Request, next: Next) -> Response {
    let began = instant();
    let route = route(&request);
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0);
    let admitted = peer.map_or(Ok(()), |peer| {
        let client = source::client(peer, request.headers(), &state.config.proxies);
        let source = Source::new(client);
        match route {
            Route::Register => state
                .registrations
                .check(source, began)
                .and_then(|()| state.all_registrations.check(began)),
            Route::Name | Route::Addr | Route::Other => state
                .lookups
                .check(source, began)
                .and_then(|()| state.all_lookups.check(began)),
        }
    });
    let response = match admitted {
        Ok(()) => next.run(request).await,
        Err(too_much) => too_many(too_much),
    };
    state
        .metrics
        .request(route, response.status(), began.elapsed());
    response
}

fn too_many(TooMuch(wait): TooMuch) -> Response {
    let seconds = wait.as_secs().saturating_add(1).to_string();
    let refused = refusal(
        StatusCode::TOO_MANY_REQUESTS,
        "too many requests, try again later",
    );
    ([("retry-after", seconds)], refused).into_response()
}
