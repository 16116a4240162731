//! Reading files that somebody else wrote, without being led elsewhere.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use baraza_wire::CommitId;

use crate::event::LocalId;

/// Longest file that is read at once.
pub const MAX_FILE: u64 = 64 << 20;
/// Most accounts of a directory that are looked at.
const MAX_ACCOUNTS: usize = 256;
/// Most files of a directory that are looked at.
const MAX_ENTRIES: usize = 1_000_000;
/// `O_NOFOLLOW`, which the standard library has no name for.
const NO_FOLLOW: i32 = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
/// `O_NONBLOCK`: a pipe in the place of a file must not hold us up.
const NO_WAIT: i32 = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();

/// Opens a plain file; not through a link.
///
/// # Errors
/// If it is none, or cannot be read.
pub fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(NO_FOLLOW | NO_WAIT)
        .open(path)
        .map_err(|error| match fs::symlink_metadata(path) {
            Ok(found) if found.is_symlink() => io::Error::other("it is a link to elsewhere"),
            _ => error,
        })?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is no file")),
    }
}

/// Opens a plain file, also through a link: only for what is known by its hash.
///
/// # Errors
/// If it is none, or cannot be read.
pub fn open_content(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(NO_WAIT)
        .open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is no file")),
    }
}

/// Reads a plain file; `None` if there is none.
///
/// # Errors
/// If it is no plain file, too long or cannot be read.
pub fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut bytes = Vec::new();
    file.take(MAX_FILE.saturating_add(1))
        .read_to_end(&mut bytes)?;
    match u64::try_from(bytes.len()).is_ok_and(|length| length <= MAX_FILE) {
        true => Ok(Some(bytes)),
        false => Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "it is too long",
        )),
    }
}

/// A directory that is one itself, not a link to one.
pub fn is_directory(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
}

/// What is in a directory, by name.
pub fn names(path: &Path) -> Vec<String> {
    if !is_directory(path) {
        return Vec::new();
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.take(MAX_ENTRIES).collect();
    names.sort();
    names
}

/// An account's directory below the data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its name there.
    pub name: LocalId,
    /// Where it is.
    pub directory: PathBuf,
}

/// The accounts in a data directory: what has a `config.yml`. Or the one, if the directory is
/// an account's own.
pub fn accounts(data: &Path) -> Vec<Found> {
    let account = |directory: PathBuf| {
        let name = directory.file_name()?.to_str()?.parse().ok()?;
        let is_one = is_directory(&directory) && directory.join("config.yml").is_file();
        is_one.then_some(Found { name, directory })
    };
    if let Some(own) = account(data.to_owned()) {
        return vec![own];
    }
    let names = names(data).into_iter();
    let found = names.filter_map(|name| account(data.join(name)));
    found.take(MAX_ACCOUNTS).collect()
}

/// Copies what counts of a git repository: objects and the heads of branches. Settings,
/// hooks, links and references to objects elsewhere stay behind.
///
/// # Errors
/// If something cannot be read or written.
pub fn copy_repository(from: &Path, to: &Path) -> io::Result<()> {
    let (from_objects, to_objects) = (from.join("objects"), to.join("objects"));
    for directory in ["objects/info", "objects/pack", "refs/heads", "refs/remotes"] {
        fs::create_dir_all(to.join(directory))?;
    }
    for name in names(&from_objects) {
        let is_hex = |text: &str| text.bytes().all(|it| it.is_ascii_hexdigit());
        if name.len() == 2 && is_hex(&name) {
            let directory = from_objects.join(&name);
            for rest in names(&directory)
                .iter()
                .filter(|it| it.len() == 38 && is_hex(it))
            {
                fs::create_dir_all(to_objects.join(&name))?;
                copy(&directory.join(rest), &to_objects.join(&name).join(rest))?;
            }
        }
    }
    let packs = from_objects.join("pack");
    for name in names(&packs) {
        let known = [".pack", ".idx"].iter().any(|end| name.ends_with(end));
        if known && name.starts_with("pack-") {
            copy(&packs.join(&name), &to_objects.join("pack").join(&name))?;
        }
    }
    let head = branch(from)?.ok_or_else(|| io::Error::other("there is no branch main"))?;
    fs::write(to.join("refs/heads/main"), format!("{head}\n"))?;
    fs::write(to.join("HEAD"), "ref: refs/heads/main\n")?;
    fs::write(
        to.join("config"),
        "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n",
    )
}

/// The head of the branch `main`: an id of a commit.
fn branch(git: &Path) -> io::Result<Option<CommitId>> {
    const NAME: &str = "refs/heads/main";
    let loose = read(&git.join(NAME))?.and_then(|bytes| String::from_utf8(bytes).ok());
    if let Some(Ok(head)) = loose.map(|text| text.trim().parse()) {
        return Ok(Some(head));
    }
    let packed = read(&git.join("packed-refs"))?.unwrap_or_default();
    let packed = String::from_utf8_lossy(&packed);
    let head = packed.lines().find_map(|line| {
        let (id, name) = line.split_once(' ')?;
        (name == NAME).then(|| id.parse().ok())?
    });
    Ok(head)
}

/// Copies a plain file.
///
/// # Errors
/// If it is none, or something cannot be read or written.
pub fn copy(from: &Path, to: &Path) -> io::Result<u64> {
    let mut input = open(from)?;
    let mut out = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)?;
    io::copy(&mut input, &mut out)
}
