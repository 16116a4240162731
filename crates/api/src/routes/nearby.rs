//! Who is in the local network.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State as Shared};
use baraza_core::LocalId;

use super::network;
use crate::body::Input;
use crate::error::ApiError;
use crate::server::State;
use crate::types::network::{LookAround, NearbyView, NetworkView, ShowNearby};

/// Looks for nodes and people in the local network from now on, or not.
///
/// Other nodes there see this node then; accounts are seen only if each is told to be.
#[utoipa::path(put, path = "/api/v1/network/local", tag = "nearby", request_body = LookAround,
    responses((status = 200, body = NetworkView), (status = 422, body = crate::error::Problem),
        (status = 503, body = crate::error::Problem)))]
pub(crate) async fn look_around(
    Shared(state): Shared<Arc<State>>,
    Input(choice): Input<LookAround>,
) -> Result<Json<NetworkView>, ApiError> {
    state.node.look_around(choice.on)?;
    Ok(network::view(&state))
}

/// Who is in the local network, and whether the account shows itself there.
#[utoipa::path(get, path = "/api/v1/accounts/{account}/nearby", tag = "nearby",
    params(("account" = String, Path, description = "Local name or Jami ID")),
    responses((status = 200, body = NearbyView)))]
pub(crate) async fn show(
    Shared(state): Shared<Arc<State>>,
    Path(account): Path<String>,
) -> Result<Json<NearbyView>, ApiError> {
    view(&state, state.account(&account)?)
}

/// Shows the account to everybody in the local network from now on, or not: its Jami ID and name.
#[utoipa::path(patch, path = "/api/v1/accounts/{account}/nearby", tag = "nearby",
    params(("account" = String, Path, description = "Local name or Jami ID")),
    request_body = ShowNearby, responses((status = 200, body = NearbyView)))]
pub(crate) async fn change(
    Shared(state): Shared<Arc<State>>,
    Path(account): Path<String>,
    Input(choice): Input<ShowNearby>,
) -> Result<Json<NearbyView>, ApiError> {
    let account = state.account(&account)?;
    state.node.show_nearby(account, choice.shown)?;
    view(&state, account)
}

fn view(state: &State, account: LocalId) -> Result<Json<NearbyView>, ApiError> {
    Ok(Json(state.node.nearby(account)?.into()))
}
