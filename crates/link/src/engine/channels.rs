//! Channels: their names here and on the links that carry them.

use std::collections::BTreeMap;

use baraza_wire::{DeviceId, Now};
use bytes::Bytes;
use tracing::debug;

use super::Links;
use super::attempt::{Attempt, AttemptId};
use crate::api::{ChannelId, DownReason, Event, FailReason, MAX_NAME};
use crate::mux;

/// Most channels in all.
const MAX_CHANNELS: usize = 16 * 1024;

/// Where a channel is.
#[derive(Debug)]
pub(super) enum Channel {
    /// It waits for a link.
    Queued { name: String, retried: bool },
    /// The peer was asked.
    Asked {
        link: AttemptId,
        number: u16,
        name: String,
        retried: bool,
    },
    /// The peer asks.
    Requested { link: AttemptId, number: u16 },
    /// It carries data.
    Open { link: AttemptId, number: u16 },
}

impl Links {
    pub(super) fn open(
        &mut self,
        _now: Now,
        channel: ChannelId,
        device: DeviceId,
        name: String,
        reason: String,
    ) {
        if channel.is_incoming() || self.channels.contains_key(&channel) {
            return debug!(?channel, "a channel must have a new name");
        }
        let blocked = self
            .certificates
            .get(&device)
            .is_some_and(|chain| self.is_blocked(chain));
        let refused = if blocked {
            Some(FailReason::Blocked)
        } else if name.len() > MAX_NAME || self.channels.len() >= MAX_CHANNELS {
            Some(FailReason::TooMany)
        } else if device == self.identity.device_id() {
            Some(FailReason::Unreachable)
        } else {
            None
        };
        if let Some(reason) = refused {
            return self.event(Event::Failed { channel, reason });
        }
        let queued = Channel::Queued {
            name,
            retried: false,
        };
        self.channels.insert(channel, queued);
        self.device(device).reason = reason;
        self.enqueue(device, channel);
    }

    /// Asks the peer of a live link for a channel that waited.
    pub(super) fn ask(&mut self, _now: Now, link: AttemptId, channel: ChannelId) {
        let Some(Channel::Queued { name, retried }) = self.channels.remove(&channel) else {
            return;
        };
        let Some(up) = self.attempts.get_mut(&link).and_then(Attempt::up_mut) else {
            return;
        };
        match up.mux.open(&name) {
            Ok(number) => {
                up.numbers.insert(number, channel);
                let asked = Channel::Asked {
                    link,
                    number,
                    name,
                    retried,
                };
                self.channels.insert(channel, asked);
            }
            Err(error) => {
                debug!(%error, "no channel");
                let reason = FailReason::TooMany;
                self.event(Event::Failed { channel, reason });
            }
        }
    }

    /// The link of a channel and its number there.
    fn place(&self, channel: ChannelId) -> Option<(AttemptId, u16)> {
        match self.channels.get(&channel)? {
            Channel::Queued { .. } => None,
            Channel::Asked { link, number, .. }
            | Channel::Requested { link, number }
            | Channel::Open { link, number } => Some((*link, *number)),
        }
    }

    pub(super) fn answer_request(&mut self, now: Now, channel: ChannelId, accept: bool) {
        let Some(Channel::Requested { link, number }) = self.channels.get(&channel) else {
            return;
        };
        let (link, number) = (*link, *number);
        let up = self.attempts.get_mut(&link).and_then(Attempt::up_mut);
        let Some(up) = up else { return };
        if accept {
            up.mux.accept(number);
            self.channels
                .insert(channel, Channel::Open { link, number });
        } else {
            up.mux.decline(number);
            up.numbers.remove(&number);
            self.channels.remove(&channel);
        }
        self.pump(now, link);
    }

    pub(super) fn write(&mut self, now: Now, channel: ChannelId, bytes: Bytes) {
        let Some(Channel::Open { link, number }) = self.channels.get(&channel) else {
            return;
        };
        let (link, number) = (*link, *number);
        if let Some(up) = self.attempts.get_mut(&link).and_then(Attempt::up_mut)
            && let Err(error) = up.mux.write(number, bytes)
        {
            // The writer broke the rule of the window: better no channel than a gap.
            debug!(%error, ?channel, "closing a channel");
            self.close_channel(now, channel);
            return self.event(Event::Closed { channel });
        }
        self.pump(now, link);
    }

    pub(super) fn consumed(&mut self, now: Now, channel: ChannelId, bytes: usize) {
        let Some((link, number)) = self.place(channel) else {
            return;
        };
        if let Some(up) = self.attempts.get_mut(&link).and_then(Attempt::up_mut) {
            up.mux.consumed(number, bytes);
            self.balance(now, link);
        }
    }

    pub(super) fn close_channel(&mut self, now: Now, channel: ChannelId) {
        let place = self.place(channel);
        self.channels.remove(&channel);
        let Some((link, number)) = place else {
            for device in self.devices.values_mut() {
                device.queue.retain(|queued| *queued != channel);
            }
            return;
        };
        if let Some(up) = self.attempts.get_mut(&link).and_then(Attempt::up_mut) {
            up.mux.close(number);
            up.numbers.remove(&number);
            self.balance(now, link);
        }
        self.pump(now, link);
    }

    /// Passes on what happened on a link.
    pub(super) fn report(&mut self, now: Now, link: AttemptId) {
        while let Some(up) = self.attempts.get_mut(&link).and_then(Attempt::up_mut) {
            let Some(event) = up.mux.poll_event() else {
                break;
            };
            match event {
                mux::Event::Requested { number, name } => {
                    let peer = up.peer.clone();
                    if self.channels.len() >= MAX_CHANNELS {
                        up.mux.decline(number);
                        continue;
                    }
                    let channel = ChannelId::incoming(self.fresh_id());
                    if let Some(up) = self.attempts.get_mut(&link).and_then(Attempt::up_mut) {
                        up.numbers.insert(number, channel);
                    }
                    self.channels
                        .insert(channel, Channel::Requested { link, number });
                    self.event(Event::Requested {
                        channel,
                        peer,
                        name,
                    });
                }
                mux::Event::Opened { number } => {
                    let Some(channel) = up.numbers.get(&number).copied() else {
                        continue;
                    };
                    let peer = up.peer.clone();
                    self.channels
                        .insert(channel, Channel::Open { link, number });
                    self.event(Event::Opened { channel, peer });
                }
                mux::Event::Declined { number } => {
                    if let Some(channel) = up.numbers.remove(&number) {
                        self.channels.remove(&channel);
                        let reason = FailReason::Declined;
                        self.event(Event::Failed { channel, reason });
                    }
                }
                mux::Event::Data { number, bytes } => {
                    if let Some(channel) = up.numbers.get(&number).copied() {
                        self.event(Event::Data { channel, bytes });
                    }
                }
                mux::Event::Sent { number, bytes } => {
                    if let Some(channel) = up.numbers.get(&number).copied() {
                        self.event(Event::Sent { channel, bytes });
                    }
                }
                mux::Event::Closed { number } => {
                    let Some(channel) = up.numbers.remove(&number) else {
                        continue;
                    };
                    match self.channels.remove(&channel) {
                        Some(Channel::Asked { .. }) => {
                            let reason = FailReason::Declined;
                            self.event(Event::Failed { channel, reason });
                        }
                        _ => self.event(Event::Closed { channel }),
                    }
                }
            }
        }
        self.balance(now, link);
    }

    /// The link under these channels is gone. Those it never answered are asked for once
    /// more (section 13.4).
    pub(super) fn release_channels(
        &mut self,
        device: DeviceId,
        numbers: &BTreeMap<u16, ChannelId>,
        down: DownReason,
    ) {
        for channel in numbers.values().copied() {
            match self.channels.remove(&channel) {
                Some(Channel::Asked {
                    name,
                    retried: false,
                    ..
                }) if down != DownReason::Local => {
                    let again = Channel::Queued {
                        name,
                        retried: true,
                    };
                    self.channels.insert(channel, again);
                    self.enqueue(device, channel);
                }
                Some(Channel::Asked { .. }) => {
                    let reason = FailReason::LinkLost;
                    self.event(Event::Failed { channel, reason });
                }
                Some(_) => self.event(Event::Closed { channel }),
                None => {}
            }
        }
    }
}
