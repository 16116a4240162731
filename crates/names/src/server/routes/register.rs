//! Registrations.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};

use super::answers::{failed, json, not_registered};
use crate::directory::Record;
use crate::json::{MAX_REQUEST, RequestError};
use crate::name::Name;
use crate::record::Registration;
use crate::server::{State, checkpoints, work};
use crate::store::Outcome;

/// Have a name.
///
/// The signature is that of the account's key over the name, in lower case, and nothing
/// else. A name, once registered, stays with its Jami ID.
#[utoipa::path(post, path = "/name/{name}", tag = "names",
    params(
        ("name" = String, Path, pattern = "^[a-z0-9_-]{3,32}$", description = "The name: 3 to 32 of a to z, 0 to 9, - and _"),
        ("X-Baraza-Work" = Option<String>, Header,
            description = "Proof of work, where the server wants it"),
    ),
    request_body = super::RegisterRequest,
    responses(
        (status = 200, description = "It is, now or since before", body = super::Registered),
        (status = 400, description = "Incomplete, or no name can be so", body = super::Refused),
        (status = 401, description = "Signature or key are wrong", body = super::Refused),
        (status = 403, description = "Somebody has it, or one that looks the same, or the ID has another", body = super::Refused),
        (status = 408, description = "The body did not come in time", body = super::Refused),
        (status = 413, description = "The body is too long", body = super::Refused),
        (status = 428, description = "Proof of work is wanted, of so many bits as X-Baraza-Work-Bits says", body = super::Refused),
        (status = 429, description = "Too many registrations; see Retry-After", body = super::Refused),
    ))]
pub(crate) async fn register(
    Shared(state): Shared<Arc<State>>,
    asked: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match judge(&state, asked, &headers, body).await {
        Ok(()) => json(StatusCode::OK, r#"{"success":true}"#.into()),
        Err(refused) => refused,
    }
}

async fn judge(
    state: &State,
    asked: Result<Path<String>, PathRejection>,
    headers: &HeaderMap,
    body: Body,
) -> Result<(), Response> {
    let refuse = |status, error: &str| not_registered(status, error, None);
    let bad = |error: &str| refuse(StatusCode::BAD_REQUEST, error);
    let Path(text) = asked.map_err(|_| bad("invalid name: it is no text"))?;
    let name = Name::new(&text).map_err(|error| bad(&format!("invalid name: {error}")))?;

    let reading = axum::body::to_bytes(body, MAX_REQUEST);
    let body = match tokio::time::timeout(state.config.limits.body_time, reading).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => {
            let error = format!("the body has more than {MAX_REQUEST} bytes, or was cut short");
            return Err(refuse(StatusCode::PAYLOAD_TOO_LARGE, &error));
        }
        Err(_elapsed) => {
            let error = "the body did not come in time";
            return Err(refuse(StatusCode::REQUEST_TIMEOUT, error));
        }
    };
    let registration = Registration::from_json(&body).map_err(|error| match error {
        RequestError::TooLarge => refuse(StatusCode::PAYLOAD_TOO_LARGE, &error.to_string()),
        _ => bad(&error.to_string()),
    })?;
    let likeness = state.config.likeness;
    if state.config.reserved.contains(&name, likeness) {
        return Err(refuse(StatusCode::FORBIDDEN, "this name is reserved"));
    }
    let wanted = state.config.work_bits;
    if wanted > 0 {
        let text = headers
            .get(work::HEADER)
            .and_then(|text| text.to_str().ok());
        if text.is_none_or(|text| work::bits(&name, registration.addr, text) < wanted) {
            let error = format!(
                "proof of work of {wanted} bits is wanted in {}",
                work::HEADER
            );
            let refused = refuse(StatusCode::PRECONDITION_REQUIRED, &error);
            return Err(([(work::BITS_HEADER, wanted.to_string())], refused).into_response());
        }
    }
    // Where the connection is served: less than the time that another thread takes to wake up.
    registration
        .verify(&name)
        .map_err(|error| refuse(StatusCode::UNAUTHORIZED, &error.to_string()))?;
    let record = Record::new(name.clone(), &registration);
    let stored = state.store.register(record, likeness, checkpoints::now());
    let taken =
        |error: &str, name: Option<&str>| not_registered(StatusCode::FORBIDDEN, error, name);
    match stored.await {
        Err(error) => Err(failed(state, &error)),
        Ok(Outcome::Registered) => {
            state.metrics.registered.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
        Ok(Outcome::Same) => Ok(()),
        Ok(Outcome::NameTaken) => Err(taken("name already registered", None)),
        Ok(Outcome::Reserved) => Err(taken("this name is reserved", None)),
        Ok(Outcome::IdHasName(other)) => Err(taken(
            "this Jami ID has a name already",
            Some(other.as_str()),
        )),
        Ok(Outcome::Alike(other)) => Err(taken(
            &format!("{name} looks like {other}, which somebody has"),
            Some(other.as_str()),
        )),
    }
}
