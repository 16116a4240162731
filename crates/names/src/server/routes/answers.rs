//! What is answered.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use utoipa::ToSchema;

use crate::server::State;
use crate::store::StoreError;

/// Whose a name is.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "described here, written by hand for speed")]
pub(crate) struct Found {
    /// The name, in lower case.
    #[schema(pattern = "^[a-z0-9_-]{3,32}$")]
    name: String,
    /// The Jami ID behind `0x`.
    #[schema(pattern = "^0x[0-9a-f]{40}$")]
    addr: String,
    /// Base64 of the account's public key as it was received: PEM, sometimes with a NUL.
    publickey: Option<String>,
    /// Base64 of the account's signature over the name: RSA PKCS#1 v1.5 with SHA-512.
    signature: Option<String>,
}

/// The name of a Jami ID.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "described here, written by hand")]
pub(crate) struct Named {
    /// The name.
    #[schema(pattern = "^[a-z0-9_-]{3,32}$")]
    name: String,
}

/// One part of what is known of a name.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "described here, written by hand")]
pub(crate) struct Addressed {
    /// The name.
    name: String,
    /// If it was asked for: base64 of the public key.
    publickey: Option<String>,
    /// If it was asked for: base64 of the signature.
    signature: Option<String>,
    /// If it was asked for: the owner at servers with a chain.
    owner: Option<String>,
}

/// A registration was done.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "described here, written by hand")]
pub(crate) struct Registered {
    /// Always true.
    success: bool,
}

/// Something was refused.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "described here, written by hand")]
pub(crate) struct Refused {
    /// False, for a registration.
    success: Option<bool>,
    /// Why.
    error: String,
    /// The name that the Jami ID has already, or that the wanted one looks like.
    name: Option<String>,
}

/// A name is wanted.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "described here, read by another parser")]
pub(crate) struct RegisterRequest {
    /// The Jami ID; `0x` or `ring:` may be in front.
    #[schema(pattern = "^(ring:)?(0x)?(?!0{40}$)[0-9a-fA-F]{40}$")]
    addr: String,
    /// The address of the archive's Ethereum key; kept, never used.
    #[schema(pattern = "^(0x)?[0-9a-fA-F]{40}$")]
    owner: Option<String>,
    /// Base64 of the RSA PKCS#1 v1.5 signature with SHA-512 over the name.
    #[schema(
        min_length = 1,
        max_length = 1368,
        pattern = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$"
    )]
    signature: String,
    /// Base64 of the account's public key, PEM or DER; its SHA-1 is the Jami ID.
    #[schema(
        min_length = 1,
        max_length = 4096,
        pattern = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$"
    )]
    publickey: String,
}

/// The signed end of the log.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "described here, written by hand")]
pub(crate) struct CheckpointAnswer {
    /// The number of the last entry.
    seq: u64,
    /// Its hash, in hexadecimal digits.
    hash: String,
    /// When it was signed: seconds since 1970.
    time: u64,
    /// The Ed25519 key, in hexadecimal digits.
    key: String,
    /// The signature, in hexadecimal digits.
    signature: String,
}

/// JSON that is text already.
pub(super) fn json(status: StatusCode, body: String) -> Response {
    let kind = HeaderValue::from_static("application/json");
    (status, [(header::CONTENT_TYPE, kind)], body).into_response()
}

/// A refusal of a question.
pub(in crate::server) fn refusal(status: StatusCode, error: &str) -> Response {
    json(status, json!({ "error": error }).to_string())
}

/// A refusal of a registration.
pub(super) fn not_registered(status: StatusCode, error: &str, name: Option<&str>) -> Response {
    let mut body = json!({ "success": false, "error": error });
    if let (Some(name), Some(body)) = (name, body.as_object_mut()) {
        body.insert("name".into(), name.into());
    }
    json(status, body.to_string())
}

/// The directory failed: later may be better, or not. Its words are for the log.
pub(in crate::server) fn failed(state: &State, error: &StoreError) -> Response {
    state
        .metrics
        .failures
        .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    tracing::error!(%error, "the directory failed");
    match error {
        StoreError::Busy(_) => {
            let refused = refusal(StatusCode::SERVICE_UNAVAILABLE, "busy, try again");
            ([("retry-after", "2")], refused).into_response()
        }
        _ => refusal(StatusCode::INTERNAL_SERVER_ERROR, "server error"),
    }
}
