//! pkt-lines: the framing of the git wire (docs/protocol/05-swarm.md section 8).
//!
//! A line is four hex digits (its whole length) and the data. [`PktReader`] takes bytes in
//! any chunking and holds at most one unfinished line; the functions below write lines.
//! Existing peers parse each channel write as whole lines (section 8.2), so whoever sends
//! must never cut one: [`PktWriter`] collects whole lines for one write.

use std::fmt;

use bytes::{Buf, Bytes, BytesMut};

/// Longest line ever sent: what existing peers send, `ffeb` (docs/protocol/05-swarm.md section 8.6).
pub const MAX_LINE_SENT: usize = 0xffeb;
/// Most bytes of data in a line we send.
pub const MAX_DATA_SENT: usize = MAX_LINE_SENT - LENGTH_DIGITS;
/// Longest channel write, because the multiplexer cuts longer ones (section 8.2).
pub const MAX_WRITE: usize = 65_535;
/// The flush packet.
pub const FLUSH: &[u8] = b"0000";

const LENGTH_DIGITS: usize = 4;

/// One packet.
#[derive(Clone, PartialEq, Eq)]
pub enum Packet {
    /// `0000`: end of a section.
    Flush,
    /// Data, without the length digits; a line feed at the end is kept.
    Data(Bytes),
}

impl Packet {
    /// The data without one line feed at the end; `None` for a flush.
    pub fn text(&self) -> Option<&[u8]> {
        match self {
            Self::Flush => None,
            Self::Data(data) => Some(data.strip_suffix(b"\n").unwrap_or(data)),
        }
    }
}

impl fmt::Debug for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flush => f.write_str("Flush"),
            Self::Data(data) => write!(f, "Data({} bytes)", data.len()),
        }
    }
}

/// Bytes that are not pkt-lines. The stream cannot be read any further.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PktLineError {
    /// The first four bytes of a line are not hex digits.
    #[error("a packet starts with {0:?} instead of four hexadecimal digits")]
    Digits([u8; 4]),
    /// Lengths 1 to 3 mean nothing in this version of the protocol.
    #[error("a packet of {0} bytes is shorter than its own length digits")]
    Length(u16),
}

/// Cuts a byte stream into packets.
///
/// Memory: the bytes pushed and not yet taken. A caller that takes all packets after each
/// push never holds more than one unfinished line (under 64 KiB).
#[derive(Default)]
pub struct PktReader {
    buffer: BytesMut,
}

impl fmt::Debug for PktReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PktReader({} bytes waiting)", self.buffer.len())
    }
}

impl PktReader {
    /// An empty reader.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds received bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes waiting, complete or not.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// The next complete packet, `None` if more bytes are needed.
    ///
    /// # Errors
    /// If the bytes are not a pkt-line; the reader stays at the fault.
    pub fn next_packet(&mut self) -> Result<Option<Packet>, PktLineError> {
        let Some(digits) = self.buffer.first_chunk::<LENGTH_DIGITS>() else {
            return Ok(None);
        };
        let length = parse_length(*digits)?;
        match length {
            0 => {
                self.buffer.advance(LENGTH_DIGITS);
                Ok(Some(Packet::Flush))
            }
            1..=3 => Err(PktLineError::Length(length)),
            _ => {
                let length = usize::from(length);
                if self.buffer.len() < length {
                    return Ok(None);
                }
                let mut line = self.buffer.split_to(length);
                line.advance(LENGTH_DIGITS);
                Ok(Some(Packet::Data(line.freeze())))
            }
        }
    }
}

/// Whole packets for one channel write.
#[derive(Default)]
pub struct PktWriter {
    buffer: Vec<u8>,
}

impl fmt::Debug for PktWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PktWriter({} bytes)", self.buffer.len())
    }
}

impl PktWriter {
    /// An empty write.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one line made of the concatenated `parts`; nothing is added if the line would
    /// be longer than [`MAX_LINE_SENT`] or the write longer than [`MAX_WRITE`], and
    /// `false` is returned.
    #[must_use = "a line that does not fit was not written"]
    pub fn line(&mut self, parts: &[&[u8]]) -> bool {
        let data = parts
            .iter()
            .fold(0_usize, |sum, part| sum.saturating_add(part.len()));
        let length = data.saturating_add(LENGTH_DIGITS);
        if length > MAX_LINE_SENT || self.buffer.len().saturating_add(length) > MAX_WRITE {
            return false;
        }
        self.buffer.extend_from_slice(&length_digits(length));
        for part in parts {
            self.buffer.extend_from_slice(part);
        }
        true
    }

    /// Adds a flush; `false` if the write is full.
    #[must_use = "a flush that does not fit was not written"]
    pub fn flush(&mut self) -> bool {
        if self.buffer.len().saturating_add(FLUSH.len()) > MAX_WRITE {
            return false;
        }
        self.buffer.extend_from_slice(FLUSH);
        true
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The bytes of the write.
    pub fn finish(self) -> Bytes {
        self.buffer.into()
    }
}

/// The four digits in front of a line of `length` bytes, digits included.
fn length_digits(length: usize) -> [u8; 4] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    [12, 8, 4, 0].map(|shift| HEX.get(length >> shift & 15).copied().unwrap_or(b'0'))
}

fn parse_length(digits: [u8; 4]) -> Result<u16, PktLineError> {
    digits.iter().try_fold(0_u16, |length, digit| {
        let value = char::from(*digit)
            .to_digit(16)
            .and_then(|value| u16::try_from(value).ok())
            .ok_or(PktLineError::Digits(digits))?;
        Ok(length << 4 | value)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn write(lines: &[Option<Vec<u8>>]) -> Bytes {
        let mut writer = PktWriter::new();
        for line in lines {
            assert!(match line {
                Some(data) => writer.line(&[data]),
                None => writer.flush(),
            });
        }
        writer.finish()
    }

    #[test]
    fn lengths_just_below_at_and_above_the_limits() {
        for (len, fits) in [
            (MAX_DATA_SENT - 1, true),
            (MAX_DATA_SENT, true),
            (MAX_DATA_SENT + 1, false),
        ] {
            assert_eq!(PktWriter::new().line(&[&vec![7; len]]), fits);
        }
        let mut writer = PktWriter::new();
        assert!(writer.line(&[&vec![7; MAX_DATA_SENT]]));
        assert!(writer.line(&[&[0; 16]]));
        assert!(!writer.flush(), "a write has at most 65535 bytes");
        assert_eq!(&writer.finish()[..4], b"ffeb");
        let mut reader = PktReader::new();
        reader.push(b"ffff");
        assert_eq!(reader.next_packet(), Ok(None));
        reader.push(&vec![1; 65_531]);
        assert!(
            matches!(reader.next_packet(), Ok(Some(Packet::Data(data))) if data.len() == 65_531)
        );
    }

    #[test]
    fn what_is_not_a_line_is_refused_in_words() {
        for (bytes, text) in [
            (
                &b"0003abc"[..],
                "a packet of 3 bytes is shorter than its own length digits",
            ),
            (
                b"0001",
                "a packet of 1 bytes is shorter than its own length digits",
            ),
        ] {
            let mut reader = PktReader::new();
            reader.push(bytes);
            assert_eq!(reader.next_packet().unwrap_err().to_string(), text);
        }
        let mut reader = PktReader::new();
        reader.push(b"PACK");
        assert_eq!(reader.next_packet(), Err(PktLineError::Digits(*b"PACK")));
        let mut reader = PktReader::new();
        reader.push(b"+00a");
        assert!(reader.next_packet().is_err());
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_packets(
            lines in prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..40)), 0..30),
            cuts in prop::collection::vec(1_usize..17, 1..200),
        ) {
            let bytes = write(&lines);
            let mut reader = PktReader::new();
            let mut got = Vec::new();
            let mut rest = &bytes[..];
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                reader.push(now);
                rest = later;
                while let Some(packet) = reader.next_packet().unwrap() {
                    got.push(match packet { Packet::Flush => None, Packet::Data(data) => Some(data.to_vec()) });
                }
            }
            prop_assert_eq!(got, lines);
            prop_assert_eq!(reader.buffered(), 0);
        }

        #[test]
        fn any_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut reader = PktReader::new();
            reader.push(&bytes);
            while let Ok(Some(_)) = reader.next_packet() {}
        }
    }
}
