//! From a stream of bytes, cut anywhere, to messages.

use baraza_wire::msgpack::{self, Kind, Reader};
use bytes::{Buf as _, Bytes, BytesMut};

/// Longest payload of a message; writers split above it (section 11).
pub const MAX_MESSAGE: usize = 65_535;

/// Longest item that is skipped because it is no message: as long as a message with the
/// widest header.
const MAX_SKIPPED: usize = MAX_MESSAGE + MAX_HEADER;

/// Array of two, channel and length, each in its widest form.
const MAX_HEADER: usize = 5 + 9 + 5;

/// Payloads from this length on share the memory of the chunk they came in: half a record.
const SHARED_FROM: usize = 8 * 1024;

/// One message: `[channel, bin]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its channel.
    pub channel: u16,
    /// Its payload.
    pub data: Bytes,
}

/// The bytes are not msgpack or hold an item that is too long: there is no way to find
/// the next message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// Decodes a stream. Holds at most one message.
#[derive(Debug)]
pub struct Decoder(State);

#[derive(Debug)]
enum State {
    /// The first bytes of a message, fewer than its header has.
    Header { held: [u8; MAX_HEADER], len: usize },
    /// Some of the payload of a message.
    Body {
        channel: u16,
        missing: usize,
        buffer: BytesMut,
    },
    /// Inside an item that is no message.
    Skip(Skipper),
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// At the start of a stream.
    pub fn new() -> Self {
        Self(State::START)
    }

    /// The next message of `input`, from which everything read is removed. `None` when
    /// all of it was read. Items that are no messages are skipped.
    ///
    /// # Errors
    /// If the stream cannot be read any further.
    pub fn next(&mut self, input: &mut Bytes) -> Result<Option<Frame>, Malformed> {
        loop {
            match &mut self.0 {
                State::Header { held, len } => {
                    if input.is_empty() {
                        return Ok(None);
                    }
                    let before = *len;
                    let head = if before == 0 {
                        parse_header(input)?
                    } else {
                        let room = held.get_mut(before..).unwrap_or_default();
                        let more = copy_prefix(room, input);
                        let known = before.saturating_add(more);
                        parse_header(held.get(..known).unwrap_or_default())?
                    };
                    match head {
                        Header::CutShort => {
                            // It was longer than what was held, and no header exceeds
                            // what can be held: all of the input fits.
                            let room = held.get_mut(before..).unwrap_or_default();
                            let more = copy_prefix(room, input);
                            *len = before.saturating_add(more);
                            input.advance(more);
                        }
                        Header::Message { channel, len, used } => {
                            input.advance(used.saturating_sub(before));
                            self.0 = State::Body {
                                channel,
                                missing: len,
                                buffer: BytesMut::new(),
                            };
                        }
                        Header::Other => {
                            let mut skipper = Skipper::new();
                            // Never a whole item, or it would have been skipped before.
                            skipper.feed(held.get(..before).unwrap_or_default())?;
                            self.0 = State::Skip(skipper);
                        }
                    }
                }
                State::Body {
                    channel,
                    missing,
                    buffer,
                } => {
                    let channel = *channel;
                    let data = if buffer.is_empty() && input.len() >= *missing {
                        let whole = *missing;
                        split_off(input, whole)
                    } else {
                        if buffer.is_empty() {
                            buffer.reserve(*missing);
                        }
                        let now = input.len().min(*missing);
                        buffer.extend_from_slice(input.get(..now).unwrap_or_default());
                        input.advance(now);
                        *missing = missing.saturating_sub(now);
                        if *missing > 0 {
                            return Ok(None);
                        }
                        std::mem::take(buffer).freeze()
                    };
                    self.0 = State::START;
                    return Ok(Some(Frame { channel, data }));
                }
                State::Skip(skipper) => {
                    let used = skipper.feed(input)?;
                    input.advance(used);
                    if skipper.is_done() {
                        tracing::debug!("skipped an item that is no message");
                        self.0 = State::START;
                    } else {
                        return Ok(None);
                    }
                }
            }
        }
    }
}

impl State {
    const START: Self = Self::Header {
        held: [0; MAX_HEADER],
        len: 0,
    };
}

/// Takes a payload out of a chunk: shared if it is large, else copied, so that a small one
/// does not keep a large chunk in memory.
fn split_off(input: &mut Bytes, len: usize) -> Bytes {
    if len >= SHARED_FROM {
        return input.split_to(len);
    }
    let data = Bytes::copy_from_slice(input.get(..len).unwrap_or_default());
    input.advance(len);
    data
}

/// Copies as much as fits and says how much that was.
fn copy_prefix(to: &mut [u8], from: &[u8]) -> usize {
    let len = to.len().min(from.len());
    if let (Some(to), Some(from)) = (to.get_mut(..len), from.get(..len)) {
        to.copy_from_slice(from);
    }
    len
}

enum Header {
    /// May become a message with more bytes.
    CutShort,
    /// A message of `len` bytes, after `used` bytes of header.
    Message {
        channel: u16,
        len: usize,
        used: usize,
    },
    /// Something else.
    Other,
}

fn parse_header(bytes: &[u8]) -> Result<Header, Malformed> {
    match try_parse_header(bytes) {
        Ok(header) => Ok(header),
        Err(msgpack::Error::Truncated) => Ok(Header::CutShort),
        Err(msgpack::Error::Reserved) => Err(Malformed),
        Err(_) => Ok(Header::Other),
    }
}

fn try_parse_header(bytes: &[u8]) -> Result<Header, msgpack::Error> {
    let mut reader = Reader::new(bytes);
    if reader.peek()? != Kind::Array || reader.array_len()? != 2 {
        return Ok(Header::Other);
    }
    let channel = reader.u16()?;
    if reader.peek()? != Kind::Bin {
        return Ok(Header::Other);
    }
    let len = reader.bin_len()?;
    if len > MAX_MESSAGE {
        return Err(msgpack::Error::Reserved);
    }
    Ok(Header::Message {
        channel,
        len,
        used: reader.position(),
    })
}

/// Walks over one item of any kind without keeping it.
#[derive(Debug)]
struct Skipper {
    /// Items to come.
    items: usize,
    /// Bytes to come of the present item.
    raw: usize,
    /// Bytes to come of the present length, what is known of it, and what it counts.
    length: Option<(u8, usize, Counts)>,
    /// Bytes walked over.
    spent: usize,
}

#[derive(Debug, Clone, Copy)]
enum Counts {
    Bytes,
    /// Bytes, and one for the type.
    ExtBytes,
    Items,
    Pairs,
}

impl Skipper {
    fn new() -> Self {
        Self {
            items: 1,
            raw: 0,
            length: None,
            spent: 0,
        }
    }

    fn is_done(&self) -> bool {
        self.items == 0 && self.raw == 0 && self.length.is_none()
    }

    /// Walks over `bytes` up to the end of the item and says how far that was.
    fn feed(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        let mut rest = bytes;
        while !self.is_done() {
            if self.raw > 0 {
                let now = self.raw.min(rest.len());
                self.raw = self.raw.saturating_sub(now);
                rest = rest.get(now..).unwrap_or_default();
                if rest.is_empty() {
                    break;
                }
                continue;
            }
            let Some((byte, after)) = rest.split_first() else {
                break;
            };
            rest = after;
            match self.length.take() {
                Some((left, known, counts)) => {
                    let known = (known << 8) | usize::from(*byte);
                    if left > 1 {
                        self.length = Some((left.saturating_sub(1), known, counts));
                    } else {
                        self.expect(known, counts);
                    }
                }
                None => self.marker(*byte)?,
            }
            // Whatever is claimed must fit into what may be skipped.
            if self.items.max(self.raw) > MAX_SKIPPED {
                return Err(Malformed);
            }
        }
        let used = bytes.len().saturating_sub(rest.len());
        self.spent = self.spent.saturating_add(used);
        if self.spent > MAX_SKIPPED {
            return Err(Malformed);
        }
        Ok(used)
    }

    fn marker(&mut self, marker: u8) -> Result<(), Malformed> {
        self.items = self.items.saturating_sub(1);
        let low = usize::from(marker & 15);
        match marker {
            0x00..=0x7f | 0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff => {}
            0x80..=0x8f => self.expect(low, Counts::Pairs),
            0x90..=0x9f => self.expect(low, Counts::Items),
            0xa0..=0xbf => self.raw = usize::from(marker & 31),
            0xc1 => return Err(Malformed),
            0xc4 | 0xd9 => self.length = Some((1, 0, Counts::Bytes)),
            0xc5 | 0xda => self.length = Some((2, 0, Counts::Bytes)),
            0xc6 | 0xdb => self.length = Some((4, 0, Counts::Bytes)),
            0xc7 => self.length = Some((1, 0, Counts::ExtBytes)),
            0xc8 => self.length = Some((2, 0, Counts::ExtBytes)),
            0xc9 => self.length = Some((4, 0, Counts::ExtBytes)),
            0xcc | 0xd0 => self.raw = 1,
            0xcd | 0xd1 | 0xd4 => self.raw = 2,
            0xd5 => self.raw = 3,
            0xca | 0xce | 0xd2 => self.raw = 4,
            0xd6 => self.raw = 5,
            0xcb | 0xcf | 0xd3 => self.raw = 8,
            0xd7 => self.raw = 9,
            0xd8 => self.raw = 17,
            0xdc => self.length = Some((2, 0, Counts::Items)),
            0xdd => self.length = Some((4, 0, Counts::Items)),
            0xde => self.length = Some((2, 0, Counts::Pairs)),
            0xdf => self.length = Some((4, 0, Counts::Pairs)),
        }
        Ok(())
    }

    fn expect(&mut self, count: usize, counts: Counts) {
        match counts {
            Counts::Bytes => self.raw = count,
            Counts::ExtBytes => self.raw = count.saturating_add(1),
            Counts::Items => self.items = self.items.saturating_add(count),
            Counts::Pairs => self.items = self.items.saturating_add(count.saturating_mul(2)),
        }
    }
}
