//! A running hash of everything that happens, to compare two runs.

use crate::time::Time;

/// FNV-1a over 64-bit words: cheap, and good enough to tell two runs apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace(u64);

impl Default for Trace {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Trace {
    /// Takes in one event: its time, what it is, and its bytes.
    pub fn record(&mut self, at: Time, words: &[u64], bytes: &[u8]) {
        self.word(at.nanos());
        for word in words {
            self.word(*word);
        }
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.word(u64::from_le_bytes(word));
        }
    }

    const fn word(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x0000_0100_0000_01b3);
        self.0 ^= self.0 >> 29;
    }

    /// The hash so far.
    pub const fn value(self) -> u64 {
        self.0
    }
}
