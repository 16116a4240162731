//! Bringing an account to a new device, the password of its archive, and whether it uses the
//! network.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use baraza_identity::pin::Pin;

use super::accounts::{identity, make, password};
use crate::body::Input;
use crate::error::ApiError;
use crate::server::State;
use crate::types::{Account, ChangePassword, LinkByPin, LinkPin, NewLinkPin, Progress};

/// Puts the account on the DHT for ten minutes, encrypted: a new device finds it with the
/// PIN in the answer (and the account's password, if it has one).
#[utoipa::path(post, path = "/api/v1/accounts/{account}/devices/pin", tag = "devices",
    params(("account" = String, Path, description = "Local name or Jami ID")),
    request_body = NewLinkPin,
    responses((status = 201, body = LinkPin), (status = 422, body = crate::error::ErrorBody),
        (status = 503, body = crate::error::ErrorBody)))]
pub(crate) async fn pin(
    Shared(state): Shared<Arc<State>>,
    Path(account): Path<String>,
    Input(new): Input<NewLinkPin>,
) -> Result<(StatusCode, Json<LinkPin>), ApiError> {
    let account = state.account(&account)?;
    let offer = state
        .node
        .export_pin(account, password(new.password))
        .await?;
    let pin = LinkPin {
        pin: offer.pin.to_lower_case(),
        expires: offer.expires,
        has_password: offer.has_password,
    };
    Ok((StatusCode::CREATED, Json(pin)))
}

/// Makes this a device of the account that another device put under a PIN. A client that
/// goes away while it is looked for gives up. When it is found, the answer goes on as that
/// to making an account.
#[utoipa::path(post, path = "/api/v1/accounts/link", tag = "accounts",
    request_body = LinkByPin,
    responses((status = 201, body = Account), (status = 200, body = Progress,
        content_type = "application/x-ndjson"),
        (status = 404, body = crate::error::ErrorBody),
        (status = 409, body = crate::error::ErrorBody)))]
pub(crate) async fn link(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    Input(link): Input<LinkByPin>,
) -> Result<Response, ApiError> {
    let pin: Pin = link
        .pin
        .parse()
        .map_err(|error: baraza_identity::pin::PinError| {
            ApiError::unprocessable("bad_pin", error.to_string())
        })?;
    let password = password(link.password);
    let node = state.node.clone();
    let archive = node.find_by_pin(pin, password.clone()).await?;
    make(state, &headers, move |progress| async move {
        node.add_device(archive, password, link.display_name, progress)
            .await
    })
    .await
}

/// Gives the account's archive on this device another password, or none. The account's
/// other devices keep theirs.
#[utoipa::path(post, path = "/api/v1/accounts/{account}/password", tag = "accounts",
    params(("account" = String, Path, description = "Local name or Jami ID")),
    request_body = ChangePassword,
    responses((status = 204), (status = 422, body = crate::error::ErrorBody)))]
pub(crate) async fn change_password(
    Shared(state): Shared<Arc<State>>,
    Path(account): Path<String>,
    Input(change): Input<ChangePassword>,
) -> Result<StatusCode, ApiError> {
    let account = state.account(&account)?;
    let (old, new) = (password(change.password), password(change.new_password));
    state.node.change_password(account, old, new).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets the account use the network again.
#[utoipa::path(post, path = "/api/v1/accounts/{account}/enable", tag = "accounts",
    params(("account" = String, Path, description = "Local name or Jami ID")),
    responses((status = 200, body = Account)))]
pub(crate) async fn enable(
    Shared(state): Shared<Arc<State>>,
    Path(account): Path<String>,
) -> Result<Json<Account>, ApiError> {
    set_enabled(&state, &account, true).await
}

/// Takes the account off the network, until it is enabled again: its connections are closed,
/// and others are not told any more that it is there. Everything can be read, and what is
/// written waits.
#[utoipa::path(post, path = "/api/v1/accounts/{account}/disable", tag = "accounts",
    params(("account" = String, Path, description = "Local name or Jami ID")),
    responses((status = 200, body = Account)))]
pub(crate) async fn disable(
    Shared(state): Shared<Arc<State>>,
    Path(account): Path<String>,
) -> Result<Json<Account>, ApiError> {
    set_enabled(&state, &account, false).await
}

async fn set_enabled(
    state: &State,
    account: &str,
    enabled: bool,
) -> Result<Json<Account>, ApiError> {
    let account = state.account(account)?;
    state.node.set_enabled(account, enabled).await?;
    identity(state, account).await.map(Json)
}
