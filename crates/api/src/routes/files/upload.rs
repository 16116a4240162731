//! Taking in the content of a file as it comes, without holding it.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use baraza_core::{Staged, Staging};
use futures_util::StreamExt as _;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use crate::error::ApiError;

/// Pieces that wait for the disk.
const WAITING: usize = 16;
/// How long a client may be silent.
const PATIENCE: Duration = Duration::from_secs(60);

/// Takes the whole body in. Of one that breaks off, nothing is left.
pub(crate) async fn take(staging: Staging, body: Body) -> Result<Staged, ApiError> {
    let (pieces, mut received) = mpsc::channel::<Bytes>(WAITING);
    let writing = spawn_blocking(move || {
        let mut staging = staging;
        while let Some(piece) = received.blocking_recv() {
            staging.write(&piece)?;
        }
        Ok::<_, std::io::Error>(staging)
    });
    let mut body = body.into_data_stream();
    let result = loop {
        match tokio::time::timeout(PATIENCE, body.next()).await {
            Ok(Some(Ok(piece))) => {
                if pieces.send(piece).await.is_err() {
                    // Why it does not write any more, it says below.
                    break Ok(());
                }
            }
            Ok(None) => break Ok(()),
            Ok(Some(Err(error))) => {
                tracing::debug!(%error, "an upload broke off");
                break Err(ApiError::bad_request("body_broken", "the body broke off"));
            }
            Err(_elapsed) => {
                break Err(ApiError::new(
                    StatusCode::REQUEST_TIMEOUT,
                    "body_timeout",
                    "the body did not arrive in time",
                ));
            }
        }
    };
    drop(pieces);
    let stopped = |_| ApiError::stopping();
    let staging = writing.await.map_err(stopped)?.map_err(refused)?;
    result?;
    let finished = spawn_blocking(move || staging.finish()).await;
    finished.map_err(stopped)?.map_err(refused)
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn refused(error: std::io::Error) -> ApiError {
    let message = format!("the file cannot be stored: {error}");
    ApiError::new(StatusCode::INSUFFICIENT_STORAGE, "cannot_store", message)
}
