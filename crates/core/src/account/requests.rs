//! Requests and confirmations over the DHT, both directions
//! (docs/protocol/02-account.md section 8), and finding out who a device belongs to.

use std::time::Duration;

use baraza_dht::{Command, OpId, Query, Value, certificate_value};
use baraza_identity::{CertificateChain, PublicKey};
use baraza_store::{OutboxKind, RequestRow, StoreError};
use baraza_wire::{AccountId, ConversationId, DeviceId, InfoHash, UnixTime};

use crate::account::Account;
use crate::account::devices::Device;
use crate::account::registration::Op;
use crate::account::timers::Timer;
use crate::event::EventBody;
use crate::protocol::im_message::ImMessage;
use crate::protocol::inbox::{self, Content};
use crate::protocol::message::Invite;
use crate::protocol::msg_channel::ChannelMessage;
use crate::protocol::trust_request::TrustRequest;
use crate::protocol::vcard::Profile;

/// First pause before something owed is sent again.
const AGAIN_FIRST: Duration = Duration::from_secs(10);
/// Longest pause before something owed is sent again.
const AGAIN_LONGEST: Duration = Duration::from_secs(600);
/// Shortest pause, when a device appears.
const AGAIN_SHORTEST: Duration = Duration::from_secs(3);
/// A confirmation is sent so often; nobody says that it came, but whoever misses it asks
/// again.
const CONFIRMATIONS: u32 = 5;
/// Requests pending at a time; more are dropped.
pub(super) const MAX_PENDING: usize = 1000;
/// Invitations to groups pending of one account; more are dropped, so that nobody takes up
/// the room of all others.
const MAX_GROUPS_PENDING: usize = 16;
/// Devices looked up at a time.
const MAX_LOOKUPS: usize = 64;
/// What waits for one device's certificate.
const MAX_WAITING: usize = 8;
/// How often a certificate is looked for.
const LOOKUPS: u32 = 4;
/// Pause between looking for a certificate.
const LOOKUP_PAUSE: Duration = Duration::from_secs(5);
/// How far a time that a peer states may lie in the future.
const SKEW: Duration = Duration::from_secs(300);

/// A device whose account is being found out.
#[derive(Debug)]
pub(super) struct Lookup {
    operations: usize,
    tries: u32,
    /// Whether it was searched in vain already.
    failed: bool,
    key: PublicKey,
    waiting: Vec<(u64, Content)>,
}

impl Account {
    /// Sends what is owed to all devices of an account, if it is time.
    pub(super) fn try_outbox(
        &mut self,
        kind: OutboxKind,
        target: AccountId,
    ) -> Result<(), StoreError> {
        let Some(row) = self.outbox.get(&(kind, target)) else {
            return Ok(());
        };
        let timer = Timer::Outbox(kind, target);
        if row.tries > 0 && row.next_try > self.core.now.unix {
            // A device appeared: sooner than planned, but not for each of its values.
            let soon = self.core.after(AGAIN_SHORTEST);
            let next = self.core.now.unix.saturating_add(AGAIN_SHORTEST);
            if row.next_try > next
                && let Some(row) = self.outbox.get_mut(&(kind, target))
            {
                row.next_try = next;
            }
            self.core.timers.sooner(timer, soon);
            return Ok(());
        }
        self.watch(target);
        let Some(row) = self.outbox.get(&(kind, target)) else {
            return Ok(());
        };
        let request = match kind {
            OutboxKind::Request => {
                TrustRequest::request(row.conversation, row.payload.clone(), row.created)
            }
            OutboxKind::Confirmation => TrustRequest::confirmation(Some(row.conversation)),
        };
        let keys: Vec<PublicKey> = self
            .devices
            .values()
            .filter(|device| device.row.owner == target && !device.revoked)
            .filter_map(Device::public_key)
            .collect();
        let found = keys.len();
        for key in keys {
            match request.seal(self.core.identity.key(), &key, &mut self.core.rng) {
                Ok(value) => {
                    let place = inbox::key(key.short_id());
                    self.core.operation(Op::Post, |op| Command::Put {
                        op,
                        key: place,
                        value,
                        permanent: false,
                    });
                }
                Err(error) => tracing::warn!(%error, "request not sealed"),
            }
        }
        let tries = row.tries;
        if found > 0 && kind == OutboxKind::Confirmation && tries >= CONFIRMATIONS {
            return self.settled(kind, target);
        }
        let pause = self.core.back_off(AGAIN_FIRST, tries, AGAIN_LONGEST);
        let later = self.core.after(pause);
        self.core.timers.set(timer, later);
        let next_try = self.core.now.unix.saturating_add(pause);
        let Some(row) = self.outbox.get_mut(&(kind, target)) else {
            return Ok(());
        };
        if found == 0 {
            row.reason = "no device of this account was found on the network".into();
            row.tries = 0;
        } else {
            row.reason = "sent, not answered yet".into();
            row.tries = tries.saturating_add(1);
            row.next_try = next_try;
            self.core.store.begin()?;
            self.core.store.put_outbox(self.core.config.number, row)?;
        }
        Ok(())
    }

    /// Something is not owed any more.
    pub(super) fn settled(
        &mut self,
        kind: OutboxKind,
        target: AccountId,
    ) -> Result<(), StoreError> {
        self.core.timers.clear(Timer::Outbox(kind, target));
        if self.outbox.remove(&(kind, target)).is_some() {
            self.core.store.begin()?;
            self.core
                .store
                .remove_outbox(self.core.config.number, kind, &target)?;
        }
        Ok(())
    }

    /// Something was left for this device.
    pub(super) fn inbox_value(&mut self, value: &Value) -> Result<(), StoreError> {
        if self.treated.contains(&value.id) {
            return Ok(());
        }
        let delivery = match inbox::open(value, self.core.identity.key()) {
            Ok(delivery) => delivery,
            Err(error) => {
                tracing::debug!(%error, "strange value in the inbox");
                self.treat(value.id);
                return Ok(());
            }
        };
        if delivery.sender.long_id() == self.core.device {
            return Ok(());
        }
        match &delivery.content {
            Content::ImMessage(message) if message.is_acknowledgement() => return Ok(()),
            Content::ImMessage(_) | Content::TrustRequest(_) | Content::DeviceSync(_) => {}
        }
        let id = delivery.sender.long_id();
        if let Some(device) = self.devices.get(&id) {
            if device.revoked {
                return Ok(());
            }
            let owner = device.row.owner;
            return self.delivered(owner, &delivery.sender, delivery.value_id, delivery.content);
        }
        if let Some(lookup) = self.lookups.get_mut(&id) {
            let known = lookup.waiting.iter().any(|(id, _)| *id == value.id);
            if !known && lookup.waiting.len() < MAX_WAITING {
                lookup.waiting.push((value.id, delivery.content));
            }
            return Ok(());
        }
        let waiting = vec![(value.id, delivery.content)];
        self.look_up(delivery.sender, waiting);
        Ok(())
    }

    /// Looks for the certificate of a device. Whether there will be an end to that.
    fn look_up(&mut self, key: PublicKey, waiting: Vec<(u64, Content)>) -> bool {
        let id = key.long_id();
        if self.lookups.contains_key(&id) {
            return true;
        }
        if self.lookups.len() >= MAX_LOOKUPS {
            return false;
        }
        self.lookups.insert(
            id,
            Lookup {
                operations: 0,
                tries: 0,
                failed: false,
                key,
                waiting,
            },
        );
        self.look_up_again(id);
        true
    }

    /// Looks for the certificate of a device that is to be dialled, unless it is known.
    /// Links would search under its long id only, where daemons of 2023 have none. Whether
    /// to wait for that.
    pub(super) fn await_certificate(&mut self, id: DeviceId) -> bool {
        if let Some(lookup) = self.lookups.get(&id) {
            return !lookup.failed;
        }
        let device = self.devices.get(&id);
        let key = device
            .filter(|device| device.row.chain.is_empty())
            .and_then(Device::public_key);
        key.is_some_and(|key| self.look_up(key, Vec::new()))
    }

    /// Whether the certificate of a device is being looked for.
    pub(super) fn is_looked_up(&self, id: &DeviceId) -> bool {
        self.lookups.contains_key(id)
    }

    /// Remembers something as handled, over restarts.
    fn treat(&mut self, id: u64) {
        if self.treated.len() >= MAX_TREATED {
            self.treated.clear();
        }
        self.treated.insert(id);
        self.core.treated.push(id);
    }

    /// Looks for the certificate of a device, under both keys.
    pub(super) fn look_up_again(&mut self, id: DeviceId) {
        let Some(lookup) = self.lookups.get_mut(&id) else {
            return;
        };
        lookup.tries = lookup.tries.saturating_add(1);
        let keys = certificate_value::keys(&lookup.key);
        lookup.operations = keys.len();
        for key in keys {
            self.core.operation(Op::Lookup(id, key), |op| Command::Get {
                op,
                key,
                query: Query::by_type(baraza_dht::value_type::CERTIFICATE),
            });
        }
    }

    pub(super) fn found_certificate(
        &mut self,
        id: DeviceId,
        key: &InfoHash,
        value: &Value,
    ) -> Result<(), StoreError> {
        let Some(chain) = certificate_value::parse(key, value) else {
            return Ok(());
        };
        if chain.device_id() != id {
            return Ok(());
        }
        match chain.verify_device(self.core.now.unix) {
            Ok(account) => self.identified(id, account, &chain),
            Err(error) => {
                tracing::debug!(device = %id.short(), %error, "certificate refused");
                Ok(())
            }
        }
    }

    /// It is known whose a device is.
    fn identified(
        &mut self,
        id: DeviceId,
        account: AccountId,
        chain: &CertificateChain,
    ) -> Result<(), StoreError> {
        let Some(lookup) = self.lookups.remove(&id) else {
            return Ok(());
        };
        self.core.timers.clear(Timer::Lookup(id));
        let operations: Vec<OpId> = self
            .core
            .ops
            .iter()
            .filter(|(_, op)| matches!(op, Op::Lookup(device, _) if *device == id))
            .map(|(op, _)| *op)
            .collect();
        for operation in operations {
            self.core.cancel(operation);
        }
        if !self.is_banned(&account) {
            self.core
                .link(baraza_link::Command::KnowCertificate(chain.clone()));
        }
        // Lists of revoked devices may have waited for its certificate.
        self.chain_known(chain)?;
        if self.revoked.revokes(chain) {
            if self.is_known(&account) {
                self.meet_device(account, &lookup.key, Some(chain))?;
            }
            return Ok(());
        }
        for (value, content) in lookup.waiting {
            self.delivered(account, &lookup.key, value, content)?;
        }
        if self.is_known(&account) {
            self.meet_device(account, &lookup.key, Some(chain))?;
            self.dial(id);
            for conversation in self.cloning_from(&account) {
                self.try_clone(conversation)?;
            }
        }
        Ok(())
    }

    pub(super) fn lookup_done(&mut self, id: DeviceId) -> Result<(), StoreError> {
        let Some(lookup) = self.lookups.get_mut(&id) else {
            return Ok(());
        };
        lookup.operations = lookup.operations.saturating_sub(1);
        if lookup.operations > 0 {
            return Ok(());
        }
        if lookup.tries >= LOOKUPS {
            // The value stays on the DHT for a while: it comes again with the next start.
            tracing::debug!(device = %id.short(), "no certificate found");
            self.lookups.remove(&id);
            return Ok(());
        }
        let tries = lookup.tries;
        if !std::mem::replace(&mut lookup.failed, true) {
            self.dial(id);
        }
        let pause = self.core.back_off(LOOKUP_PAUSE, tries, AGAIN_LONGEST);
        let later = self.core.after(pause);
        self.core.timers.set(Timer::Lookup(id), later);
        Ok(())
    }

    /// Something came from a device of an account, which is certain.
    fn delivered(
        &mut self,
        account: AccountId,
        sender: &PublicKey,
        value: u64,
        content: Content,
    ) -> Result<(), StoreError> {
        self.treat(value);
        if self.is_banned(&account) {
            return Ok(());
        }
        let own = account == self.core.account;
        match content {
            Content::DeviceSync(packed) if own => self.sync_posted(sender.long_id(), &packed),
            Content::DeviceSync(_) => Ok(()),
            Content::TrustRequest(_) if own => Ok(()),
            Content::TrustRequest(request) if request.confirm => {
                if self.is_contact(&account) {
                    tracing::info!(%account, "request confirmed");
                    self.confirmed(account)?;
                    if let Some(id) = request.conversation {
                        self.other_has(account, id)?;
                    }
                    // Its devices come to clone.
                    self.welcome(&account)?;
                }
                Ok(())
            }
            Content::TrustRequest(request) => {
                let Some(id) = request.conversation else {
                    return Ok(());
                };
                let name = Profile::parse(&request.payload)
                    .map(|profile| profile.name)
                    .unwrap_or_default();
                self.request_received(account, id, &name, request.invited)
            }
            Content::ImMessage(message) => {
                self.acknowledge(sender, &message);
                let message = ChannelMessage {
                    token: message.token,
                    mime: message.mime,
                    body: message.body,
                };
                self.instant(sender.long_id(), account, &message)
            }
        }
    }

    /// Answers a message that came over the DHT, as daemons of 2023 expect
    /// (docs/protocol/06-messages-files.md section 1.2).
    fn acknowledge(&mut self, sender: &PublicKey, message: &ImMessage) {
        let answer = ImMessage::acknowledgement(message.token, self.core.now.unix);
        let sealed = answer.seal(self.core.identity.key(), sender, &mut self.core.rng);
        if let Ok(value) = sealed {
            let key = inbox::key(self.core.identity.short_id());
            self.core.operation(Op::Post, |op| Command::Put {
                op,
                key,
                value,
                permanent: false,
            });
        }
    }

    /// An invitation over a channel: to a group, or again to a one-to-one conversation.
    pub(super) fn invited(
        &mut self,
        account: AccountId,
        invite: &Invite,
    ) -> Result<(), StoreError> {
        let name = invite.metadata.get("title").cloned().unwrap_or_default();
        match u8::try_from(invite.mode()) {
            Ok(0) => self.request_received(account, invite.conversation, &name, invite.received),
            Ok(mode) => {
                self.request_pending(account, invite.conversation, mode, &name, invite.received)
            }
            // Not one of this protocol.
            Err(_) => Ok(()),
        }
    }

    /// Somebody offers a conversation.
    fn request_received(
        &mut self,
        sender: AccountId,
        id: ConversationId,
        name: &str,
        issued: Option<UnixTime>,
    ) -> Result<(), StoreError> {
        if let Some(contact) = self.contacts.get(&sender).filter(|row| row.is_active()) {
            let other = contact.conversation.filter(|own| *own != id);
            tracing::info!(account = %sender, conversation = %id, "a contact asks");
            // Both asked, or the contact lost us: say yes. One in which both were stays; of
            // two others both keep the one with the smaller id as theirs, so that they agree.
            let known = self.conversations.contains_key(&id);
            let preferred = match other {
                Some(own) if self.is_member(&own, &sender) => own,
                Some(own) if own < id && self.is_in(&own, &sender) => own,
                _ => id,
            };
            self.settled(OutboxKind::Request, sender)?;
            self.add_contact(sender, true, Some(preferred))?;
            if !known && preferred == id {
                self.clone_conversation(id, sender)?;
            }
            // Who asked goes over to the conversation that the confirmation names.
            return self.owe(OutboxKind::Confirmation, sender, preferred);
        }
        self.request_pending(sender, id, 0, name, issued)
    }

    /// Somebody offers a conversation, which the user has to decide about.
    fn request_pending(
        &mut self,
        sender: AccountId,
        id: ConversationId,
        mode: u8,
        name: &str,
        issued: Option<UnixTime>,
    ) -> Result<(), StoreError> {
        let now = self.core.now.unix;
        let issued = issued.filter(|at| *at <= now.saturating_add(SKEW));
        // One that was left may be offered again.
        let known = self.conversations.get(&id);
        if known.is_some_and(|conversation| !conversation.is_left()) {
            return Ok(());
        }
        let mut declined = UnixTime::default();
        if let Some(request) = self.requests.get(&id) {
            // Shown already; and a declined one is shown again only if it was sent anew.
            declined = request.declined;
            if request.is_pending() || issued.is_none_or(|at| at <= declined) {
                return Ok(());
            }
        }
        let pending = self.requests.values().filter(|row| row.is_pending());
        if pending.count() >= MAX_PENDING {
            tracing::warn!(account = %sender, "too many requests");
            return Ok(());
        }
        let groups = self.requests.values().filter(|row| {
            row.sender == sender && row.mode != 0 && row.is_pending() && row.conversation != id
        });
        if mode != 0 && groups.count() >= MAX_GROUPS_PENDING {
            tracing::warn!(account = %sender, "too many invitations to groups");
            return Ok(());
        }
        // One conversation of two for each account: the newest.
        let older: Vec<ConversationId> = self
            .requests
            .values()
            .filter(|row| mode == 0 && row.mode == 0)
            .filter(|row| row.sender == sender && row.is_pending())
            .map(|row| row.conversation)
            .collect();
        for older in older {
            self.forget_request(&older)?;
        }
        let name: String = name.chars().take(crate::command::MAX_NAME).collect();
        let row = RequestRow {
            conversation: id,
            sender,
            mode,
            name: name.clone(),
            received: now,
            declined,
            issued: issued.unwrap_or_default(),
        };
        self.core.store.begin()?;
        self.core.store.put_request(self.core.config.number, &row)?;
        self.requests.insert(id, row);
        self.request_changed(id);
        self.core.emit(EventBody::RequestReceived {
            from: sender,
            conversation: id,
            mode,
            name,
            received: now,
        });
        Ok(())
    }
}

/// Numbers kept in memory of what was handled.
const MAX_TREATED: usize = 20_000;
