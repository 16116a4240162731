//! Many channels on one TLS session (docs/protocol/04-connection.md section 11), without
//! I/O.
//!
//! Plaintext of the peer goes into [`Mux::receive`], what happened comes out of
//! [`Mux::poll_event`] and what is to be sent out of [`Mux::poll_transmit`], which
//! [`crate::tls::Session::write`] encrypts. Pull only as much as the transport takes soon:
//! whatever was pulled can no longer be overtaken by another channel.

use std::time::Instant;

use bytes::Bytes;
use thiserror::Error;

/// Most bytes that may be written to a channel and not yet reported as sent.
pub const WRITE_WINDOW: usize = 256 * 1024;

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
    /// No answer to a beacon in time.
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
    header: [u8; 8],
    header_len: u8,
    body: Bytes,
}

impl Outgoing {
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
pub struct Mux {}

impl Mux {
    /// For a session that was just established; the TLS client numbers its channels from
    /// 1, the server from 0x8000.
    pub fn new(_is_tls_client: bool) -> Self {
        Self {}
    }

    /// Asks the peer for a channel; [`Event::Opened`] or [`Event::Declined`] follows, or
    /// the link dies first.
    ///
    /// # Errors
    /// If it cannot be asked.
    pub fn open(&mut self, _name: &str) -> Result<u16, ChannelError> {
        Err(ChannelError::TooManyChannels)
    }

    /// Accepts a requested channel. If it was closed meanwhile, nothing happens.
    pub fn accept(&mut self, _number: u16) {}

    /// Declines a requested channel.
    pub fn decline(&mut self, _number: u16) {}

    /// Sends `bytes`, as one message if they are at most 65535, else as several. Nothing
    /// is sent for no bytes.
    ///
    /// # Errors
    /// If the channel is not open or its window is full.
    pub fn write(&mut self, _number: u16, _bytes: Bytes) -> Result<(), ChannelError> {
        Ok(())
    }

    /// Says that `bytes` of [`Event::Data`] were used up, so that more may come.
    pub fn consumed(&mut self, _number: u16, _bytes: usize) {}

    /// Closes a channel after what was written to it. No event follows.
    pub fn close(&mut self, _number: u16) {}

    /// Sends a beacon; the link has failed if nothing is heard of the peer for
    /// 3 seconds.
    pub fn probe(&mut self, _now: Instant) {}

    /// Takes the plaintext of the peer, cut anywhere.
    ///
    /// # Errors
    /// If the link must end.
    pub fn receive(&mut self, _now: Instant, _bytes: Bytes) -> Result<(), MuxError> {
        Ok(())
    }

    /// To be called when [`Self::poll_timeout`] has passed.
    ///
    /// # Errors
    /// If the link must end.
    pub fn handle_timeout(&mut self, _now: Instant) -> Result<(), MuxError> {
        Ok(())
    }

    /// When to call [`Self::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// What happened next.
    pub fn poll_event(&mut self) -> Option<Event> {
        None
    }

    /// The next message to send: control messages first, then the channels in turns.
    pub fn poll_transmit(&mut self) -> Option<Outgoing> {
        None
    }
}
