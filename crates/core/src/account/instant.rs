//! Instant messages: notices of commits, and invitations
//! (docs/protocol/06-messages-files.md sections 1 and 2).
//!
//! A notice is repeated until its device is known to have the commit: daemons of 2023
//! forget those that come while they fetch. That a notice was taken means nothing; only a
//! fetch shows what a device has.

use std::time::Duration;

use baraza_dht::Command;
use baraza_link::ChannelId;
use baraza_store::{ConversationState, DeviceKind, StoreError};
use baraza_wire::{AccountId, ConversationId, DeviceId};
use bytes::Bytes;

use crate::account::Account;
use crate::account::channels::ChannelKind;
use crate::account::devices::Device;
use crate::account::groups::invitation;
use crate::account::registration::Op;
use crate::account::timers::Timer;
use crate::protocol::im_message::ImMessage;
use crate::protocol::inbox;
use crate::protocol::message::{CommitNotice, Message};
use crate::protocol::msg_channel::ChannelMessage;
use crate::protocol::sip::SipEvent;

/// First pause before a notice is repeated.
const AGAIN_FIRST: Duration = Duration::from_secs(1);
/// Longest pause before a notice is repeated, for the first tries: after our crash a daemon
/// of 2023 may take 20 seconds to find out that a channel is dead, forgets all notices that
/// came meanwhile, and has several such channels.
const AGAIN_SOON: Duration = Duration::from_secs(10);
/// Tries for which that holds.
const SOON_TRIES: u32 = 12;
/// Longest pause before a notice is repeated.
const AGAIN_LONGEST: Duration = Duration::from_secs(300);
/// From this many notices without effect on, the device is asked what it has.
const DOUBT: u32 = 2;
/// How long a peer may take to answer a message on a `sip` channel.
const SIP_ANSWER: Duration = Duration::from_secs(30);
/// So long a notice stays on the DHT.
pub(super) const POSTED: Duration = Duration::from_secs(300);
/// Pause between notices to one device over the DHT, where they stay for five minutes.
const POST_PAUSE: Duration = Duration::from_secs(60);
/// Conversations of which a device is told over the DHT at a time.
const MAX_POSTS: usize = 8;
/// Messages waiting for a channel to one device, notices left out.
const MAX_WAITING: usize = 16;
/// Pause between asking one device for invitations to unknown conversations.
const ASK_PAUSE: Duration = Duration::from_secs(10);

impl Account {
    /// Tells all devices that are owed something, except for one.
    pub(super) fn notify_all(
        &mut self,
        id: ConversationId,
        except: Option<DeviceId>,
    ) -> Result<(), StoreError> {
        let Some(conversation) = self.conversations.get(&id) else {
            return Ok(());
        };
        let devices: Vec<DeviceId> = conversation
            .peers
            .keys()
            .copied()
            .filter(|device| Some(*device) != except)
            .collect();
        for device in devices {
            let ours = self
                .conversations
                .get(&id)
                .is_some_and(|conversation| self.tells(conversation, &device));
            if ours {
                self.notify(id, device, false)?;
            }
        }
        Ok(())
    }

    /// Tells a device of the newest commit, whether or not it is known to have it: it may
    /// have lost it since, by a crash.
    pub(super) fn notify_anyway(
        &mut self,
        id: ConversationId,
        device: DeviceId,
    ) -> Result<(), StoreError> {
        self.notify(id, device, true)
    }

    pub(super) fn notice_again(
        &mut self,
        id: ConversationId,
        device: DeviceId,
    ) -> Result<(), StoreError> {
        let notices = self
            .conversations
            .get(&id)
            .and_then(|conversation| conversation.peers.get(&device))
            .map_or(0, |peer| peer.notices);
        if notices >= DOUBT {
            self.request_fetch(id, device, None)?;
        }
        self.release_stuck(id, device, notices)?;
        self.notify(id, device, false)
    }

    fn notify(
        &mut self,
        id: ConversationId,
        device: DeviceId,
        anyway: bool,
    ) -> Result<(), StoreError> {
        let Some(conversation) = self.conversations.get_mut(&id) else {
            return Ok(());
        };
        if !conversation.is_shared() {
            return Ok(());
        }
        let Some(peer) = conversation.peers.get_mut(&device) else {
            return Ok(());
        };
        let owed = peer.known.owed(&conversation.index, &self.core.store)?;
        let commit = match owed {
            Some(commit) => Some(commit),
            None if anyway => conversation.index.newest_told(&self.core.store)?,
            None => None,
        };
        let timer = Timer::Notice(id, device);
        let Some(commit) = commit else {
            self.core.timers.clear(timer);
            return Ok(());
        };
        let Some(state) = self.devices.get(&device) else {
            return Ok(());
        };
        let Some(carrier) = state.carrier() else {
            // When there is a channel, all notices are sent.
            self.want(device);
            return Ok(());
        };
        let tries = peer.notices;
        peer.notices = tries.saturating_add(1);
        let notice = Message::Commit(CommitNotice {
            conversation: id,
            commit,
            device: self.core.device,
        });
        if owed.is_some() {
            let (tries, longest) = match tries.checked_sub(SOON_TRIES) {
                None => (tries, AGAIN_SOON),
                Some(more) => (more.saturating_add(4), AGAIN_LONGEST),
            };
            let pause = self.core.back_off(AGAIN_FIRST, tries, longest);
            let later = self.core.after(pause);
            self.core.timers.set(timer, later);
        } else {
            self.core.timers.clear(timer);
        }
        let message = self.message(&notice);
        self.send_on(carrier, &message)
    }

    fn message(&mut self, message: &Message) -> ChannelMessage {
        ChannelMessage {
            // Up to 2^53, as existing peers draw them.
            token: self.core.rng.range(1..1 << 53),
            mime: message.mime().to_owned(),
            body: message.body(),
        }
    }

    /// Sends a message to a device, as soon as there is a channel.
    pub(super) fn send_instant(
        &mut self,
        device: DeviceId,
        message: &Message,
    ) -> Result<(), StoreError> {
        let message = self.message(message);
        let Some(state) = self.devices.get_mut(&device) else {
            return Ok(());
        };
        match state.carrier() {
            Some(channel) => self.send_on(channel, &message),
            None => {
                if state.waiting.len() < MAX_WAITING {
                    state.waiting.push_back(message);
                }
                self.want(device);
                Ok(())
            }
        }
    }

    /// Sends a message to a device if there is a channel; else it counts no more.
    pub(super) fn send_now(
        &mut self,
        device: DeviceId,
        message: &Message,
    ) -> Result<(), StoreError> {
        match self.devices.get(&device).and_then(Device::carrier) {
            Some(channel) => {
                let message = self.message(message);
                self.send_on(channel, &message)
            }
            None => Ok(()),
        }
    }

    /// There is a channel now for messages that waited.
    pub(super) fn send_waiting(&mut self, device: DeviceId) -> Result<(), StoreError> {
        let Some(state) = self.devices.get_mut(&device) else {
            return Ok(());
        };
        let Some(channel) = state.carrier() else {
            return Ok(());
        };
        for message in std::mem::take(&mut state.waiting) {
            self.send_on(channel, &message)?;
        }
        Ok(())
    }

    fn send_on(&mut self, channel: ChannelId, message: &ChannelMessage) -> Result<(), StoreError> {
        let Some(state) = self.channels.get_mut(&channel) else {
            return Ok(());
        };
        let bytes = match &mut state.kind {
            ChannelKind::Msg(_) => message.encode(),
            ChannelKind::Sip(session) => {
                match session.send(message, self.core.now.unix, &mut self.core.rng) {
                    Ok(bytes) => {
                        let later = self.core.after(SIP_ANSWER);
                        self.core.timers.sooner(Timer::Channel(channel), later);
                        bytes
                    }
                    Err(error) => {
                        // Too much is unanswered: the notice is repeated later.
                        tracing::debug!(%error, "message not sent");
                        return Ok(());
                    }
                }
            }
            _ => return Ok(()),
        };
        if state.write(channel, &mut self.core, bytes.into()) {
            Ok(())
        } else {
            self.close_channel(channel)
        }
    }

    /// Leaves notices on the DHT for a device that cannot be connected to. Daemons of 2023
    /// look there, and may be able to connect to us.
    pub(super) fn post_notices(&mut self, device: DeviceId) -> Result<(), StoreError> {
        let now = self.core.now.instant;
        let Some(state) = self.devices.get_mut(&device) else {
            return Ok(());
        };
        let recently = state
            .posted
            .is_some_and(|at| now.saturating_duration_since(at) < POST_PAUSE);
        if state.carrier().is_some()
            || state.present.is_empty()
            || state.row.kind == DeviceKind::New
            || recently
        {
            return Ok(());
        }
        let (owner, key) = (state.row.owner, state.public_key());
        let Some(key) = key else {
            return Ok(());
        };
        let mut messages = self.invitations(&device);
        for id in self.shared_with(&owner) {
            let Some(conversation) = self.conversations.get(&id) else {
                continue;
            };
            let owed = match conversation.peers.get(&device) {
                Some(peer) if self.tells(conversation, &device) => {
                    peer.known.owed(&conversation.index, &self.core.store)?
                }
                _ => None,
            };
            if let Some(commit) = owed {
                messages.push(Message::Commit(CommitNotice {
                    conversation: id,
                    commit,
                    device: self.core.device,
                }));
            }
        }
        messages.truncate(MAX_POSTS);
        let posts = messages.len();
        for message in messages {
            let message = self.message(&message);
            let message = ImMessage {
                token: message.token,
                mime: message.mime,
                body: message.body,
                date: self.core.now.unix,
            };
            let sealed = message.seal(self.core.identity.key(), &key, &mut self.core.rng);
            match sealed {
                Ok(value) => {
                    let place = inbox::key(key.short_id());
                    self.core.operation(Op::Post, |op| Command::Put {
                        op,
                        key: place,
                        value,
                        permanent: false,
                    });
                }
                Err(error) => tracing::debug!(%error, "notice not sealed"),
            }
        }
        if posts > 0
            && let Some(state) = self.devices.get_mut(&device)
        {
            state.posted = Some(now);
        }
        Ok(())
    }

    pub(super) fn msg_data(&mut self, channel: ChannelId, bytes: &Bytes) -> Result<(), StoreError> {
        let Some(state) = self.channels.get_mut(&channel) else {
            return Ok(());
        };
        let (device, account) = (state.device, state.account);
        let ChannelKind::Msg(stream) = &mut state.kind else {
            return Ok(());
        };
        match stream.push(bytes) {
            Ok(messages) => {
                for message in messages {
                    self.instant(device, account, &message)?;
                }
                Ok(())
            }
            Err(error) => {
                tracing::debug!(device = %device.short(), %error, "bad msg: channel");
                self.close_channel(channel)
            }
        }
    }

    pub(super) fn sip_data(&mut self, channel: ChannelId, bytes: &Bytes) -> Result<(), StoreError> {
        let Some(state) = self.channels.get_mut(&channel) else {
            return Ok(());
        };
        let (device, account) = (state.device, state.account);
        let ChannelKind::Sip(session) = &mut state.kind else {
            return Ok(());
        };
        let events = match session.receive(bytes) {
            Ok(events) => events,
            Err(error) => {
                tracing::debug!(device = %device.short(), %error, "bad sip channel");
                return self.close_channel(channel);
            }
        };
        if session.unanswered().next().is_none() {
            self.core.timers.clear(Timer::Channel(channel));
        }
        for event in events {
            match event {
                SipEvent::Delivered { .. } => {}
                SipEvent::Failed { status, .. } => {
                    tracing::debug!(device = %device.short(), status, "message refused");
                    return self.close_channel(channel);
                }
                SipEvent::Reply(reply) => {
                    if let Some(state) = self.channels.get_mut(&channel)
                        && !state.write(channel, &mut self.core, reply.into())
                    {
                        return self.close_channel(channel);
                    }
                }
                SipEvent::Received(message) => self.instant(device, account, &message)?,
            }
        }
        Ok(())
    }

    /// A message of a device, however it came; who it is from is certain.
    pub(super) fn instant(
        &mut self,
        device: DeviceId,
        account: AccountId,
        message: &ChannelMessage,
    ) -> Result<(), StoreError> {
        if self.is_banned(&account) {
            return Ok(());
        }
        match Message::parse(&message.mime, &message.body) {
            Ok(Message::Commit(notice)) => self.notice(device, account, &notice),
            Ok(Message::AskInvite(id)) => self.invite_asked(device, account, id),
            Ok(Message::Invite(invite)) => self.invited(account, &invite),
            Ok(Message::Composing(composing)) => self.composing(account, &composing),
            Ok(Message::Displayed(displayed)) => self.displayed(account, &displayed),
            Ok(Message::Other { .. }) => Ok(()),
            Err(error) => {
                tracing::debug!(device = %device.short(), %error, "message dropped");
                Ok(())
            }
        }
    }

    /// There is a new commit, says a device.
    fn notice(
        &mut self,
        sender: DeviceId,
        account: AccountId,
        notice: &CommitNotice,
    ) -> Result<(), StoreError> {
        let id = notice.conversation;
        match self.conversations.get(&id).map(|chat| chat.row.state) {
            Some(ConversationState::Ready) => {}
            Some(ConversationState::Cloning) => return self.try_clone(id),
            // Left: what comes does not concern us any more.
            Some(ConversationState::Removed) => return Ok(()),
            None => {
                return self.unknown_conversation(sender, account, id);
            }
        }
        let Some(conversation) = self.conversations.get_mut(&id) else {
            return Ok(());
        };
        if !conversation.is_authorised(&account) {
            return Ok(());
        }
        if conversation
            .index
            .position(&self.core.store, &notice.commit)?
            .is_some()
        {
            // Only a device that speaks of itself says what it has.
            if notice.device == sender {
                self.learned(id, sender, &notice.commit)?;
            }
            return Ok(());
        }
        // It may name another device, as long as that is a member's, too.
        let from = match self.devices.get(&notice.device) {
            Some(device) if conversation.is_authorised(&device.row.owner) => notice.device,
            _ => sender,
        };
        self.meet_devices(&id);
        if self.is_fetching(&id, &from) {
            return self.defer_fetch(id, from, notice.commit);
        }
        self.request_fetch(id, from, Some(notice.commit))
    }

    /// A notice of a conversation that is not here: ask for an invitation (05 section 7.3).
    fn unknown_conversation(
        &mut self,
        sender: DeviceId,
        account: AccountId,
        id: ConversationId,
    ) -> Result<(), StoreError> {
        let now = self.core.now.instant;
        // Another device of ours says on its `sync://` channel what it has.
        if self.requests.contains_key(&id) || !self.is_contact(&account) {
            return Ok(());
        }
        let Some(device) = self.devices.get_mut(&sender) else {
            return Ok(());
        };
        let recently = device
            .asked
            .is_some_and(|at| now.saturating_duration_since(at) < ASK_PAUSE);
        if recently {
            return Ok(());
        }
        device.asked = Some(now);
        self.send_instant(sender, &Message::AskInvite(id))
    }

    /// A device that may have a conversation asks for its invitation.
    fn invite_asked(
        &mut self,
        device: DeviceId,
        account: AccountId,
        id: ConversationId,
    ) -> Result<(), StoreError> {
        let Some(conversation) = self.conversations.get(&id) else {
            return Ok(());
        };
        if !conversation.is_authorised(&account) {
            return Ok(());
        }
        if account == self.core.account {
            self.conversation_changed(id);
            return Ok(());
        }
        match invitation(conversation, Some(&account)) {
            Some(invitation) => self.send_instant(device, &invitation),
            None => Ok(()),
        }
    }
}
