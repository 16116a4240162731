//! Identifiers, each a type of its own so that they cannot be mixed up.
//!
//! Text forms are lower-case hex; parsing accepts either case and refuses any other
//! length (the C++ peers cut longer text, protocol/01-dht.md section 1; we do not).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::hex;

/// Text that is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not {kind}: expected {digits} hexadecimal digits")]
pub struct IdError {
    kind: &'static str,
    digits: usize,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $len:literal, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name([u8; $len]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;

            /// From raw bytes.
            pub const fn new(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// From a slice of exactly the right length.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }

            /// The raw bytes.
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// Whether all bytes are zero, which the protocol uses for "unset".
            pub fn is_zero(&self) -> bool {
                self.0.iter().all(|byte| *byte == 0)
            }

            /// Lower-case hex text.
            pub fn to_hex(&self) -> String {
                hex::encode(&self.0)
            }

            /// The first eight hex digits, for logs.
            pub fn short(&self) -> String {
                hex::encode(&self.0).chars().take(8).collect()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.to_hex())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.short())
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                hex::decode_array(text).map(Self).ok_or(IdError {
                    kind: $kind,
                    digits: $len * 2,
                })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.to_hex())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?
                    .parse()
                    .map_err(de::Error::custom)
            }
        }
    };
}

id!(
    /// 20 bytes: a DHT key, a node id or a short public key id (SHA-1 of the SPKI).
    InfoHash,
    20,
    "a DHT key"
);
id!(
    /// A Jami ID: the short id of an account's public key.
    AccountId,
    20,
    "a Jami ID"
);
id!(
    /// A device: the long id (SHA-256 of the SPKI) of its public key.
    DeviceId,
    32,
    "a device id"
);
id!(
    /// A conversation: the id of the first commit of its repository.
    ConversationId,
    20,
    "a conversation id"
);
id!(
    /// A git object id of a commit, which is also the id of the message it holds.
    CommitId,
    20,
    "a message id"
);

impl InfoHash {
    /// XOR distance to `other`, big-endian, so that comparing arrays compares distances.
    pub fn distance(&self, other: &Self) -> [u8; 20] {
        let mut out = [0; 20];
        for (out, (a, b)) in out.iter_mut().zip(self.0.iter().zip(other.0.iter())) {
            *out = a ^ b;
        }
        out
    }

    /// Number of leading bits shared with `other` (160 if equal).
    pub fn common_bits(&self, other: &Self) -> u32 {
        let mut bits: u32 = 0;
        for byte in self.distance(other) {
            bits = bits.saturating_add(byte.leading_zeros());
            if byte != 0 {
                break;
            }
        }
        bits
    }
}

impl From<AccountId> for InfoHash {
    fn from(id: AccountId) -> Self {
        Self(id.0)
    }
}

impl From<InfoHash> for AccountId {
    fn from(id: InfoHash) -> Self {
        Self(id.0)
    }
}

impl From<CommitId> for ConversationId {
    fn from(id: CommitId) -> Self {
        Self(id.0)
    }
}

impl From<ConversationId> for CommitId {
    fn from(id: ConversationId) -> Self {
        Self(id.0)
    }
}

/// Reads a Jami ID as people paste it: an optional `jami:` or `ring:` in front, blanks
/// around it (protocol/02-account.md section 1).
pub fn parse_account_uri(text: &str) -> Result<AccountId, IdError> {
    let text = text.trim();
    let bare = ["jami:", "ring:"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme))
        .unwrap_or(text);
    bare.parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "f2c815f5554bcc22689ce84d45aefdda1bce9146";

    #[test]
    fn text_round_trip_refuses_other_lengths() {
        let id: AccountId = ID.parse().unwrap();
        assert_eq!(id.to_string(), ID);
        assert_eq!(parse_account_uri(&format!(" jami:{ID}\n")).unwrap(), id);
        let error = ID[1..].parse::<AccountId>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "not a Jami ID: expected 40 hexadecimal digits"
        );
        assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{ID}\""));
    }

    #[test]
    fn distance_orders_by_shared_prefix() {
        let zero = InfoHash::default();
        let mut near = [0; 20];
        near[19] = 1;
        let mut far = [0; 20];
        far[0] = 0x10;
        assert_eq!(zero.common_bits(&InfoHash::new(near)), 159);
        assert_eq!(zero.common_bits(&InfoHash::new(far)), 3);
        assert_eq!(zero.common_bits(&zero), 160);
        assert!(zero.distance(&InfoHash::new(near)) < zero.distance(&InfoHash::new(far)));
    }
}
