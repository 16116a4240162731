//! Many channels on one TLS session (docs/protocol/04-connection.md section 11), without
//! I/O.
//!
//! Plaintext of the peer goes into [`Mux::receive`], what happened comes out of
//! [`Mux::poll_event`] and what is to be sent out of [`Mux::poll_transmit`], which
//! [`crate::tls::Session::write`] encrypts. Pull only as much as the transport takes soon:
//! whatever was pulled can no longer be overtaken by another channel.

mod channel;
mod control;
mod decode;
mod liveness;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use thiserror::Error;
use tracing::debug;

use channel::{Channel, Early, Next, Received};
use control::Item;
use liveness::{Liveness, Verdict};

pub use decode::{Decoder, Frame, MAX_MESSAGE, Malformed};

/// Most bytes that may be written to a channel and not yet reported as sent.
pub const WRITE_WINDOW: usize = 512 * 1024;

/// Most channels of a link, in any state.
pub const MAX_CHANNELS: usize = 1024;

/// Most requests of the peer that may wait for an answer; more are declined.
pub const MAX_REQUESTED: usize = 64;

/// Longest name of a channel, in bytes.
pub const MAX_NAME: usize = 1024;

/// Most bytes of a channel that may be delivered and not used up; then it is closed
/// (section 11.4).
pub const CHANNEL_BUFFER: usize = 8 << 20;

/// The same in messages: each takes memory apart from its bytes.
pub const MAX_UNREAD_MESSAGES: usize = 1 << 16;

/// The same for all channels together; then the one that is read worst is closed.
pub const LINK_BUFFER: usize = 32 << 20;

/// Most bytes of a channel that may come before the peer has accepted it.
pub const EARLY_BUFFER: usize = 1 << 20;

/// Most control messages that may wait to be sent.
pub const MAX_CONTROL: usize = 4096;

/// How long a peer may keep silent after a beacon that was asked for (section 11.1).
pub const BEACON_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a peer that was sent something may keep silent before it gets a beacon unasked.
pub const SILENCE: Duration = Duration::from_secs(10);

/// How long it may then keep silent: a program that computes is not gone, and on a slow line
/// the beacon takes its time. With [`SILENCE`] that is how long a fetch waits for a server.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a peer may keep silent on a new link. For a TLS client a link is up when it has
/// sent its last message of the handshake, which a server that is gone never gets; a server
/// that got it sends its version at once.
pub const FIRST_WORDS_TIMEOUT: Duration = Duration::from_secs(30);

/// What a channel may send before the next one's turn: the longest message.
const TURN: usize = MAX_MESSAGE;

/// What happened on the link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The channel ended: by the peer, or because it was not read (for both sides). Its
    /// number is forgotten.
    Closed {
        /// The channel.
        number: u16,
    },
    /// The peer sent a message.
    Data {
        /// The channel.
        number: u16,
        /// The whole message, never empty.
        bytes: Bytes,
    },
    /// The peer declined a channel we asked for. Its number is forgotten.
    Declined {
        /// The channel.
        number: u16,
    },
    /// The peer accepted a channel we asked for.
    Opened {
        /// The channel.
        number: u16,
    },
    /// The peer asks for a channel: answer with [`Mux::accept`] or [`Mux::decline`].
    Requested {
        /// The channel.
        number: u16,
        /// What it wants.
        name: String,
    },
    /// Bytes written earlier were pulled for sending: that much may be written again.
    Sent {
        /// The channel.
        number: u16,
        /// How many.
        bytes: usize,
    },
}

/// Why the whole link must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MuxError {
    /// No answer to a beacon in time, or not a word since the link began.
    #[error("the peer does not answer any more")]
    BeaconLost,
    /// More control messages than the link can answer.
    #[error("the peer sends more requests than can be answered")]
    Flooded,
    /// Not msgpack, or an item longer than any message.
    #[error("the peer sends what is no sequence of messages")]
    Malformed,
}

/// Why a request of ours was not carried out. The link goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// There is no such open channel (any more).
    #[error("the channel is not open")]
    NotOpen,
    /// The name is longer than peers accept.
    #[error("the channel name is too long")]
    NameTooLong,
    /// The link carries as many channels as it may.
    #[error("too many channels on this link")]
    TooManyChannels,
    /// More than [`WRITE_WINDOW`] bytes wait to be sent.
    #[error("the channel takes no more before it has sent")]
    WindowFull,
}

/// One message to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    number: u16,
    header: [u8; 8],
    header_len: u8,
    body: Bytes,
}

impl Outgoing {
    /// `body` must not be longer than [`MAX_MESSAGE`].
    fn new(number: u16, body: Bytes) -> Self {
        let mut header = [0; 8];
        let mut len = 0_u8;
        let mut push = |byte: u8| {
            if let Some(place) = header.get_mut(usize::from(len)) {
                *place = byte;
                len = len.saturating_add(1);
            }
        };
        push(0x92);
        let [high, low] = number.to_be_bytes();
        match number {
            0..=0x7f => push(low),
            0x80..=0xff => [0xcc, low].into_iter().for_each(&mut push),
            _ => [0xcd, high, low].into_iter().for_each(&mut push),
        }
        match u8::try_from(body.len()) {
            Ok(short) => [0xc4, short].into_iter().for_each(&mut push),
            Err(_) => {
                let [high, low] = u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes();
                [0xc5, high, low].into_iter().for_each(&mut push);
            }
        }
        Self {
            number,
            header,
            header_len: len,
            body,
        }
    }

    /// What goes before the body.
    pub fn header(&self) -> &[u8] {
        self.header
            .get(..usize::from(self.header_len))
            .unwrap_or_default()
    }

    /// The payload.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Bytes of both.
    pub fn len(&self) -> usize {
        usize::from(self.header_len).saturating_add(self.body.len())
    }

    /// Never: there is a header.
    pub fn is_empty(&self) -> bool {
        false
    }
}

/// The channels of one link.
#[derive(Debug)]
pub struct Mux {
    decoder: Decoder,
    channels: BTreeMap<u16, Channel>,
    /// Where to look for the next free number.
    next_number: u16,
    /// Requests of the peer that wait for an answer.
    requested: usize,
    /// Sum of what the channels hold unread.
    unread: usize,
    /// Messages that overtake all channels.
    control: VecDeque<Outgoing>,
    /// Channels with something to send, the one whose turn it is in front.
    ready: VecDeque<u16>,
    /// What is left of the turn of the front one.
    turn_left: usize,
    events: VecDeque<Event>,
    peer_version: Option<u64>,
    liveness: Liveness,
}

impl Mux {
    /// For a session that was just established; the TLS client numbers its channels from
    /// 1, the server from 0x8000. There is a version message to send.
    pub fn new(is_tls_client: bool, now: Instant) -> Self {
        let mut mux = Self {
            decoder: Decoder::new(),
            channels: BTreeMap::new(),
            next_number: if is_tls_client { 1 } else { 0x8000 },
            requested: 0,
            unread: 0,
            control: VecDeque::new(),
            ready: VecDeque::new(),
            turn_left: TURN,
            events: VecDeque::new(),
            peer_version: None,
            liveness: Liveness::new(now),
        };
        mux.send_control(control::PROTOCOL, control::version());
        mux
    }

    /// Asks the peer for a channel; [`Event::Opened`] or [`Event::Declined`] follows, or
    /// the link dies first.
    ///
    /// # Errors
    /// If it cannot be asked.
    pub fn open(&mut self, name: &str) -> Result<u16, ChannelError> {
        if name.len() > MAX_NAME {
            return Err(ChannelError::NameTooLong);
        }
        if self.channels.len() >= MAX_CHANNELS {
            return Err(ChannelError::TooManyChannels);
        }
        let number = self.free_number();
        let state = channel::State::Asked(Early::default());
        self.channels.insert(number, Channel::new(state));
        self.send_channel(name, number, control::State::Request);
        Ok(number)
    }

    /// Accepts a requested channel. If it was closed meanwhile, nothing happens.
    pub fn accept(&mut self, number: u16) {
        let Some(channel) = self.channels.get_mut(&number) else {
            return;
        };
        if let Some(name) = channel.accept() {
            self.requested = self.requested.saturating_sub(1);
            self.send_channel(&name, number, control::State::Accept);
        }
    }

    /// Declines a requested channel.
    pub fn decline(&mut self, number: u16) {
        let channel = self.channels.get(&number);
        if let Some(channel::State::Requested { name }) = channel.map(Channel::state) {
            let name = name.clone();
            self.forget(number);
            self.send_channel(&name, number, control::State::Decline);
        }
    }

    /// Sends `bytes`, as one message if they are at most 65535, else as several. Nothing
    /// is sent for no bytes.
    ///
    /// # Errors
    /// If the channel is not open or its window is full.
    pub fn write(&mut self, number: u16, bytes: Bytes) -> Result<(), ChannelError> {
        let channel = self.channels.get_mut(&number);
        let channel = channel
            .filter(|channel| matches!(channel.state(), channel::State::Open))
            .ok_or(ChannelError::NotOpen)?;
        if channel.queue(bytes)? {
            self.ready.push_back(number);
        }
        Ok(())
    }

    /// Says that `bytes` of [`Event::Data`] were used up, so that more may come.
    pub fn consumed(&mut self, number: u16, bytes: usize) {
        if let Some(channel) = self.channels.get_mut(&number) {
            let freed = channel.unread.consume(bytes);
            self.unread = self.unread.saturating_sub(freed);
        }
    }

    /// Closes a channel after what was written to it. No event follows.
    pub fn close(&mut self, number: u16) {
        let Some(channel) = self.channels.get_mut(&number) else {
            return;
        };
        match channel.state() {
            channel::State::Abandoned | channel::State::Closing => {}
            channel::State::Asked(_) => channel.abandon(),
            channel::State::Open => {
                self.unread = self.unread.saturating_sub(channel.unread.bytes());
                if channel.finish() {
                    self.ready.push_back(number);
                }
            }
            channel::State::Requested { .. } => self.decline(number),
        }
    }

    /// Sends a beacon; the link has failed if nothing is heard of the peer for
    /// [`BEACON_TIMEOUT`]. Peers that did not tell their version yet get it when they do; if
    /// they never said anything, that long is left to them.
    pub fn probe(&mut self, now: Instant) {
        match self.peer_version {
            None => self.liveness.ask_later(now, BEACON_TIMEOUT),
            // Would not answer.
            Some(0) => self.liveness.hurry(now, BEACON_TIMEOUT),
            Some(_) => self.ask(now, BEACON_TIMEOUT),
        }
    }

    fn ask(&mut self, now: Instant, patience: Duration) {
        self.liveness.asked(now, patience);
        self.send_control(control::PROTOCOL, control::beacon(true));
    }

    /// Says that the system takes what was sent before the last beacon: the peer cannot have
    /// that one yet, and has as much time again from now on.
    pub fn beacon_delayed(&mut self, now: Instant) {
        self.liveness.give_time(now);
    }

    /// Takes the plaintext of the peer, cut anywhere.
    ///
    /// # Errors
    /// If the link must end.
    pub fn receive(&mut self, now: Instant, mut bytes: Bytes) -> Result<(), MuxError> {
        if !bytes.is_empty() {
            self.liveness.heard(now);
        }
        loop {
            match self.decoder.next(&mut bytes) {
                Ok(Some(frame)) => self.handle_frame(now, frame)?,
                Ok(None) => return Ok(()),
                Err(Malformed) => return Err(MuxError::Malformed),
            }
        }
    }

    /// To be called when [`Self::poll_timeout`] has passed. Whether the peer is asked if it
    /// lives, so that there is something to send.
    ///
    /// # Errors
    /// If the link must end.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<bool, MuxError> {
        match self.liveness.verdict(now, self.answers_beacons()) {
            Verdict::Fine => Ok(false),
            Verdict::Ask => {
                self.ask(now, ANSWER_TIMEOUT);
                Ok(true)
            }
            Verdict::Gone => Err(MuxError::BeaconLost),
        }
    }

    /// When to call [`Self::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.liveness.poll_timeout(self.answers_beacons())
    }

    fn answers_beacons(&self) -> bool {
        self.peer_version.is_some_and(|version| version > 0)
    }

    /// What happened next.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The next message to send: control messages first, then the channels in turns of
    /// about 64 KiB.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Outgoing> {
        let message = self.next_message()?;
        if message.number != control::PROTOCOL {
            self.liveness.sent(now);
        }
        Some(message)
    }

    fn next_message(&mut self) -> Option<Outgoing> {
        if let Some(message) = self.control.pop_front() {
            return Some(message);
        }
        loop {
            let number = *self.ready.front()?;
            let Some(channel) = self.channels.get_mut(&number) else {
                self.end_turn();
                continue;
            };
            match channel.next_message(self.turn_left) {
                Next::Message(body) => {
                    self.turn_left = self.turn_left.saturating_sub(body.len());
                    if channel.is_idle() {
                        self.end_turn();
                    }
                    self.report_sent(number, body.len());
                    return Some(Outgoing::new(number, body));
                }
                Next::TurnOver => {
                    self.end_turn();
                    self.ready.push_back(number);
                }
                Next::End => {
                    self.end_turn();
                    self.channels.remove(&number);
                    return Some(Outgoing::new(number, Bytes::new()));
                }
                Next::Nothing => self.end_turn(),
            }
        }
    }

    /// Whether [`Self::poll_transmit`] has a message.
    pub fn has_output(&self) -> bool {
        !self.control.is_empty() || !self.ready.is_empty()
    }

    /// Bytes delivered by all channels and not used up yet.
    pub fn unread(&self) -> usize {
        self.unread
    }

    /// The version the peer has told, if it has.
    pub fn peer_version(&self) -> Option<u64> {
        self.peer_version
    }

    fn end_turn(&mut self) {
        self.ready.pop_front();
        self.turn_left = TURN;
    }

    fn report_sent(&mut self, number: u16, bytes: usize) {
        match self.events.back_mut() {
            Some(Event::Sent {
                number: last,
                bytes: sum,
            }) if *last == number => *sum = sum.saturating_add(bytes),
            _ => self.events.push_back(Event::Sent { number, bytes }),
        }
    }

    fn handle_frame(&mut self, now: Instant, frame: Frame) -> Result<(), MuxError> {
        match frame.channel {
            control::CONTROL | control::PROTOCOL => {
                for item in control::items(&frame.data) {
                    self.handle_item(now, item, frame.channel == control::CONTROL);
                    if self.control.len() > MAX_CONTROL {
                        return Err(MuxError::Flooded);
                    }
                }
            }
            number if frame.data.is_empty() => self.handle_end(number),
            number => self.handle_data(number, frame.data),
        }
        Ok(())
    }

    fn handle_item(&mut self, now: Instant, item: Item<'_>, on_control: bool) {
        match item {
            Item::BeaconRequest => self.send_control(control::PROTOCOL, control::beacon(false)),
            Item::BeaconResponse => self.liveness.answered(),
            Item::Version(version) => {
                self.peer_version = Some(version);
                if self.liveness.take_due() {
                    self.probe(now);
                }
            }
            Item::Channel { .. } if !on_control => {}
            Item::Channel {
                name,
                number,
                state,
            } => match state {
                control::State::Request => self.handle_request(name, number),
                control::State::Accept => self.handle_accept(number),
                control::State::Decline => self.handle_decline(number),
            },
        }
    }

    fn handle_request(&mut self, name: &[u8], number: u16) {
        let name = std::str::from_utf8(name)
            .ok()
            .filter(|name| name.len() <= MAX_NAME);
        let acceptable = number != control::CONTROL
            && number != control::PROTOCOL
            && !self.channels.contains_key(&number)
            && self.channels.len() < MAX_CHANNELS
            && self.requested < MAX_REQUESTED;
        let Some(name) = name.filter(|_| acceptable) else {
            debug!(number, "channel request declined");
            self.send_channel(name.unwrap_or_default(), number, control::State::Decline);
            return;
        };
        let name = name.to_owned();
        let state = channel::State::Requested { name: name.clone() };
        self.channels.insert(number, Channel::new(state));
        self.requested = self.requested.saturating_add(1);
        self.events.push_back(Event::Requested { number, name });
    }

    fn handle_accept(&mut self, number: u16) {
        let Some(channel) = self.channels.get_mut(&number) else {
            return;
        };
        if matches!(channel.state(), channel::State::Abandoned) {
            self.channels.remove(&number);
            self.send_control(number, Vec::new());
            return;
        }
        let Some(early) = channel.opened() else {
            return;
        };
        self.events.push_back(Event::Opened { number });
        for bytes in early.messages {
            self.handle_data(number, bytes);
        }
        if early.ended {
            self.handle_end(number);
        }
    }

    fn handle_decline(&mut self, number: u16) {
        match self.channels.get(&number).map(Channel::state) {
            Some(channel::State::Abandoned) => self.forget(number),
            Some(channel::State::Asked(_)) => {
                self.forget(number);
                self.events.push_back(Event::Declined { number });
            }
            // Nothing that is open becomes undone by it.
            _ => {}
        }
    }

    fn handle_end(&mut self, number: u16) {
        let Some(channel) = self.channels.get_mut(&number) else {
            return;
        };
        match channel.state() {
            // It may have overtaken the answer (section 11.3).
            channel::State::Abandoned | channel::State::Asked(_) => channel.end_early(),
            channel::State::Closing => self.forget(number),
            channel::State::Open | channel::State::Requested { .. } => {
                self.forget(number);
                self.events.push_back(Event::Closed { number });
            }
        }
    }

    fn handle_data(&mut self, number: u16, bytes: Bytes) {
        // Data of a channel that we closed may still be under way.
        let Some(channel) = self.channels.get_mut(&number) else {
            return;
        };
        match channel.receive(bytes) {
            Received::Deliver(bytes) => {
                self.unread = self.unread.saturating_add(bytes.len());
                self.events.push_back(Event::Data { number, bytes });
                if self.unread > LINK_BUFFER {
                    self.close_fullest();
                }
            }
            Received::Kept => {}
            Received::Overflow => self.close_unread(number),
        }
    }

    /// Closes the channel that its reader lets wait most.
    fn close_fullest(&mut self) {
        let fullest = self
            .channels
            .iter()
            .max_by_key(|(_, channel)| channel.unread.bytes());
        if let Some(number) = fullest.map(|(number, _)| *number) {
            self.close_unread(number);
        }
    }

    /// Closes a channel that is not read (section 11.4), for both sides.
    fn close_unread(&mut self, number: u16) {
        debug!(number, "channel is not read, closing it");
        let asked = self
            .channels
            .get(&number)
            .is_some_and(|channel| matches!(channel.state(), channel::State::Asked(_)));
        self.forget(number);
        self.send_control(number, Vec::new());
        self.events.push_back(if asked {
            Event::Declined { number }
        } else {
            Event::Closed { number }
        });
    }

    /// Removes a channel with all that is queued in it.
    fn forget(&mut self, number: u16) {
        let Some(channel) = self.channels.remove(&number) else {
            return;
        };
        self.unread = self.unread.saturating_sub(channel.unread.bytes());
        if matches!(channel.state(), channel::State::Requested { .. }) {
            self.requested = self.requested.saturating_sub(1);
        }
        if self.ready.front() == Some(&number) {
            self.turn_left = TURN;
        }
        self.ready.retain(|ready| *ready != number);
    }

    /// As the newer peers count: up, without the special and the used ones.
    fn free_number(&mut self) -> u16 {
        loop {
            let number = self.next_number;
            self.next_number = self.next_number.wrapping_add(1);
            // There are many more numbers than channels.
            if number != control::CONTROL
                && number != control::PROTOCOL
                && !self.channels.contains_key(&number)
            {
                return number;
            }
        }
    }

    fn send_channel(&mut self, name: &str, number: u16, state: control::State) {
        self.send_control(control::CONTROL, control::channel(name, number, state));
    }

    fn send_control(&mut self, number: u16, body: Vec<u8>) {
        self.control.push_back(Outgoing::new(number, body.into()));
    }
}

#[cfg(test)]
mod tests;
