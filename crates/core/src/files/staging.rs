//! Contents that are taken in, before anybody has sent them.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use baraza_swarm::Stop;
use baraza_wire::Rng;
use bytes::Bytes;

use super::writer::{After, Writer};
use super::{Area, BLOCK, Digest, FileError, need_room, place, sync_directory};

/// A content that is being taken in. Removed if it is dropped before it is whole.
#[derive(Debug)]
pub struct Staging {
    writer: Writer,
    directory: PathBuf,
    path: Option<PathBuf>,
    size: u64,
}

/// A content that is whole and on stable storage, to be sent with
/// [`crate::Command::SendFile`]. Removed at the next start if that does not happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staged {
    pub(crate) path: PathBuf,
    /// The SHA3-512 of it, in hex.
    pub sha3: String,
    /// Its length.
    pub size: u64,
}

impl Staging {
    /// Begins a content in an account's staging directory, under a name of its own.
    pub(crate) fn create(directory: &Path, name: u64) -> io::Result<Self> {
        if let Some(above) = directory.parent() {
            baraza_store::files::private_directory(above)?;
        }
        baraza_store::files::private_directory(directory)?;
        let path = directory.join(format!("{name:016x}"));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        Ok(Self {
            writer: Writer::new(file, Digest::new(), After::ReadSoon),
            directory: directory.to_owned(),
            path: Some(path),
            size: 0,
        })
    }

    /// Begins a content for the account in a directory, unless there is no room.
    pub(crate) fn begin(account: &Path, length: u64) -> Result<Self, FileError> {
        let directory = Area::new(account).staging();
        let staging = Self::create(&directory, Rng::from_os().u64())?;
        need_room(&directory, length)?;
        Ok(staging)
    }

    /// Adds to it. Takes its time: not for async threads.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.take(Bytes::copy_from_slice(bytes))
    }

    fn take(&mut self, bytes: Bytes) -> io::Result<()> {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.size = self.size.saturating_add(length);
        self.writer.write(&[bytes])
    }

    /// It is whole. Waits for the disk.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn finish(mut self) -> io::Result<Staged> {
        self.writer.sync()?;
        sync_directory(&self.directory)?;
        let sha3 = self.writer.digest()?.finish();
        Ok(Staged {
            path: self.path.take().unwrap_or_default(),
            sha3,
            size: self.size,
        })
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // What is left is removed at the next start.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Staged {
    /// Takes a copy of a file.
    pub(crate) fn import(
        source: &Path,
        directory: &Path,
        name: u64,
        stop: &Stop,
    ) -> Result<Self, FileError> {
        let file = File::open(source)?;
        if !file.metadata()?.is_file() {
            let text = format!("{} is not a file", source.display());
            return Err(FileError::Disk(text));
        }
        Self::copy(file, directory, name, stop)
    }

    /// Takes a copy of an open file.
    pub(crate) fn copy(
        mut file: File,
        directory: &Path,
        name: u64,
        stop: &Stop,
    ) -> Result<Self, FileError> {
        let mut staging = Staging::create(directory, name)?;
        need_room(directory, file.metadata()?.len())?;
        let most = u64::try_from(BLOCK).unwrap_or(u64::MAX);
        loop {
            if stop.is_set() {
                return Err(FileError::Stopped);
            }
            let mut block = Vec::with_capacity(BLOCK);
            if (&mut file).take(most).read_to_end(&mut block)? == 0 {
                break;
            }
            staging.take(block.into())?;
        }
        Ok(staging.finish()?)
    }

    /// Moves it to where contents are, in the directory of a conversation. Returns when it
    /// was changed.
    pub(crate) fn place(&self, directory: &Path) -> Result<u64, FileError> {
        Ok(place(&self.path, &directory.join(&self.sha3))?)
    }

    /// Removes it.
    pub(crate) fn discard(&self) {
        // What is left is removed at the next start.
        let _ = std::fs::remove_file(&self.path);
    }
}
