//! Whether somebody is who they say.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State as Shared};
use baraza_core::{Command, Reply};

use super::{contact_id, unexpected};
use crate::error::ApiError;
use crate::server::State;
use crate::types::PeerDevices;

/// Somebody's devices, as far as they are known, and whether a person compared their Jami ID
/// with what they showed.
#[utoipa::path(get, path = "/api/v1/accounts/{account}/contacts/{id}/devices", tag = "contacts",
    params(("account" = String, Path, description = "Local name or Jami ID"),
        ("id" = String, Path, description = "Jami ID")),
    responses((status = 200, body = PeerDevices)))]
pub(crate) async fn peer_devices(
    Shared(state): Shared<Arc<State>>,
    Path((account, id)): Path<(String, String)>,
) -> Result<Json<PeerDevices>, ApiError> {
    let of = contact_id(&id)?;
    ask(&state, &account, Command::PeerDevices { of }).await
}

/// Notes that a person compared somebody's Jami ID, which is the fingerprint of their key, with
/// what they showed on another way.
#[utoipa::path(put, path = "/api/v1/accounts/{account}/contacts/{id}/verified", tag = "contacts",
    params(("account" = String, Path, description = "Local name or Jami ID"),
        ("id" = String, Path, description = "Jami ID")),
    responses((status = 200, body = PeerDevices), (status = 422, body = crate::error::Problem)))]
pub(crate) async fn verify(
    Shared(state): Shared<Arc<State>>,
    Path((account, id)): Path<(String, String)>,
) -> Result<Json<PeerDevices>, ApiError> {
    let (of, verified) = (contact_id(&id)?, true);
    ask(&state, &account, Command::SetVerified { of, verified }).await
}

/// Forgets that.
#[utoipa::path(delete, path = "/api/v1/accounts/{account}/contacts/{id}/verified",
    tag = "contacts",
    params(("account" = String, Path, description = "Local name or Jami ID"),
        ("id" = String, Path, description = "Jami ID")),
    responses((status = 200, body = PeerDevices)))]
pub(crate) async fn unverify(
    Shared(state): Shared<Arc<State>>,
    Path((account, id)): Path<(String, String)>,
) -> Result<Json<PeerDevices>, ApiError> {
    let (of, verified) = (contact_id(&id)?, false);
    ask(&state, &account, Command::SetVerified { of, verified }).await
}

async fn ask(
    state: &State,
    account: &str,
    command: Command,
) -> Result<Json<PeerDevices>, ApiError> {
    let account = state.account(account)?;
    match state.ask(account, command).await? {
        Reply::PeerDevices(peer) => Ok(Json(peer.into())),
        other => Err(unexpected(other)),
    }
}
