//! Applying git deltas.

use super::PackError;

const DAMAGED: &str = "a delta that does not fit its base";

/// The two sizes at the start of a delta, and the rest of it.
fn header(delta: &[u8]) -> Option<(u64, u64, &[u8])> {
    let (base, rest) = size(delta)?;
    let (result, rest) = size(rest)?;
    Some((base, result, rest))
}

fn size(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    let mut rest = bytes;
    for shift in [0, 7, 14, 21, 28, 35] {
        let (byte, after) = rest.split_first()?;
        rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value, rest));
        }
    }
    None
}

/// The object a delta makes out of `base`; `allow` is asked with its size before anything
/// is allocated.
pub(super) fn apply(
    base: &[u8],
    delta: &[u8],
    offset: u64,
    allow: impl FnOnce(u64) -> Result<(), PackError>,
) -> Result<Vec<u8>, PackError> {
    let damaged = || PackError::Damaged {
        offset,
        what: DAMAGED,
    };
    let (base_size, result_size, rest) = header(delta).ok_or_else(damaged)?;
    if u64::try_from(base.len()) != Ok(base_size) {
        return Err(damaged());
    }
    allow(result_size)?;
    let size = usize::try_from(result_size).map_err(|_| damaged())?;
    instructions(base, rest, size).ok_or_else(damaged)
}

fn instructions(base: &[u8], mut rest: &[u8], size: usize) -> Option<Vec<u8>> {
    // Grows with what is really there: a delta of 10 bytes may announce megabytes.
    let mut out = Vec::with_capacity(size.min(base.len().saturating_add(rest.len())));
    while let Some((op, after)) = rest.split_first() {
        rest = after;
        let piece = if op & 0x80 != 0 {
            let mut number = |bits: [u8; 4]| {
                let mut value = 0_usize;
                for (shift, bit) in [0_u32, 8, 16, 24].into_iter().zip(bits) {
                    if bit != 0 && op & bit != 0 {
                        let (byte, after) = rest.split_first()?;
                        rest = after;
                        value |= usize::from(*byte) << shift;
                    }
                }
                Some(value)
            };
            let start = number([1, 2, 4, 8])?;
            let length = match number([16, 32, 64, 0])? {
                0 => 0x1_0000,
                length => length,
            };
            base.get(start..start.checked_add(length)?)?
        } else {
            // 0 is reserved: it adds nothing and would loop without end in a bad writer.
            let length = usize::from(*op);
            if length == 0 {
                return None;
            }
            let (piece, after) = rest.split_at_checked(length)?;
            rest = after;
            piece
        };
        if out.len().checked_add(piece.len())? > size {
            return None;
        }
        out.extend_from_slice(piece);
    }
    (out.len() == size).then_some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn copies_and_inserts() {
        let delta = [5, 7, 0x90, 3, 4, b'a', b'b', b'c', b'd'];
        assert_eq!(apply(b"hello", &delta, 0, |_| Ok(())).unwrap(), b"helabcd");
        for bad in [
            &[5, 7, 0x90, 6, 4, b'a', b'b', b'c', b'd'][..],
            &[4, 7, 0x90, 3, 4, b'a', b'b', b'c', b'd'],
            &[5, 8, 0x90, 3, 4, b'a', b'b', b'c', b'd'],
            &[5, 6, 0x90, 3, 4, b'a', b'b', b'c', b'd'],
            &[5, 7, 0x90, 3, 4, b'a', b'b', b'c'],
            &[5, 3, 0x90, 3, 0],
            &[5],
            &[],
        ] {
            assert!(apply(b"hello", bad, 0, |_| Ok(())).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_do_not_panic(base in prop::collection::vec(any::<u8>(), 0..64), delta in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = apply(&base, &delta, 0, |size| if size > 1 << 20 { Err(PackError::DeltaTooDeep) } else { Ok(()) });
        }
    }
}
