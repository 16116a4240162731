//! Time inside the machine: milliseconds, so that what is kept for each node, value and
//! search stays small.

use std::time::{Duration, Instant};

/// Milliseconds since [`HEAD_START`] before the machine started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub(crate) struct Ms(u64);

/// How far in the past [`Ms::LONG_AGO`] is when the machine starts: longer than any period
/// that is measured.
const HEAD_START: u64 = 30 * 24 * 3600 * 1000;

impl Ms {
    /// Before everything; also stands for "never".
    pub(crate) const LONG_AGO: Self = Self(0);
    /// After everything.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    pub(crate) fn plus(self, duration: Duration) -> Self {
        self.plus_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    pub(crate) fn plus_millis(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Time since `earlier`; zero if it is later.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Whether less than `duration` has passed since `self`.
    pub(crate) fn within(self, duration: Duration, now: Self) -> bool {
        now.since(self) < duration
    }

    /// Whole seconds.
    pub(crate) fn secs(self) -> u64 {
        self.0 / 1000
    }

    /// From whole seconds.
    pub(crate) fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }
}

/// Translates between the driver's time and [`Ms`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub(crate) fn new(start: Instant) -> Self {
        Self { start }
    }

    /// Rounded down, so that a timer is due no earlier than [`Self::instant`] says.
    pub(crate) fn at(&self, instant: Instant) -> Ms {
        Ms(HEAD_START).plus(instant.saturating_duration_since(self.start))
    }

    /// `None` for times too far away to be waited for.
    pub(crate) fn instant(&self, at: Ms) -> Option<Instant> {
        self.start.checked_add(at.since(Ms(HEAD_START)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_translated_both_ways() {
        let start = Instant::now();
        let clock = Clock::new(start);
        let at = clock.at(start).plus(Duration::from_millis(1500));
        let instant = clock.instant(at).unwrap();
        assert_eq!(instant, start + Duration::from_millis(1500));
        assert_eq!(clock.at(instant), at);
        assert_eq!(clock.instant(Ms::LONG_AGO), Some(start));
        assert!(clock.instant(Ms::NEVER).is_none() || clock.instant(Ms::NEVER) > Some(start));
        assert!(!Ms::LONG_AGO.within(Duration::from_secs(24 * 3600), at));
    }
}
