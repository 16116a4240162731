use std::fmt;
use std::ops::Range;

use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

/// The one source of randomness a protocol machine is given: ChaCha20, seeded by the
/// operating system in programs and by a number in tests and in the simulator.
///
/// Key generation does not use it: that always asks the operating system.
#[derive(Clone)]
pub struct Rng(ChaCha20Rng);

impl Rng {
    /// Seeded by the operating system.
    ///
    /// # Panics
    /// If the operating system has no randomness to give.
    pub fn from_os() -> Self {
        Self(ChaCha20Rng::from_os_rng())
    }

    /// A repeatable sequence.
    pub fn from_seed(seed: u64) -> Self {
        Self(ChaCha20Rng::seed_from_u64(seed))
    }

    /// An independent generator drawn from this one.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        let mut seed = [0; 32];
        self.0.fill_bytes(&mut seed);
        Self(ChaCha20Rng::from_seed(seed))
    }

    /// A uniform 32-bit number.
    pub fn u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// A uniform 64-bit number.
    pub fn u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// A number in `range` (its start if the range is empty), by multiply-shift.
    pub fn range(&mut self, range: Range<u64>) -> u64 {
        let width = range.end.saturating_sub(range.start);
        let scaled = (u128::from(self.u64()) * u128::from(width)) >> 64;
        range
            .start
            .saturating_add(u64::try_from(scaled).unwrap_or_default())
    }

    /// An index below `len`; `None` if `len` is 0.
    pub fn index(&mut self, len: usize) -> Option<usize> {
        let len = u64::try_from(len).ok().filter(|len| *len > 0)?;
        usize::try_from(self.range(0..len)).ok()
    }

    /// `true` once in `n` times on average (never for 0).
    pub fn one_in(&mut self, n: u64) -> bool {
        n > 0 && self.range(0..n) == 0
    }
}

impl fmt::Debug for Rng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rng")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_numbers_and_ranges_hold() {
        let (mut a, mut b) = (Rng::from_seed(7), Rng::from_seed(7));
        for _ in 0..1000 {
            let n = a.range(10..13);
            assert_eq!(n, b.range(10..13));
            assert!((10..13).contains(&n));
        }
        assert_eq!(a.index(0), None);
        assert_eq!(a.range(5..5), 5);
    }
}
