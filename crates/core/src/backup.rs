//! One encrypted file with everything of a data directory, made while the node runs, and a
//! data directory made from it.
//!
//! Inside of the encryption ([`baraza_identity::sealed`]) is a description of the whole, then
//! one file after the other ([`entries`]). The database comes first; each conversation is
//! copied afterwards, at a point of its own between two changes. So the copies of the
//! repositories are never behind the copy of the database, which is how a crash leaves them,
//! too: at its next start an account indexes what is in the repositories only.

pub mod entries;
mod restore;
mod write;

use std::io;
use std::path::{Path, PathBuf};

use baraza_identity::sealed::SealedError;
use baraza_store::StoreError;
use baraza_wire::{AccountId, UnixTime};
use serde::{Deserialize, Serialize};

use crate::event::LocalId;

pub(crate) use restore::restore_telling;
pub use restore::{restore, verify};
pub use write::{Progress, write_stopped};
pub(crate) use write::{Source, snapshot_of, write};

/// Shortest password of a backup, in bytes: it holds the keys of all accounts.
pub const MIN_PASSWORD: usize = 8;
/// Where copies are made before they are written, in the data directory.
pub(crate) const STAGING: &str = "backup.staging";
/// Directories of an account with what was sent and received beside the messages.
const FILES: [&str; 2] = ["conversation_data", "files"];
/// Setting of an account: when it was last in a backup or exported.
pub(crate) const BACKED_UP: &str = "backed_up";

/// What is in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of the format.
    pub format: u32,
    /// The version of Baraza that made it.
    pub program: String,
    /// When.
    pub created: UnixTime,
    /// Whether files sent and received are in it, too.
    pub files: bool,
    /// The accounts.
    pub accounts: Vec<BackedUp>,
}

/// An account in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackedUp {
    /// Its local name.
    pub account: LocalId,
    /// Its Jami ID.
    pub jami_id: AccountId,
    /// The name it shows.
    pub display_name: String,
}

/// What was written, or read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What is in the backup.
    pub manifest: Manifest,
    /// Conversations in it.
    pub conversations: u64,
    /// Files in it.
    pub entries: u64,
    /// Bytes of these files.
    pub content: u64,
    /// Bytes of the backup.
    pub size: u64,
}

/// Why there is no backup, or nothing was made from it. Nothing is left behind then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// A file cannot be read or written.
    #[error("{}: {source}", .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no room.
    #[error("the disk is full: there is no room left for {}", .0.display())]
    Full(PathBuf),
    /// There is something where it would have to be.
    #[error("{} is there already; nothing is ever overwritten", .0.display())]
    Exists(PathBuf),
    /// Wrong password, damaged, cut: see there.
    #[error(transparent)]
    Sealed(SealedError),
    /// The backup is whole, but what it says makes no sense.
    #[error("this is no backup that can be used: {0}")]
    Malformed(&'static str),
    /// The password is too short.
    #[error("the password of a backup has at least {MIN_PASSWORD} bytes")]
    Password,
    /// Another backup is being made.
    #[error("another backup is being made")]
    Busy,
    /// A whole backup is restored where nothing is yet.
    #[error("there are accounts here: a whole backup can be restored on a node without any")]
    AccountsHere,
    /// An account in it cannot be used.
    #[error("{0}")]
    Account(String),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something that has to be copied changed or went meanwhile.
    #[error("{0} changed while it was copied; try again")]
    Changed(String),
}

impl BackupError {
    /// What went wrong with which file.
    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full(path),
            io::ErrorKind::AlreadyExists => Self::Exists(path),
            _ => Self::Io { path, source },
        }
    }

    /// As [`Self::at`], where the error may be of the sealed stream.
    fn sealed(path: &Path) -> impl FnOnce(SealedError) -> Self {
        let at = Self::at(path);
        move |error| match error {
            SealedError::Io(error) => match SealedError::from_io(error) {
                SealedError::Io(error) => at(error),
                sealed => Self::Sealed(sealed),
            },
            sealed => Self::Sealed(sealed),
        }
    }

    /// A stable name, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "io",
            Self::Full(_) => "disk_full",
            Self::Exists(_) => "exists",
            Self::Sealed(SealedError::WrongPassword) => "wrong_password",
            Self::Sealed(SealedError::Cut(_)) => "cut",
            Self::Sealed(SealedError::Damaged(_)) => "damaged",
            Self::Sealed(SealedError::Newer(_)) => "newer",
            Self::Sealed(_) | Self::Malformed(_) => "no_backup",
            Self::Password => "short_password",
            Self::Busy => "busy",
            Self::AccountsHere => "accounts_here",
            Self::Account(_) => "account",
            Self::Store(_) => "database",
            Self::Changed(_) => "changed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_disk_is_told_as_such() {
        let path = Path::new("/mnt/stick/all.baraza");
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
            let error = BackupError::sealed(path)(SealedError::Io(kind.into()));
            assert_eq!(error.code(), "disk_full");
            assert!(error.to_string().contains("disk is full"), "{error}");
        }
        let wrapped = io::Error::other(SealedError::Damaged(7));
        let error = BackupError::sealed(path)(SealedError::Io(wrapped));
        assert_eq!(error.code(), "damaged");
    }
}
