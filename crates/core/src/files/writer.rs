//! Writing contents: they are hashed while they are written, and most of them is on stable
//! storage before the last of them comes.

use std::fs::File;
use std::io::{self, IoSlice, Write as _};
use std::thread::{Builder, JoinHandle, scope};

use super::Digest;

/// From so many bytes on they are written by another thread than the one that hashes.
const ASIDE: usize = 64 << 10;
/// After so many bytes the disk is set to work: at the end nobody wants to wait for all.
const SYNC_EVERY: usize = 16 << 20;

/// A file that is written at its end, and its hash.
#[derive(Debug)]
pub(super) struct Writer {
    file: File,
    digest: Digest,
    /// Bytes that the disk was not told of.
    unsynced: usize,
    /// Brings the others to the disk.
    syncing: Option<JoinHandle<io::Result<()>>>,
}

impl Writer {
    /// Goes on with a file, of whose content this is the hash.
    pub(super) const fn new(file: File, digest: Digest) -> Self {
        Self {
            file,
            digest,
            unsynced: 0,
            syncing: None,
        }
    }

    /// Adds to it. After an error it is of no use: what was hashed may not be in the file.
    pub(super) fn write(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<()> {
        let length = pieces.iter().map(|piece| piece.len()).sum();
        let (file, digest) = (&self.file, &mut self.digest);
        let mut hash = || {
            for piece in pieces {
                digest.update(piece);
            }
        };
        if length < ASIDE {
            hash();
            write_all(file, pieces)?;
        } else {
            scope(|scope| {
                let writing = Builder::new()
                    .name("file".to_owned())
                    .spawn_scoped(scope, || write_all(file, pieces));
                hash();
                match writing {
                    Ok(writing) => writing
                        .join()
                        .unwrap_or_else(|_| Err(io::Error::other("a thread failed"))),
                    // There are no more threads to be had.
                    Err(_) => write_all(file, pieces),
                }
            })?;
        }
        self.unsynced = self.unsynced.saturating_add(length);
        if self.unsynced >= SYNC_EVERY {
            self.sync_aside()?;
        }
        Ok(())
    }

    /// Begins to bring what was written to the disk, unless that is under way.
    fn sync_aside(&mut self) -> io::Result<()> {
        if self.syncing.as_ref().is_some_and(|it| !it.is_finished()) {
            return Ok(());
        }
        self.synced()?;
        let file = self.file.try_clone()?;
        self.unsynced = 0;
        // Without a thread all is left to the end.
        self.syncing = Builder::new()
            .name("sync".to_owned())
            .spawn(move || file.sync_data())
            .ok();
        Ok(())
    }

    /// Waits for what was begun: the system tells of each failure once.
    fn synced(&mut self) -> io::Result<()> {
        match self.syncing.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(io::Error::other("a thread failed")),
        }
    }

    /// Waits until all of it is on stable storage.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.synced()?;
        self.file.sync_all()
    }

    /// The hash of what there is, to go on with.
    pub(super) fn digest(&self) -> &Digest {
        &self.digest
    }
}

fn write_all(mut file: &File, pieces: &[IoSlice<'_>]) -> io::Result<()> {
    let mut slices = pieces.to_vec();
    let mut rest = slices.as_mut_slice();
    while !rest.is_empty() {
        match file.write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
