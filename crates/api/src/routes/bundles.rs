//! Conversations in files of the node's machine, for devices that never meet.

use std::path::Path as FilePath;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State as Shared};
use baraza_core::node::Since;

use super::{conversation_id, message_id};
use crate::body::Input;
use crate::error::ApiError;
use crate::server::State;
use crate::types::keep::{BundleInfo, ExportConversation, ImportConversation};

fn absolute(file: &FilePath) -> Result<(), ApiError> {
    match file.is_absolute() {
        true => Ok(()),
        false => Err(ApiError::unprocessable(
            "invalid",
            "the file is given as an absolute path",
        )),
    }
}

/// Writes a conversation, or what is new in it, to a file signed by this device.
#[utoipa::path(post, path = "/api/v1/accounts/{account}/conversations/{conversation}/export",
    tag = "conversations", params(("account" = String, Path, description = "Local name or Jami ID"),
        ("conversation" = String, Path, description = "Its id")),
    request_body = ExportConversation,
    responses((status = 200, body = BundleInfo), (status = 422, body = crate::error::Problem)))]
pub(crate) async fn export(
    Shared(state): Shared<Arc<State>>,
    Path((account, conversation)): Path<(String, String)>,
    Input(export): Input<ExportConversation>,
) -> Result<Json<BundleInfo>, ApiError> {
    let account = state.account(&account)?;
    let conversation = conversation_id(&conversation)?;
    absolute(&export.file)?;
    let since = match export.since.as_deref() {
        None => Since::Beginning,
        Some("last") => Since::LastExport,
        Some(mark) => Since::Commit(message_id(mark)?),
    };
    let node = &state.node;
    let report = node
        .export_conversation(account, conversation, since, export.file)
        .await?;
    Ok(Json(report.into()))
}

/// Takes in a conversation, or what is new in it, from a file of a member. One to which the
/// account is invited is joined.
#[utoipa::path(post, path = "/api/v1/accounts/{account}/conversations/import",
    tag = "conversations", params(("account" = String, Path, description = "Local name or Jami ID")),
    request_body = ImportConversation,
    responses((status = 200, body = BundleInfo), (status = 422, body = crate::error::Problem)))]
pub(crate) async fn import(
    Shared(state): Shared<Arc<State>>,
    Path(account): Path<String>,
    Input(import): Input<ImportConversation>,
) -> Result<Json<BundleInfo>, ApiError> {
    let account = state.account(&account)?;
    absolute(&import.file)?;
    let report = state.node.import_conversation(account, import.file).await?;
    Ok(Json(report.into()))
}
