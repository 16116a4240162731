//! Commands with files.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, bail};
use baraza_core::event::{EventBody, LocalId};
use baraza_core::{Command, FileSource, FileStatus, Reply, SharedFile};
use baraza_wire::{CommitId, ConversationId};
use serde_json::{Value, json};

use crate::arguments::Arguments;
use crate::commands::{Peer, conversation, next_of};
use crate::output::flat;

impl Peer {
    /// Sends a file; the message, when it is there.
    pub(crate) async fn send_file(&self, mut with: Arguments) -> anyhow::Result<Value> {
        let account = self.account(&mut with)?;
        let conversation = conversation(&mut with)?;
        let path = PathBuf::from(with.required("path")?);
        let mut name = with.text("name")?;
        let wait = with.seconds("wait", 60.0)?;
        with.end()?;
        if name.is_empty() {
            let last = path.file_name().context("the path has no last part")?;
            name = last.to_string_lossy().into_owned();
        }
        let command = Command::SendFile {
            conversation,
            source: FileSource::Path(path),
            name,
            reply_to: None,
        };
        let node = self.node.clone();
        let sending = async move { node.command(account, command).await };
        if wait.is_zero() {
            drop(tokio::spawn(sending));
            return Ok(json!({}));
        }
        let sent = tokio::time::timeout(wait, sending).await;
        let Reply::Message(id) = sent.context("not sent in time")?? else {
            bail!("not a message");
        };
        let history = Command::History {
            conversation,
            from: Some(id),
            count: 1,
        };
        match self.node.command(account, history).await? {
            Reply::History(messages) => Ok(messages.first().map_or(Value::Null, flat)),
            other => bail!("not a message: {other:?}"),
        }
    }

    /// Fetches a file, and writes a copy of it.
    pub(crate) async fn accept_file(&self, mut with: Arguments) -> anyhow::Result<Value> {
        let account = self.account(&mut with)?;
        let conversation = conversation(&mut with)?;
        let message: CommitId = with.id("message")?;
        let file_id = with.required("file")?;
        let path = PathBuf::from(with.required("path")?);
        let timeout = with.seconds("timeout", 300.0)?;
        with.end()?;
        let deadline = Instant::now() + timeout;
        let mut events = self.node.subscribe();
        let file = self.file(account, conversation, message).await?;
        if file.file_id != file_id {
            bail!("the file's id is {}", file.file_id);
        }
        let accept = Command::AcceptFile {
            conversation,
            message,
        };
        self.node.command(account, accept).await?;
        if timeout.is_zero() {
            return Ok(json!({}));
        }
        loop {
            let file = self.file(account, conversation, message).await?;
            if let (FileStatus::Here, Some(content)) = (file.status, &file.path) {
                return copied(content, &path, &file_id).await;
            }
            if Instant::now() >= deadline {
                bail!(
                    "{:?}, {} of {} bytes",
                    file.status,
                    file.received,
                    file.size
                );
            }
            next_of(&mut events, deadline, |body| {
                matches!(body, EventBody::FileChanged { .. })
            })
            .await;
        }
    }

    pub(crate) async fn cancel_file(&self, mut with: Arguments) -> anyhow::Result<Value> {
        let account = self.account(&mut with)?;
        let conversation = conversation(&mut with)?;
        let file_id = with.required("file")?;
        with.end()?;
        let (message, _) = file_id.split_once('_').context("not the id of a file")?;
        let command = Command::CancelFile {
            conversation,
            message: message.parse().context("not the id of a file")?,
        };
        self.node.command(account, command).await?;
        Ok(json!(0))
    }

    async fn file(
        &self,
        account: LocalId,
        conversation: ConversationId,
        message: CommitId,
    ) -> anyhow::Result<SharedFile> {
        let command = Command::File {
            conversation,
            message,
        };
        match self.node.command(account, command).await? {
            Reply::File(file) => Ok(file),
            other => bail!("not a file: {other:?}"),
        }
    }
}

async fn copied(from: &Path, to: &Path, file_id: &str) -> anyhow::Result<Value> {
    tokio::fs::copy(from, to)
        .await
        .with_context(|| to.display().to_string())?;
    Ok(json!({ "event": "dataTransferEvent", "file_id": file_id, "code": 6, "state": "finished" }))
}
