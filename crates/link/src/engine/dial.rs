//! Whom to dial, and when (docs/protocol/04-connection.md section 13).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use baraza_wire::{DeviceId, Now};

use super::attempt::Direction;
use super::channels::Channel;
use super::{Links, later};
use crate::api::{ChannelId, Event, FailReason};
use crate::offer::KeyKind;

/// Most requests of ours under way.
const MAX_DIALS: usize = 32;
/// Most channels that wait for one device.
const MAX_QUEUED: usize = 256;
/// Most devices of which something is remembered.
const MAX_DEVICES: usize = 4096;
/// How long a peer that dials us is waited for before we dial it too.
const PATIENCE: Duration = Duration::from_secs(2);
/// Longest pause after failures, before jitter.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// What is remembered of a device.
#[derive(Debug, Default)]
pub(super) struct Device {
    /// At which key it listens.
    pub(super) kind: Option<KeyKind>,
    /// Whether it understands the hybrid key exchange.
    pub(super) post_quantum: bool,
    /// Channels that wait for a link.
    pub(super) queue: VecDeque<ChannelId>,
    /// Why the next request is made.
    pub(super) reason: String,
    /// Requests that failed in a row.
    failures: u32,
    /// When it may be dialled again.
    not_before: Option<Instant>,
}

/// When to dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum DialTime {
    Now,
    At(Instant),
    /// A request is under way.
    Asked,
}

impl Links {
    /// What is remembered of a device, made if need be.
    pub(super) fn device(&mut self, device: DeviceId) -> &mut Device {
        if self.devices.len() >= MAX_DEVICES && !self.devices.contains_key(&device) {
            let forgettable = self
                .devices
                .iter()
                .find(|(_, device)| device.queue.is_empty())
                .map(|(id, _)| *id);
            if let Some(id) = forgettable {
                self.devices.remove(&id);
            }
        }
        self.devices.entry(device).or_default()
    }

    /// Lets a channel wait for a link.
    pub(super) fn enqueue(&mut self, device: DeviceId, channel: ChannelId) {
        let queue = &mut self.device(device).queue;
        if queue.len() >= MAX_QUEUED {
            self.channels.remove(&channel);
            let reason = FailReason::TooMany;
            return self.event(Event::Failed { channel, reason });
        }
        queue.push_back(channel);
        self.waiting.insert(device);
    }

    /// Does for the waiting channels of a device what can be done now: ask over a live
    /// link, or dial.
    pub(super) fn dispatch(&mut self, now: Now, device: DeviceId) {
        let queue = self.devices.get(&device).map(|device| device.queue.len());
        if queue.unwrap_or_default() == 0 {
            self.waiting.remove(&device);
            return;
        }
        if let Some(id) = self.live_link(device) {
            self.waiting.remove(&device);
            let queue = std::mem::take(&mut self.device(device).queue);
            for channel in queue {
                self.ask(now, id, channel);
            }
            return self.pump(now, id);
        }
        let due = match self.dial_time(device) {
            DialTime::Now => true,
            DialTime::At(at) => at <= now.instant,
            DialTime::Asked => false,
        };
        if due && self.dials() < MAX_DIALS {
            let reason = self.device(device).reason.clone();
            let offer = self.offer_id();
            let id = self.new_attempt(now, device, Direction::Asking { offer, reason });
            match self.certificates.get(&device) {
                Some(_) => self.prepare(now, id),
                None => self.look_up(now, device, None),
            }
        }
    }

    /// Requests of ours that are under way.
    fn dials(&self) -> usize {
        self.attempts
            .values()
            .filter(|attempt| attempt.direction.is_asking() && !attempt.is_up())
            .count()
    }

    /// When a device with waiting channels is to be dialled.
    fn dial_time(&self, device: DeviceId) -> DialTime {
        let not_before = self.devices.get(&device).and_then(|d| d.not_before);
        let mut time = not_before.map_or(DialTime::Now, DialTime::At);
        for attempt in self.attempts.values() {
            if attempt.device != device || attempt.is_up() {
                continue;
            }
            if attempt.direction.is_asking() {
                return DialTime::Asked;
            }
            if let Some(at) = later(attempt.started, PATIENCE) {
                time = time.max(DialTime::At(at));
            }
        }
        time
    }

    /// When to look again whether to dial.
    pub(super) fn next_dial(&self) -> Option<Instant> {
        if self.dials() >= MAX_DIALS {
            return None;
        }
        let times = self.waiting.iter().map(|device| self.dial_time(*device));
        times
            .filter_map(|time| match time {
                DialTime::At(at) => Some(at),
                // What is due was dialled when something last happened.
                DialTime::Now | DialTime::Asked => None,
            })
            .min()
    }

    /// An attempt with a device came to nothing.
    pub(super) fn attempt_failed(
        &mut self,
        now: Now,
        device: DeviceId,
        asked: bool,
        reason: &FailReason,
    ) {
        if self.live_link(device).is_some() {
            return;
        }
        if asked {
            let jitter = self.rng.range(500..1500);
            let entry = self.device(device);
            let pause = Duration::from_secs(1 << entry.failures.min(10)).min(MAX_PAUSE);
            let millis = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
            let pause = Duration::from_millis(millis.saturating_mul(jitter) / 1000);
            entry.failures = entry.failures.saturating_add(1);
            entry.not_before = later(now.instant, pause);
        }
        // Another attempt may still serve those who wait; if only an answer of ours failed,
        // it is our turn to ask.
        let others = self.attempts.values().any(|other| other.device == device);
        if asked && !others {
            self.fail_queued(device, reason);
        }
    }

    pub(super) fn fail_queued(&mut self, device: DeviceId, reason: &FailReason) {
        self.waiting.remove(&device);
        let Some(entry) = self.devices.get_mut(&device) else {
            return;
        };
        for channel in std::mem::take(&mut entry.queue) {
            if matches!(self.channels.remove(&channel), Some(Channel::Queued { .. })) {
                let reason = reason.clone();
                self.event(Event::Failed { channel, reason });
            }
        }
    }

    /// A link works: all is forgiven.
    pub(super) fn dial_succeeded(&mut self, device: DeviceId, post_quantum: bool) {
        let entry = self.device(device);
        entry.failures = 0;
        entry.not_before = None;
        entry.post_quantum = post_quantum;
    }

    /// The network changed: what failed before may work now.
    pub(super) fn forget_failures(&mut self, _now: Now) {
        for device in self.devices.values_mut() {
            device.failures = 0;
            device.not_before = None;
        }
    }
}
