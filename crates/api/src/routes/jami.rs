//! Accounts of an existing peer on the node's machine.

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::response::Response;
use baraza_core::node::JamiImport;
use baraza_identity::Password;
use tokio::sync::mpsc;

use super::backups::{PROGRESS_QUEUE, lines};
use crate::body::Input;
use crate::error::ApiError;
use crate::server::State;
use crate::types::keep::{ImportJami, JamiProgress};

/// Brings accounts here from the data directory of Jami, with contacts and conversations;
/// it is only read. The answer is lines of progress; the last one is the report.
#[utoipa::path(post, path = "/api/v1/accounts/import-jami", tag = "accounts",
    request_body = ImportJami,
    responses((status = 200, body = JamiProgress, content_type = "application/x-ndjson")))]
pub(crate) async fn import_jami(
    Shared(state): Shared<Arc<State>>,
    Input(import): Input<ImportJami>,
) -> Result<Response, ApiError> {
    if import
        .directory
        .as_ref()
        .is_some_and(|it| !it.is_absolute())
    {
        let text = "the directory is given as an absolute path";
        return Err(ApiError::unprocessable("invalid", text));
    }
    let (sender, written) = mpsc::channel(PROGRESS_QUEUE);
    let node = state.node.clone();
    state.tasks.spawn(async move {
        let told = sender.clone();
        let progress = move |step: &str| {
            // A client that does not read loses progress, not the account.
            let _full = told.try_send(JamiProgress::Step(step.to_owned()));
        };
        let import = JamiImport {
            directory: import.directory,
            password: Some(Password::new(import.password)).filter(|it| !it.is_empty()),
            take_devices: import.take_devices,
        };
        let last = match node.import_jami(import, progress).await {
            Ok(report) => JamiProgress::Report(report.into()),
            Err(error) => JamiProgress::Error(ApiError::from(error).into()),
        };
        let _gone = sender.send(last).await;
    });
    Ok(lines(written))
}
