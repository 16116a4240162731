//! Reading packets (docs/protocol/01-dht.md sections 2.1 and 2.2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use baraza_wire::InfoHash;
use baraza_wire::msgpack::{Error, Kind as Item, Reader};

use super::{Ids, Kind, Nodes, Packet, PacketError, Parts, Token, Values, Want};
use crate::query::Query;

impl<'a> Packet<'a> {
    /// Decodes a datagram. Bytes after the map are ignored.
    ///
    /// # Errors
    /// If it is not a packet: it is to be dropped.
    pub fn decode(datagram: &'a [u8]) -> Result<Self, PacketError> {
        let mut reader = Reader::new(datagram);
        let mut packet = Self::empty();
        let mut top = Top::default();
        for _ in 0..reader.map_len()? {
            if reader.peek()? != Item::Str {
                reader.skip()?;
                reader.skip()?;
                continue;
            }
            match reader.str_bytes()? {
                b"a" => top.a = Some(reader.skip()?),
                b"e" => top.error = Some(error_code(reader.skip()?)?),
                b"n" => packet.network = reader.u32()?,
                b"p" => packet.parts = Some(Parts::decode(&mut reader)?),
                b"q" => top.query = Some(reader.str_bytes()?),
                b"r" => top.r = Some(reader.skip()?),
                b"s" => packet.client = reader.bool()?,
                b"t" => packet.tid = transaction_id(&mut reader)?,
                b"u" => top.u = Some(reader.skip()?),
                b"y" => top.y = Some(reader.str_bytes()?),
                _ => {
                    reader.skip()?;
                }
            }
        }
        packet.kind = top.kind(packet.parts.is_some())?;
        if let Some(body) = top.a.or(top.r).or(top.u) {
            packet.decode_body(&mut Reader::new(body))?;
        }
        Ok(packet)
    }

    fn empty() -> Self {
        Self {
            kind: Kind::Ping,
            tid: 0,
            network: 0,
            client: false,
            id: InfoHash::default(),
            key: InfoHash::default(),
            target: InfoHash::default(),
            want: None,
            query: None,
            token: None,
            value_id: 0,
            values: None,
            fields: None,
            created: None,
            socket: 0,
            version: 0,
            refreshed: None,
            expired: None,
            nodes: Nodes::default(),
            address: None,
            parts: None,
        }
    }

    fn decode_body(&mut self, reader: &mut Reader<'a>) -> Result<(), PacketError> {
        for _ in 0..reader.map_len()? {
            if reader.peek()? != Item::Str {
                reader.skip()?;
                reader.skip()?;
                continue;
            }
            match reader.str_bytes()? {
                b"id" => self.id = id(reader)?,
                b"h" => self.key = id(reader)?,
                b"target" => self.target = id(reader)?,
                b"w" => self.want = Some(want(reader)?),
                b"q" => self.query = Some(Query::decode(reader)?),
                b"token" => self.token = Some(token(reader)?),
                b"vid" => self.value_id = reader.u64()?,
                b"values" => self.values = Some(Values::decode(reader)?),
                b"fileds" => self.fields = Some(reader.skip()?),
                b"c" => self.created = Some(reader.i64()?),
                b"sid" => self.socket = reader.u32()?,
                b"ve" => self.version = reader.i64()?,
                b"re" => self.refreshed = Some(Ids::decode(reader)?),
                b"exp" => self.expired = Some(Ids::decode(reader)?),
                b"n4" => self.nodes.set_v4(reader.bin()?)?,
                b"n6" => self.nodes.set_v6(reader.bin()?)?,
                b"sa" => self.address = address(reader.bin()?),
                _ => {
                    reader.skip()?;
                }
            }
        }
        Ok(())
    }
}

#[derive(Default)]
struct Top<'a> {
    a: Option<&'a [u8]>,
    r: Option<&'a [u8]>,
    u: Option<&'a [u8]>,
    error: Option<u16>,
    query: Option<&'a [u8]>,
    y: Option<&'a [u8]>,
}

impl Top<'_> {
    fn kind(&self, fragment: bool) -> Result<Kind, PacketError> {
        if let Some(code) = self.error {
            return Ok(Kind::Error(code));
        }
        if self.r.is_some() {
            return Ok(Kind::Reply);
        }
        if fragment {
            return Ok(Kind::Fragment);
        }
        if self.u.is_some() {
            return Ok(Kind::OldUpdate);
        }
        if self.y.is_some_and(|y| y != b"q") {
            return Err(PacketError::Kind);
        }
        match self.query.ok_or(PacketError::Kind)? {
            b"find" => Ok(Kind::Find),
            b"get" => Ok(Kind::Get),
            b"listen" => Ok(Kind::Listen),
            b"ping" => Ok(Kind::Ping),
            b"put" => Ok(Kind::Put),
            b"refresh" => Ok(Kind::Refresh),
            b"update" => Ok(Kind::Update),
            _ => Err(PacketError::Kind),
        }
    }
}

fn error_code(item: &[u8]) -> Result<u16, Error> {
    let mut reader = Reader::new(item);
    if reader.array_len()? == 0 {
        return Err(Error::Type("an error code"));
    }
    reader.u16()
}

fn id(reader: &mut Reader<'_>) -> Result<InfoHash, PacketError> {
    InfoHash::from_slice(reader.bin()?).ok_or(PacketError::Id)
}

/// An integer, or four bytes of any kind from old peers.
fn transaction_id(reader: &mut Reader<'_>) -> Result<u32, Error> {
    match reader.peek()? {
        Item::Int => reader.u32(),
        _ => {
            let bytes = token(reader)?;
            let bytes = bytes.as_bytes().try_into();
            Ok(u32::from_be_bytes(
                bytes.map_err(|_| Error::Type("a transaction id of 4 bytes"))?,
            ))
        }
    }
}

fn token(reader: &mut Reader<'_>) -> Result<Token, Error> {
    match reader.peek()? {
        Item::Bin => Ok(Token::new(reader.bin()?)),
        Item::Str => Ok(Token::new(reader.str_bytes()?)),
        Item::Array => {
            let len = reader.array_len()?;
            let mut token = Token::new(&[]);
            for at in 0..len {
                let byte = u8::try_from(reader.int()?).map_err(|_| Error::Range)?;
                if let Some(room) = token.bytes.get_mut(at) {
                    *room = byte;
                }
            }
            if len <= token.bytes.len() {
                token.len = u8::try_from(len).unwrap_or_default();
            }
            Ok(token)
        }
        _ => Err(Error::Type("a byte string")),
    }
}

/// 2 is IPv4; 10 is IPv6 on Linux, and the other numbers are IPv6 elsewhere.
fn want(reader: &mut Reader<'_>) -> Result<Want, Error> {
    let mut want = Want::default();
    for _ in 0..reader.array_len()? {
        match reader.int()? {
            2 => want.ipv4 = true,
            10 | 23 | 28 | 30 => want.ipv6 = true,
            _ => {}
        }
    }
    Ok(want)
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(v4).into());
    }
    <[u8; 16]>::try_from(bytes)
        .ok()
        .map(|v6| Ipv6Addr::from(v6).into())
}
