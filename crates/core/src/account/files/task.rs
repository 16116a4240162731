//! What is done aside with contents of files.

use std::path::PathBuf;

use baraza_swarm::Stop;
use bytes::Bytes;

use crate::files::{FileError, Parked, Sink, Source, Staged, check};

/// Something to be done with a content.
#[derive(Debug)]
pub(in crate::account) enum FileTask {
    /// Take a copy of a file, and put it where contents are.
    Import {
        source: PathBuf,
        staging: PathBuf,
        name: u64,
        directory: PathBuf,
    },
    /// Put a content that was taken in where contents are.
    Place { staged: Staged, directory: PathBuf },
    /// Find out what there is of a content that is to be fetched.
    Prepare {
        path: PathBuf,
        parked: Option<Parked>,
        total: u64,
    },
    /// Add to a content that is being fetched.
    Write { sink: Sink, pieces: Vec<Bytes> },
    /// Add the last bytes, check, and put it where contents are.
    Finish {
        sink: Sink,
        pieces: Vec<Bytes>,
        to: PathBuf,
        sha3: String,
    },
    /// Find out if a content still is what it should be.
    Check {
        path: PathBuf,
        sha3: String,
        size: u64,
    },
    /// Read what somebody fetches.
    Read { from: From, most: usize },
    /// Remove a file or a directory.
    Remove(PathBuf),
}

/// Where to read on.
#[derive(Debug)]
pub(in crate::account) enum From {
    /// Of a file that is not open yet.
    Path { path: PathBuf, start: u64, end: u64 },
    /// Of one that is.
    Open(Source),
}

/// What came of a task.
#[derive(Debug)]
pub(in crate::account) enum FileProduct {
    /// It is where contents are.
    Placed { sha3: String, size: u64 },
    /// It can be written.
    Prepared(Sink),
    /// It was written.
    Written(Sink),
    /// It is whole and in its place; when it was changed.
    Finished(u64),
    /// It is what it should be; when it was changed.
    Checked(u64),
    /// The next bytes, and where there are more.
    Read { bytes: Bytes, source: Source },
    /// They are gone.
    Removed,
}

impl FileTask {
    pub(in crate::account) fn run(self, stop: &Stop) -> Result<FileProduct, FileError> {
        match self {
            Self::Import {
                source,
                staging,
                name,
                directory,
            } => {
                let staged = Staged::import(&source, &staging, name, stop)?;
                place(staged, &directory)
            }
            Self::Place { staged, directory } => place(staged, &directory),
            Self::Prepare {
                path,
                parked,
                total,
            } => Sink::open(path, parked, total, stop).map(FileProduct::Prepared),
            Self::Write { mut sink, pieces } => {
                sink.write(&pieces)?;
                Ok(FileProduct::Written(sink))
            }
            Self::Finish {
                mut sink,
                pieces,
                to,
                sha3,
            } => {
                sink.write(&pieces)?;
                sink.finish(&to, &sha3).map(FileProduct::Finished)
            }
            Self::Check { path, sha3, size } => {
                check(&path, &sha3, size, stop).map(FileProduct::Checked)
            }
            Self::Read { from, most } => {
                let mut source = match from {
                    From::Path { path, start, end } => Source::open(&path, start, end)?,
                    From::Open(source) => source,
                };
                let bytes = source.read(most)?;
                Ok(FileProduct::Read { bytes, source })
            }
            Self::Remove(path) => {
                if path.is_dir() {
                    std::fs::remove_dir_all(&path)?;
                } else {
                    std::fs::remove_file(&path)?;
                }
                Ok(FileProduct::Removed)
            }
        }
    }
}

fn place(staged: Staged, directory: &std::path::Path) -> Result<FileProduct, FileError> {
    if let Err(error) = staged.place(directory) {
        staged.discard();
        return Err(error);
    }
    Ok(FileProduct::Placed {
        sha3: staged.sha3,
        size: staged.size,
    })
}
