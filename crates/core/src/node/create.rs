//! Making and reading keys and archives, for threads that may take seconds.

use std::path::Path;
use std::sync::mpsc;

use baraza_identity::account::{NewAccount, Step};
use baraza_identity::archive::{Contact, Conversation};
use baraza_identity::{Archive, Password, PrivateKey};
use baraza_store::{AccountRow, ContactRow, ConversationRow, ConversationState, Store, StoreError};
use baraza_swarm::{Mode, Repository, Role};
use baraza_wire::{AccountId, ConversationId, Rng, UnixTime};

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
    Archive::read(bytes, password).map_err(|error| NodeError::Archive(error.to_string()))
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
        .map_err(|error| NodeError::Archive(error.to_string()))?;
    Ok(keys.save(directory, &file)?)
}

/// Puts contacts and conversations of the store into an archive.
pub(super) fn fill_archive(
    archive: &mut Archive,
    store: &Store,
    number: i64,
) -> Result<(), NodeError> {
    for row in store.contacts(number)? {
        let contact = archive.contacts.entry(row.contact).or_default();
        contact.added = row.added;
        contact.removed = row.removed;
        contact.confirmed = row.confirmed;
        contact.banned = row.banned;
        contact.conversation = row.conversation;
    }
    let own = archive.account_id();
    for row in store.conversations(number)? {
        let conversation = archive.conversations.entry(row.id).or_default();
        conversation.created = row.created;
        conversation.removed = row.removed;
        conversation.mode = Some(i64::from(row.mode));
        conversation.members.insert(own);
        conversation.members.extend(row.peer);
    }
    Ok(())
}

/// Takes contacts and conversations of an archive into the store. Conversations are cloned
/// from the contact they are with.
pub(super) fn take_archive(
    archive: &Archive,
    store: &mut Store,
    number: i64,
    now: UnixTime,
) -> Result<(), StoreError> {
    for (id, contact) in &archive.contacts {
        store.put_contact(number, &contact_row(*id, contact))?;
        let conversation = contact.conversation.filter(|_| contact.is_active());
        let Some(conversation) = conversation else {
            continue;
        };
        let known = archive.conversations.get(&conversation);
        if known.is_some_and(is_removed) {
            continue;
        }
        let row = cloning(
            conversation,
            Some(*id),
            known.map_or(now, |known| known.created),
        );
        store.add_conversation(number, &row)?;
    }
    Ok(())
}

/// What the directory of an account that is being removed is called.
pub(super) const REMOVED: &str = "removed";

/// Enters accounts whose keys are in the directory but that the database does not know: it
/// was lost, or the program ended while an account was made. Their conversations are found
/// on the disk. Ends removals that were interrupted.
pub(super) fn adopt(directory: &Path, store: &mut Store, now: UnixTime) -> Result<(), NodeError> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
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
        if path.extension().is_some_and(|end| end == REMOVED) {
            // Tried again at the next start.
            let _ = std::fs::remove_dir_all(&path);
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

fn is_removed(conversation: &Conversation) -> bool {
    conversation.removed.millis() > 0 && conversation.removed >= conversation.created
}

fn contact_row(id: AccountId, contact: &Contact) -> ContactRow {
    ContactRow {
        contact: id,
        added: contact.added,
        removed: contact.removed,
        confirmed: contact.confirmed,
        banned: contact.banned,
        conversation: contact.conversation,
    }
}

fn cloning(id: ConversationId, peer: Option<AccountId>, created: UnixTime) -> ConversationRow {
    ConversationRow {
        number: 0,
        id,
        state: ConversationState::Cloning,
        mode: 0,
        peer,
        created,
        removed: UnixTime::default(),
        head: None,
        length: 0,
        read: None,
    }
}
