//! Contents of files on the disk: taken in, fetched, read and checked. Nothing here is part
//! of an account's machine; what takes long is run aside ([`crate::Work`]).
//!
//! In an account's directory, `files/CONVERSATION/SHA3` is the content of a file, and
//! `files/CONVERSATION/MESSAGE.tmp` what there is of one that is being fetched. No part of
//! a path comes from the network but these hex digits.

mod digest;
mod sink;
mod source;
mod staging;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use baraza_wire::{CommitId, ConversationId};

pub(crate) use digest::Digest;
pub(crate) use sink::{Parked, Sink};
pub(crate) use source::{Source, check};
pub use staging::{Staged, Staging};

/// Bytes read or hashed in one go.
const BLOCK: usize = 1 << 20;
/// Bytes of a disk that are left free whatever somebody sends.
const KEEP_FREE: u64 = 64 << 20;

/// Where the contents of an account's files are.
#[derive(Debug, Clone)]
pub(crate) struct Area(PathBuf);

impl Area {
    /// Below the account's directory.
    pub(crate) fn new(account: &Path) -> Self {
        Self(account.join("files"))
    }

    /// All contents of one conversation.
    pub(crate) fn conversation(&self, conversation: &ConversationId) -> PathBuf {
        self.0.join(conversation.to_hex())
    }

    /// A content. `sha3` has been found to be hex digits.
    pub(crate) fn content(&self, conversation: &ConversationId, sha3: &str) -> PathBuf {
        self.conversation(conversation).join(sha3)
    }

    /// A content that is not whole yet.
    pub(crate) fn partial(&self, conversation: &ConversationId, message: &CommitId) -> PathBuf {
        let name = format!("{message}.tmp");
        self.conversation(conversation).join(name)
    }

    /// Where contents are written that nobody has sent yet.
    pub(crate) fn staging(&self) -> PathBuf {
        self.0.join("staging")
    }

    /// Moves a file or a directory away, under a name of its own; `None` if there is none.
    pub(crate) fn set_aside(&self, path: &Path, name: u64) -> io::Result<Option<PathBuf>> {
        let staging = self.staging();
        let aside = staging.join(format!("{name:016x}"));
        if !path.exists() {
            return Ok(None);
        }
        baraza_store::files::private_directory(&staging)?;
        std::fs::rename(path, &aside)?;
        Ok(Some(aside))
    }

    /// Removes what no conversation needs: a crash came between. `keep` says what one does
    /// need, by the name of the conversation's directory and of the file in it.
    pub(crate) fn tidy(&self, keep: impl Fn(&str, &str) -> bool) -> io::Result<()> {
        let entries = |path: &Path| match std::fs::read_dir(path) {
            Ok(entries) => entries.collect::<io::Result<Vec<_>>>(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        };
        for directory in entries(&self.0)? {
            let mut kept = false;
            for file in entries(&directory.path())? {
                let names = (directory.file_name(), file.file_name());
                match (names.0.to_str(), names.1.to_str()) {
                    (Some(directory), Some(name)) if keep(directory, name) => kept = true,
                    _ if file.file_type()?.is_dir() => std::fs::remove_dir_all(file.path())?,
                    _ => std::fs::remove_file(file.path())?,
                }
            }
            if !kept {
                std::fs::remove_dir(directory.path())?;
            }
        }
        Ok(())
    }
}

/// Why something could not be done with a content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FileError {
    /// The disk fails.
    #[error("the disk failed: {0}")]
    Disk(String),
    /// There would not be enough room left.
    #[error("there is not enough free space on the disk")]
    NoRoom,
    /// It is not what was said.
    #[error("the content is not what the message says")]
    Wrong,
    /// It was given up.
    #[error("given up")]
    Stopped,
}

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoRoom,
            _ => Self::Disk(error.to_string()),
        }
    }
}

/// Refuses to write so much that the disk would be full.
fn need_room(directory: &Path, bytes: u64) -> Result<(), FileError> {
    let disk = rustix::fs::statvfs(directory).map_err(io::Error::from)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free < bytes.saturating_add(KEEP_FREE) {
        return Err(FileError::NoRoom);
    }
    Ok(())
}

/// When a file was changed, in nanoseconds since 1970.
pub(crate) fn changed(metadata: &std::fs::Metadata) -> u64 {
    let changed = metadata.modified().ok();
    let since = changed.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since
        .and_then(|since| u64::try_from(since.as_nanos()).ok())
        .unwrap_or_default()
}

/// Makes the names in a directory durable.
fn sync_directory(path: &Path) -> io::Result<()> {
    std::fs::File::open(path)?.sync_all()
}

/// Moves a content to its place, durably. Returns when it was changed.
fn place(from: &Path, to: &Path) -> io::Result<u64> {
    if let Some(directory) = to.parent() {
        let new = !directory.exists();
        baraza_store::files::private_directory(directory)?;
        if let Some(above) = directory.parent().filter(|_| new) {
            sync_directory(above)?;
        }
        std::fs::rename(from, to)?;
        sync_directory(directory)?;
    }
    Ok(changed(&std::fs::metadata(to)?))
}

#[cfg(test)]
mod tests;
