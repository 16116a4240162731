//! Bodies, path parts and queries: read with limits, refused with a reason.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use serde::Deserialize as _;
use serde::de::{DeserializeOwned, Deserializer, Error as _, IntoDeserializer as _};

use crate::error::ApiError;

/// Longest JSON body (docs/protocol/08-local-api.md B3).
pub const MAX_BODY: usize = 1024 * 1024;
/// Longest body of an import: an archive in base64.
pub const MAX_ARCHIVE_BODY: usize = 8 * 1024 * 1024;
/// How long a client may take to send its body.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// A JSON object in the body.
#[derive(Debug)]
pub(crate) struct Input<T>(pub(crate) T);

/// A JSON object in the body, with room for an archive.
#[derive(Debug)]
pub(crate) struct LargeInput<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Input<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        read(request, MAX_BODY).await.map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for LargeInput<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        read(request, MAX_ARCHIVE_BODY).await.map(Self)
    }
}

async fn read<T: DeserializeOwned>(request: Request, limit: usize) -> Result<T, ApiError> {
    // A form in a foreign page can send text/plain, never this (without asking first).
    let json = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
    if !json {
        return Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "not_json",
            "the body must have the content type application/json",
        ));
    }
    parse(&collect(request.into_body(), limit).await?)
}

async fn collect(body: Body, limit: usize) -> Result<Bytes, ApiError> {
    match tokio::time::timeout(BODY_TIMEOUT, axum::body::to_bytes(body, limit)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => {
            let message = format!("the body could not be read, or has more than {limit} bytes");
            tracing::debug!(%error, "body refused");
            Err(ApiError::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body_too_large",
                message,
            ))
        }
        Err(_elapsed) => Err(ApiError::new(
            StatusCode::REQUEST_TIMEOUT,
            "body_timeout",
            "the body did not arrive in time",
        )),
    }
}

/// The object in a body: JSON, UTF-8, no unknown keys.
///
/// # Errors
/// `bad_json` if it is no JSON, `bad_fields` if it is JSON of another shape.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    // Without this, an array with the values of the fields would do.
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        let message = "the body must be a JSON object";
        return Err(ApiError::bad_request("bad_fields", message));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        let (code, message) = match error.classify() {
            serde_json::error::Category::Data => {
                ("bad_fields", format!("the body has wrong fields: {error}"))
            }
            _ => ("bad_json", format!("the body is no JSON: {error}")),
        };
        ApiError::bad_request(code, message)
    })
}

/// A whole number below 2^63, as the description says of all of them and as SQLite keeps them.
pub(crate) fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let number = u64::deserialize(deserializer)?;
    match i64::try_from(number) {
        Ok(_) => Ok(number),
        Err(_) => Err(D::Error::custom("the number is too large")),
    }
}

/// The same where it may be left out.
pub(crate) fn maybe_whole<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u64>, D::Error> {
    match Option::<u64>::deserialize(deserializer)? {
        Some(number) => whole(number.into_deserializer()).map(Some),
        None => Ok(None),
    }
}

/// The query of a URL.
#[derive(Debug)]
pub(crate) struct Params<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        axum::extract::Query::<T>::from_request_parts(parts, state)
            .await
            .map(|query| Self(query.0))
            .map_err(|error| ApiError::bad_request("bad_query", error.body_text()))
    }
}
