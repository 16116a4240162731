//! Bringing an account to a new device, the password of its archive, and whether it uses the
//! network.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use baraza_core::{Command, NodeError, Reply, link_device as core};
use baraza_identity::Password;
use baraza_identity::pin::Pin;
use serde::Deserialize;
use tokio::time::timeout;

use super::accounts::{identity, make, password};
use super::unexpected;
use crate::body::{Input, Params};
use crate::error::ApiError;
use crate::server::State;
use crate::types::{
    Account, ChangePassword, ConfirmLink, LinkByPin, LinkDevice, LinkPin, LinkStatus, NewLink,
    NewLinkPin, Progress,
};

/// How long a client may wait for the next revision of a status.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Which revision the client has.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct After {
    /// Wait for a revision above this one.
    #[serde(default, deserialize_with = "crate::body::whole")]
    after: u64,
}

/// Puts the account on the DHT for ten minutes, encrypted: a new device finds it with the
/// PIN in the answer (and the account's password, if it has one).
#[utoipa::path(post, path = "/api/v1/accounts/{account}/devices/pin", tag = "devices",
    params(("account" = String, Path, description = "Local name or Jami ID")),
    request_body = NewLinkPin,
    responses((status = 201, body = LinkPin), (status = 422, body = crate::error::Problem),
        (status = 503, body = crate::error::Problem)))]
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
        (status = 404, body = crate::error::Problem),
        (status = 409, body = crate::error::Problem)))]
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

/// Begins to make this a device of an account: the answer goes on to change until the
/// token is there, which the other device is given (`devices/link` there).
#[utoipa::path(post, path = "/api/v1/link", tag = "link", request_body = NewLink,
    responses((status = 201, body = LinkStatus), (status = 409, body = crate::error::Problem)))]
pub(crate) async fn begin(
    Shared(state): Shared<Arc<State>>,
    Input(new): Input<NewLink>,
) -> Result<(StatusCode, Json<LinkStatus>), ApiError> {
    let status = state.node.link_here(new.display_name)?.borrow().clone();
    Ok((StatusCode::CREATED, Json(status.into())))
}

/// How far it is. With `after`, waits up to half a minute for a later revision.
#[utoipa::path(get, path = "/api/v1/link", tag = "link",
    params(("after" = Option<u64>, Query, description = "Wait for a revision above this one")),
    responses((status = 200, body = LinkStatus), (status = 404, body = crate::error::Problem)))]
pub(crate) async fn show(
    Shared(state): Shared<Arc<State>>,
    Params(query): Params<After>,
) -> Result<Json<LinkStatus>, ApiError> {
    let mut status = state.node.new_link().ok_or(NodeError::NoLink)?;
    let later = |status: &core::LinkStatus| status.revision > query.after;
    // When it is late, or the linking was given up, the newest that there is.
    wait(&state, status.wait_for(later)).await;
    let status = status.borrow().clone();
    Ok(Json(status.into()))
}

/// Makes this a device of the account that the status shows, whose password this is.
#[utoipa::path(post, path = "/api/v1/link/confirm", tag = "link", request_body = ConfirmLink,
    responses((status = 204), (status = 409, body = crate::error::Problem)))]
pub(crate) async fn confirm(
    Shared(state): Shared<Arc<State>>,
    Input(confirm): Input<ConfirmLink>,
) -> Result<StatusCode, ApiError> {
    let password = Password::new(confirm.password);
    state.node.confirm_new_link(password).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives it up.
#[utoipa::path(delete, path = "/api/v1/link", tag = "link",
    responses((status = 204), (status = 409, body = crate::error::Problem)))]
pub(crate) async fn cancel(Shared(state): Shared<Arc<State>>) -> Result<StatusCode, ApiError> {
    state.node.cancel_new_link().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Connects to the new device that shows this token. Nothing is given to it before that is
/// confirmed.
#[utoipa::path(post, path = "/api/v1/accounts/{account}/devices/link", tag = "devices",
    params(("account" = String, Path, description = "Local name or Jami ID")),
    request_body = LinkDevice,
    responses((status = 201, body = LinkStatus), (status = 409, body = crate::error::Problem),
        (status = 422, body = crate::error::Problem)))]
pub(crate) async fn add_device(
    Shared(state): Shared<Arc<State>>,
    Path(account): Path<String>,
    Input(link): Input<LinkDevice>,
) -> Result<(StatusCode, Json<LinkStatus>), ApiError> {
    let account = state.account(&account)?;
    let token: core::LinkToken = link.token.parse().map_err(|error: core::TokenError| {
        ApiError::unprocessable("bad_token", error.to_string())
    })?;
    match state.ask(account, Command::LinkDevice { token }).await? {
        Reply::Done => {}
        other => return Err(unexpected(other)),
    }
    let status = state.node.link_status(account)?.borrow().clone();
    let status = status.ok_or(NodeError::NoLink)?;
    Ok((StatusCode::CREATED, Json(status.into())))
}

/// How far the linking of a new device is. With `after`, waits up to half a minute for a
/// later revision.
#[utoipa::path(get, path = "/api/v1/accounts/{account}/devices/link", tag = "devices",
    params(("account" = String, Path, description = "Local name or Jami ID"),
        ("after" = Option<u64>, Query, description = "Wait for a revision above this one")),
    responses((status = 200, body = LinkStatus), (status = 409, body = crate::error::Problem)))]
pub(crate) async fn show_device(
    Shared(state): Shared<Arc<State>>,
    Path(account): Path<String>,
    Params(query): Params<After>,
) -> Result<Json<LinkStatus>, ApiError> {
    let account = state.account(&account)?;
    let mut status = state.node.link_status(account)?;
    let later = |status: &Option<core::LinkStatus>| {
        status
            .as_ref()
            .is_none_or(|status| status.revision > query.after)
    };
    wait(&state, status.wait_for(later)).await;
    let status = status.borrow().clone();
    Ok(Json(status.ok_or(NodeError::NoLink)?.into()))
}

/// Lets the new device that is connected have the account, if its user knows the password.
#[utoipa::path(post, path = "/api/v1/accounts/{account}/devices/link/confirm", tag = "devices",
    params(("account" = String, Path, description = "Local name or Jami ID")),
    responses((status = 204), (status = 409, body = crate::error::Problem)))]
pub(crate) async fn confirm_device(
    Shared(state): Shared<Arc<State>>,
    Path(account): Path<String>,
) -> Result<StatusCode, ApiError> {
    answer(&state, &account, Command::ConfirmLink).await
}

/// Does not let it.
#[utoipa::path(delete, path = "/api/v1/accounts/{account}/devices/link", tag = "devices",
    params(("account" = String, Path, description = "Local name or Jami ID")),
    responses((status = 204), (status = 409, body = crate::error::Problem)))]
pub(crate) async fn cancel_device(
    Shared(state): Shared<Arc<State>>,
    Path(account): Path<String>,
) -> Result<StatusCode, ApiError> {
    answer(&state, &account, Command::CancelLink).await
}

/// Waits for what is waited for, but not long, nor when the node ends.
async fn wait<T>(state: &State, what: impl Future<Output = T>) {
    tokio::select! {
        _ = timeout(LONGEST_WAIT, what) => {}
        () = state.stop.cancelled() => {}
    }
}

async fn answer(state: &State, account: &str, command: Command) -> Result<StatusCode, ApiError> {
    let account = state.account(account)?;
    match state.ask(account, command).await? {
        Reply::Done => Ok(StatusCode::NO_CONTENT),
        other => Err(unexpected(other)),
    }
}

/// Gives the account's archive on this device another password, or none. The account's
/// other devices keep theirs.
#[utoipa::path(post, path = "/api/v1/accounts/{account}/password", tag = "accounts",
    params(("account" = String, Path, description = "Local name or Jami ID")),
    request_body = ChangePassword,
    responses((status = 204), (status = 422, body = crate::error::Problem)))]
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
