//! Contents that others fetch.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use baraza_swarm::Stop;
use bytes::Bytes;

use super::{BLOCK, Digest, FileError, changed};

/// A content, or a part of it, open for reading.
#[derive(Debug)]
pub(crate) struct Source {
    file: File,
    left: u64,
}

impl Source {
    /// From `start` to before `end`, or to the end if that is not above `start`.
    pub(crate) fn open(path: &Path, start: u64, end: u64) -> Result<Self, FileError> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        let end = if end > start { end.min(length) } else { length };
        if start > 0 {
            file.seek(SeekFrom::Start(start))?;
        }
        Ok(Self {
            file,
            left: end.saturating_sub(start),
        })
    }

    /// The next bytes, at most `most`; none at the end.
    pub(crate) fn read(&mut self, most: usize) -> Result<Bytes, FileError> {
        let most = u64::try_from(most).unwrap_or(u64::MAX).min(self.left);
        let mut bytes = Vec::with_capacity(usize::try_from(most).unwrap_or_default());
        let read = (&mut self.file).take(most).read_to_end(&mut bytes)?;
        let read = u64::try_from(read).unwrap_or(u64::MAX);
        self.left = if read < most {
            // It became shorter.
            0
        } else {
            self.left.saturating_sub(read)
        };
        Ok(bytes.into())
    }

    /// Whether all was read.
    pub(crate) const fn is_over(&self) -> bool {
        self.left == 0
    }
}

/// Whether a file still is what it should be: when it was changed, if so.
pub(crate) fn check(path: &Path, sha3: &str, size: u64, stop: &Stop) -> Result<u64, FileError> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() != size {
        return Err(FileError::Wrong);
    }
    let mut digest = Digest::new();
    let mut block = vec![0; BLOCK];
    loop {
        if stop.is_set() {
            return Err(FileError::Stopped);
        }
        match file.read(&mut block)? {
            0 => break,
            length => digest.update(block.get(..length).unwrap_or_default()),
        }
    }
    if digest.finish() == sha3 {
        Ok(changed(&metadata))
    } else {
        Err(FileError::Wrong)
    }
}
