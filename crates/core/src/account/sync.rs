//! Telling the other devices of the account what is the case here
//! (docs/protocol/06-messages-files.md section 5).
//!
//! A channel that opens is told everything, later ones what changes. Both sides open one
//! of their own to write on, as daemons of 2023 do, and read on both.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use baraza_dht::Command;
use baraza_link::ChannelId;
use baraza_store::{
    ConversationState, DeviceKind, OwnDeviceRow, PreferencesRow, RemovedRow, StoreError,
};
use baraza_swarm::Role;
use baraza_wire::{AccountId, CommitId, ConversationId, DeviceId, UnixTime};

use crate::account::Account;
use crate::account::channels::{Channel, ChannelKind};
use crate::account::conversation::Conversation;
use crate::account::devices::{Carrier, Device};
use crate::account::merge::Span;
use crate::account::registration::Op;
use crate::account::timers::Timer;
use crate::protocol::inbox;
use crate::protocol::msgpack_stream::MsgpackStream;
use crate::protocol::sync::{
    self, Marks, SyncContact, SyncConversation, SyncDevice, SyncMessage, SyncRequest,
    SyncTrustRequest,
};

/// Changes are told this much later, with all that come meanwhile.
const TELL_AFTER: Duration = Duration::from_millis(200);
/// Pause before a channel is opened again.
const REOPEN: Duration = Duration::from_secs(5);
/// Contacts are left on the DHT this much later, if no channel came about by then.
pub(super) const POST_AFTER: Duration = Duration::from_secs(10);
/// Pause between leaving them there for one device.
const POST_PAUSE: Duration = Duration::from_secs(60);

/// What is agreed with the other devices of the account, and what they do not know yet.
#[derive(Debug, Default)]
pub(super) struct SyncState {
    /// Names of the devices of the account, this one too.
    pub(super) devices: BTreeMap<DeviceId, OwnDeviceRow>,
    /// Conversations that were removed.
    pub(super) removed: BTreeMap<ConversationId, Span>,
    /// How conversations are shown.
    pub(super) preferences: BTreeMap<ConversationId, PreferencesRow>,
    /// The last messages read, and when, in seconds.
    pub(super) read: BTreeMap<ConversationId, (CommitId, u64)>,
    /// When contacts were last left on the DHT.
    posted: BTreeMap<DeviceId, Instant>,
    changes: Changes,
}

/// What changed since the others were told.
#[derive(Debug, Default)]
struct Changes {
    devices: bool,
    contacts: BTreeSet<AccountId>,
    conversations: BTreeSet<ConversationId>,
    requests: BTreeSet<ConversationId>,
    preferences: BTreeSet<ConversationId>,
    marks: BTreeSet<ConversationId>,
}

/// Which entries are wanted: those in the set, or all.
fn wanted<T: Ord>(set: Option<&BTreeSet<T>>, id: &T) -> bool {
    set.is_none_or(|set| set.contains(id))
}

impl Account {
    pub(super) fn load_sync(&mut self) -> Result<(), StoreError> {
        let (store, number) = (&self.core.store, self.core.config.number);
        for row in store.own_devices(number)? {
            self.sync.devices.insert(row.device, row);
        }
        for row in store.removed_conversations(number)? {
            let (created, removed) = (row.created, row.removed);
            let span = Span { created, removed };
            self.sync.removed.insert(row.conversation, span);
        }
        for row in store.preferences(number)? {
            self.sync.preferences.insert(row.conversation, row);
        }
        for row in store.read_marks(number)? {
            let mark = (row.message, row.time);
            self.sync.read.insert(row.conversation, mark);
        }
        Ok(())
    }

    /// What is to be known of a device of the account.
    pub(super) fn own_device(&self, id: &DeviceId) -> OwnDeviceRow {
        let known = self.sync.devices.get(id).cloned();
        known.unwrap_or_else(|| OwnDeviceRow {
            device: *id,
            name: String::new(),
            own_word: false,
            date: 0,
        })
    }

    pub(super) fn save_own_device(&mut self, row: OwnDeviceRow) -> Result<(), StoreError> {
        self.core.store.begin()?;
        let number = self.core.config.number;
        self.core.store.put_own_device(number, &row)?;
        self.sync.devices.insert(row.device, row);
        Ok(())
    }

    fn tell_soon(&mut self) {
        let soon = self.core.after(TELL_AFTER);
        self.core.timers.sooner(Timer::TellSync, soon);
    }

    /// Names of devices have changed.
    pub(super) fn devices_changed(&mut self) {
        self.sync.changes.devices = true;
        self.tell_soon();
    }

    /// A contact has changed.
    pub(super) fn contact_changed(&mut self, contact: AccountId) {
        self.sync.changes.contacts.insert(contact);
        self.tell_soon();
    }

    /// A conversation came or went.
    pub(super) fn conversation_changed(&mut self, id: ConversationId) {
        self.sync.changes.conversations.insert(id);
        self.tell_soon();
    }

    /// A request came or was declined.
    pub(super) fn request_changed(&mut self, id: ConversationId) {
        self.sync.changes.requests.insert(id);
        self.tell_soon();
    }

    /// Preferences have changed.
    pub(super) fn preferences_changed(&mut self, id: ConversationId) {
        self.sync.changes.preferences.insert(id);
        self.tell_soon();
    }

    /// Something was read.
    pub(super) fn mark_changed(&mut self, id: ConversationId) {
        self.sync.changes.marks.insert(id);
        self.tell_soon();
    }

    /// When a conversation was made and removed, as far as it is known.
    pub(super) fn span(&self, id: &ConversationId) -> Option<Span> {
        match self.conversations.get(id) {
            Some(conversation) => Some(Span {
                created: conversation.row.created,
                removed: match conversation.row.state {
                    ConversationState::Removed => conversation.row.removed,
                    _ => UnixTime::default(),
                },
            }),
            None => self.sync.removed.get(id).copied(),
        }
    }

    /// Remembers that a conversation was removed.
    pub(super) fn note_removed(
        &mut self,
        id: &ConversationId,
        at: UnixTime,
    ) -> Result<(), StoreError> {
        let created = self.span(id).unwrap_or_default().created;
        let removed = at.max(created).max(UnixTime::from_millis(1));
        self.put_removed(*id, Span { created, removed })
    }

    pub(super) fn put_removed(
        &mut self,
        conversation: ConversationId,
        span: Span,
    ) -> Result<(), StoreError> {
        self.core.store.begin()?;
        let row = RemovedRow {
            conversation,
            created: span.created,
            removed: span.removed,
        };
        let number = self.core.config.number;
        self.core.store.put_removed(number, &row)?;
        self.sync.removed.insert(conversation, span);
        self.conversation_changed(conversation);
        Ok(())
    }

    /// A conversation is to be here, again if it was removed. Since when, for others.
    pub(super) fn created_again(&mut self, id: &ConversationId) -> Result<UnixTime, StoreError> {
        let now = self.core.now.unix;
        let Some(span) = self.sync.removed.get(id).copied() else {
            return Ok(now);
        };
        self.forget_removed(id)?;
        let after = span.removed.saturating_add(Duration::from_millis(1));
        Ok(now.max(after))
    }

    pub(super) fn forget_removed(&mut self, id: &ConversationId) -> Result<(), StoreError> {
        if self.sync.removed.remove(id).is_some() {
            self.core.store.begin()?;
            let number = self.core.config.number;
            self.core.store.forget_removed(number, id)?;
        }
        Ok(())
    }

    /// The state of this device, or of it what has changed.
    fn state_to_tell(&self, changes: Option<&Changes>) -> SyncMessage {
        let mut message = SyncMessage {
            date: self.core.now.unix.millis().saturating_mul(1_000_000),
            ..SyncMessage::default()
        };
        if changes.is_none_or(|changes| changes.devices) {
            message.devices = self.devices_to_tell();
        }
        let some = changes.map(|changes| &changes.contacts);
        for (id, row) in self.contacts.iter().filter(|(id, _)| wanted(some, id)) {
            let contact = SyncContact {
                added: row.added,
                removed: row.removed,
                confirmed: row.confirmed,
                banned: row.banned,
                conversation: row.conversation,
                exact: true,
            };
            message.contacts.insert(*id, contact);
        }
        let some = changes.map(|changes| &changes.conversations);
        for (id, chat) in &self.conversations {
            // One that is not here yet cannot be fetched from here.
            if wanted(some, id) && chat.row.state != ConversationState::Cloning {
                let chat = self.conversation_to_tell(chat);
                message.conversations.insert(*id, chat);
            }
        }
        for (id, span) in &self.sync.removed {
            if wanted(some, id) && !self.conversations.contains_key(id) {
                let chat = SyncConversation {
                    created: span.created,
                    removed: span.removed,
                    erased: span.removed,
                    members: BTreeSet::from([self.core.account]),
                    mode: None,
                    exact: true,
                };
                message.conversations.insert(*id, chat);
            }
        }
        let some = changes.map(|changes| &changes.requests);
        for (id, row) in self.requests.iter().filter(|(id, _)| wanted(some, id)) {
            let key = self.devices_of(&row.sender).into_iter().next();
            let key = key.and_then(|device| self.devices.get(&device));
            if let (Some(device), 0, true) = (key, row.mode, row.is_pending()) {
                let request = SyncTrustRequest {
                    device: device.row.public_key.clone(),
                    conversation: Some(*id),
                    received: row.received,
                    issued: Some(row.issued).filter(|at| at.millis() > 0),
                };
                message.trust_requests.insert(row.sender, request);
            }
            let mut metadata = BTreeMap::from([
                ("from".to_owned(), row.sender.to_hex()),
                ("id".to_owned(), id.to_hex()),
                ("mode".to_owned(), row.mode.to_string()),
                ("received".to_owned(), row.received.secs().to_string()),
            ]);
            if !row.name.is_empty() {
                metadata.insert("title".to_owned(), row.name.clone());
            }
            let pending = row.is_pending();
            let request = SyncRequest {
                from: row.sender,
                metadata,
                received: row.received,
                declined: if pending {
                    UnixTime::default()
                } else {
                    row.declined
                },
                exact: true,
            };
            message.requests.insert(*id, request);
        }
        let some = changes.map(|changes| &changes.preferences);
        for (id, row) in &self.sync.preferences {
            if wanted(some, id) {
                let mut entries = row.entries.clone();
                entries.insert(LAST_MODIFIED.to_owned(), row.modified.to_string());
                message.preferences.insert(*id, entries);
            }
        }
        let some = changes.map(|changes| &changes.marks);
        for (id, read) in &self.sync.read {
            if wanted(some, id) && self.conversations.contains_key(id) {
                let marks = Marks {
                    fetched: None,
                    read: Some(*read),
                };
                let members = BTreeMap::from([(self.core.account, marks)]);
                message.marks.insert(*id, members);
            }
        }
        message
    }

    fn devices_to_tell(&self) -> BTreeMap<DeviceId, SyncDevice> {
        let own = self.core.identity.short_id();
        let others = self.devices.values();
        let own_others =
            |device: &&Device| device.row.owner == self.core.account && !device.revoked;
        let others = others.filter(own_others);
        let others = others.map(|device| {
            let short = device.public_key().map(|key| key.short_id());
            (device.row.device, short)
        });
        let all = others.chain([(self.core.device, Some(own))]);
        let all = all.map(|(id, short)| {
            let name = self.own_device(&id).name;
            (id, SyncDevice { name, short })
        });
        all.collect()
    }

    fn conversation_to_tell(&self, conversation: &Conversation) -> SyncConversation {
        let row = &conversation.row;
        let span = self.span(&row.id).unwrap_or_default();
        let members = conversation.repository.as_ref();
        let members = members.and_then(|repository| repository.members().ok());
        let members = members.unwrap_or_default().into_iter();
        SyncConversation {
            created: span.created,
            removed: span.removed,
            erased: UnixTime::default(),
            members: members
                .filter(|member| member.role != Role::Banned)
                .map(|member| member.uri)
                .collect(),
            mode: Some(row.mode),
            exact: true,
        }
    }

    /// Opens a channel to another device of the account, if it is connected.
    pub(super) fn open_sync(&mut self, id: DeviceId) {
        let own = self.core.account;
        let Some(device) = self.devices.get_mut(&id) else {
            return;
        };
        if device.row.owner != own || !device.link || device.sync != Carrier::None {
            return;
        }
        let channel = self.core.channel();
        device.sync = Carrier::Opening(channel);
        let kind = ChannelKind::Sync(MsgpackStream::new(sync::MAX_MESSAGE));
        self.channels.insert(channel, Channel::new(id, own, kind));
        self.core.link(baraza_link::Command::Open {
            channel,
            device: id,
            name: sync::channel(&id),
            reason: "sync".to_owned(),
        });
    }

    /// Our channel is open: everything is told.
    pub(super) fn sync_open(&mut self, id: DeviceId, channel: ChannelId) -> Result<(), StoreError> {
        let Some(device) = self.devices.get_mut(&id) else {
            return self.close_channel(channel);
        };
        device.sync = Carrier::Open(channel);
        let writes = self.state_to_tell(None).encode();
        self.write_sync(channel, writes);
        Ok(())
    }

    fn write_sync(&mut self, channel: ChannelId, writes: Vec<Vec<u8>>) {
        if let Some(state) = self.channels.get_mut(&channel) {
            for bytes in writes {
                state.write_state(channel, &mut self.core, bytes.into());
            }
        }
    }

    /// A channel has ended, or was not opened.
    pub(super) fn sync_closed(&mut self, id: DeviceId, channel: ChannelId) {
        let Some(device) = self.devices.get_mut(&id) else {
            return;
        };
        if device.sync == Carrier::Open(channel) || device.sync == Carrier::Opening(channel) {
            device.sync = Carrier::None;
            if device.link {
                let later = self.core.after(REOPEN);
                self.core.timers.sooner(Timer::OpenSync(id), later);
            }
        }
    }

    /// Tells the connected devices of the account what has changed.
    pub(super) fn tell_sync(&mut self) -> Result<(), StoreError> {
        let changes = std::mem::take(&mut self.sync.changes);
        let own = self.core.account;
        let others = self.devices.values();
        let others: Vec<Carrier> = others
            .filter(|device| device.row.owner == own && !device.revoked)
            .map(|device| device.sync)
            .collect();
        let open: Vec<ChannelId> = others
            .iter()
            .filter_map(|carrier| match carrier {
                Carrier::Open(channel) => Some(*channel),
                _ => None,
            })
            .collect();
        if open.len() < others.len() && (changes.devices || !changes.contacts.is_empty()) {
            let later = self.core.after(POST_AFTER);
            self.core.timers.sooner(Timer::PostSync, later);
        }
        if open.is_empty() {
            // Told when there is a channel.
            return Ok(());
        }
        let writes = self.state_to_tell(Some(&changes)).encode();
        for channel in open {
            self.write_sync(channel, writes.clone());
        }
        Ok(())
    }

    /// Leaves contacts on the DHT for daemons of 2023 that are not connected.
    pub(super) fn post_sync(&mut self) {
        let own = self.core.account;
        let now = self.core.now.instant;
        let near = |device: &Device| {
            device.row.owner == own
                && !device.revoked
                && device.row.kind != DeviceKind::New
                && !matches!(device.sync, Carrier::Open(_))
        };
        let devices = self.devices.values().filter(|device| near(device));
        let devices: Vec<(DeviceId, Option<_>)> = devices
            .map(|device| (device.row.device, device.public_key()))
            .collect();
        if devices.is_empty() {
            return;
        }
        let pieces = self.state_to_tell(None).encode_dht();
        for (id, key) in devices {
            let Some(key) = key else {
                continue;
            };
            let last = self.sync.posted.get(&id);
            if let Some(next) = last.and_then(|last| last.checked_add(POST_PAUSE))
                && next > now
            {
                self.core.timers.sooner(Timer::PostSync, next);
                continue;
            }
            self.sync.posted.insert(id, now);
            for piece in &pieces {
                let device = self.core.identity.key();
                match SyncMessage::seal(piece.clone(), device, &key, &mut self.core.rng) {
                    Ok(value) => {
                        let place = inbox::key(key.short_id());
                        self.core.operation(Op::Post, |op| Command::Put {
                            op,
                            key: place,
                            value,
                            permanent: false,
                        });
                    }
                    Err(error) => tracing::warn!(%error, "contacts not sealed"),
                }
            }
        }
    }
}

/// The name of the time among the preferences of a conversation.
pub(super) const LAST_MODIFIED: &str = "lastModified";
