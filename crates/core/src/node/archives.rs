//! The archive on disk: brought up to date for others, with another password, and taken in
//! on a new device.

use std::collections::BTreeMap;

use baraza_identity::archive::{Contact, Conversation, Request};
use baraza_identity::{Archive, Password};
use baraza_store::{ContactRow, ConversationRow, ConversationState, RequestRow, Store, StoreError};
use baraza_wire::{AccountId, ConversationId, Rng, UnixTime};
use zeroize::Zeroizing;

use super::create::{self, archive_error};
use super::{Node, NodeError, lock};
use crate::command::{Command, Reply};
use crate::event::LocalId;
use crate::keys::Keys;
use crate::link_device::ArchiveAnswer;

/// The setting of an archive that is the name an account shows.
pub(super) const DISPLAY_NAME: &str = "Account.displayName";
/// Most accounts noted of whom a conversation can be cloned from.
const MAX_SOURCES: usize = 64;

/// Who is in each conversation.
type Members = BTreeMap<ConversationId, Vec<AccountId>>;

impl Node {
    /// The account archive, with contacts and conversations, encrypted with `new_password`
    /// if there is one. `password` opens the archive on disk.
    ///
    /// # Errors
    /// If there is no such account, or the password is wrong.
    pub async fn export_archive(
        &self,
        account: LocalId,
        password: Option<Password>,
        new_password: Option<Password>,
    ) -> Result<Vec<u8>, NodeError> {
        let written = self.with_current_archive(account, password, move |archive| {
            archive
                .write(new_password.as_ref(), &mut Rng::from_os())
                .map_err(archive_error)
        });
        let written = written.await?;
        self.note_backed_up(self.account_number(account)?)?;
        Ok(written)
    }

    /// Whether the archive on disk has a password.
    ///
    /// # Errors
    /// If there is no such account, or its archive cannot be read.
    pub async fn has_password(&self, account: LocalId) -> Result<bool, NodeError> {
        self.account_number(account)?;
        let directory = self.account_directory(account);
        let read = tokio::task::spawn_blocking(move || {
            let file = Keys::read_archive(&directory)?;
            Ok(Archive::is_encrypted(&file))
        });
        read.await.map_err(|_| NodeError::Stopped)?
    }

    /// Gives the archive on disk another password, or none. The account's other devices
    /// keep theirs. The file is replaced at once, or stays as it is.
    ///
    /// # Errors
    /// If there is no such account, or `old` is not its password.
    pub async fn change_password(
        &self,
        account: LocalId,
        old: Option<Password>,
        new: Option<Password>,
    ) -> Result<(), NodeError> {
        self.account_number(account)?;
        let directory = self.account_directory(account);
        let node = self.clone();
        let changed = tokio::task::spawn_blocking(move || {
            let _alone = lock(&node.inner.archives);
            let archive = create::read_archive(&Keys::read_archive(&directory)?, old.as_ref())?;
            let file = archive
                .write(new.as_ref(), &mut Rng::from_os())
                .map_err(archive_error)?;
            Ok(Keys::write_archive(&directory, &file)?)
        });
        changed.await.map_err(|_| NodeError::Stopped)?
    }

    /// Runs `with` on the archive as a new device is to get it, on a thread that may take
    /// its time.
    pub(super) async fn with_current_archive<T: Send + 'static>(
        &self,
        account: LocalId,
        password: Option<Password>,
        with: impl FnOnce(Archive) -> Result<T, NodeError> + Send + 'static,
    ) -> Result<T, NodeError> {
        let number = self.account_number(account)?;
        // An account that does not run knows its members no less, but nobody to ask.
        let members: Members = match self.command(account, Command::Conversations).await {
            Ok(Reply::Conversations(list)) => {
                let chats = list.into_iter();
                chats.map(|chat| (chat.id, chat.members)).collect()
            }
            _ => Members::new(),
        };
        let directory = self.account_directory(account);
        let node = self.clone();
        let done = tokio::task::spawn_blocking(move || {
            let file = Keys::read_archive(&directory)?;
            let mut archive = create::read_archive(&file, password.as_ref())?;
            fill(&mut archive, &lock(&node.inner.store), number, &members)?;
            with(archive)
        });
        done.await.map_err(|_| NodeError::Stopped)?
    }

    /// What a device being linked gets, if its user knows the password.
    pub(super) async fn archive_for_device(
        &self,
        account: LocalId,
        password: Password,
    ) -> ArchiveAnswer {
        let has_password = !password.is_empty();
        let json = self
            .with_current_archive(account, Some(password), move |archive| {
                archive.to_json(has_password).map_err(archive_error)
            })
            .await;
        let text = json.map(|json| String::from_utf8(json.to_vec()).map(Zeroizing::new));
        match text {
            Ok(Ok(text)) => ArchiveAnswer::Opened(text),
            Err(NodeError::WrongPassword | NodeError::PasswordNeeded) => {
                ArchiveAnswer::WrongPassword
            }
            Ok(Err(_)) | Err(_) => ArchiveAnswer::Failed,
        }
    }

    pub(super) fn account_number(&self, account: LocalId) -> Result<i64, NodeError> {
        lock(&self.inner.engines)
            .get(&account)
            .map(|running| running.row.number)
            .ok_or(NodeError::NoSuchAccount)
    }
}

/// Puts what the store has into an archive.
fn fill(
    archive: &mut Archive,
    store: &Store,
    number: i64,
    members: &Members,
) -> Result<(), NodeError> {
    for row in store.contacts(number)? {
        let contact = archive.contacts.entry(row.contact).or_default();
        contact.added = row.added;
        contact.removed = row.removed;
        contact.confirmed = row.confirmed;
        contact.banned = row.banned;
        contact.conversation = row.conversation;
    }
    super::devices::relay(archive, store, number)?;
    super::names::fill(archive, store, number)?;
    let own = archive.account_id();
    for row in store.conversations(number)? {
        let conversation = archive.conversations.entry(row.id).or_default();
        conversation.created = row.created;
        conversation.removed = row.removed;
        conversation.mode = Some(i64::from(row.mode));
        conversation.members.insert(own);
        conversation.members.extend(row.peer);
        conversation
            .members
            .extend(members.get(&row.id).into_iter().flatten());
        if let Some(read) = row.read {
            conversation.last_displayed = read.to_hex();
        }
    }
    let requests = store.requests(number)?;
    // What was answered since the archive was written is none any more.
    archive
        .requests
        .retain(|id, _| requests.iter().any(|row| row.conversation == *id));
    for row in requests {
        let request = archive
            .requests
            .entry(row.conversation)
            .or_insert_with(|| Request {
                from: row.sender,
                received: row.received,
                declined: row.declined,
                metadata: BTreeMap::new(),
                unknown: BTreeMap::new(),
            });
        request.from = row.sender;
        request.received = row.received;
        request.declined = row.declined;
        request.metadata.insert("mode".into(), row.mode.to_string());
        request.metadata.insert("title".into(), row.name);
    }
    let row = store
        .accounts()?
        .into_iter()
        .find(|row| row.number == number);
    if let Some(row) = row.filter(|row| !row.display_name.is_empty()) {
        archive
            .settings
            .insert(DISPLAY_NAME.into(), row.display_name);
    }
    Ok(())
}

/// Takes contacts, requests and conversations of an archive into the store. Conversations
/// are cloned from whoever is in them.
pub(super) fn take(
    archive: &Archive,
    store: &mut Store,
    number: i64,
    now: UnixTime,
) -> Result<(), StoreError> {
    let own = archive.account_id();
    super::names::take(archive, store, number)?;
    if let Some(row) = super::devices::row(archive) {
        store.set_revocations(number, &own, &[row])?;
    }
    let mut taken = Vec::new();
    for (id, contact) in &archive.contacts {
        if *id == own {
            continue;
        }
        store.put_contact(number, &contact_row(*id, contact))?;
        let conversation = contact.conversation.filter(|_| contact.is_active());
        let Some(conversation) = conversation.filter(|id| !taken.contains(id)) else {
            continue;
        };
        let known = archive.conversations.get(&conversation);
        if known.is_some_and(is_removed) {
            continue;
        }
        taken.push(conversation);
        let created = known.map_or(now, |known| known.created);
        store.add_conversation(number, &cloning(conversation, Some(*id), created))?;
    }
    for (id, conversation) in &archive.conversations {
        // Those of two without a contact were left.
        if taken.contains(id) || is_removed(conversation) || conversation.mode == Some(0) {
            continue;
        }
        let others = conversation.members.iter().copied().filter(|it| *it != own);
        let others: Vec<AccountId> = others.take(MAX_SOURCES).collect();
        let near = |id: &&AccountId| archive.contacts.get(id).is_some_and(Contact::is_active);
        let first = others.iter().find(near).or(others.first()).copied();
        if first.is_none() && conversation.mode.is_none() {
            continue;
        }
        let row = cloning(*id, first, conversation.created);
        let chat = store.add_conversation(number, &row)?;
        store.set_clone_sources(chat, &others)?;
    }
    for (id, request) in &archive.requests {
        if archive.conversations.contains_key(id) && taken.contains(id) {
            continue;
        }
        let text = |name: &str| request.metadata.get(name);
        store.put_request(
            number,
            &RequestRow {
                conversation: *id,
                sender: request.from,
                mode: text("mode").and_then(|mode| mode.parse().ok()).unwrap_or(0),
                name: text("title").cloned().unwrap_or_default(),
                received: request.received,
                issued: UnixTime::default(),
                declined: request.declined,
            },
        )?;
    }
    Ok(())
}

fn is_removed(conversation: &Conversation) -> bool {
    conversation.removed.millis() > 0 && conversation.removed >= conversation.created
}

pub(super) fn contact_row(id: AccountId, contact: &Contact) -> ContactRow {
    ContactRow {
        contact: id,
        added: contact.added,
        removed: contact.removed,
        confirmed: contact.confirmed,
        banned: contact.banned,
        conversation: contact.conversation,
    }
}

/// A conversation that is to be cloned.
pub(super) fn cloning(
    id: ConversationId,
    peer: Option<AccountId>,
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
