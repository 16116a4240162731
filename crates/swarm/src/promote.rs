//! Bringing the objects of an untrusted pack into a repository, or none of them
//! (docs/protocol/05-swarm.md section 12.3).
//!
//! A pack is read completely, then validated while its objects are still outside of the
//! repository: in memory if it is small, else in a *quarantine* directory beside the
//! objects. Only after that they move in, on stable storage and in an order in which a
//! crash leaves no object without what it refers to. References are moved by the caller,
//! afterwards.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use baraza_wire::CommitId;
use gix::ObjectId;
use gix::objs::{Exists, Find, Kind};
use tempfile::TempDir;

use crate::journal::Object;
use crate::pack::{
    Deflate, InMemory, PackError, PackLimits, Spool, UnpackedPack, check_connected, write_index,
};
use crate::upload_pack::object_id;

/// Packs that bring at most this many new objects are stored as loose objects: quicker, and
/// no swarm of tiny packs. [`crate::maintain::maintain`] collects them later.
pub const LOOSE_MAX: usize = 24;
/// What quarantine directories are called.
pub(crate) const QUARANTINE_PREFIX: &str = "quarantine-";

/// An object database that can be asked without reading.
pub trait Database: Find + Exists {}
impl<T: Find + Exists> Database for T {}

/// Takes a pack into the repository at `git_directory`, whose objects are `known`, if
/// `validate` accepts.
///
/// `validate` gets all objects, those of the pack in front of those of the repository, and
/// returns the commits that are new, oldest first; the pack must hold no other commit that
/// the repository lacks. Returns the same list.
///
/// # Errors
/// Whatever is wrong with the pack, in `validate`'s words or ours. The repository has not
/// changed then, except that a failing disk may leave complete, validated objects in it.
pub fn promote<E: From<PackError>>(
    git_directory: &Path,
    known: &dyn Database,
    spool: Spool,
    head: CommitId,
    limits: &PackLimits,
    validate: impl FnOnce(&dyn Find) -> Result<Vec<CommitId>, E>,
) -> Result<Vec<CommitId>, E> {
    let (commits, accepted) = accept(git_directory, known, spool, head, limits, validate)?;
    let moved = match accepted {
        Accepted::Few(objects) => {
            let objects = objects
                .iter()
                .map(|(id, kind, data)| (*id, *kind, data.as_slice()));
            write_loose(git_directory, objects, true)
        }
        Accepted::Pack(quarantine) => quarantine.release(git_directory).map(drop),
    };
    moved.map_err(PackError::Io)?;
    Ok(commits)
}

/// The objects of a pack that was accepted, not part of the repository yet. Dropping them
/// leaves the repository as it was.
pub(crate) enum Accepted {
    /// Few: in the order in which they must be written.
    Few(Vec<Object>),
    /// Many: in a pack beside the repository, on stable storage.
    Pack(Quarantine),
}

/// As [`promote`], but nothing of the repository changes: its objects are only read.
pub(crate) fn accept<E: From<PackError>>(
    git_directory: &Path,
    known: &dyn Database,
    spool: Spool,
    head: CommitId,
    limits: &PackLimits,
    validate: impl FnOnce(&dyn Find) -> Result<Vec<CommitId>, E>,
) -> Result<(Vec<CommitId>, Accepted), E> {
    let head = object_id(&head);
    let pack = UnpackedPack::read(spool, limits)?;
    if !pack.contains(&head) {
        return Err(PackError::Missing(head).into());
    }
    if pack.in_memory() {
        let objects = InMemory {
            pack: &pack,
            below: known,
        };
        check_connected(&pack, &objects, known, limits)?;
        let commits = validate(&objects)?;
        let new = new_objects(&pack, known, &commits)?;
        if new.len() <= LOOSE_MAX {
            let objects = new.into_iter().filter_map(|id| {
                let (kind, data) = pack.get(&id)?;
                Some((id, kind, data.to_vec()))
            });
            return Ok((commits, Accepted::Few(objects.collect())));
        }
        let quarantine = Quarantine::new(git_directory, &pack).map_err(PackError::Io)?;
        return Ok((commits, Accepted::Pack(quarantine)));
    }
    let quarantine = Quarantine::new(git_directory, &pack).map_err(PackError::Io)?;
    let mut objects =
        gix::odb::at(quarantine.objects(), gix::hash::Kind::Sha1).map_err(PackError::Io)?;
    objects.refresh_never();
    check_connected(&pack, &objects, known, limits)?;
    let commits = validate(&objects)?;
    new_objects(&pack, known, &commits)?;
    Ok((commits, Accepted::Pack(quarantine)))
}

/// Removes what an interrupted [`promote`] left behind. For the start of a program: nothing
/// else may be writing to the repository.
///
/// # Errors
/// If the directory cannot be read or emptied.
pub fn remove_stale_quarantine(git_directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(git_directory)? {
        let entry = entry?;
        if entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(QUARANTINE_PREFIX.as_bytes())
        {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// Ids of the objects the repository lacks, blobs and trees first, then `commits` in their
/// order. Refuses commits that were not validated.
fn new_objects(
    pack: &UnpackedPack,
    known: &dyn Database,
    commits: &[CommitId],
) -> Result<Vec<ObjectId>, PackError> {
    let validated: BTreeSet<ObjectId> = commits.iter().map(object_id).collect();
    let (mut blobs, mut trees) = (Vec::new(), Vec::new());
    for (id, kind) in pack.objects() {
        match kind {
            Kind::Commit if !validated.contains(&id) && !known.exists(&id) => {
                return Err(PackError::Stray(id));
            }
            Kind::Blob if !known.exists(&id) => blobs.push(id),
            Kind::Tree if !known.exists(&id) => trees.push(id),
            _ => {}
        }
    }
    blobs.append(&mut trees);
    blobs.extend(commits.iter().map(object_id).filter(|id| pack.contains(id)));
    Ok(blobs)
}

/// Writes objects as loose ones, each complete before it gets its name, and if `durable`,
/// on stable storage.
pub(crate) fn write_loose<'a>(
    git_directory: &Path,
    objects: impl Iterator<Item = (ObjectId, Kind, &'a [u8])>,
    durable: bool,
) -> io::Result<()> {
    let directory_of_all = git_directory.join("objects");
    let mut deflate = Deflate::new();
    let mut directories = BTreeSet::new();
    let mut raw = Vec::new();
    for (id, kind, data) in objects {
        let (directory, path) = loose_path(&directory_of_all, &id);
        if path.exists() {
            continue;
        }
        if !directory.is_dir() {
            fs::create_dir_all(&directory)?;
            directories.insert(directory_of_all.clone());
        }
        raw.clear();
        raw.extend_from_slice(kind.as_bytes());
        write!(raw, " {}\0", data.len())?;
        raw.extend_from_slice(data);
        let packed = deflate.run(&raw).map_err(io::Error::other)?;
        let mut file = tempfile::Builder::new()
            .prefix("tmp_obj_")
            .tempfile_in(&directory)?;
        file.write_all(packed)?;
        file.as_file()
            .set_permissions(Permissions::from_mode(0o444))?;
        if durable {
            file.as_file().sync_data()?;
        }
        file.persist(&path).map_err(|error| error.error)?;
        directories.insert(directory);
    }
    if !durable {
        return Ok(());
    }
    directories.iter().try_for_each(|path| sync_directory(path))
}

pub(crate) fn loose_path(objects: &Path, id: &ObjectId) -> (PathBuf, PathBuf) {
    let hex = id.to_hex().to_string();
    let (first, rest) = hex.split_at_checked(2).unwrap_or((&hex, ""));
    let directory = objects.join(first);
    let path = directory.join(rest);
    (directory, path)
}

/// Makes names in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// A pack with its index outside of the repository, removed when dropped.
pub(crate) struct Quarantine {
    directory: TempDir,
    name: String,
}

impl Quarantine {
    /// Writes the pack and its index to disk, with the repository's objects as alternates.
    pub(crate) fn new(git_directory: &Path, pack: &UnpackedPack) -> io::Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix(QUARANTINE_PREFIX)
            .tempdir_in(git_directory)?;
        let objects = directory.path().join("objects");
        let packs = objects.join("pack");
        fs::create_dir_all(&packs)?;
        fs::create_dir(objects.join("info"))?;
        let mut alternates = fs::canonicalize(git_directory.join("objects"))?
            .into_os_string()
            .into_encoded_bytes();
        alternates.push(b'\n');
        fs::write(objects.join("info/alternates"), alternates)?;
        let quarantine = Self {
            directory,
            name: format!("pack-{}", pack.checksum()),
        };
        quarantine.write("pack", |out| pack.spool().copy_to(out))?;
        quarantine.write("idx", |out| write_index(pack.index(), pack.checksum(), out))?;
        Ok(quarantine)
    }

    /// The object directory: the quarantined pack in front of the repository.
    fn objects(&self) -> PathBuf {
        self.directory.path().join("objects")
    }

    fn path(&self, extension: &str) -> PathBuf {
        let file = format!("{}.{extension}", self.name);
        self.objects().join("pack").join(file)
    }

    fn write(
        &self,
        extension: &str,
        fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut out = BufWriter::with_capacity(64 << 10, File::create_new(self.path(extension))?);
        fill(&mut out)?;
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.set_permissions(Permissions::from_mode(0o444))?;
        file.sync_data()
    }

    /// Moves the pack into the repository: the index last, which is what makes it seen.
    /// Returns the path of the pack there.
    pub(crate) fn release(self, git_directory: &Path) -> io::Result<PathBuf> {
        let packs = git_directory.join("objects/pack");
        fs::create_dir_all(&packs)?;
        for extension in ["pack", "idx"] {
            let from = self.path(extension);
            fs::rename(&from, packs.join(format!("{}.{extension}", self.name)))?;
        }
        sync_directory(&packs)?;
        Ok(packs.join(format!("{}.pack", self.name)))
    }
}
