//! Where the node begins in the network.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Shared;

use crate::body::Input;
use crate::error::ApiError;
use crate::server::State;
use crate::types::network::{ChooseBootstrap, NetworkView};

/// How the node is in the network, and where it begins.
#[utoipa::path(get, path = "/api/v1/network", tag = "network",
    responses((status = 200, body = NetworkView)))]
pub(crate) async fn show(Shared(state): Shared<Arc<State>>) -> Json<NetworkView> {
    view(&state)
}

/// Begins at these hosts from now on, and asks them at once.
#[utoipa::path(put, path = "/api/v1/network/bootstrap", tag = "network",
    request_body = ChooseBootstrap,
    responses((status = 200, body = NetworkView), (status = 422, body = crate::error::Problem)))]
pub(crate) async fn choose(
    Shared(state): Shared<Arc<State>>,
    Input(choice): Input<ChooseBootstrap>,
) -> Result<Json<NetworkView>, ApiError> {
    state.node.set_bootstrap(Some(choice.hosts))?;
    Ok(view(&state))
}

/// Begins at the hosts again that the node was started with.
#[utoipa::path(delete, path = "/api/v1/network/bootstrap", tag = "network",
    responses((status = 200, body = NetworkView)))]
pub(crate) async fn forget(
    Shared(state): Shared<Arc<State>>,
) -> Result<Json<NetworkView>, ApiError> {
    state.node.set_bootstrap(None)?;
    Ok(view(&state))
}

pub(super) fn view(state: &State) -> Json<NetworkView> {
    let addresses = state.node.dht_addresses().into_iter();
    Json(NetworkView {
        bootstrap: state.node.bootstrap(),
        chosen: state.node.chosen_bootstrap().is_some(),
        given: state.node.config().bootstrap_given,
        local: state.node.looks_around(),
        addresses: addresses.map(|address| address.to_string()).collect(),
    })
}
