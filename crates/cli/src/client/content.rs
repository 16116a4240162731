//! Contents of files to and from the node, without holding them.

use std::path::Path;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use hyper::{Method, header};
use serde::de::DeserializeOwned;
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Client, collect, no_answer, refusal};
use crate::error::CliError;

/// Bytes read at once.
const BLOCK: u64 = 256 << 10;

impl Client {
    /// Gives the node the content of a file.
    pub(crate) async fn upload<T: DeserializeOwned>(
        &self,
        path: &str,
        file: &Path,
    ) -> Result<T, CliError> {
        let failed = CliError::file("cannot read the file");
        let file = File::open(file).await.map_err(failed)?;
        let failed = CliError::file("cannot read the file");
        let length = file.metadata().await.map_err(failed)?.len();
        let body = stream::try_unfold(file, |mut file| async move {
            let mut block = Vec::new();
            let read = (&mut file).take(BLOCK).read_to_end(&mut block).await?;
            let frame = Frame::data(Bytes::from(block));
            Ok::<_, std::io::Error>((read > 0).then_some((frame, file)))
        });
        let request = self
            .request(Method::POST, path)
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .header(header::CONTENT_LENGTH, length)
            .body(StreamBody::new(Box::pin(body)))
            .map_err(no_answer)?;
        let answer = self.exchange(request).await?;
        let status = answer.status();
        let bytes = collect(answer.into_body()).await?;
        if !status.is_success() {
            return Err(refusal(status.as_u16(), &bytes));
        }
        serde_json::from_slice(&bytes).map_err(no_answer)
    }

    /// Writes what the node gives to a file that must not be there yet.
    pub(crate) async fn download(&self, path: &str, to: &Path) -> Result<(), CliError> {
        let answer = self.ask(Method::GET, path, None::<&()>, "*/*").await?;
        let status = answer.status();
        let mut body = answer.into_body();
        if !status.is_success() {
            return Err(refusal(status.as_u16(), &collect(body).await?));
        }
        let failed = || CliError::file("cannot write the file");
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(to)
            .await
            .map_err(failed())?;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(no_answer)?;
            let piece = frame.data_ref().map_or(&[][..], |data| data.as_ref());
            file.write_all(piece).await.map_err(failed())?;
        }
        file.sync_all().await.map_err(failed())
    }
}
