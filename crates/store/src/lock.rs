//! One process for each data directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The lock of a data directory, held until dropped or until the process ends.
#[derive(Debug)]
pub struct DirectoryLock {
    _file: File,
}

/// Why a directory cannot be locked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another process has it.
    #[error("another process{} uses {}", .process.map(|id| format!(" ({id})")).unwrap_or_default(), .directory.display())]
    InUse {
        /// The directory.
        directory: PathBuf,
        /// The other process, if it says.
        process: Option<u32>,
    },
    /// The lock file cannot be used.
    #[error("cannot lock {}: {source}", .directory.display())]
    Io {
        /// The directory.
        directory: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl DirectoryLock {
    /// Locks a directory, which must exist.
    ///
    /// # Errors
    /// If another process has it, or the lock file cannot be made.
    pub fn acquire(directory: &Path) -> Result<Self, LockError> {
        let failed = |source| LockError::Io {
            directory: directory.to_owned(),
            source,
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(directory.join("lock"))
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let _ = Read::by_ref(&mut file).take(20).read_to_string(&mut text);
                return Err(LockError::InUse {
                    directory: directory.to_owned(),
                    process: text.trim().parse().ok(),
                });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        // For the error of the next one; the lock does not depend on it.
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self { _file: file })
    }
}
