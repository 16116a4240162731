//! Files: sending, fetching, and reading them.

mod content;
mod upload;

pub(crate) use self::content::answer;
pub(crate) use self::upload::take;

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use baraza_core::{Command, FileSource, FileStatus, Reply, SharedFile};
use serde::Deserialize;

use super::{conversation_id, message_id, unexpected};
use crate::body::{Input, Params};
use crate::error::ApiError;
use crate::paging::{Page, Paged};
use crate::server::State;
use crate::types::{AutoAccept, FileView, Written};

/// What a file that is sent is called.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewFile {
    name: String,
    reply_to: Option<String>,
}

/// Sends a file: its content is the body, which may be of any length. A recorded clip is
/// sent as `NAME.ogg`, `NAME.webm` or the like: nothing else tells it from other files.
#[utoipa::path(post, path = "/api/v1/accounts/{account}/conversations/{conversation}/files",
    tag = "files", params(("account" = String, Path, description = "Local name or Jami ID"),
        ("conversation" = String, Path, description = "Its id"),
        ("name" = String, Query, description = "Its name"),
        ("reply_to" = Option<String>, Query, description = "The message this answers")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, body = Written), (status = 404, body = crate::error::Problem),
        (status = 422, body = crate::error::Problem)))]
pub(crate) async fn send(
    Shared(state): Shared<Arc<State>>,
    Path((account, conversation)): Path<(String, String)>,
    Params(new): Params<NewFile>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Written>), ApiError> {
    // A form in a foreign page can send text/plain, never this (without asking first).
    let binary = headers.get(header::CONTENT_TYPE);
    if binary.is_none_or(|kind| kind != "application/octet-stream") {
        return Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "not_binary",
            "the body must have the content type application/octet-stream",
        ));
    }
    let account = state.account(&account)?;
    let conversation = conversation_id(&conversation)?;
    let reply_to = new.reply_to.as_deref().map(message_id).transpose()?;
    // Before much is sent in vain.
    let exists = Command::ConversationInfo { conversation };
    state.ask(account, exists).await?;
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok())
        .unwrap_or(0);
    let staging = state.node.stage_file(account, length).await?;
    let staged = take(staging, body).await?;
    let command = Command::SendFile {
        conversation,
        source: FileSource::Staged(staged),
        name: new.name,
        reply_to,
    };
    match state.ask(account, command).await? {
        Reply::Message(id) => Ok((StatusCode::CREATED, Json(Written { id }))),
        other => Err(unexpected(other)),
    }
}

/// Files of a conversation, the newest first.
#[utoipa::path(get, path = "/api/v1/accounts/{account}/conversations/{conversation}/files",
    tag = "files", params(("account" = String, Path, description = "Local name or Jami ID"),
        ("conversation" = String, Path, description = "Its id")),
    responses((status = 200, body = Vec<FileView>), (status = 404, body = crate::error::Problem)))]
pub(crate) async fn list(
    Shared(state): Shared<Arc<State>>,
    Path((account, conversation)): Path<(String, String)>,
    page: Page,
) -> Result<Paged<FileView>, ApiError> {
    let account = state.account(&account)?;
    let conversation = conversation_id(&conversation)?;
    match state.ask(account, Command::Files { conversation }).await? {
        Reply::Files(files) => Ok(page.of(files.into_iter().map(Into::into).collect())),
        other => Err(unexpected(other)),
    }
}

async fn find(
    state: &State,
    account: &str,
    conversation: &str,
    message: &str,
) -> Result<SharedFile, ApiError> {
    let account = state.account(account)?;
    let command = Command::File {
        conversation: conversation_id(conversation)?,
        message: message_id(message)?,
    };
    match state.ask(account, command).await? {
        Reply::File(file) => Ok(file),
        other => Err(unexpected(other)),
    }
}

/// A file: where it is, and how much of it is here.
#[utoipa::path(get,
    path = "/api/v1/accounts/{account}/conversations/{conversation}/files/{message}",
    tag = "files", params(("account" = String, Path, description = "Local name or Jami ID"),
        ("conversation" = String, Path, description = "Its conversation"),
        ("message" = String, Path, description = "The message that offers it")),
    responses((status = 200, body = FileView), (status = 404, body = crate::error::Problem)))]
pub(crate) async fn show(
    Shared(state): Shared<Arc<State>>,
    Path((account, conversation, message)): Path<(String, String, String)>,
) -> Result<Json<FileView>, ApiError> {
    let file = find(&state, &account, &conversation, &message).await?;
    Ok(Json(file.into()))
}

/// The content of a file that is here; a part of it with `Range`.
#[utoipa::path(get,
    path = "/api/v1/accounts/{account}/conversations/{conversation}/files/{message}/content",
    tag = "files", params(("account" = String, Path, description = "Local name or Jami ID"),
        ("conversation" = String, Path, description = "Its conversation"),
        ("message" = String, Path, description = "The message that offers it"),
        ("Range" = Option<String>, Header, description = "One range of bytes"),
        ("If-None-Match" = Option<String>, Header, description = "The ETag of what is there already")),
    responses((status = 304, description = "It is the same"), (status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 206, body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 404, body = crate::error::Problem),
        (status = 409, body = crate::error::Problem),
        (status = 416, body = crate::error::Problem)))]
pub(crate) async fn download(
    Shared(state): Shared<Arc<State>>,
    Path((account, conversation, message)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let file = find(&state, &account, &conversation, &message).await?;
    let Some(path) = file.path.filter(|_| file.status == FileStatus::Here) else {
        let error = ApiError::conflict("file_not_here", "the file is not here yet");
        return Err(error.hint("accept it, and wait for the event file_changed"));
    };
    let etag = format!("\"{}\"", file.sha3sum);
    answer(&path, &file.name, &etag, &headers).await
}

async fn done(state: &State, account: &str, command: Command) -> Result<StatusCode, ApiError> {
    let account = state.account(account)?;
    match state.ask(account, command).await? {
        Reply::Done => Ok(StatusCode::NO_CONTENT),
        other => Err(unexpected(other)),
    }
}

/// Fetches a file from whoever has it; events of type `file_changed` say how it goes.
#[utoipa::path(post,
    path = "/api/v1/accounts/{account}/conversations/{conversation}/files/{message}/accept",
    tag = "files", params(("account" = String, Path, description = "Local name or Jami ID"),
        ("conversation" = String, Path, description = "Its conversation"),
        ("message" = String, Path, description = "The message that offers it")),
    responses((status = 204), (status = 404, body = crate::error::Problem)))]
pub(crate) async fn accept(
    Shared(state): Shared<Arc<State>>,
    Path((account, conversation, message)): Path<(String, String, String)>,
) -> Result<StatusCode, ApiError> {
    let command = Command::AcceptFile {
        conversation: conversation_id(&conversation)?,
        message: message_id(&message)?,
    };
    done(&state, &account, command).await
}

/// Does not fetch a file any further, and forgets what there is of it.
#[utoipa::path(post,
    path = "/api/v1/accounts/{account}/conversations/{conversation}/files/{message}/cancel",
    tag = "files", params(("account" = String, Path, description = "Local name or Jami ID"),
        ("conversation" = String, Path, description = "Its conversation"),
        ("message" = String, Path, description = "The message that offers it")),
    responses((status = 204), (status = 404, body = crate::error::Problem),
        (status = 422, body = crate::error::Problem)))]
pub(crate) async fn cancel(
    Shared(state): Shared<Arc<State>>,
    Path((account, conversation, message)): Path<(String, String, String)>,
) -> Result<StatusCode, ApiError> {
    let command = Command::CancelFile {
        conversation: conversation_id(&conversation)?,
        message: message_id(&message)?,
    };
    done(&state, &account, command).await
}

/// Takes one's own file back from everybody who follows that.
#[utoipa::path(delete,
    path = "/api/v1/accounts/{account}/conversations/{conversation}/files/{message}",
    tag = "files", params(("account" = String, Path, description = "Local name or Jami ID"),
        ("conversation" = String, Path, description = "Its conversation"),
        ("message" = String, Path, description = "The message that offers it")),
    responses((status = 201, body = Written), (status = 403, body = crate::error::Problem),
        (status = 404, body = crate::error::Problem)))]
pub(crate) async fn delete(
    Shared(state): Shared<Arc<State>>,
    Path((account, conversation, message)): Path<(String, String, String)>,
) -> Result<(StatusCode, Json<Written>), ApiError> {
    let account = state.account(&account)?;
    let command = Command::DeleteFile {
        conversation: conversation_id(&conversation)?,
        message: message_id(&message)?,
    };
    match state.ask(account, command).await? {
        Reply::Message(id) => Ok((StatusCode::CREATED, Json(Written { id }))),
        other => Err(unexpected(other)),
    }
}

/// How large files are that are fetched without being asked for.
#[utoipa::path(get, path = "/api/v1/accounts/{account}/auto-accept", tag = "files",
    params(("account" = String, Path, description = "Local name or Jami ID")),
    responses((status = 200, body = AutoAccept), (status = 404, body = crate::error::Problem)))]
pub(crate) async fn auto_accept(
    Shared(state): Shared<Arc<State>>,
    Path(account): Path<String>,
) -> Result<Json<AutoAccept>, ApiError> {
    let account = state.account(&account)?;
    match state.ask(account, Command::AutoAccept).await? {
        Reply::Count(limit) => Ok(Json(AutoAccept { limit })),
        other => Err(unexpected(other)),
    }
}

/// Sets that.
#[utoipa::path(patch, path = "/api/v1/accounts/{account}/auto-accept", tag = "files",
    params(("account" = String, Path, description = "Local name or Jami ID")),
    request_body = AutoAccept,
    responses((status = 204), (status = 404, body = crate::error::Problem)))]
pub(crate) async fn set_auto_accept(
    Shared(state): Shared<Arc<State>>,
    Path(account): Path<String>,
    Input(new): Input<AutoAccept>,
) -> Result<StatusCode, ApiError> {
    let command = Command::SetAutoAccept { limit: new.limit };
    done(&state, &account, command).await
}
