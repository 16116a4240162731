//! One write to stable storage for everything a commit or a small fetch brings.
//!
//! Git keeps each object and each reference in a file of its own, and each would have to be
//! forced to the disk, and its directory too. Instead all of it is appended to one file,
//! that is forced to the disk, and the files git reads are written without waiting. After a
//! power failure the journal still has what they lost. When it has grown, its objects
//! become a pack, which is durable by itself, and it begins anew.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use baraza_wire::CommitId;
use gix::ObjectId;
use gix::objs::{Exists, Kind};

use crate::ingest::{place_reference, write_reference};
use crate::objects::NewObjects;
use crate::pack::PackError;
use crate::promote::{loose_path, sync_directory, write_loose};
use crate::upload_pack::object_id;

/// The journal's file in the git directory.
pub(crate) const FILE: &str = "baraza-journal";
/// Bytes after which the journal becomes a pack.
const MAX_BYTES: u64 = 512 << 10;
/// What stands before each batch: length and checksum of what follows.
const HEADER: usize = 8;
const REFERENCE: u8 = b'r';

/// An object in memory.
pub(crate) type Object = (ObjectId, Kind, Vec<u8>);

/// The journal of one repository, open for appending.
pub(crate) struct Journal {
    git: PathBuf,
    file: File,
    length: u64,
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal")
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

impl Journal {
    /// Opens the journal, after bringing what is in it where it belongs.
    pub(crate) fn open(git: &Path) -> Result<Self, PackError> {
        let path = git.join(FILE);
        let is_new = !path.exists();
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        if is_new {
            sync_directory(git)?;
        }
        let mut journal = Self {
            git: git.to_owned(),
            length: file.metadata()?.len(),
            file,
        };
        if journal.length > 0 {
            journal.settle()?;
        }
        Ok(journal)
    }

    /// Writes objects, in an order in which each comes after what it refers to, and then
    /// references. All of it is on stable storage when this returns.
    pub(crate) fn append(
        &mut self,
        objects: &[Object],
        references: &[(String, CommitId)],
    ) -> io::Result<()> {
        let batch = encode(objects, references).ok_or_else(|| io::Error::other("too large"))?;
        let done = self
            .file
            .write_all(&batch)
            .and_then(|()| self.file.sync_data())
            .and_then(|()| {
                let objects = objects
                    .iter()
                    .map(|(id, kind, data)| (*id, *kind, data.as_slice()));
                write_loose(&self.git, objects, false)?;
                references
                    .iter()
                    .try_for_each(|(name, id)| place_reference(&self.git, name, id))
            });
        match done {
            Ok(()) => {
                let bytes = u64::try_from(batch.len()).unwrap_or(u64::MAX);
                self.length = self.length.saturating_add(bytes);
                Ok(())
            }
            Err(error) => {
                // What was not done must not be done later on.
                self.file.set_len(self.length)?;
                Err(error)
            }
        }
    }

    /// Whether it is time for [`Self::settle`].
    pub(crate) fn is_long(&self) -> bool {
        self.length > MAX_BYTES
    }

    /// Makes a pack of all objects in the journal, and empties it.
    pub(crate) fn settle(&mut self) -> Result<(), PackError> {
        let bytes = fs::read(self.git.join(FILE))?;
        let (objects, references) = decode(&bytes);
        let never = gix::objs::find::Never;
        let new = NewObjects::new(&never);
        let mut ids = Vec::new();
        for (kind, data) in objects {
            ids.push(new.add(kind, data.to_vec()));
        }
        if !ids.is_empty() {
            new.store_pack(&self.git)?;
        }
        let known = gix::odb::at(self.git.join("objects"), gix::hash::Kind::Sha1)?;
        for (name, id) in references {
            // Only to what is there, whatever happened to the disk.
            if known.exists(&object_id(&id)) {
                write_reference(&self.git, name, &id)?;
            }
        }
        let all = self.git.join("objects");
        for id in ids {
            // What a power failure left may be damaged; the pack has it.
            match fs::remove_file(loose_path(&all, &id).1) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        self.file.set_len(0)?;
        self.length = 0;
        Ok(())
    }
}

fn kind_letter(kind: Kind) -> u8 {
    match kind {
        Kind::Blob => b'b',
        Kind::Tree => b't',
        Kind::Commit => b'c',
        Kind::Tag => b'g',
    }
}

/// `None` if something does not fit its length field.
fn encode(objects: &[Object], references: &[(String, CommitId)]) -> Option<Vec<u8>> {
    let mut batch = vec![0; HEADER];
    let mut field = |letter: u8, data: &[u8]| {
        batch.push(letter);
        batch.extend_from_slice(&u32::try_from(data.len()).ok()?.to_be_bytes());
        batch.extend_from_slice(data);
        Some(())
    };
    for (_, kind, data) in objects {
        field(kind_letter(*kind), data)?;
    }
    for (name, id) in references {
        field(REFERENCE, &[id.as_bytes(), name.as_bytes()].concat())?;
    }
    let (header, payload) = batch.split_first_chunk_mut::<HEADER>()?;
    let length = u32::try_from(payload.len()).ok()?.to_be_bytes();
    let sum = checksum(payload).to_be_bytes();
    header.copy_from_slice(&[length, sum].concat());
    Some(batch)
}

fn checksum(payload: &[u8]) -> u32 {
    let mut sum = flate2::Crc::new();
    sum.update(payload);
    sum.sum()
}

type Decoded<'a> = (Vec<(Kind, &'a [u8])>, BTreeMap<&'a str, CommitId>);

/// All objects, and the last value of each reference, of the batches that are whole.
fn decode(mut bytes: &[u8]) -> Decoded<'_> {
    let mut objects = Vec::new();
    let mut references = BTreeMap::new();
    while let Some((payload, rest)) = batch(bytes) {
        let mut fields = payload;
        while let Some((letter, data, rest)) = field(fields) {
            let kind = match letter {
                b'b' => Some(Kind::Blob),
                b't' => Some(Kind::Tree),
                b'c' => Some(Kind::Commit),
                _ => None,
            };
            if let Some(kind) = kind {
                objects.push((kind, data));
            } else if let Some((id, name)) = data.split_first_chunk::<20>()
                && let Ok(name) = std::str::from_utf8(name)
            {
                references.insert(name, CommitId::new(*id));
            }
            fields = rest;
        }
        bytes = rest;
    }
    (objects, references)
}

fn batch(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (payload, rest) = rest.split_at_checked(length)?;
    (checksum(payload) == u32::from_be_bytes(*sum) && length > 0).then_some((payload, rest))
}

fn field(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (letter, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (data, rest) = rest.split_at_checked(length)?;
    Some((*letter, data, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_journal_holds_what_was_whole() {
        let id = |byte| CommitId::new([byte; 20]);
        let object = |text: &str| {
            (
                ObjectId::null(gix::hash::Kind::Sha1),
                Kind::Blob,
                text.into(),
            )
        };
        let main = |byte| ("refs/heads/main".to_owned(), id(byte));
        let first = encode(&[object("one")], &[main(1)]).unwrap();
        let second = encode(&[object("two"), object("")], &[main(2)]).unwrap();
        let both = [first.clone(), second].concat();
        for end in 0..=both.len() {
            let (objects, references) = decode(&both[..end]);
            let expected = match end {
                _ if end < first.len() => (0, None),
                _ if end < both.len() => (1, Some(&id(1))),
                _ => (3, Some(&id(2))),
            };
            assert_eq!((objects.len(), references.get("refs/heads/main")), expected);
        }
        for broken in 0..both.len() {
            let mut bytes = both.clone();
            bytes[broken] ^= 0x40;
            assert!(decode(&bytes).0.len() < 3);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_do_not_panic(bytes: Vec<u8>) {
            decode(&bytes);
        }
    }
}
