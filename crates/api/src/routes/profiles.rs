//! Profiles: one's own, and those of others.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use baraza_core::{Command, Reply};
use baraza_wire::AccountId;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{contact_id, unexpected};
use crate::body::LargeInput;
use crate::error::ApiError;
use crate::server::State;
use crate::types::{NewProfile, ProfileView};

async fn read(
    state: &State,
    account: &str,
    of: Option<AccountId>,
) -> Result<Json<ProfileView>, ApiError> {
    let account = state.account(account)?;
    match state.ask(account, Command::Profile { of }).await? {
        Reply::Profile(profile) => {
            let picture = profile.picture;
            Ok(Json(ProfileView {
                id: profile.id,
                name: profile.name,
                picture_type: picture.as_ref().map(|it| format!("image/{}", it.kind)),
                picture: picture.map(|it| STANDARD.encode(it.bytes)),
            }))
        }
        other => Err(unexpected(other)),
    }
}

/// The own profile: what those see with whom this account shares a conversation.
#[utoipa::path(get, path = "/api/v1/accounts/{account}/profile", tag = "profiles",
    params(("account" = String, Path, description = "Local name or Jami ID")),
    responses((status = 200, body = ProfileView), (status = 404, body = crate::error::Problem)))]
pub(crate) async fn own(
    Shared(state): Shared<Arc<State>>,
    Path(account): Path<String>,
) -> Result<Json<ProfileView>, ApiError> {
    read(&state, &account, None).await
}

/// Changes the own profile.
#[utoipa::path(patch, path = "/api/v1/accounts/{account}/profile", tag = "profiles",
    params(("account" = String, Path, description = "Local name or Jami ID")),
    request_body = NewProfile,
    responses((status = 204), (status = 422, body = crate::error::Problem)))]
pub(crate) async fn change(
    Shared(state): Shared<Arc<State>>,
    Path(account): Path<String>,
    LargeInput(new): LargeInput<NewProfile>,
) -> Result<StatusCode, ApiError> {
    let account = state.account(&account)?;
    let picture = new.picture.map(|text| STANDARD.decode(text)).transpose();
    let picture = picture.map_err(|error| {
        ApiError::unprocessable("invalid", format!("the picture is not base64: {error}"))
    })?;
    let command = Command::SetProfile {
        name: new.name,
        picture,
    };
    match state.ask(account, command).await? {
        Reply::Done => Ok(StatusCode::NO_CONTENT),
        other => Err(unexpected(other)),
    }
}

/// What somebody shows of themselves.
#[utoipa::path(get, path = "/api/v1/accounts/{account}/contacts/{id}/profile", tag = "profiles",
    params(("account" = String, Path, description = "Local name or Jami ID"),
        ("id" = String, Path, description = "Whose: the Jami ID")),
    responses((status = 200, body = ProfileView), (status = 404, body = crate::error::Problem)))]
pub(crate) async fn show(
    Shared(state): Shared<Arc<State>>,
    Path((account, id)): Path<(String, String)>,
) -> Result<Json<ProfileView>, ApiError> {
    let of = contact_id(&id)?;
    read(&state, &account, Some(of)).await
}
