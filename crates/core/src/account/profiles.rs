//! Profiles: one's own for those who share a conversation, and theirs
//! (docs/protocol/06-messages-files.md section 7).
//!
//! The own profile is sent once to each device of a member, and again when it has changed.
//! A device that was sent a profile is remembered, so that it is not sent at each start.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use baraza_link::{ChannelId, Peer, WRITE_WINDOW};
use baraza_store::{DeviceKind, ProfileRow, StoreError};
use baraza_wire::{AccountId, ConversationId, DeviceId, UnixTime};
use bytes::Bytes;

use crate::account::channels::{Channel, ChannelKind};
use crate::account::own_profile::OwnCard;
use crate::account::timers::Timer;
use crate::account::{Account, CommandFailure};
use crate::command::{CommandError, MAX_NAME, MAX_PROFILE_PICTURE, Picture, Reply, ShownProfile};
use crate::event::EventBody;
use crate::files::Digest;
use crate::protocol::transfer::{TransferName, Version};
use crate::protocol::vcard::{MAX_LEN, Photo, PhotoKind, Profile};

/// Longest piece written at once.
const PIECE: usize = 0xffff;
/// A profile may take so long.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pause before the end: a daemon of 2023 may lose what a channel brings that ends at once.
const LINGER: Duration = Duration::from_millis(500);
/// Pause before the next one: a daemon of 2023 drops a profile that begins before it has put the
/// last one of that device away.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a profile is waited for that nobody has seen yet, before it is asked for.
const EXPECTED: Duration = Duration::from_secs(20);
/// Profiles received at once; each may have [`MAX_LEN`] bytes.
const AT_ONCE: usize = 8;
/// And of one device, so that one that stalls does not keep others from it.
const OF_ONE: usize = 2;
/// A device that declines may not know yet that we are a member; then it is asked again, so
/// often.
const OFFERS: u32 = 4;

/// Profiles, as far as they are in memory.
#[derive(Debug, Default)]
pub(super) struct Profiles {
    /// Names of others.
    names: BTreeMap<AccountId, String>,
    /// Which profile of ours a device has.
    sent: BTreeMap<DeviceId, String>,
    /// Devices to which it is being sent.
    sending: BTreeSet<DeviceId>,
    /// How often it was offered to a device since it connected, or since it changed.
    offered: BTreeMap<DeviceId, u32>,
    /// Devices that were asked for theirs since they connected.
    asked: BTreeSet<DeviceId>,
    /// Our vCard, and its hash; `None` if there is nothing in it.
    own: Option<(Bytes, String)>,
    /// The same for the own devices, which are told when it is emptied, too.
    pub(super) shared: OwnCard,
}

/// A profile that is being sent.
#[derive(Debug)]
pub(super) struct OutgoingProfile {
    pub(super) left: Bytes,
    /// All was sent, and the channel ends soon.
    pub(super) done: bool,
    /// Its hash, if that is to be noted when all is sent.
    pub(super) sha3: Option<String>,
}

/// A profile that is being received.
#[derive(Debug)]
pub(super) struct IncomingProfile {
    pub(super) owner: AccountId,
    pub(super) device: DeviceId,
    pub(super) version: Version,
    pub(super) bytes: Vec<u8>,
}

pub(super) fn sha3(bytes: &[u8]) -> String {
    let mut digest = Digest::new();
    digest.update(bytes);
    digest.finish()
}

impl Account {
    pub(super) fn load_profiles(&mut self) -> Result<(), StoreError> {
        let number = self.core.config.number;
        let store = &self.core.store;
        self.profiles.names = store.profile_names(number)?.into_iter().collect();
        self.profiles.sent = store.profiles_sent(number)?.into_iter().collect();
        self.make_card()
    }

    /// Writes the own vCard anew.
    pub(super) fn make_card(&mut self) -> Result<(), StoreError> {
        let number = self.core.config.number;
        let row = self.core.store.profile(number, &self.core.account)?;
        let changed = row.as_ref().map_or(0, |row| row.changed.secs());
        let photo = row.and_then(|row| row.picture).map(|(kind, bytes)| Photo {
            kind: kind_of(&kind),
            bytes,
        });
        let profile = Profile {
            name: self.core.config.display_name.clone(),
            photo,
        };
        let card = Bytes::from(profile.write());
        let sum = sha3(&card);
        self.profiles.own = (profile != Profile::default()).then(|| (card.clone(), sum.clone()));
        self.profiles.shared = OwnCard {
            profile,
            card,
            sum,
            changed,
        };
        Ok(())
    }

    /// The name an account shows; empty if it is not known.
    pub(super) fn name_of(&self, account: &AccountId) -> String {
        if *account == self.core.account {
            return self.core.config.display_name.clone();
        }
        self.profiles
            .names
            .get(account)
            .cloned()
            .unwrap_or_default()
    }

    /// The command to look at a profile.
    pub(super) fn shown_profile(&self, of: Option<AccountId>) -> Result<Reply, CommandFailure> {
        let owner = of.unwrap_or(self.core.account);
        let row = self.core.store.profile(self.core.config.number, &owner)?;
        if owner != self.core.account && row.is_none() && !self.is_known(&owner) {
            return Err(CommandError::NoSuchContact.into());
        }
        let picture = row.and_then(|row| row.picture);
        Ok(Reply::Profile(ShownProfile {
            id: owner,
            name: self.name_of(&owner),
            picture: picture.map(|(kind, bytes)| Picture { kind, bytes }),
        }))
    }

    /// The command to change the own profile. What is `None` stays; an empty picture
    /// removes it.
    pub(super) fn set_profile(
        &mut self,
        name: Option<String>,
        picture: Option<Vec<u8>>,
    ) -> Result<Reply, CommandFailure> {
        let invalid = |text: String| Err(CommandError::Invalid(text).into());
        if let Some(name) = &name
            && (name.len() > MAX_NAME || name.chars().any(char::is_control))
        {
            return invalid(format!("a name is one line of at most {MAX_NAME} bytes"));
        }
        let number = self.core.config.number;
        let before = self.core.store.profile(number, &self.core.account)?;
        let mut row = ProfileRow {
            owner: self.core.account,
            name: String::new(),
            picture: before.as_ref().and_then(|row| row.picture.clone()),
            // Later than any other, so that it counts on the other devices, too.
            changed: before.map_or(self.core.now.unix, |row| {
                let next = UnixTime::from_secs(row.changed.secs().saturating_add(1));
                next.max(self.core.now.unix)
            }),
        };
        if let Some(bytes) = picture {
            let kind = match bytes.as_slice() {
                [] => None,
                [0xff, 0xd8, 0xff, ..] => Some("jpeg"),
                [0x89, b'P', b'N', b'G', ..] => Some("png"),
                _ => return invalid("a picture is a JPEG or a PNG".into()),
            };
            if bytes.len() > MAX_PROFILE_PICTURE {
                let text = format!("a picture has at most {MAX_PROFILE_PICTURE} bytes");
                return invalid(text);
            }
            row.picture = kind.map(|kind| (kind.to_owned(), bytes));
        }
        self.core.store.begin()?;
        self.core.store.put_profile(number, &row)?;
        if let Some(name) = name {
            self.core.store.set_display_name(number, &name)?;
            self.core.config.display_name = name;
        }
        self.own_profile_changed()?;
        Ok(Reply::Done)
    }

    /// The own profile is another one now: tells it.
    pub(super) fn own_profile_changed(&mut self) -> Result<(), StoreError> {
        self.make_card()?;
        self.profiles.offered.clear();
        self.tell_profile(self.core.account)?;
        for device in self.links.keys().copied().collect::<Vec<_>>() {
            self.offer_profile(device);
        }
        Ok(())
    }

    fn tell_profile(&mut self, account: AccountId) -> Result<(), StoreError> {
        let row = self.core.store.profile(self.core.config.number, &account)?;
        self.core.emit(EventBody::ProfileChanged {
            account,
            name: self.name_of(&account),
            picture: row.is_some_and(|row| row.picture.is_some()),
        });
        Ok(())
    }

    /// A conversation in which both we and an account are members, and of which its device
    /// has all: it knows that we are one. (A daemon of 2023 that does not takes no further
    /// profile from us as long as it runs.)
    fn common(&self, account: &AccountId, device: &DeviceId) -> Option<ConversationId> {
        let own = self.core.account;
        let knows = |id: &ConversationId| {
            let conversation = self.conversations.get(id);
            conversation.is_some_and(|conversation| {
                conversation.peers.get(device).is_some_and(|peer| {
                    let owed = peer.known.owed(&conversation.index, &self.core.store);
                    matches!(owed, Ok(None))
                })
            })
        };
        self.conversations
            .keys()
            .find(|id| self.is_member(id, account) && self.is_member(id, &own) && knows(id))
            .copied()
    }

    /// Sends the own profile to a device, unless it has it, or is not to have it.
    pub(super) fn offer_profile(&mut self, device: DeviceId) {
        let Some(owner) = self.links.get(&device).map(|peer| peer.account) else {
            return;
        };
        if owner == self.core.account {
            return self.offer_own_profile(device);
        }
        self.expect_profile(device, &owner);
        let Some((card, sum)) = self.profiles.own.clone() else {
            return;
        };
        if self.has_profile(&device, &sum) {
            return;
        }
        let Some(conversation) = self.common(&owner, &device) else {
            return;
        };
        // A daemon of 2023 takes a profile with a version for that of somebody else.
        let version = Version {
            sha3: self.is_new(&device).then(|| sum.clone()),
            modified: 0,
        };
        let name = TransferName::PushedProfile {
            conversation,
            device: self.core.device,
            version,
        };
        self.send_profile(device, &name, card, sum);
    }

    /// Whether a device has a profile, or is being sent one.
    pub(super) fn has_profile(&self, device: &DeviceId, sum: &str) -> bool {
        self.was_sent(device, sum) || self.profiles.sending.contains(device)
    }

    /// Whether a device has a profile.
    pub(super) fn was_sent(&self, device: &DeviceId, sum: &str) -> bool {
        self.profiles
            .sent
            .get(device)
            .is_some_and(|sent| sent == sum)
    }

    /// Notes which profile of ours a device has.
    pub(super) fn note_profile_sent(
        &mut self,
        device: DeviceId,
        sum: String,
    ) -> Result<(), StoreError> {
        self.core.store.begin()?;
        let number = self.core.config.number;
        self.core.store.put_profile_sent(number, &device, &sum)?;
        self.profiles.sent.insert(device, sum);
        Ok(())
    }

    /// Whether a device is none of 2023.
    pub(super) fn is_new(&self, device: &DeviceId) -> bool {
        let device = self.devices.get(device);
        device.is_some_and(|device| device.row.kind == DeviceKind::New)
    }

    /// Opens a channel and sends a vCard on it.
    pub(super) fn send_profile(
        &mut self,
        device: DeviceId,
        name: &TransferName,
        card: Bytes,
        sum: String,
    ) {
        let Some(owner) = self.links.get(&device).map(|peer| peer.account) else {
            return;
        };
        let offered = self.profiles.offered.entry(device).or_default();
        if *offered >= OFFERS {
            return;
        }
        *offered = offered.saturating_add(1);
        let channel = self.core.channel();
        self.profiles.sending.insert(device);
        let kind = ChannelKind::SendProfile(OutgoingProfile {
            left: card,
            done: false,
            sha3: Some(sum),
        });
        self.channels
            .insert(channel, Channel::new(device, owner, kind));
        self.profile_patience(channel);
        self.core.link(baraza_link::Command::Open {
            channel,
            device,
            name: name.to_string(),
            reason: String::new(),
        });
    }

    /// A device is connected: it may want the profile now.
    pub(super) fn offer_profile_anew(&mut self, device: DeviceId) {
        self.profiles.offered.remove(&device);
        self.profiles.asked.remove(&device);
        self.offer_profile(device);
    }

    /// The profile of an account should come, unless it is here.
    fn expect_profile(&mut self, device: DeviceId, owner: &AccountId) {
        if !self.profiles.names.contains_key(owner) && !self.profiles.asked.contains(&device) {
            let at = self.core.after(EXPECTED);
            self.core.timers.sooner(Timer::NoProfile(device), at);
        }
    }

    /// It did not: asks for it, once for each link. A daemon of 2023 that was declined once, or
    /// lost the connection, does not send it again by itself.
    pub(super) fn profile_missing(&mut self, device: DeviceId) {
        let Some(owner) = self.links.get(&device).map(|peer| peer.account) else {
            return;
        };
        if let Some(conversation) = self.common(&owner, &device)
            && self.profiles.asked.insert(device)
        {
            self.ask_for_profile(conversation, device);
        }
    }

    /// Asks a device for the profile of its account.
    pub(super) fn ask_for_profile(&mut self, conversation: ConversationId, device: DeviceId) {
        let Some(owner) = self.links.get(&device).map(|peer| peer.account) else {
            return;
        };
        if owner == self.core.account || self.profiles.names.contains_key(&owner) {
            return;
        }
        let channel = self.core.channel();
        let name = TransferName::PulledProfile {
            conversation,
            uri: owner,
        };
        let kind = ChannelKind::TakeProfile(IncomingProfile {
            owner,
            device,
            version: Version::default(),
            bytes: Vec::new(),
        });
        self.channels
            .insert(channel, Channel::new(device, owner, kind));
        self.profile_patience(channel);
        self.core.link(baraza_link::Command::Open {
            channel,
            device,
            name: name.to_string(),
            reason: String::new(),
        });
    }

    /// A peer sends a profile or asks for ours: what its channel is, if it may.
    pub(super) fn profile_kind(&self, peer: &Peer, name: &TransferName) -> Option<ChannelKind> {
        match name {
            TransferName::PushedProfile {
                conversation,
                version,
                ..
            } => {
                // Daemons of 2023 send it so to their other devices, too. Who was invited may have
                // joined before we hear of it; and a daemon that is declined does not try again.
                let conversation = self.conversations.get(conversation);
                let may = conversation.is_some_and(|it| it.is_authorised(&peer.account));
                (may && self.profile_room(peer)).then(|| taken(peer, version))
            }
            TransferName::PulledProfile { conversation, uri } => {
                let may = *uri == self.core.account && self.is_member(conversation, &peer.account);
                may.then(|| {
                    let card = self.profiles.own.as_ref().map(|(card, _)| card.clone());
                    ChannelKind::SendProfile(OutgoingProfile {
                        left: card.unwrap_or_default(),
                        done: false,
                        sha3: None,
                    })
                })
            }
            TransferName::OwnProfile { version } => {
                let may = peer.account == self.core.account && self.profile_room(peer);
                may.then(|| taken(peer, version))
            }
            TransferName::File(_) => None,
        }
    }

    /// Whether one more profile may come, of a device.
    fn profile_room(&self, peer: &Peer) -> bool {
        let others = self.channels.values();
        let others: Vec<DeviceId> = others
            .filter(|other| matches!(other.kind, ChannelKind::TakeProfile(_)))
            .map(|other| other.device)
            .collect();
        let of_one = others.iter().filter(|device| **device == peer.device);
        others.len() < AT_ONCE && of_one.count() < OF_ONE
    }

    /// A profile must have come or gone by then.
    pub(super) fn profile_patience(&mut self, channel: ChannelId) {
        let at = self.core.after(PATIENCE);
        self.core.timers.set(Timer::Channel(channel), at);
    }

    /// Sends more of the own profile, as far as there is room.
    pub(super) fn pump_profile(&mut self, id: ChannelId) -> Result<(), StoreError> {
        let soon = self.core.after(LINGER);
        loop {
            let Some(state) = self.channels.get_mut(&id) else {
                return Ok(());
            };
            let ChannelKind::SendProfile(outgoing) = &mut state.kind else {
                return Ok(());
            };
            if outgoing.left.is_empty() {
                if state.unsent == 0 && !outgoing.done {
                    outgoing.done = true;
                    self.core.timers.set(Timer::Channel(id), soon);
                }
                return Ok(());
            }
            let length = outgoing.left.len().min(PIECE);
            if state.unsent.saturating_add(length) > WRITE_WINDOW {
                return Ok(());
            }
            let bytes = outgoing.left.split_to(length);
            state.unsent = state.unsent.saturating_add(length);
            self.core
                .link(baraza_link::Command::Write { channel: id, bytes });
        }
    }

    /// The own profile was sent to a device, or it took too long.
    pub(super) fn profile_time(&mut self, id: ChannelId) -> Result<(), StoreError> {
        let Some(state) = self.channels.get_mut(&id) else {
            return Ok(());
        };
        let device = state.device;
        let sent = match &mut state.kind {
            ChannelKind::SendProfile(outgoing) if outgoing.done => outgoing.sha3.take(),
            _ => None,
        };
        self.close_channel(id)?;
        if let Some(sum) = sent {
            self.note_profile_sent(device, sum)?;
        }
        Ok(())
    }

    /// A channel on which a profile was sent is closed.
    pub(super) fn profile_over(&mut self, device: DeviceId) {
        let later = self.core.after(PAUSE);
        self.core.timers.set(Timer::Profile(device), later);
    }

    /// A device may be sent another profile, if it has changed, or the last one did not arrive.
    pub(super) fn profile_again(&mut self, device: DeviceId) {
        self.profile_gone(device);
        self.offer_profile(device);
    }

    /// Nothing is sent to a device any more.
    pub(super) fn profile_gone(&mut self, device: DeviceId) {
        self.profiles.sending.remove(&device);
    }

    /// Bytes of somebody's profile came.
    pub(super) fn profile_data(
        &mut self,
        channel: ChannelId,
        bytes: &Bytes,
    ) -> Result<(), StoreError> {
        let Some(state) = self.channels.get_mut(&channel) else {
            return Ok(());
        };
        let ChannelKind::TakeProfile(incoming) = &mut state.kind else {
            return Ok(());
        };
        if incoming.bytes.len().saturating_add(bytes.len()) > MAX_LEN {
            tracing::debug!(account = %incoming.owner, "a profile is too large");
            incoming.bytes.clear();
            self.channels.remove(&channel);
            self.core.timers.clear(Timer::Channel(channel));
            self.core.link(baraza_link::Command::Close { channel });
            return Ok(());
        }
        incoming.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// A profile is there, or what came of it before the connection broke.
    pub(super) fn profile_ended(&mut self, incoming: IncomingProfile) -> Result<(), StoreError> {
        let IncomingProfile {
            owner,
            device,
            version,
            bytes,
        } = incoming;
        let whole = String::from_utf8_lossy(&bytes)
            .trim_end()
            .to_ascii_uppercase()
            .ends_with("END:VCARD");
        let right = version.sha3.is_none_or(|sum| sum == sha3(&bytes));
        let Ok(profile) = Profile::parse(&bytes) else {
            // Daemons send nothing if they have nothing to show.
            return Ok(());
        };
        if !whole || !right {
            return Ok(());
        }
        if owner == self.core.account {
            return self.own_profile_came(device, version.modified, &sha3(&bytes), profile);
        }
        let number = self.core.config.number;
        let row = ProfileRow {
            owner,
            name: profile.name,
            picture: profile.photo.map(stored),
            changed: self.core.now.unix,
        };
        let before = self.core.store.profile(number, &owner)?;
        if before.is_some_and(|old| old.name == row.name && old.picture == row.picture) {
            return Ok(());
        }
        self.core.store.begin()?;
        self.core.store.put_profile(number, &row)?;
        self.profiles.names.insert(owner, row.name);
        self.tell_profile(owner)
    }
}

/// A channel on which a peer sends the profile of its account.
fn taken(peer: &Peer, version: &Version) -> ChannelKind {
    ChannelKind::TakeProfile(IncomingProfile {
        owner: peer.account,
        device: peer.device,
        version: version.clone(),
        bytes: Vec::new(),
    })
}

/// A picture as the database keeps it.
pub(crate) fn stored(photo: Photo) -> (String, Vec<u8>) {
    let kind = match photo.kind {
        PhotoKind::Jpeg => "jpeg",
        PhotoKind::Png => "png",
    };
    (kind.to_owned(), photo.bytes)
}

fn kind_of(name: &str) -> PhotoKind {
    match name {
        "jpeg" => PhotoKind::Jpeg,
        _ => PhotoKind::Png,
    }
}
