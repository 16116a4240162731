//! What other devices leave for a device on the DHT, encrypted and signed, under the key
//! made from its id (docs/protocol/02-account.md section 8 and 06 section 1.2).

use baraza_dht::secure::{self, OpenError};
use baraza_dht::{Value, infohash, value_type};
use baraza_identity::{PrivateKey, PublicKey};
use baraza_wire::{InfoHash, msgpack};
use thiserror::Error;

use super::im_message::ImMessage;
use super::trust_request::TrustRequest;

/// Where the device with this short id looks for what is left for it.
pub fn key(device: InfoHash) -> InfoHash {
    infohash(format!("inbox:{device}"))
}

/// Something left by a device, whose certificate the caller looks up by the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Key of the device that signed it.
    pub sender: PublicKey,
    /// Id of the value, the same in every copy of it.
    pub value_id: u64,
    /// What it says.
    pub content: Content,
}

/// What may be left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// The state of another device of the same account, from 2023 peers: a packed
    /// `DeviceSync` (docs/protocol/02-account.md section 9.2), not looked at here.
    DeviceSync(Vec<u8>),
    /// A message, or the acknowledgement of one.
    ImMessage(ImMessage),
    /// A contact request or the answer to one.
    TrustRequest(TrustRequest),
}

/// Why a value is not delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InboxError {
    /// Not what belongs into an inbox.
    #[error("unknown kind of value in the inbox")]
    Kind,
    /// Not the expected content.
    #[error("content of a value in the inbox: {0}")]
    Malformed(#[from] msgpack::Error),
    /// Not encrypted and signed as it must be.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// Decrypts, verifies and reads a value found at [`key`]. Does RSA.
///
/// # Errors
/// If it is to be ignored.
pub fn open(value: &Value, device: &PrivateKey) -> Result<Delivery, InboxError> {
    if !value.is_encrypted() {
        return Err(InboxError::Kind);
    }
    let opened = secure::open(value, device)?;
    let sender = opened.signer.ok_or(OpenError::Signature)?;
    let data = opened.value.data();
    let content = match opened.value.value_type() {
        value_type::IM_MESSAGE => Content::ImMessage(ImMessage::decode(data)?),
        value_type::TRUST_REQUEST => Content::TrustRequest(TrustRequest::decode(data)?),
        value_type::USER_DATA => Content::DeviceSync(data.to_vec()),
        _ => return Err(InboxError::Kind),
    };
    Ok(Delivery {
        sender,
        value_id: value.id,
        content,
    })
}

#[cfg(test)]
mod tests;
