//! Making and reading keys and archives, for threads that may take seconds.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::mpsc;

use baraza_identity::account::{NewAccount, Step};
use baraza_identity::archive::ArchiveError;
use baraza_identity::{Archive, Password, PrivateKey};
use baraza_store::{AccountRow, ContactRow, ConversationRow, ConversationState, Store, StoreError};
use baraza_swarm::{Mode, Repository, Role};
use baraza_wire::{AccountId, ConversationId, Rng, UnixTime};

use super::archives::cloning;
use super::{NodeError, now};
use crate::event::LocalId;
use crate::keys::Keys;

/// Bits of new keys (docs/protocol/02-account.md section 2).
const RSA_BITS: u32 = 4096;

fn keys_error(error: impl std::fmt::Display) -> NodeError {
    NodeError::Keys(error.to_string())
}

/// Makes an account and writes its files.
pub(super) fn account(
    directory: &Path,
    password: Option<&Password>,
    mut progress: impl FnMut(Step),
) -> Result<(Keys, Archive), NodeError> {
    let [ca, account, device] = generate(&mut progress)?;
    progress(Step::Certificates);
    let mut rng = Rng::from_os();
    let new =
        NewAccount::from_keys(ca, account, device, now().unix, &mut rng).map_err(keys_error)?;
    let keys = Keys::issue(&new.archive, new.device)?;
    write(directory, &keys, &new.archive, password)?;
    Ok((keys, new.archive))
}

/// Three keys at the same time, as each takes seconds of one core.
fn generate(progress: &mut impl FnMut(Step)) -> Result<[PrivateKey; 3], NodeError> {
    let (sender, receiver) = mpsc::channel();
    progress(Step::AuthorityKey);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let sender = sender.clone();
            scope.spawn(move || sender.send(PrivateKey::generate_rsa(RSA_BITS)));
        }
        drop(sender);
        let mut keys = Vec::new();
        for key in receiver {
            keys.push(key.map_err(keys_error)?);
            match keys.len() {
                1 => progress(Step::AccountKey),
                2 => progress(Step::DeviceKey),
                _ => {}
            }
        }
        keys.try_into()
            .map_err(|_| NodeError::Keys("a thread failed".into()))
    })
}

/// Reads an archive file.
pub(super) fn read_archive(
    bytes: &[u8],
    password: Option<&Password>,
) -> Result<Archive, NodeError> {
    Archive::read(bytes, password).map_err(archive_error)
}

/// What is wrong with an archive.
pub(super) fn archive_error(error: ArchiveError) -> NodeError {
    match error {
        ArchiveError::WrongPassword => NodeError::WrongPassword,
        ArchiveError::PasswordNeeded => NodeError::PasswordNeeded,
        other => NodeError::Archive(other.to_string()),
    }
}

/// Makes a new device of an account and writes its files.
pub(super) fn device(
    directory: &Path,
    archive: Archive,
    password: Option<&Password>,
    mut progress: impl FnMut(Step),
) -> Result<(Keys, Archive), NodeError> {
    progress(Step::DeviceKey);
    let mut rng = Rng::from_os();
    let key = PrivateKey::generate_rsa(RSA_BITS).map_err(keys_error)?;
    progress(Step::Certificates);
    let device = archive
        .certify_device(key, now().unix, &mut rng)
        .map_err(keys_error)?;
    let keys = Keys::issue(&archive, device)?;
    write(directory, &keys, &archive, password)?;
    Ok((keys, archive))
}

fn write(
    directory: &Path,
    keys: &Keys,
    archive: &Archive,
    password: Option<&Password>,
) -> Result<(), NodeError> {
    let file = archive
        .write(password, &mut Rng::from_os())
        .map_err(archive_error)?;
    let written = keys.save(directory, &file);
    if written.is_err() {
        // What is left of it is removed at the next start.
        let _ = shred(directory);
    }
    Ok(written?)
}

/// What the directory of an account that is being removed is called.
pub(super) const REMOVED: &str = "removed";
/// What the directory of an account is called that the database does not have yet.
pub(super) const PENDING: &str = "pending";

/// Gives the directory of a new account its name, which it has after a power failure, too.
pub(super) fn settle(pending: &Path, directory: &Path) -> io::Result<()> {
    std::fs::rename(pending, directory)?;
    match directory.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// Removes everything the database has of an account, and overwrites it.
pub(super) fn forget(store: &mut Store, number: i64, account: LocalId) -> Result<(), StoreError> {
    store.forget_account(number, &account.to_string())
}

/// Removes a directory. Secrets in it are overwritten before, for disks on which that helps.
pub(super) fn shred(directory: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)?.flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        let overwritten = File::options()
            .write(true)
            .open(entry.path())
            .and_then(|mut file| {
                let length = file.metadata()?.len();
                io::copy(&mut io::repeat(0).take(length), &mut file)?;
                file.sync_all()
            });
        if let Err(error) = overwritten {
            tracing::warn!(path = %entry.path().display(), %error, "not overwritten");
        }
    }
    std::fs::remove_dir_all(directory)
}

/// Ends what a crash interrupted: makings of accounts that the database has, or has not,
/// and removals. Returns whether the entry was of that kind.
fn tidy(path: &Path, known: &[AccountRow], store: &mut Store) -> Result<bool, NodeError> {
    let Some(end) = path.extension().and_then(|end| end.to_str()) else {
        return Ok(false);
    };
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    let row = known.iter().find(|row| Some(row.local_id.as_str()) == stem);
    let directory = path.with_extension("");
    let done = match (end, row) {
        (PENDING, Some(_)) => settle(path, &directory),
        (PENDING, None) => shred(path),
        (REMOVED, row) => {
            let gone = row.filter(|_| !directory.exists());
            if let Some((row, id)) = gone.and_then(|row| Some((row, row.local_id.parse().ok()?))) {
                forget(store, row.number, id)?;
            }
            shred(path)
        }
        _ => return Ok(false),
    };
    if let Err(error) = done {
        tracing::warn!(path = %path.display(), %error, "tried again at the next start");
    }
    Ok(true)
}

/// Enters accounts whose keys are in the directory but that the database does not know: it
/// was lost. Their conversations are found on the disk. Ends makings and removals of accounts
/// that were interrupted.
pub(super) fn adopt(directory: &Path, store: &mut Store, now: UnixTime) -> Result<(), NodeError> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => {
            return Err(NodeError::Io {
                path: directory.to_owned(),
                source,
            });
        }
        Ok(entries) => entries,
    };
    let known = store.accounts()?;
    for entry in entries.flatten() {
        let path = entry.path();
        if tidy(&path, &known, store)? {
            continue;
        }
        let name = entry.file_name();
        let local_id = name.to_str().and_then(|name| name.parse::<LocalId>().ok());
        let Some(local_id) = local_id.map(|id| id.to_string()) else {
            continue;
        };
        if known.iter().any(|row| row.local_id == local_id) {
            continue;
        }
        let Ok(keys) = Keys::load(&path) else {
            tracing::warn!(path = %path.display(), "not an account, left alone");
            continue;
        };
        let own = keys.identity.account_id();
        if known.iter().any(|row| row.jami_id == own) {
            tracing::warn!(path = %path.display(), account = %own, "another device of an account, left alone");
            continue;
        }
        tracing::warn!(account = %own, "an account that the database does not know");
        let row = AccountRow {
            number: 0,
            local_id,
            jami_id: own,
            device_id: keys.identity.device_id(),
            display_name: String::new(),
            created: now,
        };
        let found = conversations_on_disk(&path.join("conversations"), own, now);
        store.atomic(|store| {
            let number = store.add_account(&row)?;
            for (row, contact) in found {
                store.add_conversation(number, &row)?;
                if let Some(contact) = contact {
                    store.put_contact(number, &contact)?;
                }
            }
            Ok::<_, StoreError>(())
        })?;
    }
    Ok(())
}

/// Conversations on the disk, with the contacts that those of two are with.
fn conversations_on_disk(
    directory: &Path,
    own: AccountId,
    now: UnixTime,
) -> Vec<(ConversationRow, Option<ContactRow>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        // What is being cloned has another name until it is complete.
        let name = entry.file_name();
        let id = name.to_str().map(str::parse::<ConversationId>);
        if !matches!(id, Some(Ok(_))) {
            continue;
        }
        let Ok(repository) = Repository::open(&entry.path()) else {
            continue;
        };
        let members = repository.members().unwrap_or_default();
        let other = members.iter().find(|member| member.uri != own);
        let other = other.filter(|_| repository.mode() == Mode::OneToOne);
        let mut row = cloning(repository.id(), other.map(|member| member.uri), now);
        row.state = ConversationState::Ready;
        row.mode = repository.mode().number();
        let contact = other.map(|member| ContactRow {
            contact: member.uri,
            added: now,
            removed: UnixTime::default(),
            confirmed: matches!(member.role, Role::Admin | Role::Member),
            banned: false,
            conversation: Some(row.id),
        });
        found.push((row, contact));
    }
    found
}
