//! Virtual time: one clock for the world, and what each host's own clocks make of it.

use std::cell::Cell;
use std::fmt;
use std::ops::{Add, Sub};
use std::time::{Duration, Instant};

use baraza_wire::{Now, UnixTime};

/// Virtual time since the world began, in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(u64);

impl Time {
    /// The beginning.
    pub const ZERO: Self = Self(0);
    /// Later than everything.
    pub const NEVER: Self = Self(u64::MAX);

    /// From nanoseconds since the beginning.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the beginning.
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// Time since the beginning.
    pub const fn elapsed(self) -> Duration {
        Duration::from_nanos(self.0)
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, rhs: Duration) -> Self {
        let nanos = u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

impl Sub for Time {
    type Output = Duration;

    fn sub(self, rhs: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(rhs.0))
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{:06}s",
            self.0 / 1_000_000_000,
            self.0 / 1000 % 1_000_000
        )
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

thread_local! {
    static CURRENT: Cell<Time> = const { Cell::new(Time::ZERO) };
}

impl Time {
    /// The time of the world that runs on this thread, for logs.
    pub fn current() -> Self {
        CURRENT.get()
    }

    pub(crate) fn make_current(self) {
        CURRENT.set(self);
    }
}

/// The two clocks of a host: the monotonic one, which may run fast or slow and stands
/// still while the host sleeps, and the wall clock, which may be wrong and may jump.
#[derive(Debug, Clone)]
pub struct HostClock {
    base: Instant,
    unix_base: UnixTime,
    /// How much faster than true time both clocks run, in millionths.
    drift_ppm: i64,
    /// Time slept, missing from the monotonic clock.
    slept: u64,
    /// What the wall clock is wrong by, in milliseconds.
    wrong_by: i64,
}

impl HostClock {
    pub(crate) const fn new(base: Instant, unix_base: UnixTime) -> Self {
        Self {
            base,
            unix_base,
            drift_ppm: 0,
            slept: 0,
            wrong_by: 0,
        }
    }

    /// Lets both clocks run `ppm` millionths too fast from the beginning on.
    pub const fn set_drift(&mut self, ppm: i64) {
        self.drift_ppm = ppm;
    }

    /// Moves the wall clock, as a person or NTP does.
    pub const fn jump(&mut self, millis: i64) {
        self.wrong_by = self.wrong_by.saturating_add(millis);
    }

    /// How wrong the wall clock is, drift aside, in milliseconds.
    pub const fn wrong_by(&self) -> i64 {
        self.wrong_by
    }

    pub(crate) fn sleep(&mut self, from: Time, until: Time) {
        let nanos = self.drifted(until).saturating_sub(self.drifted(from));
        self.slept = self.slept.saturating_add(nanos);
    }

    fn drifted(&self, time: Time) -> u64 {
        let extra = i128::from(time.0) * i128::from(self.drift_ppm) / 1_000_000;
        u64::try_from(i128::from(time.0) + extra).unwrap_or_default()
    }

    /// What both clocks show at a time.
    pub fn now(&self, time: Time) -> Now {
        let local = self.drifted(time);
        let instant = self.base + Duration::from_nanos(local.saturating_sub(self.slept));
        let unix = self
            .unix_base
            .millis()
            .saturating_add(local / 1_000_000)
            .saturating_add_signed(self.wrong_by);
        Now {
            instant,
            unix: UnixTime::from_millis(unix),
        }
    }

    /// The first time at which the monotonic clock shows at least `instant`, give or take
    /// the rounding of the drift (the world asks again before it fires a timer).
    pub fn when(&self, instant: Instant) -> Time {
        let since = instant.saturating_duration_since(self.base);
        let local = u64::try_from(since.as_nanos())
            .unwrap_or(u64::MAX)
            .saturating_add(self.slept);
        if self.drift_ppm == 0 {
            return Time(local);
        }
        let true_time = i128::from(local) * 1_000_000 / i128::from(1_000_000 + self.drift_ppm);
        Time(u64::try_from(true_time + 1).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_drift_sleep_and_jump_and_timers_still_fire_on_time() {
        let mut clock = HostClock::new(Instant::now(), UnixTime::from_secs(1000));
        let zero = clock.now(Time::ZERO);
        let hour = Time::ZERO + Duration::from_secs(3600);
        clock.set_drift(100);
        let later = clock.now(hour);
        assert_eq!(
            (later.instant - zero.instant).as_millis(),
            3_600_360,
            "100 millionths of an hour are 360 ms"
        );
        clock.sleep(Time::ZERO, Time::ZERO + Duration::from_secs(60));
        clock.jump(-5000);
        let woken = clock.now(hour);
        assert_eq!((later.instant - woken.instant).as_millis(), 60_006);
        assert_eq!(later.unix.millis() - woken.unix.millis(), 5000);
        for secs in [61, 100, 5000] {
            let target = zero.instant + Duration::from_secs(secs);
            let at = clock.when(target);
            assert!(clock.now(at).instant >= target);
            assert!(clock.now(at).instant - target < Duration::from_micros(1));
        }
    }
}
