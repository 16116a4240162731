//! Backups of everything, made by the node in files of its machine.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State as Shared;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use baraza_core::backup::BackupError;
use baraza_core::node::{BackupState, Schedule};
use baraza_identity::Password;
use serde::Serialize;
use tokio::sync::mpsc;

use crate::body::Input;
use crate::error::ApiError;
use crate::server::State;
use crate::types::keep::{BackupProgress, BackupSchedule, Backups, NewBackup};

/// Lines of progress that may wait for the client.
pub(super) const PROGRESS_QUEUE: usize = 16;
/// Files from one line of progress to the next.
const EVERY: u64 = 256;

impl From<BackupError> for ApiError {
    fn from(error: BackupError) -> Self {
        let (code, text) = (error.code(), error.to_string());
        match error {
            BackupError::Exists(_)
            | BackupError::Busy
            | BackupError::AccountsHere
            | BackupError::Changed(_) => Self::conflict(code, text),
            BackupError::Full(_) => Self::new(StatusCode::INSUFFICIENT_STORAGE, code, text),
            BackupError::Store(error) => Self::internal(&error),
            _ => Self::unprocessable(code, text),
        }
    }
}

/// How backups are doing.
#[utoipa::path(get, path = "/api/v1/backups", tag = "backups",
    responses((status = 200, body = Backups)))]
pub(crate) async fn state(Shared(state): Shared<Arc<State>>) -> Result<Json<Backups>, ApiError> {
    let mut never = Vec::new();
    for summary in state.node.accounts() {
        let id = summary.jami_id;
        let account = super::accounts::identity_or_failed(&state, summary).await?;
        if account.device_id.is_some() && account.backed_up.is_none() {
            never.push(id.to_hex());
        }
    }
    let BackupState {
        schedule,
        last,
        error,
        ..
    } = state.node.backup_state()?;
    let schedule = schedule.map(|schedule| BackupSchedule {
        directory: schedule.directory,
        every: schedule.every,
        keep: schedule.keep,
        password_file: schedule.password_file,
        files: schedule.files,
    });
    Ok(Json(Backups {
        schedule,
        last: last.map(baraza_wire::UnixTime::millis),
        error,
        never,
    }))
}

/// Makes a backup of all accounts with everything: one encrypted file. The answer is lines
/// of progress; the last one says what was made, or why there is nothing.
#[utoipa::path(post, path = "/api/v1/backups", tag = "backups", request_body = NewBackup,
    responses((status = 200, body = BackupProgress, content_type = "application/x-ndjson")))]
pub(crate) async fn make(
    Shared(state): Shared<Arc<State>>,
    Input(new): Input<NewBackup>,
) -> Result<Response, ApiError> {
    if !new.file.is_absolute() {
        let text = "the file is given as an absolute path";
        return Err(ApiError::unprocessable("invalid", text));
    }
    let (sender, written) = mpsc::channel::<BackupProgress>(PROGRESS_QUEUE);
    let node = state.node.clone();
    state.tasks.spawn(async move {
        let told = sender.clone();
        let progress = move |files: u64, bytes: u64| {
            if files % EVERY == 1 {
                // A client that does not read loses progress, not the backup.
                let _full = told.try_send(BackupProgress::Written(files, bytes));
            }
        };
        let password = Password::new(new.password);
        let last = match node.backup(new.file, password, new.files, progress).await {
            Ok(report) => BackupProgress::Made(report.into()),
            Err(error) => BackupProgress::Error(ApiError::from(error).into()),
        };
        let _gone = sender.send(last).await;
    });
    Ok(lines(written))
}

/// An answer of one JSON text a line, each as soon as it is there.
pub(super) fn lines<T: Serialize + Send + 'static>(mut written: mpsc::Receiver<T>) -> Response {
    let body = futures_util::stream::poll_fn(move |context| written.poll_recv(context));
    let body = futures_util::StreamExt::map(body, |line| {
        serde_json::to_vec(&line).map(|mut bytes| {
            bytes.push(b'\n');
            bytes
        })
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    (kind, Body::from_stream(body)).into_response()
}

/// Has the node make backups by itself, the first one at once.
#[utoipa::path(put, path = "/api/v1/backups/schedule", tag = "backups",
    request_body = BackupSchedule, responses((status = 204)))]
pub(crate) async fn set_schedule(
    Shared(state): Shared<Arc<State>>,
    Input(schedule): Input<BackupSchedule>,
) -> Result<StatusCode, ApiError> {
    state.node.set_backup_schedule(Some(Schedule {
        directory: schedule.directory,
        every: schedule.every,
        keep: schedule.keep,
        password_file: schedule.password_file,
        files: schedule.files,
    }))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends that; backups that were made stay.
#[utoipa::path(delete, path = "/api/v1/backups/schedule", tag = "backups",
    responses((status = 204)))]
pub(crate) async fn end_schedule(
    Shared(state): Shared<Arc<State>>,
) -> Result<StatusCode, ApiError> {
    state.node.set_backup_schedule(None)?;
    Ok(StatusCode::NO_CONTENT)
}
