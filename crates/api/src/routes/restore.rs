//! Restoring a whole backup on a node that has no accounts yet.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::Response;
use baraza_identity::Password;
use futures_util::StreamExt as _;
use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;

use super::backups::{PROGRESS_QUEUE, lines};
use crate::body::Input;
use crate::error::ApiError;
use crate::server::State;
use crate::types::keep::{RestoreBackup, RestoreProgress};

/// How long a client may be silent.
const PATIENCE: Duration = Duration::from_secs(60);
/// Files from one line of progress to the next.
const EVERY: u64 = 64;

/// Hands over a backup, to be restored then: the file as it is. For a node without accounts.
#[utoipa::path(put, path = "/api/v1/backups/uploaded", tag = "backups",
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 204), (status = 409, body = crate::error::Problem,
        description = "There are accounts here"),
        (status = 507, body = crate::error::Problem, description = "No room")))]
pub(crate) async fn upload(
    Shared(state): Shared<Arc<State>>,
    body: Body,
) -> Result<StatusCode, ApiError> {
    state.node.may_restore()?;
    let path = state.node.uploaded_backup();
    let taken = take(&path, body).await;
    if taken.is_err() {
        let _never_made = tokio::fs::remove_file(&path).await;
    }
    taken.map(|()| StatusCode::NO_CONTENT)
}

async fn take(path: &Path, body: Body) -> Result<(), ApiError> {
    let refused = |error: io::Error| {
        let message = format!("the backup cannot be stored: {error}");
        ApiError::new(StatusCode::INSUFFICIENT_STORAGE, "cannot_store", message)
    };
    let mut file: File = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .await
        .map_err(refused)?;
    let mut body = body.into_data_stream();
    loop {
        match tokio::time::timeout(PATIENCE, body.next()).await {
            Ok(Some(Ok(piece))) => file.write_all(&piece).await.map_err(refused)?,
            Ok(None) => break,
            Ok(Some(Err(error))) => {
                tracing::debug!(%error, "an upload broke off");
                return Err(ApiError::bad_request("body_broken", "the body broke off"));
            }
            Err(_elapsed) => {
                return Err(ApiError::new(
                    StatusCode::REQUEST_TIMEOUT,
                    "body_timeout",
                    "the body did not arrive in time",
                ));
            }
        }
    }
    file.flush().await.map_err(refused)
}

/// Restores a whole backup: one on the node's machine, or the one that was handed over. The
/// answer is lines of progress; after the last one the node starts again by itself, as what was
/// restored. For a node without accounts.
#[utoipa::path(post, path = "/api/v1/backups/restore", tag = "backups",
    request_body = RestoreBackup,
    responses((status = 200, body = RestoreProgress, content_type = "application/x-ndjson"),
        (status = 409, body = crate::error::Problem, description = "There are accounts here")))]
pub(crate) async fn restore(
    Shared(state): Shared<Arc<State>>,
    Input(wanted): Input<RestoreBackup>,
) -> Result<Response, ApiError> {
    state.node.may_restore()?;
    if wanted.file.as_ref().is_some_and(|file| !file.is_absolute()) {
        let text = "the file is given as an absolute path";
        return Err(ApiError::unprocessable("invalid", text));
    }
    let (sender, told) = mpsc::channel::<RestoreProgress>(PROGRESS_QUEUE);
    let node = state.node.clone();
    state.tasks.spawn(async move {
        let on_the_way = sender.clone();
        let progress = move |files: u64, bytes: u64| {
            if files % EVERY == 1 {
                // A client that does not read loses progress, nothing else.
                let _full = on_the_way.try_send(RestoreProgress::Read(files, bytes));
            }
        };
        let password = Password::new(wanted.password);
        let last = match node.restore(wanted.file, password, progress).await {
            Ok(report) => RestoreProgress::Restored(report.into()),
            Err(error) => RestoreProgress::Error(ApiError::from(error).into()),
        };
        let _gone = sender.send(last).await;
    });
    Ok(lines(told))
}
