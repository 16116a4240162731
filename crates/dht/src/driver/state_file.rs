//! The file of a node's state, replaced as a whole.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

/// Larger files are not read.
const MAX_STATE: u64 = 256 * 1024 * 1024;

/// The file's bytes; `None` if there is none that can be read.
pub(super) fn read(path: &Path) -> Option<Vec<u8>> {
    let read = || {
        let mut bytes = Vec::new();
        File::open(path)?.take(MAX_STATE).read_to_end(&mut bytes)?;
        Ok::<_, io::Error>(bytes)
    };
    match read() {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!(%error, "cannot read the state file of the DHT");
            }
            None
        }
    }
}

/// Replaces the file, so that at any time it is whole.
pub(super) fn write(path: &Path, bytes: &[u8]) {
    let write = || {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let new = path.with_file_name(name);
        let mut file = File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(new, path)
    };
    if let Err(error) = write() {
        tracing::warn!(%error, "cannot write the state file of the DHT");
    }
}
