//! Contacts and requests: what the user decides about them.

use baraza_store::{
    ContactRow, ConversationRow, ConversationState, OutboxKind, OutboxRow, StoreError,
};
use baraza_swarm::{Mode, Repository, RepositoryError, Role};
use baraza_wire::{AccountId, ConversationId, UnixTime};

use crate::account::conversation::Conversation;
use crate::account::timers::Timer;
use crate::account::{Account, CommandFailure};
use crate::command::CommandError;
use crate::event::EventBody;
use crate::protocol::vcard::Profile;

impl Account {
    /// Listens for the devices of everybody we have to do with, and blocks those blocked.
    pub(super) fn start_contacts(&mut self) {
        let mut watched: Vec<AccountId> = self
            .contacts
            .values()
            .filter(|contact| contact.is_active())
            .map(|contact| contact.contact)
            .collect();
        watched.push(self.core.account);
        for conversation in self.conversations.values() {
            if conversation.row.state == ConversationState::Cloning {
                watched.extend(conversation.cloned_from());
            }
            watched.extend(conversation.invitations.keys().copied());
        }
        for account in watched {
            self.watch(account);
        }
        let chats: Vec<ConversationId> = self.conversations.keys().copied().collect();
        for id in chats {
            self.watch_members(&id);
        }
        self.block();
    }

    /// Hears of the devices of a conversation's members.
    pub(super) fn watch_members(&mut self, id: &ConversationId) {
        let Some(repository) = self.conversations.get(id).and_then(Conversation::shared) else {
            return;
        };
        let large = self
            .conversations
            .get(id)
            .is_some_and(|conversation| conversation.routing.is_large());
        if large {
            // Their certificates are in the repository, and most of them need not be found.
            return;
        }
        let members = repository.members().unwrap_or_default();
        for member in members {
            if matches!(member.role, Role::Admin | Role::Member) && !self.is_banned(&member.uri) {
                self.watch(member.uri);
            }
        }
    }

    /// Tells the links who is blocked.
    pub(super) fn block(&mut self) {
        let blocked = self
            .contacts
            .values()
            .filter(|contact| contact.is_banned())
            .map(|contact| contact.contact)
            .collect();
        self.core.link(baraza_link::Command::SetBlocked(blocked));
    }

    /// Writes a contact.
    pub(super) fn save_contact(&mut self, row: ContactRow) -> Result<(), StoreError> {
        self.contact_changed(row.contact);
        self.core.store.begin()?;
        self.core.store.put_contact(self.core.config.number, &row)?;
        self.contacts.insert(row.contact, row);
        Ok(())
    }

    /// Adds a contact, or notes that it is confirmed.
    pub(super) fn add_contact(
        &mut self,
        contact: AccountId,
        confirmed: bool,
        conversation: Option<ConversationId>,
    ) -> Result<(), StoreError> {
        let old = self.contacts.get(&contact);
        let active = old.filter(|row| row.is_active());
        let was_banned = old.is_some_and(ContactRow::is_banned);
        let row = ContactRow {
            contact,
            added: match (active, old) {
                (Some(row), _) => row.added,
                // Later than the removal, also if the clock was set back.
                (None, Some(row)) => self.core.now.unix.max(UnixTime::from_millis(
                    row.removed.millis().saturating_add(1),
                )),
                (None, None) => self.core.now.unix,
            },
            removed: UnixTime::default(),
            confirmed: confirmed || active.is_some_and(|row| row.confirmed),
            banned: false,
            conversation: conversation.or(active.and_then(|row| row.conversation)),
        };
        if active == Some(&row) {
            return Ok(());
        }
        let news = active.is_none_or(|active| active.confirmed != row.confirmed);
        let confirmed = row.confirmed;
        self.save_contact(row)?;
        if was_banned {
            self.block();
        }
        if news {
            self.core
                .emit(EventBody::ContactAdded { contact, confirmed });
        }
        self.watch(contact);
        self.welcome(&contact)
    }

    /// The contact is known to have us, too.
    pub(super) fn confirmed(&mut self, contact: AccountId) -> Result<(), StoreError> {
        if !self.is_contact(&contact) {
            return Ok(());
        }
        self.settled(OutboxKind::Request, contact)?;
        self.add_contact(contact, true, None)
    }

    /// The command to add a contact.
    pub(super) fn add_contact_command(&mut self, contact: AccountId) -> Result<(), CommandFailure> {
        if contact == self.core.account {
            return Err(CommandError::Oneself.into());
        }
        Ok(self.add_contact(contact, false, None)?)
    }

    /// The command to remove or block a contact.
    pub(super) fn remove_contact(
        &mut self,
        contact: AccountId,
        ban: bool,
    ) -> Result<(), CommandFailure> {
        if contact == self.core.account {
            return Err(CommandError::Oneself.into());
        }
        let old = self.contacts.get(&contact).cloned();
        let active = old.as_ref().is_some_and(ContactRow::is_active);
        if !active && !ban {
            return Err(CommandError::NoSuchContact.into());
        }
        let added = old.as_ref().map(|row| row.added).unwrap_or_default();
        let row = ContactRow {
            contact,
            added,
            removed: self.core.now.unix.max(added),
            confirmed: false,
            banned: ban,
            conversation: None,
        };
        Ok(self.contact_gone(old, row)?)
    }

    /// A contact is not one any more, or an account is blocked.
    pub(super) fn contact_gone(
        &mut self,
        old: Option<ContactRow>,
        row: ContactRow,
    ) -> Result<(), StoreError> {
        let (contact, ban) = (row.contact, row.banned);
        self.save_contact(row)?;
        self.settled(OutboxKind::Request, contact)?;
        self.settled(OutboxKind::Confirmation, contact)?;
        let pending: Vec<ConversationId> = self
            .requests
            .values()
            .filter(|request| request.sender == contact && request.is_pending())
            .map(|request| request.conversation)
            .collect();
        for id in pending {
            self.forget_request(&id)?;
        }
        if old.is_none() && !ban {
            // Nobody knew it.
            return Ok(());
        }
        self.core.emit(EventBody::ContactRemoved {
            contact,
            banned: ban,
        });
        let cloning = self.cloning_from(&contact);
        for id in cloning {
            self.remove_conversation(&id)?;
        }
        if !ban && let Some(id) = old.and_then(|row| row.conversation) {
            self.remove_conversation(&id)?;
        }
        if self.shared_with(&contact).is_empty() || ban {
            self.unwatch(&contact);
        }
        self.block();
        if ban {
            self.core
                .link(baraza_link::Command::CloseAccount { account: contact });
        }
        Ok(())
    }

    /// Removes a conversation from this device, and so from the others of the account.
    pub(super) fn remove_conversation(&mut self, id: &ConversationId) -> Result<(), StoreError> {
        if self.conversations.contains_key(id) {
            self.note_removed(id, self.core.now.unix)?;
            self.erase_conversation(id)?;
            self.core
                .emit(EventBody::ConversationRemoved { conversation: *id });
        }
        Ok(())
    }

    /// Removes from this device what is left of a conversation.
    pub(super) fn erase_conversation(&mut self, id: &ConversationId) -> Result<(), StoreError> {
        self.core.timers.clear(Timer::Erase(*id));
        let Some(conversation) = self.conversations.get_mut(id) else {
            return Ok(());
        };
        let channels: Vec<_> = conversation
            .peers
            .values()
            .filter_map(|peer| peer.git.as_ref().map(|git| git.channel))
            .collect();
        for channel in channels {
            self.close_channel(channel)?;
        }
        let Some(mut conversation) = self.conversations.remove(id) else {
            return Ok(());
        };
        for request in conversation.take_requests() {
            self.core
                .replies
                .push((request, Err(CommandError::NoSuchConversation)));
        }
        conversation.repository = None;
        self.forget_files(id)?;
        self.core.store.begin()?;
        self.core
            .store
            .remove_conversation(conversation.row.number)?;
        self.remove_directory(id);
        self.forget_intakes(id)
    }

    /// The command to ask somebody to become a contact.
    pub(super) fn send_request(&mut self, to: AccountId) -> Result<ConversationId, CommandFailure> {
        if to == self.core.account {
            return self.with_oneself();
        }
        if self.is_banned(&to) {
            return Err(CommandError::Blocked.into());
        }
        // Who asks somebody that asks us says yes.
        let asked = self
            .requests
            .values()
            .find(|request| request.sender == to && request.is_pending())
            .map(|request| request.conversation);
        if let Some(id) = asked {
            self.accept_request(id)?;
            return Ok(id);
        }
        let contact = self.contacts.get(&to).filter(|row| row.is_active());
        let known = contact.and_then(|row| row.conversation);
        let id = match known.filter(|id| self.conversations.contains_key(id)) {
            Some(id) => id,
            None => self.create_one_to_one(to)?,
        };
        self.add_contact(to, false, Some(id))?;
        self.owe(OutboxKind::Request, to, id)?;
        Ok(id)
    }

    /// The conversation with oneself, for notes and between one's own devices. Nobody is
    /// asked.
    fn with_oneself(&mut self) -> Result<ConversationId, CommandFailure> {
        let own = self.core.account;
        let mut all = self.conversations.values();
        let known = all.find(|chat| {
            let row = &chat.row;
            row.mode == 0 && row.peer == Some(own) && !chat.is_left()
        });
        match known.map(|chat| chat.row.id) {
            Some(id) => Ok(id),
            None => self.create_one_to_one(own),
        }
    }

    fn create_one_to_one(&mut self, peer: AccountId) -> Result<ConversationId, CommandFailure> {
        let failed = |error: RepositoryError| CommandError::Repository(error.to_string());
        let parent = self.core.conversations_directory();
        std::fs::create_dir_all(&parent)
            .map_err(|error| CommandError::Repository(error.to_string()))?;
        let author = self.core.author();
        let repository = Repository::create_one_to_one(&parent, author, peer, self.core.now.unix)
            .map_err(failed)?;
        let first: ConversationId = repository.id();
        let id = self.add_conversation(repository, Some(peer), &[first.into()])?;
        self.core
            .emit(EventBody::ConversationReady { conversation: id });
        Ok(id)
    }

    /// The command to accept a request.
    pub(super) fn accept_request(&mut self, id: ConversationId) -> Result<(), CommandFailure> {
        let request = self.requests.get(&id).filter(|row| row.is_pending());
        let request = request.ok_or(CommandError::NoSuchRequest)?;
        let (sender, mode) = (request.sender, request.mode);
        if mode == Mode::Document.number() {
            return Err(CommandError::Document.into());
        }
        self.forget_request(&id)?;
        if mode == 0 {
            self.add_contact(sender, true, Some(id))?;
            self.owe(OutboxKind::Confirmation, sender, id)?;
        }
        Ok(self.clone_conversation(id, sender)?)
    }

    /// Begins to clone a conversation.
    pub(super) fn clone_conversation(
        &mut self,
        id: ConversationId,
        peer: AccountId,
    ) -> Result<(), StoreError> {
        match self.conversations.get(&id) {
            None => {}
            Some(left) if left.is_left() => self.erase_conversation(&id)?,
            Some(_) => return Ok(()),
        }
        let created = self.created_again(&id)?;
        self.add_clone(id, Some(peer), 0, created)?;
        self.try_clone(id)?;
        self.welcome(&peer)
    }

    /// Enters a conversation that is to be cloned.
    pub(super) fn add_clone(
        &mut self,
        id: ConversationId,
        peer: Option<AccountId>,
        mode: u8,
        created: UnixTime,
    ) -> Result<(), StoreError> {
        let mut row = ConversationRow {
            number: 0,
            id,
            state: ConversationState::Cloning,
            mode,
            peer,
            created,
            removed: UnixTime::default(),
            head: None,
            length: 0,
            read: None,
        };
        self.core.store.begin()?;
        row.number = self
            .core
            .store
            .add_conversation(self.core.config.number, &row)?;
        self.conversations
            .insert(id, Conversation::new(self.core.device, row, None));
        Ok(())
    }

    /// The command to decline a request. It is kept, so that it is not shown again.
    pub(super) fn decline_request(&mut self, id: ConversationId) -> Result<(), CommandFailure> {
        let request = self.requests.get_mut(&id).filter(|row| row.is_pending());
        let request = request.ok_or(CommandError::NoSuchRequest)?;
        let now = self.core.now.unix.max(UnixTime::from_millis(1));
        request.declined = now.max(request.issued);
        self.core.store.begin()?;
        self.core
            .store
            .put_request(self.core.config.number, request)?;
        self.request_changed(id);
        self.core
            .emit(EventBody::RequestRemoved { conversation: id });
        Ok(())
    }

    /// A request is not pending any more.
    pub(super) fn forget_request(&mut self, id: &ConversationId) -> Result<(), StoreError> {
        if let Some(request) = self.requests.remove(id) {
            self.core.store.begin()?;
            self.core
                .store
                .remove_request(self.core.config.number, id)?;
            if !request.is_pending() {
                return Ok(());
            }
            self.core
                .emit(EventBody::RequestRemoved { conversation: *id });
        }
        Ok(())
    }

    /// Owes a request or a confirmation to an account, and sends it.
    pub(super) fn owe(
        &mut self,
        kind: OutboxKind,
        target: AccountId,
        conversation: ConversationId,
    ) -> Result<(), StoreError> {
        let payload = match kind {
            OutboxKind::Request => Profile {
                name: self.core.config.display_name.clone(),
                photo: None,
            }
            .payload(),
            OutboxKind::Confirmation => Vec::new(),
        };
        let row = OutboxRow {
            kind,
            target,
            conversation,
            payload,
            created: self.core.now.unix,
            tries: 0,
            next_try: self.core.now.unix,
            reason: "not sent yet".into(),
        };
        self.core.store.begin()?;
        self.core.store.put_outbox(self.core.config.number, &row)?;
        self.outbox.insert((kind, target), row);
        self.try_outbox(kind, target)
    }

    /// A member of one of our conversations has joined: a contact that joined its
    /// one-to-one conversation is confirmed by that.
    pub(super) fn joined(&mut self, id: &ConversationId) -> Result<(), StoreError> {
        let contact = self
            .contacts
            .values()
            .find(|row| row.is_active() && !row.confirmed && row.conversation == Some(*id))
            .map(|row| row.contact);
        let Some(contact) = contact else {
            return Ok(());
        };
        let role = self
            .conversations
            .get(id)
            .and_then(Conversation::ready)
            .and_then(|repository| repository.role(&contact).ok().flatten());
        if matches!(role, Some(Role::Admin | Role::Member)) {
            self.confirmed(contact)?;
        }
        Ok(())
    }
}
