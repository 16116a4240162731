//! The messages of the two sides.

use std::collections::BTreeMap;
use std::fmt;

use baraza_wire::msgpack::{Error, Reader, Writer};

use crate::protocol::each_entry;

/// Longest message that is read: an archive with some room.
pub const MAX_MESSAGE: usize = 32 * 1024 * 1024;
/// The only scheme there is.
const SCHEME: u64 = 0;
/// Most entries of a payload that are kept.
const MAX_ENTRIES: usize = 32;

pub(super) const ARCHIVE: &str = "accData";
pub(super) const AUTH_SCHEME: &str = "authScheme";
pub(super) const CAN_RETRY: &str = "canRetry";
pub(super) const PASSWORD: &str = "password";
pub(super) const PASSWORD_CORRECT: &str = "passwordCorrect";
pub(super) const STATE: &str = "stateMsg";
pub(super) const CANCELED: &str = "CANCELED";
pub(super) const TIMEOUT: &str = "TIMEOUT";

/// A message: texts by their names. Never printed, as passwords and archives are in it.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct AuthMessage(BTreeMap<String, String>);

impl AuthMessage {
    /// Without entries.
    pub fn empty() -> Self {
        Self::default()
    }

    /// With one more entry.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// An entry.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// An entry, taken out.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// What to write to the channel.
    pub fn encode(&self) -> Vec<u8> {
        let length: usize = self
            .0
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        let mut writer = Writer::with_capacity(length.saturating_add(64));
        writer.map(2).str("schemeId").uint(SCHEME).str("payload");
        writer.map(self.0.len());
        for (name, value) in &self.0 {
            writer.str(name).str(value);
        }
        writer.into_bytes()
    }

    /// Reads one item of the stream.
    ///
    /// # Errors
    /// If it is not a message, or of a scheme that is not known.
    pub fn decode(item: &[u8]) -> Result<Self, Error> {
        let (mut scheme, mut payload) = (None, None);
        each_entry(&mut Reader::new(item), |key, entry| {
            match key {
                b"schemeId" => scheme = Some(entry.u64()?),
                b"payload" => {
                    let mut entries = BTreeMap::new();
                    for _ in 0..entry.map_len()? {
                        let (name, value) = (entry.str()?, entry.str()?);
                        if entries.len() < MAX_ENTRIES {
                            entries.insert(name.to_owned(), value.to_owned());
                        }
                    }
                    payload = Some(entries);
                }
                _ => {}
            }
            Ok(())
        })?;
        match (scheme, payload) {
            (Some(SCHEME), Some(payload)) => Ok(Self(payload)),
            _ => Err(Error::Type("a message of linking")),
        }
    }
}

impl fmt::Debug for AuthMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use baraza_wire::hex;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bytes_are_those_of_existing_peers() {
        // docs/protocol/02-account.md section 10.2
        let first = "82a8736368656d65496400a77061796c6f616480";
        let second =
            "82a8736368656d65496400a77061796c6f616481aa61757468536368656d65a870617373776f7264";
        let messages = [
            (first, AuthMessage::empty()),
            (second, AuthMessage::empty().with(AUTH_SCHEME, PASSWORD)),
        ];
        for (bytes, message) in messages {
            let bytes = hex::decode(bytes).unwrap();
            assert_eq!(message.encode(), bytes);
            assert_eq!(AuthMessage::decode(&bytes).unwrap(), message);
        }
        let secret = AuthMessage::empty().with(PASSWORD, "my secret");
        assert_eq!(format!("{secret:?}"), "{\"password\"}");
    }

    #[test]
    fn other_schemes_and_things_are_refused() {
        let mut other = AuthMessage::empty().encode();
        other[10] = 1;
        assert!(AuthMessage::decode(&other).is_err());
        assert!(AuthMessage::decode(&[0x80]).is_err());
        assert!(AuthMessage::decode(b"").is_err());
        assert!(AuthMessage::decode(&[0xc0]).is_err());
    }

    proptest! {
        #[test]
        fn messages_come_back(entries in prop::collection::btree_map(".{0,9}", ".{0,40}", 0..9)) {
            let message = AuthMessage(entries);
            prop_assert_eq!(AuthMessage::decode(&message.encode()).unwrap(), message);
        }
    }
}
