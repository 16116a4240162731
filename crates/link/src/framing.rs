//! RFC 4571 frames: a 16-bit length in front of each piece, for as long as a connection
//! lives (docs/protocol/04-connection.md sections 5.4 and 6).

use bytes::{Buf, BufMut, Bytes, BytesMut};
use thiserror::Error;

/// Largest payload of a frame that existing peers can send and receive.
pub const MAX_PAYLOAD: usize = 65_534;

/// A payload longer than [`MAX_PAYLOAD`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{0} bytes do not fit in a frame")]
pub struct TooLong(pub usize);

/// A frame longer than its reader wants to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the peer begins a frame of {0} bytes, which is too long here")]
pub struct Oversized(pub usize);

/// Appends a frame to `out`.
///
/// # Errors
/// If the payload is too long; nothing is appended then.
pub fn put_frame(out: &mut BytesMut, payload: &[u8]) -> Result<(), TooLong> {
    let len = u16::try_from(payload.len())
        .ok()
        .filter(|len| usize::from(*len) <= MAX_PAYLOAD)
        .ok_or(TooLong(payload.len()))?;
    out.reserve(payload.len().saturating_add(2));
    out.put_u16(len);
    out.put_slice(payload);
    Ok(())
}

/// Cuts a byte stream into payloads. Empty ones are left out.
///
/// Holds what [`Self::push`] got and [`Self::next_payload`] has not returned: at most one
/// unfinished frame (64 KiB) when each push is followed by taking all payloads.
#[derive(Debug, Default)]
pub struct Deframer {
    buffer: BytesMut,
}

impl Deframer {
    /// Takes bytes, cut anywhere.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete payload. `limit` is the longest one acceptable now.
    ///
    /// # Errors
    /// If a longer one begins, even before it is complete.
    pub fn next_payload(&mut self, limit: usize) -> Result<Option<Bytes>, Oversized> {
        loop {
            let Some(header) = self.buffer.first_chunk() else {
                return Ok(None);
            };
            let len = usize::from(u16::from_be_bytes(*header));
            if len > limit {
                return Err(Oversized(len));
            }
            let Some(body) = self.buffer.len().checked_sub(header.len()) else {
                return Ok(None);
            };
            if body < len {
                return Ok(None);
            }
            self.buffer.advance(2);
            if len > 0 {
                return Ok(Some(self.buffer.split_to(len).freeze()));
            }
        }
    }

    /// Bytes that wait for more.
    pub fn pending(&self) -> usize {
        self.buffer.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ANY: usize = 65_535;

    #[test]
    fn largest_payload_fits_and_a_larger_one_does_not() {
        let mut out = BytesMut::new();
        put_frame(&mut out, &vec![1; MAX_PAYLOAD]).unwrap();
        assert_eq!(out.len(), MAX_PAYLOAD + 2);
        assert_eq!(
            put_frame(&mut out, &vec![1; MAX_PAYLOAD + 1]),
            Err(TooLong(MAX_PAYLOAD + 1))
        );
        assert_eq!(out.len(), MAX_PAYLOAD + 2);
    }

    #[test]
    fn a_frame_over_the_limit_is_refused_at_its_header() {
        let mut deframer = Deframer::default();
        deframer.push(&[0, 4, 1, 2, 3, 4, 0, 5]);
        assert_eq!(
            deframer.next_payload(4).unwrap().unwrap(),
            &[1, 2, 3, 4][..]
        );
        assert_eq!(deframer.next_payload(4), Err(Oversized(5)));
    }

    #[test]
    fn all_but_the_last_byte_is_not_a_frame() {
        let mut deframer = Deframer::default();
        deframer.push(&[0, 3, 1, 2]);
        assert_eq!(deframer.next_payload(ANY), Ok(None));
        assert_eq!(deframer.pending(), 4);
        deframer.push(&[3]);
        assert_eq!(deframer.next_payload(ANY).unwrap().unwrap(), &[1, 2, 3][..]);
        assert_eq!(deframer.pending(), 0);
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_payloads(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20),
            cut in 1_usize..200,
        ) {
            let mut stream = BytesMut::new();
            for payload in &payloads {
                put_frame(&mut stream, payload).unwrap();
            }
            let mut deframer = Deframer::default();
            let mut got = Vec::new();
            for piece in stream.chunks(cut) {
                deframer.push(piece);
                while let Some(payload) = deframer.next_payload(ANY).unwrap() {
                    got.push(payload.to_vec());
                }
            }
            let expected: Vec<_> = payloads.into_iter().filter(|p| !p.is_empty()).collect();
            prop_assert_eq!(got, expected);
            prop_assert_eq!(deframer.pending(), 0);
        }
    }
}
