//! The devices of an account, and what they agree about of conversations.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use baraza_core::{Command, LocalId, Reply};
use baraza_identity::Password;
use baraza_wire::DeviceId;

use super::{conversation_id, unexpected};
use crate::body::Input;
use crate::error::ApiError;
use crate::paging::{Page, Paged};
use crate::server::State;
use crate::types::{ChangeDevice, Device, RevokeDevice};

async fn devices(state: &State, account: LocalId) -> Result<Vec<Device>, ApiError> {
    match state.ask(account, Command::Devices).await? {
        Reply::Devices(devices) => Ok(devices.into_iter().map(Into::into).collect()),
        other => Err(unexpected(other)),
    }
}

fn device_id(text: &str) -> Result<DeviceId, ApiError> {
    text.parse()
        .map_err(|_not_an_id| baraza_core::NodeError::NoSuchDevice.into())
}

/// The devices of the account, this one first.
#[utoipa::path(get, path = "/api/v1/accounts/{account}/devices", tag = "devices",
    params(("account" = String, Path, description = "Local name or Jami ID")),
    responses((status = 200, body = Vec<Device>)))]
pub(crate) async fn list(
    Shared(state): Shared<Arc<State>>,
    Path(account): Path<String>,
    page: Page,
) -> Result<Paged<Device>, ApiError> {
    let account = state.account(&account)?;
    let list = devices(&state, account).await?;
    Ok(page.of(list))
}

/// Gives this device another name, which the account's other devices show, too.
#[utoipa::path(patch, path = "/api/v1/accounts/{account}/devices/{device}", tag = "devices",
    params(("account" = String, Path, description = "Local name or Jami ID"),
        ("device" = String, Path, description = "The id of this device")),
    request_body = ChangeDevice,
    responses((status = 200, body = Device), (status = 403, body = crate::error::Problem)))]
pub(crate) async fn rename(
    Shared(state): Shared<Arc<State>>,
    Path((account, device)): Path<(String, String)>,
    Input(change): Input<ChangeDevice>,
) -> Result<Json<Device>, ApiError> {
    let account = state.account(&account)?;
    let id = device_id(&device)?;
    let known = devices(&state, account).await?;
    match known.iter().find(|device| device.id == id) {
        None => return Err(baraza_core::NodeError::NoSuchDevice.into()),
        Some(device) if !device.current => {
            let text = "a device is named on that device";
            return Err(ApiError::new(StatusCode::FORBIDDEN, "not_allowed", text));
        }
        Some(_) => {}
    }
    let name = change.name;
    match state.ask(account, Command::RenameDevice { name }).await? {
        Reply::Done => {}
        other => return Err(unexpected(other)),
    }
    let renamed = devices(&state, account).await?;
    let renamed = renamed.into_iter().find(|device| device.id == id);
    renamed
        .map(Json)
        .ok_or_else(|| baraza_core::NodeError::NoSuchDevice.into())
}

/// Revokes another device of the account: whoever has it is refused from now on, here and
/// by all who learn of it. There is no way back.
#[utoipa::path(post, path = "/api/v1/accounts/{account}/devices/{device}/revoke",
    tag = "devices", params(("account" = String, Path, description = "Local name or Jami ID"),
        ("device" = String, Path, description = "Its id")),
    request_body = RevokeDevice,
    responses((status = 204), (status = 404, body = crate::error::Problem),
        (status = 422, body = crate::error::Problem)))]
pub(crate) async fn revoke(
    Shared(state): Shared<Arc<State>>,
    Path((account, device)): Path<(String, String)>,
    Input(revoke): Input<RevokeDevice>,
) -> Result<StatusCode, ApiError> {
    let account = state.account(&account)?;
    let id = device_id(&device)?;
    let password = Some(Password::new(revoke.password)).filter(|password| !password.is_empty());
    state.node.revoke_device(account, password, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// How a conversation is shown, on all devices of the account: `color`, `symbol`,
/// `ignoreNotifications` and others that clients agree about.
#[utoipa::path(get,
    path = "/api/v1/accounts/{account}/conversations/{conversation}/preferences",
    tag = "conversations", params(("account" = String, Path, description = "Local name or Jami ID"),
        ("conversation" = String, Path, description = "Its id")),
    responses((status = 200, body = BTreeMap<String, String>),
        (status = 404, body = crate::error::Problem)))]
pub(crate) async fn preferences(
    Shared(state): Shared<Arc<State>>,
    Path((account, conversation)): Path<(String, String)>,
) -> Result<Json<BTreeMap<String, String>>, ApiError> {
    let account = state.account(&account)?;
    let conversation = conversation_id(&conversation)?;
    match state
        .ask(account, Command::Preferences { conversation })
        .await?
    {
        Reply::Preferences(preferences) => Ok(Json(preferences)),
        other => Err(unexpected(other)),
    }
}

/// Changes how a conversation is shown: an empty value removes a preference, those left out
/// stay.
#[utoipa::path(patch,
    path = "/api/v1/accounts/{account}/conversations/{conversation}/preferences",
    tag = "conversations", params(("account" = String, Path, description = "Local name or Jami ID"),
        ("conversation" = String, Path, description = "Its id")),
    request_body = BTreeMap<String, String>,
    responses((status = 204), (status = 422, body = crate::error::Problem)))]
pub(crate) async fn change_preferences(
    Shared(state): Shared<Arc<State>>,
    Path((account, conversation)): Path<(String, String)>,
    Input(changes): Input<BTreeMap<String, String>>,
) -> Result<StatusCode, ApiError> {
    let account = state.account(&account)?;
    let command = Command::SetPreferences {
        conversation: conversation_id(&conversation)?,
        changes,
    };
    match state.ask(account, command).await? {
        Reply::Done => Ok(StatusCode::NO_CONTENT),
        other => Err(unexpected(other)),
    }
}
