//! What a fetch brought becomes part of a repository, or a first fetch a repository.
//!
//! The rules are handed in as a closure: it gets all objects, the new ones in front of the
//! repository's, a test for commits that need no validation any more, and returns the new
//! commits, oldest first, or a refusal. Nothing is merged here: only the remote-tracking
//! reference `refs/remotes/<device>/main` moves, and in a clone the own branch with it
//! (docs/protocol/05-swarm.md sections 2.2 and 5.1).

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use baraza_wire::{CommitId, ConversationId, DeviceId};
use gix::objs::Find;

use crate::pack::{PackError, PackLimits, Spool};
use crate::promote::{Database, promote, sync_directory};
use crate::upload_pack::object_id;

/// Something fetched.
#[derive(Debug)]
pub struct Fetched {
    /// The pack, unchecked.
    pub pack: Spool,
    /// The head of the device it came from.
    pub head: CommitId,
    /// That device.
    pub from: DeviceId,
}

/// Why nothing of a fetch was taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IngestError<R> {
    /// The pack is damaged, too large, incomplete or holds what does not belong there.
    #[error(transparent)]
    Pack(PackError),
    /// A commit breaks the rules: signal "invalid fetch" (error code 3, section 5.1).
    #[error("refused: {0}")]
    Refused(R),
    /// There is a repository already where one was to be cloned to.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    /// The disk failed. Worth another try.
    #[error("cannot write the repository: {0}")]
    Io(#[from] io::Error),
}

impl<R> From<PackError> for IngestError<R> {
    fn from(error: PackError) -> Self {
        match error {
            PackError::Io(error) => Self::Io(error),
            error => Self::Pack(error),
        }
    }
}

/// Takes a fetched pack into the repository at `git_directory`, whose objects are `known`.
/// Afterwards its objects are there durably and `refs/remotes/<from>/main` is the peer's
/// head; the own branch has not moved. Returns the new commits, oldest first.
///
/// # Errors
/// Partial acceptance does not exist: on any error no reference has moved.
pub fn ingest<R>(
    git_directory: &Path,
    known: &dyn Database,
    fetched: Fetched,
    limits: &PackLimits,
    check: impl FnOnce(&dyn Find, &dyn Fn(&CommitId) -> bool) -> Result<Vec<CommitId>, R>,
) -> Result<Vec<CommitId>, IngestError<R>> {
    let Fetched { pack, head, from } = fetched;
    let mut commits = Vec::new();
    if !known.exists(&object_id(&head)) {
        let check = checked_against(known, check);
        commits = promote(git_directory, known, pack, head, limits, check)?;
    }
    write_reference(git_directory, &remote_name(&from), &head)?;
    Ok(commits)
}

/// The rules `check` for what comes on top of `known`.
pub(crate) fn checked_against<'k, R>(
    known: &'k dyn Database,
    check: impl FnOnce(&dyn Find, &dyn Fn(&CommitId) -> bool) -> Result<Vec<CommitId>, R> + 'k,
) -> impl FnOnce(&dyn Find) -> Result<Vec<CommitId>, IngestError<R>> + 'k {
    move |objects| {
        let is_known = |id: &CommitId| known.exists(&object_id(id));
        check(objects, &is_known).map_err(IngestError::Refused)
    }
}

/// Makes the repository `directory/.git` out of a first fetch, if all of its history
/// passes `check`; the history must begin with `conversation`. It appears complete or not
/// at all. Returns all commits, oldest first.
///
/// # Errors
/// If there is a repository already or the pack is refused; nothing is left behind then.
pub fn clone_into<R>(
    directory: &Path,
    conversation: ConversationId,
    fetched: Fetched,
    limits: &PackLimits,
    check: impl FnOnce(&dyn Find, &dyn Fn(&CommitId) -> bool) -> Result<Vec<CommitId>, R>,
) -> Result<Vec<CommitId>, IngestError<R>> {
    if directory.exists() {
        return Err(IngestError::Exists(directory.to_owned()));
    }
    let (building, commits) = build_clone(directory, conversation, fetched, limits, check)?;
    building.finish(directory)?;
    Ok(commits)
}

/// As [`clone_into`], but the repository is not where it belongs yet.
pub(crate) fn build_clone<R>(
    directory: &Path,
    conversation: ConversationId,
    fetched: Fetched,
    limits: &PackLimits,
    check: impl FnOnce(&dyn Find, &dyn Fn(&CommitId) -> bool) -> Result<Vec<CommitId>, R>,
) -> Result<(Building, Vec<CommitId>), IngestError<R>> {
    let building = Building::new(directory)?;
    let path = &building.git_directory();
    create_layout(path)?;
    let mut empty = gix::odb::at(path.join("objects"), gix::hash::Kind::Sha1)?;
    empty.refresh_never();
    let Fetched { pack, head, from } = fetched;
    let root = CommitId::from(conversation);
    let commits = promote(path, &empty, pack, head, limits, |objects| {
        crate::pack::expect(
            objects,
            &object_id(&root),
            gix::objs::Kind::Commit,
            &mut Vec::new(),
        )?;
        check(objects, &|_| false).map_err(IngestError::Refused)
    })?;
    write_reference(path, &remote_name(&from), &head)?;
    write_reference(path, "refs/heads/main", &head)?;
    Ok((building, commits))
}

/// A repository that is not there yet; removed again when dropped.
pub(crate) struct Building {
    path: PathBuf,
}

impl Building {
    pub(crate) fn new(directory: &Path) -> io::Result<Self> {
        let mut name = directory.file_name().unwrap_or_default().to_owned();
        name.push(".clone.tmp");
        let path = directory.with_file_name(name);
        // Left by a crash: two clones of one conversation at a time make no sense.
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::create_dir_all(&path)?;
        Ok(Self { path })
    }

    /// Where git's files go.
    pub(crate) fn git_directory(&self) -> PathBuf {
        self.path.join(GIT)
    }

    pub(crate) fn finish(self, directory: &Path) -> io::Result<()> {
        sync_directories(&self.path)?;
        fs::rename(&self.path, directory)?;
        if let Some(parent) = directory.parent().filter(|path| path.is_dir()) {
            sync_directory(parent)?;
        }
        Ok(())
    }
}

impl Drop for Building {
    fn drop(&mut self) {
        // Gone already if it was finished; otherwise the next attempt clears it.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Where the repository is below a conversation's directory (section 2.1).
pub(crate) const GIT: &str = ".git";

/// Makes all names below a directory durable.
fn sync_directories(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_directories(&entry.path())?;
        }
    }
    sync_directory(path)
}

/// The files of an empty repository with the branch `main`. There is no work tree: nothing
/// needs one.
pub(crate) fn create_layout(git_directory: &Path) -> io::Result<()> {
    for directory in ["objects/info", "objects/pack", "refs/heads", "refs/remotes"] {
        fs::create_dir_all(git_directory.join(directory))?;
    }
    let config = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n";
    write_file(&git_directory.join("config"), config.as_bytes(), true)?;
    write_file(&git_directory.join("HEAD"), b"ref: refs/heads/main\n", true)
}

/// The name of the reference that remembers a device's head.
pub(crate) fn remote_name(device: &DeviceId) -> String {
    format!("refs/remotes/{device}/main")
}

/// Sets a reference, durably, whatever it was.
pub(crate) fn write_reference(git_directory: &Path, name: &str, id: &CommitId) -> io::Result<()> {
    write_file(
        &git_directory.join(name),
        format!("{id}\n").as_bytes(),
        true,
    )
}

/// Sets a reference at once, but not durably.
pub(crate) fn place_reference(git_directory: &Path, name: &str, id: &CommitId) -> io::Result<()> {
    write_file(
        &git_directory.join(name),
        format!("{id}\n").as_bytes(),
        false,
    )
}

/// Replaces a small file at once.
fn write_file(path: &Path, bytes: &[u8], durable: bool) -> io::Result<()> {
    let Some(parent) = path.parent() else {
        return Err(io::Error::other("a file without a directory"));
    };
    if !parent.is_dir() {
        fs::create_dir_all(parent)?;
        if let Some(above) = parent.parent().filter(|_| durable) {
            sync_directory(above)?;
        }
    }
    let mut file = tempfile::Builder::new()
        .prefix(".tmp-")
        .tempfile_in(parent)?;
    file.write_all(bytes)?;
    if durable {
        File::sync_data(file.as_file())?;
    }
    file.persist(path).map_err(|error| error.error)?;
    if durable {
        sync_directory(parent)?;
    }
    Ok(())
}
