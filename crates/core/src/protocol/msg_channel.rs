//! Messages over `msg:` channels (docs/protocol/06-messages-files.md section 1.3).

use baraza_wire::DeviceId;
use baraza_wire::msgpack::{Error, Reader, Writer};

use super::each_entry;
use super::message::MAX_BODY;
use super::msgpack_stream::{MsgpackStream, StreamError};

/// Longest packed message that is read.
pub const MAX_ITEM: usize = MAX_BODY + 1024;

/// Name of the channel that a device is asked to open.
pub fn name(responder: &DeviceId) -> String {
    format!("msg:{responder}")
}

/// A message on the channel, or in the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelMessage {
    /// Token, the same over all ways a message takes.
    pub token: u64,
    /// MIME type.
    pub mime: String,
    /// Content.
    pub body: String,
}

impl ChannelMessage {
    /// What to write to the channel.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(self.body.len().saturating_add(80));
        writer.map(4).str("id").uint(self.token);
        writer.str("t").str(&self.mime).str("c").str(&self.body);
        writer.str("req").nil();
        writer.into_bytes()
    }

    /// Reads one item of the stream.
    ///
    /// # Errors
    /// If it is not a message: the channel is to be closed.
    pub fn decode(item: &[u8]) -> Result<Self, Error> {
        let (mut token, mut mime, mut body) = (0, None, None);
        each_entry(&mut Reader::new(item), |key, entry| {
            match key {
                b"id" => token = entry.u64()?,
                b"t" => mime = Some(entry.str()?),
                b"c" => body = Some(entry.str()?),
                _ => {}
            }
            Ok(())
        })?;
        Ok(Self {
            token,
            mime: mime.ok_or(Error::Type("a message"))?.to_owned(),
            body: body.ok_or(Error::Type("a message"))?.to_owned(),
        })
    }
}

/// Reads messages as the bytes of a channel come.
#[derive(Debug, Clone)]
pub struct MessageStream(MsgpackStream);

impl MessageStream {
    /// At the start of a channel.
    pub fn new() -> Self {
        Self(MsgpackStream::new(MAX_ITEM))
    }

    /// Takes bytes in and returns the messages they complete.
    ///
    /// # Errors
    /// If the channel is to be closed.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<ChannelMessage>, StreamError> {
        self.0.push(bytes);
        let mut messages = Vec::new();
        while let Some(item) = self.0.next_item()? {
            messages.push(ChannelMessage::decode(&item)?);
        }
        Ok(messages)
    }
}

impl Default for MessageStream {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
