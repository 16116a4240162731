//! One channel: its state and what waits in it.

use std::collections::VecDeque;

use bytes::Bytes;

use super::decode::MAX_MESSAGE;
use super::{CHANNEL_BUFFER, ChannelError, EARLY_BUFFER, MAX_UNREAD_MESSAGES, WRITE_WINDOW};

#[derive(Debug)]
pub(super) struct Channel {
    state: State,
    /// Messages to send.
    queue: VecDeque<Bytes>,
    /// Their bytes.
    queued: usize,
    pub(super) unread: Unread,
}

#[derive(Debug)]
pub(super) enum State {
    /// Closed by us before the peer answered: its answer is to be undone.
    Abandoned,
    /// We asked and wait for the answer.
    Asked(Early),
    /// Closed by us, with messages still to send.
    Closing,
    Open,
    /// The peer asks and waits for our answer.
    Requested {
        name: String,
    },
}

/// What came before the answer to our request: some peers send it late (section 11.3).
#[derive(Debug, Default)]
pub(super) struct Early {
    pub(super) messages: Vec<Bytes>,
    bytes: usize,
    pub(super) ended: bool,
}

/// What was delivered and not used up yet.
#[derive(Debug, Default)]
pub(super) struct Unread {
    bytes: usize,
    /// The length of each message: a small one takes more memory than its bytes.
    messages: VecDeque<usize>,
}

/// What becomes of a received message.
pub(super) enum Received {
    Deliver(Bytes),
    /// Kept for later or dropped.
    Kept,
    /// There is no room for it.
    Overflow,
}

/// What a channel has to send.
pub(super) enum Next {
    /// All is sent and it was closed.
    End,
    Message(Bytes),
    Nothing,
    /// The next message does not fit into what is left of the turn.
    TurnOver,
}

impl Channel {
    pub(super) fn new(state: State) -> Self {
        Self {
            state,
            queue: VecDeque::new(),
            queued: 0,
            unread: Unread::default(),
        }
    }

    pub(super) fn state(&self) -> &State {
        &self.state
    }

    /// From requested to open; the name that was asked for.
    pub(super) fn accept(&mut self) -> Option<String> {
        let State::Requested { name } = &mut self.state else {
            return None;
        };
        let name = std::mem::take(name);
        self.state = State::Open;
        Some(name)
    }

    /// From asked to open; what came before.
    pub(super) fn opened(&mut self) -> Option<Early> {
        let State::Asked(early) = &mut self.state else {
            return None;
        };
        let early = std::mem::take(early);
        self.state = State::Open;
        Some(early)
    }

    pub(super) fn abandon(&mut self) {
        self.state = State::Abandoned;
    }

    pub(super) fn end_early(&mut self) {
        if let State::Asked(early) = &mut self.state {
            early.ended = true;
        }
    }

    /// From open to closing; whether it now has something to send that it had not before.
    pub(super) fn finish(&mut self) -> bool {
        self.state = State::Closing;
        self.unread = Unread::default();
        self.queue.is_empty()
    }

    /// Queues what is written; whether it now has something to send that it had not
    /// before.
    pub(super) fn queue(&mut self, mut bytes: Bytes) -> Result<bool, ChannelError> {
        let queued = self.queued.saturating_add(bytes.len());
        if queued > WRITE_WINDOW {
            return Err(ChannelError::WindowFull);
        }
        let was_empty = self.queue.is_empty();
        self.queued = queued;
        while bytes.len() > MAX_MESSAGE {
            self.queue.push_back(bytes.split_to(MAX_MESSAGE));
        }
        if !bytes.is_empty() {
            self.queue.push_back(bytes);
        }
        Ok(was_empty && !self.queue.is_empty())
    }

    pub(super) fn next_message(&mut self, turn_left: usize) -> Next {
        match self.queue.front() {
            None if matches!(self.state, State::Closing) => Next::End,
            None => Next::Nothing,
            Some(message) if message.len() > turn_left => Next::TurnOver,
            Some(_) => {
                let message = self.queue.pop_front().unwrap_or_default();
                self.queued = self.queued.saturating_sub(message.len());
                Next::Message(message)
            }
        }
    }

    /// Whether it has nothing to send, not even its end.
    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty() && !matches!(self.state, State::Closing)
    }

    pub(super) fn receive(&mut self, bytes: Bytes) -> Received {
        match &mut self.state {
            // A peer that asks does not send before the answer.
            State::Abandoned | State::Closing | State::Requested { .. } => Received::Kept,
            State::Asked(early) if early.ended => Received::Kept,
            State::Asked(early) => {
                let sum = early.bytes.saturating_add(bytes.len());
                if sum > EARLY_BUFFER || early.messages.len() >= MAX_UNREAD_MESSAGES {
                    return Received::Overflow;
                }
                early.bytes = sum;
                early.messages.push(bytes);
                Received::Kept
            }
            State::Open => {
                if self.unread.add(bytes.len()) {
                    Received::Deliver(bytes)
                } else {
                    Received::Overflow
                }
            }
        }
    }
}

impl Unread {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is room for one more message.
    fn add(&mut self, len: usize) -> bool {
        let sum = self.bytes.saturating_add(len);
        if sum > CHANNEL_BUFFER || self.messages.len() >= MAX_UNREAD_MESSAGES {
            return false;
        }
        self.bytes = sum;
        self.messages.push_back(len);
        true
    }

    /// Takes `bytes` off, oldest first, and says how many there were.
    pub(super) fn consume(&mut self, bytes: usize) -> usize {
        let bytes = bytes.min(self.bytes);
        self.bytes = self.bytes.saturating_sub(bytes);
        let mut left = bytes;
        while let Some(len) = self.messages.front_mut() {
            if *len > left {
                *len = len.saturating_sub(left);
                break;
            }
            left = left.saturating_sub(*len);
            self.messages.pop_front();
        }
        bytes
    }
}
