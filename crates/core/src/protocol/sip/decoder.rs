//! A stream of SIP messages.

use bytes::{Buf as _, BytesMut};

use super::message::SipMessage;
use super::{MAX_BODY, MAX_HEAD, SipError};

/// Collects bytes until they make a message. Looks at every byte of a head once.
#[derive(Debug, Clone, Default)]
pub struct SipDecoder {
    buffer: BytesMut,
    /// How much of the head at the front of `buffer` is known not to hold its end.
    scanned: usize,
    /// A message whose body is not complete, and how long that is.
    waiting: Option<(SipMessage, usize)>,
}

impl SipDecoder {
    /// At the start of a channel.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes in. Call [`Self::next_message`] until there is none before giving more.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes that wait for the rest of their message.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// The next whole message.
    ///
    /// # Errors
    /// If the channel is to be closed.
    pub fn next_message(&mut self) -> Result<Option<SipMessage>, SipError> {
        if self.waiting.is_none() {
            let Some(head) = self.take_head()? else {
                return Ok(None);
            };
            let (message, body) = SipMessage::parse_head(&head)?;
            if body > MAX_BODY {
                return Err(SipError::TooLong);
            }
            self.waiting = Some((message, body));
        }
        let Some((mut message, body)) = self.waiting.take() else {
            return Ok(None);
        };
        if self.buffer.len() < body {
            self.waiting = Some((message, body));
            return Ok(None);
        }
        message.body = self.buffer.split_to(body).to_vec();
        Ok(Some(message))
    }

    /// Start line, headers and the empty line. Line ends between messages keep the
    /// connection alive and mean nothing.
    fn take_head(&mut self) -> Result<Option<BytesMut>, SipError> {
        if self.scanned == 0 {
            let blank = self
                .buffer
                .iter()
                .take_while(|byte| matches!(byte, b'\r' | b'\n'))
                .count();
            self.buffer.advance(blank);
        }
        let from = self.scanned.saturating_sub(3);
        let unseen = self.buffer.get(from..).unwrap_or_default();
        let end = find_end(unseen).map(|end| from.saturating_add(end));
        let head = end.unwrap_or(self.buffer.len());
        if head > MAX_HEAD {
            return Err(SipError::TooLong);
        }
        match end {
            None => {
                self.scanned = self.buffer.len();
                Ok(None)
            }
            Some(end) => {
                self.scanned = 0;
                Ok(Some(self.buffer.split_to(end)))
            }
        }
    }
}

/// Where the first empty line ends.
fn find_end(bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes;
    let mut offset = 0usize;
    while let Some(at) = rest.iter().position(|byte| *byte == b'\n') {
        let next = at.saturating_add(1);
        rest = rest.get(next..)?;
        offset = offset.saturating_add(next);
        match rest {
            [b'\n', ..] => return Some(offset.saturating_add(1)),
            [b'\r', b'\n', ..] => return Some(offset.saturating_add(2)),
            _ => {}
        }
    }
    None
}
