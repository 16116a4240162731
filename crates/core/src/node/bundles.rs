//! Conversations in files, for devices that never meet.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use baraza_store::files;
use baraza_swarm::bundle::{Bundle, BundleError};
use baraza_swarm::pack::PackLimits;
use baraza_wire::{CommitId, ConversationId, Rng, UnixTime};
use serde::{Deserialize, Serialize};

use super::{Node, NodeError, lock, now};
use crate::command::{BundleInput, Command, CommandError, Reply};
use crate::event::LocalId;
use crate::keys::Keys;

/// What copies that are being exported are called.
const STAGING: &str = ".staging";

/// From where on a conversation is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// All of it.
    Beginning,
    /// What came since the last export.
    LastExport,
    /// What a device lacks that has this commit.
    Commit(CommitId),
}

/// What was written to a bundle, or read from one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleReport {
    /// The conversation.
    pub conversation: ConversationId,
    /// Its newest commit: what to export from the next time.
    pub mark: CommitId,
    /// What a receiver must have already.
    pub since: Option<CommitId>,
    /// Bytes of the pack in it.
    pub bytes: u64,
    /// Messages and other commits that were not here yet; when importing.
    pub news: u64,
    /// When it was made.
    pub created: UnixTime,
}

fn refused(error: BundleError) -> NodeError {
    match error {
        BundleError::Io(error) if error.kind() == io::ErrorKind::StorageFull => {
            NodeError::Refused("the disk is full".to_owned())
        }
        error => NodeError::Refused(error.to_string()),
    }
}

/// Removes copies that a crash left.
pub(super) fn remove_stale(data_dir: &Path) {
    for entry in fs::read_dir(data_dir).into_iter().flatten().flatten() {
        if entry
            .file_name()
            .as_encoded_bytes()
            .ends_with(STAGING.as_bytes())
        {
            // Otherwise the next start tries again.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// A directory for a copy; removed when dropped.
struct Copy(PathBuf);

impl Drop for Copy {
    fn drop(&mut self) {
        // Otherwise the next start removes it.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Node {
    /// Writes a conversation, or what is new in it, to the file `target`, which must not be
    /// there yet.
    ///
    /// # Errors
    /// If there is no such conversation, nothing new, or the file cannot be written.
    pub async fn export_conversation(
        &self,
        account: LocalId,
        conversation: ConversationId,
        since: Since,
        target: PathBuf,
    ) -> Result<BundleReport, NodeError> {
        let number = lock(&self.inner.engines)
            .get(&account)
            .map(|running| running.row.number)
            .ok_or(NodeError::NoSuchAccount)?;
        let key = format!("exported.{conversation}");
        let since = match since {
            Since::Beginning => None,
            Since::Commit(commit) => Some(commit),
            Since::LastExport => {
                let last = lock(&self.inner.store).setting(number, &key)?;
                last.and_then(|text| text.parse().ok())
            }
        };
        let name = format!("export-{:016x}{STAGING}", Rng::from_os().u64());
        let copy = Copy(self.inner.config.data_dir.join(name));
        files::private_directory(&copy.0).map_err(|source| NodeError::Io {
            path: copy.0.clone(),
            source,
        })?;
        let into = copy.0.join(conversation.to_hex());
        let command = Command::Snapshot {
            conversation,
            into: into.clone(),
        };
        self.command(account, command).await?;
        let directory = self.account_directory(account);
        let written = tokio::task::spawn_blocking(move || {
            let keys = Keys::load(&directory)?;
            let written = Bundle::write(&into, since, &keys.identity, now().unix, &target);
            drop(copy);
            written.map_err(refused)
        });
        let header = written.await.map_err(|_| NodeError::Stopped)??;
        let mark = header.head.to_hex();
        lock(&self.inner.store).set_setting(number, &key, Some(&mark))?;
        Ok(BundleReport {
            conversation,
            mark: header.head,
            since: header.since,
            bytes: header.length,
            news: 0,
            created: header.created,
        })
    }

    /// Takes in a conversation, or what is new in it, from a file.
    ///
    /// # Errors
    /// If the file is damaged, not of a member of the conversation, begins after what is
    /// here, or breaks the conversation's rules; or if one is no member oneself.
    pub async fn import_conversation(
        &self,
        account: LocalId,
        file: PathBuf,
    ) -> Result<BundleReport, NodeError> {
        let spool = self.account_directory(account);
        let read = tokio::task::spawn_blocking(move || {
            // Whoever asks named the file: what is wrong with it is theirs to hear.
            let input = File::open(&file).map_err(|error| {
                NodeError::Refused(format!("cannot read {}: {error}", file.display()))
            })?;
            let limits = PackLimits::default();
            Bundle::read(input, &spool, &limits, now().unix).map_err(refused)
        });
        let bundle = read.await.map_err(|_| NodeError::Stopped)??;
        let header = bundle.header.clone();
        let bundle = BundleInput::new(bundle);
        let news = match self
            .command(account, Command::ImportBundle { bundle })
            .await?
        {
            Reply::Count(news) => news,
            _ => 0,
        };
        Ok(BundleReport {
            conversation: header.conversation,
            mark: header.head,
            since: header.since,
            bytes: header.length,
            news,
            created: header.created,
        })
    }
}

impl From<CommandError> for NodeError {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::NoSuchAccount => Self::NoSuchAccount,
            CommandError::Stopped => Self::Stopped,
            CommandError::Name(problem) => Self::Name(problem),
            CommandError::Store(text) => Self::Store(text),
            other => Self::Refused(other.to_string()),
        }
    }
}
