//! What an account says of itself in the local network (docs/protocol/02-account.md
//! section 12): the service `jami` of its announcements. Anybody may say it: it proves nothing.

use baraza_wire::AccountId;
use baraza_wire::msgpack::{Error, Kind, Reader, Writer};

use super::each_entry;
use super::vcard::clean_name;

/// The name of the service.
pub const SERVICE: &str = "jami";

/// Who is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NearbyAccount {
    /// The account.
    pub id: AccountId,
    /// The name that it shows; on one line.
    pub name: String,
}

impl NearbyAccount {
    /// Reads it: as an array, as daemons write it, or as a map.
    ///
    /// # Errors
    /// If it is something else.
    pub fn decode(payload: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(payload);
        let (mut id, mut name) = (None, "");
        if reader.peek()? == Kind::Map {
            each_entry(&mut reader, |key, reader| {
                match key {
                    b"accountId" => id = Some(reader.bin()?),
                    b"displayName" => name = reader.str()?,
                    _ => {
                        reader.skip()?;
                    }
                }
                Ok(())
            })?;
        } else {
            if reader.array_len()? < 2 {
                return Err(Error::Truncated);
            }
            id = Some(reader.bin()?);
            name = reader.str()?;
        }
        let id = id.and_then(|id| <[u8; 20]>::try_from(id).ok());
        Ok(Self {
            id: AccountId::new(id.ok_or(Error::Range)?),
            name: clean_name(name),
        })
    }

    /// Writes it.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.array(2).bin(self.id.as_bytes()).str(&self.name);
        writer.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use baraza_dht::discovery::{DHT, NodeService, Packet};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_daemon_of_2023_announces_is_read_and_written_the_same() {
        let captured = "82a364687493c41487735b63b96f45efaf8caf5a7bdcac5f322fd78ecde2ec00\
            a46a616d6992c414e6a135208ad12eef062520213808b047be61d88fa45a757269";
        let captured = baraza_wire::hex::decode(captured).unwrap();
        let Ok(Packet::Announcement(announcement)) = Packet::decode(&captured) else {
            panic!("no announcement");
        };
        let payload = &announcement.0[SERVICE];
        let account = NearbyAccount::decode(payload).unwrap();
        assert_eq!(account.name, "Zuri");
        assert_eq!(
            account.id.to_hex(),
            "e6a135208ad12eef062520213808b047be61d88f"
        );
        assert_eq!(account.encode(), payload[..]);
        let node = NodeService::decode(&announcement.0[DHT]).unwrap();
        assert_eq!((node.port, node.network), (58092, 0));
    }

    #[test]
    fn a_map_says_the_same_as_an_array() {
        let account = NearbyAccount {
            id: AccountId::new([7; 20]),
            name: "Zuri".into(),
        };
        let mut map = Writer::new();
        map.map(3).str("displayName").str("Zuri\n");
        map.str("more").uint(1).str("accountId").bin(&[7; 20]);
        assert_eq!(NearbyAccount::decode(map.as_bytes()).as_ref(), Ok(&account));
        assert_eq!(NearbyAccount::decode(&account.encode()), Ok(account));
    }

    #[test]
    fn what_names_no_account_is_refused() {
        let mut short = Writer::new();
        short.array(2).bin(&[7; 19]).str("x");
        assert_eq!(NearbyAccount::decode(short.as_bytes()), Err(Error::Range));
        assert_eq!(NearbyAccount::decode(b"\x80"), Err(Error::Range));
        assert_eq!(NearbyAccount::decode(b"\x91\xc0"), Err(Error::Truncated));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(account) = NearbyAccount::decode(&bytes) {
                prop_assert_eq!(NearbyAccount::decode(&account.encode()), Ok(account));
            }
        }
    }
}
