//! Making and reading keys and archives, for threads that may take seconds.

use std::path::Path;
use std::sync::mpsc;

use baraza_identity::account::{NewAccount, Step};
use baraza_identity::archive::{Contact, Conversation};
use baraza_identity::{Archive, Password, PrivateKey};
use baraza_store::{ContactRow, ConversationRow, ConversationState, Store, StoreError};
use baraza_wire::{ConversationId, Rng, UnixTime};

use super::{NodeError, now};
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

fn is_removed(conversation: &Conversation) -> bool {
    conversation.removed.millis() > 0 && conversation.removed >= conversation.created
}

fn contact_row(id: baraza_wire::AccountId, contact: &Contact) -> ContactRow {
    ContactRow {
        contact: id,
        added: contact.added,
        removed: contact.removed,
        confirmed: contact.confirmed,
        banned: contact.banned,
        conversation: contact.conversation,
    }
}

fn cloning(
    id: ConversationId,
    peer: Option<baraza_wire::AccountId>,
    created: UnixTime,
) -> ConversationRow {
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
