//! Contents that are being fetched.

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use baraza_swarm::Stop;
use bytes::Bytes;

use super::writer::{After, Writer};
use super::{BLOCK, Digest, FileError, need_room, place};

/// A content that is being fetched, open for writing at its end.
#[derive(Debug)]
pub(crate) struct Sink {
    path: PathBuf,
    writer: Writer,
    length: u64,
}

/// What is known of a content that is not whole and not being fetched.
#[derive(Debug, Clone)]
pub(crate) struct Parked {
    digest: Digest,
    length: u64,
}

impl Sink {
    /// Goes on with what there is of a content of `total` bytes. What an earlier run left
    /// is read, for its hash, unless there is a `parked` that fits.
    pub(crate) fn open(
        path: PathBuf,
        parked: Option<Parked>,
        total: u64,
        stop: &Stop,
    ) -> Result<Self, FileError> {
        if let Some(directory) = path.parent() {
            if let Some(above) = directory.parent() {
                baraza_store::files::private_directory(above)?;
            }
            baraza_store::files::private_directory(directory)?;
        }
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)?;
        let mut length = file.metadata()?.len();
        if length > total {
            file.set_len(0)?;
            length = 0;
        }
        if let Some(directory) = path.parent() {
            need_room(directory, total.saturating_sub(length))?;
        }
        let digest = match parked.filter(|parked| parked.length == length) {
            Some(parked) => parked.digest,
            None => read_back(&file, length, stop)?,
        };
        Ok(Self {
            path,
            writer: Writer::new(file, digest, After::AtRest),
            length,
        })
    }

    /// How much there is.
    pub(crate) const fn length(&self) -> u64 {
        self.length
    }

    /// Adds to it.
    pub(crate) fn write(&mut self, pieces: &[Bytes]) -> Result<(), FileError> {
        self.writer.write(pieces)?;
        for piece in pieces {
            let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
            self.length = self.length.saturating_add(length);
        }
        Ok(())
    }

    /// It is whole: if it is what it should be, moves it to its place, durably, and returns
    /// when it was changed; else removes it.
    pub(crate) fn finish(mut self, to: &Path, sha3: &str) -> Result<u64, FileError> {
        // While the rest is hashed; if it is wrong, it only was written in vain.
        self.writer.ending()?;
        if self.writer.digest()?.finish() != sha3 {
            std::fs::remove_file(&self.path)?;
            return Err(FileError::Wrong);
        }
        self.writer.sync()?;
        Ok(place(&self.path, to)?)
    }

    /// Closes it for now. `None` if it has to be read again to go on.
    pub(crate) fn park(mut self) -> Option<Parked> {
        let digest = self.writer.digest().ok()?;
        Some(Parked {
            digest,
            length: self.length,
        })
    }
}

/// The hash of what is there already: so many bytes.
fn read_back(mut file: &File, length: u64, stop: &Stop) -> Result<Digest, FileError> {
    let mut digest = Digest::new();
    let mut left = length;
    let mut block = vec![0; BLOCK];
    while left > 0 {
        if stop.is_set() {
            return Err(FileError::Stopped);
        }
        let most = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        let Some(part) = block.get_mut(..most) else {
            break;
        };
        file.read_exact(part)?;
        digest.update(part);
        left = left.saturating_sub(u64::try_from(most).unwrap_or(left));
    }
    Ok(digest)
}

impl Parked {
    /// How much there is.
    pub(crate) const fn length(&self) -> u64 {
        self.length
    }
}
