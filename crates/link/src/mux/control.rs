//! What is inside the messages of channels 0 and 65535 (sections 11.1 and 11.2).

use baraza_wire::msgpack::{Error, Kind, Reader, Writer};

/// Channel management.
pub(super) const CONTROL: u16 = 0;
/// Messages about the link.
pub(super) const PROTOCOL: u16 = u16::MAX;

/// The version this program speaks, which both generations of peers call 1.
const VERSION: u64 = 1;

/// One item of a control or protocol message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Item<'a> {
    /// A channel is asked for, accepted or declined.
    Channel {
        name: &'a [u8],
        number: u16,
        state: State,
    },
    /// A beacon, which is to be answered.
    BeaconRequest,
    /// The answer to one.
    BeaconResponse,
    /// The peer's version.
    Version(u64),
}

/// What a channel message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Request,
    Accept,
    Decline,
}

/// The items of a message. Those that are not understood are skipped; bytes that are not
/// msgpack end it.
pub(super) fn items(bytes: &[u8]) -> impl Iterator<Item = Item<'_>> {
    let mut reader = Reader::new(bytes);
    std::iter::from_fn(move || {
        while !reader.is_empty() {
            let item = reader.skip().ok()?;
            match parse(item) {
                Ok(Some(item)) => return Some(item),
                Ok(None) => tracing::debug!("skipped an unknown control item"),
                Err(reason) => tracing::debug!(%reason, "skipped a bad control item"),
            }
        }
        None
    })
}

fn parse(item: &[u8]) -> Result<Option<Item<'_>>, Error> {
    let mut reader = Reader::new(item);
    match reader.peek()? {
        Kind::Array => parse_channel(&mut reader).map(Some),
        Kind::Map => parse_protocol(&mut reader),
        _ => Ok(None),
    }
}

/// Elements that are missing have their defaults.
fn parse_channel<'a>(reader: &mut Reader<'a>) -> Result<Item<'a>, Error> {
    let len = reader.array_len()?;
    let name: &[u8] = if len == 0 {
        &[]
    } else if reader.peek()? == Kind::Bin {
        reader.bin()?
    } else {
        reader.str_bytes()?
    };
    let number = if len > 1 { reader.u16()? } else { 0 };
    let state = if len > 2 { reader.u64()? } else { 0 };
    Ok(Item::Channel {
        name,
        number,
        state: match state {
            0 => State::Request,
            1 => State::Accept,
            // As the newer peers read any other number.
            _ => State::Decline,
        },
    })
}

/// The first key says what it is.
fn parse_protocol<'a>(reader: &mut Reader<'a>) -> Result<Option<Item<'a>>, Error> {
    if reader.map_len()? == 0 {
        return Ok(None);
    }
    Ok(match reader.str_bytes()? {
        b"p" if reader.bool()? => Some(Item::BeaconRequest),
        b"p" => Some(Item::BeaconResponse),
        b"v" => Some(Item::Version(reader.u64()?)),
        _ => None,
    })
}

/// The payload of a channel message.
pub(super) fn channel(name: &str, number: u16, state: State) -> Vec<u8> {
    let mut writer = Writer::with_capacity(name.len().saturating_add(16));
    writer.array(3).str(name).uint(u64::from(number));
    writer.uint(match state {
        State::Request => 0,
        State::Accept => 1,
        State::Decline => 2,
    });
    writer.into_bytes()
}

/// The payload of a beacon or its answer.
pub(super) fn beacon(request: bool) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.map(1).str("p").bool(request);
    writer.into_bytes()
}

/// The payload of our version message.
pub(super) fn version() -> Vec<u8> {
    let mut writer = Writer::new();
    writer.map(1).str("v").uint(VERSION);
    writer.into_bytes()
}
