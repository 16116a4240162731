//! Taking in what another device of the account tells: each part by the rules of
//! [`merge`], so that all devices come to the same whoever tells whom first.

use baraza_store::{ContactRow, ConversationState, OutboxKind, PreferencesRow, ReadMarkRow};
use baraza_store::{RequestRow, StoreError};
use baraza_wire::{AccountId, CommitId, ConversationId, DeviceId, UnixTime};
use bytes::Bytes;

use baraza_link::ChannelId;

use crate::account::Account;
use crate::account::channels::ChannelKind;
use crate::account::clone::AGAIN_FIRST;
use crate::account::conversation::Conversation;
use crate::account::merge::{self, Span};
use crate::account::preferences;
use crate::account::requests::MAX_PENDING;
use crate::account::sync::LAST_MODIFIED;
use crate::account::timers::Timer;
use crate::command::MAX_NAME;
use crate::event::EventBody;
use crate::protocol::sync::{SyncContact, SyncConversation, SyncDevice, SyncMessage, SyncRequest};

/// Contacts and conversations that other devices may add to those here.
const MAX_ENTRIES: usize = 100_000;

impl Account {
    /// Something came on a `sync://` channel.
    pub(super) fn sync_data(
        &mut self,
        channel: ChannelId,
        bytes: &Bytes,
    ) -> Result<(), StoreError> {
        let Some(state) = self.channels.get_mut(&channel) else {
            return Ok(());
        };
        let device = state.device;
        let ChannelKind::Sync(stream) = &mut state.kind else {
            return Ok(());
        };
        stream.push(bytes);
        let mut messages = Vec::new();
        let result = loop {
            match stream.next_item() {
                Ok(Some(item)) => messages.push(item),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        for message in messages {
            match SyncMessage::decode(&message) {
                Ok(message) => self.take_sync(device, message)?,
                Err(error) => {
                    tracing::debug!(device = %device.short(), %error, "strange state of a device");
                }
            }
        }
        match result {
            Ok(()) => Ok(()),
            Err(error) => {
                tracing::debug!(device = %device.short(), %error, "bad sync:// channel");
                self.close_channel(channel)
            }
        }
    }

    /// Another device of the account left its contacts on the DHT.
    pub(super) fn sync_posted(&mut self, from: DeviceId, packed: &[u8]) -> Result<(), StoreError> {
        let message = match SyncMessage::decode_dht(packed) {
            Ok(message) => message,
            Err(error) => {
                tracing::debug!(device = %from.short(), %error, "strange state of a device");
                return Ok(());
            }
        };
        let mut row = self.own_device(&from);
        if message.date <= row.date {
            return Ok(());
        }
        row.date = message.date;
        self.save_own_device(row)?;
        let contacts: Vec<AccountId> = message.contacts.keys().copied().collect();
        self.take_sync(from, message)?;
        for contact in contacts {
            self.clone_of_contact(contact)?;
        }
        Ok(())
    }

    /// A contact came without its conversation, of which nothing more is said on the DHT.
    fn clone_of_contact(&mut self, contact: AccountId) -> Result<(), StoreError> {
        let row = self.contacts.get(&contact).filter(|row| row.is_active());
        let Some(id) = row.and_then(|row| row.conversation) else {
            return Ok(());
        };
        if self.span(&id).is_some() {
            return Ok(());
        }
        let now = self.core.now.unix;
        self.add_clone(id, Some(contact), 0, now)?;
        // The device that added the contact is about to join, and sooner to be asked.
        let later = self.core.after(AGAIN_FIRST);
        self.core.timers.sooner(Timer::Clone(id), later);
        self.welcome(&contact)
    }

    fn take_sync(&mut self, from: DeviceId, message: SyncMessage) -> Result<(), StoreError> {
        for (id, device) in message.devices {
            self.take_device(from, id, &device)?;
        }
        for (id, contact) in message.contacts {
            self.take_contact(id, &contact)?;
        }
        for (id, conversation) in message.conversations {
            self.take_conversation(from, id, &conversation)?;
        }
        for (sender, request) in message.trust_requests {
            if let Some(conversation) = request.conversation {
                self.take_request(&RequestRow {
                    conversation,
                    sender,
                    mode: 0,
                    name: String::new(),
                    received: request.received,
                    declined: UnixTime::default(),
                    issued: request.issued.unwrap_or_default(),
                })?;
            }
        }
        for (id, request) in message.requests {
            let heard = request_row(id, &request);
            let heard = merge::request_heard(self.requests.get(&id), heard, request.exact);
            self.take_request(&heard)?;
        }
        for (id, entries) in message.preferences {
            self.take_preferences(id, entries)?;
        }
        for (id, mut members) in message.marks {
            let marks = members.remove(&self.core.account);
            if let Some(read) = marks.and_then(|marks| marks.read) {
                self.take_mark(id, read)?;
            }
        }
        Ok(())
    }

    /// The name of a device: what it says itself counts, else what was heard first.
    fn take_device(
        &mut self,
        from: DeviceId,
        id: DeviceId,
        device: &SyncDevice,
    ) -> Result<(), StoreError> {
        let mut row = self.own_device(&id);
        let own_word = from == id;
        let better = own_word || row.name.is_empty();
        if id == self.core.device
            || device.name.is_empty()
            || !better
            || (row.name == device.name && row.own_word == own_word)
            || (self.sync.devices.len() >= super::devices::MAX_DEVICES_PER_ACCOUNT
                && !self.sync.devices.contains_key(&id))
        {
            return Ok(());
        }
        row.name.clone_from(&device.name);
        row.own_word = own_word;
        self.save_own_device(row)?;
        self.devices_changed();
        self.core.emit(EventBody::DevicesChanged);
        Ok(())
    }

    fn take_contact(&mut self, id: AccountId, theirs: &SyncContact) -> Result<(), StoreError> {
        let ours = self.contacts.get(&id).cloned();
        let many = ours.is_none() && self.contacts.len() >= MAX_ENTRIES;
        if id == self.core.account || many {
            return Ok(());
        }
        let heard = merge::contact_heard(ours.as_ref(), id, theirs);
        let merged = merge::contact(ours.as_ref().unwrap_or(&heard), &heard);
        if ours.as_ref() == Some(&merged) {
            return Ok(());
        }
        if !merged.is_active() {
            return self.contact_gone(ours, merged);
        }
        let before = ours.as_ref().filter(|row| row.is_active());
        let news = before.is_none_or(|before| before.confirmed != merged.confirmed);
        let was_banned = ours.as_ref().is_some_and(ContactRow::is_banned);
        let confirmed = merged.confirmed;
        self.save_contact(merged)?;
        if was_banned {
            self.block();
        }
        let pending = self.requests.values();
        let pending: Vec<ConversationId> = pending
            .filter(|request| request.sender == id && request.mode == 0)
            .map(|request| request.conversation)
            .collect();
        for request in pending {
            self.forget_request(&request)?;
        }
        if confirmed {
            self.settled(OutboxKind::Request, id)?;
        }
        if news {
            self.core.emit(EventBody::ContactAdded {
                contact: id,
                confirmed,
            });
        }
        self.watch(id);
        self.welcome(&id)
    }

    fn take_conversation(
        &mut self,
        from: DeviceId,
        id: ConversationId,
        theirs: &SyncConversation,
    ) -> Result<(), StoreError> {
        let ours = self.span(&id);
        let many = self.conversations.len() >= MAX_ENTRIES;
        let heard = merge::span_heard(ours, theirs);
        if heard == Span::default() || (ours.is_none() && many) {
            return Ok(());
        }
        let merged = ours.unwrap_or(heard).merge(heard);
        if !merged.is_active() {
            return self.conversation_gone(id, ours, merged);
        }
        if !heard.is_active() {
            // It is here again, of which that device has not heard yet.
            self.conversation_changed(id);
            return Ok(());
        }
        self.forget_request(&id)?;
        let left = self.conversations.get(&id).map(Conversation::is_left);
        if left == Some(true) {
            self.erase_conversation(&id)?;
        }
        if left != Some(false) {
            self.forget_removed(&id)?;
            let mode = theirs.mode.unwrap_or_default();
            let peer = self.peer_of(&id, theirs);
            self.add_clone(id, peer, mode, merged.created)?;
        }
        let Some(conversation) = self.conversations.get_mut(&id) else {
            return Ok(());
        };
        if conversation.row.created != merged.created {
            conversation.row.created = merged.created;
            conversation.touch();
            self.core.store.begin()?;
        }
        conversation.holders.insert(from);
        if conversation.row.state == ConversationState::Cloning {
            return self.try_clone(id);
        }
        Ok(())
    }

    /// Another device of the account removed a conversation.
    fn conversation_gone(
        &mut self,
        id: ConversationId,
        ours: Option<Span>,
        merged: Span,
    ) -> Result<(), StoreError> {
        let request = self.requests.get(&id);
        if request.is_some_and(|request| request.issued.max(request.received) <= merged.removed) {
            self.forget_request(&id)?;
        }
        if ours == Some(merged) {
            return Ok(());
        }
        let here = self.conversations.get(&id);
        let here = here.is_some_and(|conversation| !conversation.is_left());
        self.put_removed(id, merged)?;
        if here {
            self.erase_conversation(&id)?;
            self.core
                .emit(EventBody::ConversationRemoved { conversation: id });
        }
        Ok(())
    }

    /// Whom a conversation is with, to ask that account too.
    fn peer_of(&self, id: &ConversationId, theirs: &SyncConversation) -> Option<AccountId> {
        let contacts = self.contacts.values();
        let mut contacts = contacts.filter(|row| row.conversation == Some(*id));
        let contact = contacts.next().map(|row| row.contact);
        let others = theirs.members.iter().copied();
        let mut others = others.filter(|member| *member != self.core.account);
        let alone = theirs.mode == Some(0) && theirs.members.len() == 1;
        let own = alone.then_some(self.core.account);
        contact.or_else(|| others.next()).or(own)
    }

    fn take_request(&mut self, heard: &RequestRow) -> Result<(), StoreError> {
        let id = heard.conversation;
        let contact = self.is_contact(&heard.sender) && heard.mode == 0;
        if heard.sender == self.core.account || self.is_banned(&heard.sender) || contact {
            return Ok(());
        }
        let span = self.span(&id);
        let answered = span.is_some_and(|span| {
            span.is_active() || heard.received.max(heard.issued) <= span.removed
        });
        if answered {
            return self.forget_request(&id);
        }
        let ours = self.requests.get(&id);
        let merged = merge::request(ours.unwrap_or(heard), heard);
        if ours == Some(&merged) {
            return Ok(());
        }
        let was_pending = ours.is_some_and(RequestRow::is_pending);
        let pending = self.requests.values().filter(|row| row.is_pending());
        let many = self.requests.len() >= MAX_ENTRIES || pending.count() >= MAX_PENDING;
        if !was_pending && many {
            return Ok(());
        }
        self.core.store.begin()?;
        let number = self.core.config.number;
        self.core.store.put_request(number, &merged)?;
        let is_pending = merged.is_pending();
        self.requests.insert(id, merged.clone());
        self.request_changed(id);
        match (was_pending, is_pending) {
            (false, true) => self.core.emit(EventBody::RequestReceived {
                from: merged.sender,
                conversation: id,
                mode: merged.mode,
                name: merged.name,
                received: merged.received,
            }),
            (true, false) => self
                .core
                .emit(EventBody::RequestRemoved { conversation: id }),
            _ => {}
        }
        Ok(())
    }

    fn take_preferences(
        &mut self,
        id: ConversationId,
        mut entries: std::collections::BTreeMap<String, String>,
    ) -> Result<(), StoreError> {
        let modified = entries.remove(LAST_MODIFIED);
        let modified = modified.and_then(|time| time.parse().ok());
        let ours = self.sync.preferences.get(&id).cloned();
        let many = ours.is_none() && self.sync.preferences.len() >= MAX_ENTRIES;
        if many || preferences::size(&entries) > preferences::MAX_SIZE {
            return Ok(());
        }
        // Without a time they always count.
        let modified = modified.unwrap_or_else(|| self.core.now.unix.secs());
        let before = ours.map(|row| (row.modified, row.entries));
        let before = before.unwrap_or_default();
        let (modified, entries) = merge::preferences(before.clone(), (modified, entries));
        if (modified, &entries) == (before.0, &before.1) {
            return Ok(());
        }
        self.put_preferences(PreferencesRow {
            conversation: id,
            modified,
            entries,
        })
    }

    fn take_mark(&mut self, id: ConversationId, theirs: (CommitId, u64)) -> Result<(), StoreError> {
        let ours = self.sync.read.get(&id).copied();
        let many = ours.is_none() && self.sync.read.len() >= MAX_ENTRIES;
        match merge::mark(ours, Some(theirs)) {
            Some(mark) if Some(mark) != ours && !many => self.put_mark(id, mark),
            _ => Ok(()),
        }
    }

    /// Notes what was read last, here or on another device of the account.
    pub(super) fn put_mark(
        &mut self,
        id: ConversationId,
        (message, time): (CommitId, u64),
    ) -> Result<(), StoreError> {
        let row = ReadMarkRow {
            conversation: id,
            message,
            time,
        };
        self.core.store.begin()?;
        let number = self.core.config.number;
        self.core.store.put_read_mark(number, &row)?;
        self.sync.read.insert(id, (message, time));
        self.mark_changed(id);
        let read = self.conversations.get(&id);
        if read.is_some_and(|conversation| conversation.row.read != Some(message)) {
            self.show_read(id, message)?;
        }
        Ok(())
    }
}

fn request_row(conversation: ConversationId, theirs: &SyncRequest) -> RequestRow {
    let text = |key: &str| theirs.metadata.get(key);
    let name: String = text("title")
        .into_iter()
        .flat_map(|name| name.chars())
        .collect();
    RequestRow {
        conversation,
        sender: theirs.from,
        mode: text("mode")
            .and_then(|mode| mode.parse().ok())
            .unwrap_or_default(),
        name: name.chars().take(MAX_NAME).collect(),
        received: theirs.received,
        declined: theirs.declined,
        issued: UnixTime::default(),
    }
}
