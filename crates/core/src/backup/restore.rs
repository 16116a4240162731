//! Reading a backup.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use baraza_identity::Password;
use baraza_identity::sealed::{SealedError, SealedReader};
use baraza_store::{Durability, Store, files};

use super::entries::Reader;
use super::{BACKED_UP, BackupError, Manifest, Report};
use crate::keys::Keys;
use crate::node::DATABASE;

/// Reads a whole backup and checks that every byte of it is as it was written.
///
/// # Errors
/// What is wrong with it.
pub fn verify(file: &Path, password: &Password) -> Result<Report, BackupError> {
    read(file, password, |_, reader| {
        reader.copy(&mut io::sink()).map_err(reading(file))
    })
}

/// Makes the data directory `data_dir`, which must be empty or not there, from a backup. It
/// appears complete or not at all.
///
/// # Errors
/// See [`BackupError`]; nothing is left behind then.
pub fn restore(file: &Path, password: &Password, data_dir: &Path) -> Result<Report, BackupError> {
    restore_telling(file, password, data_dir, |_, _| {})
}

/// As [`restore`]; `progress` is told files and bytes.
pub(crate) fn restore_telling(
    file: &Path,
    password: &Password,
    data_dir: &Path,
    mut progress: impl FnMut(u64, u64),
) -> Result<Report, BackupError> {
    if fs::read_dir(data_dir).is_ok_and(|mut entries| entries.next().is_some())
        || data_dir.is_file()
    {
        return Err(BackupError::Exists(data_dir.to_owned()));
    }
    let mut name = data_dir.file_name().unwrap_or_default().to_owned();
    name.push(".restoring");
    let new = New(data_dir.with_file_name(name));
    // Left by a crash.
    match fs::remove_dir_all(&new.0) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(BackupError::at(&new.0)(error));
        }
        _ => {}
    }
    // Not before something was read with the right password. Files of one directory mostly
    // follow each other.
    let mut made = PathBuf::new();
    let report = read(file, password, |name, reader| {
        let path = new.0.join(name);
        if let Some(parent) = path.parent().filter(|parent| *parent != made) {
            files::private_directory(parent).map_err(BackupError::at(parent))?;
            made = parent.to_owned();
        }
        let out = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(BackupError::at(&path))?;
        let mut out = BufWriter::with_capacity(1 << 16, out);
        reader.copy(&mut out).map_err(|error| {
            // Of the one or of the other: a full disk is never of the backup.
            match error.kind() {
                io::ErrorKind::StorageFull => BackupError::at(data_dir)(error),
                _ => reading(file)(error),
            }
        })?;
        let out = out.into_inner().map_err(io::IntoInnerError::into_error);
        out.map(drop).map_err(BackupError::at(data_dir))?;
        progress(reader.count, reader.content);
        Ok(())
    })?;
    check(&new.0, &report.manifest)?;
    // All at once, as there are many small files.
    File::open(&new.0)
        .and_then(|directory| Ok(rustix::fs::syncfs(directory)?))
        .and_then(|()| fs::rename(&new.0, data_dir))
        .and_then(|()| match data_dir.parent() {
            Some(parent) if parent.is_dir() => File::open(parent)?.sync_all(),
            _ => Ok(()),
        })
        .map_err(BackupError::at(data_dir))?;
    Ok(report)
}

/// A data directory that is not in its place; removed when dropped.
struct New(PathBuf);

impl Drop for New {
    fn drop(&mut self) {
        // Renamed, if it is complete.
        let _ = fs::remove_dir_all(&self.0);
    }
}

type Content = Reader<SealedReader<BufReader<File>>>;

/// Reads a backup; `each` gets every file in it.
fn read(
    file: &Path,
    password: &Password,
    mut each: impl FnMut(&str, &mut Content) -> Result<(), BackupError>,
) -> Result<Report, BackupError> {
    let input = File::open(file).map_err(BackupError::at(file))?;
    let size = input.metadata().map_err(BackupError::at(file))?.len();
    let input = BufReader::with_capacity(1 << 17, input);
    let sealed = SealedReader::new(input, password).map_err(BackupError::sealed(file))?;
    let mut reader = Reader::new(sealed).map_err(reading(file))?;
    // Files of one conversation follow each other.
    let (mut conversations, mut last) = (0_u64, String::new());
    while let Some((name, _)) = reader.next_file().map_err(reading(file))? {
        let mut parts = name.split('/');
        if let (Some("accounts"), Some(account), Some("conversations"), Some(id)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        {
            let this = format!("{account}/{id}");
            if last != this {
                conversations = conversations.saturating_add(1);
                last = this;
            }
        }
        each(&name, &mut reader)?;
    }
    Ok(Report {
        conversations,
        entries: reader.count,
        content: reader.content,
        manifest: reader.manifest,
        size,
    })
}

/// What an error while reading means.
fn reading(file: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = file.to_owned();
    move |error| match error.kind() {
        io::ErrorKind::InvalidData => BackupError::Malformed("its content cannot be understood"),
        io::ErrorKind::UnexpectedEof => BackupError::Malformed("its content ends too early"),
        _ => BackupError::sealed(&path)(SealedError::Io(error)),
    }
}

/// Whether a node could start on this directory; notes that its accounts are backed up.
fn check(directory: &Path, manifest: &Manifest) -> Result<(), BackupError> {
    let database = directory.join(DATABASE);
    if !database.is_file() {
        return Err(BackupError::Malformed("there is no database in it"));
    }
    let mut store = Store::open(&database, Durability::Process)?;
    store.check()?;
    for row in store.accounts()? {
        let account = directory.join("accounts").join(&row.local_id);
        let keys = Keys::load(&account).map_err(|error| BackupError::Account(error.to_string()))?;
        if keys.identity.account_id() != row.jami_id {
            return Err(BackupError::Malformed("keys in it are of another account"));
        }
        let millis = manifest.created.millis().to_string();
        store.set_setting(row.number, BACKED_UP, Some(&millis))?;
    }
    store.checkpoint()?;
    Ok(())
}
