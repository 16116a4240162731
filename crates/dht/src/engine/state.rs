//! The state file (docs/protocol/01-dht.md section 9): what a node knows when it starts
//! again. These functions make and read its bytes; the driver keeps the file.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use baraza_wire::msgpack::{self, Kind, Reader, Writer};
use baraza_wire::{InfoHash, Now, UnixTime};
use thiserror::Error;

use super::Dht;
use crate::clock::Ms;
use crate::message::NodeInfo;
use crate::node::{Family, MAX_NODES};
use crate::storage::Origin;
use crate::value::Value;
use crate::value_type;

/// Nodes read from a state file.
const MAX_STORED_NODES: usize = 2 * MAX_NODES;

/// Nodes of a state file that are pinged at once.
const FIRST_PINGS: usize = 8;

/// Why bytes are not a state file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StateError {
    /// Not msgpack, or not of the type that belongs there.
    #[error("DHT state: {0}")]
    Msgpack(#[from] msgpack::Error),
}

impl Dht {
    /// The node id in a state file, for [`crate::Config::node_id`].
    pub fn stored_id(state: &[u8]) -> Option<InfoHash> {
        let mut id = None;
        read_map(&mut Reader::new(state), |key, reader| {
            if key == b"id" {
                id = InfoHash::from_slice(reader.bin()?);
            } else {
                reader.skip()?;
            }
            Ok(())
        })
        .ok()?;
        id.filter(|id| !id.is_zero())
    }

    /// The bytes of a state file; with `values`, also what is stored for others.
    pub fn export_state(&self, values: bool) -> Vec<u8> {
        let mut nodes = Vec::new();
        let own = self.envelope.id;
        for family in Family::BOTH {
            // Nearest first: those of our own bucket.
            let good = |node: &crate::node::Node| node.is_good(self.now);
            nodes.extend(self.nodes.closest(family, &own, MAX_NODES, good));
            nodes.extend(self.nodes.closest(family, &own, MAX_NODES, |node| {
                !good(node) && !node.expired && node.in_bucket
            }));
        }
        let mut writer = Writer::new();
        writer
            .map(4)
            .str("v")
            .uint(1)
            .str("id")
            .bin(own.as_bytes())
            .str("nodes")
            .array(nodes.len());
        for node in nodes.into_iter().filter_map(|at| self.nodes.get(at)) {
            let address = raw_address(node.address);
            writer
                .map(2)
                .str("id")
                .bin(node.id.as_bytes())
                .str("addr")
                .bin(&address);
        }
        let mut by_key: BTreeMap<InfoHash, Vec<(Vec<u8>, Ms)>> = BTreeMap::new();
        if values {
            for (key, packed, expires) in self.storage.iter() {
                if expires < Ms::NEVER {
                    by_key.entry(key).or_default().push((packed, expires));
                }
            }
        }
        writer.str("values").array(by_key.len());
        for (key, values) in by_key {
            let mut list = Writer::new();
            list.array(values.len());
            for (packed, expires) in values {
                let left = expires.since(self.now);
                let lifetime = Value::from_packed(&packed)
                    .map(|value| value_type::lifetime(value.value_type()))
                    .unwrap_or_default();
                let created = self
                    .unix
                    .saturating_add(left)
                    .secs()
                    .saturating_sub(lifetime.as_secs());
                list.array(4);
                write_time(&mut list, created);
                list.raw(&packed).bin(&[]);
                write_time(&mut list, self.unix.saturating_add(left).secs());
            }
            writer.array(2).bin(key.as_bytes()).bin(list.as_bytes());
        }
        writer.into_bytes()
    }

    /// Takes nodes and values from a state file. What is not as it should be is left out.
    ///
    /// # Errors
    /// If the bytes are not a state file at all. What was read before stays.
    pub fn import_state(&mut self, now: Now, state: &[u8]) -> Result<(), StateError> {
        self.tick(now);
        let mut reader = Reader::new(state);
        read_map(&mut reader, |key, reader| {
            match key {
                b"nodes" => {
                    for n in 0..reader.array_len()? {
                        let node = reader.skip()?;
                        if n < MAX_STORED_NODES
                            && let Ok(Some(info)) = read_node(&mut Reader::new(node))
                        {
                            self.heard_of(info);
                        }
                    }
                }
                b"values" => {
                    for _ in 0..reader.array_len()? {
                        let entry = reader.skip()?;
                        // A damaged entry is not worth giving up the others for.
                        let _ = self.import_key(&mut Reader::new(entry));
                    }
                }
                _ => {
                    reader.skip()?;
                }
            }
            Ok(())
        })?;
        // One answer is enough to be connected.
        for family in Family::BOTH {
            let own = self.envelope.id;
            for node in self.nodes.closest(family, &own, FIRST_PINGS, |_| true) {
                self.ping(node);
            }
        }
        self.status_changes();
        self.settle();
        Ok(())
    }

    fn import_key(&mut self, reader: &mut Reader<'_>) -> Result<(), msgpack::Error> {
        if reader.array_len()? != 2 {
            return Ok(());
        }
        let Some(key) = InfoHash::from_slice(reader.bin()?) else {
            return Ok(());
        };
        let mut list = Reader::new(reader.bin()?);
        for _ in 0..list.array_len()? {
            let fields = list.array_len()?;
            if fields < 2 {
                return Ok(());
            }
            // The older form has a reading of a clock that ended with its process: then the
            // value counts as new.
            let created = read_time(list.skip()?);
            let packed = list.skip()?;
            for _ in 2..fields {
                list.skip()?;
            }
            let Ok(value) = Value::from_packed(packed) else {
                continue;
            };
            let age = created.map_or(Duration::ZERO, |created| {
                self.unix.saturating_since(UnixTime::from_secs(created))
            });
            if value.id != 0 {
                // Nobody in particular may have put it; its room counts as that of one.
                let origin = Origin::Remote(SocketAddr::from(([0, 0, 0, 0], 0)));
                self.storage.store(&key, &value, origin, age, self.now);
            }
        }
        Ok(())
    }
}

fn read_map(
    reader: &mut Reader<'_>,
    mut entry: impl FnMut(&[u8], &mut Reader<'_>) -> Result<(), msgpack::Error>,
) -> Result<(), msgpack::Error> {
    for _ in 0..reader.map_len()? {
        if reader.peek()? != Kind::Str {
            reader.skip()?;
            reader.skip()?;
            continue;
        }
        let key = reader.str_bytes()?;
        entry(key, reader)?;
    }
    Ok(())
}

fn read_node(reader: &mut Reader<'_>) -> Result<Option<NodeInfo>, msgpack::Error> {
    let (mut id, mut address) = (None, None);
    read_map(reader, |key, reader| {
        match key {
            b"id" => id = InfoHash::from_slice(reader.bin()?),
            b"addr" => address = parse_address(reader.bin()?),
            _ => {
                reader.skip()?;
            }
        }
        Ok(())
    })?;
    Ok(id
        .zip(address)
        .map(|(id, address)| NodeInfo { id, address }))
}

/// A `sockaddr_in` or `sockaddr_in6` of Linux.
fn raw_address(address: SocketAddr) -> Vec<u8> {
    let mut out = Vec::with_capacity(28);
    match address {
        SocketAddr::V4(v4) => {
            out.extend_from_slice(&2u16.to_le_bytes());
            out.extend_from_slice(&v4.port().to_be_bytes());
            out.extend_from_slice(&v4.ip().octets());
            out.extend_from_slice(&[0; 8]);
        }
        SocketAddr::V6(v6) => {
            out.extend_from_slice(&10u16.to_le_bytes());
            out.extend_from_slice(&v6.port().to_be_bytes());
            out.extend_from_slice(&[0; 4]);
            out.extend_from_slice(&v6.ip().octets());
            out.extend_from_slice(&[0; 4]);
        }
    }
    out
}

fn parse_address(raw: &[u8]) -> Option<SocketAddr> {
    let (family, rest) = raw.split_first_chunk::<2>()?;
    let (port, rest) = rest.split_first_chunk::<2>()?;
    let port = u16::from_be_bytes(*port);
    let ip: IpAddr = match u16::from_le_bytes(*family) {
        2 => Ipv4Addr::from(*rest.first_chunk::<4>()?).into(),
        10 => Ipv6Addr::from(*rest.get(4..)?.first_chunk::<16>()?).into(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// A msgpack timestamp: extension type -1.
fn write_time(writer: &mut Writer, secs: u64) {
    match u32::try_from(secs) {
        Ok(secs) => writer.raw(&[0xd6, 0xff]).raw(&secs.to_be_bytes()),
        Err(_) => writer
            .raw(&[0xc7, 12, 0xff, 0, 0, 0, 0])
            .raw(&secs.to_be_bytes()),
    };
}

/// Seconds of a msgpack timestamp in any of its forms.
fn read_time(item: &[u8]) -> Option<u64> {
    match item {
        [0xd6, 0xff, rest @ ..] => Some(u64::from(u32::from_be_bytes(rest.try_into().ok()?))),
        [0xd7, 0xff, rest @ ..] => Some(u64::from_be_bytes(rest.try_into().ok()?) & 0x3_ffff_ffff),
        [0xc7, 12, 0xff, _, _, _, _, rest @ ..] => Some(u64::from_be_bytes(rest.try_into().ok()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use baraza_wire::{Rng, hex};

    use super::*;
    use crate::api::Config;

    fn now(secs: u64) -> Now {
        Now {
            instant: Instant::now(),
            unix: UnixTime::from_secs(secs),
        }
    }

    fn dht(at: Now) -> Dht {
        Dht::new(Config::default(), at, Rng::from_seed(1))
    }

    #[test]
    fn a_state_file_of_a_real_node_is_read() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../testing/vectors/dht-state-discovery-2412.json"
        );
        let json: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let state = hex::decode(json["state_hex"].as_str().unwrap()).unwrap();
        let id = Dht::stored_id(&state).unwrap();
        assert_eq!(id.to_hex(), "a329fe2614d8dcccb9fcd37eecbcec1aaf3a210f");
        let at = now(1_795_000_000);
        let mut dht = dht(at);
        dht.import_state(at, &state).unwrap();
        let stats = dht.stats();
        assert_eq!((stats.ipv4.known, stats.storage.keys), (1, 4));
        let bucket = &dht.routing_table(Family::V4)[0];
        assert_eq!(bucket.nodes[0].address, "127.0.0.1:17402".parse().unwrap());
        assert!(dht.import_state(at, b"\xc1").is_err());
        assert!(dht.import_state(at, &state[..state.len() - 1]).is_err());
    }

    #[test]
    fn what_was_exported_is_imported() {
        let at = now(1_795_000_000);
        let mut one = dht(at);
        for (id, address) in [(1, "192.0.2.1:4222"), (2, "[2001:db8::2]:4223")] {
            one.heard_of(NodeInfo {
                id: InfoHash::new([id; 20]),
                address: address.parse().unwrap(),
            });
        }
        let key = InfoHash::new([7; 20]);
        let value = Value::new(0, b"kept").with_id(5);
        let from = Origin::Remote("192.0.2.1:4222".parse().unwrap());
        let age = Duration::from_secs(100);
        one.storage.store(&key, &value, from, age, one.now);
        let state = one.export_state(true);

        let mut two = dht(at);
        two.import_state(at, &state).unwrap();
        let stats = two.stats();
        assert_eq!((stats.ipv4.known, stats.ipv6.known), (1, 1));
        assert_eq!(two.storage.value(&key, 5).unwrap(), value);
        let left = two.storage.next_due().unwrap().since(two.now).as_secs();
        assert!((499..=502).contains(&left), "{left}");
        assert_eq!(two.export_state(false).len() + 74, state.len());
        assert_eq!(Dht::stored_id(&state), Some(one.id()));
    }
}
