//! Making a backup.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use baraza_identity::Password;
use baraza_identity::sealed::{SealedError, SealedWriter};
use baraza_store::{DirectoryLock, Durability, Store, files};
use baraza_wire::{ConversationId, Rng, UnixTime};

use super::entries::{FORMAT, Writer};
use super::{BACKED_UP, BackedUp, BackupError, FILES, MIN_PASSWORD, Manifest, Report, STAGING};
use crate::event::LocalId;
use crate::node::{DATABASE, NETWORK};

/// Files of the data directory itself that go with it.
const TOP: [&str; 3] = ["dht.state", "backup.json", NETWORK];
/// Where an account's conversations are.
const CONVERSATIONS: &str = "conversations";

/// How far it is: files and bytes so far.
pub type Progress<'a> = Box<dyn FnMut(u64, u64) + 'a>;

/// The data directory a backup is made of.
pub(crate) struct Source<'a> {
    pub(crate) data_dir: &'a Path,
    /// Makes a copy of a conversation, between two changes of it; `false` if it is not there
    /// any more.
    pub(crate) snapshot: Snapshot<'a>,
}

type Snapshot<'a> = Box<dyn FnMut(LocalId, ConversationId, &Path) -> io::Result<bool> + 'a>;

/// Makes a backup of a data directory on which no node runs.
///
/// # Errors
/// See [`BackupError`]; nothing is left behind then.
pub fn write_stopped(
    data_dir: &Path,
    target: &Path,
    password: &Password,
    files: bool,
    now: UnixTime,
    progress: Progress<'_>,
) -> Result<Report, BackupError> {
    let database = data_dir.join(DATABASE);
    if !database.is_file() {
        let nothing = io::Error::new(io::ErrorKind::NotFound, "there is nothing to back up");
        return Err(BackupError::at(data_dir)(nothing));
    }
    let _lock = DirectoryLock::acquire(data_dir)
        .map_err(|error| BackupError::Account(error.to_string()))?;
    let source = Source {
        data_dir,
        snapshot: Box::new(|account, id, into| snapshot_of(data_dir, account, id, into)),
    };
    write(source, target, password, files, now, progress)
}

/// A copy of a conversation that nobody writes to.
pub(crate) fn snapshot_of(
    data_dir: &Path,
    account: LocalId,
    id: ConversationId,
    into: &Path,
) -> io::Result<bool> {
    let account = data_dir.join("accounts").join(account.to_string());
    let directory = account.join(CONVERSATIONS).join(id.to_hex());
    match baraza_swarm::snapshot(&directory, into) {
        Ok(()) => Ok(true),
        Err(_) if !directory.exists() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes a backup: complete under its name and on stable storage, or not there at all.
pub(crate) fn write(
    source: Source<'_>,
    target: &Path,
    password: &Password,
    files: bool,
    now: UnixTime,
    progress: Progress<'_>,
) -> Result<Report, BackupError> {
    if password.as_str().len() < MIN_PASSWORD {
        return Err(BackupError::Password);
    }
    let name = target.file_name().unwrap_or_default();
    let parent = target.parent().filter(|_| !name.is_empty());
    let parent =
        parent.ok_or_else(|| BackupError::at(target)(io::ErrorKind::InvalidInput.into()))?;
    if target.exists() {
        return Err(BackupError::Exists(target.to_owned()));
    }
    let staging = Staging::new(source.data_dir)?;
    let database = staging.0.join(DATABASE);
    let mut store = Store::open(source.data_dir.join(DATABASE), Durability::Full)?;
    store.copy_into(&database)?;
    // Of the copy, so that both say the same.
    let rows = Store::open(&database, Durability::Process)?.accounts()?;
    let accounts = rows.iter().filter_map(|row| {
        Some(BackedUp {
            account: row.local_id.parse().ok()?,
            jami_id: row.jami_id,
            display_name: row.display_name.clone(),
        })
    });
    let manifest = Manifest {
        format: FORMAT,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        created: now,
        files,
        accounts: accounts.collect(),
    };
    let mut beginning = name.to_owned();
    beginning.push(".part");
    let part = Part(parent.join(beginning));
    let out = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&part.0)
        .map_err(BackupError::at(target))?;
    let out = BufWriter::with_capacity(1 << 17, out);
    let failed = || BackupError::sealed(target);
    let sealed = SealedWriter::new(out, password, &mut Rng::from_os()).map_err(failed())?;
    let to_target = |error| BackupError::at(target)(error);
    let writer = Writer::new(sealed, &manifest).map_err(to_target)?;
    let mut collector = Collector {
        writer,
        source,
        staging: &staging,
        target,
        files,
        conversations: 0,
        progress,
    };
    collector.everything(&database, &manifest)?;
    let (conversations, writer) = (collector.conversations, collector.writer);
    let (entries, content) = (writer.count, writer.content);
    let sealed = writer.finish().map_err(to_target)?;
    let out = sealed.finish().map_err(to_target)?;
    let out = out
        .into_inner()
        .map_err(|error| BackupError::at(target)(error.into_error()))?;
    out.sync_all().map_err(to_target)?;
    let size = out.metadata().map_err(to_target)?.len();
    // A link fails where there is something by now, which renaming would replace.
    fs::hard_link(&part.0, target)
        .or_else(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Err(error),
            _ => fs::rename(&part.0, target),
        })
        .and_then(|()| File::open(parent)?.sync_all())
        .map_err(to_target)?;
    drop(part);
    for row in &rows {
        let millis = now.millis().to_string();
        store.set_setting(row.number, BACKED_UP, Some(&millis))?;
    }
    Ok(Report {
        manifest,
        conversations,
        entries,
        content,
        size,
    })
}

/// The file before it is complete; removed when dropped.
struct Part(PathBuf);

impl Drop for Part {
    fn drop(&mut self) {
        // Renamed, if it is complete.
        let _ = fs::remove_file(&self.0);
    }
}

/// A directory for copies; removed when dropped.
struct Staging(PathBuf);

impl Staging {
    fn new(data_dir: &Path) -> Result<Self, BackupError> {
        let path = data_dir.join(STAGING);
        // Left by a crash.
        let _ = fs::remove_dir_all(&path);
        files::private_directory(&path).map_err(BackupError::at(&path))?;
        Ok(Self(path))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Otherwise the next one clears it.
        let _ = fs::remove_dir_all(&self.0);
    }
}

struct Collector<'a, W> {
    writer: Writer<W>,
    source: Source<'a>,
    staging: &'a Staging,
    target: &'a Path,
    files: bool,
    conversations: u64,
    progress: Progress<'a>,
}

impl<W: io::Write> Collector<'_, W> {
    fn everything(&mut self, database: &Path, manifest: &Manifest) -> Result<(), BackupError> {
        self.file(database, DATABASE)?;
        fs::remove_file(database).map_err(BackupError::at(database))?;
        for name in TOP {
            let path = self.source.data_dir.join(name);
            if path.is_file() {
                self.file(&path, name)?;
            }
        }
        for account in &manifest.accounts {
            let name = account.account.to_string();
            let directory = self.source.data_dir.join("accounts").join(&name);
            self.tree(&directory, &format!("accounts/{name}"), true)?;
            self.all_conversations(account.account, &directory)?;
        }
        Ok(())
    }

    fn all_conversations(&mut self, account: LocalId, directory: &Path) -> Result<(), BackupError> {
        let directory = directory.join(CONVERSATIONS);
        let entries = match fs::read_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(BackupError::at(&directory))?,
        };
        for entry in entries {
            let name = entry.map_err(BackupError::at(&directory))?.file_name();
            let Some(Ok(id)) = name.to_str().map(str::parse::<ConversationId>) else {
                continue;
            };
            let copy = self.staging.0.join("conversation");
            let there = (self.source.snapshot)(account, id, &copy);
            if there.map_err(BackupError::at(&directory.join(name)))? {
                self.tree(
                    &copy,
                    &format!("accounts/{account}/{CONVERSATIONS}/{id}"),
                    false,
                )?;
                self.conversations = self.conversations.saturating_add(1);
            }
            match fs::remove_dir_all(&copy) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(BackupError::at(&copy)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Writes a directory with what is below it; of an account's, not the conversations.
    fn tree(&mut self, directory: &Path, name: &str, account: bool) -> Result<(), BackupError> {
        for entry in fs::read_dir(directory).map_err(BackupError::at(directory))? {
            let entry = entry.map_err(BackupError::at(directory))?;
            let file_name = entry.file_name();
            let Some(part) = file_name.to_str() else {
                continue;
            };
            let kind = entry.file_type().map_err(BackupError::at(directory))?;
            let (path, name) = (entry.path(), format!("{name}/{part}"));
            if kind.is_dir() {
                let left_out =
                    account && (part == CONVERSATIONS || (FILES.contains(&part) && !self.files));
                if !left_out {
                    self.tree(&path, &name, false)?;
                }
            } else if kind.is_file() && !is_unfinished(part) {
                self.file(&path, &name)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, name: &str) -> Result<(), BackupError> {
        let file = File::open(path).map_err(BackupError::at(path))?;
        let size = file.metadata().map_err(BackupError::at(path))?.len();
        match self.writer.file(name, size, file) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(BackupError::Changed(name.to_owned()));
            }
            Err(error) => return Err(BackupError::sealed(self.target)(SealedError::Io(error))),
        }
        (self.progress)(self.writer.count, self.writer.content);
        Ok(())
    }
}

/// Whether a file is being written and will get another name.
fn is_unfinished(name: &str) -> bool {
    [".new", ".part", ".tmp"]
        .iter()
        .any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfinished_files_stay_out() {
        assert!(is_unfinished("archive.gz.new"));
        assert!(!is_unfinished("archive.gz"));
    }
}
