//! Messages on a channel: cut out of what comes, and written as far as there is room.

use std::collections::VecDeque;

use baraza_link::WRITE_WINDOW;
use bytes::Bytes;

use super::message::{AuthMessage, MAX_MESSAGE};
use crate::protocol::msgpack_stream::MsgpackStream;

/// Longest write.
const MAX_WRITE: usize = 0xffff;

/// The channel, as both sides see it.
#[derive(Debug)]
pub(super) struct Wire {
    stream: MsgpackStream,
    unsent: usize,
    waiting: VecDeque<Bytes>,
}

impl Wire {
    pub(super) fn new() -> Self {
        Self {
            stream: MsgpackStream::new(MAX_MESSAGE),
            unsent: 0,
            waiting: VecDeque::new(),
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.stream.push(bytes);
    }

    /// The next message; an error ends the session.
    pub(super) fn next(&mut self) -> Result<Option<AuthMessage>, ()> {
        match self.stream.next_item() {
            Ok(Some(item)) => AuthMessage::decode(&item).map(Some).map_err(drop),
            Ok(None) => Ok(None),
            Err(_) => Err(()),
        }
    }

    pub(super) fn send(&mut self, message: &AuthMessage) {
        let mut bytes = Bytes::from(message.encode());
        while !bytes.is_empty() {
            self.waiting
                .push_back(bytes.split_to(bytes.len().min(MAX_WRITE)));
        }
    }

    /// The next bytes to write, if there is room.
    pub(super) fn write(&mut self) -> Option<Bytes> {
        let length = self.waiting.front()?.len();
        let unsent = self.unsent.saturating_add(length);
        if unsent > WRITE_WINDOW {
            return None;
        }
        self.unsent = unsent;
        self.waiting.pop_front()
    }

    pub(super) fn sent(&mut self, bytes: usize) {
        self.unsent = self.unsent.saturating_sub(bytes);
    }

    /// Whether everything was given to the channel.
    pub(super) fn is_written(&self) -> bool {
        self.waiting.is_empty()
    }
}
