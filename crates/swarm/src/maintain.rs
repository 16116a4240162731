//! Keeping a repository quick: many loose objects and small packs become one pack.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use gix::ObjectId;

use crate::pack::{PackError, PackLimits, PackWriter, Spool, UnpackedPack};
use crate::promote::{Quarantine, sync_directory};

/// When [`maintain`] does something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaintainLimits {
    /// Most loose objects: each is a file, and each message is one.
    pub loose: usize,
    /// Most packs: a search for an object may look into each.
    pub packs: usize,
}

impl Default for MaintainLimits {
    fn default() -> Self {
        Self {
            loose: 2000,
            packs: 50,
        }
    }
}

/// Packs up to this size are always collected.
const SMALL_PACK: u64 = 1 << 20;
/// No pack gets larger than this by collecting.
const MAX_COLLECTED: u64 = 512 << 20;

/// If there are more loose objects or packs than `limits`, collects all loose objects and
/// the small packs in one new pack. Large packs stay as they are, so that the work is in
/// proportion to what came since. Returns how many objects were collected.
///
/// Nothing may write to the repository meanwhile; open handles go on working. Nothing is
/// removed before the new pack has been read back and is on stable storage.
///
/// # Errors
/// If an object cannot be read or the disk fails; nothing is lost.
pub fn maintain(git_directory: &Path, limits: &MaintainLimits) -> Result<usize, PackError> {
    let objects = git_directory.join("objects");
    let loose = loose_objects(&objects)?;
    let packs = packs(&objects.join("pack"))?;
    if loose.len() <= limits.loose && packs.len() <= limits.packs {
        return Ok(0);
    }
    let mut bytes = u64::try_from(loose.len())
        .unwrap_or(u64::MAX)
        .saturating_mul(AVERAGE_LOOSE);
    let mut collected = Vec::new();
    for pack in packs {
        let together = bytes.saturating_add(pack.bytes);
        let worthwhile = pack.bytes <= SMALL_PACK.max(bytes.saturating_mul(2));
        if worthwhile && together <= MAX_COLLECTED {
            bytes = together;
            collected.push(pack);
        }
    }
    if loose.is_empty() && collected.len() < 2 {
        return Ok(0);
    }
    let mut ids: BTreeSet<ObjectId> = loose.iter().map(|(id, _)| *id).collect();
    for pack in &collected {
        let index = gix_pack::index::File::at(&pack.index, gix::hash::Kind::Sha1)
            .map_err(io::Error::other)?;
        ids.extend(index.iter().map(|entry| entry.oid));
    }
    let pack = write(git_directory, &objects, &ids)?;
    let count = pack.len();
    let written = Quarantine::new(git_directory, &pack)
        .and_then(|quarantine| quarantine.release(git_directory))?;
    for old in collected.iter().filter(|old| old.data != written) {
        // Without its index a pack does not exist.
        fs::remove_file(&old.index)?;
        fs::remove_file(&old.data)?;
    }
    for (_, path) in &loose {
        fs::remove_file(path)?;
    }
    sync_directory(&objects.join("pack"))?;
    Ok(count)
}

/// Guessed bytes of a loose object, to weigh them against packs.
const AVERAGE_LOOSE: u64 = 1000;

/// A pack of exactly `ids`, read back.
fn write(
    git_directory: &Path,
    objects: &Path,
    ids: &BTreeSet<ObjectId>,
) -> Result<UnpackedPack, PackError> {
    let database = gix::odb::at(objects, gix::hash::Kind::Sha1)?;
    let mut writer = PackWriter::new(ids.iter().copied().collect())?;
    let mut spool = Spool::new(git_directory);
    while let Some(chunk) = writer.next_chunk(&database, 64 << 10)? {
        spool.append(&chunk)?;
    }
    let own = PackLimits {
        bytes: u64::from(u32::MAX),
        objects: u32::MAX,
        object_size: u64::from(u32::MAX),
        decoded: u64::MAX,
        ..PackLimits::default()
    };
    let pack = UnpackedPack::read(spool, &own)?;
    match ids.iter().find(|id| !pack.contains(id)) {
        Some(id) => Err(PackError::Missing(*id)),
        None => Ok(pack),
    }
}

fn loose_objects(objects: &Path) -> io::Result<Vec<(ObjectId, PathBuf)>> {
    let mut found = Vec::new();
    for directory in fs::read_dir(objects)? {
        let directory = directory?;
        let name = directory.file_name();
        let Some(first) = name.to_str().filter(|name| name.len() == 2) else {
            continue;
        };
        for entry in fs::read_dir(directory.path())? {
            let entry = entry?;
            let name = entry.file_name();
            let id = name
                .to_str()
                .and_then(|rest| ObjectId::from_hex(format!("{first}{rest}").as_bytes()).ok());
            if let Some(id) = id {
                found.push((id, entry.path()));
            }
        }
    }
    Ok(found)
}

struct Pack {
    data: PathBuf,
    index: PathBuf,
    bytes: u64,
}

/// Complete packs, smallest first, without those somebody keeps.
fn packs(directory: &Path) -> io::Result<Vec<Pack>> {
    let mut found = Vec::new();
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        entries => entries?,
    };
    for entry in entries {
        let index = entry?.path();
        let data = index.with_extension("pack");
        if index.extension().is_none_or(|end| end != "idx")
            || !data.exists()
            || index.with_extension("keep").exists()
        {
            continue;
        }
        let bytes = fs::metadata(&data)?.len();
        found.push(Pack { data, index, bytes });
    }
    found.sort_by(|a, b| (a.bytes, &a.data).cmp(&(b.bytes, &b.data)));
    Ok(found)
}
