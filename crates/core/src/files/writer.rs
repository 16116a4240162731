//! Writing contents: another thread hashes them meanwhile, and most of them is on stable
//! storage before the last of them comes.

use std::fs::File;
use std::io::{self, IoSlice, Write as _};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

use bytes::Bytes;
use rustix::fs::{Advice, fadvise};

use super::Digest;

/// From so many bytes on they are hashed by another thread than the one that writes.
const ASIDE: usize = 64 << 10;
/// Writes that may be ahead of the hash, which takes longer: who waits for one to end, and
/// brings the next, must not keep it waiting.
const AHEAD: usize = 2;
/// After so many bytes the disk is set to work: at the end nobody wants to wait for all.
const SYNC_EVERY: usize = 16 << 20;

/// A file that is written at its end, and its hash.
#[derive(Debug)]
pub(super) struct Writer {
    file: File,
    hash: Hash,
    after: After,
    /// Bytes that the disk was not told of.
    unsynced: usize,
    /// Brings the others to the disk.
    syncing: Option<JoinHandle<io::Result<()>>>,
}

/// What becomes of a file when it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// It is read soon, so the system may keep it in memory.
    ReadSoon,
    /// Nobody knows when it is read.
    AtRest,
}

#[derive(Debug)]
enum Hash {
    Here(Digest),
    /// A thread has it, which ends when there is no queue to it.
    Aside(SyncSender<Vec<Bytes>>, JoinHandle<Digest>),
    /// The thread failed.
    Lost,
}

impl Writer {
    /// Goes on with a file, of whose content this is the hash.
    pub(super) const fn new(file: File, digest: Digest, after: After) -> Self {
        Self {
            file,
            hash: Hash::Here(digest),
            after,
            unsynced: 0,
            syncing: None,
        }
    }

    /// Adds to it. After an error it is of no use: what was hashed may not be in the file.
    pub(super) fn write(&mut self, pieces: &[Bytes]) -> io::Result<()> {
        let length = pieces.iter().map(Bytes::len).sum();
        if length >= ASIDE {
            self.hash_aside();
        }
        match &mut self.hash {
            Hash::Here(digest) => pieces.iter().for_each(|piece| digest.update(piece)),
            Hash::Aside(queue, _) => queue.send(pieces.to_vec()).map_err(|_| lost())?,
            Hash::Lost => return Err(lost()),
        }
        write_all(&self.file, pieces)?;
        self.unsynced = self.unsynced.saturating_add(length);
        if self.unsynced >= SYNC_EVERY {
            self.sync_aside()?;
        }
        Ok(())
    }

    /// From now on another thread hashes, if there is one to be had.
    fn hash_aside(&mut self) {
        let Hash::Here(digest) = &self.hash else {
            return;
        };
        let mut digest = digest.clone();
        let (queue, pieces) = sync_channel::<Vec<Bytes>>(AHEAD);
        let thread = Builder::new().name("hash".to_owned()).spawn(move || {
            for piece in pieces.iter().flatten() {
                digest.update(&piece);
            }
            digest
        });
        if let Ok(thread) = thread {
            self.hash = Hash::Aside(queue, thread);
        }
    }

    /// The hash of what there is, which it may have to wait for.
    pub(super) fn digest(&mut self) -> io::Result<Digest> {
        let digest = match std::mem::replace(&mut self.hash, Hash::Lost) {
            Hash::Here(digest) => digest,
            Hash::Aside(queue, thread) => {
                drop(queue);
                thread.join().map_err(|_| lost())?
            }
            Hash::Lost => return Err(lost()),
        };
        self.hash = Hash::Here(digest.clone());
        Ok(digest)
    }

    /// Nothing more comes: begins to bring the rest to the disk, where that takes long.
    pub(super) fn ending(&mut self) -> io::Result<()> {
        match self.unsynced >= ASIDE {
            true => self.sync_aside(),
            false => Ok(()),
        }
    }

    /// Begins to bring what was written to the disk, unless that is under way.
    fn sync_aside(&mut self) -> io::Result<()> {
        if self.syncing.as_ref().is_some_and(|it| !it.is_finished()) {
            return Ok(());
        }
        self.synced()?;
        let file = self.file.try_clone()?;
        // Small files are looked at as soon as they are there.
        let leaves = self.after == After::AtRest && self.unsynced >= SYNC_EVERY;
        self.unsynced = 0;
        // Without a thread all is left to the end.
        self.syncing = Builder::new()
            .name("sync".to_owned())
            .spawn(move || {
                file.sync_data()?;
                if leaves {
                    // What follows goes into the memory that this leaves, instead of pushing
                    // out what other programs have read. It is advice: nothing depends on it.
                    let _refused = fadvise(&file, 0, None, Advice::DontNeed);
                }
                Ok(())
            })
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
}

fn lost() -> io::Error {
    io::Error::other("the thread that hashes has failed")
}

fn write_all(mut file: &File, pieces: &[Bytes]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
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
