//! Requests to connect and their answers, as they cross the DHT
//! (docs/protocol/04-connection.md section 2).

use baraza_dht::value_type::USER_DATA;
use baraza_dht::{Value, infohash};
use baraza_wire::msgpack::{self, Reader, Writer};
use baraza_wire::{DeviceId, InfoHash, Rng};
use thiserror::Error;

/// User type of the values.
pub const USER_TYPE: &str = "peer_request";
/// Largest id; they also travel as JSON numbers.
pub const MAX_ID: u64 = 1 << 53;
/// Longest ICE message that is read: several times 32 candidates.
pub const MAX_ICE_MESSAGE: usize = 8 * 1024;
/// Longest `connType` that is read.
pub const MAX_REASON: usize = 256;
/// Most keys of the map that are looked at.
const MAX_KEYS: usize = 16;

/// Which of the two ids of a device a rendez-vous key is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// Of the short id, used by the 2023 generation.
    Short,
    /// Of the long id, used by the newer one.
    Long,
}

/// The key under which a device with this short id listens in the 2023 generation.
pub fn short_key(short_id: &InfoHash) -> InfoHash {
    infohash(format!("peer:{short_id}"))
}

/// The key under which a device with this id listens in the newer generation.
pub fn long_key(device: &DeviceId) -> InfoHash {
    infohash(format!("peer:{device}"))
}

/// A request to connect, or the answer to one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Fresh in a request, copied into its answer.
    pub id: u64,
    /// Credentials and candidates: see [`crate::ice::Description`].
    pub ice: String,
    /// Whether it answers a request.
    pub is_answer: bool,
    /// Why the connection is wanted (`connType`); empty in answers.
    pub reason: String,
}

/// Why bytes are no offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OfferError {
    /// Not the map that is expected.
    #[error(transparent)]
    Msgpack(#[from] msgpack::Error),
    /// Longer than [`MAX_ICE_MESSAGE`].
    #[error("the ICE message is too long")]
    IceMessageTooLong,
    /// More keys than any version writes.
    #[error("too many keys")]
    TooManyKeys,
    /// Longer than [`MAX_REASON`].
    #[error("the reason is too long")]
    ReasonTooLong,
}

impl Offer {
    /// The data of the DHT value.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(self.ice.len().saturating_add(80));
        writer.map(4);
        writer.str("id").uint(self.id);
        writer.str("ice_msg").str(&self.ice);
        writer.str("isAnswer").bool(self.is_answer);
        writer.str("connType").str(&self.reason);
        writer.into_bytes()
    }

    /// Reads the data of a DHT value. As existing peers do, keys are found by name, unknown
    /// ones are skipped and missing ones have their zero value.
    ///
    /// # Errors
    /// If it is no such map, or something in it is too long.
    pub fn decode(data: &[u8]) -> Result<Self, OfferError> {
        let mut reader = Reader::new(data);
        let mut offer = Self {
            id: 0,
            ice: String::new(),
            is_answer: false,
            reason: String::new(),
        };
        let keys = reader.map_len()?;
        if keys > MAX_KEYS {
            return Err(OfferError::TooManyKeys);
        }
        for _ in 0..keys {
            match reader.str_bytes()? {
                b"id" => offer.id = reader.u64()?,
                b"ice_msg" => {
                    let text = reader.str()?;
                    if text.len() > MAX_ICE_MESSAGE {
                        return Err(OfferError::IceMessageTooLong);
                    }
                    text.clone_into(&mut offer.ice);
                }
                b"isAnswer" => offer.is_answer = reader.bool()?,
                b"connType" => {
                    let text = reader.str()?;
                    if text.len() > MAX_REASON {
                        return Err(OfferError::ReasonTooLong);
                    }
                    text.clone_into(&mut offer.reason);
                }
                _ => {
                    reader.skip()?;
                }
            }
        }
        Ok(offer)
    }

    /// The DHT value, still to be sealed. A request also says its reason to proxies, which
    /// choose the kind of push by it. Its id has nothing to do with that of the offer.
    pub fn to_value(&self, rng: &mut Rng) -> Value {
        Value::new(USER_DATA, self.encode())
            .with_user_type(USER_TYPE)
            .with_push_type(&self.reason)
            .with_random_id(rng)
    }
}

#[cfg(test)]
mod tests;
