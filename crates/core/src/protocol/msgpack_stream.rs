//! A stream of msgpack items, such as `msg:` and `sync://` channels carry, cut into single
//! items as the bytes come.

use baraza_wire::msgpack::{Error, Kind, Reader};
use bytes::{Bytes, BytesMut};
use thiserror::Error as ThisError;

/// Why a stream cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ThisError)]
#[non_exhaustive]
pub enum StreamError {
    /// Not msgpack.
    #[error(transparent)]
    Msgpack(#[from] Error),
    /// An item longer than allowed.
    #[error("msgpack item longer than {0} bytes")]
    TooLong(usize),
}

/// Collects bytes until they make an item.
///
/// Every byte is looked at once, however small the pieces are in which it comes.
#[derive(Debug, Clone)]
pub struct MsgpackStream {
    max_len: usize,
    buffer: BytesMut,
    /// How much of the item at the front of `buffer` was looked at.
    scanned: usize,
    /// How many items are still open behind that, the whole one counted as one.
    pending: u64,
}

impl MsgpackStream {
    /// For items of at most `max_len` bytes.
    pub fn new(max_len: usize) -> Self {
        Self {
            max_len,
            buffer: BytesMut::new(),
            scanned: 0,
            pending: 1,
        }
    }

    /// Takes bytes in. Call [`Self::next_item`] until there is none before giving more.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes that wait for the rest of their item.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// The next whole item.
    ///
    /// # Errors
    /// If the stream is to be closed.
    pub fn next_item(&mut self) -> Result<Option<Bytes>, StreamError> {
        while self.pending > 0 {
            let rest = self.buffer.get(self.scanned..).unwrap_or_default();
            if rest.is_empty() {
                return self.wait();
            }
            let mut reader = Reader::new(rest);
            let children = match step(&mut reader) {
                Ok(children) => children,
                Err(Error::Truncated) => return self.wait(),
                Err(e) => return Err(e.into()),
            };
            self.scanned = self.scanned.saturating_add(reader.position());
            if self.scanned > self.max_len {
                return Err(StreamError::TooLong(self.max_len));
            }
            self.pending = self.pending.saturating_sub(1).saturating_add(children);
        }
        let item = self.buffer.split_to(self.scanned.min(self.buffer.len()));
        self.scanned = 0;
        self.pending = 1;
        Ok(Some(item.freeze()))
    }

    fn wait(&self) -> Result<Option<Bytes>, StreamError> {
        if self.buffer.len() > self.max_len {
            return Err(StreamError::TooLong(self.max_len));
        }
        Ok(None)
    }
}

/// Skips one scalar, or the header of a container, and says how many items that has.
fn step(reader: &mut Reader<'_>) -> Result<u64, Error> {
    let count = |len| u64::try_from(len).unwrap_or(u64::MAX);
    match reader.peek()? {
        Kind::Array => Ok(count(reader.array_len()?)),
        Kind::Map => Ok(count(reader.map_len()?).saturating_mul(2)),
        _ => reader.skip().map(|_| 0),
    }
}

#[cfg(test)]
mod tests {
    use baraza_wire::msgpack::Writer;
    use proptest::prelude::*;

    use super::*;

    fn items(stream: &mut MsgpackStream, bytes: &[u8]) -> Result<Vec<Vec<u8>>, StreamError> {
        stream.push(bytes);
        let mut found = Vec::new();
        while let Some(item) = stream.next_item()? {
            found.push(item.to_vec());
        }
        Ok(found)
    }

    #[test]
    fn items_longer_than_allowed_end_the_stream() {
        let bin = |len: usize| {
            let mut writer = Writer::new();
            writer.bin(&vec![0; len]);
            writer.into_bytes()
        };
        for (len, allowed) in [(97, true), (98, true), (99, false)] {
            let mut whole = MsgpackStream::new(100);
            assert_eq!(items(&mut whole, &bin(len)).is_ok(), allowed, "{len}");
            let mut slowly = MsgpackStream::new(100);
            let result: Result<Vec<_>, _> = bin(len)
                .iter()
                .map(|byte| items(&mut slowly, &[*byte]))
                .collect();
            assert_eq!(result.is_ok(), allowed, "{len} slowly");
        }
        // A claim alone costs nothing, and nothing is kept waiting for it for ever.
        let mut stream = MsgpackStream::new(100);
        assert_eq!(items(&mut stream, &[0xdd, 255, 255, 255, 255]), Ok(vec![]));
        assert!(items(&mut stream, &[0; 100]).is_err());
    }

    #[test]
    fn what_is_not_msgpack_ends_the_stream() {
        let mut stream = MsgpackStream::new(100);
        let error = StreamError::Msgpack(Error::Reserved);
        assert_eq!(items(&mut stream, &[0x92, 1, 0xc1]), Err(error));
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(
            texts in prop::collection::vec(prop::collection::vec(".{0,40}", 0..20), 0..6),
            cut in 1usize..9,
        ) {
            let mut all = Vec::new();
            let mut expected = Vec::new();
            for list in &texts {
                let mut writer = Writer::new();
                writer.map(1).array(list.len());
                list.iter().for_each(|text| _ = writer.str(text));
                writer.array(1).nil();
                all.extend_from_slice(writer.as_bytes());
                expected.push(writer.into_bytes());
            }
            let mut stream = MsgpackStream::new(1 << 20);
            let mut found = Vec::new();
            for piece in all.chunks(cut) {
                found.extend(items(&mut stream, piece).unwrap());
            }
            prop_assert_eq!(found, expected);
            prop_assert_eq!(stream.buffered(), 0);
        }
    }
}
