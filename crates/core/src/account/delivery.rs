//! How far a message has got, to each device of each member, and what is waited for.

use baraza_link::FailReason;
use baraza_wire::{CommitId, ConversationId, DeviceId, UnixTime};

use crate::account::conversation::{Conversation, PeerState};
use crate::account::devices::Device;
use crate::account::timers::Timer;
use crate::account::{Account, CommandFailure};
use crate::command::{CommandError, Delivery, Member, Pending, Role};

impl Account {
    /// Who has a message, and what the others wait for.
    pub(super) fn delivery(
        &self,
        id: &ConversationId,
        commit: Option<CommitId>,
    ) -> Result<Vec<Delivery>, CommandFailure> {
        let conversation = self.conversation(id)?;
        let store = &self.core.store;
        let position = match commit {
            Some(commit) => conversation.index.position(store, &commit)?,
            None => conversation.index.length().checked_sub(1),
        };
        let position = position.ok_or(CommandError::NoSuchMessage)?;
        let mut list = Vec::new();
        for member in self.members(id)? {
            if member.uri == self.core.account || matches!(member.role, Role::Banned | Role::Left) {
                continue;
            }
            let read = conversation.signs.read(&member.uri);
            let read = read.is_some_and(|read| read.position >= position);
            let devices: Vec<_> = conversation
                .peers
                .iter()
                .filter(|(_, peer)| peer.known.owner == member.uri)
                .collect();
            if devices.is_empty() {
                let pending = match member.role {
                    Role::Invited => Pending::NotJoined,
                    _ => Pending::NoDevice,
                };
                list.push(Delivery {
                    account: member.uri,
                    device: None,
                    delivered: false,
                    read,
                    pending: Some(pending),
                    reason: pending.to_string(),
                    next_try: None,
                    tries: 0,
                });
            }
            for (device, peer) in devices {
                list.push(self.delivery_to(conversation, &member, read, position, (device, peer)));
            }
        }
        Ok(list)
    }

    fn delivery_to(
        &self,
        conversation: &Conversation,
        member: &Member,
        read: bool,
        position: u64,
        (device, peer): (&DeviceId, &PeerState),
    ) -> Delivery {
        let delivered = peer.known.has(position);
        let pending = (!delivered).then(|| self.pending(conversation, member, device));
        let reason = pending.map_or_else(String::new, |pending| {
            let failed = self.devices.get(device).and_then(|it| it.failed.as_ref());
            match (pending, failed) {
                (Pending::Failed, Some(failed)) => failed.to_string(),
                (Pending::ToldByDht, Some(failed)) => format!("{pending} ({failed})"),
                (pending, _) => pending.to_string(),
            }
        });
        Delivery {
            account: member.uri,
            device: Some(*device),
            delivered,
            read,
            pending,
            reason,
            next_try: self
                .next_try(&conversation.row.id, device)
                .filter(|_| !delivered),
            // Attempts to connect, or to tell where there is a connection.
            tries: match self.devices.get(device) {
                Some(device) if !device.link => device.tries.max(peer.notices),
                _ => peer.notices,
            },
        }
    }

    fn next_try(&self, id: &ConversationId, device: &DeviceId) -> Option<UnixTime> {
        let timers = [
            Timer::Notice(*id, *device),
            Timer::Dial(*device),
            Timer::Lookup(*device),
        ];
        let next = timers
            .into_iter()
            .filter_map(|timer| self.core.timers.get(timer))
            .min()?;
        let now = self.core.now;
        let pause = next.saturating_duration_since(now.instant);
        Some(now.unix.saturating_add(pause))
    }

    /// What is waited for until a device has a message.
    fn pending(&self, conversation: &Conversation, member: &Member, id: &DeviceId) -> Pending {
        if member.role == Role::Invited {
            return Pending::NotJoined;
        }
        if !self.tells(conversation, id) {
            return Pending::ToldByOthers;
        }
        let Some(device) = self.devices.get(id) else {
            return Pending::NoDevice;
        };
        if device.carrier().is_some() {
            return Pending::NotFetched;
        }
        if device.link {
            return Pending::Connecting;
        }
        if self.is_looked_up(id) {
            return Pending::NoCertificate;
        }
        if self.told_by_dht(device) {
            return Pending::ToldByDht;
        }
        match &device.failed {
            None if device.present.is_empty() => Pending::NotFound,
            None => Pending::Connecting,
            Some(FailReason::NoCertificate) => Pending::NoCertificate,
            // Whether or not it is there, nothing of it was seen.
            Some(FailReason::NoAnswer) if device.present.is_empty() => Pending::NotFound,
            Some(FailReason::NoAnswer) => Pending::Unanswered,
            Some(FailReason::Declined | FailReason::Blocked) => Pending::Declined,
            Some(FailReason::Tls(_)) => Pending::Refused,
            Some(_) => Pending::Failed,
        }
    }

    /// Whether a notice lies on the DHT for a device.
    fn told_by_dht(&self, device: &Device) -> bool {
        let now = self.core.now.instant;
        device
            .posted
            .is_some_and(|at| now.saturating_duration_since(at) < crate::account::instant::POSTED)
    }
}
