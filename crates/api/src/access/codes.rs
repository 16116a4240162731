//! Codes to sign in with, once and soon. They are in memory only.

use std::time::{Duration, Instant};

use subtle::ConstantTimeEq as _;

use super::Hash;

/// How long a code may be used.
pub const CODE_LIFETIME: Duration = Duration::from_secs(5 * 60);
/// Codes that hold at once; with more, the oldest does not any more.
pub const MAX_CODES: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Codes(Vec<(Hash, Instant)>);

impl Codes {
    pub(super) fn add(&mut self, hash: Hash, now: Instant) {
        self.0
            .retain(|(_, made)| now.saturating_duration_since(*made) < CODE_LIFETIME);
        if self.0.len() >= MAX_CODES {
            self.0.remove(0);
        }
        self.0.push((hash, now));
    }

    /// Whether it is one that holds; it does not any more then.
    pub(super) fn take(&mut self, hash: &Hash, now: Instant) -> bool {
        let before = self.0.len();
        let mut right = false;
        self.0.retain(|(known, made)| {
            let holds = now.saturating_duration_since(*made) < CODE_LIFETIME;
            let same = bool::from(known.ct_eq(hash));
            right |= same && holds;
            holds && !same
        });
        right && self.0.len() < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_holds_once_and_for_five_minutes() {
        let begin = Instant::now();
        let mut codes = Codes::default();
        codes.add([1; 32], begin);
        codes.add([2; 32], begin);
        assert!(!codes.take(&[3; 32], begin));
        assert!(codes.take(&[1; 32], begin));
        assert!(!codes.take(&[1; 32], begin));
        assert!(!codes.take(&[2; 32], begin + CODE_LIFETIME));
    }

    #[test]
    fn of_many_codes_the_newest_hold() {
        let begin = Instant::now();
        let mut codes = Codes::default();
        for n in 0..20 {
            codes.add([n; 32], begin);
        }
        assert!(!codes.take(&[3; 32], begin));
        assert!(codes.take(&[4; 32], begin));
        assert!(codes.take(&[19; 32], begin));
    }
}
