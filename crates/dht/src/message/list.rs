//! Packed lists, read while they are walked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use baraza_wire::InfoHash;
use baraza_wire::msgpack::{Error, Kind, Reader};

use super::PacketError;
use crate::value::MAX_PACKED_LEN;

const COMPACT_V4: usize = 26;
const COMPACT_V6: usize = 38;

/// One element of a list of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueEntry<'a> {
    /// Packed value.
    Inline(&'a [u8]),
    /// Length of a packed value that follows in fragments.
    Announced(usize),
}

/// A list of values: as received in one packet, or put together from fragments.
#[derive(Debug, Clone, Copy)]
pub enum Values<'a> {
    /// The elements, packed one after the other.
    Packed {
        /// How many are claimed and, checked by the decoder, present.
        count: usize,
        /// Their bytes.
        bytes: &'a [u8],
    },
    /// Whole values.
    Whole(&'a [Vec<u8>]),
}

impl<'a> Values<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let count = reader.array_len()?;
        let start = reader.rest();
        for _ in 0..count {
            reader.skip()?;
        }
        let len = start.len().saturating_sub(reader.rest().len());
        Ok(Self::Packed {
            count,
            bytes: start.get(..len).unwrap_or_default(),
        })
    }

    /// The elements in order; those that are neither maps nor sensible lengths are left
    /// out.
    pub fn iter(self) -> impl Iterator<Item = ValueEntry<'a>> {
        let (mut reader, mut left, mut whole) = match self {
            Self::Packed { count, bytes } => (Reader::new(bytes), count, [].iter()),
            Self::Whole(values) => (Reader::new(&[]), 0, values.iter()),
        };
        std::iter::from_fn(move || {
            if let Some(value) = whole.next() {
                return Some(ValueEntry::Inline(value));
            }
            while left > 0 {
                left = left.saturating_sub(1);
                match reader.peek().ok()? {
                    Kind::Map => return reader.skip().ok().map(ValueEntry::Inline),
                    Kind::Int => {
                        let len = reader.int().ok()?;
                        if let Ok(len) = usize::try_from(len) {
                            return Some(ValueEntry::Announced(len));
                        }
                    }
                    _ => {
                        reader.skip().ok()?;
                    }
                }
            }
            None
        })
    }

    /// Whether some are announced, to follow in fragments.
    pub fn is_announcement(self) -> bool {
        self.iter()
            .any(|entry| matches!(entry, ValueEntry::Announced(1..=MAX_PACKED_LEN)))
    }

    /// Number of elements.
    pub fn count(self) -> usize {
        match self {
            Self::Packed { count, .. } => count,
            Self::Whole(values) => values.len(),
        }
    }
}

/// A list of value ids.
#[derive(Debug, Clone, Copy)]
pub struct Ids<'a> {
    count: usize,
    bytes: &'a [u8],
}

impl<'a> Ids<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let count = reader.array_len()?;
        let start = reader.rest();
        for _ in 0..count {
            reader.u64()?;
        }
        let len = start.len().saturating_sub(reader.rest().len());
        Ok(Self {
            count,
            bytes: start.get(..len).unwrap_or_default(),
        })
    }

    /// The ids.
    pub fn iter(self) -> impl Iterator<Item = u64> + 'a {
        let mut reader = Reader::new(self.bytes);
        (0..self.count).map_while(move |_| reader.u64().ok())
    }
}

/// A node as lists and state files name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeInfo {
    /// Its id.
    pub id: InfoHash,
    /// Its address.
    pub address: SocketAddr,
}

impl NodeInfo {
    /// Appends the compact form (section 2.3).
    pub fn write_compact(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.id.as_bytes());
        match self.address.ip() {
            IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
            IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
        }
        out.extend_from_slice(&self.address.port().to_be_bytes());
    }
}

/// The node lists of a reply, both of whole entries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Nodes<'a> {
    v4: &'a [u8],
    v6: &'a [u8],
}

impl<'a> Nodes<'a> {
    pub(super) fn set_v4(&mut self, bytes: &'a [u8]) -> Result<(), PacketError> {
        self.v4 = bytes;
        whole(bytes, COMPACT_V4)
    }

    pub(super) fn set_v6(&mut self, bytes: &'a [u8]) -> Result<(), PacketError> {
        self.v6 = bytes;
        whole(bytes, COMPACT_V6)
    }

    /// The nodes of both lists.
    pub fn iter(self) -> impl Iterator<Item = NodeInfo> + 'a {
        let v4 = self.v4.chunks_exact(COMPACT_V4).filter_map(|entry| {
            let (id, rest) = entry.split_first_chunk::<20>()?;
            let (ip, port) = rest.split_first_chunk::<4>()?;
            node(id, Ipv4Addr::from(*ip).into(), port)
        });
        let v6 = self.v6.chunks_exact(COMPACT_V6).filter_map(|entry| {
            let (id, rest) = entry.split_first_chunk::<20>()?;
            let (ip, port) = rest.split_first_chunk::<16>()?;
            node(id, Ipv6Addr::from(*ip).into(), port)
        });
        v4.chain(v6)
    }
}

fn whole(bytes: &[u8], entry: usize) -> Result<(), PacketError> {
    if bytes.len().is_multiple_of(entry) {
        Ok(())
    } else {
        Err(PacketError::Nodes)
    }
}

fn node(id: &[u8; 20], ip: IpAddr, port: &[u8]) -> Option<NodeInfo> {
    let port = u16::from_be_bytes(port.try_into().ok()?);
    Some(NodeInfo {
        id: InfoHash::new(*id),
        address: SocketAddr::new(ip, port),
    })
}

/// The parts of values that a fragment packet carries.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    count: usize,
    bytes: &'a [u8],
}

/// A piece of a packed value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part<'a> {
    /// Which of the announced values.
    pub index: usize,
    /// Where in it.
    pub offset: usize,
    /// The bytes, at least one.
    pub data: &'a [u8],
}

impl<'a> Parts<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let count = reader.map_len()?;
        let start = reader.rest();
        for _ in 0..count {
            reader.skip()?;
            reader.skip()?;
        }
        let len = start.len().saturating_sub(reader.rest().len());
        Ok(Self {
            count,
            bytes: start.get(..len).unwrap_or_default(),
        })
    }

    /// The well-formed ones.
    pub fn iter(self) -> impl Iterator<Item = Part<'a>> {
        let mut reader = Reader::new(self.bytes);
        (0..self.count)
            .map_while(move |_| Some((reader.skip().ok()?, reader.skip().ok()?)))
            .filter_map(|(index, body)| part(index, body).ok())
            .filter(|part| !part.data.is_empty())
    }
}

fn part<'a>(index: &'a [u8], body: &'a [u8]) -> Result<Part<'a>, Error> {
    let index = Reader::new(index).u32()?;
    let mut body = Reader::new(body);
    let (mut offset, mut data) = (0, Default::default());
    for _ in 0..body.map_len()? {
        if body.peek()? != Kind::Str {
            body.skip()?;
            body.skip()?;
            continue;
        }
        match body.str_bytes()? {
            b"o" => offset = body.u32()?,
            b"d" => data = body.bin()?,
            _ => {
                body.skip()?;
            }
        }
    }
    Ok(Part {
        index: usize::try_from(index).map_err(|_| Error::Range)?,
        offset: usize::try_from(offset).map_err(|_| Error::Range)?,
        data,
    })
}
