//! Questions.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::answers::{failed, json, refusal};
use crate::directory::Record;
use crate::name::Name;
use crate::record::parse_addr;
use crate::server::State;
use crate::store::HeldState;

/// What stands in the path, or why it cannot be looked at.
type Asked = Result<Path<String>, PathRejection>;

fn no_text() -> Response {
    refusal(StatusCode::BAD_REQUEST, "the path is no text")
}

fn unknown() -> Response {
    refusal(StatusCode::NOT_FOUND, "name not registered")
}

/// The record that is found under a name, or what to answer instead.
async fn find(state: &State, asked: Asked) -> Result<Record, Response> {
    let Ok(Path(text)) = asked else {
        return Err(no_text());
    };
    let name = Name::from_typed(&text)
        .map_err(|error| refusal(StatusCode::BAD_REQUEST, &format!("invalid name: {error}")))?;
    match state.store.by_name(&name).await {
        Err(error) => Err(failed(state, &error)),
        Ok(Some(held)) if held.state == HeldState::Active => held.record.ok_or_else(unknown),
        Ok(_) => Err(unknown()),
    }
}

/// Whose is a name?
#[utoipa::path(get, path = "/name/{name}", tag = "names",
    params(("name" = String, Path, pattern = "^[A-Za-z0-9_-]{3,32}$", description = "The name; capital letters are made small")),
    responses(
        (status = 200, body = super::Found),
        (status = 400, description = "No name can be so", body = super::Refused),
        (status = 404, description = "Nobody has it", body = super::Refused),
        (status = 429, description = "Too many questions; see Retry-After", body = super::Refused),
    ))]
pub(crate) async fn by_name(Shared(state): Shared<Arc<State>>, asked: Asked) -> Response {
    match find(&state, asked).await {
        Ok(record) => json(StatusCode::OK, record.to_json()),
        Err(instead) => instead,
    }
}

/// Which name has a Jami ID?
#[utoipa::path(get, path = "/addr/{addr}", tag = "names",
    params(("addr" = String, Path, pattern = "^(ring:)?(0x)?(?!0{40}$)[0-9a-fA-F]{40}$", description = "The Jami ID; 0x or ring: may be in front")),
    responses(
        (status = 200, body = super::Named),
        (status = 400, description = "Not a Jami ID", body = super::Refused),
        (status = 404, description = "It has none", body = super::Refused),
        (status = 429, description = "Too many questions; see Retry-After", body = super::Refused),
    ))]
pub(crate) async fn by_addr(Shared(state): Shared<Arc<State>>, asked: Asked) -> Response {
    let Ok(Path(text)) = asked else {
        return no_text();
    };
    let Some(addr) = parse_addr(&text) else {
        let body = r#"{"success":false,"error":"not a Jami ID"}"#;
        return json(StatusCode::BAD_REQUEST, body.into());
    };
    match state.store.by_id(addr).await {
        Err(error) => failed(&state, &error),
        Ok(None) => refusal(StatusCode::NOT_FOUND, "address not registered"),
        // A name needs no escaping.
        Ok(Some(name)) => json(StatusCode::OK, format!(r#"{{"name":"{name}"}}"#)),
    }
}

/// One part of what is known of a name.
async fn part(
    state: &State,
    asked: Asked,
    key: &str,
    part: impl FnOnce(&Record) -> Option<String>,
) -> Response {
    match find(state, asked).await {
        Err(instead) => instead,
        Ok(record) => match part(&record) {
            None => unknown(),
            // Hexadecimal digits and base64 need no escaping.
            Some(value) => json(
                StatusCode::OK,
                format!(r#"{{"name":"{}","{key}":"{value}"}}"#, record.name),
            ),
        },
    }
}

/// The public key of the account that has a name.
#[utoipa::path(get, path = "/name/{name}/publickey", tag = "names",
    params(("name" = String, Path, pattern = "^[A-Za-z0-9_-]{3,32}$", description = "The name")),
    responses((status = 200, body = super::Addressed), (status = 400, body = super::Refused),
        (status = 404, body = super::Refused), (status = 429, body = super::Refused)))]
pub(crate) async fn public_key(Shared(state): Shared<Arc<State>>, asked: Asked) -> Response {
    part(&state, asked, "publickey", |record| {
        let signed = record.signed.as_ref()?;
        Some(STANDARD.encode(&signed.key))
    })
    .await
}

/// The account's signature over its name.
#[utoipa::path(get, path = "/name/{name}/signature", tag = "names",
    params(("name" = String, Path, pattern = "^[A-Za-z0-9_-]{3,32}$", description = "The name")),
    responses((status = 200, body = super::Addressed), (status = 400, body = super::Refused),
        (status = 404, body = super::Refused), (status = 429, body = super::Refused)))]
pub(crate) async fn signature(Shared(state): Shared<Arc<State>>, asked: Asked) -> Response {
    part(&state, asked, "signature", |record| {
        let signed = record.signed.as_ref()?;
        Some(STANDARD.encode(&signed.signature))
    })
    .await
}

/// The owner of a name at servers with a chain.
#[utoipa::path(get, path = "/name/{name}/owner", tag = "names",
    params(("name" = String, Path, pattern = "^[A-Za-z0-9_-]{3,32}$", description = "The name")),
    responses((status = 200, body = super::Addressed), (status = 400, body = super::Refused),
        (status = 404, body = super::Refused), (status = 429, body = super::Refused)))]
pub(crate) async fn owner(Shared(state): Shared<Arc<State>>, asked: Asked) -> Response {
    part(&state, asked, "owner", |record| {
        record.owner.map(|owner| format!("0x{}", owner.to_hex()))
    })
    .await
}
