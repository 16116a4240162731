//! The little DER that certificates, keys and revocation lists need.
//!
//! Existing peers write certificates that strict X.509 libraries refuse (negative serial
//! numbers, docs/protocol/02-account.md section 2) and revocation lists no library can
//! write, so both directions are done here. Lengths must be minimal and definite;
//! INTEGERs are handed on as raw bytes.

use thiserror::Error;

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const NULL: u8 = 0x05;
pub(crate) const OID: u8 = 0x06;
pub(crate) const UTF8_STRING: u8 = 0x0c;
pub(crate) const PRINTABLE_STRING: u8 = 0x13;
pub(crate) const IA5_STRING: u8 = 0x16;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;
/// `[n]`, constructed.
pub(crate) const fn context(n: u8) -> u8 {
    0xa0 | n
}

/// Bytes that are not the DER that was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("DER: {0}")]
pub(crate) struct DerError(pub(crate) &'static str);

/// One item: its tag, what is inside, and the item as a whole.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Item<'a> {
    pub(crate) tag: u8,
    pub(crate) content: &'a [u8],
    pub(crate) whole: &'a [u8],
}

impl<'a> Item<'a> {
    /// Reads what is inside.
    pub(crate) fn open(self) -> Reader<'a> {
        Reader::new(self.content)
    }
}

/// Reads items one after the other.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn peek_tag(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// The next item, whatever it is.
    pub(crate) fn any(&mut self) -> Result<Item<'a>, DerError> {
        const CUT: DerError = DerError("cut short");
        let start = self.rest;
        let [tag, first, rest @ ..] = start else {
            return Err(CUT);
        };
        if tag & 0x1f == 0x1f {
            return Err(DerError("unsupported tag"));
        }
        let (len, rest) = if *first < 0x80 {
            (usize::from(*first), rest)
        } else {
            let count = usize::from(first & 0x7f);
            if !(1..=4).contains(&count) {
                return Err(DerError("unsupported length"));
            }
            let (digits, rest) = rest.split_at_checked(count).ok_or(CUT)?;
            let len = digits
                .iter()
                .fold(0u64, |len, digit| len << 8 | u64::from(*digit));
            if len < 0x80 || digits.first() == Some(&0) {
                return Err(DerError("length not minimal"));
            }
            (usize::try_from(len).map_err(|_| CUT)?, rest)
        };
        let (content, rest) = rest.split_at_checked(len).ok_or(CUT)?;
        let used = start.len().saturating_sub(rest.len());
        let whole = start.get(..used).ok_or(CUT)?;
        self.rest = rest;
        Ok(Item {
            tag: *tag,
            content,
            whole,
        })
    }

    /// The next item, which must have `tag`; `wanted` names it in the error.
    pub(crate) fn expect(&mut self, tag: u8, wanted: &'static str) -> Result<Item<'a>, DerError> {
        let mut ahead = self.clone();
        let item = ahead.any()?;
        if item.tag != tag {
            return Err(DerError(wanted));
        }
        *self = ahead;
        Ok(item)
    }

    /// The next item if it has `tag`.
    pub(crate) fn optional(&mut self, tag: u8) -> Result<Option<Item<'a>>, DerError> {
        if self.peek_tag() == Some(tag) {
            self.any().map(Some)
        } else {
            Ok(None)
        }
    }

    /// Checks that nothing is left.
    pub(crate) fn finish(self) -> Result<(), DerError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(DerError("bytes after the end"))
        }
    }
}

/// One item with `tag` around the parts.
pub(crate) fn write(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let len = parts
        .iter()
        .fold(0usize, |len, part| len.saturating_add(part.len()));
    let mut out = Vec::with_capacity(len.saturating_add(6));
    out.push(tag);
    if let Some(short) = u8::try_from(len).ok().filter(|len| *len < 0x80) {
        out.push(short);
    } else {
        let bytes = len.to_be_bytes();
        let digits: Vec<u8> = bytes.into_iter().skip_while(|byte| *byte == 0).collect();
        out.push(0x80 | u8::try_from(digits.len()).unwrap_or(0));
        out.extend(digits);
    }
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_reads_back(tag in 0u8..0x1f, content in prop::collection::vec(any::<u8>(), 0..700)) {
            let der = write(tag, &[&content]);
            let mut reader = Reader::new(&der);
            let item = reader.any().unwrap();
            prop_assert_eq!(item.tag, tag);
            prop_assert_eq!(item.content, &content[..]);
            prop_assert_eq!(item.whole, &der[..]);
            prop_assert_eq!(reader.finish(), Ok(()));
        }

        #[test]
        fn any_bytes_do_not_panic(bytes: Vec<u8>) {
            let mut reader = Reader::new(&bytes);
            while reader.any().is_ok() {}
        }
    }

    #[test]
    fn lengths_must_be_minimal_and_definite() {
        for bad in [
            &[0x30, 0x80, 0, 0][..],
            &[0x30, 0x81, 0x01, 0],
            &[0x30, 0x82, 0x00, 0x80],
            &[0x30, 0x85, 1, 0, 0, 0, 0],
            &[0x1f, 0x01, 0],
            &[0x30, 0x02, 0],
        ] {
            assert!(Reader::new(bad).any().is_err(), "{bad:02x?}");
        }
    }
}
