//! A copy of a conversation as it is now, at the cost of a hard link for each file.

use std::fs;
use std::io;
use std::path::Path;

use crate::ingest::GIT;
use crate::journal;
use crate::promote::QUARANTINE_PREFIX;

/// Beginnings of the names of files that are being written.
const UNFINISHED: [&str; 2] = ["tmp_obj_", ".tmp-"];

/// Makes `into` a copy of the conversation in `directory`, which must be on the same file
/// system for this to be quick. Git's files are never changed in place, so that links will do;
/// the journal is, and is copied.
///
/// Nothing else may write to the repository meanwhile. The copy may be read and removed,
/// not written.
///
/// # Errors
/// If there is no repository, or the disk fails.
pub fn snapshot(directory: &Path, into: &Path) -> io::Result<()> {
    fs::create_dir_all(into)?;
    copy(&directory.join(GIT), &into.join(GIT))
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, name) = (entry.file_type()?, entry.file_name());
        let bytes = name.as_encoded_bytes();
        let starts = |start: &str| bytes.starts_with(start.as_bytes());
        let target = to.join(&name);
        if kind.is_dir() {
            if !starts(QUARANTINE_PREFIX) {
                copy(&entry.path(), &target)?;
            }
        } else if kind.is_file()
            && !UNFINISHED.into_iter().any(starts)
            && !bytes.ends_with(b".lock")
        {
            // File systems without links take the time for a copy.
            if name == journal::FILE || fs::hard_link(entry.path(), &target).is_err() {
                fs::copy(entry.path(), &target)?;
            }
        }
    }
    Ok(())
}
