//! Channels: who may open which, and what comes out of them goes where.

use std::collections::VecDeque;

use baraza_link::{ChannelId, Event, FailReason, Peer, WRITE_WINDOW};
use baraza_store::{DeviceKind, StoreError};
use baraza_swarm::fetch::Fetch;
use baraza_swarm::pack::PackLimits;
use baraza_swarm::upload_pack::UploadPack;
use baraza_wire::{AccountId, ConversationId, DeviceId};
use bytes::Bytes;

use crate::account::devices::Carrier;
use crate::account::files::{FileKey, Serving};
use crate::account::profiles::{IncomingProfile, OutgoingProfile};
use crate::account::timers::Timer;
use crate::account::{Account, Core};
use crate::protocol::drt::DrtStream;
use crate::protocol::msg_channel::MessageStream;
use crate::protocol::msgpack_stream::MsgpackStream;
use crate::protocol::sip::{self, Addresses, SipSession};
use crate::protocol::sync;
use crate::protocol::transfer::TransferName;

/// Bytes of instant messages waiting to be written on one channel.
const MAX_WAITING: usize = 1 << 20;
/// Channels a device may have open to us.
const MAX_CHANNELS_PER_DEVICE: usize = 256;

/// A channel, ours or a peer's.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) device: DeviceId,
    pub(super) account: AccountId,
    pub(super) open: bool,
    /// Bytes written but not sent.
    pub(super) unsent: usize,
    /// Writes waiting for room.
    waiting: VecDeque<Bytes>,
    waiting_bytes: usize,
    pub(super) kind: ChannelKind,
}

/// What a channel is for.
#[derive(Debug)]
pub(super) enum ChannelKind {
    /// Instant messages of newer peers.
    Msg(MessageStream),
    /// Instant messages of peers of 2023.
    Sip(Box<SipSession>),
    /// We fetch.
    Fetch {
        conversation: ConversationId,
        fetch: Box<Fetch>,
    },
    /// The peer fetches.
    Serve {
        conversation: ConversationId,
        server: Box<UploadPack>,
    },
    /// What devices of the own account tell each other.
    Sync(MsgpackStream),
    /// We fetch a file.
    FetchFile(FileKey),
    /// The peer fetches a file.
    ServeFile(Box<Serving>),
    /// Devices tell each other of devices.
    Swarm {
        conversation: ConversationId,
        stream: Box<DrtStream>,
        /// Messages that came so far.
        questions: u32,
    },
    /// The own profile is sent.
    SendProfile(OutgoingProfile),
    /// The profile of a peer comes.
    TakeProfile(IncomingProfile),
}

impl Core {
    pub(super) fn sip_channel(&self, peer: AccountId) -> ChannelKind {
        let name = &self.config.display_name;
        let session = SipSession::new(self.account, peer, name, Addresses::default());
        ChannelKind::Sip(Box::new(session))
    }
}

impl Channel {
    pub(super) fn new(device: DeviceId, account: AccountId, kind: ChannelKind) -> Self {
        Self {
            device,
            account,
            open: false,
            unsent: 0,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            kind,
        }
    }

    /// Whether it is to a conversation's repository.
    pub(super) fn concerns(&self, id: &ConversationId) -> bool {
        match &self.kind {
            ChannelKind::Fetch { conversation, .. } | ChannelKind::Serve { conversation, .. } => {
                conversation == id
            }
            _ => false,
        }
    }

    /// Room for a write of the largest size.
    pub(super) fn has_room(&self) -> bool {
        self.waiting.is_empty() && self.unsent.saturating_add(0xffff) <= WRITE_WINDOW
    }

    /// Writes, at once or when there is room. `false` if too much waits already.
    pub(super) fn write(&mut self, id: ChannelId, core: &mut Core, bytes: Bytes) -> bool {
        if self.waiting.is_empty() && self.unsent.saturating_add(bytes.len()) <= WRITE_WINDOW {
            self.unsent = self.unsent.saturating_add(bytes.len());
            core.link(baraza_link::Command::Write { channel: id, bytes });
            return true;
        }
        if self.waiting_bytes.saturating_add(bytes.len()) > MAX_WAITING {
            return false;
        }
        self.waiting_bytes = self.waiting_bytes.saturating_add(bytes.len());
        self.waiting.push_back(bytes);
        true
    }

    /// Writes, as soon as there is room, something of which there is not too much.
    pub(super) fn write_state(&mut self, id: ChannelId, core: &mut Core, bytes: Bytes) {
        if !self.write(id, core, bytes.clone()) {
            self.waiting_bytes = self.waiting_bytes.saturating_add(bytes.len());
            self.waiting.push_back(bytes);
        }
    }

    fn sent(&mut self, id: ChannelId, core: &mut Core, bytes: usize) {
        self.unsent = self.unsent.saturating_sub(bytes);
        while let Some(next) = self.waiting.front() {
            let length = next.len();
            if self.unsent.saturating_add(length) > WRITE_WINDOW {
                break;
            }
            let Some(bytes) = self.waiting.pop_front() else {
                break;
            };
            self.waiting_bytes = self.waiting_bytes.saturating_sub(length);
            self.unsent = self.unsent.saturating_add(length);
            core.link(baraza_link::Command::Write { channel: id, bytes });
        }
    }
}

/// What a peer wants a channel for.
#[derive(Debug, PartialEq, Eq)]
enum Wish {
    Msg,
    Sip,
    Git(ConversationId),
    /// Another device of the account wants to tell of changes.
    Sync,
    /// A file or a profile.
    Transfer(TransferName),
    Swarm(ConversationId),
    Other,
}

impl Wish {
    fn parse(name: &str, own: &DeviceId) -> Self {
        if name == sip::CHANNEL {
            return Self::Sip;
        }
        if name.starts_with("msg:") {
            return Self::Msg;
        }
        if let Some(device) = name.strip_prefix(sync::CHANNEL) {
            let ours = device.parse() == Ok(*own);
            return if ours { Self::Sync } else { Self::Other };
        }
        if let Some(rest) = name.strip_prefix("git://") {
            return match rest.split_once('/') {
                Some((device, conversation)) if device.parse() == Ok(*own) => {
                    conversation.parse().map_or(Self::Other, Self::Git)
                }
                _ => Self::Other,
            };
        }
        if let Some(rest) = name.strip_prefix("swarm://") {
            return rest.parse().map_or(Self::Other, Self::Swarm);
        }
        TransferName::parse(name).map_or(Self::Other, Self::Transfer)
    }
}

impl Account {
    pub(super) fn link_event(&mut self, event: Event) -> Result<(), StoreError> {
        if self.linking_event(&event) {
            return Ok(());
        }
        match event {
            Event::Requested {
                channel,
                peer,
                name,
            } => self.requested(channel, &peer, &name),
            Event::Opened { channel, peer } => self.opened(channel, &peer),
            Event::Failed { channel, reason } => self.failed(channel, reason),
            Event::Data { channel, bytes } => self.data(channel, bytes),
            Event::Sent { channel, bytes } => {
                if let Some(state) = self.channels.get_mut(&channel) {
                    state.sent(channel, &mut self.core, bytes);
                    match state.kind {
                        ChannelKind::Serve { .. } => return self.serve(channel),
                        ChannelKind::ServeFile(_) => self.file_taken(channel),
                        ChannelKind::SendProfile(_) => return self.pump_profile(channel),
                        _ => {}
                    }
                }
                Ok(())
            }
            Event::Closed { channel } => self.channel_closed(channel),
            Event::LinkUp { peer } => self.link_up(&peer),
            Event::LinkDown { device, reason } => self.link_down(device, reason),
            Event::OfferSeen { id } => {
                self.core.treated.push(id);
                Ok(())
            }
        }
    }

    fn requested(&mut self, channel: ChannelId, peer: &Peer, name: &str) -> Result<(), StoreError> {
        let of_device = self.channels.values();
        let open = of_device.filter(|channel| channel.device == peer.device);
        let too_many = open.count() >= MAX_CHANNELS_PER_DEVICE;
        let wish = Wish::parse(name, &self.core.device);
        let refused = too_many || self.is_banned(&peer.account);
        if let (false, Wish::Transfer(TransferName::File(wish))) = (refused, &wish) {
            return self.file_wanted(channel, peer, wish);
        }
        let kind = self.kind_for(peer, &wish);
        let Some(kind) = kind.filter(|_| !refused) else {
            tracing::debug!(device = %peer.device.short(), name, "channel declined");
            self.core.link(baraza_link::Command::Decline { channel });
            return Ok(());
        };
        let carrier = match kind {
            ChannelKind::Msg(_) => Some(true),
            ChannelKind::Sip(_) => Some(false),
            _ => None,
        };
        let swarm = matches!(kind, ChannelKind::Swarm { .. });
        let profile = matches!(
            kind,
            ChannelKind::SendProfile(_) | ChannelKind::TakeProfile(_)
        );
        let mut state = Channel::new(peer.device, peer.account, kind);
        state.open = true;
        self.channels.insert(channel, state);
        self.core.link(baraza_link::Command::Accept { channel });
        if let Some(msg) = carrier {
            self.carrier_open(peer.device, channel, msg)?;
        }
        if swarm {
            self.swarm_open(channel)?;
        }
        if profile {
            self.profile_patience(channel);
        }
        self.pump_profile(channel)
    }

    /// What a channel is used for if it is accepted (docs/protocol/05-swarm.md section 6).
    fn kind_for(&self, peer: &Peer, wish: &Wish) -> Option<ChannelKind> {
        let account = &peer.account;
        let revoked = self.revoked.ourselves || self.revoked.revokes(&peer.chain);
        if revoked || self.is_banned(account) {
            return None;
        }
        match wish {
            Wish::Msg => Some(ChannelKind::Msg(MessageStream::new())),
            // Of strangers too: they may invite to a group.
            Wish::Sip => Some(self.core.sip_channel(*account)),
            Wish::Git(conversation) => {
                let repository = self.conversations.get(conversation)?.shared()?;
                let allowed = repository.is_authorised(account).unwrap_or(false)
                    && !repository.is_banned_device(&peer.device).unwrap_or(true);
                allowed.then(|| ChannelKind::Serve {
                    conversation: *conversation,
                    server: Box::new(UploadPack::new(PackLimits::default())),
                })
            }
            Wish::Sync => (*account == self.core.account)
                .then(|| ChannelKind::Sync(MsgpackStream::new(sync::MAX_MESSAGE))),
            Wish::Swarm(conversation) => {
                let allowed = self.may_route(conversation, account, &peer.device);
                allowed.then(|| ChannelKind::Swarm {
                    conversation: *conversation,
                    stream: Box::new(DrtStream::new()),
                    questions: 0,
                })
            }
            // A file is found out about first.
            Wish::Transfer(name) => self.profile_kind(peer, name),
            Wish::Other => None,
        }
    }

    fn opened(&mut self, channel: ChannelId, peer: &Peer) -> Result<(), StoreError> {
        let Some(state) = self.channels.get_mut(&channel) else {
            self.core.link(baraza_link::Command::Close { channel });
            return Ok(());
        };
        let hearsay = state.account.is_zero() && matches!(state.kind, ChannelKind::Swarm { .. });
        if hearsay {
            // Other members told of the device; whose it is turns out now.
            state.account = peer.account;
        }
        if state.device != peer.device || state.account != peer.account {
            // The device belongs to somebody else than we were told.
            tracing::warn!(device = %peer.device.short(), "a device of another account answers");
            self.core.link(baraza_link::Command::Close { channel });
            return self.failed(channel, FailReason::NoCertificate);
        }
        state.open = true;
        match &state.kind {
            ChannelKind::Msg(_) => self.carrier_open(peer.device, channel, true),
            ChannelKind::Sip(_) => self.carrier_open(peer.device, channel, false),
            ChannelKind::Fetch { .. } => self.git_open(channel),
            ChannelKind::Sync(_) => self.sync_open(peer.device, channel),
            ChannelKind::Swarm { .. } => self.swarm_open(channel),
            ChannelKind::FetchFile(_) => {
                self.file_open(channel);
                Ok(())
            }
            ChannelKind::SendProfile(_) => self.pump_profile(channel),
            ChannelKind::Serve { .. } | ChannelKind::ServeFile(_) | ChannelKind::TakeProfile(_) => {
                Ok(())
            }
        }
    }

    /// A channel for messages is open.
    fn carrier_open(
        &mut self,
        id: DeviceId,
        channel: ChannelId,
        msg: bool,
    ) -> Result<(), StoreError> {
        let Some(device) = self.devices.get_mut(&id) else {
            return Ok(());
        };
        let kind = if msg {
            DeviceKind::New
        } else {
            device.row.kind
        };
        let carrier = if msg {
            &mut device.msg
        } else {
            &mut device.sip
        };
        if !matches!(carrier, Carrier::Open(_)) {
            *carrier = Carrier::Open(channel);
        }
        device.tries = 0;
        if device.row.kind != kind {
            device.row.kind = kind;
            let row = device.row.clone();
            self.core.store.begin()?;
            self.core.store.put_device(self.core.config.number, &row)?;
        }
        self.send_waiting(id)?;
        // It may be a new run of the device, although the link of the last one seems to live.
        self.check_device(id)?;
        self.invite(id)?;
        let owner = self.devices.get(&id).map(|device| device.row.owner);
        let shared = owner.map(|owner| self.shared_with(&owner));
        for conversation in shared.unwrap_or_default() {
            self.notify_anyway(conversation, id)?;
        }
        Ok(())
    }

    fn failed(&mut self, channel: ChannelId, reason: FailReason) -> Result<(), StoreError> {
        let Some(state) = self.channels.remove(&channel) else {
            return Ok(());
        };
        self.core.timers.clear(Timer::Channel(channel));
        tracing::debug!(device = %state.device.short(), %reason, "no channel");
        match state.kind {
            ChannelKind::Msg(_) | ChannelKind::Sip(_) => {
                self.carrier_failed(state.device, channel, reason)
            }
            ChannelKind::Fetch { conversation, .. } => {
                self.git_failed(conversation, state.device, channel, &reason.to_string())
            }
            ChannelKind::Sync(_) => {
                self.sync_closed(state.device, channel);
                Ok(())
            }
            ChannelKind::Swarm { conversation, .. } => {
                self.swarm_failed(conversation, state.device);
                Ok(())
            }
            ChannelKind::SendProfile(_) => {
                // It may not have checked yet what makes us a member.
                self.profile_over(state.device);
                Ok(())
            }
            ChannelKind::FetchFile(key) => {
                self.file_refused(&key, channel, &reason);
                Ok(())
            }
            ChannelKind::Serve { .. } | ChannelKind::ServeFile(_) | ChannelKind::TakeProfile(_) => {
                Ok(())
            }
        }
    }

    fn data(&mut self, channel: ChannelId, bytes: Bytes) -> Result<(), StoreError> {
        if let Some(ChannelKind::FetchFile(key)) = self.channels.get(&channel).map(|it| &it.kind) {
            // Used up when it is written.
            self.file_data(*key, channel, bytes);
            return Ok(());
        }
        self.core.link(baraza_link::Command::Consumed {
            channel,
            bytes: bytes.len(),
        });
        match self.channels.get(&channel).map(|state| &state.kind) {
            Some(ChannelKind::Sync(_)) => self.sync_data(channel, &bytes),
            Some(ChannelKind::Msg(_)) => self.msg_data(channel, &bytes),
            Some(ChannelKind::Sip(_)) => self.sip_data(channel, &bytes),
            Some(ChannelKind::Fetch { .. }) => self.fetch_data(channel, &bytes),
            Some(ChannelKind::Serve { .. }) => self.serve_data(channel, &bytes),
            Some(ChannelKind::Swarm { .. }) => self.swarm_data(channel, &bytes),
            Some(ChannelKind::TakeProfile(_)) => self.profile_data(channel, &bytes),
            Some(
                ChannelKind::FetchFile(_) | ChannelKind::ServeFile(_) | ChannelKind::SendProfile(_),
            )
            | None => Ok(()),
        }
    }

    /// Closes a channel of which nothing more is wanted.
    pub(super) fn close_channel(&mut self, channel: ChannelId) -> Result<(), StoreError> {
        self.core.link(baraza_link::Command::Close { channel });
        self.channel_closed(channel)
    }

    /// A channel has ended.
    pub(super) fn channel_closed(&mut self, id: ChannelId) -> Result<(), StoreError> {
        let Some(state) = self.channels.remove(&id) else {
            return Ok(());
        };
        self.core.timers.clear(Timer::Channel(id));
        match state.kind {
            ChannelKind::Msg(_) | ChannelKind::Sip(_) => {
                // Another one of that kind may be open.
                let msg = matches!(state.kind, ChannelKind::Msg(_));
                let other = self.channels.iter().find(|(_, channel)| {
                    channel.device == state.device
                        && channel.open
                        && match channel.kind {
                            ChannelKind::Msg(_) => msg,
                            ChannelKind::Sip(_) => !msg,
                            _ => false,
                        }
                });
                let other = other.map_or(Carrier::None, |(id, _)| Carrier::Open(*id));
                if let Some(device) = self.devices.get_mut(&state.device) {
                    let carrier = if msg {
                        &mut device.msg
                    } else {
                        &mut device.sip
                    };
                    if *carrier == Carrier::Open(id) || *carrier == Carrier::Opening(id) {
                        *carrier = other;
                    }
                    if device.link && other == Carrier::None {
                        let soon = self.core.after(REOPEN);
                        self.core.timers.sooner(Timer::Dial(state.device), soon);
                    }
                }
                Ok(())
            }
            ChannelKind::Fetch {
                conversation,
                fetch,
                ..
            } => {
                if fetch.is_idle() {
                    self.git_gone(conversation, state.device, id);
                    self.fetch_later(conversation, state.device);
                    Ok(())
                } else {
                    let reason = "the channel was closed";
                    self.git_failed(conversation, state.device, id, reason)
                }
            }
            ChannelKind::Sync(_) => {
                self.sync_closed(state.device, id);
                Ok(())
            }
            ChannelKind::Swarm { conversation, .. } => {
                self.swarm_closed(conversation, state.device);
                Ok(())
            }
            ChannelKind::SendProfile(_) => {
                // Who asks for ours by itself is owed no other.
                if !id.is_incoming() {
                    self.profile_over(state.device);
                }
                Ok(())
            }
            ChannelKind::TakeProfile(incoming) => self.profile_ended(incoming),
            ChannelKind::FetchFile(key) => {
                self.file_ended(&key, id);
                Ok(())
            }
            ChannelKind::ServeFile(_) => {
                self.given(id);
                Ok(())
            }
            ChannelKind::Serve { .. } => Ok(()),
        }
    }

    pub(super) fn channel_timeout(&mut self, channel: ChannelId) -> Result<(), StoreError> {
        match self.channels.get(&channel).map(|state| &state.kind) {
            Some(ChannelKind::Fetch { .. }) => self.fetch_timeout(channel),
            Some(ChannelKind::Serve { .. }) => self.serve(channel),
            // An answer to a SIP message did not come: the channel is of no use.
            Some(ChannelKind::Sip(_)) => self.close_channel(channel),
            Some(ChannelKind::FetchFile(key)) => {
                let key = *key;
                self.file_stalls(&key, channel);
                Ok(())
            }
            Some(ChannelKind::ServeFile(_)) => {
                self.stop_giving(channel);
                Ok(())
            }
            Some(ChannelKind::SendProfile(_) | ChannelKind::TakeProfile(_)) => {
                self.profile_time(channel)
            }
            _ => Ok(()),
        }
    }
}

/// Pause before a channel for messages that the peer closed is opened again.
const REOPEN: std::time::Duration = std::time::Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_is_wanted() {
        let own = DeviceId::new([7; 32]);
        let other = DeviceId::new([8; 32]);
        let chat = ConversationId::new([9; 20]);
        let wish = |name: String| Wish::parse(&name, &own);
        assert_eq!(wish("sip".into()), Wish::Sip);
        assert_eq!(wish(format!("msg:{own}")), Wish::Msg);
        assert_eq!(wish(format!("git://{own}/{chat}")), Wish::Git(chat));
        assert_eq!(wish(format!("git://{other}/{chat}")), Wish::Other);
        assert_eq!(wish(format!("git://{own}/../{chat}")), Wish::Other);
        assert_eq!(wish(format!("git://{own}")), Wish::Other);
        let sha3 = "0f".repeat(64);
        let push = format!("data-transfer://{chat}/{other}/profile.vcf?sha3={sha3}");
        let is_profile = |wish| {
            matches!(wish, Wish::Transfer(TransferName::PushedProfile { conversation, .. })
                if conversation == chat)
        };
        assert!(is_profile(wish(push)));
        let pull = format!("data-transfer://{chat}/profile/{}.vcf", "a".repeat(40));
        assert!(matches!(
            wish(pull),
            Wish::Transfer(TransferName::PulledProfile { .. })
        ));
        assert_eq!(wish(format!("sync://{own}")), Wish::Sync);
        assert_eq!(wish(format!("sync://{other}")), Wish::Other);
        let file = format!("data-transfer://{chat}/{other}/{}_1", "a".repeat(40));
        assert!(matches!(
            wish(file),
            Wish::Transfer(TransferName::File(file)) if file.conversation == chat
        ));
        assert_eq!(wish(format!("swarm://{chat}")), Wish::Swarm(chat));
        assert_eq!(wish("swarm://".into()), Wish::Other);
        assert_eq!(wish(String::new()), Wish::Other);
    }
}
