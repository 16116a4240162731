//! Small signs: who types, and what the others are told.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use baraza_core::{Command, Reply};

use super::{contact_id, conversation_id, unexpected};
use crate::body::Input;
use crate::error::ApiError;
use crate::server::State;
use crate::types::{ChangeSettings, Rejoin, Settings, Typing};

/// Tells the others that one types, or stopped. It ends by itself after 12 seconds.
#[utoipa::path(post, path = "/api/v1/accounts/{account}/conversations/{conversation}/typing",
    tag = "messages", params(("account" = String, Path, description = "Local name or Jami ID"),
        ("conversation" = String, Path, description = "Its id")),
    request_body = Typing,
    responses((status = 204), (status = 404, body = crate::error::Problem)))]
pub(crate) async fn typing(
    Shared(state): Shared<Arc<State>>,
    Path((account, conversation)): Path<(String, String)>,
    Input(typing): Input<Typing>,
) -> Result<StatusCode, ApiError> {
    let account = state.account(&account)?;
    let command = Command::SetComposing {
        conversation: conversation_id(&conversation)?,
        active: typing.active,
    };
    match state.ask(account, command).await? {
        Reply::Done => Ok(StatusCode::NO_CONTENT),
        other => Err(unexpected(other)),
    }
}

/// Sets the own copy of a conversation aside and clones it anew from a member, whose history
/// is checked as ever; own texts that are not in it are written again. For conversations with
/// `diverged` commits, when the others have repaired theirs.
#[utoipa::path(post, path = "/api/v1/accounts/{account}/conversations/{conversation}/rejoin",
    tag = "conversations", params(("account" = String, Path, description = "Local name or Jami ID"),
        ("conversation" = String, Path, description = "Its id")),
    request_body = Rejoin,
    responses((status = 204), (status = 403, body = crate::error::Problem),
        (status = 404, body = crate::error::Problem)))]
pub(crate) async fn rejoin(
    Shared(state): Shared<Arc<State>>,
    Path((account, conversation)): Path<(String, String)>,
    Input(rejoin): Input<Rejoin>,
) -> Result<StatusCode, ApiError> {
    let account = state.account(&account)?;
    let command = Command::Rejoin {
        conversation: conversation_id(&conversation)?,
        from: rejoin.from.as_deref().map(contact_id).transpose()?,
    };
    match state.ask(account, command).await? {
        Reply::Done => Ok(StatusCode::NO_CONTENT),
        other => Err(unexpected(other)),
    }
}

/// What the others are told.
#[utoipa::path(get, path = "/api/v1/accounts/{account}/settings", tag = "accounts",
    params(("account" = String, Path, description = "Local name or Jami ID")),
    responses((status = 200, body = Settings)))]
pub(crate) async fn settings(
    Shared(state): Shared<Arc<State>>,
    Path(account): Path<String>,
) -> Result<Json<Settings>, ApiError> {
    ask(&state, &account, Command::Settings).await
}

/// Changes what the others are told: whether one types, and what one has read.
#[utoipa::path(patch, path = "/api/v1/accounts/{account}/settings", tag = "accounts",
    params(("account" = String, Path, description = "Local name or Jami ID")),
    request_body = ChangeSettings, responses((status = 200, body = Settings)))]
pub(crate) async fn change_settings(
    Shared(state): Shared<Arc<State>>,
    Path(account): Path<String>,
    Input(change): Input<ChangeSettings>,
) -> Result<Json<Settings>, ApiError> {
    let command = Command::ChangeSettings {
        typing: change.typing,
        receipts: change.receipts,
    };
    ask(&state, &account, command).await
}

async fn ask(state: &State, account: &str, command: Command) -> Result<Json<Settings>, ApiError> {
    let account = state.account(account)?;
    match state.ask(account, command).await? {
        Reply::Settings(settings) => Ok(Json(settings.into())),
        other => Err(unexpected(other)),
    }
}
