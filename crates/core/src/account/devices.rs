//! Other devices, of other accounts and of our own: whether they are on the network, and the connection to them.
//!
//! A connection is kept to each device of a contact that can be found, since a message then
//! takes one signature and one round trip; to each other device of the own account; and to
//! others as long as they are owed something.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use baraza_identity::{CertificateChain, PublicKey};
use baraza_link::{ChannelId, DownReason, FailReason, Peer};
use baraza_store::{ContactRow, DeviceKind, DeviceRow, OutboxKind, StoreError};
use baraza_wire::{AccountId, ConversationId, DeviceId};

use crate::account::channels::{Channel, ChannelKind};
use crate::account::conversation::Conversation;
use crate::account::timers::Timer;
use crate::account::{Account, Core};
use crate::event::{EventBody, Presence};
use crate::protocol::msg_channel::{self, ChannelMessage, MessageStream};
use crate::protocol::sip;

/// Devices kept for one account: people have a handful.
pub(super) const MAX_DEVICES_PER_ACCOUNT: usize = 32;
/// Devices kept in all.
const MAX_DEVICES: usize = 20_000;
/// Announcements of one device that may stand at the same time: one for each of its runs
/// in the last ten minutes.
const MAX_ANNOUNCEMENTS: usize = 64;
/// First pause before connecting again.
const DIAL_FIRST: Duration = Duration::from_secs(1);
/// Longest pause before connecting again to a device that can be found.
const DIAL_PRESENT: Duration = Duration::from_secs(60);
/// Longest pause before connecting again to one that cannot, but is owed something.
const DIAL_ABSENT: Duration = Duration::from_secs(300);
/// The device with the larger id waits this long, so that not both dial at once.
const DIAL_POLITE: Duration = Duration::from_millis(700);
/// Pause between asking a connected device what it has.
const CHECK: Duration = Duration::from_secs(300);

/// A device, another one than this.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) row: DeviceRow,
    /// Ids of its announcements that stand.
    pub(super) present: BTreeSet<u64>,
    /// Whether it is connected.
    pub(super) link: bool,
    /// Attempts to connect, and why the last failed.
    pub(super) tries: u32,
    pub(super) failed: Option<FailReason>,
    /// The `msg:` channel.
    pub(super) msg: Carrier,
    /// The `sip` channel, where there is no `msg:`.
    pub(super) sip: Carrier,
    /// Our `sync://` channel, to a device of the own account.
    pub(super) sync: Carrier,
    /// Messages waiting for one of them, notices left out.
    pub(super) waiting: VecDeque<ChannelMessage>,
    /// When a notice last went over the DHT.
    pub(super) posted: Option<Instant>,
    /// Whether its account has revoked it.
    pub(super) revoked: bool,
    /// When it was last asked for an invitation.
    pub(super) asked: Option<Instant>,
    /// Since when there is a link to it that nobody wants.
    pub(super) unwanted: Option<Instant>,
}

/// A channel for instant messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Carrier {
    /// There is none.
    #[default]
    None,
    /// Asked for.
    Opening(ChannelId),
    /// Open.
    Open(ChannelId),
    /// The device does not want it.
    Declined,
}

impl Device {
    fn new(row: DeviceRow) -> Self {
        Self {
            row,
            present: BTreeSet::new(),
            link: false,
            tries: 0,
            failed: None,
            msg: Carrier::None,
            sip: Carrier::None,
            sync: Carrier::None,
            waiting: VecDeque::new(),
            posted: None,
            revoked: false,
            asked: None,
            unwanted: None,
        }
    }

    /// The open channel for messages, if there is one; `msg:` is preferred.
    pub(super) fn carrier(&self) -> Option<ChannelId> {
        match (self.msg, self.sip) {
            (Carrier::Open(channel), _) | (_, Carrier::Open(channel)) => Some(channel),
            _ => None,
        }
    }

    /// Its key.
    pub(super) fn public_key(&self) -> Option<PublicKey> {
        PublicKey::from_spki_der(&self.row.public_key).ok()
    }
}

impl Core {
    fn save_device(&mut self, row: &DeviceRow) -> Result<(), StoreError> {
        self.store.begin()?;
        self.store.put_device(self.config.number, row)
    }
}

impl Account {
    pub(super) fn load_devices(&mut self) -> Result<(), StoreError> {
        for row in self.core.store.devices(self.core.config.number)? {
            if !row.chain.is_empty()
                && let Ok(chain) = CertificateChain::from_pem(&row.chain)
            {
                self.core.link(baraza_link::Command::KnowCertificate(chain));
            }
            self.devices.insert(row.device, Device::new(row));
        }
        Ok(())
    }

    /// Devices of an account.
    pub(super) fn devices_of(&self, owner: &AccountId) -> Vec<DeviceId> {
        let devices = self.devices.values();
        devices
            .filter(|device| device.row.owner == *owner)
            .map(|device| device.row.device)
            .collect()
    }

    /// Conversations shared with an account, usable ones.
    pub(super) fn shared_with(&self, account: &AccountId) -> Vec<ConversationId> {
        let conversations = self.conversations.values();
        conversations
            .filter(|conversation| conversation.is_shared() && conversation.is_authorised(account))
            .map(|conversation| conversation.row.id)
            .collect()
    }

    /// Conversations being cloned for which an account's devices are asked, or that it may
    /// have as another device of ours.
    pub(super) fn cloning_from(&self, account: &AccountId) -> Vec<ConversationId> {
        let conversations = self.conversations.values();
        conversations
            .filter(|conversation| {
                conversation.row.state == baraza_store::ConversationState::Cloning
                    && (conversation.is_cloned_from(account) || *account == self.core.account)
            })
            .map(|conversation| conversation.row.id)
            .collect()
    }

    /// Whether an account is blocked.
    pub(super) fn is_banned(&self, account: &AccountId) -> bool {
        self.contacts
            .get(account)
            .is_some_and(ContactRow::is_banned)
    }

    /// Whether an account is a contact.
    pub(super) fn is_contact(&self, account: &AccountId) -> bool {
        self.contacts
            .get(account)
            .is_some_and(ContactRow::is_active)
    }

    /// Whether we have anything to do with an account.
    pub(super) fn is_known(&self, account: &AccountId) -> bool {
        *account == self.core.account
            || self.is_contact(account)
            || !self.cloning_from(account).is_empty()
            || !self.shared_with(account).is_empty()
    }

    /// Whether a connection to a device is wanted.
    pub(super) fn is_wanted(&self, id: &DeviceId) -> bool {
        let Some(device) = self.devices.get(id) else {
            return false;
        };
        let owner = device.row.owner;
        if device.revoked || self.revoked.ourselves {
            return false;
        }
        if owner == self.core.account {
            return true;
        }
        if self.is_banned(&owner) {
            return false;
        }
        let confirmed = self
            .contacts
            .get(&owner)
            .is_some_and(|contact| contact.is_active() && contact.confirmed);
        confirmed
            || !self.cloning_from(&owner).is_empty()
            || self.has_joined(&owner)
            || self.is_invited(&owner)
            || self.is_routed(id)
    }

    /// Whether an account has joined a conversation of ours that is no large group.
    fn has_joined(&self, account: &AccountId) -> bool {
        self.conversations.values().any(|conversation| {
            let small = Some(conversation).filter(|it| !it.routing.is_large());
            let role = small
                .and_then(Conversation::shared)
                .and_then(|repository| repository.role(account).ok().flatten());
            matches!(
                role,
                Some(baraza_swarm::Role::Admin | baraza_swarm::Role::Member)
            )
        })
    }

    /// Whether a device is owed a commit, or has something that we need.
    pub(super) fn is_owed(&self, device: &DeviceId) -> bool {
        let Some(owner) = self.devices.get(device).map(|device| device.row.owner) else {
            return false;
        };
        let owed = self.conversations.values().any(|conversation| {
            conversation.is_shared()
                && self.tells(conversation, device)
                && conversation.peers.get(device).is_some_and(|peer| {
                    let owed = peer.known.owed(&conversation.index, &self.core.store);
                    matches!(owed, Ok(Some(_)))
                })
        });
        owed || !self.cloning_from(&owner).is_empty() || self.is_invited(&owner)
    }

    /// A device that an account vouches for. Its id, unless there are too many.
    pub(super) fn meet_device(
        &mut self,
        owner: AccountId,
        key: &PublicKey,
        chain: Option<&CertificateChain>,
    ) -> Result<Option<DeviceId>, StoreError> {
        let id = key.long_id();
        if id == self.core.device || !self.is_anchored(&owner, chain) {
            return Ok(None);
        }
        let pem = chain.map(CertificateChain::to_pem).unwrap_or_default();
        if let Some(device) = self.devices.get_mut(&id) {
            let seen = self.core.now.unix;
            let news = device.row.owner != owner || (!pem.is_empty() && device.row.chain != pem);
            let old = seen.saturating_since(device.row.seen) > Duration::from_secs(3600);
            if news || old {
                device.row.owner = owner;
                device.row.seen = seen;
                if !pem.is_empty() {
                    device.row.chain = pem;
                }
                let row = device.row.clone();
                self.core.save_device(&row)?;
            }
            if let Some(chain) = chain.filter(|_| news) {
                self.chain_known(chain)?;
            }
            return Ok(Some(id));
        }
        if self.devices.len() >= MAX_DEVICES
            || self.devices_of(&owner).len() >= MAX_DEVICES_PER_ACCOUNT
        {
            tracing::warn!(account = %owner, "too many devices");
            return Ok(None);
        }
        let row = DeviceRow {
            device: id,
            owner,
            public_key: key.spki_der().to_vec(),
            chain: pem,
            kind: DeviceKind::Unknown,
            seen: self.core.now.unix,
        };
        self.core.save_device(&row)?;
        self.devices.insert(id, Device::new(row));
        if let Some(chain) = chain {
            self.chain_known(chain)?;
        }
        if owner == self.core.account {
            self.core.emit(EventBody::DevicesChanged);
        }
        let conversations: Vec<ConversationId> = self.conversations.keys().copied().collect();
        for conversation in conversations {
            self.meet_devices(&conversation);
        }
        Ok(Some(id))
    }

    /// Whether a chain of a device said to be of the own account ends in the account's key.
    fn is_anchored(&self, owner: &AccountId, chain: Option<&CertificateChain>) -> bool {
        let anchor = |chain: &CertificateChain| {
            let issuer = chain.certificates().get(1);
            issuer.map(|issuer| issuer.public_key().clone())
        };
        *owner != self.core.account
            || chain.is_none_or(|chain| anchor(chain) == anchor(self.core.identity.chain()))
    }

    /// A device's announcement came, or comes again.
    pub(super) fn announced(
        &mut self,
        owner: AccountId,
        key: &PublicKey,
        value: u64,
    ) -> Result<(), StoreError> {
        let Some(id) = self.meet_device(owner, key, None)? else {
            return Ok(());
        };
        let before = self.presence(&owner);
        let device = self.devices.get_mut(&id);
        let Some(device) = device.filter(|device| !device.revoked) else {
            return Ok(());
        };
        if device.present.len() >= MAX_ANNOUNCEMENTS {
            device.present.pop_first();
        }
        if !device.present.insert(value) {
            return Ok(());
        }
        device.tries = 0;
        let linked = device.link;
        self.tell_presence(&owner, before);
        if owner == self.core.account {
            let later = self.core.after(super::sync::POST_AFTER);
            self.core.timers.sooner(Timer::PostSync, later);
        }
        for kind in [OutboxKind::Request, OutboxKind::Confirmation] {
            if self.outbox.contains_key(&(kind, owner)) {
                self.try_outbox(kind, owner)?;
            }
        }
        for conversation in self.cloning_from(&owner) {
            self.try_clone(conversation)?;
        }
        if linked {
            // It is another run of the device: the link may be a dead one.
            self.core.link(baraza_link::Command::Probe);
        } else if self.is_owed(&id) || self.core.device < id {
            self.dial(id);
        } else {
            let later = self.core.after(DIAL_POLITE);
            self.core.timers.sooner(Timer::Dial(id), later);
        }
        self.route_to(id)
    }

    /// A device's announcement is gone.
    pub(super) fn unannounced(&mut self, owner: AccountId, key: &PublicKey, value: u64) {
        let before = self.presence(&owner);
        if let Some(device) = self.devices.get_mut(&key.long_id()) {
            device.present.remove(&value);
        }
        self.tell_presence(&owner, before);
    }

    /// How near an account is.
    pub(super) fn presence(&self, account: &AccountId) -> Presence {
        let mut presence = Presence::Offline;
        for device in self.devices.values() {
            if device.row.owner == *account {
                if device.link {
                    return Presence::Connected;
                }
                if !device.present.is_empty() {
                    presence = Presence::Available;
                }
            }
        }
        presence
    }

    pub(super) fn tell_presence(&mut self, account: &AccountId, before: Presence) {
        let presence = self.presence(account);
        if presence != before && *account == self.core.account {
            self.core.emit(EventBody::DevicesChanged);
        }
        if presence != before && self.is_contact(account) {
            self.core.emit(EventBody::PresenceChanged {
                contact: *account,
                presence,
            });
        }
    }

    /// Connects to a device if that is wanted, and opens a channel for messages.
    pub(super) fn dial(&mut self, id: DeviceId) {
        self.core.timers.clear(Timer::Dial(id));
        if !self.is_wanted(&id) || self.await_certificate(id) {
            return;
        }
        let Some(device) = self.devices.get_mut(&id) else {
            return;
        };
        let account = device.row.owner;
        let old = device.msg == Carrier::Declined;
        let carrier = if old {
            &mut device.sip
        } else {
            &mut device.msg
        };
        if *carrier != Carrier::None {
            return;
        }
        let channel = self.core.channel();
        *carrier = Carrier::Opening(channel);
        let (name, reason, kind) = if old {
            let kind = self.core.sip_channel(account);
            (sip::CHANNEL.to_owned(), "sip", kind)
        } else {
            let kind = ChannelKind::Msg(MessageStream::new());
            (msg_channel::name(&id), "application/im-gitmessage-id", kind)
        };
        self.channels
            .insert(channel, Channel::new(id, account, kind));
        self.core.link(baraza_link::Command::Open {
            channel,
            device: id,
            name,
            reason: reason.to_owned(),
        });
    }

    /// A channel for messages could not be opened.
    pub(super) fn carrier_failed(
        &mut self,
        id: DeviceId,
        channel: ChannelId,
        reason: FailReason,
    ) -> Result<(), StoreError> {
        let Some(device) = self.devices.get_mut(&id) else {
            return Ok(());
        };
        let declined = reason == FailReason::Declined;
        if device.msg == Carrier::Opening(channel) {
            device.msg = if declined {
                Carrier::Declined
            } else {
                Carrier::None
            };
            if declined {
                if device.row.kind != DeviceKind::Old {
                    device.row.kind = DeviceKind::Old;
                    let row = device.row.clone();
                    self.core.save_device(&row)?;
                }
                self.dial(id);
                return Ok(());
            }
        } else if device.sip == Carrier::Opening(channel) {
            device.sip = Carrier::None;
        } else {
            return Ok(());
        }
        device.failed = Some(reason);
        device.tries = device.tries.saturating_add(1);
        self.dial_later(id);
        self.post_notices(id)
    }

    /// Sets the time of the next attempt to connect, if there is to be one.
    fn dial_later(&mut self, id: DeviceId) {
        let Some(device) = self.devices.get(&id) else {
            return;
        };
        let present = !device.present.is_empty() || device.link;
        if !self.is_wanted(&id) || !(present || self.is_owed(&id)) {
            return;
        }
        let tries = device.tries.saturating_sub(1);
        let longest = if present { DIAL_PRESENT } else { DIAL_ABSENT };
        let pause = self.core.back_off(DIAL_FIRST, tries, longest);
        let later = self.core.after(pause);
        self.core.timers.sooner(Timer::Dial(id), later);
    }

    /// Connects to a device that is owed something, if nothing is under way.
    pub(super) fn want(&mut self, id: DeviceId) {
        if self.core.timers.get(Timer::Dial(id)).is_none() {
            self.dial(id);
        }
    }

    /// There is a link to a device.
    pub(super) fn link_up(&mut self, peer: &Peer) -> Result<(), StoreError> {
        if self.is_banned(&peer.account) {
            let account = peer.account;
            self.core
                .link(baraza_link::Command::CloseAccount { account });
            return Ok(());
        }
        self.links.insert(peer.device, peer.clone());
        self.chain_known(&peer.chain)?;
        if self.revoked.ourselves || self.revoked.revokes(&peer.chain) {
            let device = peer.device;
            self.core.link(baraza_link::Command::CloseDevice { device });
            return Ok(());
        }
        if !self.is_known(&peer.account) {
            // Strangers may connect, but are not remembered.
            return Ok(());
        }
        let before = self.presence(&peer.account);
        let key = peer.chain.leaf().public_key();
        let Some(id) = self.meet_device(peer.account, key, Some(&peer.chain))? else {
            return Ok(());
        };
        if let Some(device) = self.devices.get_mut(&id) {
            device.link = true;
            device.tries = 0;
            device.failed = None;
        }
        self.core.timers.clear(Timer::Dial(id));
        self.tell_presence(&peer.account, before);
        self.dial(id);
        self.open_sync(id);
        self.check_device(id)?;
        self.ask_for_files(&id);
        self.offer_profile_anew(id);
        for conversation in self.cloning_from(&peer.account) {
            self.try_clone(conversation)?;
        }
        self.route_to(id)
    }

    /// Links of an account, which may have been a stranger's until now, are wanted.
    pub(super) fn welcome(&mut self, account: &AccountId) -> Result<(), StoreError> {
        let links = self.links.values();
        let links: Vec<Peer> = links
            .filter(|peer| peer.account == *account)
            .cloned()
            .collect();
        for peer in links {
            self.link_up(&peer)?;
        }
        for device in self.devices_of(account) {
            self.want(device);
        }
        Ok(())
    }

    /// Asks a device what it has of all conversations shared with it. Makes good for
    /// notices that it forgot to send, and tells what it has of ours.
    pub(super) fn check_device(&mut self, id: DeviceId) -> Result<(), StoreError> {
        let Some(device) = self.devices.get(&id) else {
            return Ok(());
        };
        let owner = device.row.owner;
        if !device.link {
            return Ok(());
        }
        for conversation in self.shared_with(&owner) {
            self.meet_devices(&conversation);
            self.request_fetch(conversation, id, None)?;
        }
        let pause = self.core.back_off(CHECK, 0, CHECK);
        let later = self.core.after(pause);
        self.core.timers.set(Timer::Check(id), later);
        Ok(())
    }

    /// The last link to a device is gone, and with it all open channels.
    pub(super) fn link_down(&mut self, id: DeviceId, reason: DownReason) -> Result<(), StoreError> {
        let gone: Vec<ChannelId> = self
            .channels
            .iter()
            .filter(|(_, channel)| channel.device == id && channel.open)
            .map(|(id, _)| *id)
            .collect();
        for channel in gone {
            self.channel_closed(channel)?;
        }
        self.links.remove(&id);
        let Some(owner) = self.devices.get(&id).map(|device| device.row.owner) else {
            return Ok(());
        };
        let before = self.presence(&owner);
        let Some(device) = self.devices.get_mut(&id) else {
            return Ok(());
        };
        tracing::debug!(device = %id.short(), %reason, "link down");
        device.link = false;
        if device.msg == Carrier::Declined {
            // It may come back with a newer version.
            device.msg = Carrier::None;
        }
        self.core.timers.clear(Timer::Check(id));
        self.core.timers.clear(Timer::OpenSync(id));
        self.tell_presence(&owner, before);
        self.dial_later(id);
        Ok(())
    }
}
