//! A small msgpack reader and canonical writer for untrusted input.
//!
//! The C++ peers are picky about `bin` against `str`, about shortest integers and about
//! key order, so nothing here goes through a data model: callers write each item and
//! read each item. The reader borrows from the input, never allocates from a claimed
//! length and bounds nesting.

use thiserror::Error;

/// Deepest nesting [`Reader::skip`] follows; real messages need less than 8.
pub const MAX_DEPTH: u8 = 16;

/// Why bytes are not the msgpack that was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Error {
    /// The input ends inside an item. More bytes may complete it.
    #[error("msgpack item is cut short")]
    Truncated,
    /// An item of another type than expected.
    #[error("msgpack item is not {0}")]
    Type(&'static str),
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("msgpack nested too deeply")]
    Depth,
    /// Text that is not UTF-8.
    #[error("msgpack text is not UTF-8")]
    Utf8,
    /// A number that does not fit the field.
    #[error("msgpack number out of range")]
    Range,
    /// The reserved byte `c1`.
    #[error("msgpack reserved byte")]
    Reserved,
}

/// What kind of item comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Array.
    Array,
    /// Byte string.
    Bin,
    /// Boolean.
    Bool,
    /// Extension.
    Ext,
    /// Float.
    Float,
    /// Integer.
    Int,
    /// Map.
    Map,
    /// Nil.
    Nil,
    /// Text.
    Str,
}

/// Reads items one after the other from a slice.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
    len: usize,
}

impl<'a> Reader<'a> {
    /// Reads from the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            len: bytes.len(),
        }
    }

    /// Bytes not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Number of bytes read so far.
    pub fn position(&self) -> usize {
        self.len.saturating_sub(self.rest.len())
    }

    /// Whether everything was read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Kind of the next item, which is not consumed.
    pub fn peek(&self) -> Result<Kind, Error> {
        Ok(match *self.rest.first().ok_or(Error::Truncated)? {
            0x00..=0x7f | 0xcc..=0xd3 | 0xe0..=0xff => Kind::Int,
            0x80..=0x8f | 0xde | 0xdf => Kind::Map,
            0x90..=0x9f | 0xdc | 0xdd => Kind::Array,
            0xa0..=0xbf | 0xd9..=0xdb => Kind::Str,
            0xc0 => Kind::Nil,
            0xc1 => return Err(Error::Reserved),
            0xc2 | 0xc3 => Kind::Bool,
            0xc4..=0xc6 => Kind::Bin,
            0xc7..=0xc9 | 0xd4..=0xd8 => Kind::Ext,
            0xca | 0xcb => Kind::Float,
        })
    }

    /// An integer of any width that fits in 64 unsigned bits.
    pub fn u64(&mut self) -> Result<u64, Error> {
        u64::try_from(self.int()?).map_err(|_| Error::Range)
    }

    /// An integer of any width that fits in 32 unsigned bits.
    pub fn u32(&mut self) -> Result<u32, Error> {
        u32::try_from(self.int()?).map_err(|_| Error::Range)
    }

    /// An integer of any width that fits in 16 unsigned bits.
    pub fn u16(&mut self) -> Result<u16, Error> {
        u16::try_from(self.int()?).map_err(|_| Error::Range)
    }

    /// An integer of any width that fits in 64 signed bits.
    pub fn i64(&mut self) -> Result<i64, Error> {
        i64::try_from(self.int()?).map_err(|_| Error::Range)
    }

    /// An integer of any width and sign.
    pub fn int(&mut self) -> Result<i128, Error> {
        if self.peek()? != Kind::Int {
            return Err(Error::Type("an integer"));
        }
        let marker = self.byte()?;
        Ok(match marker {
            0x00..=0x7f => i128::from(marker),
            0xcc => i128::from(self.byte()?),
            0xcd => i128::from(u16::from_be_bytes(self.array()?)),
            0xce => i128::from(u32::from_be_bytes(self.array()?)),
            0xcf => i128::from(u64::from_be_bytes(self.array()?)),
            0xd0 => i128::from(i8::from_be_bytes(self.array()?)),
            0xd1 => i128::from(i16::from_be_bytes(self.array()?)),
            0xd2 => i128::from(i32::from_be_bytes(self.array()?)),
            0xd3 => i128::from(i64::from_be_bytes(self.array()?)),
            _ => i128::from(i8::from_be_bytes([marker])),
        })
    }

    /// A boolean.
    pub fn bool(&mut self) -> Result<bool, Error> {
        if self.peek()? != Kind::Bool {
            return Err(Error::Type("a boolean"));
        }
        Ok(self.byte()? == 0xc3)
    }

    /// Consumes a nil if one is next and says whether it did.
    pub fn nil(&mut self) -> Result<bool, Error> {
        let nil = self.peek()? == Kind::Nil;
        if nil {
            self.byte()?;
        }
        Ok(nil)
    }

    /// A byte string (`bin` only).
    pub fn bin(&mut self) -> Result<&'a [u8], Error> {
        let len = self.bin_len()?;
        self.take(len)
    }

    /// The header of a byte string: how many bytes follow. It is a claim: do not allocate
    /// from it.
    pub fn bin_len(&mut self) -> Result<usize, Error> {
        match self.peek_marker()? {
            0xc4 => self.len8(),
            0xc5 => self.len16(),
            0xc6 => self.len32(),
            _ => Err(Error::Type("a byte string")),
        }
    }

    /// A text (`str` only), checked to be UTF-8.
    pub fn str(&mut self) -> Result<&'a str, Error> {
        std::str::from_utf8(self.str_bytes()?).map_err(|_| Error::Utf8)
    }

    /// The bytes of a `str`, whatever they are.
    pub fn str_bytes(&mut self) -> Result<&'a [u8], Error> {
        let len = match self.peek_marker()? {
            marker @ 0xa0..=0xbf => {
                self.byte()?;
                usize::from(marker & 31)
            }
            0xd9 => self.len8()?,
            0xda => self.len16()?,
            0xdb => self.len32()?,
            _ => return Err(Error::Type("a text")),
        };
        self.take(len)
    }

    /// Number of items of an array, which follow. It is a claim: do not allocate from it.
    pub fn array_len(&mut self) -> Result<usize, Error> {
        match self.peek_marker()? {
            marker @ 0x90..=0x9f => {
                self.byte()?;
                Ok(usize::from(marker & 15))
            }
            0xdc => self.len16(),
            0xdd => self.len32(),
            _ => Err(Error::Type("an array")),
        }
    }

    /// Number of key-value pairs of a map, which follow. It is a claim: do not allocate
    /// from it.
    pub fn map_len(&mut self) -> Result<usize, Error> {
        match self.peek_marker()? {
            marker @ 0x80..=0x8f => {
                self.byte()?;
                Ok(usize::from(marker & 15))
            }
            0xde => self.len16(),
            0xdf => self.len32(),
            _ => Err(Error::Type("a map")),
        }
    }

    /// Skips one item of any kind and returns its bytes.
    pub fn skip(&mut self) -> Result<&'a [u8], Error> {
        let start = self.rest;
        self.skip_nested(0)?;
        let used = start.len().saturating_sub(self.rest.len());
        start.get(..used).ok_or(Error::Truncated)
    }

    fn skip_nested(&mut self, depth: u8) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(Error::Depth);
        }
        let inside = depth.saturating_add(1);
        match self.peek()? {
            Kind::Array => {
                for _ in 0..self.array_len()? {
                    self.skip_nested(inside)?;
                }
            }
            Kind::Map => {
                for _ in 0..self.map_len()? {
                    self.skip_nested(inside)?;
                    self.skip_nested(inside)?;
                }
            }
            Kind::Bin => {
                self.bin()?;
            }
            Kind::Bool | Kind::Nil => {
                self.byte()?;
            }
            Kind::Ext => {
                let len = match self.peek_marker()? {
                    0xc7 => self.len8()?,
                    0xc8 => self.len16()?,
                    0xc9 => self.len32()?,
                    marker => {
                        self.byte()?;
                        1 << marker.saturating_sub(0xd4)
                    }
                };
                self.byte()?;
                self.take(len)?;
            }
            Kind::Float => {
                let len = if self.byte()? == 0xca { 4 } else { 8 };
                self.take(len)?;
            }
            Kind::Int => {
                self.int()?;
            }
            Kind::Str => {
                self.str_bytes()?;
            }
        }
        Ok(())
    }

    fn peek_marker(&self) -> Result<u8, Error> {
        self.rest.first().copied().ok_or(Error::Truncated)
    }

    fn byte(&mut self) -> Result<u8, Error> {
        let (byte, rest) = self.rest.split_first().ok_or(Error::Truncated)?;
        self.rest = rest;
        Ok(*byte)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(Error::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Error::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn len8(&mut self) -> Result<usize, Error> {
        self.byte()?;
        Ok(usize::from(self.byte()?))
    }

    fn len16(&mut self) -> Result<usize, Error> {
        self.byte()?;
        Ok(usize::from(u16::from_be_bytes(self.array()?)))
    }

    fn len32(&mut self) -> Result<usize, Error> {
        self.byte()?;
        usize::try_from(u32::from_be_bytes(self.array()?)).map_err(|_| Error::Range)
    }
}

/// Appends items in their shortest form.
#[derive(Debug, Default, Clone)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// An empty buffer.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty buffer with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    /// The bytes written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// The bytes written so far.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// An unsigned integer.
    pub fn uint(&mut self, value: u64) -> &mut Self {
        if let Ok(byte) = u8::try_from(value) {
            if byte > 0x7f {
                self.0.push(0xcc);
            }
            self.0.push(byte);
        } else if let Ok(value) = u16::try_from(value) {
            self.0.push(0xcd);
            self.0.extend(value.to_be_bytes());
        } else if let Ok(value) = u32::try_from(value) {
            self.0.push(0xce);
            self.0.extend(value.to_be_bytes());
        } else {
            self.0.push(0xcf);
            self.0.extend(value.to_be_bytes());
        }
        self
    }

    /// A signed integer.
    pub fn int(&mut self, value: i64) -> &mut Self {
        if let Ok(value) = u64::try_from(value) {
            return self.uint(value);
        }
        if let Ok(value) = i8::try_from(value) {
            if value < -32 {
                self.0.push(0xd0);
            }
            self.0.extend(value.to_be_bytes());
        } else if let Ok(value) = i16::try_from(value) {
            self.0.push(0xd1);
            self.0.extend(value.to_be_bytes());
        } else if let Ok(value) = i32::try_from(value) {
            self.0.push(0xd2);
            self.0.extend(value.to_be_bytes());
        } else {
            self.0.push(0xd3);
            self.0.extend(value.to_be_bytes());
        }
        self
    }

    /// A boolean.
    pub fn bool(&mut self, value: bool) -> &mut Self {
        self.0.push(if value { 0xc3 } else { 0xc2 });
        self
    }

    /// Nil.
    pub fn nil(&mut self) -> &mut Self {
        self.0.push(0xc0);
        self
    }

    /// A byte string.
    pub fn bin(&mut self, bytes: &[u8]) -> &mut Self {
        self.bin_len(bytes.len());
        self.0.extend_from_slice(bytes);
        self
    }

    /// A text.
    pub fn str(&mut self, text: &str) -> &mut Self {
        self.header(text.len(), (0xa0, 31), Some(0xd9), 0xda, 0xdb);
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    /// The header of a byte string whose `len` bytes the caller appends with [`Self::raw`].
    pub fn bin_len(&mut self, len: usize) -> &mut Self {
        if let Ok(len) = u8::try_from(len) {
            self.0.extend([0xc4, len]);
        } else if let Ok(len) = u16::try_from(len) {
            self.0.push(0xc5);
            self.0.extend(len.to_be_bytes());
        } else {
            self.0.push(0xc6);
            self.0
                .extend(u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes());
        }
        self
    }

    /// The header of an array of `len` items.
    pub fn array(&mut self, len: usize) -> &mut Self {
        self.header(len, (0x90, 15), None, 0xdc, 0xdd)
    }

    /// The header of a map of `len` pairs.
    pub fn map(&mut self, len: usize) -> &mut Self {
        self.header(len, (0x80, 15), None, 0xde, 0xdf)
    }

    /// Bytes that are msgpack already.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn header(
        &mut self,
        len: usize,
        (fix, fix_max): (u8, u8),
        m8: Option<u8>,
        m16: u8,
        m32: u8,
    ) -> &mut Self {
        match (u8::try_from(len), u16::try_from(len), m8) {
            (Ok(len), _, _) if len <= fix_max => self.0.push(fix | len),
            (Ok(len), _, Some(m8)) => self.0.extend([m8, len]),
            (_, Ok(len), _) => {
                self.0.push(m16);
                self.0.extend(len.to_be_bytes());
            }
            _ => {
                self.0.push(m32);
                self.0
                    .extend(u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes());
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn integers_are_shortest_and_round_trip(value: i64) {
            let mut writer = Writer::new();
            writer.int(value);
            let mut expected = Vec::new();
            rmpv::encode::write_value(&mut expected, &value.into()).unwrap();
            prop_assert_eq!(writer.as_bytes(), &expected[..]);
            prop_assert_eq!(Reader::new(writer.as_bytes()).i64(), Ok(value));
        }

        #[test]
        fn texts_and_byte_strings_round_trip(text in ".{0,300}", bytes: Vec<u8>) {
            let mut writer = Writer::new();
            writer.array(2).str(&text).bin(&bytes);
            let mut expected = Vec::new();
            let value = rmpv::Value::Array(vec![text.as_str().into(), bytes.as_slice().into()]);
            rmpv::encode::write_value(&mut expected, &value).unwrap();
            prop_assert_eq!(writer.as_bytes(), &expected[..]);
            let mut reader = Reader::new(writer.as_bytes());
            prop_assert_eq!(reader.array_len(), Ok(2));
            prop_assert_eq!(reader.str(), Ok(text.as_str()));
            prop_assert_eq!(reader.bin(), Ok(bytes.as_slice()));
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn skipping_agrees_with_a_full_decoder(bytes: Vec<u8>) {
            let mut reader = Reader::new(&bytes);
            if let Ok(item) = reader.skip() {
                let mut rest = item;
                prop_assert!(rmpv::decode::read_value(&mut rest).is_ok());
                prop_assert!(rest.is_empty());
            }
        }
    }

    #[test]
    fn a_claimed_length_is_not_believed() {
        assert_eq!(
            Reader::new(&[0xc6, 0xff, 0xff, 0xff, 0xff, 1]).bin(),
            Err(Error::Truncated)
        );
        assert_eq!(
            Reader::new(&[0xdd, 0xff, 0xff, 0xff, 0xff]).skip(),
            Err(Error::Truncated)
        );
        assert_eq!(Reader::new(&[0x91; 64]).skip(), Err(Error::Depth));
    }
}
