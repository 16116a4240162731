//! Messages over the DHT, to and from 2023 peers (docs/protocol/06-messages-files.md
//! section 1.2).

use baraza_dht::secure::{self, SealError};
use baraza_dht::{Value, value_type};
use baraza_identity::{PrivateKey, PublicKey};
use baraza_wire::msgpack::{Error, Reader, Writer};
use baraza_wire::{Rng, UnixTime};

use super::each_entry;

/// A message, or with an empty text the acknowledgement of the one with the same token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImMessage {
    /// Token, the same over all ways a message takes.
    pub token: u64,
    /// MIME type.
    pub mime: String,
    /// Text.
    pub body: String,
    /// When it was sent.
    pub date: UnixTime,
}

const PLAIN: &str = "text/plain";
/// No time that means anything is later.
const FAR_FUTURE_SECS: u64 = 1 << 40;

impl ImMessage {
    /// The acknowledgement of the message with this token. It goes into the receiver's own
    /// inbox, encrypted for the sender's device, which looks there.
    pub fn acknowledgement(token: u64, now: UnixTime) -> Self {
        Self {
            token,
            mime: String::new(),
            body: String::new(),
            date: now,
        }
    }

    /// Whether it only acknowledges.
    pub fn is_acknowledgement(&self) -> bool {
        self.body.is_empty()
    }

    /// Reads the content of a value.
    ///
    /// # Errors
    /// If it is not a message.
    pub fn decode(data: &[u8]) -> Result<Self, Error> {
        let (mut token, mut mime, mut body, mut date) = (None, "", None, 0);
        each_entry(&mut Reader::new(data), |key, entry| {
            match key {
                b"id" => token = Some(entry.u64()?),
                b"msg" => body = Some(entry.str()?),
                b"date" => date = entry.i64()?,
                b"datatype" => mime = entry.str()?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(Self {
            token: token.ok_or(Error::Type("a message"))?,
            mime: if mime.is_empty() { PLAIN } else { mime }.to_owned(),
            body: body.ok_or(Error::Type("a message"))?.to_owned(),
            date: UnixTime::from_secs(u64::try_from(date).unwrap_or_default().min(FAR_FUTURE_SECS)),
        })
    }

    /// The content of a value.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.map(6).str("id").uint(self.token);
        writer.str("msg").str(&self.body);
        writer.str("date").uint(self.date.secs());
        writer.str("status").uint(0);
        writer.str("datatype").str(&self.mime);
        writer.str("metadatas").map(0);
        writer.into_bytes()
    }

    /// The value to put once under an inbox key.
    ///
    /// # Errors
    /// If the key cannot be encrypted for.
    pub fn seal(
        &self,
        sender: &PrivateKey,
        to: &PublicKey,
        rng: &mut Rng,
    ) -> Result<Value, SealError> {
        let plain = Value::new(value_type::IM_MESSAGE, self.encode()).with_random_id(rng);
        secure::encrypt(&plain, sender, to)
    }
}
