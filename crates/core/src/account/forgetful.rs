//! What daemons of 2023 forget, and how it is made good.
//!
//! They lose notices: those that they would send while their account starts anew (after a
//! change of its settings, say), and those that come while they take in a fetch. So they are
//! asked for what they have a few times after anything happened, besides the check of all
//! links every few minutes.
//!
//! They wait without end for what they fetch, and fetch nothing else from that device
//! meanwhile. If one does not fetch what it was told of again and again, its git channels are
//! closed: then it opens another one at the next notice.

use std::time::Duration;

use baraza_link::ChannelId;
use baraza_store::{DeviceKind, StoreError};
use baraza_wire::{ConversationId, DeviceId};

use crate::account::Account;
use crate::account::channels::ChannelKind;
use crate::account::timers::Timer;

/// Pauses before such a device is asked once more, from when something last happened.
const PAUSES: [Duration; 3] = [
    Duration::from_secs(2),
    Duration::from_secs(8),
    Duration::from_secs(40),
];

/// After this many notices without effect, and again after as many more, its channels are
/// closed.
const STUCK: u32 = 6;

impl Account {
    /// Whether a device may be a daemon of 2023.
    pub(super) fn is_old(&self, device: &DeviceId) -> bool {
        let device = self.devices.get(device);
        device.is_some_and(|device| device.row.kind != DeviceKind::New)
    }

    /// Something happened in a conversation with a device: it brought news or took ours. It
    /// may have forgotten to tell of more.
    pub(super) fn ask_afresh(&mut self, id: ConversationId, device: DeviceId) {
        if !self.is_old(&device) {
            return;
        }
        let Some(peer) = self.peer(id, device) else {
            return;
        };
        peer.asked = 0;
        let later = self.core.after(PAUSES[0]);
        self.core.timers.set(Timer::Fetch(id, device), later);
    }

    /// A device that was asked had nothing new.
    pub(super) fn ask_once_more(&mut self, id: ConversationId, device: DeviceId) {
        if !self.is_old(&device) {
            return;
        }
        let Some(peer) = self.peer(id, device) else {
            return;
        };
        peer.asked = peer.asked.saturating_add(1);
        let asked = usize::try_from(peer.asked).unwrap_or(usize::MAX);
        if let Some(pause) = PAUSES.get(asked) {
            let later = self.core.after(*pause);
            self.core.timers.sooner(Timer::Fetch(id, device), later);
        }
    }

    /// A device was told again and again of a commit that it does not fetch.
    pub(super) fn release_stuck(
        &mut self,
        id: ConversationId,
        device: DeviceId,
        notices: u32,
    ) -> Result<(), StoreError> {
        if notices == 0 || !notices.is_multiple_of(STUCK) || !self.is_old(&device) {
            return Ok(());
        }
        let stuck = |kind: &ChannelKind| match kind {
            ChannelKind::Serve {
                conversation,
                server,
            } => *conversation == id && !server.is_answering(),
            _ => false,
        };
        let channels: Vec<ChannelId> = self
            .channels
            .iter()
            .filter(|(_, channel)| channel.device == device && stuck(&channel.kind))
            .map(|(id, _)| *id)
            .collect();
        for channel in channels {
            tracing::debug!(conversation = %id, device = %device.short(), "does not fetch: its channel is closed");
            self.close_channel(channel)?;
        }
        Ok(())
    }
}
