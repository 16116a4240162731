//! What a failing power supply does to files that were written but not forced to the disk.
//!
//! Conversations force only their journal to the disk (`baraza_swarm`); the loose objects
//! and references that the journal holds too are written without waiting. Any of these may
//! be gone, empty or cut afterwards, and a reference may have an older value. Everything
//! else is forced to the disk before anybody is told of it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use baraza_wire::Rng;

/// The journal's file in a git directory.
const JOURNAL: &str = "baraza-journal";

/// Damages the files below a directory as a failing power supply may. Gives how many.
///
/// # Errors
/// If the files cannot be read or written.
pub fn fail(directory: &Path, rng: &mut Rng) -> io::Result<usize> {
    let mut damaged = 0;
    for git in repositories(directory)? {
        let journal = fs::read(git.join(JOURNAL))?;
        for (name, older) in unforced(&journal) {
            let path = git.join(name);
            if !path.exists() || rng.one_in(2) {
                continue;
            }
            damaged += 1;
            match (older, rng.range(0..3)) {
                (Some(older), 0..2) => fs::write(&path, format!("{older}\n"))?,
                (_, 0) => fs::remove_file(&path)?,
                (_, 1) => write_anew(&path, &[])?,
                _ => {
                    let bytes = fs::read(&path)?;
                    write_anew(&path, &bytes[..bytes.len() / 2])?;
                }
            }
        }
    }
    Ok(damaged)
}

/// Objects are files nobody may write to.
fn write_anew(path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::remove_file(path)?;
    fs::write(path, bytes)
}

fn repositories(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(directory) = pending.pop() {
        if directory.join(JOURNAL).exists() {
            found.push(directory);
            continue;
        }
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                pending.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Files that a journal's batches name: loose objects, and references with their first
/// value in the journal, if they changed since.
fn unforced(journal: &[u8]) -> Vec<(PathBuf, Option<String>)> {
    let mut files: Vec<(PathBuf, Option<String>)> = Vec::new();
    let mut rest = journal;
    let number = |bytes: &[u8]| -> usize {
        let bytes: Option<[u8; 4]> = bytes.get(..4).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, |bytes| u32::from_be_bytes(bytes) as usize)
    };
    while rest.len() > 8 {
        let length = number(rest).min(rest.len() - 8);
        let mut fields = &rest[8..8 + length];
        rest = &rest[8 + length..];
        while fields.len() >= 5 {
            let length = number(&fields[1..]).min(fields.len() - 5);
            let (letter, data) = (fields[0], &fields[5..5 + length]);
            fields = &fields[5 + length..];
            let kind = match letter {
                b'b' => "blob",
                b't' => "tree",
                b'c' => "commit",
                b'r' if data.len() > 20 => {
                    let id = baraza_wire::hex::encode(&data[..20]);
                    let name = PathBuf::from(String::from_utf8_lossy(&data[20..]).as_ref());
                    if !files.iter().any(|(known, _)| *known == name) {
                        files.push((name, Some(id)));
                    }
                    continue;
                }
                _ => continue,
            };
            let mut object = format!("{kind} {length}\0").into_bytes();
            object.extend_from_slice(data);
            let id = baraza_dht::infohash(&object).to_hex();
            let (folder, file) = id.split_at(2);
            files.push((Path::new("objects").join(folder).join(file), None));
        }
    }
    files
}
